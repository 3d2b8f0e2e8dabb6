"""The time budget of one invocation."""

import time

import msgspec

from function.core.errors import DeadlineExceeded


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
