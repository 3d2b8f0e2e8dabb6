"""What upload_log.json tells of uploads: a second memory, for where a receipt was lost, is old or was not finished.

It says what was done, but not on which Drive (an emulator may share the log): whoever follows it looks at the id first.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Literal

import msgspec

from function.core.errors import VolumeUnavailable
from function.core.types import Digests, FileId
from function.state.log import CLOSE

REACH_BYTES = 4 * 1024 * 1024
"""How far back it reaches: some 8,000 entries, about what Drive takes of an account in the hour that a listing may lag.
What is older, listings show."""


class LoggedUpload(msgspec.Struct, frozen=True):
    """An entry of the log that says `uploaded`."""

    status: Literal["uploaded"]
    account: str
    path: str
    destination: str
    file_id: FileId
    size: int
    sha256: str
    md5: str
    attempt: int | None = None
    link: str | None = None

    @property
    def digests(self) -> Digests:
        """The content's."""
        return Digests(self.md5, self.sha256)

    @property
    def folder(self) -> str:
        """The destination's folder as it is shown."""
        return self.destination.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The file's name on Drive."""
        return self.destination.rpartition("/")[2]


@dataclass(slots=True)
class LogMemory:
    """The uploads that the last part of a log tells of, kept between invocations. Safe for threads."""

    path: Path
    _uploads: list[LoggedUpload] = field(default_factory=list)
    _by_source: dict[tuple[str, str], list[LoggedUpload]] = field(default_factory=dict)
    _start: int = 0
    _end: int = 0
    """The bytes of the log that were read; the end is behind an entry."""
    _lock: Lock = field(default_factory=Lock)

    def read_on(self) -> None:
        """Learn what was logged since the last time. Raises VolumeUnavailable."""
        try:
            with self._lock, open(self.path, "rb") as file:
                self._read_on(file)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def uploads_from(self, account: str, path: str) -> Sequence[LoggedUpload]:
        """What was uploaded from that source (relative to the home) to that account, oldest first."""
        return self._by_source.get((account, path), ())

    def last_below(self, account: str, folder: str) -> LoggedUpload | None:
        """The last upload to that folder, as it is shown, or to one in it."""
        below = f"{folder}/"
        to_account = (each for each in reversed(self._uploads) if each.account == account)
        return next((each for each in to_account if each.destination.startswith(below)), None)

    def upload_of(self, file_id: str, since: int) -> LoggedUpload | None:
        """The last upload under that file id that an entry behind byte `since` tells of. Raises VolumeUnavailable."""
        try:
            with open(self.path, "rb") as file:
                start = max(0, since - len(CLOSE))
                # Only where an entry ends is it still the log that was measured.
                file.seek(start if os.pread(file.fileno(), 2, start) in (b",\n", CLOSE[:2]) else 0)
                told = [_parsed(line) for line in file if file_id.encode() in line]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(self.path, error) from error
        return next((each for each in reversed(told) if each and each.file_id == file_id), None)

    def _read_on(self, file: BinaryIO) -> None:
        size = os.fstat(file.fileno()).st_size
        if self._end > size or size - self._start > 2 * REACH_BYTES:
            self._uploads, self._by_source = [], {}
            self._start = self._end = max(0, size - REACH_BYTES)
        file.seek(self._end)
        for line in file:
            upload = _parsed(line)
            if upload:
                self._uploads.append(upload)
                self._by_source.setdefault((upload.account, upload.path), []).append(upload)
            if line.endswith((b"}\n", b"},\n")):
                self._end = file.tell() - (len(line) - line.rindex(b"}") - 1)


def _parsed(line: bytes) -> LoggedUpload | None:
    """The upload that the line tells of; None where it tells of none, or is torn."""
    if b'"uploaded"' not in line:
        return None
    text = line.strip().removesuffix(b",")
    try:
        return msgspec.json.decode(text, type=LoggedUpload)
    except msgspec.ValidationError:
        return None
    except msgspec.DecodeError:  # also what JSON allows and msgspec doesn't: a name that isn't UTF-8
        return _parsed_leniently(text)


def _parsed_leniently(text: bytes) -> LoggedUpload | None:
    try:
        return msgspec.convert(json.loads(text), LoggedUpload)
    except ValueError:  # msgspec's errors are such too
        return None


def _unreadable(path: Path, error: OSError) -> VolumeUnavailable:
    return VolumeUnavailable(f"{path}: can't be read ({error.strerror}).")
