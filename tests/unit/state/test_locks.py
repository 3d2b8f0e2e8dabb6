"""Locks of one home: whoever holds one keeps out threads and processes alike, and nobody else."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from function.core.deadline import Deadline
from function.core.errors import Locked
from function.state import locks
from function.state.locks import Locks

NAME, OTHER = "ab" * 16, "cd" * 16
PROJECT = Path(__file__).parents[3]

HOLDER = """
import sys
from pathlib import Path
from function.state import locks
from function.core.deadline import Deadline
if sys.argv[2] == "files":
    from tests.unit.state.test_locks import refused
    locks._lock_byte = refused
with locks.Locks(Path(sys.argv[1]), Path(sys.argv[1]) / "locks", "native").of(sys.argv[3], Deadline.after(5)):
    print("held", flush=True)
    sys.stdin.read()
"""


def refused(number: int, fd: int) -> bool:
    """What a kernel answers that knows no such locks."""
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


@pytest.fixture(params=["bytes", "files"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Bytes of one file, or a file each where there are no such locks."""
    if request.param == "files":
        monkeypatch.setattr(locks, "_lock_byte", refused)
    return str(request.param)


def of(folder: Path) -> Locks:
    """The locks of a home."""
    return Locks(folder, folder / "locks", "native")


def is_free(folder: Path, name: str) -> bool:
    """Whether a lock can be had at once."""
    try:
        with of(folder).of(name, Deadline.after(0)):
            return True
    except Locked:
        return False


def test_a_destination_is_held_once(tmp_path: Path, kind: str) -> None:
    """In this thread, in another one; the next destination is free; afterwards it is free itself."""
    seen: list[bool] = []
    with of(tmp_path).of(NAME, Deadline.after(1)):
        other = threading.Thread(target=lambda: seen.extend(is_free(tmp_path, each) for each in (NAME, OTHER)))
        other.start()
        other.join()
        seen.append(is_free(tmp_path, NAME))

    assert seen == [False, True, False]
    assert is_free(tmp_path, NAME)


def test_a_killed_process_holds_nothing(tmp_path: Path, kind: str) -> None:
    """Alive it keeps others out; the kernel lets go for it."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path), kind, NAME]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        while_held = is_free(tmp_path, NAME), is_free(tmp_path, OTHER)
        holder.kill()

    assert while_held == (False, True)
    assert is_free(tmp_path, NAME)


def test_an_end_of_one_hold_ends_no_other(tmp_path: Path, kind: str) -> None:
    """As the locks of a process would: closing any descriptor of the file lets go of all of them."""
    with of(tmp_path).of(NAME, Deadline.after(1)):
        with of(tmp_path).of(OTHER, Deadline.after(1)):
            pass

        assert not is_free(tmp_path, NAME)


def test_many_destinations_are_one_file(tmp_path: Path, kind: str) -> None:
    """A file for each would stay for ever: only where nothing else is to be had."""
    for number in range(20):
        with of(tmp_path).of(f"{number:032x}", Deadline.after(1)):
            pass

    made = [path.name for path in (tmp_path / "locks").rglob("*.lock")]
    assert made == ["destinations.lock"] if kind == "bytes" and sys.platform == "linux" else len(made) == 21
