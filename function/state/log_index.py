"""What the log tells of uploads: a second memory, for where a receipt was lost, is old or was not finished.

It says what was done, but not on which Drive (an emulator may share the log): its user looks at the file first.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import msgspec

from function.core.errors import VolumeUnavailable
from function.core.naming import same
from function.core.types import LoggedUpload
from function.state import log_files
from function.state.log_files import LogPosition

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
            with self._lock, log_files.open_log(self.path) as file:
                self._read_current(file)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unreadable(self.path, error) from error

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
        for path in log_files.closed_logs(self.path):
            with log_files.open_log(path) as file:
                if os.fstat(file.fileno()).st_ino == self._inode:
                    self._read(file)
                    self._end = 0
                    return
        self._forget()

    def _read_last_closed(self, length: int) -> None:
        """Learn from the last bytes of the log that was closed last, where the current one is short."""
        closed = log_files.closed_logs(self.path)
        if length > 0 and closed:
            with log_files.open_log(closed[-1]) as file:
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
        for line in log_files.lines(file):
            if line.endswith(_ENTRY_ENDS):
                last, self._end = line, at
            if upload := parse_upload(line):
                self._uploads.append(upload)
                self._by_source.setdefault((upload.account, upload.path), []).append(upload)
            at += len(line)
        self._end += last.rfind(b"}") + 1
        self._bytes_read += self._end - start


def uploads_since(path: Path, log_position: LogPosition) -> Iterator[LoggedUpload]:
    """The uploads that the log tells of behind a position, oldest first. Raises OSError."""
    return (upload for line in log_files.lines_since(path, log_position) if (upload := parse_upload(line)))


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
