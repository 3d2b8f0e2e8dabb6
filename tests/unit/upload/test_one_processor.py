"""Small uploads of a batch stay on one processor, and nothing else does."""

import errno
import json
import os
import threading

import pytest

from function.serving.app import current
from function.upload.one_processor import SMALL_MAX_BYTES, one_processor
from tests.support.home import Home

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two processors to choose from",
)


def _processors_while_uploading(home: Home, folder: str, size: int) -> set[int]:
    """Those on which the threads of a batch might have run."""
    seen: set[int] = set()
    paths = [home.put(f"Data/{folder}/{number}.bin", bytes([number]) * size) for number in range(3)]
    body = json.dumps({"files": [{"path": each} for each in paths]}).encode()
    result = current().handle(body, {}, lambda *_: seen.update(os.sched_getaffinity(0)))
    assert result.code == 200
    return seen


def test_small_files_share_one_and_large_ones_have_all(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's turns change hands faster so; hashing and encrypting large contents needs no turn."""
    for name, value in home.environ.items():
        monkeypatch.setenv(name, value)
    assert len(_processors_while_uploading(home, "Small", SMALL_MAX_BYTES)) == 1
    assert _processors_while_uploading(home, "Large", SMALL_MAX_BYTES + 1) == os.sched_getaffinity(0)


@pytest.mark.parametrize("call", ["sched_getaffinity", "sched_setaffinity"])
def test_a_sandbox_that_forbids_it_stops_nothing(home: Home, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Seccomp may refuse either call."""

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "refused")

    for name, value in home.environ.items():
        monkeypatch.setenv(name, value)
    body = json.dumps({"files": [{"path": home.put(f"Data/{number}", str(number))} for number in range(3)]}).encode()
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refused)
        result = current().handle(body, {})

    assert [each.status for each in result.results] == ["uploaded"] * 3


def test_all_that_are_at_work_share_it() -> None:
    """Two accounts at a time: each has its own threads, and Python's turns are common to all."""
    before, seen, after = os.sched_getaffinity(0), [], []
    both = threading.Barrier(2)

    def work() -> None:
        with one_processor():
            both.wait(30)
            child = threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0)))
            child.start()
            child.join()
            both.wait(30)
        after.append(os.sched_getaffinity(0))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert after == [before, before]
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert len(seen[0]) == 1
