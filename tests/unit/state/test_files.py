"""Durable files: what is on the disk when, for whose eyes, and what may stand in a file's place."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from function.state import files
from tests.unit.state.conftest import without_temporaries

PROJECT = Path(__file__).parents[3]


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_created_file_is_on_the_disk_before_its_name_is(tmp_path: Path, calls: list[str]) -> None:
    """Content, then name, then the folder; each missing folder is in its parent first."""
    home = tmp_path / "home"
    home.mkdir(0o755)
    calls.clear()

    files.create(home / "a" / "b" / "file", b"content")

    assert without_temporaries(calls) == [
        "mkdir a",
        "fsync home",
        "mkdir b",
        "fsync a",
        "fsync temporary",
        "link file",
        "unlink temporary",
        "fsync b",
    ]
    assert (home / "a" / "b" / "file").read_bytes() == b"content"
    assert os.listdir(home / "a" / "b") == ["file"]


def test_a_replacement_is_on_the_disk_before_its_name_is(tmp_path: Path, calls: list[str]) -> None:
    """Content, then rename, then the folder."""
    (tmp_path / "file").write_bytes(b"old")

    files.replace(tmp_path / "file", b"new")

    assert without_temporaries(calls) == ["fsync temporary", "replace file", f"fsync {tmp_path.name}"]
    assert (tmp_path / "file").read_bytes() == b"new"


def test_what_is_set_aside_is_on_the_disk(tmp_path: Path, calls: list[str]) -> None:
    """The new name is synced; of a thousand none replaces another."""
    for number in range(1000):
        (tmp_path / "file").write_text(str(number))
        calls.clear()
        aside = files.set_aside(tmp_path / "file")
        assert calls == [f"rename {os.path.basename(aside)}", f"fsync {tmp_path.name}"]

    assert sorted(int(each.read_text()) for each in tmp_path.glob("file.damaged-*")) == list(range(1000))
    with pytest.raises(FileNotFoundError):
        files.set_aside(tmp_path / "file")


@pytest.mark.parametrize("make", [files.create, files.replace, lambda path, _: os.close(files.open_or_create(path))])
def test_everything_is_for_its_owner_only(tmp_path: Path, make: Callable[[Path, bytes], None]) -> None:
    """Files 0600, folders 0700, whatever the umask of the process allows."""
    old = os.umask(0)
    try:
        make(tmp_path / "folder" / "file", b"secret")
    finally:
        os.umask(old)

    assert mode(tmp_path / "folder") == 0o700
    assert mode(tmp_path / "folder" / "file") == 0o600


@pytest.mark.parametrize("open_file", [files.open_or_create, files.open_existing])
def test_a_child_process_inherits_no_descriptor(tmp_path: Path, open_file: Callable[[Path], int]) -> None:
    """A lock or a secret that a child kept open would outlive its process."""
    (tmp_path / "file").touch()

    fd = open_file(tmp_path / "file")

    assert not os.get_inheritable(fd)
    os.close(fd)


def test_of_racing_creators_one_succeeds(tmp_path: Path) -> None:
    """The file is whole, and the winner's."""
    won: list[int] = []
    start = threading.Barrier(8)

    def create(number: int) -> None:
        start.wait()
        try:
            files.create(tmp_path / "folder" / "file", str(number).encode() * 1000)
        except FileExistsError:
            return
        won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (tmp_path / "folder" / "file").read_bytes() == str(won[0]).encode() * 1000
    assert len(won) == 1
    assert os.listdir(tmp_path / "folder") == ["file"]


def link(path: Path) -> None:
    """A link to a file of somebody's."""
    (path.parent / "victim").write_bytes(b"somebody's")
    path.symlink_to(path.parent / "victim")


def listening(path: Path) -> None:
    """A socket."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(os.path.relpath(path))
    server.close()


OTHERS: dict[str, Callable[[Path], None]] = {
    "link": link,
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "socket": listening,
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=list(OTHERS))
def test_only_a_regular_file_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: Callable[[Path], None]
) -> None:
    """A link is not followed, a pipe is not waited for; what stands there can be set aside."""
    monkeypatch.chdir(tmp_path)
    other(tmp_path / "file")

    with pytest.raises(files.UnexpectedFile, match="not a regular file"):
        files.open_or_create(tmp_path / "file")
    with pytest.raises(files.UnexpectedFile, match="not a regular file"):
        files.open_existing(tmp_path / "file", write=True)
    with pytest.raises(files.UnexpectedFile, match="not a regular file"):
        files.read(tmp_path / "file", 100)
    with pytest.raises(FileExistsError):
        files.create(tmp_path / "file", b"content")
    files.set_aside(tmp_path / "file")
    files.create(tmp_path / "file", b"content")

    victim = tmp_path / "victim"
    assert not victim.exists() or victim.read_bytes() == b"somebody's"
    assert not (tmp_path / "nothing").exists()


def test_no_more_is_read_than_is_allowed(tmp_path: Path) -> None:
    """A file that grew out of all proportion costs no memory."""
    (tmp_path / "file").write_bytes(b"x" * 100_000)

    assert files.read(tmp_path / "file", 100_000) == b"x" * 100_000
    with pytest.raises(files.UnexpectedFile, match="longer than 99999 bytes"):
        files.read(tmp_path / "file", 99_999)


def test_a_write_goes_on_until_all_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume may take less than it is given."""
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, content, offset: real(fd, content[:3], offset))
    fd = files.open_or_create(tmp_path / "file")

    end = files.write_at(fd, b"0123456789", 5)
    os.close(fd)

    assert end == 15
    assert (tmp_path / "file").read_bytes() == bytes(5) + b"0123456789"


@pytest.mark.parametrize("step", ["pwrite", "fsync", "link"])
@pytest.mark.parametrize("make", [files.create, files.replace])
def test_a_failure_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, make: Callable[[Path, bytes], None]
) -> None:
    """A full disk, a broken one: the error is raised, the old file stays, no temporary file does."""
    (tmp_path / "file").write_bytes(b"old")

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace" if step == "link" and make is files.replace else step, fails)
        with pytest.raises(OSError, match="No space left"):
            make(tmp_path / "file", b"new")

    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


KILLED = """
import os, signal, sys
from function.state import files
real = getattr(os, sys.argv[3])
def fatal(*arguments):
    if sys.argv[4] == "after":
        real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(os, sys.argv[3], fatal)
getattr(files, sys.argv[2])(sys.argv[1], b"new")
"""


def test_a_version_tells_a_file_from_each_that_may_take_its_place(tmp_path: Path) -> None:
    """By whichever of size, time and inode is not the same."""
    path, other = tmp_path / "file", tmp_path / "other"
    for each in (path, other):
        each.write_bytes(b"content")
        os.utime(each, ns=(5, 5))
    known = files.version_at(path)

    assert known == files.version_at(path)
    assert known != files.version_at(other)
    path.write_bytes(b"more content")
    os.utime(path, ns=(5, 5))
    assert known != files.version_at(path)
    path.write_bytes(b"content")
    os.utime(path, ns=(5, 6))
    assert known != files.version_at(path)
    path.unlink()
    assert files.version_at(path) is None
    path.symlink_to(other)
    assert files.version_at(path) is None


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("make", "step"),
    [("create", "mkdir"), *[(make, step) for make in ("create", "replace") for step in ("pwrite", "fsync")],
     ("create", "link"), ("create", "unlink"), ("replace", "replace")],
)  # fmt: skip
def test_a_process_killed_at_any_step_leaves_nothing_half_done(
    tmp_path: Path, make: str, step: str, moment: str
) -> None:
    """The old content or the new one, and the next process gets through."""
    path = tmp_path / "folder" / "file"
    if make == "replace":
        files.create(path, b"old")

    killed = subprocess.run([sys.executable, "-c", KILLED, path, make, step, moment], cwd=PROJECT, check=False)
    found = path.read_bytes() if path.exists() else None
    files.replace(path, b"next")

    assert killed.returncode == -signal.SIGKILL
    assert found in ((b"old", b"new") if make == "replace" else (None, b"new"))
    assert path.read_bytes() == b"next"
