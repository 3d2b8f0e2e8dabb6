"""What a log tells of uploads: found whatever else stands there, learned as it grows, no further back than needed."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from function.core.errors import InvalidPayload
from function.core.retry import Deadline
from function.core.types import Digests, LogEntry, Status
from function.serving.app import refused_entry
from function.state import log_index
from function.state.locks import HeldLock
from function.state.log import UploadLog
from function.state.log_index import LogIndex


@contextlib.contextmanager
def unlocked(_: Deadline) -> Iterator[HeldLock]:
    """Nobody else is there."""
    yield HeldLock("no lock", lambda: None)


@pytest.fixture
def log(tmp_path: Path) -> UploadLog:
    """A log that isn't there yet."""
    return UploadLog(tmp_path / "upload_log.json", unlocked, print)


def refused(number: int, text: str = "") -> LogEntry:
    """An entry that tells of no upload."""
    return refused_entry(str(number), InvalidPayload(text))


def uploaded(number: int, path: str = "Data/Meta/zones.txt") -> LogEntry:
    """The entry of an upload."""
    return replace(
        refused(number),
        status=Status.UPLOADED,
        reason=None,
        message=None,
        account="default",
        path=path,
        destination=path.replace("Data/", "MemoryVDB/", 1),
        file_id=f"file-{number}",
        size=number,
        md5=f"{number:032}",
        sha256=f"{number:064}",
    )


def append(log: UploadLog, *entries: LogEntry) -> None:
    """Append to the log."""
    log.append(entries, Deadline.after(10))


def known(memory: LogIndex, path: str = "Data/Meta/zones.txt") -> list[str]:
    """The ids of the uploads from a source."""
    return [each.file_id for each in memory.uploads_from("default", path)]


@pytest.mark.parametrize("cut", [1, 3, 4, 100, 250])
def test_an_upload_is_found_behind_an_append_that_was_torn(log: UploadLog, cut: int) -> None:
    """What is logged after a torn entry is found, though the log was longer when the upload was claimed."""
    append(log, refused(1), refused(2, "a long message, to be torn" * 9))
    log.path.write_bytes(log.path.read_bytes()[:-cut])
    since = log.position()

    append(log, uploaded(3))

    found = LogIndex(log.path).upload_of("file-3", since)
    assert found
    assert found.content.digests == Digests(f"{3:032}", f"{3:064}")
    assert LogIndex(log.path).upload_of("file-4", since) is None


def test_an_upload_is_found_in_a_log_that_was_begun_anew(log: UploadLog) -> None:
    """A claim remembers how long the log was; in another log that means nothing."""
    append(log, *(refused(number) for number in range(9)))
    since = log.position()

    log.path.unlink()
    append(log, uploaded(1), *(refused(number, "text") for number in range(20)))

    assert LogIndex(log.path).upload_of("file-1", since)


def test_an_upload_of_a_name_that_is_not_utf8_is_found(log: UploadLog) -> None:
    """Such a name is in the log as an escape that stands for no character."""
    append(log, uploaded(1, "Data/caf\udce9.txt"))
    memory = LogIndex(log.path)

    memory.read_on()

    assert known(memory, "Data/caf\udce9.txt") == ["file-1"]
    assert memory.upload_of("file-1", 0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.lists(st.tuples(st.booleans(), st.text(max_size=30), st.booleans()), max_size=12))
def test_however_the_log_grows_each_upload_is_learned_once(log: UploadLog, steps: list[tuple[bool, str, bool]]) -> None:
    """Uploads among other entries, read on after each append or after several."""
    log.path.unlink(missing_ok=True)
    memory = LogIndex(log.path)
    due = []
    for number, (is_upload, text, reads) in enumerate(steps):
        append(log, uploaded(number) if is_upload else refused(number, text))
        due += [f"file-{number}"] if is_upload else []
        if reads:
            memory.read_on()
    memory.read_on()

    assert known(memory) == due


def test_what_was_torn_when_it_was_read_is_learned_when_it_is_whole(log: UploadLog) -> None:
    """A reader may come while an entry is being written."""
    append(log, uploaded(1))
    before = log.path.read_bytes()
    append(log, uploaded(2))
    whole = log.path.read_bytes()
    memory = LogIndex(log.path)

    for end in (len(before) - 1, len(before) + 1, len(before) + 90, len(whole) - 4, len(whole) - 2):
        log.path.write_bytes(whole[:end])
        memory.read_on()
    log.path.write_bytes(whole)
    memory.read_on()

    assert known(memory) == ["file-1", "file-2"]


def test_a_log_that_was_begun_anew_is_read_anew(log: UploadLog) -> None:
    """A shorter log is another one."""
    append(log, *map(uploaded, range(9)))
    memory = LogIndex(log.path)
    memory.read_on()

    log.path.unlink()
    append(log, uploaded(10))
    memory.read_on()

    assert known(memory) == ["file-10"]


def test_it_reaches_back_so_far_and_no_further(log: UploadLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the log is, and becomes, what is kept of it is bounded, and its end is among it."""
    monkeypatch.setattr(log_index, "REACH_BYTES", 3000)
    append(log, *map(uploaded, range(100)))
    memory = LogIndex(log.path)
    for number in range(100, 160):
        memory.read_on()
        assert known(memory)[-1] == f"file-{number - 1}"
        assert len(known(memory)) < 20
        append(log, uploaded(number))


def test_the_last_upload_below_a_folder(log: UploadLog) -> None:
    """In the folder or in one below it, of that account; a folder whose name only begins so is another."""
    append(log, uploaded(1, "Data/Meta/a.txt"), uploaded(2, "Data/Meta/sub/b.txt"), uploaded(3, "Data/Metal/c.txt"))
    append(log, replace(uploaded(4, "Data/Meta/d.txt"), account="another"))
    memory = LogIndex(log.path)
    memory.read_on()

    found = memory.last_below("default", "MemoryVDB/Meta")

    assert found
    assert found.file_id == "file-2"
    assert memory.last_below("default", "MemoryVDB/Me") is None


@pytest.mark.parametrize(
    "content", [b"", b"[]\n", b"nonsense", b'[\n{"status":"uploaded"}\n]\n', b'[{"uploaded": 1,\n']
)
def test_what_is_no_upload_is_passed_over(log: UploadLog, content: bytes) -> None:
    """Whatever stands in the file, nothing is learned from it and nothing fails."""
    log.path.write_bytes(content)
    memory = LogIndex(log.path)

    memory.read_on()

    assert not memory.last_below("default", "MemoryVDB")
