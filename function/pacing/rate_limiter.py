"""When the next request to Drive may be sent: one `Pacer` per account.

The threads of a process share the object, the processes of a machine a small file; `limit.py` and `account_limits.py`
decide. An account at rest costs nothing: a process looks at the file once a second, or once in `FREE` requests.
 Once Drive has refused, every request takes its slot from the file. Only one thread of a process holds
a slot to come, so processes share alike however many threads they have, and a killed one takes one slot along.

The file is disposable: absent, damaged or on a volume that can't lock it, the process paces itself alone.
"""

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from filelock import lock_descriptor, unlock_descriptor

from function.core.errors import DeadlineExceeded
from function.core.retry import Deadline
from function.pacing.account_limits import Quota
from function.pacing.limit import Promise

FREE: Final = 16
"""Requests that a process sends at most between two looks at the file."""

LOOK_EVERY_S: Final = 1.0
"""A process at rest learns after at most so long that others were refused; also the longest single sleep."""

LOCK_TRIES: Final = 50
"""One a millisecond: the lock is held for microseconds, and a stopped holder must not stop everybody."""


class Pacer:
    """Sends the requests of one account as fast as Drive takes them, and no faster.

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
        self._path = state_path
        self._clock = clock
        self._sleep = sleep
        self._dice = dice
        self._quota = Quota()
        self._mutex = threading.Lock()
        self._heads = {False: threading.Lock(), True: threading.Lock()}
        self._free = 0
        self._look_at = 0.0
        self._unnoted = {False: 0, True: 0}
        self._promises: dict[bool, dict[str, Promise | None]] = {False: {}, True: {}}
        self._probing: dict[bool, frozenset[str]] = {False: frozenset(), True: frozenset()}

    def acquire(self, *, write: bool, deadline: Deadline) -> None:
        """Return when the request may be sent; DeadlineExceeded, with `retry_after_s`, when that would be too late."""
        deadline.check()
        if self._go_free(write=write):
            return
        head = self._heads[write]
        while not head.acquire(timeout=min(LOOK_EVERY_S, deadline.remaining_s())):
            deadline.check()
        try:
            while (wait_s := self.ask(write=write)) > 0:
                _check_in_time(wait_s, deadline)
                self._sleep(min(wait_s, LOOK_EVERY_S))
        finally:
            head.release()

    def ask(self, *, write: bool) -> float:
        """0 when the request is to be sent now, or the seconds after which to ask again; never waits."""
        if self._go_free(write=write):
            return 0.0
        with self._mutex, self._shared() as (quota, now):
            promises = self._promises[write]
            for name, lane in quota.passed(write=write).items():
                wait_s, promises[name] = lane.wait(now, promises.get(name))
                if wait_s > 0:
                    return wait_s
            promises.clear()
            self._probing[write] = quota.sent(now, write=write)
            self._free = min(FREE, quota.unasked(now))
            self._look_at = now + LOOK_EVERY_S
            return 0.0

    def succeeded(self, *, write: bool) -> None:
        """Drive let a request in, whatever its answer was."""
        if self._probing[write]:
            with self._mutex, self._shared() as (quota, now):
                quota.resume(now, self._probing[write])
                self._probing[write] = frozenset()

    def refused(self, *, write: bool, retry_after_s: float | None) -> None:
        """Drive refused a request for its rate: 429, or 403 with rateLimitExceeded or userRateLimitExceeded."""
        with self._mutex, self._shared() as (quota, now):
            probed, self._probing[write] = self._probing[write], frozenset()
            quota.refused(now, retry_after_s, write=write, probed=probed, dice=self._dice())
            self._free = 0

    def _go_free(self, *, write: bool) -> bool:
        with self._mutex:
            if self._free <= 0 or self._clock() >= self._look_at:
                return False
            self._free -= 1
            self._unnoted[write] += 1
            return True

    @contextlib.contextmanager
    def _shared(self) -> Iterator[tuple[Quota, float]]:
        """The account's quota, to be changed, with what this process sent unasked noted in it; and the time."""
        with _locked(self._path) as file:
            now = self._clock()
            quota = self._quota if file is None else _read(file, now)
            for write, requests in self._unnoted.items():
                for lane in quota.passed(write=write).values():
                    lane.sent_unasked(now, requests)
                self._unnoted[write] = 0
            yield quota, now
            self._quota = quota
            if file is not None:
                with contextlib.suppress(OSError):  # a full volume must not stop uploads
                    data = msgspec.json.encode(quota)
                    os.ftruncate(file, os.pwrite(file, data, 0))


def _check_in_time(wait_s: float, deadline: Deadline) -> None:
    deadline.check()
    if wait_s > deadline.remaining_s():
        raise DeadlineExceeded(
            "Drive's rate limit leaves no room for another request before the deadline; call again later.",
            reason="rate_limited",
            retry_after_s=wait_s,
        )


@contextlib.contextmanager
def _locked(path: Path | None) -> Iterator[int | None]:
    """The file, open and locked, or None where it can't be had: pacing alone is better than not uploading."""
    try:
        file = None if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        file = None
    if file is None:
        yield None
        return
    try:
        locked = _lock(file)
        try:
            yield file if locked else None
        finally:
            if locked:
                unlock_descriptor(file)
    finally:
        os.close(file)


def _lock(file: int) -> bool:
    for _ in range(LOCK_TRIES):
        try:
            if lock_descriptor(file, blocking=False):
                return True
        except OSError:
            return False
        time.sleep(0.001)
    return False


def _read(file: int, now: float) -> Quota:
    try:
        quota = msgspec.json.decode(os.pread(file, 1 << 16, 0), type=Quota)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return Quota()
    return quota if quota.is_sound(now) else Quota()
