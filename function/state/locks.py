"""The locks that uploads take: `native` kernel locks, or `lease` where a volume has none, with filelock.

They save work and keep order; that nothing appears twice rests on exclusive claims and reserved ids, since a lease
of a frozen process can overlap with its successor's.
"""

import errno
import fcntl
import os
import struct
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import SoftFileLease, Timeout, lock_descriptor

from function import telemetry
from function.core.deadline import Deadline
from function.core.errors import Locked, VolumeUnavailable
from function.state import files
from function.state.files import UnexpectedFile

LEASE_S = 60.0
"""A dead holder's lease ends after this. NFS clients may show a marker that old while a heartbeat renews it
(nfs(5), attribute caching; a file that changes often is cached for a few seconds only)."""

HEARTBEAT_S = LEASE_S / 6
"""Several renewals may fail, or be seen late, before a lease ends under a living holder."""

HANG_S = 0.5
"""A lock call that has not returned so long after the deadline is given up."""

_LOOK_AGAIN_S = 0.05
"""filelock moves a marker aside for the moment in which it looks whether its lease is over."""

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
        """Call immediately before each write to Drive or to a shared file. Raises Locked, VolumeUnavailable."""
        try:
            is_lost = self.is_lost()
        except OSError as error:
            raise VolumeUnavailable(f"{self.name}: can't be read ({error.strerror}); mend the volume.") from error
        if is_lost:
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
        held = self._acquired(path, deadline, native)
        try:
            yield held
        finally:
            held.release()

    def _acquired(self, path: str, deadline: Deadline, native: Callable[[Deadline], HeldLock]) -> HeldLock:
        acquire = native if self.mode == "native" else partial(_leased, path)
        try:
            with telemetry.span("lock"):
                return _in_time(partial(acquire, deadline), deadline, path)
        except Timeout as error:
            raise Locked(f"{os.path.basename(path)} is held by another invocation; call again later.") from error
        except PermissionError as error:
            raise VolumeUnavailable(
                f"{path}: user {os.getuid()} may not write there; give it the right, or run as the folder's owner."
            ) from error
        except (OSError, NotImplementedError) as error:
            why = (isinstance(error, OSError) and error.strerror) or error
            raise VolumeUnavailable(
                f"{path}: can't be locked ({why}); mend the volume, or set lock to 'lease' where it has no locks."
            ) from error


def _in_time(acquire: Callable[[], HeldLock], deadline: Deadline, path: str) -> HeldLock:
    """The lock, or an error at the latest HANG_S after the deadline, though a call to the volume hangs.

    A volume that doesn't answer (NFS, its server away) stops a system call for as long as it likes, so the lock is
    taken in a thread of its own. What that thread gets when nobody waits for it any more, it lets go at once.
    """
    lock: Future[HeldLock] = Future()

    def run() -> None:
        try:
            held = acquire()
        except BaseException as error:  # noqa: BLE001 - raised where the lock is waited for
            if lock.set_running_or_notify_cancel():
                lock.set_exception(error)
            return
        if lock.set_running_or_notify_cancel():
            lock.set_result(held)
        else:
            held.release()

    threading.Thread(target=run, name="lock", daemon=True).start()
    try:
        return lock.result(deadline.remaining_s() + HANG_S)
    except TimeoutError:
        if lock.cancel():
            raise VolumeUnavailable(f"{path}: the volume doesn't answer; mend it and call again.") from None
        return lock.result()


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
    if not os.path.isdir(os.path.dirname(path)):
        files.make_folder(os.path.dirname(path))
    lease = _Lease(
        path,
        mode=files.FILE_MODE,
        thread_local=False,
        lease_duration=LEASE_S,
        heartbeat_interval=HEARTBEAT_S,
        poll_interval=_POLL_S,
    )
    lease.acquire(timeout=deadline.remaining_s())
    token = lease.token
    return HeldLock(
        os.path.basename(path),
        lease.release,
        lambda: lease.compromise is not None or not _names(path, token),
        is_lease=True,
    )


def _names(path: str, token: str | None) -> bool:
    """Whether the marker is the one that names the claim. A process that was frozen finds its successor's, or none.

    The heartbeat may not have noticed yet, since it was frozen, too. An open asks an NFS server, a stat may not.
    """
    for pause_s in (_LOOK_AGAIN_S, 0.0):
        with suppress(FileNotFoundError, UnexpectedFile):
            if f"token={token}".encode() in files.read(path, 4096):
                return True
        time.sleep(pause_s)
    return False


def _open(path: str) -> int:
    """The lock's file, for its owner only: any local user who could open it could hold the lock."""
    fd = files.open_or_create(path)
    try:
        if os.fstat(fd).st_mode & 0o077:  # made by an earlier version
            with suppress(PermissionError):
                os.fchmod(fd, files.FILE_MODE)
        return fd
    except BaseException:
        os.close(fd)
        raise
