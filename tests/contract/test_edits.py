"""How an edit of a source is noticed, however well it hides."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.home import Home, Post


def edit_in_place(path: Path) -> None:
    """Other content of the same length in the same inode, the mtime put back."""
    before = path.stat()
    path.write_bytes(bytes(reversed(path.read_bytes())))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def chmod(path: Path) -> None:
    """Other rights, the same content."""
    path.chmod(0o640)


def link_elsewhere(path: Path) -> None:
    """A second name for the file, the content as it was."""
    os.link(path, path.parents[2] / "second name")


def test_an_edit_with_size_and_mtime_put_back_is_uploaded(home: Home, post: Post) -> None:
    """The inode's ctime, which nobody can put back, tells of it."""
    path = home.put(content="first state")
    home.age(path)
    post(home, {"path": path})
    edit_in_place(home.folder / path)

    answer = post(home, {"path": path})

    assert answer.body["status"] == "uploaded"
    assert sorted(home.stored().values()) == [b"etats tsrif", b"first state"]


@pytest.mark.parametrize("change", [chmod, link_elsewhere])
def test_what_leaves_the_content_alone_costs_one_reading(
    home: Home, post: Post, bytes_read: list[int], change: Callable[[Path], None]
) -> None:
    """Other rights or a second name: the content is read once, nothing is asked of Drive, and then it is known."""
    path = home.put()
    home.age(path)
    post(home, {"path": path})
    requests = len(home.drive.requests)
    bytes_read.clear()
    change(home.folder / path)

    answers = [post(home, {"path": path}) for _ in range(3)]

    assert [each.body["status"] for each in answers] == ["unchanged"] * 3
    assert len(home.drive.requests) == requests
    assert sum(bytes_read) == (home.folder / path).stat().st_size
