"""A part of the hostile afternoon, the same each time; hours of it by `python -m tests.hostile`."""

from random import Random

import pytest

from tests.hostile import payloads
from tests.hostile.calls import requests_of
from tests.hostile.damage import damages_of
from tests.hostile.deliveries import deliveries_of
from tests.support.served import BY_FRAMEWORK, BY_US

SEED = 2026

REQUESTS = 300

DAMAGES, PARTS = 60, 3

FILES = 30


def test_the_seed_reproduces_a_request() -> None:
    """Seed and number say all bytes of it; other numbers give others."""
    made = [payloads.request(Random(f"{SEED}/{number}")) for number in range(50)]

    assert made == [payloads.request(Random(f"{SEED}/{number}")) for number in range(50)]
    assert len({each.wire for each in made}) == 50


@pytest.mark.parametrize("command", [BY_US, BY_FRAMEWORK], ids=["our server", "functions-framework's"])
def test_whatever_is_sent_is_answered(command: tuple[str, ...]) -> None:
    """In JSON, with no 5xx but a 503 that says when; the server goes on, in bounded memory, without a traceback."""
    assert requests_of(SEED, range(REQUESTS), command) == []


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_stands_in_a_file(part: int) -> None:
    """Settings, tokens, log and state with any damage end in a sentence, leak nothing, and are mended or go on."""
    assert damages_of(SEED, range(part * DAMAGES // PARTS, (part + 1) * DAMAGES // PARTS)) == []


def test_odd_answers_drop_nothing_and_double_nothing() -> None:
    """Pages, redirects, cut and dripping answers, kills, answers that are lost: all files exactly once, in 20 tries."""
    assert deliveries_of(SEED, 0, FILES) == []
