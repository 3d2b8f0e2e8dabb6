"""MD5, SHA-1 and SHA-256 of a stream while it arrives.

The three take longer than receiving does (570, 1200 and 1300 MB/s on one core of the machine this was measured on), and
hashlib lets go of the interpreter's lock. So MD5 of a large stream runs in a thread beside the one that receives; the
two SHAs run behind it in another, if the client asked for them, and else when somebody asks (`blobs`).
"""

from __future__ import annotations

import hashlib
import mmap
import queue
import threading
from collections.abc import Callable
from typing import Protocol

from .model import Content

THREADS_FROM_BYTES = 4 * 1024 * 1024
"""Streams known to be shorter get all digests where they are read: starting threads would cost more."""

BLOCK_BYTES = 256 * 1024
"""Large enough to be quick, small enough to be kept at the border where a broken upload is cut."""

BLOCKS = 24
"""Blocks in use for one stream: 6 MiB."""

Block = bytes | bytearray | memoryview | mmap.mmap


class _Hash(Protocol):
    def update(self, data: Block, /) -> None: ...

    def hexdigest(self) -> str: ...


class _Stage:
    """One thread of the pipeline: feeds its digests, then hands the block on."""

    def __init__(self, hashes: tuple[_Hash, ...], then: Callable[[Block], None]) -> None:
        self._blocks: queue.SimpleQueue[Block | None] = queue.SimpleQueue()
        self._hashes = hashes
        self._then = then
        self._thread = threading.Thread(target=self._run, daemon=True, name="digest")
        self._thread.start()

    def _run(self) -> None:
        while (block := self._blocks.get()) is not None:
            for digest in self._hashes:
                digest.update(block)
            self._then(block)

    def put(self, block: Block) -> None:
        self._blocks.put(block)

    def finish(self) -> None:
        self._blocks.put(None)
        self._thread.join()


class Digests:
    """The digests of what was fed so far.

    `block` makes a buffer to read into, `update` takes it, and it comes round again. A stream that arrives faster than
    it can be digested waits in `update`, so memory stays bounded. `pause` ends the threads and keeps the state, so that
    a session which waits for its next chunk costs nothing.
    """

    def __init__(self, *, threads: bool = False, shas: bool = True) -> None:
        self.size = 0
        self._md5: _Hash = hashlib.md5(usedforsecurity=False)
        self._shas: tuple[_Hash, ...] = ()
        if shas:
            self._shas = (hashlib.sha1(usedforsecurity=False), hashlib.sha256())
        self._threads = threads
        self._stages: tuple[_Stage, ...] = ()
        self._free: queue.SimpleQueue[mmap.mmap] = queue.SimpleQueue()
        self._room = threading.Semaphore(BLOCKS)

    def block(self) -> mmap.mmap:
        """A buffer of `BLOCK_BYTES`, aligned as direct writing wants it."""
        try:
            return self._free.get_nowait()
        except queue.Empty:
            return mmap.mmap(-1, BLOCK_BYTES)

    def update(self, block: Block) -> None:
        """Digest a block: one that `block` made, whole or the beginning of it, or bytes of the caller's own."""
        self.size += len(block)
        if self._threads:
            self._room.acquire()
            self._pipeline().put(block)
            return
        for digest in (self._md5, *self._shas):
            digest.update(block)
        self._give_back(block)

    def _pipeline(self) -> _Stage:
        if not self._stages:
            last: tuple[_Stage, ...] = (_Stage(self._shas, self._digested),) if self._shas else ()
            first = _Stage((self._md5,), last[0].put if last else self._digested)
            self._stages = (first, *last)
        return self._stages[0]

    def _digested(self, block: Block) -> None:
        self._room.release()
        self._give_back(block)

    def _give_back(self, block: Block) -> None:
        buffer = block.obj if isinstance(block, memoryview) else block
        if isinstance(buffer, mmap.mmap):
            self._free.put(buffer)

    def pause(self) -> None:
        """Wait until everything fed is digested, and stop the threads."""
        for stage in self._stages:
            stage.finish()
        self._stages = ()

    def content(self, blob: str = "") -> Content:
        """Size and digests of everything fed; the SHAs are None where they were left for later."""
        self.pause()
        sha1, sha256 = (sha.hexdigest() for sha in self._shas) if self._shas else (None, None)
        return Content(self.size, self._md5.hexdigest(), sha1, sha256, blob)


EMPTY = Digests().content()
"""The content of an empty file."""
