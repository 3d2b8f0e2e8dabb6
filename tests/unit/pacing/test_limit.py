"""The states of one limit, and what brings it from one to the next."""

from collections.abc import Callable

import pytest

from function.pacing import (
    FIRST_PROBE_S,
    FORGET_S,
    FREE_PER_S,
    GENTLE_PER_S,
    GROW_S,
    LONGEST_BLOCK_S,
    MINUTE_S,
    PROBE_ANSWER_S,
    PROBE_EVERY_S,
    PROBE_LATER_EVERY_S,
    SLOWEST_PER_S,
    RateLimit,
)

NOW = 1_800_000_000.0


def send(limit: RateLimit, now: float, requests: int = 1) -> None:
    """So many requests go out at once, whether or not they are due."""
    for _ in range(requests):
        limit.ask(now, None)


def refuse(limit: RateLimit, now: float, retry_after_s: float | None = None, *, probe: bool = False) -> None:
    """Drive refuses one of them."""
    limit.refused(now, retry_after_s, probe=probe, dice=0.0)


def growing_at(rate: float) -> RateLimit:
    """A limit that grows from that rate."""
    return RateLimit("growing", since=NOW, rate=rate, due=NOW)


def test_a_refusal_goes_through_all_states() -> None:
    """Free, blocked, probing, growing, and free again once nothing was refused for long."""
    limit = RateLimit()
    states = []
    steps: list[tuple[float, Callable[[float], object]]] = [
        (0, lambda now: send(limit, now)),
        (0, lambda now: refuse(limit, now)),
        (FIRST_PROBE_S, lambda now: send(limit, now)),
        (FIRST_PROBE_S, limit.let_in),
        (FIRST_PROBE_S + FORGET_S - 1, lambda now: send(limit, now)),
        (FIRST_PROBE_S + FORGET_S, lambda now: send(limit, now)),
    ]

    for after_s, step in steps:
        step(NOW + after_s)
        states.append(limit.state)

    assert states == ["free", "blocked", "probing", "growing", "growing", "free"]


def test_a_refusal_halves_the_rate_which_then_grows_evenly() -> None:
    """Multiplicative decrease, additive increase."""
    limit = growing_at(20.0)
    send(limit, NOW, 60 * 20)
    refuse(limit, NOW)
    send(limit, NOW + FIRST_PROBE_S)
    resumed = NOW + FIRST_PROBE_S
    limit.let_in(resumed)

    rates = [limit.pace(resumed + steps * GROW_S) for steps in range(4)]

    assert rates == [10.0, 20.0, 30.0, 40.0]


def test_requests_that_are_refused_together_count_once() -> None:
    """Those that were under way when Drive began to refuse don't halve the rate again, nor put the probe off."""
    limit = growing_at(20.0)
    send(limit, NOW, 10)

    for n in range(10):
        refuse(limit, NOW + n / 100)

    assert (limit.rate, limit.due) == (10.0, NOW + FIRST_PROBE_S)


@pytest.mark.parametrize(
    ("shut_s", "requests", "rate"),
    [
        (FIRST_PROBE_S, 60, GENTLE_PER_S),
        (FIRST_PROBE_S, 1200, 20.0),
        (FIRST_PROBE_S, 60 * 90, FREE_PER_S / 2),
        (MINUTE_S - 5, 600, 10.0),
        (MINUTE_S - 5, 6, SLOWEST_PER_S),
    ],
)
def test_after_a_burst_the_minute_before_tells_the_rate(shut_s: float, requests: int, rate: float) -> None:
    """All that a limit on a minute allows went through in it; a limit that refills at once may allow more."""
    limit = RateLimit()
    send(limit, NOW, requests + 1)
    refuse(limit, NOW)
    send(limit, NOW + shut_s)

    limit.let_in(NOW + shut_s)

    assert limit.pace(NOW + shut_s) == pytest.approx(rate)


def test_probes_come_later_and_later() -> None:
    """Every few seconds in the first minute, by whose end a limit on a minute lets in; then as Google advises."""
    limit, now, waits = RateLimit(), NOW, []
    refuse(limit, now)
    for _ in range(12):
        waits.append(limit.ask(now, None)[0])
        now += waits[-1]
        send(limit, now)
        refuse(limit, now, probe=True)

    assert waits == [FIRST_PROBE_S, 4 * FIRST_PROBE_S, *[PROBE_EVERY_S] * 7, *[PROBE_LATER_EVERY_S] * 3]


@pytest.mark.parametrize("state", ["free", "blocked", "probing", "growing"])
@pytest.mark.parametrize(("told_s", "wait_s"), [(30.0, 30.0), (0.0, FIRST_PROBE_S), (1e9, LONGEST_BLOCK_S)])
def test_a_retry_after_is_obeyed_in_every_state(state: str, told_s: float, wait_s: float) -> None:
    """Nobody sends before the time that Drive named; an earlier time doesn't shorten our own wait."""
    limit = growing_at(20.0) if state == "growing" else RateLimit()
    if state == "blocked":
        refuse(limit, NOW)
    if state == "probing":
        refuse(limit, NOW - FIRST_PROBE_S / 4)
        limit.due = NOW
        send(limit, NOW)
    assert limit.state == state

    refuse(limit, NOW, told_s, probe=state == "probing")

    assert limit.ask(NOW, None)[0] == wait_s


def test_a_probe_without_an_answer_is_replaced_by_one_other() -> None:
    """While it is under way everybody waits; when its time is over one request takes its place."""
    limit = RateLimit()
    refuse(limit, NOW)
    send(limit, NOW + FIRST_PROBE_S)
    late = NOW + FIRST_PROBE_S + PROBE_ANSWER_S

    early_wait_s, _ = limit.ask(late - 0.01, None)
    wait_s, _ = limit.ask(late, None)
    other_wait_s, _ = limit.ask(late, None)

    assert early_wait_s > 0
    assert wait_s == 0
    assert other_wait_s > 0


@pytest.mark.parametrize(("told_s", "wait_s"), [(None, 0.0), (20.0, 12.0)])
def test_when_drive_lets_in_a_read_the_next_write_finds_out_at_once(told_s: float | None, wait_s: float) -> None:
    """One limit of Drive may have refused both kinds; but never before the time that Drive named."""
    limit = RateLimit()
    refuse(limit, NOW)
    send(limit, NOW + 5)
    refuse(limit, NOW + 5, told_s, probe=True)

    limit.let_in_others(NOW + 13 if told_s else NOW + 6)

    assert limit.ask(NOW + 13 if told_s else NOW + 6, None)[0] == wait_s
    assert limit.pace(NOW) == FREE_PER_S / 2


def test_a_reservation_is_kept_until_the_limit_is_blocked() -> None:
    """Who asks again keeps the time; what was reserved before a refusal is void after it."""
    limit = growing_at(2.0)
    send(limit, NOW, 20)

    wait_s, reserved = limit.ask(NOW, None)
    again_s, kept = limit.ask(NOW, reserved)
    refuse(limit, NOW)
    _, void = limit.ask(NOW, reserved)

    assert (again_s, kept) == (wait_s, reserved)
    assert reserved is not None
    assert void is None


def test_a_reservation_is_void_after_a_block_that_nobody_told_of() -> None:
    """A process that slept through it asks for a new time, behind those who asked since."""
    limit = growing_at(2.0)
    _, reserved = limit.ask(NOW, None)
    refuse(limit, NOW)
    send(limit, NOW + FIRST_PROBE_S)
    limit.let_in(NOW + FIRST_PROBE_S)
    send(limit, NOW + FIRST_PROBE_S, 20)

    wait_s, _ = limit.ask(NOW + FIRST_PROBE_S, reserved)

    assert wait_s > 0


def test_only_a_free_limit_lets_requests_go_unasked() -> None:
    """Once Drive has refused, every request is seen by all processes."""
    free, growing = RateLimit(), growing_at(20.0)

    assert free.unasked(NOW) > 0
    assert growing.unasked(NOW + 10) == 0


def test_what_was_sent_before_the_refusal_was_known_counts_for_the_minute() -> None:
    """A process tells late what it sent unasked; Drive let it in, so the limit allows it."""
    limit = RateLimit()
    send(limit, NOW, 300)
    refuse(limit, NOW)
    limit.spend(NOW + FIRST_PROBE_S, 301)
    send(limit, NOW + MINUTE_S)

    limit.let_in(NOW + MINUTE_S)

    assert limit.pace(NOW + MINUTE_S) == pytest.approx(10.0)
