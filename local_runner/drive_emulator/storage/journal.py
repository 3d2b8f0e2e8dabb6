"""State on disk: every change of the store is one line, appended before the request is answered.

    ["file", {...}]                                        one change
    ["all", [["revision", {...}], ["file", {...}], ...]]   changes that are kept together or not at all
    ["files", [{...}, ...]]                                many of one kind, in a journal that was written anew

A process that is killed leaves at most an unfinished last line, which the next start drops. A line in the middle that
can't be read (a disk's fault, an editor's) is reported and left out, and the journal it stood in is kept beside the new
one. A journal that is more than half out of date is written anew at the start. Without a folder nothing is kept.
"""

from __future__ import annotations

import errno
import os
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
        self._damaged = False
        self._count = 0
        self._encoder = msgspec.json.Encoder(enc_hook=dict)

    def load(self) -> Iterator[tuple[str, Sequence[Any]]]:
        """Every change of the last run: kinds with their values, in order."""
        if self._path is None or not self._path.exists():
            return
        with self._path.open("rb") as journal:
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
                for kind, values in lines:
                    self._count += len(values)
                    yield kind, values

    def start(self, state: Callable[[], Iterable[Line]], count: int) -> None:
        """Append from here on, to the journal as it was read or to a new one of `state`, which has `count` lines."""
        if self._path is None:
            return
        if self._damaged or self._count > 2 * count or not self._path.exists():
            self._rewrite(self._path, state())
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        os.ftruncate(self._fd, self._size)

    def write(self, state: Iterable[Line]) -> None:
        """A journal of this state, for somebody else to start with."""
        if self._path is not None:
            self._rewrite(self._path, state)

    def _rewrite(self, path: Path, state: Iterable[Line]) -> None:
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as journal:
            for line in _in_bulk(state):
                journal.write(self._encoder.encode(line) + b"\n")
            journal.flush()
            os.fsync(journal.fileno())
            self._size = journal.tell()
        if self._damaged:
            self._keep_damaged(path)
        fresh.replace(path)

    def _keep_damaged(self, path: Path) -> None:
        number = 1
        while (kept := path.with_name(f"journal-damaged-{number}.jsonl")).exists():
            number += 1
        path.rename(kept)
        print(f"{path}: what could be read was written anew; the damaged journal is {kept.name}", file=sys.stderr)

    def append(self, lines: Sequence[Line]) -> None:
        """Changes that are kept together, with a single system call: they survive a kill of this process.

        (Not of the machine.) Raises OSError where the disk doesn't take all of it; nothing is kept then.
        """
        if self._fd < 0 or not lines:
            return
        text = self._encoder.encode(lines[0] if len(lines) == 1 else ("all", lines)) + b"\n"
        written = os.write(self._fd, text)
        if written < len(text):
            os.ftruncate(self._fd, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self._size += written

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _changes(line: Any) -> list[tuple[str, Sequence[Any]]]:
    """What a line says: kinds with their values."""
    if line.kind == "all":
        return [(one.kind, (one.value,)) for one in line.value]
    if line.kind in BULK:
        return [(BULK[line.kind], line.value)]
    return [(line.kind, (line.value,))]


def _in_bulk(state: Iterable[Line]) -> Iterator[tuple[str, Any]]:
    """The lines of a state, with those of one kind that follow each other drawn together."""
    names = {one: many for many, one in BULK.items()}
    for kind, lines in groupby(state, key=itemgetter(0)):
        if kind not in names:
            yield from lines
            continue
        while values := [value for _, value in islice(lines, BULK_COUNT)]:
            yield names[kind], values
