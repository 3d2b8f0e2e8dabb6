"""What is tried again, when, and what surfaces in the end."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.core.errors import (
    RETRY_AFTER_S,
    RETRYABLE_REASONS,
    CredentialsError,
    DeadlineExceeded,
    NotFound,
    SessionLost,
    SourceError,
    TransientDriveError,
    UploadError,
)
from function.core.retry import ATTEMPTS, LONGEST_S, Deadline, backoff_s, call, due_at


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


class SimulatedDeadline(Deadline, kw_only=True):
    """A deadline on such a clock."""

    clock: Clock

    def remaining_s(self) -> float:
        return max(0.0, self.at_s - self.clock.now)


class Faulty:
    """An operation that fails with the given errors, one a call, and then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def highest() -> float:
    """Dice that always ask for the longest wait."""
    return 1.0


def run(operation: Callable[[], str], clock: Clock, *, deadline_s: float = 300.0, attempts: int = ATTEMPTS) -> str:
    """`call` on that clock, with the longest waits."""
    return call(
        operation,
        deadline=SimulatedDeadline(deadline_s, clock=clock),
        sleep=clock.sleep,
        dice=highest,
        attempts=attempts,
    )


def unavailable(retry_after_s: float | None = None) -> TransientDriveError:
    """A 503."""
    return TransientDriveError("503", retry_after_s=retry_after_s)


def limited(retry_after_s: float | None = None) -> TransientDriveError:
    """A 403 userRateLimitExceeded."""
    return TransientDriveError("403", reason="rate_limited", retry_after_s=retry_after_s)


def test_success_at_once_waits_for_nothing() -> None:
    """The normal case is one call and no sleep."""
    clock, operation = Clock(), Faulty()

    answer = run(operation, clock)

    assert (answer, operation.calls, clock.sleeps) == ("done", 1, [])


def test_a_single_fault_costs_a_fifth_of_a_second_at_most() -> None:
    """A dropped connection is mended without anybody noticing."""
    clock, operation = Clock(), Faulty(TransientDriveError("reset", reason="network"))

    answer = run(operation, clock)

    assert answer == "done"
    assert clock.sleeps == [0.2]


def test_waits_double_up_to_the_longest() -> None:
    """Truncated exponential backoff, as Google advises it for rate limits."""
    waits = [backoff_s(attempt, limited(), dice=highest) for attempt in range(8)]

    assert waits == [1, 2, 4, 8, 16, 32, 32, 32]


@given(attempt=st.integers(0, 10_000), dice=st.floats(0, 1, exclude_max=True), told=st.none() | st.floats(0, 1e6))
def test_a_wait_is_never_shorter_than_told_nor_longer_than_the_longest(
    attempt: int, dice: float, told: float | None
) -> None:
    """Whatever the attempt, the wait lies between Retry-After and the cap, or is Retry-After itself."""
    wait_s = backoff_s(attempt, limited(told), dice=lambda: dice)

    assert (told or 0) <= wait_s <= max(LONGEST_S, told or 0)


def test_retry_after_is_obeyed() -> None:
    """Drive's own word on when to come back counts more than our dice."""
    clock, operation = Clock(), Faulty(limited(7.0))

    run(operation, clock)

    assert clock.sleeps == [7.0]


def test_the_last_error_surfaces_when_attempts_are_used_up() -> None:
    """The caller learns what happened last, and the number of tries is bounded."""
    clock, errors = Clock(), [unavailable() for _ in range(20)]
    operation = Faulty(*errors)

    with pytest.raises(TransientDriveError) as caught:
        run(operation, clock, attempts=4)

    assert caught.value is errors[3]
    assert operation.calls == 4


@pytest.mark.parametrize(
    "error",
    [
        NotFound("404"),
        SessionLost("410"),
        CredentialsError("revoked"),
        SourceError("gone"),
        OSError("disk"),
        KeyError(),
    ],
)
def test_nothing_but_transient_errors_is_tried_again(error: Exception) -> None:
    """Retrying is an allow-list."""
    clock, operation = Clock(), Faulty(error)

    with pytest.raises(type(error)):
        run(operation, clock)

    assert (operation.calls, clock.sleeps) == (1, [])


def test_the_transient_error_surfaces_when_waiting_would_pass_the_deadline() -> None:
    """What went wrong is worth more to the log than that time ran out; and no time is wasted on waiting."""
    clock, error = Clock(), limited(60.0)
    operation = Faulty(error)

    with pytest.raises(TransientDriveError) as caught:
        run(operation, clock, deadline_s=30)

    assert caught.value is error
    assert clock.sleeps == []


def test_the_transient_error_surfaces_when_the_pacer_finds_no_time_for_another_try() -> None:
    """The operation of a second try may itself find the deadline too near."""
    clock, error = Clock(), unavailable()
    operation = Faulty(error, DeadlineExceeded("no slot in time"))

    with pytest.raises(TransientDriveError) as caught:
        run(operation, clock)

    assert caught.value is error
    assert isinstance(caught.value.__cause__, DeadlineExceeded)


def test_a_spent_deadline_allows_no_first_try() -> None:
    """Nothing is begun after the deadline."""
    operation = Faulty()

    with pytest.raises(DeadlineExceeded):
        run(operation, Clock(), deadline_s=0)

    assert operation.calls == 0


@given(faults=st.lists(st.sampled_from(["fault", "limit", "told"]), max_size=30), deadline_s=st.floats(0.1, 400))
def test_no_wait_ends_after_the_deadline(faults: list[str], deadline_s: float) -> None:
    """However the faults come, `call` is back before the time is up."""
    errors = {"fault": unavailable, "limit": limited, "told": lambda: limited(20.0)}
    clock = Clock()

    try:
        run(Faulty(*(errors[fault]() for fault in faults)), clock, deadline_s=deadline_s)
    except UploadError:
        assert faults

    assert clock.now < deadline_s


@given(attempt=st.integers(-1, 10_000), invocation=st.text(max_size=40))
def test_due_times_grow_from_a_minute_to_six_hours(attempt: int, invocation: str) -> None:
    """Across invocations the wait is exponential, capped, and the same for everybody who reads the entry."""
    failed_at = datetime(2026, 11, 22, 16, 31, 32, tzinfo=UTC)

    due = due_at(failed_at, attempt, invocation)

    assert due == due_at(failed_at, attempt, invocation)
    assert timedelta(seconds=30) <= due - failed_at <= timedelta(hours=6)
    assert due <= due_at(failed_at, max(attempt, 1) + 1, invocation)


@pytest.mark.parametrize("reason", sorted(RETRYABLE_REASONS))
@pytest.mark.parametrize("attempt", [1, 3, 30])
def test_what_a_person_must_mend_is_due_after_its_hour(reason: str, attempt: int) -> None:
    """Never sooner than the answer's Retry-After of that reason; what failed together is spread there, too."""
    failed_at = datetime(2026, 11, 22, tzinfo=UTC)

    dues = {due_at(failed_at, attempt, f"invocation-{n}", reason) - failed_at for n in range(100)}

    assert min(dues) >= timedelta(seconds=RETRY_AFTER_S[reason])
    assert max(dues) <= timedelta(hours=6)
    assert len(dues) > 90


def test_due_times_of_what_failed_together_are_spread() -> None:
    """A hundred failures of one outage don't come back in the same second."""
    failed_at = datetime(2026, 11, 22, tzinfo=UTC)

    dues = {due_at(failed_at, 5, f"invocation-{n}") for n in range(100)}

    assert len(dues) > 90
    assert max(dues) - min(dues) > timedelta(minutes=5)
