"""An embedded Drive, and credentials of a token file that ask it."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from function.core.retry import Deadline
from function.credentials.account_credentials import Credentials
from local_runner.drive_emulator import DriveEmulator


@pytest.fixture
def drive() -> Iterator[DriveEmulator]:
    """A running embedded Drive."""
    with DriveEmulator() as emulator:
        yield emulator


@pytest.fixture
def token_path(tmp_path: Path) -> Path:
    """Where the token file of a test is."""
    return tmp_path / "drive_token.json"


@pytest.fixture
def source(drive: DriveEmulator, token_path: Path, tmp_path: Path) -> Callable[..., Credentials]:
    """Makes credentials of a token file with that content, if any is given; all OAuth traffic goes to the drive."""

    def lock(deadline: Deadline) -> AbstractContextManager[None]:
        return FileLock(tmp_path / "lock", timeout=deadline.remaining_s())  # type: ignore[return-value]

    def make(fields: dict[str, Any] | None = None, *, cached: bool = False) -> Credentials:
        if fields is not None:
            token_path.write_text(json.dumps(fields))
            token_path.chmod(0o600)
        cache = tmp_path / "state" / "access_token.json" if cached else None
        return Credentials(token_path, refresh_lock=lock, token_uri_override=f"{drive.url}/token", cache_path=cache)

    return make
