"""One limit of Drive: when the next request is due, and what a refusal teaches. Pure: times are arguments.

A token bucket whose rate is found by additive increase and multiplicative decrease. It is always in one of four states:

    free      Drive refused nothing lately: the rate is the one that Google publishes
    blocked   Drive refused: the rate is halved, and nobody sends until the next probe is due
    probing   one request, the probe, is under way: refused, the limit is blocked for longer; let in, the rate grows
    growing   the rate grows by the second, until Drive refuses again or the limit is free

Drive doesn't tell how it counts. A limit that lets in again within seconds refills steadily: halving finds its rate.
One that stays shut for longer counts by the minute: what went through in the minute before is all that it allows.
"""

import math
from typing import Final, Literal

from msgspec import Struct

FREE_PER_S: Final = 325_000 / 50 / 60
"""The creates a second that 325,000 units a minute and user buy. Source: Drive guide, 'Usage limits'."""

SLOWEST_PER_S: Final = 1.0
"""A stray refusal in a quiet minute is no measure: Drive sustains three writes a second, the least of its limits."""

GENTLE_PER_S: Final = 8.0
"""A limit that refills steadily is met at this rate, unless more than that went through in the minute before."""

GROW_S: Final = 35.0
FORGET_S: Final = 240.0
"""A growing rate has doubled after `GROW_S`, trebled after twice as long, and so on; after `FORGET_S` it is free."""

UNUSED_S: Final = 1.1
"""What was not sent in so many seconds may be sent at once: a batch of a hundred files, where the limit is free."""

MINUTE_S: Final = 60.0
STEADY_WITHIN_S: Final = 5.0
"""Drive counts by the minute (source: Drive guide, 'Usage limits'), or steadily where it lets in again so soon."""

FIRST_PROBE_S: Final = 1.0
PROBE_EVERY_S: Final = 8.0
PROBE_LATER_EVERY_S: Final = 64.0
"""Waits for a probe grow to `PROBE_EVERY_S` in the first minute, since a limit on a minute lets in again by its end,
and to what Google advises (32 to 64 s) after it. A Retry-After is a lower bound."""

PROBE_ANSWER_S: Final = 10.0
ASK_AGAIN_S: Final = 0.05
"""Processes look so often whether the probe was answered. One without an answer for so long died with its process, or
is a long transfer: the next one may be sent."""

LONGEST_BLOCK_S: Final = 3600.0
"""A Retry-After is obeyed up to here; no invocation lives as long."""

CLOCK_SLACK_S: Final = 5.0
"""A clock that was set back by more makes what is known worthless."""


class RateLimit(Struct, forbid_unknown_fields=True):
    """What the processes of an account know about one limit; times are seconds of the wall clock, 0 is never."""

    state: Literal["free", "blocked", "probing", "growing"] = "free"
    since: float = 0.0
    """When the limit was blocked, or began to grow."""
    rate: float = FREE_PER_S
    """Requests a second at `since`."""
    due: float = 0.0
    """When the next request, or the next probe, may be sent."""
    told: float = 0.0
    """Drive's own word, by Retry-After: no probe before."""
    minute: float = 0.0
    minute_at: float = 0.0
    """What went through in the minute before `minute_at`; older requests fade, but not while the limit is blocked."""

    def is_sound(self, now: float) -> bool:
        """Whether an earlier request can have left this, rather than damage or another clock."""
        return (
            SLOWEST_PER_S <= self.rate <= FREE_PER_S
            and min(self.since, self.due, self.told, self.minute, self.minute_at) >= 0
            and max(self.since, self.minute_at) <= now + CLOCK_SLACK_S
            and max(self.due, self.told) <= now + LONGEST_BLOCK_S + CLOCK_SLACK_S
        )

    def pace(self, now: float) -> float:
        """Requests a second at that time."""
        grown = 1 + max(0.0, now - self.since) / GROW_S
        return FREE_PER_S if self.state == "free" else min(FREE_PER_S, self.rate * grown)

    def unasked(self, now: float) -> int:
        """Requests that a process may send before it asks again: a quarter of what may be sent at once."""
        return max(0, int(min(UNUSED_S, now - self.due) * FREE_PER_S / 4)) if self.state == "free" else 0

    def ask(self, now: float, reserved: float | None) -> tuple[float, float | None]:
        """0 to send now, or seconds until it is worth asking again; and the time that is reserved for the process."""
        if self._is_shut:
            if (wait_s := self.due - now) > 0:
                return (min(wait_s, ASK_AGAIN_S) if self.state == "probing" else wait_s), None
            self.state, self.due = "probing", now + PROBE_ANSWER_S
            return 0.0, None
        if now - self.since >= FORGET_S or self.pace(now) == FREE_PER_S:
            self.state = "free"
        if reserved is None or reserved < self.since:
            reserved = self.spend(now, 1)
        return max(0.0, reserved - now), reserved

    def spend(self, now: float, requests: int) -> float:
        """Note requests that are sent, or that a time is reserved for. Returns when the first of them is due."""
        if self._is_shut:  # they were sent before the process knew
            self.minute += requests
            return now
        self.minute = self.minute * math.exp(min(0.0, self.minute_at - now) / MINUTE_S) + requests
        self.minute_at = now
        due = max(self.due, now - UNUSED_S)
        self.due = due + requests / self.pace(now)
        return due

    def refused(self, now: float, retry_after_s: float | None, *, probe: bool, dice: float) -> None:
        """Drive refused a request, the probe or one that was already under way, for its rate; dice is in [0, 1)."""
        if not probe:
            self.minute = max(0.0, self.minute - 1)
        if not self._is_shut:
            self.rate = max(SLOWEST_PER_S, self.pace(now) / 2)
            self.state, self.since, self.due = "blocked", now, now + FIRST_PROBE_S
        elif probe:
            blocked_s = max(0.0, now - self.since)
            longest = PROBE_EVERY_S if blocked_s < MINUTE_S else PROBE_LATER_EVERY_S
            self.state, self.due = "blocked", now + min(longest, 4 * blocked_s) * (1 + dice / 10)
        if retry_after_s is not None:
            self.told = max(self.told, now + min(retry_after_s, LONGEST_BLOCK_S))
            self.due = max(self.due, self.told)

    def let_in(self, now: float) -> None:
        """The probe went through."""
        if self._is_shut:
            least = GENTLE_PER_S if now - self.since < STEADY_WITHIN_S else SLOWEST_PER_S
            self.rate = min(self.rate, max(least, self.minute / MINUTE_S))
            self.state, self.since, self.due = "growing", now, now

    def let_in_others(self, now: float) -> None:
        """A probe of the account's other limit went through. The cause may be the same: find out at once."""
        if self.state == "blocked":
            self.due = min(self.due, max(now, self.told))

    @property
    def _is_shut(self) -> bool:
        return self.state in {"blocked", "probing"}
