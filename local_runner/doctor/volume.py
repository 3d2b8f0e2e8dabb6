"""What the state's volume can do, by doing it: in a folder of its own that goes afterwards."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from function.home.settings import Settings
from local_runner.doctor import mount as check_mount
from local_runner.doctor.findings import Finding, fail, ok

AREA = "volume"

MAKE_ROOM = "make room on that volume"

_FULL = (errno.ENOSPC, errno.EDQUOT)

_TAKE_LOCK = """
import fcntl, sys
with open(sys.argv[1]) as file:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(3)
"""


class _Unfit(Exception):
    """The volume did something else than it should."""


def check(settings: Settings, mountinfo: Path = Path("/proc/self/mountinfo")) -> Iterator[Finding]:
    """Kind of volume, lock mode, and one finding for all that was tried or for each that went wrong."""
    if mountinfo.exists():
        mount = check_mount.mount_of(settings.state_root, check_mount.mounts(mountinfo.read_text().splitlines()))
        if mount:
            yield from check_mount.judge(mount, settings.lock)
    yield from _tried(settings)


def _tried(settings: Settings) -> Iterator[Finding]:
    folder = settings.state_root / ".drive_upload" / f"doctor-{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        mend = f"make it writable for user id {os.geteuid()}, or set state_root elsewhere"
        what = f"{settings.state_root}: nothing can be written there ({error.strerror})"
        yield fail(AREA, what, MAKE_ROOM if error.errno in _FULL else mend)
        return
    try:
        trials = [each for each in _TRIALS if settings.lock == "native" or each is not _flock]
        findings = [each for trial in trials if (each := _one(trial, folder))]
        names = ", ".join(each.__doc__ or "" for each in trials)
        yield from findings or [ok(AREA, f"{settings.state_root}: works: {names}")]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _one(trial: Callable[[Path], None], folder: Path) -> Finding | None:
    mend = 'put state_root on another volume, or set lock to "lease"' if trial is _flock else "put state_root elsewhere"
    try:
        trial(folder)
    except OSError as error:
        what = f"{folder.parent.parent}: {trial.__doc__} doesn't work ({error.strerror})"
        return fail(AREA, what, MAKE_ROOM if error.errno in _FULL else mend)
    except _Unfit as error:
        return fail(AREA, f"{folder.parent.parent}: {trial.__doc__} doesn't work ({error})", mend)
    return None


def _exclusive(folder: Path) -> None:
    """exclusive create"""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    os.close(os.open(folder / "exclusive", flags))
    try:
        os.close(os.open(folder / "exclusive", flags))
    except FileExistsError:
        return
    raise _Unfit("a second one was granted")


def _link(folder: Path) -> None:
    """hard link"""
    (folder / "linked").write_bytes(b"x")
    os.link(folder / "linked", folder / "link")
    if os.stat(folder / "link").st_nlink != 2:
        raise _Unfit("the link isn't counted")


def _rename(folder: Path) -> None:
    """rename over a file"""
    for name in ("old", "new"):
        (folder / name).write_text(name)
    os.replace(folder / "new", folder / "old")
    if (folder / "old").read_text() != "new":
        raise _Unfit("the old content is still there")


def _fsync(folder: Path) -> None:
    """fsync of file and folder"""
    for path, flags in ((folder / "synced", os.O_CREAT | os.O_WRONLY), (folder, os.O_RDONLY | os.O_DIRECTORY)):
        fd = os.open(path, flags)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _flock(folder: Path) -> None:
    """kernel lock"""
    with open(folder / "lock", "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            child = subprocess.run([sys.executable, "-I", "-S", "-c", _TAKE_LOCK, file.name], check=False, timeout=30)
        except subprocess.TimeoutExpired:
            raise _Unfit("another process gets no answer") from None
    if child.returncode != 3:
        raise _Unfit("another process was let in")


_TRIALS: tuple[Callable[[Path], None], ...] = (_exclusive, _link, _rename, _fsync, _flock)
