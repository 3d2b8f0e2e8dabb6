"""Content on disk: finished blobs named by their SHA-256, and parts that are still arriving.

DIR/content/ab/abcdef...      one file per distinct content
DIR/parts/ID                  bytes received so far of an upload
"""

from __future__ import annotations

import os
import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from .digests import EMPTY, THREADS_FROM_BYTES, Block, Digests
from .model import Content

GRANULE_BYTES = 256 * 1024
"""What a broken upload keeps is cut to a multiple of this. Source: Drive guide, "Upload file data"."""


class Part:
    """Bytes of one upload as they arrive, on disk, with their digests.

    Only `append` moves `size`, after the bytes are in the file, so that another thread may read it at any time.
    """

    def __init__(self, path: Path, expected: int | None) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)
        self._file.truncate(self._file.tell() // GRANULE_BYTES * GRANULE_BYTES)
        self.size = self._file.seek(0, os.SEEK_END)
        self._digests = Digests(threads=expected is None or expected >= THREADS_FROM_BYTES)

    def append(self, block: Block) -> None:
        """Keep a block; it must not be written to afterwards."""
        if self._digests.size != self.size:
            self._catch_up()
        view = memoryview(block)
        written = 0
        while written < len(view):
            written += self._file.write(view[written:]) or 0
        self._digests.update(block)
        self.size += written

    def _catch_up(self) -> None:
        """Digest what an earlier process had received."""
        with self.path.open("rb") as before:
            while self._digests.size < self.size:
                self._digests.update(before.read(min(GRANULE_BYTES, self.size - self._digests.size)))

    def rest(self) -> None:
        """No bytes are coming for a while: stop the digests' threads."""
        self._digests.pause()

    def finish(self) -> Content:
        """Digests of the whole; the part is complete."""
        if self._digests.size != self.size:
            self._catch_up()
        self._file.close()
        return self._digests.content()

    def discard(self) -> None:
        self._digests.pause()
        self._file.close()
        self.path.unlink(missing_ok=True)


class Blobs:
    """All content of one emulator. `keep` and `release` count the revisions that use a blob."""

    def __init__(self, folder: Path) -> None:
        self._content = folder / "content"
        self._parts = folder / "parts"
        self._uses: Counter[str] = Counter()
        self._lock = threading.Lock()
        for needed in (self._content, self._parts):
            needed.mkdir(parents=True, exist_ok=True)

    def part(self, name: str, expected: int | None = None) -> Part:
        """A part to append to; what it already holds is kept. `expected` bytes, where known, decides about threads."""
        return Part(self._parts / name, expected)

    def adopt(self, part: Part) -> Content:
        """A finished part becomes a blob. Call `keep` with it before anything can `release` the same content."""
        content = part.finish()
        with self._lock:
            self._uses[content.sha256] += 1
        target = self._path(content.sha256)
        target.parent.mkdir(exist_ok=True)
        part.path.replace(target)
        return content

    def store(self, data: bytes, name: str) -> Content:
        """Bytes that are already in memory."""
        if not data:
            with self._lock:
                self._uses[EMPTY.sha256] += 1
            return EMPTY
        part = self.part(name, len(data))
        part.append(data)
        return self.adopt(part)

    def keep(self, content: Content) -> None:
        """One more use of a blob: a copy, or one found in the journal."""
        with self._lock:
            self._uses[content.sha256] += 1

    def release(self, content: Content) -> None:
        """One use less; the last one removes the bytes."""
        with self._lock:
            self._uses[content.sha256] -= 1
            if self._uses[content.sha256] > 0:
                return
            del self._uses[content.sha256]
            self._path(content.sha256).unlink(missing_ok=True)

    def open(self, content: Content) -> BinaryIO | None:
        """The bytes, for reading; None for the empty content, which has no file."""
        if not content.size:
            return None
        return self._path(content.sha256).open("rb", buffering=0)

    def read(self, content: Content) -> bytes:
        """All the bytes in memory; for tests and small files."""
        file = self.open(content)
        if file is None:
            return b""
        with file:
            return file.read()

    def drop_part(self, name: str) -> None:
        (self._parts / name).unlink(missing_ok=True)

    def forget_parts_but(self, names: set[str]) -> None:
        """Remove parts that belong to no session (of a process that was killed)."""
        for path in self._parts.iterdir():
            if path.name not in names:
                path.unlink(missing_ok=True)

    def _path(self, sha256: str) -> Path:
        return self._content / sha256[:2] / sha256


def remove(folder: Path) -> None:
    """Delete everything, for an emulator that keeps nothing."""
    shutil.rmtree(folder, ignore_errors=True)
