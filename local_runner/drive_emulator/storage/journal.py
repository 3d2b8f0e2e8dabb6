"""State on disk: every change of the store is one line, appended before the request is answered.

    ["file", {...}]                                        one change
    ["all", [["revision", {...}], ["file", {...}], ...]]   changes that are kept together or not at all
    ["files", [{...}, ...]]                                many of one kind, in a journal that was written anew

A process that is killed leaves at most an unfinished last line, which the next start drops. A line in the middle that
can't be read (a disk's fault, an editor's) is reported and left out, and the journal it stood in is kept beside the new
one. A journal that is more than half out of date is written anew at the start. Without a folder nothing is kept.

Behind the last line stand zeros: room that is taken ahead, so that on a full disk what frees space can still be noted.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import groupby, islice
from operator import itemgetter, or_
from pathlib import Path
from typing import Any

import msgspec

from ..model import records

KINDS: dict[str, type] = {
    "account": records.Account,
    "file": records.FileRecord,
    "revision": records.Revision,
    "comment": records.Comment,
    "drive": records.SharedDrive,
    "token": records.AccessToken,
    "refresh": records.RefreshToken,
    "change": records.Change,
    "session": records.UploadSession,
    "-file": str,
    "-revision": tuple[str, str],
    "-comments": str,
    "-drive": str,
    "-token": str,
    "-session": str,
    "reserved": tuple[list[str], str, str, str],
    "used": list[str],
    "starts": int,
}
"""Line kinds and their values; a kind that starts with `-` says what is gone."""

Line = tuple[str, Any]
"""Kind and value."""

RESERVE_BYTES = 16 * 1024
RESERVE_MAX_BYTES = 1024 * 1024
"""Room kept for a full disk: the first, and of the second as much as a fourth of the journal, about what it takes to
delete everything."""
_ZEROS = bytes(16 * 1024)
_SIGNING_IN = frozenset({"token", "refresh", "starts"})
"""Kinds of lines that it takes to ask for anything."""

BULK = {"files": "file", "revisions": "revision", "changes": "change"}
"""Kinds of lines with many values -> the kind of each."""
BULK_COUNT = 500
"""Values in one such line."""


def _line_type(kind: str, of: Any) -> Any:
    return msgspec.defstruct("Line", [("value", of)], array_like=True, tag=kind, namespace={"kind": kind})


_ONE: Any = reduce(or_, (_line_type(kind, of) for kind, of in KINDS.items()))
_MANY: Any = reduce(or_, (_line_type(many, types.GenericAlias(list, (KINDS[one],))) for many, one in BULK.items()))
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_ONE | _MANY | _line_type("all", list[_ONE]))


class Journal:
    """Append-only lines of changes."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._fd = -1
        self._size = 0
        """Bytes of the lines; what the file has beyond them is room."""
        self._room_ends = 0
        self._damaged = False
        self._count = 0
        self._encoder = msgspec.json.Encoder(enc_hook=dict)

    def load(self) -> Iterator[Line]:
        """Every change of the last run, in order."""
        if self._path is None or not self._path.exists():
            return
        with self._path.open("rb", buffering=1024 * 1024) as journal:
            for number, text in enumerate(journal, 1):
                if not text.endswith(b"\n"):
                    break
                self._size += len(text)
                try:
                    lines = _changes(_DECODER.decode(text))
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    self._damaged = True
                    print(f"{self._path}: line {number} can't be read and is left out: {error}", file=sys.stderr)
                    continue
                self._count += len(lines)
                yield from lines

    def start(self, state: Callable[[], Iterable[Line]], count: int) -> None:
        """Append from here on, to the journal as it was read or to a new one of `state`, which has `count` lines."""
        if self._path is None:
            return
        if self._damaged or self._count > 2 * count or not self._path.exists():
            try:
                self._rewrite(self._path, state())
            except OSError as error:
                if not self._path.exists():
                    raise
                print(f"{self._path}: goes on as it is, not written anew: {error.strerror}", file=sys.stderr)
        self._fd = os.open(self._path, os.O_WRONLY)
        self._room_ends = os.fstat(self._fd).st_size
        try:
            os.pwrite(self._fd, bytes(self._room_ends - self._size), self._size)
        except OSError:  # a disk so full that nothing can even be written over
            os.ftruncate(self._fd, self._size)
            self._room_ends = self._size

    def write(self, state: Iterable[Line]) -> None:
        """A journal of this state, for somebody else to start with."""
        if self._path is not None:
            self._rewrite(self._path, state)

    def _rewrite(self, path: Path, state: Iterable[Line]) -> None:
        fresh = path.with_suffix(".new")
        try:
            with fresh.open("wb") as journal:
                for line in _in_bulk(state):
                    journal.write(self._encoder.encode(line) + b"\n")
                journal.flush()
                os.fsync(journal.fileno())
                size = journal.tell()
            if self._damaged:
                _keep_damaged(path)
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        self._size = size

    def append(self, lines: Sequence[Line]) -> None:
        """Changes that are kept together, with a single system call: they survive a kill of this process.

        (Not of the machine.) Raises OSError where the disk doesn't take all of it; nothing is kept then. What frees
        space may use up the reserve.
        """
        if self._fd < 0 or not lines:
            return
        text = self._encoder.encode(lines[0] if len(lines) == 1 else ("all", lines)) + b"\n"
        try:
            if not _may_use_reserve({kind for kind, _ in lines}):
                self._take_room(len(text))
            if os.pwrite(self._fd, text, self._size) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}; deleting may still be possible", str(self._path)) from None
        self._size += len(text)
        self._room_ends = max(self._room_ends, self._size)

    def _take_room(self, count: int) -> None:
        """Have so much room, and the reserve behind it; OSError where the disk has not."""
        needed = self._size + count + RESERVE_BYTES + min(self._size // 4, RESERVE_MAX_BYTES)
        while self._room_ends < needed:
            self._room_ends += os.pwrite(self._fd, _ZEROS, self._room_ends)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _keep_damaged(path: Path) -> None:
    """A second name for the journal, which its first one is about to lose."""
    number = 1
    while (kept := path.with_name(f"journal-damaged-{number}.jsonl")).exists():
        number += 1
    try:
        kept.hardlink_to(path)
    except OSError:  # a file system without links
        shutil.copyfile(path, kept)
    print(f"{path}: what could be read was written anew; the damaged journal is {kept.name}", file=sys.stderr)


def _may_use_reserve(kinds: set[str]) -> bool:
    """Whether it frees space, or is needed to ask for that. A new content that pushes an old one out frees nothing."""
    return kinds <= _SIGNING_IN or ("revision" not in kinds and any(kind.startswith("-") for kind in kinds))


def _changes(line: Any) -> list[Line]:
    """What a line of the journal says."""
    if line.kind == "all":
        return [(one.kind, one.value) for one in line.value]
    if line.kind in BULK:
        return [(BULK[line.kind], value) for value in line.value]
    return [(line.kind, line.value)]


def _in_bulk(state: Iterable[Line]) -> Iterator[tuple[str, Any]]:
    """The lines of a state, with those of one kind that follow each other drawn together."""
    names = {one: many for many, one in BULK.items()}
    for kind, lines in groupby(state, key=itemgetter(0)):
        if kind not in names:
            yield from lines
            continue
        while values := [value for _, value in islice(lines, BULK_COUNT)]:
            yield names[kind], values
