"""Reading the log: its files, positions in them, and what they tell of uploads.

That is a second memory, for where a receipt was lost, is old or was not finished.

It says what was done, but not on which Drive (an emulator may share the log): its user looks at the file first.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import BinaryIO, TypeAlias

import msgspec

from function.core.errors import VolumeUnavailable
from function.core.naming import same
from function.core.types import LoggedUpload
from function.state import files
from function.state.log_format import CLOSE, TAIL_MAX_BYTES

LogPosition: TypeAlias = int
"""A place in the log, for `lines_since`: in which file (low bits of its inode) and how far. It stays right when that
file is closed and a new log begun. 0, and a position in a file that is gone, are in front of all that the current log
and the one closed last tell."""

_OFFSET_BITS = 40
_INODE_MASK = (1 << 23) - 1

_CLOSED = re.compile(r"-\d{8}T\d{6}\.\d{6}Z")


def position_of(status: os.stat_result, offset: int) -> LogPosition:
    """That byte of that file."""
    return (status.st_ino & _INODE_MASK) << _OFFSET_BITS | offset


def end_position(path: Path) -> LogPosition:
    """Where the current log ends; 0 where there is none, and while its end is torn, since the next append moves it."""
    try:
        fd = _open(path)
        try:
            status = os.fstat(fd)
            end = os.pread(fd, len(CLOSE), max(0, status.st_size - len(CLOSE)))
        finally:
            os.close(fd)
    except OSError:
        return 0
    return position_of(status, status.st_size) if end == CLOSE else 0


def open_log(path: str | os.PathLike[str]) -> BinaryIO:
    """The file, to be read; the log may be a link. Raises FileNotFoundError; UnexpectedFile where it is no file."""
    return os.fdopen(_open(path), "rb")


def _open(path: str | os.PathLike[str]) -> int:
    try:
        return files.open_existing(path)
    except files.UnexpectedFile:  # a link, which is followed only here
        return files.open_existing(real_path(path))


def real_path(path: str | os.PathLike[str]) -> str:
    """The path of the log's file, where the log is a link."""
    return os.path.realpath(path) if os.path.islink(path) else os.fspath(path)


def closed_path(path: str, now: datetime) -> str:
    """The name under which the log at that path is kept when it is closed at that time."""
    stem, suffix = os.path.splitext(path)
    return f"{stem}-{now.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}{suffix}"


def closed_logs(path: Path) -> list[Path]:
    """The closed logs, oldest first. A log that is being closed has both names for a moment; it isn't among them.

    Raises VolumeUnavailable.
    """
    real = Path(real_path(path))
    try:
        names = os.listdir(real.parent)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise VolumeUnavailable(
            f"{real.parent}: the log's folder can't be listed ({error.strerror}); let user id {os.geteuid()} read it, "
            "or mend the volume, and call again."
        ) from error
    current = _inode(real)
    found = (real.with_name(each) for each in sorted(names) if _is_closed(each, real))
    return [each for each in found if _inode(each) not in (current, None)]


def _is_closed(name: str, path: Path) -> bool:
    between = name.removeprefix(path.stem).removesuffix(path.suffix)
    return f"{path.stem}{between}{path.suffix}" == name and bool(_CLOSED.fullmatch(between))


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def all_logs(path: Path) -> list[Path]:
    """The closed logs and the current one, oldest first. Raises VolumeUnavailable."""
    return [*closed_logs(path), path]


def lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a log; of one that is longer than any entry, pieces: it costs no more memory than an entry may."""
    while line := file.readline(TAIL_MAX_BYTES):
        yield line


def lines_since(path: Path, position: LogPosition) -> Iterator[bytes]:
    """The lines behind a position, oldest first. Raises OSError, VolumeUnavailable."""
    inode, offset = position >> _OFFSET_BITS, position & ((1 << _OFFSET_BITS) - 1)
    with contextlib.suppress(FileNotFoundError), open_log(path) as file:
        if inode and (os.fstat(file.fileno()).st_ino & _INODE_MASK) == inode:
            _seek_behind(file, offset)
            yield from lines(file)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return  # it was not closed meanwhile, so nothing stands behind
    logs = all_logs(path)
    started = False
    for index, each in enumerate(logs):
        try:
            with open_log(each) as file:
                is_here = bool(inode) and (os.fstat(file.fileno()).st_ino & _INODE_MASK) == inode
                if is_here and not started:
                    _seek_behind(file, offset)
                started = started or is_here
                if started or (not inode and index >= len(logs) - 2):
                    yield from lines(file)
        except FileNotFoundError:
            continue
    if inode and not started:
        yield from lines_since(path, 0)


def _seek_behind(file: BinaryIO, offset: int) -> None:
    """Only where an entry ends is it still the log that was measured; else it is read from its beginning."""
    start = max(0, offset - len(CLOSE))
    file.seek(start if os.pread(file.fileno(), 2, start) in (b",\n", CLOSE[:2]) else 0)


REACH_BYTES = 4 * 1024 * 1024
"""How far back it reaches: some 8,000 entries, about what Drive takes of an account in the hour that a listing may lag.
What is older, listings show."""

_ENTRY_ENDS = (b"},\n", b"}\n")


class LogIndex(msgspec.Struct):
    """The uploads that the last part of a log tells of, kept between invocations. Safe for threads."""

    path: Path
    _uploads: list[LoggedUpload] = msgspec.field(default_factory=list)
    _by_source: dict[tuple[str, str], list[LoggedUpload]] = msgspec.field(default_factory=dict)
    _inode: int | None = None
    """Of the file that was read last."""
    _end: int = 0
    """The byte behind the last entry that was read in that file."""
    _bytes_read: int = 0
    """Of the log, since the index was begun."""
    _lock: Lock = msgspec.field(default_factory=Lock)

    def read_on(self) -> None:
        """Learn what was logged since the last time. Raises VolumeUnavailable."""
        try:
            with self._lock, open_log(self.path) as file:
                self._read_current(file)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def knows_uploads(self) -> bool:
        """Whether anything was ever uploaded, as far as the log's last part tells. Raises VolumeUnavailable."""
        self.read_on()
        return bool(self._uploads)

    def uploads_from(self, account: str, path: str) -> Sequence[LoggedUpload]:
        """What was uploaded from that source (relative to the home) to that account, oldest first."""
        return self._by_source.get((account, path), ())

    def last_below(self, account: str, folder: str) -> LoggedUpload | None:
        """The last upload to that folder, as it is shown, or to one in it."""
        below = same(f"{folder}/")
        to_account = (each for each in reversed(self._uploads) if each.account == account)
        return next((each for each in to_account if same(each.destination).startswith(below)), None)

    def upload_of(self, file_id: str, log_position: LogPosition) -> LoggedUpload | None:
        """The last upload under that file id that an entry behind the position tells of. Raises VolumeUnavailable."""
        try:
            found = [each for each in uploads_since(self.path, log_position) if each.file_id == file_id]
        except OSError as error:
            raise _unreadable(self.path, error) from error
        return found[-1] if found else None

    def _read_current(self, file: BinaryIO) -> None:
        status = os.fstat(file.fileno())
        is_same = status.st_ino == self._inode
        if not is_same:
            self._finish_closed()
        elif self._end > status.st_size:
            self._forget()
        grows_to = self._bytes_read + status.st_size - self._end
        if self._inode is None or grows_to > 2 * REACH_BYTES:
            self._forget()
            self._end = max(0, status.st_size - REACH_BYTES)
            self._read_last_closed(REACH_BYTES - status.st_size)
        self._inode = status.st_ino
        self._read(file)

    def _finish_closed(self) -> None:
        """Read the rest of the file that was read last, under the name that it has now."""
        for path in closed_logs(self.path):
            with open_log(path) as file:
                if os.fstat(file.fileno()).st_ino == self._inode:
                    self._read(file)
                    self._end = 0
                    return
        self._forget()

    def _read_last_closed(self, length: int) -> None:
        """Learn from the last bytes of the log that was closed last, where the current one is short."""
        closed = closed_logs(self.path)
        if length > 0 and closed:
            with open_log(closed[-1]) as file:
                self._end = max(0, os.fstat(file.fileno()).st_size - length)
                self._read(file)
            self._end = 0

    def _forget(self) -> None:
        self._uploads, self._by_source, self._inode, self._end, self._bytes_read = [], {}, None, 0, 0

    def _read(self, file: BinaryIO) -> None:
        """Learn from the file's entries from byte `_end` on."""
        file.seek(self._end)
        start = at = self._end
        last = b""
        for line in lines(file):
            if line.endswith(_ENTRY_ENDS):
                last, self._end = line, at
            if upload := parse_upload(line):
                self._uploads.append(upload)
                self._by_source.setdefault((upload.account, upload.path), []).append(upload)
            at += len(line)
        self._end += last.rfind(b"}") + 1
        self._bytes_read += self._end - start


def uploads_since(path: Path, log_position: LogPosition) -> Iterator[LoggedUpload]:
    """The uploads that the log tells of behind a position, oldest first. Raises OSError, VolumeUnavailable."""
    return (upload for line in lines_since(path, log_position) if (upload := parse_upload(line)))


def parse_upload(line: bytes) -> LoggedUpload | None:
    """The upload that a line of the log tells of; None where it tells of none, or is damaged."""
    if b'"uploaded"' not in line:
        return None
    text = line.strip().removesuffix(b",")
    try:
        return msgspec.json.decode(text, type=LoggedUpload)
    except msgspec.ValidationError:
        return None
    except (ValueError, RecursionError):  # also what JSON allows and msgspec doesn't: a name that isn't UTF-8
        return _parsed_leniently(text)


def _parsed_leniently(text: bytes) -> LoggedUpload | None:
    try:
        return msgspec.convert(json.loads(text.decode()), LoggedUpload)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors too
        return None


def _unreadable(path: Path, error: OSError) -> VolumeUnavailable:
    return VolumeUnavailable(f"{path}: can't be read ({error.strerror}).")
