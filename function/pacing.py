"""When a request may be sent, and its bytes: a `Pacer` for each account, a `BandwidthLimit` for the process.

A `RateLimit` is what is known of one limit of Drive: when the next request is due, and what a refusal teaches. It is
pure, its times are arguments: a token bucket whose rate is found by additive increase and multiplicative decrease. It
is always in one of four states:

    free      Drive refused nothing lately: the rate is the one that Google publishes
    blocked   Drive refused: the rate is halved, and nobody sends until the next probe is due
    probing   one request, the probe, is under way: refused, the limit is blocked for longer; let in, the rate grows
    growing   the rate grows by the second, until Drive refuses again or the limit is free

Drive doesn't tell how it counts. A limit that lets in again within seconds refills steadily: halving finds its rate.
One that stays shut for longer counts by the minute: what went through in the minute before is all that it allows.

The threads of a process share the `Pacer`, the processes of a machine a small file. While an account is free, a
process reads the file once a second, or once in `UNASKED` requests. Once Drive has refused, each request has its time
reserved in the file. A process reserves for one thread at a time: processes share alike however many threads they
have, and a killed process leaves one reservation unused.

The file is disposable. Where it is absent, damaged or of another version, it begins anew; where it can't be locked, the
process paces itself alone.
"""

import contextlib
import fcntl
import math
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import msgspec

from function.core.errors import DeadlineExceeded
from function.core.retry import Deadline

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


class RateLimit(msgspec.Struct, forbid_unknown_fields=True):
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


UNASKED: Final = 16
"""Requests that a process sends at most between two looks at the file."""

LOOK_EVERY_S: Final = 1.0
"""A process learns after at most so long that others were refused; also the longest single sleep."""

LOCK_TRIES: Final = 50
"""One a millisecond: the lock is held for microseconds, and a stopped holder must not stop everybody."""

Limits = tuple[RateLimit, RateLimit]
"""The limit on reads and the limit on writes, as the file holds them: indexed by whether a request writes."""


class _Sender:
    """What a process keeps about its reads, or about its writes."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        """Of the thread that waits; the others queue behind it."""
        self.reserved: float | None = None
        self.probing = False
        self.unasked = 0
        """Requests that may be sent before the file is looked at again."""
        self.unnoted = 0
        """Requests that were sent, of which the file doesn't know yet."""


class Pacer:
    """Sends the requests of one account as fast as Drive takes them, and no faster. Safe for threads.

    `state_path` names the file that the account's processes share; its folder exists. None, for a volume without
    kernel locks, where processes share no kernel either, means that each process finds its own rate.
    """

    def __init__(
        self,
        state_path: Path | None,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._path, self._clock, self._sleep, self._dice = state_path, clock, sleep, dice
        self._mutex = threading.Lock()
        self._limits: Limits = (RateLimit(), RateLimit())
        self._senders = (_Sender(), _Sender())
        self._look_at = 0.0

    def acquire(self, *, write: bool, deadline: Deadline) -> None:
        """Return when the request may be sent; DeadlineExceeded, with `retry_after_s`, when that would be too late."""
        deadline.check()
        if self._is_unasked(write=write):
            return
        turn = self._senders[write].turn
        while not turn.acquire(timeout=min(LOOK_EVERY_S, deadline.remaining_s())):
            deadline.check()
        try:
            while (wait_s := self.ask(write=write)) > 0:
                deadline.check()
                if wait_s > deadline.remaining_s():
                    told = (
                        "Drive's rate limit leaves no room for another request before the deadline; call again later."
                    )
                    raise DeadlineExceeded(told, reason="rate_limited", retry_after_s=wait_s)
                self._sleep(min(wait_s, LOOK_EVERY_S))
        finally:
            turn.release()

    def ask(self, *, write: bool) -> float:
        """0 when the request is to be sent now, or the seconds after which to ask again; never waits."""
        if self._is_unasked(write=write):
            return 0.0
        sender = self._senders[write]
        with self._mutex, self._shared() as (limits, now):
            wait_s, sender.reserved = limits[write].ask(now, sender.reserved)
            if wait_s == 0:
                sender.reserved = None
                sender.probing = limits[write].state == "probing"
                self._look_at = now + LOOK_EVERY_S
                for each, limit in zip(self._senders, limits, strict=True):
                    each.unasked = min(UNASKED, limit.unasked(now))
            return wait_s

    def succeeded(self, *, write: bool) -> None:
        """Drive let a request in, whatever its answer was."""
        if self._senders[write].probing:
            with self._mutex, self._shared() as (limits, now):
                limits[write].let_in(now)
                limits[not write].let_in_others(now)
                self._senders[write].probing = False

    def refused(self, *, write: bool, retry_after_s: float | None) -> None:
        """Drive refused a request for its rate: 429, or 403 with rateLimitExceeded or userRateLimitExceeded."""
        sender = self._senders[write]
        with self._mutex, self._shared() as (limits, now):
            limits[write].refused(now, retry_after_s, probe=sender.probing, dice=self._dice())
            sender.probing, sender.unasked = False, 0

    def _is_unasked(self, *, write: bool) -> bool:
        sender = self._senders[write]
        with self._mutex:
            if sender.unasked <= 0 or self._clock() >= self._look_at:
                return False
            sender.unasked -= 1
            sender.unnoted += 1
            return True

    @contextlib.contextmanager
    def _shared(self) -> Iterator[tuple[Limits, float]]:
        """The limits, to be changed, with what this process sent unasked noted in them; and the time."""
        with contextlib.ExitStack() as stack:
            file = _locked(self._path, stack)
            now = self._clock()
            if file is not None:
                self._limits = _read(file, now)
            for sender, limit in zip(self._senders, self._limits, strict=True):
                limit.spend(now, sender.unnoted)
                sender.unnoted = 0
            yield self._limits, now
            if file is not None:
                with contextlib.suppress(OSError):  # a full volume must not stop uploads
                    os.ftruncate(file, os.pwrite(file, msgspec.json.encode(self._limits), 0))


def _locked(path: Path | None, stack: contextlib.ExitStack) -> int | None:
    """The file, open and locked until the stack ends. None where it can't be: pacing alone is better than no upload."""
    with contextlib.suppress(OSError):
        if path is not None:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, file)
            for _ in range(LOCK_TRIES):
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until it is closed
                    return file
                time.sleep(0.001)
    return None


def _read(file: int, now: float) -> Limits:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        limits: Limits = msgspec.json.decode(os.pread(file, 1 << 16, 0), type=Limits)
        if all(limit.is_sound(now) for limit in limits):
            return limits
    return (RateLimit(), RateLimit())


class BandwidthLimit:
    """Bytes a second, handed out in the order in which they are asked for; None: without limit. Safe for threads."""

    def __init__(
        self,
        bytes_per_s: int | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bytes_per_s, self._clock, self._sleep = bytes_per_s, clock, sleep
        self._lock = threading.Lock()
        self._free_at = clock()
        """When all that was handed out has been sent, at the limit's rate."""

    def take(self, count: int, check: Callable[[], None]) -> None:
        """Wait until `count` bytes may be sent. `check` is called meanwhile and may raise: none are taken then."""
        if self._bytes_per_s is None:
            return
        duration_s = count / self._bytes_per_s
        with self._lock:
            begin = max(self._free_at, self._clock())
            self._free_at = begin + duration_s
        try:
            while (left := begin - self._clock()) > 0:
                check()
                self._sleep(min(left, LOOK_EVERY_S / 2))
        except BaseException:
            with self._lock:
                self._free_at -= duration_s
            raise


@lru_cache(maxsize=8)
def shared_bandwidth(bytes_per_s: int | None) -> BandwidthLimit:
    """The process's limit of that rate, whichever accounts and invocations send."""
    return BandwidthLimit(bytes_per_s)
