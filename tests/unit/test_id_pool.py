"""The pool of reserved ids: each handed out once, whatever state the file was left in."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from function.deadline import Deadline
from function.id_pool import IdPool

_numbers = count()


@contextmanager
def _no_lock(deadline: Deadline) -> Iterator[None]:
    yield


def _reserve(number: int) -> list[str]:
    return [f"reserved-id-{next(_numbers):06}" for _ in range(number)]


@pytest.fixture
def pool(tmp_path: Path) -> IdPool:
    """An empty pool."""
    return IdPool(tmp_path / "ids.txt", _no_lock)


@pytest.mark.parametrize("cut", [1, 2, 3, 10, 19])
def test_a_torn_id_is_never_handed_out(pool: IdPool, cut: int) -> None:
    """A pool whose writer was killed in its write loses the piece of an id at its end, and no other id is harmed."""
    pool.take(1, _reserve, Deadline.after(5))
    pool.path.write_bytes(pool.path.read_bytes()[:-cut])

    taken = pool.take(3, _reserve, Deadline.after(5))

    assert {len(each) for each in taken} == {len("reserved-id-000000")}
    assert len(set(taken)) == 3


def test_ids_stored_behind_a_torn_one_stay_whole(pool: IdPool) -> None:
    """New ids are not glued to the piece of an id that a killed writer left."""
    pool.path.write_bytes(b"reserved-")

    taken = pool.take(1001, _reserve, Deadline.after(5))

    assert {len(each) for each in taken} == {len("reserved-id-000000")}


def test_every_id_is_handed_out_once(pool: IdPool) -> None:
    """However many are taken at a time, no id comes twice."""
    taken = [each for number in (1, 7, 995, 20, 1500) for each in pool.take(number, _reserve, Deadline.after(5))]

    assert len(taken) == len(set(taken)) == 2523
