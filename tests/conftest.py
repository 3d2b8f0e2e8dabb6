"""What tests of the whole job share: an embedded Drive, homes, and the ways to call the job."""

import json
import os
import signal
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from werkzeug.test import Client

from local_runner.drive_emulator import DriveEmulator
from tests.support.home import Answer, Ask, Home, NewHome, Post, new_home
from tests.support.in_process import function_client

settings.register_profile(
    "suite", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")  # how long a test takes on a busy machine says nothing about the code

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a job in a shell's background: what tests start inherits it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def drive() -> Iterator[DriveEmulator]:
    """A running embedded Drive."""
    with DriveEmulator() as emulator:
        yield emulator


@pytest.fixture
def new_homes(tmp_path: Path, drive: DriveEmulator) -> NewHome:
    """Makes any number of homes beside that Drive."""
    numbers = count(1)
    return lambda: new_home(tmp_path / f"home-{next(numbers)}", drive)


@pytest.fixture
def home(new_homes: NewHome) -> Home:
    """A home beside that Drive."""
    return new_homes()


@pytest.fixture(scope="session")
def client() -> Client:
    """The function under functions-framework, in this process."""
    return function_client()


@pytest.fixture
def ask(client: Client, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """`ask(home, method, path, ...)`: any request to the function, working on that home."""

    def send(home: Home, method: str = "GET", path: str = "/", **options: Any) -> Answer:
        for name in [each for each in os.environ if each.startswith("DRIVE_UPLOAD_")]:
            if name not in home.environ:
                monkeypatch.delenv(name)
        for name, value in home.environ.items():
            monkeypatch.setenv(name, value)
        response = client.open(path, method=method, **options)
        assert response.mimetype == "application/json", response.text
        return Answer(response.status_code, dict(response.headers), json.loads(response.text) if response.text else {})

    return send


@pytest.fixture
def post(ask: Ask) -> Post:
    """Posts a payload to the function."""

    def send(home: Home, payload: Any, headers: Mapping[str, str] | None = None) -> Answer:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return ask(home, "POST", data=body, headers=dict(headers or {}), content_type="application/json")

    return send


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two tries of a request lie milliseconds: all tries fit in a deadline that no busy machine overruns."""
    monkeypatch.setattr("function.core.retry.LONGEST_S", 0.02)


@pytest.fixture
def bytes_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gathers how many bytes of sources each read from now on gives."""
    counts: list[int] = []
    read = os.preadv

    def counting(*arguments: Any) -> int:
        counts.append(read(*arguments))
        return counts[-1]

    monkeypatch.setattr(os, "preadv", counting)
    return counts
