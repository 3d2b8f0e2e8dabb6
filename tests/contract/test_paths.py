"""Which paths are uploaded: regular files below data_root, however they are spelled, and nothing else."""

import os
import socket
from pathlib import Path

import pytest

from tests.support.home import Home, Post
from tests.support.privileges import permissions_count

SECRET = b"not for Drive"


def refused(home: Home, post: Post, path: str, reason: str, code: int) -> None:
    """That path is refused for that reason, in a sentence that names it, and nothing reaches Drive."""
    answer = post(home, {"path": path})

    assert (answer.code, answer.entry["reason"]) == (code, reason), answer.entry["message"]
    assert os.path.basename(path.rstrip("/")) in answer.entry["message"]
    assert home.drive.requests.count("files.create") == 0
    assert home.stored() == {}


@pytest.mark.parametrize(
    "path",
    [
        "secret.txt",
        "./secret.txt",
        "Data/../secret.txt",
        "Data/Meta/../../secret.txt",
        "Data/Meta/../../../../../../../../etc/passwd",
        "/etc/passwd",
        "//etc/passwd",
        "Database/secret.txt",
        "..",
        ".",
        "/",
        "drive_token.json",
        "paths.json",
        "Data/missing/../../secret.txt",
    ],
)
def test_a_path_outside_is_refused(home: Home, post: Post, path: str) -> None:
    """403, however it is spelled, also for what only looks like data_root."""
    home.put()
    home.write("secret.txt", SECRET)
    home.write("Database/secret.txt", SECRET)

    answer = post(home, {"path": path})

    assert (answer.code, answer.entry["reason"]) == (403, "path_outside_data_root")
    assert path in answer.entry["message"]
    assert "data_root" in answer.entry["message"]
    assert len(home.drive.requests) == 0


@pytest.mark.parametrize("link", ["Data/Meta/link.txt", "Data/link/secret.txt", "Data/Meta/hop.txt"])
def test_a_link_that_leads_out_is_refused(home: Home, post: Post, link: str, tmp_path: Path) -> None:
    """A linked file, a linked folder, and a link to a link."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/secret.txt").write_bytes(SECRET)
    home.put()
    (home.folder / "Data/Meta/link.txt").symlink_to(tmp_path / "elsewhere/secret.txt")
    (home.folder / "Data/link").symlink_to(tmp_path / "elsewhere")
    (home.folder / "Data/Meta/hop.txt").symlink_to("../link/secret.txt")

    refused(home, post, link, "path_outside_data_root", 403)


@pytest.mark.parametrize("path", ["Data", "Data/", "Data/.", "Data/Meta/..", "Data/Meta", "Data/Meta/"])
def test_a_folder_is_no_file(home: Home, post: Post, path: str) -> None:
    """404, data_root itself included."""
    home.put()

    answer = post(home, {"path": path})

    assert (answer.code, answer.entry["reason"]) == (404, "source_not_a_file")
    assert home.stored() == {}


def test_what_is_no_regular_file_is_never_opened(home: Home, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FIFO would hang its reader, a socket has no content, a device no end."""
    home.put()
    os.mkfifo(home.folder / "Data/Meta/fifo")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(home.folder / "Data/Meta")  # a socket's whole path may only have 108 bytes
        server.bind("socket")
    for name in ("fifo", "socket"):
        refused(home, post, f"Data/Meta/{name}", "source_not_a_file", 404)


def test_a_device_is_never_opened(home: Home, post: Post) -> None:
    """/dev/zero under another name."""
    home.put()
    try:
        os.mknod(home.folder / "Data/Meta/zero", 0o20666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("making a device needs root")

    refused(home, post, "Data/Meta/zero", "source_not_a_file", 404)


@pytest.mark.parametrize(
    "path",
    ["Data/Meta/none.txt", "Data/none/note.txt", "Data/Meta/note.txt/more", "Data/" + "x" * 300, "Data/dangling"],
)
def test_a_missing_file_is_said(home: Home, post: Post, path: str) -> None:
    """404 source_missing, also for names that no file can have, and for a link to nothing."""
    home.put()
    (home.folder / "Data/dangling").symlink_to("nothing")

    answer = post(home, {"path": path})

    assert (answer.code, answer.entry["reason"]) == (404, "source_missing")


def test_a_link_to_itself_is_refused(home: Home, post: Post) -> None:
    """It ends nowhere."""
    home.put()
    (home.folder / "Data/Meta/loop").symlink_to("loop")

    answer = post(home, {"path": "Data/Meta/loop"})

    assert answer.code == 404
    assert "loop" in answer.entry["message"]


def test_an_unreadable_folder_is_said(home: Home, post: Post) -> None:
    """What can't even be looked at is unreadable, or missing, but no success and no crash."""
    path = home.put()
    (home.folder / "Data/Meta").chmod(0)

    with permissions_count():
        answer = post(home, {"path": path})
    (home.folder / "Data/Meta").chmod(0o700)

    assert (answer.code, answer.entry["reason"]) == (404, "source_unreadable")
    assert "note.txt" in answer.entry["message"]


SPELLINGS = {
    "relative": "Data/Meta/note.txt",
    "with dots": "./Data/./Meta/../Meta/note.txt",
    "with slashes": "Data//Meta///note.txt",
    "absolute": "{home}/Data/Meta/note.txt",
    "absolute with dots": "{home}/Data/Meta/../Meta/note.txt",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=list(SPELLINGS))
def test_a_file_is_one_file_however_it_is_spelled(home: Home, post: Post, spelling: str) -> None:
    """Every spelling names the same destination, so the second call finds the content unchanged."""
    home.put()
    post(home, {"path": "Data/Meta/note.txt"})

    answer = post(home, {"path": spelling.format(home=home.folder)})

    assert (answer.code, answer.body["status"]) == (200, "unchanged")
    assert answer.entry["destination"] == "MemoryVDB/Meta/note.txt"
    assert answer.entry["path"] == "Data/Meta/note.txt"


def test_links_inside_are_followed(home: Home, post: Post) -> None:
    """A link inside data_root to a file inside it is uploaded under the link's own name."""
    home.put("Data/Meta/note.txt", "content")
    (home.folder / "Data/Meta/alias.txt").symlink_to("note.txt")
    (home.folder / "Data/Alias").symlink_to("Meta")

    by_file = post(home, {"path": "Data/Meta/alias.txt"})
    by_folder = post(home, {"path": "Data/Alias/note.txt"})

    assert (by_file.body["status"], by_folder.body["status"]) == ("uploaded", "uploaded")
    assert home.stored() == {"MemoryVDB/Meta/alias.txt": b"content", "MemoryVDB/Alias/note.txt": b"content"}


def test_a_home_behind_links_works(home: Home, post: Post, tmp_path: Path) -> None:
    """Mounts are often links: the home, data_root, and a path that names the real place."""
    home.put("Data/Meta/note.txt", "content")
    (home.folder / "Data").rename(tmp_path / "real-data")
    (home.folder / "Data").symlink_to(tmp_path / "real-data")
    (tmp_path / "linked-home").symlink_to(home.folder)
    home.environ["DRIVE_UPLOAD_PATHS"] = str(tmp_path / "linked-home/paths.json")

    answers = [
        post(home, {"path": path})
        for path in (
            "Data/Meta/note.txt",
            str(home.folder / "Data/Meta/note.txt"),
            str(tmp_path / "real-data/Meta/note.txt"),
        )
    ]

    assert [each.body["status"] for each in answers] == ["uploaded", "unchanged", "unchanged"]
    assert home.stored() == {"MemoryVDB/Meta/note.txt": b"content"}
