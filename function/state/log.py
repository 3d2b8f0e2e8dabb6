"""upload_log.json: a JSON array with an entry a line, valid whatever happened, appended in constant time.

The closing bracket stands at the end of the file; an append writes `,\\n{entry}\\n]\\n` over it in one write and syncs.
A write torn by a crash is cut back to the last whole entry by the next append. A file that is no such array is set
aside under another name, never changed.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import msgspec

from function.core.deadline import Deadline
from function.core.errors import Locked, UploadError, VolumeUnavailable
from function.core.types import LogEntry
from function.state import files

TAIL_BYTES = 64 * 1024
"""Read from the end of the log to find its last entry, doubled where that entry is longer; what is no longer is
looked at whole."""

CLOSE = b"\n]\n"
"""What ends the log, and is written over by the next append."""

_ENTRY_START = b'{"time":'


@dataclass(frozen=True, slots=True)
class _Ticket:
    lines: list[bytes]
    written: "Future[None]" = field(default_factory=Future)
    """Can be cancelled until somebody is about to write the lines."""


@dataclass(slots=True)
class UploadLog:
    """The log of one home. Safe for threads and processes; appends that meet are written together."""

    path: Path
    shared_lock: Callable[[Deadline], AbstractContextManager[None]]
    warn: Callable[[str], None]
    """Told, in a sentence, when a damaged log was set aside."""
    _queue: list[_Ticket] = field(default_factory=list)
    _queue_lock: Lock = field(default_factory=Lock)
    _turn: Lock = field(default_factory=Lock)

    def append(self, entries: Sequence[LogEntry], deadline: Deadline) -> None:
        """Make the entries durable, or add none of them. Raises VolumeUnavailable, Locked."""
        ticket = _Ticket([encode(each) for each in entries])
        with self._queue_lock:
            self._queue.append(ticket)
        if self._turn.acquire(timeout=deadline.remaining_s()):
            try:
                if not ticket.written.done():
                    self._write_queued(deadline)
            except Exception as error:
                if ticket.written.cancel():
                    raise self._refusal(error) from error
            finally:
                self._turn.release()
        elif ticket.written.cancel():
            raise Locked(f"{self.path.name} is being written by other uploads; call again later.")
        ticket.written.result()

    def _write_queued(self, deadline: Deadline) -> None:
        with self.shared_lock(deadline):
            with self._queue_lock:
                queued, self._queue = self._queue, []
            tickets = [each for each in queued if each.written.set_running_or_notify_cancel()]
            try:
                self._write([line for each in tickets for line in each.lines])
            except BaseException as error:
                for each in tickets:
                    each.written.set_exception(self._refusal(error))
                raise
            for each in tickets:
                each.written.set_result(None)

    def _refusal(self, error: BaseException) -> UploadError:
        if isinstance(error, UploadError):
            return error
        what = (isinstance(error, OSError) and error.strerror) or f"{type(error).__name__}: {error}"
        return VolumeUnavailable(f"{self.path}: can't be written ({what}); mend the volume and call again.")

    def _write(self, lines: list[bytes]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            place = _place(fd)
            if place is None:
                damaged, fd = fd, self._set_aside()
                os.close(damaged)
                place = Place(0, is_first=True)
            _put(fd, place, lines)
        except OSError:
            if not os.fstat(fd).st_size:  # it was to be begun, and an empty file is no array
                os.unlink(os.path.realpath(self.path))
            raise
        finally:
            os.close(fd)

    def _set_aside(self) -> int:
        aside = f"{self.path}.damaged-{time.time_ns()}"
        os.rename(self.path, aside)
        self.warn(f"{self.path} is not an upload log; it was set aside as {aside} and a new one begun.")
        return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def size(self) -> int:
        """Bytes of the log now; 0 while its end is torn, since the next append cuts it back."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                size = os.fstat(fd).st_size
                return size if os.pread(fd, len(CLOSE), max(0, size - len(CLOSE))) == CLOSE else 0
            finally:
                os.close(fd)
        except OSError:
            return 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next entry goes: the byte behind the last one."""

    offset: int
    is_first: bool


def _place(fd: int) -> Place | None:
    """Where to append in an open log, None when it is no log."""
    size = os.fstat(fd).st_size
    length = min(size, TAIL_BYTES)
    while True:
        tail = os.pread(fd, length, size - length)
        place = find_place(tail, size - length, os.pread(fd, 64, 0))
        if place is not None or length == size:
            return place
        length = min(size, 2 * length)


def find_place(tail: bytes, start: int, head: bytes) -> Place | None:
    """Where to append, from the file's first bytes and its last ones, which begin at byte `start`.

    None when the tail holds no whole entry, what is torn there can't have been written by an append, or, where the
    whole file is seen, what stands before isn't an array's entries.
    """
    if not start and not tail.strip(b"\0 \t\r\n"):
        return Place(0, is_first=True)
    if not head.lstrip().startswith(b"["):
        return None
    text = tail.rstrip(b"\0 \t\r\n")
    for find in (_before_the_bracket, _last_whole_entry):
        place = find(text, start)
        if place and (start or place.is_first or _is_entries(text[: place.offset] + b"]")):
            return place
    return None


def _before_the_bracket(text: bytes, start: int) -> Place | None:
    if not text.endswith(b"\n]" if start else b"]"):  # within a line, a torn entry may end so
        return None
    before = text[:-1].rstrip().removesuffix(b",").rstrip()  # of a torn append only the comma may have arrived
    if not start and before.lstrip() == b"[":
        return Place(0, is_first=True)
    return Place(start + len(before), is_first=False) if before.endswith(b"}") else None


def _last_whole_entry(text: bytes, start: int) -> Place | None:
    end = len(text)
    while end > 0:
        line_start = text.rfind(b"\n", 0, end) + 1
        line = text[line_start:end].strip().removesuffix(b",")
        torn = text[end:].lstrip(b", \r\n")
        if not line_start and not start and line == b"[":
            return Place(0, is_first=True) if _is_prefix_of_entry(torn) else None
        if line.startswith(b"{") and (line_start or start) and _is_entries(b"[" + line + b"]"):
            whole = line_start + text[line_start:end].rindex(b"}") + 1
            return Place(start + whole, is_first=False) if _is_prefix_of_entry(torn) else None
        end = line_start - 1
    return None


def _is_prefix_of_entry(torn: bytes) -> bool:
    return torn in (b"", b"]") or torn.startswith(_ENTRY_START) or _ENTRY_START.startswith(torn)


def _is_entries(text: bytes) -> bool:
    """Whether it is a JSON array of objects."""
    try:
        document = json.loads(text.decode())
    except (ValueError, RecursionError):
        return False
    return isinstance(document, list) and all(isinstance(each, dict) for each in document)


def _put(fd: int, place: Place, lines: list[bytes]) -> None:
    """Write the lines at their place and sync; on an error put back what made the log whole before."""
    try:
        end = files.write_at(fd, (b"[\n" if place.is_first else b",\n") + b",\n".join(lines) + CLOSE, place.offset)
        if os.fstat(fd).st_size > end:
            os.ftruncate(fd, end)
        os.fsync(fd)
    except OSError:
        whole = files.write_at(fd, b"[]\n" if place.is_first else CLOSE, place.offset)
        os.ftruncate(fd, whole)
        raise


def encode(entry: LogEntry) -> bytes:
    """The entry's line. Names that aren't UTF-8 are kept as escapes, so that the path can be found again."""
    try:
        return msgspec.json.encode(entry)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(entry), separators=(",", ":")).encode()
