"""The limit on bytes a second, on a clock that only waiting moves on."""

import pytest

from function.core.errors import DeadlineExceeded
from function.pacing import BandwidthLimit, shared_bandwidth


class Clock:
    """Time that passes by sleeping."""

    now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += seconds


def nothing() -> None:
    """No deadline."""


def test_bytes_go_at_the_pace_of_the_limit() -> None:
    """The first block goes at once, each other one when those before it are through."""
    clock = Clock()
    limit = BandwidthLimit(1000, clock, clock.sleep)

    for _ in range(11):
        limit.take(500, nothing)

    assert clock.now == pytest.approx(105)


def test_time_that_was_not_used_is_not_made_up_for() -> None:
    """After a rest the pace is the same."""
    clock = Clock()
    limit = BandwidthLimit(1000, clock, clock.sleep)
    limit.take(500, nothing)
    clock.sleep(60)

    limit.take(1000, nothing)
    limit.take(1000, nothing)

    assert clock.now == pytest.approx(161)


def test_who_gives_up_takes_nothing() -> None:
    """A deadline ends the waiting; the next one doesn't wait for bytes that were never sent."""
    clock = Clock()
    limit = BandwidthLimit(1000, clock, clock.sleep)
    limit.take(1000, nothing)

    def late() -> None:
        raise DeadlineExceeded("late")

    with pytest.raises(DeadlineExceeded):
        limit.take(10**9, late)
    limit.take(1000, nothing)

    assert clock.now == pytest.approx(101)


def test_without_a_limit_nobody_waits() -> None:
    """And one rate is one limit for the whole process."""
    clock = Clock()

    BandwidthLimit(None, clock, clock.sleep).take(10**12, nothing)

    assert clock.now == 100
    assert shared_bandwidth(4096) is shared_bandwidth(4096)
