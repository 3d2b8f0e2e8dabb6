"""What an invocation leaves on the volume: names that a power failure doesn't take, for its owner's eyes only."""

import errno
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.home import PROJECT, Home, Post


def record(monkeypatch: pytest.MonkeyPatch, home: Path) -> list[tuple[str, str]]:
    """What happens to names below the home from now on: ("made", path) and ("synced", folder), in order."""
    seen: list[tuple[str, str]] = []

    def making(name: str, which: int) -> None:
        real = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            path = os.fspath(arguments[which]) if not isinstance(arguments[which], int) else ""
            is_new = name != "open" or (arguments[1] & os.O_CREAT and not os.path.lexists(path))
            result = real(*arguments, **options)
            if is_new and path.startswith(str(home)):
                seen.append(("made", path))
            return result

        monkeypatch.setattr(os, name, call)

    for name, which in (("mkdir", 0), ("open", 0), ("link", 1), ("replace", 1), ("rename", 1)):
        making(name, which)
    fsync = os.fsync

    def syncing(fd: int) -> None:
        fsync(fd)
        seen.append(("synced", os.readlink(f"/proc/self/fd/{fd}")))

    monkeypatch.setattr(os, "fsync", syncing)
    return seen


def matters(path: str) -> bool:
    """Whether losing the name would lose something: locks mean nothing after a power failure, nor does the pace."""
    return os.path.lexists(path) and not path.endswith(".lock") and "/pace/" not in path and "/locks" not in path


@pytest.mark.parametrize("lock", ["native", "lease"])
def test_every_name_is_on_the_disk_before_the_answer(
    home: Home, post: Post, monkeypatch: pytest.MonkeyPatch, lock: str
) -> None:
    """`.drive_upload/` and what is in it, and upload_log.json: each folder is synced after a name in it was made."""
    home.settings(lock=lock)
    home.put()
    seen = record(monkeypatch, home.folder)

    assert post(home, {"path": "Data/Meta/note.txt"}).code == 200

    made = {
        path: max(at for at, each in enumerate(seen) if each == ("made", path)) for kind, path in seen if kind == "made"
    }
    lost = [path for path, at in made.items() if matters(path) and ("synced", os.path.dirname(path)) not in seen[at:]]
    assert {str(home.folder / "upload_log.json"), str(home.folder / ".drive_upload")} <= made.keys()
    assert lost == []


@pytest.mark.parametrize("lock", ["native", "lease"])
def test_all_that_the_job_writes_is_for_its_owner_only(
    home: Home, post: Post, monkeypatch: pytest.MonkeyPatch, lock: str
) -> None:
    """Whatever the umask allows: no other local user reads the state or holds a lock."""
    home.settings(lock=lock)
    home.put()
    before = set(home.folder.rglob("*"))
    old = os.umask(0)
    try:
        assert post(home, {"path": "Data/Meta/note.txt"}).code == 200
    finally:
        os.umask(old)

    written = [each for each in home.folder.rglob("*") if each not in before]
    assert home.folder / "upload_log.json" in written
    assert [str(each) for each in written if stat.S_IMODE(each.lstat().st_mode) & 0o077] == []


def hanging(name: str, which: str, until: threading.Event) -> tuple[str, Callable[..., Any]]:
    """A call of `os` that doesn't return for files whose name ends so."""
    real = getattr(os, name)

    def call(target: Any, *rest: Any, **options: Any) -> Any:
        path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else os.fspath(target)
        if str(path).endswith(which):
            assert until.wait(60)
        return real(target, *rest, **options)

    return name, call


@pytest.fixture
def server_is_back() -> Iterator[threading.Event]:
    """Set when the test ends, so that nothing hangs on behind it."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize(
    ("name", "which"),
    [
        ("open", "drive_upload.lock"),
        ("open", "destinations.lock"),
        ("open", "upload_log.json"),
        ("pwrite", "upload_log.json"),
        ("fsync", "upload_log.json"),
    ],
)
def test_a_volume_that_hangs_is_answered_and_succeeds_when_it_is_back(
    home: Home, post: Post, server_is_back: threading.Event, name: str, which: str
) -> None:
    """A lock, a write or a sync that doesn't return (NFS, its server away): 503 in time; later the same call works."""
    home.settings(deadline_s=1)
    home.put()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, *hanging(name, which, server_is_back))
        answer = post(home, {"path": "Data/Meta/note.txt"})
        server_is_back.set()

    assert answer.code == 503
    assert answer.entry["reason"] in ("volume_unavailable", "deadline_exceeded")  # nobody else holds the lock
    home.settings()
    assert post(home, {"path": "Data/Meta/note.txt"}).code == 200
    assert [each["status"] for each in home.log() if each["status"] == "uploaded"] == ["uploaded"]
    assert home.stored() == {"MemoryVDB/Meta/note.txt": b"remember me\n"}


def test_a_long_log_is_closed(home: Home, post: Post) -> None:
    """`log_max_mb`: the closed log is whole, the new one goes on, and nothing is uploaded or logged twice."""
    home.settings(log_max_mb=0.001)
    for number in range(6):
        home.put(f"Data/Meta/{number}.txt", b"%d" % number)
        assert post(home, {"path": f"Data/Meta/{number}.txt"}).code == 200

    closed = sorted(home.folder.glob("upload_log-*.json"))
    assert len(closed) >= 1
    assert len(home.log()) < 6
    assert len(home.stored()) == 6


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_log_that_cant_be_written_is_no_success(
    home: Home, post: Post, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The upload is done and can't be told: 503; the next call tells it once and uploads nothing again."""
    home.put()
    real = os.pwrite

    def full(fd: int, content: bytes, offset: int) -> int:
        if os.readlink(f"/proc/self/fd/{fd}").endswith("upload_log.json"):
            raise OSError(code, os.strerror(code))
        return real(fd, content, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        answer = post(home, {"path": "Data/Meta/note.txt"})

    assert (answer.code, answer.entry["reason"]) == (503, "volume_unavailable")
    assert post(home, {"path": "Data/Meta/note.txt"}).code == 200
    assert [each["status"] for each in home.log()] == ["uploaded"]
    assert home.stored() == {"MemoryVDB/Meta/note.txt": b"remember me\n"}


def described() -> list[re.Pattern[str]]:
    """The paths in the table of docs/state-files.md, with anything for each <name>."""
    text = (PROJECT / "docs/state-files.md").read_text(encoding="utf-8")
    paths = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    return [re.compile(re.sub(r"<\w+>", "[^/]+", re.escape(each))) for each in paths]


@pytest.mark.parametrize("lock", ["native", "lease"])
def test_every_file_of_a_home_is_described(home: Home, post: Post, lock: str) -> None:
    """docs/state-files.md names all that an upload leaves behind."""
    home.settings(lock=lock)
    home.put()
    assert post(home, {"path": "Data/Meta/note.txt"}).code == 200

    paths = [str(each.relative_to(home.folder)) for each in home.folder.rglob("*") if each.is_file()]
    unknown = [
        each for each in paths if not each.startswith("Data/") and not any(p.fullmatch(each) for p in described())
    ]
    assert len(paths) > 6
    assert unknown == []
