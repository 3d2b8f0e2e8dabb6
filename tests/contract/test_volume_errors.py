"""What the volume says about a source: only a missing file and missing rights are the file's own fault."""

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.home import Home, Post

OF_THE_VOLUME = ["ESTALE", "EIO", "ETIMEDOUT", "EMFILE", "ENFILE", "ENOMEM", "ENODEV", "EHOSTDOWN", "ENOTCONN"]

OF_THE_FILE = ["EACCES", "EPERM"]


def failing(monkeypatch: pytest.MonkeyPatch, call: str, code: int, path: str) -> None:
    """Let that call of the operating system fail for that source."""
    real: Callable[..., Any] = getattr(os, call)

    def fail(target: Any, *arguments: Any, **options: Any) -> Any:
        if call == "preadv" or (isinstance(target, str) and target.endswith(path)):
            raise OSError(code, os.strerror(code), path)
        return real(target, *arguments, **options)

    monkeypatch.setattr(os, call, fail)


@pytest.mark.parametrize("name", [*OF_THE_VOLUME, *OF_THE_FILE])
@pytest.mark.parametrize("call", ["lstat", "open", "preadv"])
def test_errors_of_the_source(home: Home, post: Post, monkeypatch: pytest.MonkeyPatch, call: str, name: str) -> None:
    """Whatever can be mended without changing the file is 503 and retryable; the same call then succeeds."""
    path = home.put()
    with monkeypatch.context() as patch:
        failing(patch, call, getattr(errno, name), path)
        if call == "lstat":  # what can't be looked at is asked for once more, in earnest
            failing(patch, "stat", getattr(errno, name), path)

        answer = post(home, {"path": path})

    expected = (404, "source_unreadable") if name in OF_THE_FILE else (503, "volume_unavailable")
    assert (answer.code, answer.entry["reason"]) == expected
    assert "note.txt" in answer.entry["message"]
    assert post(home, {"path": path}).body["status"] == "uploaded"


@pytest.mark.parametrize("path", ["Data/Meta/note.txt", "Data/New/Deeper/note.txt"])
def test_a_remembered_no_is_asked_again(home: Home, post: Post, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """NFS answers "no such file" from memory until the folder is listed: so it is, and the file is found."""
    home.put(path)
    listed: list[str] = []

    def remembering(real: Callable[..., Any]) -> Callable[..., Any]:
        def look(target: Any, *arguments: Any, **options: Any) -> Any:
            text = str(target)
            if "/Data/" in text and os.path.dirname(text) not in listed:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), text)
            if real is listdir:
                listed.append(text)
            return real(target, *arguments, **options)

        return look

    listdir = os.listdir
    for call in ("lstat", "stat", "listdir"):
        monkeypatch.setattr(os, call, remembering(getattr(os, call)))

    assert post(home, {"path": path}).body["status"] == "uploaded"


def test_a_folder_that_shows_what_it_denies(home: Home, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is listed and can't be found is the volume's contradiction, not a missing file."""
    path = home.put()
    with monkeypatch.context() as patch:
        failing(patch, "lstat", errno.ENOENT, path)
        failing(patch, "stat", errno.ENOENT, path)
        denied = post(home, {"path": path})

    assert (denied.code, denied.entry["reason"]) == (503, "volume_unavailable")
    assert post(home, {"path": path}).code == 200


def test_a_file_that_vanishes_before_it_is_opened(home: Home, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was there a moment ago: the next call says whether it is gone."""
    path = home.put()
    failing(monkeypatch, "open", errno.ENOENT, path)

    answer = post(home, {"path": path})

    assert (answer.code, answer.entry["reason"]) == (503, "source_changed")


def test_a_link_that_appears_while_it_is_looked_for_is_not_followed(
    home: Home, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not resolved, so it may lead anywhere: the next call does that."""
    home.put()
    secret = home.write("secret.txt", "canary")
    listdir = os.listdir

    def appears(folder: str) -> list[str]:
        (home.folder / "Data/Meta/late.txt").symlink_to(secret)
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", appears)

    first = post(home, {"path": "Data/Meta/late.txt"})
    second = post(home, {"path": "Data/Meta/late.txt"})

    assert (first.code, first.entry["reason"]) == (503, "source_changed")
    assert (second.code, second.entry["reason"]) == (403, "path_outside_data_root")
    assert home.stored() == {}


def test_a_data_root_that_is_not_mounted(home: Home, post: Post) -> None:
    """That is nobody's mistake in the request: 503 until the mount is there."""
    (home.folder / "Data").rmdir()

    answer = post(home, {"path": "Data/Meta/note.txt"})

    assert (answer.code, answer.entry["reason"]) == (503, "volume_unavailable")
    assert "data_root" in answer.entry["message"]
    assert post(home, {"path": home.put()}).code == 200


def test_the_whole_file_system_as_data_root(home: Home, post: Post) -> None:
    """Names keep all their letters."""
    home.settings(data_root="/")

    answer = post(home, {"path": home.put("Data/Meta/note.txt")})

    assert answer.entry["destination"] == f"MemoryVDB{home.folder}/Data/Meta/note.txt"


@pytest.mark.parametrize("data_root", ["data", "paths.json"], ids=["misspelt", "a file"])
@pytest.mark.parametrize("path", ["Data/Meta/note.txt", "paths.json", "/etc/hostname"])
def test_a_data_root_that_is_none_is_not_the_files_fault(home: Home, post: Post, data_root: str, path: str) -> None:
    """A mistake in the settings: no queue drops the file, and the same call succeeds once it is mended."""
    home.put()
    home.settings(data_root=data_root)

    answer = post(home, {"path": path}, {"X-CloudTasks-TaskName": "task"})

    assert (answer.code, answer.entry["reason"]) == (503, "volume_unavailable"), answer.entry["message"]
    home.settings(data_root="Data")
    assert post(home, {"path": "Data/Meta/note.txt"}).code == 200


def test_a_mount_point_without_its_mount(home: Home, post: Post) -> None:
    """Everything has vanished: what was uploaded from there tells that something was there."""
    missing = {"path": "Data/Meta/second.txt"}
    assert post(home, missing).code == 404  # nothing was ever there
    post(home, {"path": home.put()})
    assert post(home, missing).code == 404
    (home.folder / "Data").rename(home.folder / "mounted")
    (home.folder / "Data").mkdir()

    away = post(home, missing)

    assert (away.code, away.entry["reason"]) == (503, "volume_unavailable")
    assert "data_root is empty" in away.entry["message"]
