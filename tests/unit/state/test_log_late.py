"""Appends that come late, by a process that was frozen while its lease ran out: what it may do, and who notices."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from function.core.errors import Locked, VolumeUnavailable
from function.core.retry import Deadline
from function.state import log as log_module
from function.state.locks import HeldLock
from function.state.log import UploadLog
from tests.unit.state.test_log import entry, ids
from tests.unit.state.test_log_index import uploaded


def leased(path: Path, is_lost: Callable[[], bool] = lambda: False) -> UploadLog:
    """The log in the hands of one process under a lease, whose loss `is_lost` tells."""

    @contextlib.contextmanager
    def lock(_: Deadline) -> Iterator[HeldLock]:
        yield HeldLock("lease", lambda: None, is_lost, is_lease=True)

    return UploadLog(path, lock, lambda text: None)


def append(log: UploadLog, *numbers: int) -> list[bool]:
    """Append entries."""
    return log.append([entry(number) for number in numbers], Deadline.after(10))


def test_who_lost_its_lease_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frozen between its look for the log's end and its write, when it wakes up others have logged: it is refused."""
    path = tmp_path / "upload_log.json"
    append(leased(path), 1)
    lost: list[bool] = []
    examined = log_module._examined

    def frozen(fd: int, size: int) -> Any:
        tail = examined(fd, size)
        monkeypatch.setattr(log_module, "_examined", examined)
        append(leased(path), 2, 3, 4, 5)
        lost.append(True)
        return tail

    monkeypatch.setattr(log_module, "_examined", frozen)

    with pytest.raises(Locked, match="was lost"):
        append(leased(path, lambda: bool(lost)), 6)

    assert ids(path) == ["1", "2", "3", "4", "5"]


def test_a_lease_that_is_lost_before_a_write_stops_it(tmp_path: Path) -> None:
    """Nobody has written yet, but its successor may be about to: immediately before the write it is asked for again."""
    path = tmp_path / "upload_log.json"
    append(leased(path), 1)
    before = path.read_bytes()
    answers = iter([False, True, True, True])

    with pytest.raises(Locked, match="was lost"):
        append(leased(path, lambda: next(answers)), 2)

    assert path.read_bytes() == before


def test_who_cannot_see_that_it_lost_its_lease_sees_that_the_log_grew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An NFS client may show the old marker for seconds: the file's length tells, and the entry goes to its end."""
    path = tmp_path / "upload_log.json"
    append(leased(path), 1)
    written_over = log_module._LogFile._written_over

    def frozen(file: Any, fd: int) -> list[bytes]:
        monkeypatch.setattr(log_module._LogFile, "_written_over", written_over)
        append(leased(path), 2, 3)
        return written_over(file, fd)

    monkeypatch.setattr(log_module._LogFile, "_written_over", frozen)
    append(leased(path), 4)

    assert ids(path) == ["1", "2", "3", "4"]


def late_write(monkeypatch: pytest.MonkeyPatch, others: Callable[[], object]) -> None:
    """Let `others` write between the last look of an append and its system call: as late as can be."""
    real = os.pwrite

    def late(fd: int, content: bytes, offset: int) -> int:
        monkeypatch.setattr(os, "pwrite", real)
        others()
        return real(fd, content, offset)

    monkeypatch.setattr(os, "pwrite", late)


@pytest.mark.parametrize("count", [1, 2, 4, 40])
@pytest.mark.parametrize("length", [1, 300, 2500])
def test_entries_that_were_written_over_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, length: int
) -> None:
    """Their process finds them gone when it appends next, and appends them again; the log is an array throughout."""
    path = tmp_path / "upload_log.json"
    alive, woken = leased(path), leased(path)
    append(alive, 0)
    late_write(monkeypatch, lambda: append(alive, *range(1, count + 1)))
    with contextlib.suppress(Locked, VolumeUnavailable):
        woken.append([entry(500, "x" * length)], Deadline.after(10))

    append(alive, 600)

    found = ids(path)
    assert found[0] == "0"
    assert {str(number) for number in range(count + 1)} | {"600"} <= set(found)
    assert len([each for each in found if each != "500"]) == count + 2
    assert found.count("500") <= 2


def test_an_upload_that_was_written_over_is_logged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds the upload missing may have logged it again before its own process does."""
    path = tmp_path / "upload_log.json"
    alive = leased(path)
    append(alive, 0)
    late_write(monkeypatch, lambda: alive.append([uploaded(1)], Deadline.after(10)))
    with contextlib.suppress(Locked):
        leased(path).append([entry(500, "x" * 900)], Deadline.after(10))
    leased(path).append([uploaded(1)], Deadline.after(10), unless_logged={"file-1": 0})

    append(alive, 600)

    assert ids(path).count("1") == 1


@pytest.mark.parametrize("change", ["removed", "rewritten", "cut", "rotated"])
def test_what_a_person_took_out_of_the_log_stays_out(tmp_path: Path, change: str) -> None:
    """Only entries that another entry was written over are missed."""
    path = tmp_path / "upload_log.json"
    log = leased(path)
    append(log, 1, 2, 3)
    kept = json.loads(path.read_bytes())[:1]
    match change:
        case "removed":
            path.unlink()
        case "rewritten":
            path.unlink()
            path.write_text(json.dumps(kept))
        case "cut":
            os.truncate(path, 0)
        case "rotated":
            path.rename(tmp_path / "upload_log.json.1")

    append(log, 4)

    assert ids(path) == (["1", "4"] if change == "rewritten" else ["4"])


def test_a_writer_without_the_lock_is_gone_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program appends while the log is being written: both entries are there, each once."""
    path = tmp_path / "upload_log.json"
    log = leased(path)
    append(log, 0)
    real, calls = os.fstat, [0]

    def interrupted(fd: int) -> os.stat_result:
        calls[0] += 1
        if calls[0] == 5:
            append(leased(path), 1)
        return real(fd)

    monkeypatch.setattr(os, "fstat", interrupted)
    log.append([entry(number) for number in (2, 3, 4)], Deadline.after(10))

    assert calls[0] >= 5
    assert sorted(ids(path)) == ["0", "1", "2", "3", "4"]
