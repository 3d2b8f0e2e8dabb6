"""An emulated Drive per test, and a plain HTTP client for it."""

from collections.abc import Iterator

import pytest

from local_runner.drive_emulator import DriveEmulator
from tests.emulator.launching import Launch, launching
from tests.emulator.wire import Api


@pytest.fixture
def drive() -> Iterator[DriveEmulator]:
    """A running Drive with two accounts."""
    with DriveEmulator(emails=["user@example.com", "other@example.com"]) as running:
        yield running


@pytest.fixture
def api(drive: DriveEmulator) -> Api:
    """A client of the first account."""
    return Api(drive)


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Starts `python -m local_runner.drive_emulator` and gives its process and URL."""
    with launching() as start:
        yield start
