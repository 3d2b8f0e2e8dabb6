"""MD5, SHA-1 and SHA-256 of a stream while it arrives.

The three take longer than receiving does (570, 1200 and 1300 MB/s on one core of the machine this was measured on), and
hashlib lets go of the interpreter's lock: from a few MB on, MD5 runs in one thread and the two SHAs in another, beside
the thread that receives.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from typing import Protocol

from .model import Content

THREADS_FROM_BYTES = 4 * 1024 * 1024
"""Streams known to be shorter are hashed where they are read: starting threads would cost more."""

QUEUE_BLOCKS = 24
"""Blocks of 256 KiB that may wait for a slower digest: 6 MiB an upload at most."""

Block = bytes | bytearray | memoryview


class _Hash(Protocol):
    def update(self, data: Block, /) -> None: ...

    def hexdigest(self) -> str: ...


class _Worker:
    """Feeds some digests from a bounded queue, in a thread that lives until `finish`."""

    def __init__(self, hashes: tuple[_Hash, ...]) -> None:
        self._blocks: queue.Queue[Block | None] = queue.Queue(QUEUE_BLOCKS)
        self._hashes = hashes
        self._thread = threading.Thread(target=self._run, daemon=True, name="digest")
        self._thread.start()

    def _run(self) -> None:
        while (block := self._blocks.get()) is not None:
            for digest in self._hashes:
                digest.update(block)

    def put(self, block: Block) -> None:
        self._blocks.put(block)

    def finish(self) -> None:
        self._blocks.put(None)
        self._thread.join()


class Digests:
    """The digests of what was fed so far. A block given to `update` belongs to the digests: don't write to it again.

    `pause` ends the threads without losing the state, so that a session which waits for its next chunk costs nothing.
    """

    def __init__(self, *, threads: bool = False) -> None:
        self.size = 0
        self._md5: _Hash = hashlib.md5(usedforsecurity=False)
        self._sha1: _Hash = hashlib.sha1(usedforsecurity=False)
        self._sha256: _Hash = hashlib.sha256()
        self._threads = threads
        self._workers: tuple[_Worker, ...] = ()

    def update(self, block: Block) -> None:
        self.size += len(block)
        if not self._threads:
            for digest in (self._md5, self._sha1, self._sha256):
                digest.update(block)
            return
        if not self._workers:
            self._workers = (_Worker((self._md5,)), _Worker((self._sha1, self._sha256)))
        for worker in self._workers:
            worker.put(block)

    def pause(self) -> None:
        """Wait until everything fed is digested, and stop the threads."""
        for worker in self._workers:
            worker.finish()
        self._workers = ()

    def content(self) -> Content:
        """Size and digests of everything fed."""
        self.pause()
        return Content(self.size, self._md5.hexdigest(), self._sha1.hexdigest(), self._sha256.hexdigest())


EMPTY = Digests().content()
"""The content of an empty file."""
