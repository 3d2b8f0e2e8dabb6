"""The locks that uploads take: `native` kernel locks, or `lease` where a volume has none, with filelock.

They save work and keep order; that nothing appears twice rests on exclusive claims and reserved ids, since a lease
of a frozen process can overlap with its successor's.
"""

import errno
import fcntl
import os
import struct
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import SoftFileLease, Timeout, lock_descriptor

from function.core.deadline import Deadline
from function.core.errors import Locked, VolumeUnavailable

LEASE_S = 60.0
"""A dead holder's lease ends after this. NFS clients may show a marker that old while a heartbeat renews it
(nfs(5), attribute caching; a file that changes often is cached for a few seconds only)."""

HEARTBEAT_S = 10.0

_POLL_S = 0.01

_NO_BYTE_LOCKS = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
"""What a kernel says (gVisor's, for one), or a volume, that has no such locks."""

_INSTANCE = uuid.uuid4().hex


class _Lease(SoftFileLease):
    """A lease whose owner name is unguessable: only time ends it, never a look at the local process table.

    All Cloud Run instances are called `localhost`; filelock would take each other's live leases for dead ones.
    """

    def _published_record(self) -> Any:
        return super()._published_record()._replace(hostname=_INSTANCE)

    def _try_break_pinned_lock(self, pinned: int | None) -> None:
        super()._try_break_pinned_lock(pinned)
        # Its owner died before it wrote its name. filelock takes that for a holder of its old releases, for ever.
        marker = os.lstat(self.lock_file)
        if not marker.st_size and pinned in (None, marker.st_ino) and self._marker_unchanged_for(marker) >= LEASE_S:
            self._take_over(marker, None)


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock that is held; `check` raises Locked once it was lost."""

    name: str
    release: Callable[[], None]
    is_lost: Callable[[], bool] = lambda: False
    is_lease: bool = False
    """Whether it can be lost while its holder lives."""

    def check(self) -> None:
        """Call immediately before each write to Drive or to a shared file. Raises Locked."""
        if self.is_lost():
            raise Locked(f"The lease on {self.name} was lost to another invocation; call again to go on.")


@dataclass(frozen=True, slots=True)
class Locks:
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

    def _byte_or_file(self, number: int, path: str, deadline: Deadline) -> HeldLock:
        """One byte of a file that all share: a file for each would be half of what an upload costs the disk."""
        try:
            return _native(f"{self.folder}/destinations.lock", partial(_lock_byte, number), deadline)
        except OSError as error:
            if error.errno not in _NO_BYTE_LOCKS:
                raise
            return _native(path, _lock_file, deadline)

    @contextmanager
    def _hold(self, path: str, deadline: Deadline, native: Callable[[Deadline], HeldLock]) -> Iterator[HeldLock]:
        hold = self._acquired(path, deadline, native)
        try:
            yield hold
        finally:
            hold.release()

    def _acquired(self, path: str, deadline: Deadline, native: Callable[[Deadline], HeldLock]) -> HeldLock:
        try:
            return native(deadline) if self.mode == "native" else _leased(path, deadline)
        except Timeout as error:
            raise Locked(f"{os.path.basename(path)} is held by another invocation; call again later.") from error
        except PermissionError as error:
            raise VolumeUnavailable(
                f"{path}: user {os.getuid()} may not write there; give it the right, or run as the folder's owner."
            ) from error
        except (OSError, NotImplementedError) as error:
            raise VolumeUnavailable(
                f"{path}: can't be locked ({error}); mend the volume, or set lock to 'lease' where it has no locks."
            ) from error


def _native(path: str, lock: Callable[[int], bool], deadline: Deadline) -> HeldLock:
    """A kernel lock that ends with its descriptor: a tenth of the cost of filelock's objects."""
    fd = _open(path)
    try:
        wait_s = _POLL_S / 10
        while not lock(fd):
            if deadline.remaining_s() <= 0:
                raise Timeout(path)
            time.sleep(min(wait_s, deadline.remaining_s()))
            wait_s = min(_POLL_S, 1.5 * wait_s)
    except BaseException:
        os.close(fd)
        raise
    return HeldLock(os.path.basename(path), lambda: os.close(fd))


def _lock_file(fd: int) -> bool:
    return lock_descriptor(fd, blocking=False)


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


def _leased(path: str, deadline: Deadline) -> HeldLock:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    lease = _Lease(path, lease_duration=LEASE_S, heartbeat_interval=HEARTBEAT_S, poll_interval=_POLL_S)
    lease.acquire(timeout=deadline.remaining_s())
    return HeldLock(os.path.basename(path), lease.release, lambda: lease.compromise is not None)


def _open(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o644)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, 0o644)
