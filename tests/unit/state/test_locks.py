"""Locks of one home: whoever holds one keeps out threads and processes alike, and nobody else."""

import contextlib
import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from function.core.errors import Locked, VolumeUnavailable
from function.core.retry import Deadline
from function.state import lease, locks
from function.state.locks import Locks

NAME, OTHER = "ab" * 16, "cd" * 16
PROJECT = Path(__file__).parents[3]

HOLDER = """
import sys
from pathlib import Path
from function.state import lease, locks
from function.core.retry import Deadline
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


def test_a_lease_outlives_renewals_that_fail() -> None:
    """A heartbeat that fails, or is seen late by an NFS client, must not end a living holder's lease."""
    assert 4 * lease.HEARTBEAT_S <= lease.LEASE_S


@pytest.mark.parametrize("mode", ["native", "lease"])
def test_no_other_user_can_hold_a_lock(tmp_path: Path, mode: str, kind: str) -> None:
    """Whoever can open a lock's file can hold it: files 0600, folders 0700, also those of an earlier version."""
    of_home = Locks(tmp_path, tmp_path / ".drive_upload" / "locks", mode)
    if mode == "native":
        (tmp_path / "drive_upload.lock").touch(0o644)
    old = os.umask(0)
    try:
        with of_home.shared(Deadline.after(5)), of_home.of(NAME, Deadline.after(5)):
            modes = {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.rglob("*.lock")}
            folders = {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.rglob("*") if each.is_dir()}
    finally:
        os.umask(old)

    assert modes == {0o600}
    assert folders == {0o700}


def test_a_link_in_a_locks_place_is_not_followed(tmp_path: Path) -> None:
    """Its target, a file of somebody's, is neither made nor locked."""
    (tmp_path / "drive_upload.lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(VolumeUnavailable, match="not a regular file"), of(tmp_path).shared(Deadline.after(1)):
        pytest.fail("nobody has this lock")

    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("successor", [None, b"", b"token=another\n"])
def test_a_frozen_holder_of_a_lease_finds_that_it_lost_it(tmp_path: Path, successor: bytes | None) -> None:
    """Before its heartbeat, frozen with it, can tell: another's marker is there, or none any more."""
    of_home = Locks(tmp_path, tmp_path / "locks", "lease")
    with contextlib.suppress(OSError), of_home.of(NAME, Deadline.after(5)) as held:
        held.check()
        (marker,) = (tmp_path / "locks").rglob("*.lock")
        marker.unlink()
        if successor is not None:
            marker.write_bytes(successor)

        with pytest.raises(Locked, match="was lost"):
            held.check()


def test_a_lease_that_is_looked_at_is_not_lost(tmp_path: Path) -> None:
    """A contender that asks whether the lease is over moves the marker aside for a moment."""
    of_home = Locks(tmp_path, tmp_path / "locks", "lease")
    with of_home.of(NAME, Deadline.after(5)) as held:
        (marker,) = (tmp_path / "locks").rglob("*.lock")
        marker.rename(marker.with_suffix(".aside"))
        back = threading.Thread(target=lambda: marker.with_suffix(".aside").rename(marker))
        look_again = lease.time.sleep  # type: ignore[attr-defined]

        def during_the_pause(seconds: float) -> None:
            if seconds == lease._LOOK_AGAIN_S:
                back.start()
                back.join()
            look_again(0)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lease.time, "sleep", during_the_pause)  # type: ignore[attr-defined]
            held.check()


@pytest.mark.parametrize(("age_s", "is_taken_over"), [(130, True), (100, False)])
def test_a_call_shorter_than_the_lease_takes_over_a_dead_one(
    tmp_path: Path, age_s: int, *, is_taken_over: bool
) -> None:
    """Each call would begin to count anew; by the volume's clock a marker of two leases' age has no living holder."""
    of_home = Locks(tmp_path, tmp_path / "locks", "lease")
    with of_home.of(NAME, Deadline.after(5)):
        (marker,) = (tmp_path / "locks").rglob("*.lock")
        left = marker.read_bytes()
    marker.write_bytes(left)
    marker.chmod(0o600)
    os.utime(marker, (marker.stat().st_mtime - age_s,) * 2)

    with contextlib.nullcontext() if is_taken_over else pytest.raises(Locked):  # noqa: SIM117
        with of_home.of(NAME, Deadline.after(0.3)) as held:
            held.check()
