"""The pool of reserved ids: each is handed out once, whatever happens to the file."""

import contextlib
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from function.core.retry import Deadline
from function.state.id_pool import IdPool


class Reserving:
    """Drive's generateIds: every id once."""

    def __init__(self) -> None:
        self.calls = 0
        self._numbers = itertools.count()

    def __call__(self, count: int) -> list[str]:
        self.calls += 1
        return [f"id-{next(self._numbers):08}-abcdefghijklmnop" for _ in range(count)]


def pool(path: Path) -> IdPool:
    """The pool in that file, locked as the job locks it."""

    @contextlib.contextmanager
    def lock(_: Deadline) -> Iterator[None]:
        with FileLock(f"{path}.lock", thread_local=True):
            yield

    return IdPool(path, lock)


def test_one_call_serves_a_thousand(tmp_path: Path) -> None:
    """No id twice, over many pools on one file."""
    reserve = Reserving()

    taken = [each for _ in range(100) for each in pool(tmp_path / "ids").take(10, reserve, Deadline.after(10))]

    assert len(set(taken)) == 1000
    assert reserve.calls == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(counts=st.lists(st.integers(1, 30), min_size=2, max_size=6), cuts=st.lists(st.integers(0, 40), max_size=3))
def test_no_id_twice_whatever_was_torn(tmp_path: Path, counts: list[int], cuts: list[int]) -> None:
    """A write cut anywhere leaves a piece of an id at the end, which is none."""
    path = tmp_path / "ids"
    path.unlink(missing_ok=True)
    reserve = Reserving()
    taken: list[str] = []

    for count, cut in itertools.zip_longest(counts, cuts, fillvalue=0):
        taken += pool(path).take(count, reserve, Deadline.after(10))
        content = path.read_bytes()
        path.write_bytes(content[: max(0, len(content) - cut)])

    assert len(set(taken)) == len(taken) == sum(counts)
    assert all(len(each) == len(taken[0]) for each in taken)


@pytest.mark.parametrize("content", [b"nonsense of somebody's\n", b"\0" * 500, b"id\n", b"a" * 200 + b"\n", b"\xff\n"])
def test_a_damaged_pool_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    """Ids are cheap: what can't be ids is forgotten."""
    (tmp_path / "ids").write_bytes(content)

    taken = pool(tmp_path / "ids").take(2, Reserving(), Deadline.after(10))

    assert [each[:11] for each in taken] == ["id-00000000", "id-00000001"]


def test_threads_share_a_pool(tmp_path: Path) -> None:
    """None gets another's id."""
    reserve, taken = Reserving(), list[str]()
    threads = [
        threading.Thread(
            target=lambda: taken.extend(
                each for _ in range(20) for each in pool(tmp_path / "ids").take(1, reserve, Deadline.after(10))
            )
        )
        for _ in range(6)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(taken)) == len(taken) == 120


def test_discarded_ids_never_come_back(tmp_path: Path) -> None:
    """Drive refused one of them."""
    reserve = Reserving()
    before = pool(tmp_path / "ids").take(1, reserve, Deadline.after(10))

    pool(tmp_path / "ids").discard()
    pool(tmp_path / "ids").discard()

    assert not set(before) & set(pool(tmp_path / "ids").take(5, reserve, Deadline.after(10)))
    assert reserve.calls == 2


def test_a_folder_in_the_pools_place_is_set_aside(tmp_path: Path) -> None:
    """Ids are reserved anew, and what was there is kept."""
    (tmp_path / "ids" / "inside").mkdir(parents=True)

    taken = [pool(tmp_path / "ids").take(1, Reserving(), Deadline.after(10)) for _ in range(2)]

    (aside,) = tmp_path.glob("ids.damaged-*")
    assert (aside / "inside").is_dir()
    assert taken[0] != taken[1]
