"""A part of the chaos campaign: the same 200 schedules each time; 10,000 others by `python -m tests.chaos`."""

import pytest

from tests.chaos.campaign import campaign
from tests.chaos.schedule import schedule

SEED = 2026

SCHEDULES = 200

PARTS = 8


def test_the_seed_reproduces_a_schedule() -> None:
    """Seed and number say all that happens in a schedule; other numbers and seeds give others."""
    assert schedule(1, 7) == schedule(1, 7)
    assert len({str(schedule(seed, number)) for seed in range(3) for number in range(10)}) == 30


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_happens_at_once_the_promise_is_kept(part: int) -> None:
    """Faults, kills, races, lags, policies and owners mixed: each content once, each upload logged once, no twin."""
    assert campaign(SEED, range(part, SCHEDULES, PARTS)) == []
