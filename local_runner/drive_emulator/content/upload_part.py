"""One upload on its way to the disk: bytes appended and digested as they arrive."""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Collection
from pathlib import Path

from ..model.records import Content
from .digests import BLOCK_BYTES, SHAS, THREAD_FROM_BYTES, Block, Digests

GRANULE_BYTES = 256 * 1024
"""What a broken upload keeps is cut to a multiple of this. Source: Drive guide, "Upload file data"."""

_ALIGNED_BYTES = 4096
_TRIAL_BYTES = 16 * 1024 * 1024
_SLOWEST_BYTES_PER_S = 250 * 1024 * 1024


class Part:
    """Bytes of one upload, on disk, with their digests.

    Only `append` moves `size`, after the bytes are in the file, so that another thread may read it at any time.
    """

    def __init__(self, path: Path, expected: int | None, *, shas: Collection[str], in_memory: bool = False) -> None:
        large = expected is None or expected >= THREAD_FROM_BYTES
        self.path = path
        self._file = _Memory() if in_memory else _File(path, large=large)
        self.size = self._file.cut_to(GRANULE_BYTES)
        self._digests = Digests(threaded=large, shas=shas if large else SHAS)

    @property
    def held(self) -> bytearray | None:
        """All bytes, of a part in memory."""
        return self._file.content if isinstance(self._file, _Memory) else None

    def block(self) -> mmap.mmap:
        """A buffer of a granule's size to receive into; give it back by `append`."""
        return self._digests.block()

    def append(self, block: Block) -> None:
        """Keep a block, which is the part's from now on."""
        if self._digests.size != self.size:
            self._catch_up()
        count = len(block)
        self._file.write(block, self.size)
        self._digests.update(block)
        self.size += count

    def _catch_up(self) -> None:
        """Digest what an earlier process had received."""
        with self.path.open("rb") as before:
            while self._digests.size < self.size:
                self._digests.update(before.read(min(BLOCK_BYTES, self.size - self._digests.size)))

    def rest(self) -> None:
        """No bytes are coming for a while: stop the digests' thread."""
        self._digests.rest()

    def finish(self, blob: str) -> Content:
        """Digests of the whole; the part is complete."""
        if self._digests.size != self.size:
            self._catch_up()
        self._file.close()
        return self._digests.content(blob)

    def discard(self) -> None:
        """Forget what arrived."""
        self._digests.rest()
        self._file.close()
        self.path.unlink(missing_ok=True)


class _Memory:
    """What stands for a file where a small content comes in one request."""

    def __init__(self) -> None:
        self.content = bytearray()

    def cut_to(self, border: int) -> int:
        """Nothing is kept of a request that breaks off."""
        return len(self.content) // border * border

    def write(self, block: Block, offset: int) -> None:
        """A block at the end."""
        self.content[offset:] = block

    def close(self) -> None:
        """Nothing is open."""


class _File:
    """A file written from its beginning to its end; a large one past the page cache where the disk keeps up.

    A GB in the page cache costs a virtual machine up to two seconds of processor time when its memory is fresh, more
    than all of receiving and digesting it. A disk too slow for direct writing shows in the first MBs; then the cache
    is used.
    """

    def __init__(self, path: Path, *, large: bool) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._direct = large and hasattr(os, "O_DIRECT")
        try:
            self._fd = os.open(path, flags | (os.O_DIRECT if self._direct else 0), 0o666)
        except OSError:  # file systems without direct writing refuse the flag
            self._direct = False
            self._fd = os.open(path, flags, 0o666)
        self._spent_s = 0.0

    def cut_to(self, border: int) -> int:
        """Drop what lies behind the last border; the size then."""
        size = os.fstat(self._fd).st_size // border * border
        os.truncate(self._fd, size)
        return size

    def write(self, block: Block, offset: int) -> None:
        """All of a block at an offset."""
        view = memoryview(block)
        fits = isinstance(view.obj, mmap.mmap) and not (len(view) % _ALIGNED_BYTES or offset % _ALIGNED_BYTES)
        if self._direct and not fits:
            self._use_cache()
        started = time.perf_counter()
        written = 0
        while written < len(view):
            written += os.pwrite(self._fd, view[written:], offset + written)
            if self._direct and written % _ALIGNED_BYTES:
                self._use_cache()
        if self._direct:
            self._spent_s += time.perf_counter() - started
            self._judge(offset + written)

    def _judge(self, size: int) -> None:
        if size >= _TRIAL_BYTES and self._spent_s * _SLOWEST_BYTES_PER_S > size:
            self._use_cache()

    def _use_cache(self) -> None:
        self._direct = False
        fcntl.fcntl(self._fd, fcntl.F_SETFL, fcntl.fcntl(self._fd, fcntl.F_GETFL) & ~os.O_DIRECT)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
