"""A home as a user has it, beside an embedded Drive: what most tests start from."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_runner.drive_emulator import DriveEmulator

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Home:
    """A folder with paths.json, drive_token.json and Data/, whose Drive is an embedded one."""

    folder: Path
    drive: DriveEmulator
    environ: dict[str, str] = field(default_factory=dict)
    """What a process needs besides its own environment to work on this home."""

    def settings(self, **keys: Any) -> None:
        """Write paths.json anew, with `drive_root` unless another one is given."""
        self.write("paths.json", json.dumps({"drive_root": "MemoryVDB"} | keys))

    def write(self, path: str, content: str | bytes) -> Path:
        """A file of the home, in folders that are made for it."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def put(self, path: str = "Data/Meta/note.txt", content: str | bytes = b"remember me\n") -> str:
        """A file of the data root; its path, to be named in a payload."""
        self.write(path, content)
        return path

    def age(self, path: str) -> None:
        """Let the file be an hour old, as most files are: its stamp alone then tells that it did not change."""
        status = (self.folder / path).stat()
        os.utime(self.folder / path, ns=(status.st_atime_ns, status.st_mtime_ns - 3600 * 10**9))

    def log(self) -> list[dict[str, Any]]:
        """The entries of upload_log.json, oldest first."""
        path = self.folder / "upload_log.json"
        entries = json.loads(path.read_bytes()) if path.exists() else []
        assert isinstance(entries, list)
        return entries

    def stored(self, *, trashed: bool = False) -> dict[str, bytes]:
        """Path on Drive -> content, of every file; fails where two files have one path."""
        files = [
            (each["path"], self.drive.content(each["id"]))
            for each in self.drive.files()
            if each["size"] is not None and each["trashed"] == trashed
        ]
        assert len(dict(files)) == len(files), sorted(path for path, _ in files)
        return dict(files)

    def folders(self) -> list[str]:
        """The paths of all folders that are not in the bin, sorted; twins show twice."""
        folder = "application/vnd.google-apps.folder"
        return sorted(each["path"] for each in self.drive.files() if each["mimeType"] == folder and not each["trashed"])

    def one_off(self, *arguments: str, environ: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """The finished `python -m function upload ARGUMENTS`."""
        return subprocess.run(
            [sys.executable, "-m", "function", "upload", *arguments],
            cwd=PROJECT,
            env=os.environ | self.environ | dict(environ or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )


def new_home(folder: Path, drive: DriveEmulator) -> Home:
    """A complete home in that folder."""
    (folder / "Data").mkdir(parents=True)
    home = Home(folder, drive, {"DRIVE_UPLOAD_PATHS": str(folder / "paths.json"), "DRIVE_EMULATOR_HOST": drive.url})
    home.settings()
    drive.write_token(folder / "drive_token.json")
    return home


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP. `body` is the document."""

    code: int
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The log entries in the answer."""
        return list(self.body["results"])

    @property
    def entry(self) -> dict[str, Any]:
        """The only log entry in the answer."""
        (entry,) = self.entries
        return entry


NewHome = Callable[[], Home]

Ask = Callable[..., Answer]
"""`ask(home, method, path, ...)`: the answer to any request."""

Post = Callable[..., Answer]
"""`post(home, payload)`: the answer to a POST; bytes are sent as they are, anything else as JSON."""
