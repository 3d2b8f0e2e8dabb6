"""The locks that uploads take: `native` kernel locks, or `lease` where a volume has none (lease.py).

They save work and keep order; that nothing appears twice rests on exclusive claims and reserved ids, since a lease
of a frozen process can overlap with its successor's.
"""

import errno
import fcntl
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec

from function import telemetry
from function.core.errors import Locked, VolumeUnavailable
from function.core.retry import Deadline
from function.state import files

_POLL_S = 0.01

_NO_BYTE_LOCKS = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
"""What a kernel says (gVisor's, for one), or a volume, that has no such locks."""


class HeldLock(msgspec.Struct, frozen=True):
    """A lock that is held; `check` raises Locked once it was lost."""

    name: str
    release: Callable[[], None]
    is_lost: Callable[[], bool] = lambda: False
    is_lease: bool = False
    """Whether it can be lost while its holder lives."""

    def check(self) -> None:
        """Call immediately before each write to Drive or to a shared file. Raises Locked, VolumeUnavailable."""
        try:
            is_lost = self.is_lost()
        except OSError as error:
            raise VolumeUnavailable(f"{self.name}: can't be read ({error.strerror}); mend the volume.") from error
        if is_lost:
            raise Locked(f"The lease on {self.name} was lost to another invocation; call again to go on.")


_Acquire = Callable[[Deadline], HeldLock | None]


class Locks(msgspec.Struct, frozen=True):
    """The lock files of one home."""

    state_root: Path
    folder: Path
    """Where those of destinations live."""
    mode: str
    """native or lease."""

    @contextmanager
    def shared(self, deadline: Deadline) -> Iterator[HeldLock]:
        """`drive_upload.lock`: for moments, around the files that all invocations share."""
        path = f"{self.state_root}/drive_upload.lock"
        with self._hold(path, deadline, partial(_native, path, _lock_file)) as held:
            yield held

    @contextmanager
    def of(self, name: str, deadline: Deadline) -> Iterator[HeldLock]:
        """The lock of one destination (or folder chain), by its hash. Raises Locked, VolumeUnavailable."""
        path = f"{self.folder}/{name[0]}/{name[1:]}.lock"
        with self._hold(path, deadline, partial(self._byte_or_file, int(name, 16), path)) as hold:
            yield hold

    def _byte_or_file(self, number: int, path: str, deadline: Deadline) -> "HeldLock | None":
        """One byte of a file that all share: a file for each would be half of what an upload costs the disk."""
        try:
            return _native(f"{self.folder}/destinations.lock", partial(_lock_byte, number), deadline)
        except OSError as error:
            if error.errno not in _NO_BYTE_LOCKS:
                raise
            return _native(path, _lock_file, deadline)

    @contextmanager
    def _hold(self, path: str, deadline: Deadline, native: _Acquire) -> Iterator[HeldLock]:
        held = self._acquired(path, deadline, native)
        try:
            yield held
        finally:
            held.release()

    def _acquired(self, path: str, deadline: Deadline, native: _Acquire) -> HeldLock:
        acquire = native if self.mode == "native" else partial(_leased, path)
        try:
            with telemetry.span("lock"):
                held = acquire(deadline)
        except PermissionError as error:
            raise VolumeUnavailable(
                f"{error.filename or path}: user {os.getuid()} may not write there; give it the right, or run as the"
                " folder's owner."
            ) from error
        except OSError as error:
            why = error.strerror or error
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            has_none = error.errno in _NO_BYTE_LOCKS
            mend = "make room" if is_full else "set lock to 'lease'" if has_none else "mend the volume"
            raise VolumeUnavailable(f"{error.filename or path}: can't be locked ({why}); {mend}.") from error
        if held is None:
            raise Locked(f"{os.path.basename(path)} is held by another invocation; call again later.")
        return held


def _native(path: str, lock: Callable[[int], bool], deadline: Deadline) -> HeldLock | None:
    """A kernel lock that ends with its descriptor; None where it isn't free in time."""
    fd = _open(path)
    try:
        wait_s = _POLL_S / 10
        while not lock(fd):
            if deadline.remaining_s() <= 0:
                os.close(fd)
                return None
            time.sleep(min(wait_s, deadline.remaining_s()))
            wait_s = min(_POLL_S, 1.5 * wait_s)
    except BaseException as error:
        os.close(fd)
        if isinstance(error, OSError):  # a call on a descriptor names no file
            error.filename = path
        raise
    return HeldLock(os.path.basename(path), lambda: os.close(fd))


def _lock_file(fd: int) -> bool:
    """The lock that filelock takes on such a file, too."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_byte(number: int, fd: int) -> bool:
    """A lock that belongs to the open file, as flock's do, so that threads exclude each other as processes do.

    Source: fcntl_locking(2), 'Open file description locks'.
    """
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    byte = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, number % (1 << 62), 1, 0)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, byte)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _leased(path: str, deadline: Deadline) -> HeldLock | None:
    from function.state import lease

    held = lease.acquire(path, deadline.remaining_s(), _POLL_S)
    return HeldLock(os.path.basename(path), held.release, held.is_lost, is_lease=True) if held else None


def _open(path: str) -> int:
    """The lock's file, for its owner only: any local user who could open it could hold the lock."""
    return files.open_or_create(path, is_private=True)
