"""Where the job is tried: homes, and Drive accounts beside them that are theirs alone."""

import hashlib
import itertools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import urllib3

from local_runner.drive_emulator import DriveEmulator
from tests.crash.runs import Ended, Run, Runs
from tests.crash.strike import Strike
from tests.support.receipt_files import documents

FOLDER_TYPE = "application/vnd.google-apps.folder"

WORLDS_PER_DRIVE = 100
"""Worlds after which the embedded Drive is replaced: looking at all files takes longer the more there are."""

HOUR_NS = 3600 * 10**9

Remote = dict[str, Any]
"""A file or folder as the embedded Drive's snapshot shows it."""


def scratch() -> str | None:
    """A folder in memory for the homes, where there is one: an fsync there costs nothing."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@dataclass(slots=True)
class Home:
    """One home, and the environment of the runs in it."""

    folder: Path
    environ: dict[str, str]

    def put(self, path: str, content: bytes) -> None:
        """A source, an hour old, below `Data/`."""
        file = self.folder / "Data" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        self.stamp(path, time.time_ns() - HOUR_NS)

    def stamp(self, path: str, mtime_ns: int) -> None:
        """Give a source that mtime."""
        os.utime(self.folder / "Data" / path, ns=(mtime_ns, mtime_ns))

    def log(self) -> list[dict[str, Any]]:
        """The entries of upload_log.json; fails when it isn't a valid array of objects."""
        file = self.folder / "upload_log.json"
        entries = json.loads(file.read_bytes()) if file.exists() else []
        assert isinstance(entries, list), file
        assert all(isinstance(each, dict) for each in entries), file
        return entries

    @property
    def state(self) -> Path:
        """The job's own state, whatever Drive it belongs to."""
        return self.folder / ".drive_upload"

    def receipts(self, kind: str = "receipts") -> Iterator[tuple[Path, dict[str, Any]]]:
        """All receipts: of destinations, or of `folders`."""
        for file in sorted(self.state.glob(f"*/drives/*/{kind}/*/*.json")):
            yield file, documents(file.read_bytes())[-1]


@dataclass(slots=True)
class World:
    """Accounts of one embedded Drive, homes that share them, and runs in those homes."""

    drive: DriveEmulator
    runs: Runs
    folder: Path
    emails: dict[str, str]
    """Account's name in the settings -> its address."""
    lease_s: float | None = None
    homes: list[Home] = field(default_factory=list)

    @property
    def home(self) -> Home:
        """The first home."""
        return self.homes[0]

    def new_home(self, **settings: Any) -> Home:
        """One more home, with a state of its own."""
        folder = self.folder / f"home-{len(self.homes)}"
        (folder / "Data").mkdir(parents=True)
        accounts = {name: {"token": f"{name}.json"} for name in self.emails}
        if self.lease_s is not None:
            settings["lock"] = "lease"
        (folder / "paths.json").write_text(json.dumps({"drive_root": "MemoryVDB", "accounts": accounts} | settings))
        for name, email in self.emails.items():
            self.drive.write_token(folder / f"{name}.json", email)
        environ = {"DRIVE_UPLOAD_PATHS": str(folder / "paths.json"), "DRIVE_EMULATOR_HOST": self.drive.url}
        self.homes.append(Home(folder, environ))
        return self.homes[-1]

    def run(
        self, payload: Mapping[str, Any], *, home: Home | None = None, strike: Strike | None = None, **how: Any
    ) -> Ended:
        """One invocation, waited for."""
        return self.at_once([self.invocation(payload, home=home, strike=strike, **how)])[0]

    def invocation(
        self,
        payload: Mapping[str, Any],
        *,
        home: Home | None = None,
        strike: Strike | None = None,
        environ: Mapping[str, str] | None = None,
        **how: Any,
    ) -> Run:
        """An invocation, to be made."""
        place = home or self.home
        return Run(str(place.folder), place.environ | dict(environ or {}), payload, strike, lease_s=self.lease_s, **how)

    def at_once(self, runs: Sequence[Run]) -> list[Ended]:
        """Several invocations at one time."""
        return self.runs.at_once(runs)

    # --- Drive, as its owner sees it

    def files(self, account: str = "default") -> list[Remote]:
        """Files and folders of an account, oldest first, those in the bin too."""
        email = self.emails[account]
        return [each for each in self.drive.files() if each["owner"] == email]

    def content(self, file_id: str) -> bytes:
        """What a file holds."""
        return self.drive.content(file_id)

    def call(self, method: str, path: str, body: Any = None, account: str = "default") -> Any:
        """The owner's own request to Drive's API, such as `PATCH files/ID`."""
        token = self.drive.authorized_user(self.emails[account])["token"]
        answer = urllib3.request(
            method,
            f"{self.drive.url}/drive/v3/{path}",
            headers={"authorization": f"Bearer {token}"},
            json=body,
            retries=False,
        )
        assert answer.status < 300, answer.data
        return json.loads(answer.data) if answer.data else None

    def foreign_file(self, path: str, content: bytes, account: str = "default") -> str:
        """A file that the owner puts at a path, in folders of theirs; its id."""
        *names, name = path.split("/")
        parent = "root"
        for each in names:
            parent = self.foreign_folder(each, parent, account)
        made = self.call("POST", "files", {"name": name, "parents": [parent]}, account)
        self.overwrite(made["id"], content, account)
        return str(made["id"])

    def overwrite(self, file_id: str, content: bytes, account: str = "default") -> None:
        """The owner gives a file other content."""
        token = self.drive.authorized_user(self.emails[account])["token"]
        answer = urllib3.request(
            "PATCH",
            f"{self.drive.url}/upload/drive/v3/files/{file_id}?uploadType=media",
            headers={"authorization": f"Bearer {token}", "content-type": "text/plain"},
            body=content,
        )
        assert answer.status == 200, answer.data

    def foreign_folder(self, name: str, parent: str, account: str = "default") -> str:
        """The id of a folder of that name, made by the owner where there is none."""
        root = self.call("GET", "files/root?fields=id", None, account)["id"]
        place = root if parent == "root" else parent
        for each in self.files(account):
            if each["name"] == name and place in each["parents"] and not each["trashed"]:
                return str(each["id"])
        body = {"name": name, "parents": [parent], "mimeType": FOLDER_TYPE}
        return str(self.call("POST", "files", body, account)["id"])

    def advance(self, seconds: float) -> None:
        """Let so much time pass for Drive."""
        self.drive.set_weather(advance_s=self.drive.drive.conditions.advance_s + seconds)

    def settle(self) -> None:
        """Wait until Drive has done what is still on its way from processes that died."""
        deadline = time.monotonic() + 10
        while any(not each.duration_ms for each in self.drive.requests):
            assert time.monotonic() < deadline, "a request never ended"
            time.sleep(0.002)


class Station:
    """Makes worlds, one after the other, on one embedded Drive with one forking process. A context manager."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._drive: DriveEmulator | None = None

    def __enter__(self) -> "Station":
        self._folder = Path(tempfile.mkdtemp(prefix="drive-upload-", dir=scratch()))
        self._runs = Runs().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runs.__exit__(kind, error, trace)
        self._retire()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def world(
        self, accounts: Sequence[str] = ("default",), *, lease_s: float | None = None, homes: int = 1, **settings: Any
    ) -> Iterator[World]:
        """A world with fresh accounts and empty homes; the homes go when it ends."""
        number = next(self._numbers)
        drive = self._fresh_drive(number)
        drive.faults.clear()
        drive.requests.clear()
        drive.set_weather(list_lag_s=0)
        emails = {name: f"w{number}.{name}@example.com" for name in accounts}
        for email in emails.values():
            drive.add_account(email)
        world = World(drive, self._runs, self._folder / f"world-{number}", emails, lease_s)
        for _ in range(homes):
            world.new_home(**settings)
        try:
            yield world
        finally:
            shutil.rmtree(world.folder, ignore_errors=True)

    def _fresh_drive(self, number: int) -> DriveEmulator:
        if self._drive is None or number % WORLDS_PER_DRIVE == 0:
            self._retire()
            self._drive = DriveEmulator()
            self._drive.start()
            world = World(self._drive, self._runs, self._folder / f"warm-{number}", {"default": "user@example.com"})
            home = world.new_home()
            home.put("warm.txt", b"warm")
            self._runs.warm(world.invocation({"path": "Data/warm.txt"}))
            shutil.rmtree(world.folder)
        return self._drive

    def _retire(self) -> None:
        if self._drive is not None:
            self._drive.stop()
            self._drive = None


def digest(content: bytes) -> str:
    """SHA-256 in hex, as the log has it."""
    return hashlib.sha256(content).hexdigest()
