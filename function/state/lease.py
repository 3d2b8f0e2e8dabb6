"""A lock for volumes without kernel locks: a marker file that its holder renews, by filelock.

It has a module of its own since only `lock = "lease"` needs filelock, whose import costs each cold start some 15 ms.
"""

import os
import time
import uuid
from contextlib import suppress
from typing import Any

from filelock import SoftFileLease, Timeout

from function.state import files
from function.state.files import UnexpectedFile

LEASE_S = 60.0
"""A dead holder's lease ends after this. NFS clients may show a marker that old while a heartbeat renews it
(nfs(5), attribute caching; a file that changes often is cached for a few seconds only)."""

HEARTBEAT_S = LEASE_S / 6
"""Several renewals may fail, or be seen late, before a lease ends under a living holder."""

_LOOK_AGAIN_S = 0.05
"""filelock moves a marker aside for the moment in which it looks whether its lease is over."""

_INSTANCE = uuid.uuid4().hex


class Lease(SoftFileLease):
    """A lease whose owner name is unguessable: only time ends it, never a look at the local process table.

    All Cloud Run instances are called `localhost`; filelock would take each other's live leases for dead ones.
    """

    _volume_now_s: float | None = None
    """The volume's time when this call first met another's marker."""

    def is_lost(self) -> bool:
        """Whether another may hold it by now. Raises OSError."""
        return self.compromise is not None or not self._is_named()

    def _is_named(self) -> bool:
        """Whether the marker names this claim. A process that was frozen finds its successor's, or none.

        The heartbeat may not have noticed yet, since it was frozen, too. An open asks an NFS server, a stat may not.
        """
        for pause_s in (_LOOK_AGAIN_S, 0.0):
            with suppress(FileNotFoundError, UnexpectedFile):
                if f"token={self.token}".encode() in files.read(self.lock_file, 4096):
                    return True
            time.sleep(pause_s)
        return False

    def _marker_unchanged_for(self, marker: os.stat_result) -> float:
        """Seconds without a heartbeat: as long as this call has watched it, or as the volume's own clock says.

        A call that is shorter than the lease would otherwise never outlast it, and a destination whose holder was
        killed stay locked for ever. LEASE_S is left out of the marker's age, since NFS may show an older time of it.
        """
        if self._volume_now_s is None:
            self._volume_now_s = _volume_now_s(os.path.dirname(self.lock_file))
        watched_s = float(super()._marker_unchanged_for(marker))
        return max(watched_s, self._volume_now_s - marker.st_mtime - LEASE_S)

    def _published_record(self) -> Any:
        return super()._published_record()._replace(hostname=_INSTANCE)

    def _try_break_pinned_lock(self, pinned: int | None) -> None:
        super()._try_break_pinned_lock(pinned)
        # Its owner died before it wrote its name. filelock takes that for a holder of its old releases, for ever.
        marker = os.lstat(self.lock_file)
        if not marker.st_size and pinned in (None, marker.st_ino) and self._marker_unchanged_for(marker) >= LEASE_S:
            self._take_over(marker, None)


def _volume_now_s(folder: str) -> float:
    """What time it is for the volume, in Unix seconds: an NFS server's clock is not ours."""
    probe = f"{folder}/{uuid.uuid4().hex}.tmp"
    fd = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, files.FILE_MODE)
    try:
        return os.fstat(fd).st_mtime
    finally:
        os.close(fd)
        os.unlink(probe)


def acquire(path: str, timeout_s: float, poll_s: float) -> Lease | None:
    """Hold the lease on that path; None where it isn't free in time. Raises OSError."""
    if not os.path.isdir(os.path.dirname(path)):
        files.make_folder(os.path.dirname(path))
    lease = Lease(
        path,
        mode=files.FILE_MODE,
        thread_local=False,
        lease_duration=LEASE_S,
        heartbeat_interval=HEARTBEAT_S,
        poll_interval=poll_s,
    )
    try:
        lease.acquire(timeout=timeout_s)
    except Timeout:
        return None
    return lease
