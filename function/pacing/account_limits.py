"""The quota of an account: the limits that Drive may set it, and which of them a refusal speaks of. Pure."""

from dataclasses import dataclass, field
from typing import Final

from function.pacing.limit import Lane

PASSED: Final = {True: ("writes", "requests"), False: ("requests",)}
"""By whether a request writes: the lanes that it must pass."""


@dataclass(slots=True)
class Quota:
    """The two limits of an account: on writes (about 3 a second, after a burst), and on all requests."""

    writes: Lane = field(default_factory=Lane)
    requests: Lane = field(default_factory=Lane)

    def passed(self, *, write: bool) -> dict[str, Lane]:
        """The lanes that a request must pass, by name."""
        return {name: getattr(self, name) for name in PASSED[write]}

    def is_sound(self, now: float) -> bool:
        """Whether both lanes can be believed."""
        return self.requests.is_sound(now) and self.writes.is_sound(now)

    def unasked(self, now: float) -> int:
        """Requests of either kind that a process may send before it asks again."""
        return min(self.requests.unasked(now), self.writes.unasked(now))

    def sent(self, now: float, *, write: bool) -> frozenset[str]:
        """Note a request that is let go, and name the lanes that it probes."""
        passed = self.passed(write=write)
        for lane in passed.values():
            lane.sent(now)
        return frozenset(name for name, lane in passed.items() if lane.blocked_at)

    def resume(self, now: float, probed: frozenset[str]) -> None:
        """A request that probed these lanes was let in."""
        for name in probed:
            self.passed(write=True)[name].resume(now)
        if "requests" in probed:
            self.writes.hasten(now)  # the same limit may have held up both

    def refused(
        self, now: float, retry_after_s: float | None, *, write: bool, probed: frozenset[str], dice: float
    ) -> None:
        """A request, which probed these lanes, was refused for its rate; dice is in [0, 1)."""
        blamed = probed or self._blamed(now, write=write)
        for name, lane in self.passed(write=write).items():
            if name in blamed:
                lane.refused(now, retry_after_s, probe=name in probed, dice=dice)
            else:
                lane.taken_back(now)
        if not write:
            self.writes.pardon(now)

    def _blamed(self, now: float, *, write: bool) -> frozenset[str]:
        """Which limit it was: Drive doesn't say, but reads are never refused for the limit on writes."""
        common = not write or self.requests.blocked_at or (self.writes.is_open(now) and not self.requests.is_open(now))
        return frozenset(["requests" if common else "writes"])
