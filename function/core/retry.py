"""Which failures may be tried again, and when: inside an invocation (`call`, `create`) and across them (`due_at`).

Only `TransientDriveError` is tried again. Repeating is for requests that may be sent twice: reads, and changes that
say what shall be, not what shall be added. A create is repeated under a reserved id, after a look at what became of it.
How fast an account sends altogether is the pacer's matter.
"""

import random
import time
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, TypeVar

import msgspec

from function.core.errors import RETRY_AFTER_S, AlreadyExists, DeadlineExceeded, TransientDriveError


class Deadline(msgspec.Struct):
    """A moment on the monotonic clock after which nothing new is begun.

    `cancel` brings it forward, as SIGTERM does.
    """

    at_s: float
    """`time.monotonic()` seconds."""
    cancelled: str | None = None

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The deadline that many seconds from now."""
        return cls(time.monotonic() + seconds)

    def remaining_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at_s - time.monotonic())

    def check(self) -> None:
        """Raise DeadlineExceeded when nothing is left."""
        if self.remaining_s() <= 0:
            raise self.exceeded()

    def exceeded(self) -> DeadlineExceeded:
        """The error that says why there is no time."""
        return DeadlineExceeded(self.cancelled or "The time budget (deadline_s) is spent; call again to go on.")

    def cancel(self, why: str, grace_s: float = 0.0) -> None:
        """Bring the deadline forward to `grace_s` seconds from now, for the reason given."""
        self.cancelled = why
        self.at_s = min(self.at_s, time.monotonic() + grace_s)


T = TypeVar("T")

ATTEMPTS: Final = 10
"""Tries of one request, about 40 s of waiting in the mean: an outage that is longer is the queue's to wait out."""

FAULT_BASE_S: Final = 0.2
"""A dropped connection or a 5xx is mostly over at once, so its first wait is short."""

RATE_BASE_S: Final = 1.0
"""Source: Drive guide, 'Usage limits': wait 2^n seconds, with jitter, up to 32 or 64."""

LONGEST_S: Final = 32.0

DUE_BASE_S: Final = 60.0
DUE_LONGEST_S: Final = 6 * 3600.0


def backoff_s(attempt: int, error: TransientDriveError, *, dice: Callable[[], float]) -> float:
    """Seconds to wait after the attempt (0, 1, …) that failed so; dice gives [0, 1).

    Full jitter keeps those apart who failed together. What Drive asked to wait is a lower bound, however long it is.
    """
    base_s = RATE_BASE_S if error.reason == "rate_limited" else FAULT_BASE_S
    longest_s = min(LONGEST_S, base_s * 2.0 ** min(attempt, 30))
    return max(dice() * longest_s, error.wait_s or 0.0)


def call(
    operation: Callable[[], T],
    *,
    deadline: Deadline,
    sleep: Callable[[float], None] = time.sleep,
    dice: Callable[[], float] = random.random,
    attempts: int = ATTEMPTS,
) -> T:
    """What the operation gives, which may be called several times.

    Raises its last TransientDriveError when the attempts are used up or the next one would come too late, anything
    else that it raises at once, and DeadlineExceeded only when there was no time for a first try.
    """
    failure: TransientDriveError | None = None
    for attempt in range(attempts):
        try:
            deadline.check()
            return operation()
        except DeadlineExceeded as late:
            if failure is None:
                raise
            raise failure from late
        except TransientDriveError as error:
            failure = error
            pause(attempt, error, deadline, sleep=sleep, dice=dice, attempts=attempts)
    raise ValueError("attempts is at least 1")


def create(
    send: Callable[[], T], look: Callable[[], T | None], deadline: Deadline, *, look_first: bool = False
) -> T | None:
    """What stands under a reserved id in the end: made now, or before by a request whose answer was lost.

    The caller compares it with what it wanted: a 409 says that the id exists, not whose content it holds. None when
    the id is used up and nothing stands under it. Raises what `send` and `look` raise; transient errors only when the
    deadline leaves no time to try again.
    """
    found = look() if look_first else None
    attempt = 0
    failure: TransientDriveError | None = None
    while found is None:
        try:
            return send()
        except AlreadyExists:
            return look()
        except DeadlineExceeded as late:
            raise failure or late from None
        except TransientDriveError as error:
            failure = error
            pause(attempt, error, deadline)
        attempt += 1
        found = look()
    return found


def pause(
    attempt: int,
    error: TransientDriveError,
    deadline: Deadline,
    *,
    sleep: Callable[[float], None] | None = None,
    dice: Callable[[], float] = random.random,
    attempts: int = ATTEMPTS,
) -> None:
    """Wait after attempt 0, 1, …, or raise the error when it was the last one, or the deadline comes first."""
    seconds = backoff_s(attempt, error, dice=dice)
    if attempt + 1 >= attempts or seconds >= deadline.remaining_s():
        raise error
    (sleep or time.sleep)(seconds)


def due_at(entry_time: datetime, attempt: int, invocation_id: str, reason: str | None = None) -> datetime:
    """When a retryable failure of the log is due again: half a minute to a minute after the first attempt, twice as
    late with each further one, at most six hours; but not before a caller would be told to come back for that reason,
    which is an hour where a person must mend something.

    The invocation's id is the dice, so everybody who reads the entry sees the same time, and what failed together
    doesn't come back together.
    """
    longest_s = min(DUE_LONGEST_S, DUE_BASE_S * 2.0 ** min(max(attempt, 1) - 1, 30))
    dice = zlib.crc32(invocation_id.encode("utf-8", "replace")) / 2**32
    earliest_s = RETRY_AFTER_S.get(reason or "", 0.0)
    return entry_time + timedelta(seconds=max(longest_s * (0.5 + dice / 2), earliest_s * (1 + dice / 2)))
