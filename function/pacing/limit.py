"""Finding one limit of Drive: when the next request is due, and what a refusal teaches. Pure: times are arguments.

A `Lane` is what is known about one limit of an account. It goes from state to state like this:

    open       nobody was refused lately: a burst, then the pace that Google publishes
    blocked    a refusal stops everyone; single probes, further and further apart, find out when Drive lets in again
    searching  it lets in again at once, so it refills steadily: grow until it refuses once more
    cruising   the rate is measured; try a higher one, ever more boldly, until Drive refuses or the lane is open again

Two measurements give the rate. A limit that refills steadily is empty at each refusal: what went through between two
refusals is what it refilled. A limit on a minute stays shut until the minute is over: what went through in the minute
before the refusal is all that it allows.
"""

import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple

OPEN_PER_S: Final = 325_000 / 50 / 60
"""Requests a second before any refusal: the creates that 325,000 units a minute and user buy (Source: Drive guide,
'Usage limits'). It also keeps few requests in flight, and so few refused together, where the real limit is met."""

OPEN_BURST: Final = 120
"""Requests that a rested account sends at once: a batch of a hundred files and what belongs to it."""

MINUTE_S: Final = 60
"""Drive counts by the minute. Source: Drive guide, 'Usage limits'."""

SEARCH_FROM_PER_S: Final = 8.0
SEARCH_DOUBLES_S: Final = 2.5
"""A search meets a small limit gently and grows slowly enough to measure it well."""

CRUISE_S: Final = 120.0
"""Time in which a measured rate, unrefused, is tried e times as high; three to four minutes open the lane again."""

BACKLOG_S: Final = 1.0
"""Slots that nobody used in the last second are still good: a thread that comes late loses nothing."""

FIRST_PROBE_S: Final = 1.0
PROBE_EVERY_S: Final = 8.0
PROBE_LATER_EVERY_S: Final = 64.0
"""Waits double from the first to the longest one: short in the minute after a refusal, since that is when a limit on
a minute lets in again, then what Google advises (32 to 64 s)."""

STEADY_WITHIN_S: Final = 5.0
"""Letting in so soon after a refusal is the mark of a limit that refills steadily."""

MEASURE_S: Final = 30.0
"""A measurement over less time is continued by the next one."""

PROBE_ANSWER_S: Final = 10.0
"""A probe without an answer for so long died with its process, or is a long transfer: the next may be sent."""

LONGEST_BLOCK_S: Final = 3600.0
"""A Retry-After is obeyed up to here; no invocation lives as long."""

SLOWEST_PER_S: Final = 1.0
"""A stray refusal in a quiet minute is no measure: Drive sustains three writes a second, the least of its limits."""

CLOCK_SLACK_S: Final = 5.0
"""A clock that was set back by more makes what is known worthless."""

ASK_AGAIN_S: Final = 0.05
"""How often those who wait look whether another's probe was answered."""


class Promise(NamedTuple):
    """A slot kept for somebody; void once the lane's era has changed."""

    at: float
    era: int


@dataclass(slots=True)
class Lane:
    """What the processes of an account know about one limit; times are seconds of the wall clock, 0 is never."""

    rate: float = OPEN_PER_S
    """Requests a second that were believed in at `since`."""
    since: float = 0.0
    searching: bool = False
    slot: float = 0.0
    """When the next request is due; the time between it and now is unused."""
    era: int = 0
    """Counts blocks and resumptions."""
    blocked_at: float = 0.0
    blocked_until: float = 0.0
    told_until: float = 0.0
    """Drive's own word, by Retry-After."""
    closed_at: float = 0.0
    """When Drive was last seen to refuse."""
    probe_until: float = 0.0
    failures: int = 0
    """Probes refused since the block began."""
    minute: int = 0
    """What went through in the minute before the block."""
    resumed_at: float = 0.0
    mark_at: float = 0.0
    mark_through: int = 0
    """Where the present measurement began, and `through` then."""
    through: int = 0
    """All that went through."""
    seconds: list[int] = field(default_factory=lambda: [0] * MINUTE_S)
    """What went through in each of sixty seconds, the last of which is `second`."""
    second: int = 0

    def is_sound(self, now: float) -> bool:
        """Whether this can be what an earlier call left, rather than damage or another clock."""
        past = (self.since, self.second, self.blocked_at, self.closed_at, self.mark_at, self.resumed_at)
        soon = (self.slot, self.blocked_until, self.told_until, self.probe_until)
        return (
            SLOWEST_PER_S <= self.rate <= OPEN_PER_S
            and len(self.seconds) == MINUTE_S
            and self.failures >= 0
            and 0 <= min(past) <= max(past) <= now + CLOCK_SLACK_S
            and 0 <= min(soon) <= max(soon) <= now + LONGEST_BLOCK_S + CLOCK_SLACK_S
        )

    def pace(self, now: float) -> float:
        """Requests a second at that time."""
        age = max(0.0, now - self.since)
        growth = age / SEARCH_DOUBLES_S * math.log(2) if self.searching else (age / CRUISE_S) ** 2
        return min(OPEN_PER_S, self.rate * math.exp(min(growth, 20.0)))

    def is_open(self, now: float) -> bool:
        """Whether no refusal is in force any more."""
        return not self.blocked_at and self.pace(now) >= OPEN_PER_S

    def unasked(self, now: float) -> int:
        """Requests that a process may send before it asks again: a quarter of what is left of the burst."""
        left = min(OPEN_BURST, (now - self.slot) * OPEN_PER_S) if self.is_open(now) else 0
        return max(0, int(left / 4))

    def wait(self, now: float, promise: Promise | None) -> tuple[float, Promise | None]:
        """Seconds until it is worth asking again, 0 to send now; and the slot that is kept for whoever asks."""
        if self.blocked_at:
            busy = min(ASK_AGAIN_S, self.probe_until - now)
            return max(0.0, self.blocked_until - now, busy), None
        if promise is None or promise.era != self.era:
            promise = Promise(self._spend(now, 1), self.era)
        return max(0.0, promise.at - now), promise

    def sent(self, now: float) -> None:
        """Note a request that `wait` let go; while blocked it is the probe."""
        self._count(now, 1)
        if self.blocked_at:
            self.probe_until = now + PROBE_ANSWER_S

    def sent_unasked(self, now: float, requests: int) -> None:
        """Note requests that were sent without asking."""
        if requests:
            self._spend(now, requests)
            self._count(now, requests)

    def refused(self, now: float, retry_after_s: float | None, *, probe: bool, dice: float) -> None:
        """Drive refused a request, the probe or one that was already under way, for its rate; dice is in [0, 1)."""
        self._count(now, -1)
        if not self.blocked_at:
            self._block(now)
        elif probe:
            self.failures += 1
            self.closed_at = now
            self.blocked_until = self._next_probe(now, dice)
            self.probe_until = 0.0
        if not self.failures:
            self.minute = sum(self.seconds)
        if retry_after_s is not None:
            self.told_until = max(self.told_until, now + min(retry_after_s, LONGEST_BLOCK_S))
            self.blocked_until = max(self.blocked_until, self.told_until)

    def taken_back(self, now: float) -> None:
        """A request that was noted here was refused by another limit."""
        self._count(now, -1)

    def resume(self, now: float) -> None:
        """The probe went through: the block is over."""
        if not self.blocked_at:
            return
        if self.failures < 2 and now - self.blocked_at < STEADY_WITHIN_S:
            self._measure_refill()
        else:
            self._measure_minute(now)
        self.since = self.slot = self.resumed_at = now
        self.blocked_at = self.blocked_until = self.probe_until = 0.0
        self.era += 1

    def hasten(self, now: float) -> None:
        """What may have been the cause of the block is over: probe as soon as Drive's word allows."""
        if self.blocked_at:
            self.blocked_until = min(self.blocked_until, max(now, self.told_until))

    def pardon(self, now: float) -> None:
        """Another limit turns out to be the one that refused just now: go on as before."""
        if self.blocked_at and not self.failures and now - self.blocked_at < FIRST_PROBE_S:
            self.since = self.slot = now
            self.blocked_at = self.blocked_until = self.probe_until = 0.0
            self.era += 1

    def _spend(self, now: float, requests: int) -> float:
        slack = OPEN_BURST / OPEN_PER_S if self.is_open(now) else BACKLOG_S
        at = max(self.slot, now - slack)
        self.slot = at + requests / self.pace(now)
        return at

    def _count(self, now: float, requests: int) -> None:
        gone = min(MINUTE_S, max(0, int(now) - self.second))
        self.seconds = self.seconds[gone:] + [0] * gone
        self.second += max(0, int(now) - self.second)
        self.seconds[-1] += requests
        self.through += requests

    def _block(self, now: float) -> None:
        if self.is_open(now):
            self.mark_at = 0.0
        self.rate, self.since = self.pace(now), now
        self.era += 1
        self.failures, self.probe_until = 0, 0.0
        self.blocked_at = self.closed_at = now
        self.blocked_until = now + FIRST_PROBE_S

    def _next_probe(self, now: float, dice: float) -> float:
        """Later and later; but also when a minute ends: the clock's, the last one seen to begin, the requests'."""
        longest = PROBE_EVERY_S if now - self.blocked_at < MINUTE_S else PROBE_LATER_EVERY_S
        due = now + min(longest, FIRST_PROBE_S * 2.0 ** min(self.failures, 10)) * (1 + dice / 10)
        oldest = self.second - MINUTE_S + 1 + next((i for i, n in enumerate(self.seconds) if n > 0), 0)
        ends = (now + 0.1 + (start - now) % MINUTE_S for start in (0.0, self.resumed_at, oldest + 1.0))
        return min(due, *(end for end in ends if end > now + FIRST_PROBE_S / 2))

    def _measure_refill(self) -> None:
        if not self.mark_at:
            self.searching, self.rate = True, max(SEARCH_FROM_PER_S, self.minute / MINUTE_S)
            self._mark(self.blocked_at, self.through - 1)
            return
        took = self.blocked_at - self.mark_at
        if took < STEADY_WITHIN_S and not self.searching:
            return
        measured = max(1, self.through - self.mark_through) / max(took, 1.0)
        # What a pause of ours kept low is no measure of Drive: below 0.7 only a search may go, which has no pauses.
        measured = max(SLOWEST_PER_S, measured if self.searching else max(0.7 * self.rate, measured))
        self.rate = min(self.rate, measured)
        self.searching = False
        if took > MEASURE_S:
            self._mark(self.blocked_at, self.through - 1)

    def _measure_minute(self, now: float) -> None:
        # The limit let in some time between the last refusal and now: what was missed is spread over the minute.
        missed = min(PROBE_EVERY_S, now - self.closed_at) / 2
        self.rate, self.searching = min(OPEN_PER_S, max(SLOWEST_PER_S, self.minute / (MINUTE_S - missed))), False
        self._mark(now, self.through)

    def _mark(self, at: float, through: int) -> None:
        self.mark_at, self.mark_through = at, through
