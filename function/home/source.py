"""A path of a request -> a regular file below `data_root`, its file stat, digests and bytes.

Nothing outside `data_root` is ever opened for its content: the path is resolved, symlinks included, before the open,
and the opened file is compared with what was resolved.
"""

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from function.core.errors import SourceError
from function.core.types import MULTIPART_MAX_BYTES, Digests, FileStat, Fingerprint, RemoteFile
from function.home.memory_budget import MemoryBudget

BLOCK_BYTES = 1024 * 1024
"""Bytes per read: large enough that system calls cost nothing, small enough to notice a deadline quickly."""

IN_MEMORY_MAX_BYTES = 64 * 1024 * 1024
"""Small contents that a process holds at one time, of however many accounts and invocations."""

_memory = MemoryBudget(IN_MEMORY_MAX_BYTES)


@dataclass(frozen=True, slots=True)
class Location:
    """Where a source is: its resolved path, and its path relative to `data_root`, which the destination mirrors."""

    path: str
    relative: str
    status: os.stat_result | None = None
    """What is there, where the search for links has seen it already."""


@dataclass(slots=True)
class Zone:
    """The local zone as one invocation sees it: each folder is resolved once, each file looked at once."""

    home: Path
    data_root: Path
    _resolved: dict[str, str] = field(default_factory=dict)
    _root_below_home: str = field(init=False)

    def __post_init__(self) -> None:
        self._root_below_home = os.path.relpath(self.data_root, self.home)

    def below_home(self, relative: str) -> str:
        """A path that is relative to `data_root`, relative to the home."""
        return os.path.normpath(f"{self._root_below_home}/{relative}")

    def locate(self, given: str) -> Location:
        """Resolve a request's path. Raises SourceError (path_outside_data_root, source_missing, source_not_a_file)."""
        asked = os.path.join(self.home, given)
        lexical = os.path.normpath(asked)
        folder, name = os.path.split(lexical)
        try:
            if ".." in given or not name:  # `..` behind a link leads elsewhere than it seems
                return self._located(given, os.path.realpath(asked), lexical)
            real = os.path.join(self._real(folder), name)
            status = _look(real)
            if status is None or stat.S_ISLNK(status.st_mode):
                return self._located(given, os.path.realpath(real), lexical)
            return self._located(given, real, lexical, status)
        except (OSError, ValueError) as error:
            raise SourceError(f"{given!r} is not a usable path ({error}).", reason="source_missing") from error

    def _located(self, given: str, real: str, lexical: str, status: os.stat_result | None = None) -> Location:
        root = self._real(str(self.data_root))
        if real == root:
            raise SourceError(f"{given!r} is a folder; name a file in it.", reason="source_not_a_file")
        inside = _below(real, root)
        if inside is None:
            raise SourceError(
                f"{given!r} lies outside data_root ({self.data_root.name}); only files in it are uploaded.",
                reason="path_outside_data_root",
            )
        shown = _below(lexical, os.path.normpath(self.data_root)) or _below(lexical, root)
        if shown and (status or os.path.realpath(lexical) == real):
            return Location(real, shown, status)
        return Location(real, inside, status)

    def _real(self, folder: str) -> str:
        if folder not in self._resolved:
            self._resolved[folder] = os.path.realpath(folder)
        return self._resolved[folder]


def _look(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _below(path: str, folder: str) -> str | None:
    """The path relative to the folder, None outside of it."""
    return path[len(folder) + 1 :] if path.startswith(f"{folder.rstrip('/')}/") else None


@dataclass(slots=True)
class Source:
    """A source as it was when the invocation met it. Opened anew for each use, and refused once it is another.

    `digests` is computed once, whoever asks, and shared by all accounts: of a large content while it is sent, by
    whoever is furthest. A small content is read once for those who are `in_use` of it at one time.
    """

    location: Location
    stat: FileStat
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _hashing: threading.Lock = field(default_factory=threading.Lock)
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _users: int = 0
    _content: memoryview | None = None
    _sha: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    """Of the first `_hashed_to` bytes."""
    _hashed_to: int = 0
    _sha256: str | None = None
    _digests: Digests | None = None

    @property
    def fingerprint(self) -> Fingerprint:
        """What is known of the content so far; the digests only once they were asked for."""
        return Fingerprint(self.stat, self._digests)

    def digests(self, check: Callable[[], None] = lambda: None) -> Digests:
        """MD5 and SHA-256 of the content; `check` is called between blocks and may raise. Raises SourceError."""
        with self._lock:
            if self._digests is None:
                md5 = hashlib.md5(usedforsecurity=False)
                for block in self.blocks(0, check):
                    md5.update(block)
                self._check_large()
                self._digests = Digests(md5.hexdigest(), self.sha256(check))
            return self._digests

    def digests_shown_by(self, remote: RemoteFile, check: Callable[[], None]) -> Digests:
        """The digests, where Drive's MD5 is taken over when its SHA-256 proves that its content is this.

        SHA-256 takes a third of the time of MD5 on today's processors. Raises SourceError.
        """
        sha256 = self.sha256(check)
        with self._lock:
            if self._digests is None and remote.sha256 == sha256 and remote.size == self.stat.size and remote.md5:
                self._digests = Digests(remote.md5, sha256)
        return self.digests(check)

    def sha256(self, check: Callable[[], None] = lambda: None) -> str:
        """SHA-256 alone; what was read is hashed already. Raises SourceError."""
        with self._hashing:
            if self._sha256 is None:
                for block in self.blocks(self._hashed_to, check) if self._hashed_to < self.stat.size else ():
                    self._sha.update(block)
                    self._hashed_to += len(block)
                self._check_large()
                self._sha256 = self._sha.hexdigest()
            return self._sha256

    def _hash_along(self, offset: int, block: memoryview) -> None:
        """Hash a block that was read for another purpose, unless somebody else just hashes, or is further."""
        if not self._hashing.acquire(blocking=False):
            return
        try:
            start = self._hashed_to - offset
            if 0 <= start < len(block):
                self._sha.update(block[start:])
                self._hashed_to = offset + len(block)
        finally:
            self._hashing.release()

    def _check_large(self) -> None:
        if self.stat.size > MULTIPART_MAX_BYTES:  # a small one was looked at again when it was read
            self.check_unchanged()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Until the last of those who entered has left, a small content that was read stays in memory."""
        with self._reading:
            self._users += 1
        try:
            yield
        finally:
            with self._reading:
                self._users -= 1
                if not self._users and self._content is not None:
                    self._content = None
                    _memory.give_back(self.stat.size)

    def read(self, check: Callable[[], None] = lambda: None) -> memoryview:
        """The whole content, for small files. Raises SourceError, and what `check` raises."""
        with self._reading:
            content = self._content if self._content is not None else self._read_in(check)
        self.check_unchanged()
        return content

    def _read_in(self, check: Callable[[], None]) -> memoryview:
        size = self.stat.size
        _memory.take(size, check)
        try:
            buffer = memoryview(bytearray(size))
            read = 0
            with self._opened() as fd:
                while read < size:
                    check()
                    read += self._read_into(buffer[read:], fd, read)
            content = buffer.toreadonly()
            if self._users:
                self._content = content
            return content
        finally:
            if self._content is None:
                _memory.give_back(size)

    def blocks(self, offset: int, check: Callable[[], None] = lambda: None) -> Iterator[memoryview]:
        """The bytes from `offset` to the end, block by block; a block may be overwritten when the next is asked for.

        `check` is called before each and may raise. Raises SourceError.
        """
        if self.stat.size > MULTIPART_MAX_BYTES:
            for block in self._blocks_of_file(offset, check):
                self._hash_along(offset, block)
                yield block
                offset += len(block)
            return
        content = self.read(check)
        for start in range(offset, len(content), BLOCK_BYTES):
            check()
            block = content[start : start + BLOCK_BYTES]
            self._hash_along(start, block)
            yield block

    def _blocks_of_file(self, offset: int, check: Callable[[], None]) -> Iterator[memoryview]:
        """In one buffer that is reused.

        A file that turns out shorter ends the iteration with source_changed: its length was promised to Drive.
        """
        buffer = memoryview(bytearray(BLOCK_BYTES))
        with self._opened() as fd:
            while offset < self.stat.size:
                check()
                count = self._read_into(buffer[: self.stat.size - offset], fd, offset)
                yield buffer[:count]
                offset += count

    def _read_into(self, buffer: memoryview, fd: int, offset: int) -> int:
        count = os.preadv(fd, [buffer], offset)
        if not count:
            raise self._changed()
        return count

    @contextmanager
    def _opened(self) -> Iterator[int]:
        fd = _open(self.location)
        try:
            if not self._is_as_met(os.fstat(fd)):
                raise self._changed()
            yield fd
        except OSError as error:
            raise _unusable(self.location, error) from error
        finally:
            os.close(fd)

    def check_unchanged(self) -> None:
        """Raise SourceError (source_changed) when the file is no longer as the invocation met it."""
        try:
            now = os.stat(self.location.path)
        except OSError as error:
            raise self._changed() from error
        if not self._is_as_met(now):
            raise self._changed()

    def _is_as_met(self, now: os.stat_result) -> bool:
        return _file_stat(now) == self.stat

    def _changed(self) -> SourceError:
        return SourceError(
            f"{self.location.relative} changed while it was being uploaded; nothing was recorded, call again.",
            reason="source_changed",
        )


def _file_stat(status: os.stat_result) -> FileStat:
    return FileStat(status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns)


def find_source(location: Location) -> Source:
    """The source at that place, by one stat.

    Raises SourceError (source_missing, source_not_a_file, source_unreadable).
    """
    try:
        status = location.status or os.stat(location.path)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SourceError(f"{location.relative} is a link that leads back to itself.") from error
        raise _unusable(location, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{location.relative} is not a regular file.", reason="source_not_a_file")
    return Source(location, _file_stat(status))


def _open(location: Location) -> int:
    """A descriptor of the file that was located: not of what a link put in its place, and never of a FIFO."""
    try:
        fd = os.open(location.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _unusable(location, error) from error
    if _has_proc() and os.readlink(f"/proc/self/fd/{fd}") != location.path:
        os.close(fd)
        raise SourceError(f"{location.relative} was moved while it was opened.", reason="source_changed")
    return fd


@cache
def _has_proc() -> bool:
    return os.path.exists("/proc/self/fd")


def _unusable(location: Location, error: OSError) -> SourceError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        return SourceError(f"{location.relative}: no such file.", reason="source_missing")
    if error.errno == errno.ELOOP:
        return SourceError(f"{location.relative} is a symbolic link that changed.", reason="source_changed")
    return SourceError(f"{location.relative} can't be read ({error.strerror}).", reason="source_unreadable")
