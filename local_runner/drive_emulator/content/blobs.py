"""Content on disk: finished blobs, each under a name of its own, and parts that are still arriving.

    DIR/content/a/abcdef...       one file per content; copies share it
    DIR/content/small             contents of up to 16 KiB that came in one request; blob #7 is its slot 7
    DIR/parts/ID                  bytes received so far of an upload

A blob isn't named by its digest: MD5 can be forged, and SHA-256 of a large file isn't computed before it is asked for.
"""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import BinaryIO

from msgspec.structs import replace

from ..model.records import Content
from .digests import EMPTY, SHAS, Digests
from .slots import SLOT_BYTES, Slots
from .upload_part import Part

_SLOT = "#"


def _slot(blob: str) -> int:
    return int(blob.removeprefix(_SLOT))


class Blobs:
    """All content of one emulator. `keep` and `release` count the revisions that use a blob."""

    def __init__(self, folder: Path) -> None:
        self._content = folder / "content"
        self._parts = folder / "parts"
        self._uses: Counter[str] = Counter()
        self._completed: dict[str, Content] = {}
        self._lock = threading.Lock()
        self._digesting = threading.Lock()
        for needed in (self._content, self._parts):
            needed.mkdir(parents=True, exist_ok=True)
        self._slots = Slots(self._content / "small")

    def part(
        self, name: str, expected: int | None = None, *, shas: Collection[str] = SHAS, at_once: bool = False
    ) -> Part:
        """A part to append to; what it already holds is kept.

        `expected` bytes, where known, decide about a thread; `shas` are those that the client wants at once.
        What comes `at_once`, in one request, and is small, stays in memory until it is whole.
        """
        in_memory = at_once and expected is not None and expected <= SLOT_BYTES
        return Part(self._parts / name, expected, shas=shas, in_memory=in_memory)

    def adopt(self, part: Part) -> Content:
        """A finished part becomes a blob in use. The part stays too, until `drop_part`: its file has two names."""
        content = part.finish(part.path.name)
        if not content.size:
            return EMPTY
        if part.held is not None:
            content = replace(content, blob=f"{_SLOT}{self._slots.put(part.held)}")
        else:
            target = self._path(content)
            target.parent.mkdir(exist_ok=True)
            _link(part.path, target)
        with self._lock:
            self._uses[content.blob] += 1
        return content

    def keep(self, content: Content) -> None:
        """One more use of a blob: a copy."""
        with self._lock:
            self._uses[content.blob] += 1

    def keep_all(self, contents: Iterable[Content]) -> None:
        """The uses that were found in the journal."""
        with self._lock:
            self._uses.update(content.blob for content in contents)

    def release(self, content: Content) -> None:
        """One use less; the last one removes the bytes."""
        if not content.size:
            return
        with self._lock:
            self._uses[content.blob] -= 1
            if self._uses[content.blob] > 0:
                return
            del self._uses[content.blob]
            self._completed.pop(content.blob, None)
        if content.blob.startswith(_SLOT):
            self._slots.free(_slot(content.blob))
        else:
            self._path(content).unlink(missing_ok=True)

    def sha1(self, content: Content) -> str | None:
        """SHA-1, made now where nobody had asked for it."""
        return content.sha1 or self.complete(content).sha1

    def sha256(self, content: Content) -> str | None:
        """SHA-256, made now where nobody had asked for it."""
        return content.sha256 or self.complete(content).sha256

    def complete(self, content: Content) -> Content:
        """The content with all digests: those of a large file are computed when first asked for, then remembered."""
        if content.sha1 is not None and content.sha256 is not None:
            return content
        with self._digesting:
            known = self._completed.get(content.blob)
            if known is None:
                known = self._completed[content.blob] = self._digested(content)
            return known

    def _digested(self, content: Content) -> Content:
        digests = Digests(threaded=True)
        with self._path(content).open("rb", buffering=0) as file:
            while count := file.readinto(block := digests.block()):
                digests.update(block if count == len(block) else memoryview(block)[:count])
        full = digests.content()
        return replace(content, sha1=full.sha1, sha256=full.sha256)

    def open(self, content: Content) -> BinaryIO | None:
        """The bytes, for reading; None for the empty content, which has no file."""
        if not content.size:
            return None
        if not content.blob.startswith(_SLOT):
            return self._path(content).open("rb", buffering=0)
        with self._lock:  # so that nothing else takes the slot meanwhile
            if content.blob not in self._uses:
                raise FileNotFoundError(content.blob)
            return io.BytesIO(self._slots.get(_slot(content.blob), content.size))

    def read(self, content: Content) -> bytes:
        """All the bytes in memory; for tests and small files."""
        file = self.open(content)
        if file is None:
            return b""
        with file:
            return file.read()

    def drop_part(self, name: str) -> None:
        """Remove a part that nobody appends to."""
        (self._parts / name).unlink(missing_ok=True)

    def forget_all_but(self, sessions: set[str]) -> None:
        """Remove what belongs to no session and no revision: a process that was killed leaves such files."""
        for path in self._parts.iterdir():
            if path.name not in sessions:
                path.unlink()
        for path in self._content.glob("*/*"):
            if path.name not in self._uses:
                path.unlink()
        self._slots.free_all_but(_slot(blob) for blob in self._uses if blob.startswith(_SLOT))

    def close(self) -> None:
        self._slots.close()

    def _path(self, content: Content) -> Path:
        return self._content / content.blob[1] / content.blob


def _link(path: Path, target: Path) -> None:
    """A second name for a file; where the file system has none (FAT), the new name instead of the old one."""
    try:
        target.hardlink_to(path)
    except FileExistsError:  # left by a completion that could not be kept
        return
    except OSError:
        path.replace(target)
