"""The emulator as a tool of its own: its command, its folder taken alone, its admin addresses, its pytest plugin."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from google.auth.transport.requests import AuthorizedSession
from google.oauth2 import service_account

from local_runner import drive_emulator
from local_runner.drive_emulator import DriveEmulator
from local_runner.drive_emulator.cli import emulator as command
from local_runner.drive_emulator.storage import archive
from tests.emulator.wire import Api

pytest_plugins = ["pytester"]
DRIVE = "https://www.googleapis.com/auth/drive"


@contextmanager
def started(*words: str, folder: Path | None = None, module: str = "local_runner.drive_emulator") -> Iterator[str]:
    """The command on a free port; its URL."""
    environment = {**os.environ, "PYTHONPATH": ""} if folder else dict(os.environ)
    with subprocess.Popen(
        [sys.executable, "-m", module, "--port", "0", *words],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
    ) as running:
        assert running.stdout is not None
        try:
            yield running.stdout.readline().split()[-1]
        finally:
            running.terminate()


def test_a_copy_of_the_folder_runs_alone(tmp_path: Path) -> None:
    """Under another name, without the job and without the rest of the project."""
    source = Path(drive_emulator.__file__).parent
    shutil.copytree(source, tmp_path / "my_drive", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "a.txt").write_text("hello")

    with started("--seed-from", str(tmp_path / "seed"), folder=tmp_path, module="my_drive") as url:
        health = requests.get(f"{url}/emulator/health", timeout=10).json()
        files = requests.get(f"{url}/emulator/files", timeout=10).json()

    assert health == {"status": "ok", "accounts": 1, "files": 1}
    assert [file["path"] for file in files] == ["a.txt"]


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    """A local folder with a file in a folder, an empty file and an old date."""
    folder = tmp_path / "seed"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "image.png").write_bytes(os.urandom(300_000))
    (folder / "empty").touch()
    os.utime(folder / "empty", (1_000_000_000, 1_000_000_000))
    return folder


def test_a_drive_is_filled_from_a_folder_and_reset_to_it(seed: Path) -> None:
    """Bytes, types and times; what came later goes with a reset, faults and conditions too, and tokens stay good."""
    with DriveEmulator(latency_ms=1) as drive:
        assert drive.seed_from(seed) == 2
        api = Api(drive)
        api.made({"name": "later"})
        api.start({"name": "unfinished"})
        shared = api.call("POST", "/drive/v3/drives?requestId=one", json={"name": "team"}).json()["id"]
        drive.faults.add({"on": "files.get", "do": "reset_before"})
        drive.set_weather(latency_ms=20)

        reset = requests.post(f"{drive.url}/emulator/reset", timeout=10)

        files = {file["path"]: file for file in drive.files()}
        assert reset.status_code == 204
        assert sorted(files) == ["deep", "deep/er", "deep/er/image.png", "empty"]
        assert drive.content(files["deep/er/image.png"]["id"]) == (seed / "deep/er/image.png").read_bytes()
        assert files["deep/er/image.png"]["mimeType"] == "image/png"
        assert files["empty"]["modifiedTime"] == "2001-09-09T01:46:40.000Z"
        assert api.get("files/root").status_code == 200
        assert shared not in drive.drive.store.drives
        assert not drive.drive.store.sessions
        assert drive.drive.conditions.latency_ms == 1


def test_a_seeded_drive_that_is_kept_is_filled_once(seed: Path, tmp_path: Path) -> None:
    """The same command again doesn't double the files."""
    for _ in range(2):
        with DriveEmulator(tmp_path / "data") as drive:
            drive.seed_from(seed)
            assert len(drive.files()) == 4


def test_a_state_is_saved_and_loaded(seed: Path, tmp_path: Path) -> None:
    """By the library and over HTTP: files, revisions, ids and tokens are there again; the file is its owner's."""
    with DriveEmulator() as drive:
        drive.seed_from(seed)
        token = Api(drive).token
        before = drive.files()
        drive.save(tmp_path / "saved")
        fetched = requests.get(f"{drive.url}/emulator/state", timeout=10).content
    (tmp_path / "fetched").write_bytes(fetched)

    for name in ("saved", "fetched"):
        with DriveEmulator.loaded(tmp_path / name) as again:
            assert again.files() == before
            assert all(again.content(file["id"]) == drive_bytes(seed, file["path"]) for file in before if file["size"])
            headers = {"Authorization": f"Bearer {token}"}
            assert requests.get(f"{again.url}/drive/v3/about?fields=user", headers=headers, timeout=10).ok
            folder = again.drive.folder
        assert not folder.exists()
    assert stat.S_IMODE((tmp_path / "saved").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["../outside", "content/../../outside", "/tmp/outside-of-it"])
def test_a_saved_state_writes_nothing_outside_its_folder(tmp_path: Path, name: str) -> None:
    """Whoever made the file: a name that leads out is refused, and links and devices are left out."""
    link = tarfile.TarInfo("content/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "saved", "w:gz") as out:
        for each in (tarfile.TarInfo("journal.jsonl"), link, tarfile.TarInfo(name)):
            out.addfile(each, io.BytesIO())

    with pytest.raises(ValueError, match="no saved state of a Drive emulator, or a damaged one"):
        archive.load(tmp_path / "saved", tmp_path / "data")

    assert [each.name for each in tmp_path.rglob("*") if each.is_symlink() or "outside" in each.name] == []


def drive_bytes(seed: Path, path: str) -> bytes:
    """What the seed holds at a path."""
    return (seed / path).read_bytes()


def user_of(key: dict[str, Any], url: str) -> str:
    """Who Google's library becomes with a key file."""
    credentials: Any = service_account.Credentials
    session: Any = AuthorizedSession
    signed_in = session(credentials.from_service_account_info(key, scopes=[DRIVE]))
    return str(signed_in.get(f"{url}/drive/v3/about?fields=user").json()["user"]["emailAddress"])


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b broken"])
def test_what_is_no_saved_state_is_refused(tmp_path: Path, content: bytes) -> None:
    """One line and the exit code of wrong usage."""
    (tmp_path / "file").write_bytes(content)

    told = CliRunner().invoke(command, ["--load", str(tmp_path / "file"), "--data", str(tmp_path / "data")])

    assert told.exit_code == 64
    assert "is no saved state of a Drive emulator" in told.output


def test_a_service_accounts_key_comes_as_file_and_over_http(tmp_path: Path) -> None:
    """google-auth trades its signature for a token; the file is its owner's alone."""
    key = tmp_path / "key.json"
    with started("--write-service-account", str(key)) as url:
        deadline = time.monotonic() + 30
        while not key.exists() and time.monotonic() < deadline:
            requests.get(f"{url}/emulator/health", timeout=10)
        over_http = requests.post(f"{url}/emulator/service-account?email=b@x.iam.gserviceaccount.com", timeout=10)
        people = requests.post(f"{url}/emulator/service-account?email=user@example.com", timeout=10)
        users = [user_of(info, url) for info in (json.loads(key.read_text()), over_http.json())]

    assert users == ["robot@project.iam.gserviceaccount.com", "b@x.iam.gserviceaccount.com"]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert people.status_code == 400


def test_the_pytest_plugin_gives_a_drive_to_a_test(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite of somebody else, which names the plugin and overrides an option."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    pytester.makeconftest(
        """
        import pytest
        pytest_plugins = ["local_runner.drive_emulator.pytest_plugin"]

        @pytest.fixture
        def drive_emulator_options():
            return {"emails": ["me@example.com"]}
        """
    )
    pytester.makepyfile(
        """
        import requests

        def test_mine(drive_emulator, drive_emulator_token):
            headers = {"Authorization": f"Bearer {drive_emulator_token}"}
            answer = requests.get(drive_emulator.url + "/drive/v3/about?fields=user", headers=headers)
            assert answer.json()["user"]["emailAddress"] == "me@example.com"
            assert drive_emulator.files() == []
        """
    )

    told = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist")

    told.assert_outcomes(passed=1)
