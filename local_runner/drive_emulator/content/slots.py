"""Small contents on disk: slots of equal size in one file, each used again once its content is gone.

A file for each would be most of what a small upload costs, above all where many files were deleted lately: ext4 passes
by every inode that was freed within minutes.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable
from pathlib import Path

SLOT_BYTES = 16 * 1024


class Slots:
    """The slots of one file, by number. Safe for threads."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._count = -(-os.fstat(self._fd).st_size // SLOT_BYTES)
        self._free: list[int] = []
        self._lock = threading.Lock()

    def put(self, content: bytes | bytearray) -> int:
        """The slot that holds it from now on; at most `SLOT_BYTES`. Raises OSError where the disk takes no more."""
        with self._lock:
            if self._free:
                slot = self._free.pop()
            else:
                slot, self._count = self._count, self._count + 1
        try:
            written = os.pwrite(self._fd, content, slot * SLOT_BYTES)
            if written < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self.free(slot)
            raise
        return slot

    def get(self, slot: int, size: int) -> bytes:
        """The first bytes of a slot."""
        return os.pread(self._fd, size, slot * SLOT_BYTES)

    def free(self, slot: int) -> None:
        """Let a slot be used again."""
        with self._lock:
            self._free.append(slot)

    def free_all_but(self, used: Iterable[int]) -> None:
        """Let all others be used again; what lies behind the last one in use leaves the disk."""
        with self._lock:
            taken = bytearray(self._count)
            for slot in used:
                if slot >= len(taken):  # the file is shorter than it was
                    taken.extend(bytes(slot + 1 - len(taken)))
                taken[slot] = 1
            self._count = taken.rfind(1) + 1
            self._free = [slot for slot in range(self._count) if not taken[slot]]
            os.truncate(self._fd, self._count * SLOT_BYTES)

    def close(self) -> None:
        """A request that comes later fails, instead of writing to whatever has the descriptor by then."""
        os.close(self._fd)
        self._fd = -1
