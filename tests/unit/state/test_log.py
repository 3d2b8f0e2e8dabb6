"""The log file: what an append makes of any file it may find, and what is left of an append that was killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from function.core.errors import InvalidPayload, Locked, UploadError, VolumeUnavailable
from function.core.naming import as_json
from function.core.retry import Deadline
from function.core.types import LogEntry
from function.serving.app import refused_entry
from function.state import log_index, log_schema
from function.state.locks import HeldLock
from function.state.log import UploadLog
from function.state.log_format import LOOK_BACK_BYTES, TAIL_BYTES, examine
from function.state.log_index import LogIndex
from local_runner.log import reader

SCHEMA = Path(__file__).parents[3] / "function/upload_log.schema.json"


@contextlib.contextmanager
def unlocked(_: Deadline) -> Iterator[HeldLock]:
    """Nobody else is there."""
    yield HeldLock("no lock", lambda: None)


def entry(number: int, text: str = "") -> LogEntry:
    """A valid entry that can be told from others."""
    return refused_entry(str(number), InvalidPayload(text))


def open_log(path: Path, warn: Callable[[str], None] = lambda text: None) -> UploadLog:
    """The log at that path, unlocked."""
    return UploadLog(path, unlocked, warn)


def append(path: Path, *entries: LogEntry) -> None:
    """Append to the log at that path."""
    open_log(path).append(entries, Deadline.after(10))


def ids(path: Path) -> list[str]:
    """The invocation ids in a log, which must be valid JSON."""
    return [each["invocation_id"] for each in json.loads(path.read_bytes())]


TEXTS = st.text(max_size=60) | st.sampled_from(["]", "},{", '{"time":', "\n]\n", "\\", '"', "é🎈", "\x00"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(before=st.lists(TEXTS, max_size=3), added=st.lists(TEXTS, min_size=1, max_size=3), cut=st.floats(0, 1))
def test_an_append_cut_anywhere_costs_no_earlier_entry(
    tmp_path: Path, before: list[str], added: list[str], cut: float
) -> None:
    """However little of the write reached the disk, the next append leaves valid JSON with all that was there."""
    path = tmp_path / "log.json"
    path.unlink(missing_ok=True)
    for number, text in enumerate(before):
        append(path, entry(number, text))
    old = path.read_bytes() if before else b""
    append(path, *(entry(100 + number, text) for number, text in enumerate(added)))
    whole = path.read_bytes()
    start = len(old.removesuffix(b"\n]\n"))
    kept = start + round(cut * (len(whole) - start))
    path.write_bytes(whole[:kept] + old[kept:])

    append(path, entry(999))

    found = ids(path)
    new = [str(100 + number) for number in range(len(added))]
    assert found[: len(before)] == [str(number) for number in range(len(before))]
    assert found[-1] == "999"
    assert found[len(before) : -1] == new[: len(found) - len(before) - 1]
    assert list(tmp_path.glob("*damaged*")) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(before=st.integers(0, 3), added=st.integers(1, 3), zeros=st.integers(0, 5000))
def test_blocks_of_zeros_behind_a_torn_write_are_cut_off(tmp_path: Path, before: int, added: int, zeros: int) -> None:
    """A file system may have made the file longer before the bytes arrived."""
    path = tmp_path / "log.json"
    path.unlink(missing_ok=True)
    for number in range(before):
        append(path, entry(number))
    path.write_bytes((path.read_bytes() if before else b"") + bytes(zeros))

    append(path, *(entry(100 + number) for number in range(added)))

    assert ids(path) == [str(each) for each in (*range(before), *range(100, 100 + added))]


ONE = as_json(entry(1)).decode()
LAYOUTS = {
    "ours": f"[\n{ONE}\n]\n",
    "without a newline at the end": f"[\n{ONE}\n]",
    "on one line": f"[{ONE}]",
    "pretty": json.dumps([json.loads(ONE)], indent=2),
    "pretty, with tabs and CRLF": json.dumps([json.loads(ONE)], indent="\t").replace("\n", "\r\n"),
    "with spaces around": f"  \n [ {ONE} ]  \n\n",
    "another program's entry": '[\n{"task": 7, "invocation_id": "1"}\n]\n',
    "a nested object at its end": '[{"invocation_id": "1", "a": {"b": {}}}]',
    "torn behind the entry": f"[\n{ONE}",
    "torn behind the comma": f"[\n{ONE},",
    "torn in the next entry": f'[\n{ONE},\n{{"time":"20',
    "torn in the next one's first letters": f'[\n{ONE},\n{{"t',
    "torn before the bracket's newline": f"[\n{ONE}\n]",
    "torn where it looks closed": f'[\n{ONE},\n{{"time":"","metadata":{{"a":[{{}}]',
    "a long one torn where it looks closed": f"[\n{ONE}," + " " * TAIL_BYTES + '\n{"time":"","metadata":{"a":[{}]',
    "a long one on one line": f"[{ONE}" + " " * TAIL_BYTES + "]",
    "a long entry": "[\n" + as_json(entry(1, "x" * 3 * TAIL_BYTES)).decode() + "\n]\n",
}


@pytest.mark.parametrize("content", LAYOUTS.values(), ids=list(LAYOUTS))
def test_an_array_of_entries_is_gone_on_with(tmp_path: Path, content: str) -> None:
    """Whoever wrote it, in whichever layout: the entries stay, the new one comes behind."""
    path = tmp_path / "log.json"
    path.write_bytes(content.encode())

    append(path, entry(2))

    assert ids(path) == ["1", "2"]
    assert list(tmp_path.glob("*damaged*")) == []


@pytest.mark.parametrize("content", ["", "[]", "[]\n", "[\n]\n", " [ ] ", "[\n", "\0" * 4096, "\n\n"])
def test_an_empty_log_is_begun(tmp_path: Path, content: str) -> None:
    """Nothing, an empty array, blanks."""
    path = tmp_path / "log.json"
    path.write_text(content)

    append(path, entry(1))

    assert ids(path) == ["1"]
    assert list(tmp_path.glob("*damaged*")) == []


NONSENSE = {
    "text": b"nonsense",
    "an object": b'{"a": 1}',
    "two documents": b'{"a": 1}\n{"b": 2}\n',
    "binary": bytes(range(256)),
    "an array's end": b'{"a": 1}]',
    "entries without an array": f"{ONE}\n{as_json(entry(2)).decode()}\n".encode(),
    "a number": b"7",
    "HTML": b"<html></html>",
    "UTF-16": f"[\n{ONE}\n]\n".encode("utf-16"),
    "of another program, damaged": b'[\n{"a": 1},\n{"b": 2\n{"c": 3}\n]\n',
}

TWO = as_json(entry(2)).decode()
DAMAGED: dict[str, tuple[bytes, list[str], bytes]] = {
    "the array cut, then text": (f"[\n{ONE},\nand then somebody wrote this".encode(), ["1"], b"somebody wrote"),
    "garbage between entries": (f"[\n{ONE},\n%%%,\n{TWO}\n]\n".encode(), ["1", "2"], b"%%%"),
    "a number among the entries": (f"[1,\n{ONE}\n]\n".encode(), ["1"], b"[1,"),
    "two arrays": (f"[\n{ONE}\n]\n[\n{TWO}\n]\n".encode(), ["1", "2"], b""),
    "its bracket damaged": (f"Z\n{ONE},\n{TWO}\n]\n".encode(), ["1", "2"], b"Z"),
    "its bracket lost": (f"\n{ONE},\n{TWO}\n]\n".encode(), ["1", "2"], b""),
    "a line in front of it": (f"# edited by hand\n[\n{ONE},\n{TWO}\n]\n".encode(), ["1", "2"], b"# edited by hand"),
    "a nested array": (f"[[\n{ONE}\n]\n]".encode(), ["1"], b""),
    "a comma missing": (f"[\n{ONE}\n{TWO}\n]\n".encode(), ["1", "2"], b""),
    "its first entry torn at the front": (f"[\n{ONE[20:]},\n{TWO}\n]\n".encode(), ["2"], ONE[20:].encode()),
    "zeros inside": (
        f"[\n{ONE[:50]}".encode() + bytes(100) + f",\n{TWO}\n]\n".encode(),
        ["2"],
        ONE[:50].encode() + bytes(100),
    ),
    "not UTF-8": (f"[\n{ONE},\n{TWO}\n]\n".encode().replace(b"failed", b"f\xff", 1), ["2"], b"f\xff"),
    "its last entry not UTF-8": (f"[\n{ONE},\n{TWO}\n]\n".encode().replace(b'"2"', b'"\xff"'), ["1"], b'"\xff"'),
    "a deeply nested line": (
        f"[\n{ONE},\n".encode() + b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + f"}},\n{TWO}\n]\n".encode(),
        ["1", "2"],
        b"[" * 50_000,
    ),
    "garbage, then a torn entry": (f'[\n{ONE},\n%%%,\n{TWO},\n{{"time":"20'.encode(), ["1", "2"], b"%%%"),
    "written over by a late append": (
        f"[\n{ONE},\n{TWO[:90]}\n]\n{TWO[95:]},\n{TWO}\n]\n".encode(),
        ["1", "2"],
        TWO[:90].encode(),
    ),
}


@pytest.mark.parametrize(("content", "kept", "damaged"), DAMAGED.values(), ids=list(DAMAGED))
def test_a_damaged_part_is_kept_elsewhere_and_every_whole_entry_stays(
    tmp_path: Path, content: bytes, kept: list[str], damaged: bytes
) -> None:
    """The entries before it and behind it are in the log, which is an array again; the damaged bytes are in a file."""
    path = tmp_path / "log.json"
    path.write_bytes(content)
    told: list[str] = []

    open_log(path, told.append).append([entry(3)], Deadline.after(10))

    assert ids(path) == [*kept, "3"]
    aside = [each.read_bytes() for each in tmp_path.glob("*damaged*")]
    assert len(told) == len(aside) == (1 if damaged else 0)
    assert all(damaged in each for each in aside)


@pytest.mark.parametrize("content", NONSENSE.values(), ids=list(NONSENSE))
def test_nonsense_is_set_aside_whole(tmp_path: Path, content: bytes) -> None:
    """A file that is no log is kept under another name, which is told in a sentence; a new log begins."""
    path = tmp_path / "log.json"
    path.write_bytes(content)
    told: list[str] = []

    open_log(path, told.append).append([entry(1)], Deadline.after(1))

    (aside,) = tmp_path.glob("*damaged*")
    assert ids(path) == ["1"]
    assert aside.read_bytes() == content
    assert len(told) == 1
    assert str(path) in told[0]
    assert str(aside) in told[0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=500)
@given(content=st.binary(max_size=200) | st.text(alphabet='[]{},:"\\ \n\0ta1', max_size=60).map(str.encode))
@example(b'{"a":' + b"[" * 100_000)
@example(b'[1,{"a":2}]')
@example(b"[\n}\n]")
def test_any_file_is_gone_on_with_or_set_aside(tmp_path: Path, content: bytes) -> None:
    """Never an error, nothing valid lost."""
    path = tmp_path / "log.json"
    for old in tmp_path.iterdir():
        old.unlink()
    path.write_bytes(content)

    append(path, entry(1))

    kept = json.loads(path.read_bytes()) if not list(tmp_path.glob("*damaged*")) else None
    with contextlib.suppress(ValueError, RecursionError):
        valid = json.loads(content)
        assert kept is None or kept[:-1] == valid


@given(st.binary(max_size=300), st.integers(0, 10**9))
def test_the_end_of_any_file_is_examined(view: bytes, start: int) -> None:
    """A position inside the view, or none; what is overwritten keeps its length and stands in front of it."""
    tail = examine(view, start)

    if tail:
        assert start <= tail.position.offset <= start + len(view)
        for each in tail.damages:
            assert view[each.offset - start :].startswith(each.found)
            assert len(each.instead) in (0, len(each.found))


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.unit.state.test_log import append, entry
real, step = os.pwrite, int(sys.argv[2])
def torn(fd, content, offset):
    real(fd, content[:step], offset)
    os.kill(os.getpid(), signal.SIGKILL)
os.pwrite = torn
append(Path(sys.argv[1]), entry(2, "second"), entry(3, "third"))
"""


@pytest.mark.parametrize("step", [0, 1, 2, 3, 100, 400, 700])
def test_a_process_killed_in_its_append(tmp_path: Path, step: int) -> None:
    """kill -9 after so many bytes: the next append leaves a valid log with the first entry."""
    path = tmp_path / "log.json"
    append(path, entry(1, "first"))

    killed = subprocess.run([sys.executable, "-c", KILLED, path, str(step)], cwd=SCHEMA.parents[1], check=False)
    append(path, entry(4))

    assert killed.returncode == -signal.SIGKILL
    assert ids(path)[0] == "1"
    assert ids(path)[-1] == "4"


def test_a_full_disk_leaves_the_log_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC in the middle of a write: said, and what was there is valid as it stands."""
    path = tmp_path / "log.json"
    append(path, entry(1))
    real, room = os.pwrite, [200]

    def full(fd: int, content: bytes, offset: int) -> int:
        if offset + len(content) > path.stat().st_size + 3 and room:
            return real(fd, content[: room.pop()], offset)
        if len(content) > 10:
            raise OSError(28, "No space left on device")
        return real(fd, content, offset)

    monkeypatch.setattr(os, "pwrite", full)

    with pytest.raises(VolumeUnavailable, match="No space left"):
        append(path, entry(2))

    assert ids(path) == ["1"]


@pytest.mark.parametrize("is_linked", [False, True])
def test_a_full_disk_leaves_no_empty_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_linked: bool) -> None:
    """ENOSPC before the first byte: no file is left, but a link to where the log shall be."""
    path, place = tmp_path / "log.json", tmp_path / "elsewhere.json"
    if is_linked:
        path.symlink_to(place)

    def full(fd: int, content: bytes, offset: int) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(VolumeUnavailable, match="No space left"):
            append(path, entry(1))

    assert not path.exists()
    assert path.is_symlink() == is_linked
    append(path, entry(2))
    assert ids(path) == ["2"]


def test_appends_of_many_threads_are_all_there(tmp_path: Path) -> None:
    """None lost, none torn, each entry of a call together and in order."""
    log = open_log(tmp_path / "log.json")
    threads = [
        threading.Thread(target=lambda at=at: log.append([entry(at), entry(at + 1)], Deadline.after(10)))
        for at in range(0, 200, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = list(map(int, ids(tmp_path / "log.json")))

    assert sorted(found) == list(range(200))
    assert all(found[index + 1] == found[index] + 1 for index in range(0, 200, 2))


@dataclass
class Held:
    """A lock that waits until it is let go; then it is had, or refused."""

    error: Locked | None = None
    asked: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def __call__(self, _: Deadline) -> Iterator[HeldLock]:
        self.asked.set()
        assert self.let_go.wait(10)
        if self.error:
            raise self.error
        yield HeldLock("held", lambda: None)


def outcome_of(log: UploadLog, number: int, deadline: Deadline) -> tuple[threading.Thread, list[UploadError | None]]:
    """An append under way in a thread, and where its error comes to, or None."""
    outcome: list[UploadError | None] = []

    def run() -> None:
        try:
            log.append([entry(number)], deadline)
            outcome.append(None)
        except UploadError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), RuntimeError("can't start new thread")])
def test_a_write_that_fails_fails_for_all_who_queued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whatever the failure is, nobody whose entry was to be written with it is told that it stands."""
    lock = Held()
    log = UploadLog(tmp_path / "log.json", lock, lambda text: None)

    def broken(fd: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", broken)
    first, outcome = outcome_of(log, 1, Deadline.after(10))
    assert lock.asked.wait(10)
    others = [outcome_of(log, number, Deadline.after(10)) for number in (2, 3)]
    while len(log._queue) < 3:
        time.sleep(0.001)
    lock.let_go.set()
    for thread, _ in [(first, outcome), *others]:
        thread.join()

    assert all(isinstance(each, VolumeUnavailable) for each in chain(outcome, *(told for _, told in others)))


def test_who_does_not_get_the_lock_fails_alone(tmp_path: Path) -> None:
    """The others who queued take their turns, each as long as its own deadline allows."""
    lock, patience = Held(Locked("held")), Deadline.after(10)
    path = tmp_path / "log.json"
    log = UploadLog(path, lambda given: unlocked(given) if given is patience else lock(given), lambda text: None)
    first, refused = outcome_of(log, 1, Deadline.after(10))
    assert lock.asked.wait(10)
    second, written = outcome_of(log, 2, patience)
    while len(log._queue) < 2:
        time.sleep(0.001)
    lock.let_go.set()
    first.join()
    second.join()

    assert [type(each) for each in refused] == [Locked]
    assert written == [None]
    assert ids(path) == ["2"]


def test_who_gives_up_waiting_is_not_logged_later(tmp_path: Path) -> None:
    """An append waits as long as its own deadline, whoever's turn it is; what was refused is not written after all."""
    lock = Held()
    log = UploadLog(tmp_path / "log.json", lock, lambda text: None)
    first, outcome = outcome_of(log, 1, Deadline.after(10))
    assert lock.asked.wait(10)

    with pytest.raises(Locked, match="being written"):
        log.append([entry(2)], Deadline.after(0.01))
    lock.let_go.set()
    first.join()

    assert outcome == [None]
    assert ids(tmp_path / "log.json") == ["1"]


def test_a_deadline_that_is_past_still_logs_where_nobody_is_in_the_way(tmp_path: Path) -> None:
    """What failed because its time was up has to be told, too."""
    open_log(tmp_path / "log.json").append([entry(1)], Deadline.after(0))

    assert ids(tmp_path / "log.json") == ["1"]


def test_the_schema_that_ships_is_the_models() -> None:
    """`python -m function.state.log_schema` was run after the last change of LogEntry; each field is described."""
    shipped = json.loads(SCHEMA.read_text(encoding="utf-8"))

    assert shipped == log_schema.schema()
    assert set(shipped["properties"]) == set(shipped["required"]) == set(LogEntry.__struct_fields__)
    assert all(each["description"].endswith(".") for each in shipped["properties"].values())
    Draft202012Validator.check_schema(shipped)


@pytest.mark.parametrize(
    "change", [{"status": "done"}, {"reason": "bad luck"}, {"size": -1}, {"md5": "X"}, {"more": 1}, {"time": 7}]
)
def test_the_schema_refuses_what_no_entry_is(change: dict[str, Any]) -> None:
    """It is not so wide that it means nothing."""
    validator = Draft202012Validator(log_schema.schema())
    valid = json.loads(as_json(entry(1)))

    assert validator.is_valid(valid)
    assert not validator.is_valid(valid | change)
    assert not validator.is_valid({name: value for name, value in valid.items() if name != "link"})


@pytest.mark.parametrize("max_bytes", [10**9, 50])
def test_a_log_that_is_a_link_stays_one(tmp_path: Path, max_bytes: int) -> None:
    """The log lies where the link leads, closed logs beside it."""
    path, place = tmp_path / "home" / "upload_log.json", tmp_path / "elsewhere" / "log.json"
    path.parent.mkdir()
    path.symlink_to(place)
    log = UploadLog(path, unlocked, pytest.fail, max_bytes)

    for number in range(3):
        log.append([entry(number)], Deadline.after(10))

    assert path.is_symlink()
    assert path.resolve() == place
    assert [each for one in log_index.all_logs(path) for each in ids(one)] == ["0", "1", "2"]
    assert len(list(place.parent.iterdir())) == (1 if max_bytes > 50 else 3)


@pytest.mark.parametrize("change", ["renamed", "truncated", "removed", "linked"])
def test_a_log_that_is_rotated_while_the_server_runs_goes_on(tmp_path: Path, change: str) -> None:
    """By logrotate or by hand: the next entry begins a log where the log's name leads now."""
    path = tmp_path / "upload_log.json"
    log = open_log(path, pytest.fail)
    log.append([entry(1), entry(2)], Deadline.after(10))
    match change:
        case "renamed":
            path.rename(tmp_path / "upload_log.json.1")
        case "truncated":
            os.truncate(path, 0)
        case "removed":
            path.unlink()
        case "linked":
            path.rename(tmp_path / "upload_log.json.1")
            path.symlink_to(tmp_path / "elsewhere.json")

    log.append([entry(3)], Deadline.after(10))
    log.append([entry(4)], Deadline.after(10))

    assert ids(path) == ["3", "4"]


def test_a_log_of_gigabytes_is_appended_to_in_bounded_memory(tmp_path: Path) -> None:
    """Its beginning and its last megabytes are read, by the log and by the index of uploads."""
    path = tmp_path / "upload_log.json"
    line = as_json(entry(1)) + b",\n"
    with open(path, "wb") as file:
        file.write(b"[\n" + line)
        file.seek(3 * 2**30)  # a hole: what stands there is of no concern
        file.write(b"\n" + line * 20_000 + as_json(entry(2)) + b"\n]\n")
    before = path.stat().st_size
    index = LogIndex(path)

    tracemalloc.start()
    try:
        UploadLog(path, unlocked, pytest.fail, 2**40).append([entry(3)], Deadline.after(60))
        index.read_on()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert before < path.stat().st_size < before + 2000
    assert peak < LOOK_BACK_BYTES + 2_000_000


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A folder (as a container engine makes it for a mount of nothing) or a pipe is not moved away, nor waited for."""
    make(tmp_path / "upload_log.json")

    with pytest.raises(VolumeUnavailable, match="not a regular file"):
        append(tmp_path / "upload_log.json", entry(1))
    with pytest.raises(VolumeUnavailable, match="not a regular file"):
        LogIndex(tmp_path / "upload_log.json").read_on()
    with pytest.raises(reader.NotALog, match="not a regular file"):
        list(reader.entries(tmp_path / "upload_log.json"))

    assert len(list(tmp_path.iterdir())) == 1
