"""When a request may be sent, and its bytes: a `Pacer` for each account, a `BandwidthLimit` for the process.

The threads of a process share the `Pacer`, the processes of a machine a small file; `limit.py` decides. While an
account is free, a process reads the file once a second, or once in `UNASKED` requests. Once Drive has refused, each
request has its time reserved in the file. A process reserves for one thread at a time: processes share alike however
many threads they have, and a killed process leaves one reservation unused.

The file is disposable. Where it is absent, damaged or of another version, it begins anew; where it can't be locked, the
process paces itself alone.
"""

import contextlib
import fcntl
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from function.core.errors import DeadlineExceeded
from function.core.retry import Deadline
from function.pacing.limit import RateLimit

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
    with contextlib.suppress(OSError, msgspec.MsgspecError, RecursionError):
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
