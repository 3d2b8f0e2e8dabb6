"""A home, an embedded Drive for it, and the command line run against both."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from local_runner.cli import cli
from local_runner.drive_emulator import DriveEmulator

Run = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with settings and three files; commands start in it."""
    for name, content in (("Meta/a.txt", b"alpha"), ("Meta/b.txt", b""), ("Notes/c.txt", b"gamma")):
        file = tmp_path / "Data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (tmp_path / "paths.json").write_text('{"drive_root": "MemoryVDB"}', encoding="utf-8")
    monkeypatch.setenv("DRIVE_UPLOAD_PATHS", str(tmp_path / "paths.json"))
    monkeypatch.setenv("DRIVE_UPLOAD_HOME", "")  # so that what --home sets is undone, too
    monkeypatch.delenv("DRIVE_EMULATOR_HOST", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def drive(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DriveEmulator]:
    """An embedded Drive that the home's settings lead to."""
    with DriveEmulator() as emulator:
        emulator.write_token(home / "drive_token.json")
        monkeypatch.setenv("DRIVE_EMULATOR_HOST", emulator.url)
        yield emulator


@pytest.fixture
def own_files_only(home: Path, drive: DriveEmulator) -> None:
    """The home's token has the scope drive.file: it sees only what this app made."""
    scope, path = "https://www.googleapis.com/auth/drive.file", home / "drive_token.json"
    token = json.loads(path.read_text())
    grant = drive.drive.oauth.grant_refresh_token("user@example.com", token["client_id"], frozenset({scope}))
    path.write_text(json.dumps(token | {"refresh_token": grant.token, "token": None, "scopes": [scope]}))


@pytest.fixture
def run(home: Path) -> Run:
    """Runs a command; exceptions that no command expects are raised."""

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli, list(arguments), catch_exceptions=False)

    return invoke


@pytest.fixture
def log(home: Path) -> Callable[[], list[dict[str, Any]]]:
    """Reads the home's log."""

    def read() -> list[dict[str, Any]]:
        entries = json.loads((home / "upload_log.json").read_bytes())
        assert isinstance(entries, list)
        return entries

    return read
