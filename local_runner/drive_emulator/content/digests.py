"""MD5, SHA-1 and SHA-256 of a stream while it arrives.

They take longer than receiving does (MD5 700, the SHAs 2000 MB/s on one core of the machine this was measured on), and
hashlib lets go of the interpreter's lock. So a large stream is digested in a thread beside the one that receives: one,
since a client on the same machine needs a core as well. SHA-1 is left to the one that receives, which has the time. Of
the SHAs it makes what the client asked for; the rest is made when somebody asks (`blobs`).
"""

from __future__ import annotations

import hashlib
import mmap
import queue
import threading
from collections.abc import Collection
from typing import Protocol

from ..model.records import Content

THREAD_FROM_BYTES = 4 * 1024 * 1024
"""Streams known to be shorter get all digests where they are read: starting a thread would cost more."""

BLOCK_BYTES = 256 * 1024
"""Large enough to be quick, small enough to be kept at the border where a broken upload is cut."""

BLOCKS = 24
"""Blocks in use for one stream: 6 MiB."""

SHAS = ("sha1", "sha256")
"""Names of the digests that are made of a large stream only where they are asked for."""

Block = bytes | bytearray | memoryview | mmap.mmap


class _Hash(Protocol):
    def update(self, data: Block, /) -> None: ...

    def hexdigest(self) -> str: ...


class Digests:
    """The digests of what was fed so far: MD5, and the SHAs that are named.

    `block` makes a buffer to read into, `update` takes it, and it comes round again. A stream that arrives faster than
    it can be digested waits in `update`, so memory stays bounded. `rest` ends the thread, once it has done its work,
    and keeps the state, so that a session which waits for its next chunk costs nothing.
    """

    def __init__(self, *, threaded: bool = False, shas: Collection[str] = SHAS) -> None:
        self.size = 0
        self._md5: _Hash = hashlib.md5(usedforsecurity=False)
        self._shas: dict[str, _Hash] = {name: hashlib.new(name, usedforsecurity=False) for name in shas}
        self._threaded = threaded
        self._thread: threading.Thread | None = None
        self._ending: threading.Thread | None = None
        self._fed: queue.SimpleQueue[Block | None] = queue.SimpleQueue()
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
        if "sha1" in self._shas:
            self._shas["sha1"].update(block)
        if not self._threaded:
            self._digest(block)
            return
        self._room.acquire()
        self._fed.put(block)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(self._ending,), daemon=True, name="digest")
            self._thread.start()

    def _run(self, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        while (block := self._fed.get()) is not None:
            self._digest(block)
            self._room.release()

    def _digest(self, block: Block) -> None:
        self._md5.update(block)
        if "sha256" in self._shas:
            self._shas["sha256"].update(block)
        buffer = block.obj if isinstance(block, memoryview) else block
        if isinstance(buffer, mmap.mmap):
            self._free.put(buffer)

    def rest(self) -> None:
        """Nothing is fed for a while: the thread ends behind the last block."""
        if self._thread is not None:
            self._fed.put(None)
            self._thread, self._ending = None, self._thread

    def content(self, blob: str = "") -> Content:
        """Size and digests of everything fed; a SHA is None where it was left for later."""
        self.rest()
        if self._ending is not None:
            self._ending.join()
        shas = {name: sha.hexdigest() for name, sha in self._shas.items()}
        return Content(self.size, self._md5.hexdigest(), shas.get("sha1"), shas.get("sha256"), blob)


EMPTY = Digests().content()
"""The content of an empty file."""
