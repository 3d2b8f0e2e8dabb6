"""A pytest plugin: the fixture `drive_emulator` is an empty Drive of the test's own.

    def test_backup(drive_emulator):
        upload_something(drive_emulator.url, drive_emulator.authorized_user())
        assert [file["path"] for file in drive_emulator.files()] == ["backup/a.txt"]

Installed with the package; from a copy of the folder: `pytest_plugins = ["drive_emulator.pytest_plugin"]`. The fixture
`drive_emulator_options` can be overridden: a dict of `DriveEmulator`'s arguments.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # nothing of the emulator is loaded for suites that don't use it
    from .emulator import DriveEmulator


@pytest.fixture
def drive_emulator_options() -> dict[str, Any]:
    """Arguments of the emulator; override it in a module or conftest.py."""
    return {}


@pytest.fixture
def drive_emulator(drive_emulator_options: dict[str, Any]) -> Iterator[DriveEmulator]:
    """A running, empty Drive on a free port, gone after the test."""
    from .emulator import DriveEmulator

    with DriveEmulator(**drive_emulator_options) as running:
        yield running


@pytest.fixture
def drive_emulator_token(drive_emulator: DriveEmulator) -> str:
    """An access token of the default account."""
    return str(drive_emulator.authorized_user()["token"])
