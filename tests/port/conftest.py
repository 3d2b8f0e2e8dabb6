"""The implementations of the port, each with somebody else who works on the same Drive."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import pytest
import requests

from function.core.retry import Deadline
from function.core.types import FileId
from function.drive.google import GoogleDrive
from function.drive.http import Transport, pool
from function.drive.port import Drive
from function.pacing import Pacer
from local_runner.drive_emulator import DriveEmulator
from tests.support.memory_drive import MemoryDrive


class Others(Protocol):
    """Somebody else, who knows nothing of us."""

    def put(self, name: str, parent: str) -> str:
        """A file of theirs; its id."""
        ...

    def edit(self, file_id: str, content: bytes) -> None:
        """Give a file other content."""
        ...

    def trash(self, file_id: str) -> None:
        """Put a file or folder into the bin."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """A Drive as the port shows it, and others on it."""

    drive: Drive
    others: Others


@dataclass(frozen=True, slots=True)
class InMemory:
    """Others on the in-memory Drive."""

    drive: MemoryDrive

    def put(self, name: str, parent: str) -> str:
        return self.drive.put(name, b"theirs", parent).id

    def edit(self, file_id: str, content: bytes) -> None:
        self.drive.edit(file_id, content)

    def trash(self, file_id: str) -> None:
        self.drive.change(file_id, explicitly_trashed=True)


@dataclass(frozen=True, slots=True)
class OverHttp:
    """Others on the embedded Drive."""

    emulator: DriveEmulator

    def put(self, name: str, parent: str) -> str:
        made = self._ask("POST", "/drive/v3/files", json={"name": name, "parents": [parent], "mimeType": "text/plain"})
        return str(made["id"])

    def edit(self, file_id: str, content: bytes) -> None:
        self._ask("PATCH", f"/upload/drive/v3/files/{file_id}?uploadType=media", data=content)

    def trash(self, file_id: str) -> None:
        self._ask("PATCH", f"/drive/v3/files/{file_id}", json={"trashed": True})

    def _ask(self, method: str, path: str, **options: object) -> dict[str, object]:
        headers = {"authorization": f"Bearer {self.emulator.authorized_user()['token']}"}
        answer = requests.request(method, self.emulator.url + path, headers=headers, timeout=30, **options)  # type: ignore[arg-type]
        answer.raise_for_status()
        found: dict[str, object] = answer.json()
        return found


@dataclass(frozen=True, slots=True)
class Tokens:
    """The embedded Drive's own access token."""

    value: str

    def access_token(self, deadline: Deadline) -> str:
        return self.value

    def refused(self, access_token: str, deadline: Deadline) -> None:
        return


def google_drive(url: str, token: str) -> GoogleDrive:
    """The real adapter on what answers at that URL."""
    return GoogleDrive(Transport(pool(url)), Tokens(token), Pacer(None), url, None)


@pytest.fixture(params=["memory", "google"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Every implementation in turn, on an empty Drive."""
    if request.param == "memory":
        memory = MemoryDrive()
        yield Place(memory, InMemory(memory))
        return
    with DriveEmulator() as emulator:
        yield Place(google_drive(emulator.url, str(emulator.authorized_user()["token"])), OverHttp(emulator))


@pytest.fixture
def drive(place: Place) -> Drive:
    """The port."""
    return place.drive


@pytest.fixture
def others(place: Place) -> Others:
    """Somebody else."""
    return place.others


@pytest.fixture
def folder(drive: Drive) -> FileId:
    """A folder of ours in the root; its id."""
    (file_id,) = drive.reserve_ids(1)
    return drive.create_folder(FileId(file_id), "MemoryVDB", "root", "folder-key").id
