"""A located file -> its file stat, digests and bytes.

What is opened is compared with what was located: it is neither what a link put in its place, nor another file.
"""

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import msgspec

from function.core.errors import SourceError
from function.core.types import MULTIPART_MAX_BYTES, Digests, FileStat, Fingerprint, RemoteFile
from function.home.data_root import Location, OwnFiles, unusable

CHECK_EVERY_S = 0.5


class MemoryBudget:
    """So many bytes, taken and given back; who asks for more than that is served when nobody else holds any."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._changed = threading.Condition()

    def take(self, count: int, check: Callable[[], None]) -> None:
        """Wait until `count` bytes are left. `check` is called meanwhile and may raise: none is taken then."""
        with self._changed:
            while self._taken and self._taken + count > self._limit:
                self._changed.wait(CHECK_EVERY_S)
                check()
            self._taken += count

    def give_back(self, count: int) -> None:
        """Let those who wait try again."""
        with self._changed:
            self._taken -= count
            self._changed.notify_all()


BLOCK_BYTES = 1024 * 1024
"""Bytes per read: large enough that system calls cost nothing, small enough to notice a deadline quickly."""

IN_MEMORY_MAX_BYTES = 64 * 1024 * 1024
"""Small contents that a process holds at one time, of however many accounts and invocations."""

_memory = MemoryBudget(IN_MEMORY_MAX_BYTES)


class Source(msgspec.Struct):
    """A source as it was when the invocation met it. Opened anew for each use, and refused once it is another.

    `digests` is computed once, whoever asks, and shared by all accounts: of a large content while it is sent, by
    whoever is furthest. A small content is read once for those who are `in_use` of it at one time.
    """

    location: Location
    stat: FileStat
    _lock: threading.Lock = msgspec.field(default_factory=threading.Lock)
    _hashing: threading.Lock = msgspec.field(default_factory=threading.Lock)
    _reading: threading.Lock = msgspec.field(default_factory=threading.Lock)
    _users: int = 0
    _content: memoryview | None = None
    _sha: "hashlib._Hash" = msgspec.field(default_factory=hashlib.sha256)
    """Of the first `_hashed_to` bytes."""
    _hashed_to: int = 0
    _sha256: str | None = None
    _digests: Digests | None = None

    @property
    def fingerprint(self) -> Fingerprint:
        """What is known of the content so far; the digests only once they were asked for."""
        return Fingerprint(self.stat, self._digests)

    def digests(self, check: Callable[[], None] = lambda: None, shown_by: RemoteFile | None = None) -> Digests:
        """MD5 and SHA-256 of the content, which the file still has. `check` is called between blocks and may raise.

        Of a file on Drive that shows them the MD5 is taken over when its SHA-256 proves that its content is this:
        SHA-256 takes a third of the time of MD5 on today's processors. Raises SourceError.
        """
        if shown_by and shown_by.md5 and shown_by.size == self.stat.size and shown_by.sha256 == self.sha256(check):
            with self._lock:
                self._digests = self._digests or Digests(shown_by.md5, self.sha256(check))
        with self._lock:
            if self._digests is not None:
                self.check_unchanged()
            else:
                md5 = hashlib.md5(usedforsecurity=False)
                for block in self.blocks(0, check):
                    md5.update(block)
                self._check_large()
                self._digests = Digests(md5.hexdigest(), self.sha256(check))
            return self._digests

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

    @property
    def sha256_by_now(self) -> str | None:
        """SHA-256 of what was read, once that is the whole content; without waiting for whoever hashes it just now."""
        if self._sha256 is None and self._hashing.acquire(blocking=False):
            try:
                return self._sha.hexdigest() if self._hashed_to == self.stat.size else None
            finally:
                self._hashing.release()
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
            raise unusable(self.location.shown, error) from error
        finally:
            os.close(fd)

    def check_unchanged(self) -> None:
        """Raise SourceError (source_changed) when the file is no longer as the invocation met it."""
        try:
            now = os.stat(self.location.path)
        except FileNotFoundError as error:
            raise self._changed() from error
        except OSError as error:
            raise unusable(self.location.shown, error) from error
        if not self._is_as_met(now):
            raise self._changed()

    def _is_as_met(self, now: os.stat_result) -> bool:
        return file_stat(now) == self.stat

    def _changed(self) -> SourceError:
        return SourceError(
            f"{self.location.shown} changed while it was being uploaded; nothing was recorded, call again.",
            reason="source_changed",
        )


def file_stat(status: os.stat_result) -> FileStat:
    """What identifies the file and its state."""
    return FileStat(status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns)


def find_source(location: Location, own: OwnFiles) -> Source:
    """The source at that place.

    Raises SourceError (source_missing, source_not_a_file, source_unreadable, source_forbidden), VolumeUnavailable.
    """
    status = location.look()
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{location.shown} is not a regular file.", reason="source_not_a_file")
    own.check(location, status)
    return Source(location, file_stat(status))


def _open(location: Location) -> int:
    """A descriptor of the file that was located: not of what a link put in its place, and never of a FIFO."""
    try:
        fd = os.open(location.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOENT):  # a link, or nothing, where a file was a moment ago
            raise SourceError(f"{location.shown} was replaced; call again.", reason="source_changed") from error
        raise unusable(location.shown, error) from error
    if _has_proc() and os.readlink(f"/proc/self/fd/{fd}") != location.path:
        os.close(fd)
        raise SourceError(f"{location.shown} was moved while it was opened.", reason="source_changed")
    return fd


@cache
def _has_proc() -> bool:
    return os.path.exists("/proc/self/fd")
