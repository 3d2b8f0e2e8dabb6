"""Where the contenders play: one embedded Drive, Google's names in front of it, and a home for each of them.

The Drive, the front and each contender are processes of their own, so that none is charged for another's work.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.support.tls_front import environ

PROJECT = Path(__file__).resolve().parents[2]

GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run took; None where it wasn't measured. `peak_bytes` is resident memory."""

    wall_s: float
    cpu_s: float | None = None
    peak_bytes: int | None = None
    requests: int | None = None
    units: int | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """A contender's home: its files, credentials in every form, and the environment that its processes get."""

    folder: Path
    environ: Mapping[str, str]

    def files(self, folder: str, count: int, size: int) -> list[str]:
        """So many new files of random bytes; their paths, relative to the room."""
        (self.folder / folder).mkdir(parents=True, exist_ok=True)
        paths = [f"{folder}/{random.getrandbits(48):012x}.bin" for _ in range(count)]
        for path in paths:
            with open(self.folder / path, "wb") as file:
                file.writelines(os.urandom(min(1 << 20, size - start)) for start in range(0, size, 1 << 20))
            os.utime(self.folder / path, (time.time() - 3600,) * 2)
        return paths

    def path(self, name: str) -> str:
        """The absolute path of something in the room."""
        return str(self.folder / name)


@dataclass(slots=True)
class Stage:
    """The embedded Drive with what is around it. `url` is the Drive's own address."""

    folder: Path
    url: str
    environ: Mapping[str, str]
    token: Mapping[str, Any]
    rooms: int = 0

    def room(self, **settings: Any) -> Room:
        """A new home whose Drive is this one, reached as Google is."""
        self.rooms += 1
        folder = self.folder / f"room-{self.rooms}"
        (folder / "Data").mkdir(parents=True)
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(PROJECT), **self.environ}
        environ |= {"DRIVE_UPLOAD_PATHS": str(folder / "paths.json"), "LOG_LEVEL": "WARNING"}
        (folder / "paths.json").write_text(json.dumps({"drive_root": folder.name} | settings))
        write_tokens(folder, self.token)
        return Room(folder, environ)

    def run(self, room: Room, command: Sequence[str]) -> Figures:
        """Run a command in a room, to its end, and count what it asked of Drive."""
        self.forget()
        output = room.folder / "output.txt"
        timer = [sys.executable, "-I", "-S", str(PROJECT / "tests/bench/timed.py"), str(output)]
        timed = subprocess.run(
            [*timer, *command], env=dict(room.environ), cwd=room.folder, stdout=subprocess.PIPE, check=True
        )
        took = json.loads(timed.stdout)
        if took.pop("code"):
            raise RuntimeError(f"{' '.join(command)[:200]} failed:\n{output.read_text()[-2000:]}")
        return Figures(**took, **self.asked())

    def forget(self) -> None:
        """Count requests from here on."""
        requests.delete(f"{self.url}/emulator/requests", timeout=60).raise_for_status()

    def asked(self) -> dict[str, int]:
        """Requests of the API since `forget`, and their quota units."""
        records = [each for each in self.records() if not each["method_id"].startswith("emulator.")]
        return {"requests": len(records), "units": sum(each["units"] for each in records)}

    def records(self) -> list[dict[str, Any]]:
        """Every request since `forget`."""
        return list(requests.get(f"{self.url}/emulator/requests", timeout=60).json())

    def new_account(self, email: str) -> dict[str, Any]:
        """Another Google account with an empty Drive; its token file."""
        answer = requests.post(f"{self.url}/emulator/accounts", json={"email": email}, timeout=60)
        answer.raise_for_status()
        return {**answer.json()["token"], "token_uri": GOOGLE_TOKEN_URI}

    def delete(self, name: str) -> None:
        """Delete every file of that name, for the sake of the disk."""
        files = f"{self.url}/drive/v3/files"
        with requests.Session() as session:
            session.headers["authorization"] = f"Bearer {self.token['token']}"
            found = session.get(files, params={"q": f"name = '{name}'"}, timeout=60).json()["files"]
            for each in found:
                session.delete(f"{files}/{each['id']}", timeout=60).raise_for_status()

    def weather(self, **settings: float) -> None:
        """Change the Drive's latency and limits."""
        requests.patch(f"{self.url}/emulator/weather", json=settings, timeout=60).raise_for_status()


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """A stage whose state lives in that folder."""
    token = folder / "token.json"
    drive = ["-m", "local_runner.drive_emulator", "--port", "0", "--data", str(folder / "drive")]
    with ExitStack() as stack:
        first_line = stack.enter_context(_process([*drive, "--write-token", str(token)]))
        url = first_line.rpartition(" ")[2]
        front = stack.enter_context(_process(["-m", "tests.support.tls_front", url, str(folder)]))
        yield Stage(folder, url, environ(front, folder / "authority.pem"), json.loads(token.read_bytes()))


@contextmanager
def _process(arguments: Sequence[str]) -> Iterator[str]:
    """Python running in the background; yields the first line that it prints."""
    process = subprocess.Popen([sys.executable, *arguments], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate(timeout=30)


def write_tokens(folder: Path, token: Mapping[str, Any]) -> None:
    """The credentials as each client keeps them, valid for an hour: ours and google-auth's, PyDrive2's, rclone's."""
    google = {**token, "token_uri": GOOGLE_TOKEN_URI}
    client = {"client_id": token["client_id"], "client_secret": token["client_secret"]}
    uris = {"auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": GOOGLE_TOKEN_URI}
    saved = {
        "_module": "oauth2client.client",
        "_class": "OAuth2Credentials",
        **client,
        "access_token": token["token"],
        "refresh_token": token["refresh_token"],
        "token_expiry": token["expiry"].partition(".")[0] + "Z",
        "token_uri": GOOGLE_TOKEN_URI,
        "scopes": token["scopes"],
        "invalid": False,
        **dict.fromkeys(("user_agent", "revoke_uri", "id_token", "token_response", "token_info_uri", "id_token_jwt")),
    }
    settings = {
        "client_config_backend": "settings",
        "client_config": {**client, **uris, "revoke_uri": None},
        "oauth_scope": token["scopes"],
        "save_credentials": True,
        "save_credentials_backend": "file",
        "save_credentials_file": str(folder / "pydrive2_credentials.json"),
    }
    kept = {"access_token": token["token"], "refresh_token": token["refresh_token"], "expiry": token["expiry"]}
    config = {"type": "drive", "scope": "drive", **client, "token": json.dumps(kept | {"token_type": "Bearer"})}
    lines = ["[drive]", *(f"{key} = {value}" for key, value in config.items())]
    texts = {
        "drive_token.json": json.dumps(google),
        "pydrive2_credentials.json": json.dumps(saved),
        "pydrive2_settings.yaml": json.dumps(settings),
        "rclone.conf": "\n".join(lines) + "\n",
    }
    for name, text in texts.items():
        (folder / name).touch(0o600)
        (folder / name).write_text(text)
