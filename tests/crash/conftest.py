"""A station for each module, and a fresh world for each test."""

from collections.abc import Iterator

import pytest

from tests.crash.world import Station, World


@pytest.fixture(scope="module")
def station() -> Iterator[Station]:
    """Where the worlds of this module are made."""
    with Station() as made:
        yield made


@pytest.fixture
def world(station: Station) -> Iterator[World]:
    """One account, one home, nothing on Drive."""
    with station.world() as made:
        yield made
