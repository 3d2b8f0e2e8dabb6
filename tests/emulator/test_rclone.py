"""rclone's own drive backend against the embedded Drive; it believes that it talks to Google.

It goes through a proxy that ends the TLS with certificates of a private authority (tests/support/tls_front.py). Each
test works in a folder of its own on one Drive.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from local_runner.drive_emulator import DriveEmulator
from local_runner.drive_emulator.model.records import FOLDER
from tests.support.tls_front import TlsFront

QUICK = ("--transfers", "16", "--checkers", "16", "--drive-pacer-min-sleep", "1ms", "--drive-pacer-burst", "1000")

TREE_FILES = 1000


@dataclass(frozen=True, slots=True)
class Rclone:
    """rclone with a remote `d:` that is the embedded Drive."""

    drive: DriveEmulator
    front: TlsFront
    config: Path

    def try_to(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command, whatever comes of it."""
        binary = str(Path(sys.executable).with_name("rclone"))
        return subprocess.run(
            [binary, "--config", str(self.config), *QUICK, *words],
            env={**os.environ, **self.front.environ},
            input=given,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def __call__(self, *words: str, given: str = "") -> str:
        """What a command prints; it must succeed."""
        done = self.try_to(*words, given=given)
        assert done.returncode == 0, f"rclone {words}: {done.stderr}"
        return done.stdout

    def listing(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self("lsjson", *words))
        return found

    def on_drive(self, folder: str) -> dict[str, dict[str, Any]]:
        """What the Drive holds below a folder and not in the bin, by path."""
        held = (file for file in self.drive.files() if not file["trashed"])
        return {file["path"]: file for file in held if file["path"].startswith(f"{folder}/")}

    def twin(self, name: str, parent: str | None = None, mime_type: str | None = None) -> str:
        """A file or folder made past rclone, whatever has that name already; its id."""
        body = {"name": name, "parents": [parent or "root"], "mimeType": mime_type}
        answer = requests.post(
            f"{self.drive.url}/drive/v3/files",
            json=body,
            headers={"Authorization": f"Bearer {self.drive.authorized_user()['token']}"},
            timeout=30,
        )
        return str(answer.json()["id"])


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rclone]:
    """rclone, its configuration as `rclone config` writes it, and the Drive it talks to."""
    folder = tmp_path_factory.mktemp("rclone")
    with DriveEmulator() as drive, TlsFront(drive.url, folder) as front:
        user = drive.authorized_user()
        token = {"access_token": user["token"], "token_type": "Bearer", "refresh_token": user["refresh_token"]}
        config = folder / "rclone.conf"
        config.write_text(
            "[d]\ntype = drive\nscope = drive\n"
            f"client_id = {user['client_id']}\nclient_secret = {user['client_secret']}\n"
            f"token = {json.dumps({**token, 'expiry': user['expiry']})}\n"
        )
        yield Rclone(drive, front, config)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A thousand small files in 25 folders, one of them with an awkward name."""
    for number in range(TREE_FILES):
        file = tmp_path / "tree" / f"folder {number % 25}" / f"file {number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"content of {number}")
    (tmp_path / "tree" / "folder 0" / "it's \\ 100%, é.txt").write_text("awkward")
    return tmp_path / "tree"


def test_a_tree_of_a_thousand_files_goes_up_in_sync_and_out(rclone: Rclone, tree: Path) -> None:
    """copy, check, lsjson, sync of changes, and delete agree with what is on disk and what is on the Drive."""
    rclone("copy", str(tree), "d:tree")
    checked = rclone.try_to("check", str(tree), "d:tree", "--download=false")
    listed = rclone.listing("-R", "--files-only", "--hash", "d:tree")
    (tree / "folder 1" / "file 1.txt").write_text("changed")
    (tree / "folder 2" / "file 2.txt").unlink()
    (tree / "new.txt").write_text("new")
    rclone("sync", str(tree), "d:tree")
    synced = rclone.on_drive("tree")
    rclone("delete", "d:tree/folder 3")

    assert f"{TREE_FILES + 1} matching files" in checked.stderr
    assert len(listed) == len({file["Path"] for file in listed}) == TREE_FILES + 1
    assert all(file["Hashes"].keys() >= {"md5", "sha1", "sha256"} for file in listed)
    assert {path for path, file in synced.items() if file["mimeType"] != FOLDER} == {
        f"tree/{file.relative_to(tree)}" for file in tree.rglob("*.txt")
    }
    assert rclone.drive.content(synced["tree/folder 1/file 1.txt"]["id"]) == b"changed"
    assert not [path for path in rclone.on_drive("tree") if path.startswith("tree/folder 3/")]


def test_check_notices_what_differs(rclone: Rclone, tmp_path: Path) -> None:
    """Other content of the same size is a difference, by its hash."""
    (tmp_path / "a.txt").write_text("one")
    rclone("copy", str(tmp_path), "d:checked")
    (tmp_path / "a.txt").write_text("two")

    checked = rclone.try_to("check", str(tmp_path), "d:checked")

    assert checked.returncode == 1
    assert "1 differences found" in checked.stderr


def test_content_is_piped_in_and_out(rclone: Rclone) -> None:
    """rcat sends content of unknown length, cat brings it back, and a part of it by Range."""
    rclone("rcat", "d:piped/a.txt", given="0123456789")

    assert rclone("cat", "d:piped/a.txt") == "0123456789"
    assert rclone("cat", "--offset", "3", "--count", "4", "d:piped/a.txt") == "3456"


def test_large_content_goes_in_chunks(rclone: Rclone, tmp_path: Path) -> None:
    """A resumable session, sent by POST in chunks of 256 KiB as rclone does."""
    content = bytes(range(256)) * 3000
    (tmp_path / "large.bin").write_bytes(content)
    rclone.drive.requests.clear()

    rclone("copy", str(tmp_path), "d:chunks", "--drive-upload-cutoff", "0", "--drive-chunk-size", "256k")

    sent = rclone.drive.requests.of("upload.send")
    assert [(record.http_method, record.status) for record in sent] == [("POST", 308), ("POST", 308), ("POST", 200)]
    assert rclone.drive.content(rclone.on_drive("chunks")["chunks/large.bin"]["id"]) == content


def test_files_move_and_are_copied_on_the_server(rclone: Rclone) -> None:
    """moveto keeps the id under a new name and folder; copyto makes another file without an upload."""
    rclone("rcat", "d:moves/a.txt", given="x")
    before = rclone.on_drive("moves")["moves/a.txt"]["id"]

    rclone("moveto", "d:moves/a.txt", "d:moves/deep/b.txt")
    rclone("copyto", "d:moves/deep/b.txt", "d:moves/c.txt")

    after = rclone.on_drive("moves")
    assert after["moves/deep/b.txt"]["id"] == before
    assert (after["moves/c.txt"]["md5Checksum"], "moves/a.txt" in after) == (
        after["moves/deep/b.txt"]["md5Checksum"],
        False,
    )


def test_deletion_is_the_bin_unless_told_otherwise(rclone: Rclone) -> None:
    """delete and purge put into the bin; without the bin, files are gone."""
    for name in ("a.txt", "b.txt", "below/c.txt"):
        rclone("rcat", f"d:deleted/{name}", given=name)
    ids = {path: file["id"] for path, file in rclone.on_drive("deleted").items()}

    rclone("deletefile", "d:deleted/a.txt")
    rclone("--drive-use-trash=false", "deletefile", "d:deleted/b.txt")
    rclone("purge", "d:deleted/below")

    left = {file["id"]: file["trashed"] for file in rclone.drive.files()}
    assert left[ids["deleted/a.txt"]] is left[ids["deleted/below/c.txt"]] is True
    assert ids["deleted/b.txt"] not in left


def test_twins_are_seen_and_renamed(rclone: Rclone) -> None:
    """Names aren't unique: dedupe merges folders of one name and gives files of one name others."""
    rclone("rcat", "d:twins/folder/a.txt", given="one")
    top = next(file["id"] for file in rclone.drive.files() if file["path"] == "twins")
    rclone.twin("a.txt", rclone.twin("folder", top, FOLDER))

    rclone("dedupe", "rename", "d:twins")

    assert set(rclone.on_drive("twins")) == {
        "twins/folder",
        "twins/folder/a-1.txt",
        "twins/folder/a-2.txt",
    }


def test_times_links_and_space(rclone: Rclone) -> None:
    """touch sets the modification time to the millisecond, link shares with anyone, about knows the space."""
    rclone("rcat", "d:odds/a.txt", given="12345")

    rclone("touch", "-t", "2020-01-02T03:04:05.678", "d:odds/a.txt")
    link = rclone("link", "d:odds/a.txt").strip()
    space = json.loads(rclone("about", "--json", "d:"))

    file_id = rclone.on_drive("odds")["odds/a.txt"]["id"]
    assert rclone.listing("d:odds")[0]["ModTime"] == "2020-01-02T03:04:05.678Z"
    assert link == f"https://drive.google.com/open?id={file_id}"
    assert 5 <= space["used"] < space["total"]


def test_an_expired_token_is_refreshed(rclone: Rclone) -> None:
    """rclone refreshes its access token at Google's token endpoint and keeps the new one."""
    text = rclone.config.read_text()
    rclone.config.write_text(text.replace('"expiry": "2', '"expiry": "1'))
    rclone.drive.requests.clear()

    rclone("lsf", "d:")

    assert [record.status for record in rclone.drive.requests.of("oauth.token")] == [200]


def test_a_shared_drive_is_a_remote_like_any_other(rclone: Rclone) -> None:
    """With a shared drive's id rclone works in it, and lists shared drives."""
    made = json.loads(rclone("backend", "drives", "d:"))
    answer = requests.post(
        f"{rclone.drive.url}/drive/v3/drives?requestId=1",
        json={"name": "Team"},
        headers={"Authorization": f"Bearer {rclone.drive.authorized_user()['token']}"},
        timeout=30,
    )
    drive_id = answer.json()["id"]

    rclone("rcat", f"d,team_drive={drive_id}:folder/a.txt", given="shared")

    assert made == []
    assert json.loads(rclone("backend", "drives", "d:"))[0]["id"] == drive_id
    assert rclone("cat", f"d,team_drive={drive_id}:folder/a.txt") == "shared"
    assert rclone.on_drive("folder").keys() == {"folder/a.txt"} or "folder/a.txt" not in rclone("lsf", "-R", "d:")


def test_the_hidden_folder_of_an_app_is_a_remote_of_its_own(rclone: Rclone) -> None:
    """Set up as `rclone config` does for drive.appfolder, it works in `appDataFolder`; another remote sees nothing."""
    scope = "https://www.googleapis.com/auth/drive.appfolder"
    rclone.drive.accept_token("hidden", scopes=[scope])
    token = json.dumps({"access_token": "hidden", "token_type": "Bearer", "expiry": "2999-01-01T00:00:00Z"})
    with rclone.config.open("a") as config:
        config.write(
            f"[hidden]\ntype = drive\nscope = drive.appfolder\nroot_folder_id = appDataFolder\ntoken = {token}\n"
        )

    rclone("rcat", "hidden:secrets/a.txt", given="mine")

    assert rclone("cat", "hidden:secrets/a.txt") == "mine"
    assert rclone("lsf", "-R", "hidden:").split() == ["secrets/", "secrets/a.txt"]
    assert "secrets" not in rclone("lsf", "-R", "d:")
