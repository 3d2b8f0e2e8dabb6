"""One `uploaded` entry per upload: an append that leaves out what the log tells already, also from closed logs."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from function.core.retry import Deadline
from function.core.types import LogEntry, Status
from function.state import log_index
from function.state.log import UploadLog
from function.state.log_index import LogIndex
from tests.unit.state.test_log import entry, ids, open_log, unlocked
from tests.unit.state.test_log_index import uploaded


def log_once(log: UploadLog, position: int, *entries: LogEntry) -> list[bool]:
    """Append what isn't logged behind that position."""
    return log.append(
        entries, Deadline.after(10), unless_logged={each.file_id: position for each in entries if each.file_id}
    )


def closing(path: Path) -> UploadLog:
    """A log that is closed as soon as it holds an entry."""
    return UploadLog(path, unlocked, lambda text: None, max_bytes=50)


OPEN: dict[str, Callable[[Path], UploadLog]] = {"one log": open_log, "closed logs": closing}


@pytest.fixture(params=OPEN.values(), ids=list(OPEN))
def log(request: pytest.FixtureRequest, tmp_path: Path) -> UploadLog:
    """A log that goes on, or one that is closed before each append."""
    log: UploadLog = request.param(tmp_path / "upload_log.json")
    return log


def all_ids(log: UploadLog) -> list[str]:
    """The invocation ids in all files of a log, oldest first."""
    return [each for path in log_index.all_logs(log.path) for each in ids(path)]


def test_an_upload_is_logged_once(log: UploadLog) -> None:
    """Whoever comes second behind the claim's position is told that the entry is there."""
    log.append([entry(0)], Deadline.after(10))
    claimed = log.position()

    first = log_once(log, claimed, uploaded(1))
    log.append([entry(2)], Deadline.after(10))
    second = log_once(open_log(log.path), claimed, uploaded(1), uploaded(3))

    assert (first, second) == ([True], [False, True])
    assert all_ids(log) == ["0", "1", "2", "3"]


def test_an_upload_in_front_of_the_position_is_another_one(log: UploadLog) -> None:
    """`new_revision` back to an older content: the same id, the same digests, an upload of its own."""
    log_once(log, log.position(), uploaded(1))
    again = log.position()

    assert log_once(log, again, uploaded(1)) == [True]
    assert log_once(log, again, uploaded(1)) == [False]


def test_another_content_under_the_same_id_is_another_upload(log: UploadLog) -> None:
    """What a mended upload came to is logged, though the id is there with the content that was damaged."""
    claimed = log.position()
    log_once(log, claimed, replace(uploaded(1), md5="f" * 32))

    assert log_once(log, claimed, uploaded(1)) == [True]


def test_what_is_no_upload_is_always_logged(log: UploadLog) -> None:
    """Only `uploaded` is told once."""
    failed = replace(uploaded(1), status=Status.FAILED)
    claimed = log.position()

    assert log_once(log, claimed, failed) == log_once(log, claimed, failed) == [True]


@pytest.mark.parametrize("position", [0, 77, 5 << 40 | 9])
def test_a_position_that_is_nowhere_is_in_front_of_all(log: UploadLog, position: int) -> None:
    """Of a log that is gone, or torn when it was measured: no entry is passed over."""
    log_once(log, position, uploaded(1))

    assert log_once(log, position, uploaded(1)) == [False]


def test_of_many_that_wake_up_one_logs(log: UploadLog) -> None:
    """Threads with one log, and logs of their own under one lock."""
    turn = threading.Lock()
    claimed = log.position()

    def once() -> None:
        own = UploadLog(log.path, log.shared_lock, log.warn, log.max_bytes)
        with turn:
            results.extend(log_once(own, claimed, uploaded(1)))

    results: list[bool] = []
    threads = [threading.Thread(target=once) for _ in range(8)]
    threads += [threading.Thread(target=lambda: results.extend(log_once(log, claimed, uploaded(2)))) for _ in range(8)]
    for thread in threads[:8]:
        thread.start()
    for thread in threads[:8]:
        thread.join()
    for thread in threads[8:]:
        thread.start()
    for thread in threads[8:]:
        thread.join()

    assert sum(results) == 2
    assert sorted(all_ids(log)) == ["1", "2"]


def test_a_long_log_is_closed_and_kept(tmp_path: Path) -> None:
    """Every file is an array for itself, in order; readers of uploads know all of them."""
    path = tmp_path / "upload_log.json"
    log = UploadLog(path, unlocked, pytest.fail, max_bytes=2000)
    index = LogIndex(path)
    claimed = 0

    for number in range(40):
        log.append([uploaded(number)], Deadline.after(10))
        claimed = claimed or log.position()
        if number % 3 == 0:
            index.read_on()
    index.read_on()

    everything = [str(number) for number in range(40)]
    files_of_it = log_index.all_logs(path)
    assert len(files_of_it) > 5
    assert all_ids(log) == everything
    assert {each.stat().st_size for each in files_of_it} <= set(range(3000))
    assert {each.stat().st_mode & 0o777 for each in files_of_it} == {0o600}
    for known in (index, fresh := LogIndex(path)):
        if known is fresh:
            fresh.read_on()
        assert [each.file_id for each in known.uploads_from("default", "Data/Meta/zones.txt")][-4:] == [
            f"file-{number}" for number in range(36, 40)
        ]
        assert known.upload_of("file-3", claimed)
    assert [each.file_id for each in index.uploads_from("default", "Data/Meta/zones.txt")] == [
        f"file-{number}" for number in everything
    ]


@pytest.mark.parametrize("step", ["link", "replace", "rename"])
def test_a_log_that_cant_be_closed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A volume without hard links, a log that is a mount point of its own: told once, nothing is refused."""
    path = tmp_path / "upload_log.json"
    told: list[str] = []
    log = UploadLog(path, unlocked, told.append, max_bytes=50)
    log.append([entry(1)], Deadline.after(10))

    def fails(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    with monkeypatch.context() as patch:
        patch.setattr("os." + step, fails)
        for number in (2, 3):
            log.append([entry(number)], Deadline.after(10))

    assert len(told) == (0 if step == "rename" else 1)
    assert all_ids(log) == ["1", "2", "3"]


@pytest.mark.parametrize("step", ["link", "replace"])
def test_a_process_killed_while_it_closes_a_log_leaves_every_entry_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The log's name leads to an array at every moment; who comes next finishes, and no reader meets an entry twice."""
    path = tmp_path / "upload_log.json"
    closing(path).append([entry(1)], Deadline.after(10))

    def killed(*_: object) -> None:
        raise KeyError("killed")

    with monkeypatch.context() as patch, suppress(Exception):
        patch.setattr("os." + step, killed)
        closing(path).append([entry(2)], Deadline.after(10))
    between = [each for name in log_index.all_logs(path) for each in ids(name)]
    closing(path).append([entry(3)], Deadline.after(10))

    assert between == ["1"]
    assert all_ids(closing(path)) == ["1", "3"]
