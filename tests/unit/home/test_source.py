"""The local file: where it is, what it holds, and what is noticed when it changes."""

import hashlib
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from function.core.errors import DeadlineExceeded, SourceError
from function.home import source as source_module
from function.home.data_root import DataRoot, OwnFiles
from function.home.settings import load
from function.home.source import BLOCK_BYTES, MemoryBudget, Source, find_source

SMALL = bytes(range(256)) * (BLOCK_BYTES // 100)
LARGE = SMALL * 2


@pytest.fixture
def content() -> bytes:
    """What the note holds."""
    return SMALL


@pytest.fixture
def root(tmp_path: Path, content: bytes) -> Path:
    """A data_root beside a secret."""
    (tmp_path / "Data/Meta").mkdir(parents=True)
    (tmp_path / "Data/Meta/note.txt").write_bytes(content)
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "Data/out").symlink_to(tmp_path)
    (tmp_path / "Data/in").symlink_to("Meta")
    return tmp_path / "Data"


def source(root: Path) -> Source:
    """The note."""
    return find_source(DataRoot(root.parent, root).locate("Data/Meta/note.txt"), own_files(root))


def own_files(root: Path) -> OwnFiles:
    """Those of a home that has none yet."""
    return OwnFiles(load({"DRIVE_UPLOAD_HOME": str(root.parent), "DRIVE_UPLOAD_DRIVE_ROOT": "MemoryVDB"}))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(
    st.lists(
        st.sampled_from(["Data", "Meta", "note.txt", "..", ".", "", "out", "in", "secret.txt", "/", "etc", "passwd"]),
        max_size=8,
    )
)
def test_no_path_leads_out(root: Path, parts: list[str]) -> None:
    """Whatever is put together: what is located lies below data_root, or it is refused."""
    try:
        location = DataRoot(root.parent, root).locate("/".join(parts))
    except SourceError:
        return

    assert Path(location.path).resolve().is_relative_to(root.resolve())
    assert os.path.realpath(root / location.relative) == os.fspath(location.path)


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("offset", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, len(SMALL) - 1, len(SMALL)])
def test_the_rest_of_a_file_comes_in_blocks(root: Path, content: bytes, offset: int) -> None:
    """From any byte to the end."""
    assert b"".join(bytes(each) for each in source(root).blocks(offset)) == content[offset:]


def test_digests_are_computed_once(root: Path) -> None:
    """MD5 and SHA-256, whoever asks again."""
    checks: list[None] = []
    note = source(root)

    first = note.digests(lambda: checks.append(None))
    again = note.digests(lambda: checks.append(None))

    assert first is again
    assert first.sha256 == hashlib.sha256(SMALL).hexdigest()
    assert first.md5 == hashlib.md5(SMALL, usedforsecurity=False).hexdigest()
    assert 1 <= len(checks) <= 10


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_digests_that_are_known_are_not_given_for_a_file_that_has_changed(root: Path) -> None:
    """A second account asks for them later."""
    note = source(root)
    note.digests()
    (root / "Meta/note.txt").write_bytes(b"changed")

    with pytest.raises(SourceError) as caught:
        note.digests()

    assert caught.value.reason == "source_changed"


def test_a_small_content_is_read_once_for_all_who_use_it(root: Path, bytes_read: list[int]) -> None:
    """To be hashed, and to be sent to two accounts; nothing of it stays when the last is done."""
    note = source(root)

    with note.in_use():
        with note.in_use():
            note.digests()
            first = note.read()
        second = b"".join(map(bytes, note.blocks(0)))

    assert first == second == SMALL
    assert sum(bytes_read) == len(SMALL)
    assert note.read() == SMALL
    assert sum(bytes_read) == 2 * len(SMALL)


def test_only_so_much_is_in_memory_at_one_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who would read more waits until others have sent theirs, and may give up meanwhile."""
    monkeypatch.setattr(source_module, "_memory", MemoryBudget(len(SMALL)))
    (root / "Meta/other.txt").write_bytes(SMALL)
    note, other = source(root), find_source(DataRoot(root.parent, root).locate("Data/Meta/other.txt"), own_files(root))

    def give_up() -> None:
        raise DeadlineExceeded("Enough.")

    with other.in_use():
        with note.in_use():
            note.read()
            with pytest.raises(DeadlineExceeded):
                other.read(give_up)
        assert other.read() == SMALL


@pytest.mark.parametrize("content", [LARGE], ids=["large"])
def test_a_large_content_is_never_held(root: Path, bytes_read: list[int]) -> None:
    """It is read again, block by block."""
    note = source(root)

    with note.in_use():
        note.digests()
        list(note.blocks(0))

    assert sum(bytes_read) == 2 * len(LARGE)
    assert max(bytes_read) <= BLOCK_BYTES


@pytest.mark.parametrize("content", [LARGE], ids=["large"])
def test_both_digests_are_of_one_reading(root: Path, bytes_read: list[int]) -> None:
    """The one is computed beside the other, and known when it is asked for alone."""
    note = source(root)

    found = note.digests()

    assert found.sha256 == note.sha256() == hashlib.sha256(LARGE).hexdigest()
    assert found.md5 == hashlib.md5(LARGE, usedforsecurity=False).hexdigest()
    assert sum(bytes_read) == len(LARGE)


@pytest.mark.parametrize("content", [LARGE], ids=["large"])
def test_a_large_content_is_hashed_while_it_is_sent(root: Path, bytes_read: list[int]) -> None:
    """To two accounts, one ahead of the other: each reads it once, and whoever is ahead hashes."""
    note = source(root)
    first, second = note.blocks(0), note.blocks(0)

    next(first)
    next(second)
    sent = [*first, *second]

    assert sent
    assert note.sha256() == hashlib.sha256(LARGE).hexdigest()
    assert sum(bytes_read) == 2 * len(LARGE)


@pytest.mark.parametrize("content", [LARGE], ids=["large"])
@given(pieces=st.lists(st.tuples(st.integers(0, len(LARGE)), st.integers(1, 8)), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_whatever_was_sent_of_it_the_hash_is_the_whole_contents(root: Path, pieces: list[tuple[int, int]]) -> None:
    """Sessions break and go on, further back or, from an earlier invocation, further on."""
    note = source(root)

    for offset, count in pieces:
        list(islice(note.blocks(offset), count))

    assert note.sha256() == hashlib.sha256(LARGE).hexdigest()


def replace_by(make: Callable[[Path], object]) -> Callable[[Path], None]:
    """A change that puts something else in the file's place."""

    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


def rename_over(path: Path) -> None:
    """As editors save: the same bytes, another file."""
    path.with_suffix(".new").write_bytes(path.read_bytes())
    path.with_suffix(".new").rename(path)


def edit_and_put_the_mtime_back(path: Path) -> None:
    """In place, of the same size; until the clock of the file system, which ticks slowly, has moved on."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        with path.open("r+b") as file:
            file.write(b"edited")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "longer": lambda path: path.write_bytes(LARGE + b"x"),
    "shorter": lambda path: path.write_bytes(SMALL[:5]),
    "replaced": rename_over,
    "edited in place": edit_and_put_the_mtime_back,
    "touched": lambda path: os.utime(path, (1, 1)),
    "gone": Path.unlink,
    "a folder by now": replace_by(Path.mkdir),
    "a link out by now": replace_by(lambda path: path.symlink_to("../../secret.txt")),
    "a FIFO by now": replace_by(os.mkfifo),
}


def read_to_the_end(note: Source, blocks: Iterator[memoryview]) -> None:
    """What a sender does with a source."""
    for _ in blocks:
        continue
    note.check_unchanged()


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("kind", CHANGES)
def test_a_file_that_changes_is_refused(root: Path, kind: str) -> None:
    """Before it is read, and while it is: never a mixture, never another file, never a hang."""
    note, read_from = source(root), source(root)
    reading = read_from.blocks(0)
    next(reading)

    CHANGES[kind](root / "Meta/note.txt")

    with pytest.raises(SourceError):
        note.read()
    with pytest.raises(SourceError):
        note.digests()
    with pytest.raises(SourceError, match="changed"):
        note.check_unchanged()
    with pytest.raises(SourceError, match="changed"):
        read_to_the_end(read_from, reading)


def test_a_folder_swapped_for_a_link_is_noticed(root: Path) -> None:
    """A race with somebody who replaces the parent: nothing outside is read."""
    note = source(root)
    (root / "Meta").rename(root / "Old")
    (root.parent / "elsewhere").mkdir()
    (root.parent / "elsewhere/note.txt").write_text("secret")
    (root / "Meta").symlink_to(root.parent / "elsewhere")

    with pytest.raises(SourceError) as refusal:
        note.read()

    assert refusal.value.reason == "source_changed"
