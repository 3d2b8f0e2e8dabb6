"""How much threads may hold in memory at one time."""

import threading

import pytest

from function.home.source import MemoryBudget


class GivenUp(Exception):
    """Raised where a test would wait."""


def give_up() -> None:
    """Don't wait."""
    raise GivenUp


def test_what_fits_is_had_at_once() -> None:
    """Up to the last byte."""
    budget = MemoryBudget(10)

    budget.take(6, give_up)
    budget.take(4, give_up)

    with pytest.raises(GivenUp):
        budget.take(1, give_up)


def test_who_gave_up_holds_nothing() -> None:
    """What is given back is there for others, all of it."""
    budget = MemoryBudget(10)
    budget.take(6, give_up)
    with pytest.raises(GivenUp):
        budget.take(5, give_up)

    budget.give_back(6)

    budget.take(10, give_up)


def test_who_waits_is_served_when_others_give_back() -> None:
    """Without being asked again by anybody."""
    budget = MemoryBudget(10)
    budget.take(6, give_up)
    waits = threading.Event()
    waiter = threading.Thread(target=budget.take, args=(6, waits.set))
    waiter.start()
    waits.wait()

    budget.give_back(6)
    waiter.join()

    with pytest.raises(GivenUp):
        budget.take(5, give_up)


def test_more_than_all_is_had_alone() -> None:
    """Nothing is refused for good."""
    budget = MemoryBudget(10)

    budget.take(11, give_up)

    with pytest.raises(GivenUp):
        budget.take(1, give_up)
