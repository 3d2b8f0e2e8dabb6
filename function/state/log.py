"""upload_log.json: a JSON array with an entry a line, appended in constant time, on the disk when `append` returns.

What a reader may rely on:

- Between two appends the file is a valid JSON array.
- An entry is appended by one system call, `pwrite` of `,\\n{entry}\\n]\\n` over the closing bracket. Only a reader
  whose own read falls into that call can meet an array that isn't closed; a batch is as many calls as it has entries.
  The project's reader, `local_runner.log.reader`, reads such a file, too.
- A process that is killed in that call, or a power failure before the sync, leaves an end that is not closed, or pages
  of it that never reached the disk. No answer spoke of these entries yet. The next append mends the end before it
  writes: it keeps every whole entry, and keeps what is damaged as `upload_log.json.damaged-<time>`.
- A file that is no upload log is set aside whole, under such a name.
- A log longer than `max_bytes` is closed: it stays as `upload_log-<time>.json`, a whole array, and a new one takes its
  place. At every moment an array has the log's name.

Under `lease`, a process that was frozen while it held the lock may wake up when others have written. So the lock and
the file's length are looked at immediately before each write, and a process that finds its entries written over
appends them again with its next ones. What remains: a process that freezes between that look and the system call, or
an NFS client that is cut off with the entry in its cache, can write over entries of others; where their process has
ended meanwhile, they stay lost in the log (their receipts tell that the uploads are done).
"""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from function.core.errors import Locked, UploadError, VolumeUnavailable
from function.core.naming import as_json
from function.core.retry import Deadline
from function.core.types import NEVER, LogEntry, LoggedUpload, Status
from function.state import files, log_index
from function.state.locks import HeldLock
from function.state.log_format import (
    CLOSE,
    HEAD_BYTES,
    LOOK_BACK_BYTES,
    TAIL_BYTES,
    TAIL_MAX_BYTES,
    UNSYNCED_BYTES,
    WHOLE_MAX_BYTES,
    AppendPosition,
    Damage,
    Tail,
    examine,
    look_back,
)
from function.state.log_index import LogPosition, parse_upload, uploads_since
from function.telemetry import in_context

MAX_BYTES = 256 * 1024 * 1024
"""The default of `log_max_mb`."""

HANG_S = 0.5
"""An append whose deadline is past is waited for so long: then the volume hangs."""

REMEMBERED_BYTES = 256 * 1024
"""Entries that a process remembers under `lease`, to append them again where they were written over."""

_KNOWN_BY_BYTES = 256
"""Less than an entry, and the time and the call of the first one are in it."""

_ATTEMPTS_MAX = 20


class _Ticket(msgspec.Struct, eq=False):
    """One call of `append`. While it is in the queue, it can be taken back."""

    entries: Sequence[LogEntry]
    lines: list[bytes]
    unless_logged: Mapping[str, LogPosition]
    deadline: Deadline
    written: "Future[list[bool]]" = msgspec.field(default_factory=Future)


class UploadLog(msgspec.Struct):
    """The log of one home. Safe for threads and processes; appends that meet are written together."""

    path: Path
    shared_lock: Callable[[Deadline], AbstractContextManager[HeldLock]]
    warn: Callable[[str], None]
    """Told, in a sentence, what was found damaged and where it is kept."""
    max_bytes: int = MAX_BYTES
    """A longer log is closed and a new one begun."""
    _queue: list[_Ticket] = msgspec.field(default_factory=list)
    _queue_lock: threading.Lock = msgspec.field(default_factory=threading.Lock)
    _has_writer: bool = False
    _waits_until: float = NEVER
    """How long others may hold the lock that the writer waits for: what lasts longer hangs, as what it does then."""
    _file: "_LogFile | None" = None

    def append(
        self, entries: Sequence[LogEntry], deadline: Deadline, *, unless_logged: Mapping[str, LogPosition] | None = None
    ) -> list[bool]:
        """Make the entries durable, or add none of them. Returns, for each, whether it was written.

        `unless_logged` (file id -> a position from `position`): an entry of that file id is left out where the log
        tells behind that position that the same content was `uploaded` under that id. That is decided under the lock
        under which entries are appended, so of two processes that log one upload, one writes it.

        Raises Locked and VolumeUnavailable, at the latest HANG_S after the deadline, whatever the volume does.
        After an error an entry may still appear where the volume answers late.
        """
        ticket = _Ticket(entries, [as_json(each) for each in entries], unless_logged or {}, deadline)
        self._enqueue(ticket)
        try:
            return ticket.written.result(deadline.remaining_s() + HANG_S)
        except TimeoutError:
            if self._taken_back(ticket) and time.monotonic() < self._waits_until:
                raise Locked(f"{self.path.name} is being written by other uploads; call again later.") from None
            raise VolumeUnavailable(f"{self.path}: the volume doesn't answer; mend it and call again.") from None

    def position(self) -> LogPosition:
        """Where the log ends now, for `unless_logged` and LogIndex."""
        return log_index.end_position(self.path)

    def _enqueue(self, ticket: _Ticket) -> None:
        with self._queue_lock:
            self._queue.append(ticket)
            try:
                if not self._has_writer:
                    threading.Thread(target=in_context(self._write_queue), name="upload_log", daemon=True).start()
                    self._has_writer = True
            except RuntimeError as error:  # the system has no thread left
                self._queue.remove(ticket)
                raise self._refusal(error) from error

    def _taken_back(self, ticket: _Ticket) -> bool:
        with self._queue_lock:
            is_waiting = ticket in self._queue
            if is_waiting:
                self._queue.remove(ticket)
            return is_waiting

    def _write_queue(self) -> None:
        """Write what is queued, in a thread of its own: a volume that hangs keeps no caller past its deadline."""
        while True:
            with self._queue_lock:
                if not self._queue:
                    self._has_writer = False
                    return
                first = self._queue[0]
            self._waits_until = first.deadline.at_s + HANG_S
            try:
                with self.shared_lock(first.deadline) as lock:
                    self._waits_until = NEVER
                    self._write_together(lock)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller waits for an answer
                if self._taken_back(first):
                    first.written.set_exception(self._refusal(error))

    def _write_together(self, lock: HeldLock) -> None:
        with self._queue_lock:
            tickets, self._queue = self._queue, []
        try:
            is_new = _not_logged(self.path, tickets)
            lines = [line for each, new in zip(tickets, is_new, strict=True) for line in _chosen(each.lines, new)]
            if lines:
                self._file = self._file or _LogFile(self.path, self.warn, self.max_bytes)
                self._file.append(lines, lock)
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers wait for an answer
            for each in tickets:
                each.written.set_exception(self._refusal(error))
            return
        for each, new in zip(tickets, is_new, strict=True):
            each.written.set_result(new)

    def _refusal(self, error: BaseException) -> UploadError:
        if isinstance(error, UploadError):
            return error
        what = (isinstance(error, OSError) and error.strerror) or f"{type(error).__name__}: {error}"
        if isinstance(error, OSError) and error.filename not in (None, os.fspath(self.path)):  # its folder
            what = f"{error.filename}: {what}"
        return VolumeUnavailable(f"{self.path}: can't be written ({what}); mend the volume and call again.")


def _chosen(lines: list[bytes], is_chosen: list[bool]) -> Iterator[bytes]:
    return (line for line, chosen in zip(lines, is_chosen, strict=True) if chosen)


def _not_logged(path: Path, tickets: Sequence[_Ticket]) -> list[list[bool]]:
    """For each entry of each ticket whether it is to be written."""
    logged: dict[LogPosition, set[tuple[str, str, str]]] = {}
    written: set[tuple[str, str, str]] = set()

    def is_new(entry: LogEntry, unless_logged: Mapping[str, LogPosition]) -> bool:
        if entry.status is not Status.UPLOADED or entry.file_id is None:
            return True
        upload = (entry.file_id, entry.md5 or "", entry.sha256 or "")
        since = unless_logged.get(entry.file_id)
        if since is not None:
            if since not in logged:
                logged[since] = {_key(each) for each in uploads_since(path, since)}
            if upload in logged[since] or upload in written:
                return False
        written.add(upload)
        return True

    return [[is_new(entry, each.unless_logged) for entry in each.entries] for each in tickets]


class _LogFile(msgspec.Struct):
    """The file, in the hands of the one thread that holds the lock."""

    path: Path
    warn: Callable[[str], None]
    max_bytes: int
    _left: tuple[int, int, int] | None = None
    """Inode, size and mtime as this process left them; its end needs no look while they are the same."""
    _named: int | None = None
    """The inode whose name this process brought to the disk."""
    _stays: int | None = None
    """The inode of a log that can't be closed."""
    _looked_back: int | None = None
    """The inode of the log whose beginning and last megabytes this process has looked through."""
    _remembered: list[tuple[int, bytes]] = msgspec.field(default_factory=list)
    """Byte and line of what this process wrote under a lease, newest last."""
    _head: bytes = b""
    """How the file of `_remembered` begins: that is how it is known again."""

    def append(self, lines: list[bytes], lock: HeldLock) -> None:
        """Write the lines and sync them. Raises OSError and Locked; then none of them stands."""
        left = [*lines]
        for _ in range(_ATTEMPTS_MAX):
            if self._append(log_index.real_path(self.path), left, lock):
                return
        raise VolumeUnavailable(f"{self.path}: something writes to it without the lock; stop that and call again.")

    def _append(self, real: str, lines: list[bytes], lock: HeldLock) -> bool:
        """Whether all lines are written; else the file was replaced, or others wrote to it: to be called again."""
        lock.check()
        fd = files.open_or_create(real)
        try:
            tail = self._tail(fd)
            if tail:
                self._mend(real, fd, tail.damages)
                self._look_back(real, fd, tail.size)
            if tail and not self._is_due(fd, tail.position):
                return self._write(real, fd, tail, lines, lock)
            if tail:
                os.ftruncate(fd, files.write_at(fd, CLOSE, tail.position.offset))
                os.fsync(fd)
                self._close(real, fd)
            else:
                self._begin_anew(real, fd)
        finally:
            os.close(fd)
        return False

    def _tail(self, fd: int) -> Tail | None:
        status = os.fstat(fd)
        if self._left == (status.st_ino, status.st_size, status.st_mtime_ns):
            return Tail(AppendPosition(status.st_size - len(CLOSE), is_first=False), status.st_size)
        return _examined(fd, status.st_size)

    def _is_due(self, fd: int, position: AppendPosition) -> bool:
        return position.offset > self.max_bytes and os.fstat(fd).st_ino != self._stays

    def _close(self, real: str, fd: int) -> None:
        """Put a new, empty log in the place of one that is long enough, which stays as a closed log: a whole array.

        At every moment an array has the log's name. Where the volume can't do it, the log goes on as it is.
        """
        try:
            if os.fstat(fd).st_nlink == 1:  # else a process was killed between these two steps
                os.link(real, _free_name(real))
            files.replace(real, b"[]\n")
        except OSError as error:
            self._stays = os.fstat(fd).st_ino
            self.warn(f"{real} is longer than log_max_mb and can't be closed ({error.strerror}); it goes on.")

    def _begin_anew(self, real: str, fd: int) -> None:
        """Let a file that can't be gone on with keep its content under another name."""
        size = os.fstat(fd).st_size
        ends = os.pread(fd, 64, 0).lstrip()[:1], os.pread(fd, 64, max(0, size - 64)).rstrip()[-1:]
        if size > WHOLE_MAX_BYTES and ends == (b"[", b"]"):
            closed = _free_name(real)
            os.rename(real, closed)
            self.warn(f"{real} is not an entry a line; it was closed as {closed} and a new one begun.")
        else:
            aside = files.set_aside(real)
            self.warn(f"{real} is not an upload log; it was set aside as {aside} and a new one begun.")

    def _write(self, real: str, fd: int, tail: Tail, lines: list[bytes], lock: HeldLock) -> bool:
        lines[:0] = self._written_over(fd)
        self._left = None
        try:
            self._put(fd, tail, lines, lock)
        except OSError:
            if not os.fstat(fd).st_size:  # it was to be begun, and an empty file is no array
                os.unlink(real)
            raise
        status = os.fstat(fd)
        if status.st_ino != self._named:
            files.sync_folder(os.path.dirname(real))
            self._named = status.st_ino
        if lines:
            return False
        lock.check()  # lost meanwhile, these entries may have been written over others', or others over these
        self._left = (status.st_ino, status.st_size, status.st_mtime_ns)
        self._head = os.pread(fd, _KNOWN_BY_BYTES, 0)
        return True

    def _look_back(self, real: str, fd: int, size: int) -> None:
        """Mend what is damaged further in front, once for each file: in its first bytes and its last megabytes.

        An upload doesn't fail for it: what is there already may be on a part of the disk that can't be read.
        """
        inode = os.fstat(fd).st_ino
        if self._looked_back == inode:
            return
        self._looked_back = inode
        first = max(0, size - LOOK_BACK_BYTES)
        try:
            for start, length in ((0, HEAD_BYTES), (first, LOOK_BACK_BYTES)) if first else ((0, size),):
                self._mend(real, fd, look_back(os.pread(fd, length, start), start))
        except OSError as error:
            self.warn(f"{real}: earlier entries can't be looked at ({error.strerror}); drive-upload doctor reads all.")

    def _mend(self, real: str, fd: int, damages: Sequence[Damage]) -> None:
        """Keep what is damaged elsewhere, and write a comma and blanks over it."""
        found = [each.found for each in damages if each.found.strip(b"\0 \t\r\n,[]")]
        if found:
            aside = files.aside_path(real)
            files.create(aside, b"\n".join(found))
            self.warn(f"{real}: a part of it is damaged; that part is kept as {aside}, all whole entries stay.")
        for each in damages:
            files.write_at(fd, each.instead, each.offset)
        if damages:
            os.fsync(fd)

    def _put(self, fd: int, tail: Tail, lines: list[bytes], lock: HeldLock) -> None:
        """Write the lines one by one and sync them; on an error put back what made the log whole before.

        Those that are written are taken out of `lines`: none is left, unless others write to the file.
        """
        size, at = tail.size, tail.position.offset
        try:
            while lines:
                for line in _unsynced(lines):
                    lock.check()
                    if os.fstat(fd).st_size != size:
                        return
                    start = b"[\n" if not at else b",\n"
                    end = files.write_at(fd, start + line + CLOSE, at)
                    if size > end:
                        os.ftruncate(fd, end)
                    if lock.is_lease:
                        self._remember(at + len(start), line)
                    size, at = end, end - len(CLOSE)
                    del lines[0]
                os.fsync(fd)
        except OSError:
            lock.check()
            os.ftruncate(fd, files.write_at(fd, b"[]\n" if tail.position.is_first else CLOSE, tail.position.offset))
            self._remembered = [each for each in self._remembered if each[0] < tail.position.offset]
            raise

    def _remember(self, offset: int, line: bytes) -> None:
        self._remembered.append((offset, line))
        while len(self._remembered) > 1 and sum(len(each) for _, each in self._remembered) > REMEMBERED_BYTES:
            del self._remembered[0]

    def _written_over(self, fd: int) -> list[bytes]:
        """Lines that this process wrote, and that a late append of another wrote over.

        In a file that is shorter now, or another one, they are not missed: that was a person's decision.
        """
        size, head = os.fstat(fd).st_size, os.pread(fd, _KNOWN_BY_BYTES, 0)
        if head != self._head:
            self._remembered, self._head = [], head
        lost = [
            (at, line)
            for at, line in self._remembered
            if at + len(line) <= size and os.pread(fd, len(line), at) != line
        ]
        if not lost:
            return []
        self._remembered = [each for each in self._remembered if each not in lost]
        rest = os.pread(fd, 2 * REMEMBERED_BYTES, max(0, lost[0][0] - REMEMBERED_BYTES))
        logged = {_key(each) for each in uploads_since(self.path, log_index.position_of(os.fstat(fd), lost[0][0]))}
        missing = [line for _, line in lost if line not in rest and not _is_logged(line, logged)]
        if missing:
            self.warn(f"{self.path}: another process wrote over {len(missing)} entries; they are added again.")
        return missing


def _key(upload: LoggedUpload) -> tuple[str, str, str]:
    return upload.file_id, upload.md5, upload.sha256


def _is_logged(line: bytes, logged: Collection[tuple[str, str, str]]) -> bool:
    upload = parse_upload(line)
    return upload is not None and _key(upload) in logged


def _unsynced(lines: Sequence[bytes]) -> list[bytes]:
    """Those of the lines that are written before they are synced: at least one."""
    total = 0
    for count, line in enumerate(lines):
        total += len(line)
        if total > UNSYNCED_BYTES:
            return [*lines[: max(1, count)]]
    return [*lines]


def _examined(fd: int, size: int) -> Tail | None:
    """The log's end; None where it is no log of an entry a line."""
    length = min(size, TAIL_BYTES)
    while True:
        tail = examine(os.pread(fd, length, size - length), size - length)
        if tail or length == size or length >= TAIL_MAX_BYTES:
            return tail
        length = min(size, 2 * length)


def _free_name(real: str) -> str:
    """A name for the log that is closed now, which no file has."""
    while os.path.lexists(path := log_index.closed_path(real, datetime.now(UTC))):
        pass
    return path
