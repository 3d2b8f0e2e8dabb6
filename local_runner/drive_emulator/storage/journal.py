"""State on disk: every change of the store is one line, appended before the request is answered.

    ["file", {...}]                                        one change
    ["all", [["revision", {...}], ["file", {...}], ...]]   changes that are kept together or not at all

A process that is killed leaves at most an unfinished last line, which the next start drops. A line in the middle that
can't be read (a disk's fault, an editor's) is reported and left out, and the journal it stood in is kept beside the new
one. At each start the journal is written anew without what was overwritten. Without a folder nothing is kept.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..model import records

KINDS: dict[str, type] = {
    "account": records.Account,
    "file": records.FileRecord,
    "revision": records.Revision,
    "drive": records.SharedDrive,
    "token": records.AccessToken,
    "refresh": records.RefreshToken,
    "change": records.Change,
    "session": records.UploadSession,
    "-file": str,
    "-revision": tuple[str, str],
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


class Journal:
    """Append-only lines of changes."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._fd = -1
        self._size = 0
        self._damaged = False
        self._encoder = msgspec.json.Encoder()
        self._line = msgspec.json.Decoder(tuple[str, msgspec.Raw])
        self._lines = msgspec.json.Decoder(list[tuple[str, msgspec.Raw]])
        self._values: dict[str, msgspec.json.Decoder[Any]] = {
            kind: msgspec.json.Decoder(of) for kind, of in KINDS.items()
        }

    def load(self) -> Iterator[Line]:
        """Every change of the last run."""
        if self._path is None or not self._path.exists():
            return
        with self._path.open("rb") as journal:
            for number, text in enumerate(journal, 1):
                if not text.endswith(b"\n"):
                    return
                try:
                    lines = self._decoded(text)
                except (msgspec.DecodeError, KeyError, UnicodeDecodeError) as error:
                    self._damaged = True
                    print(f"{self._path}: line {number} can't be read and is left out: {error}", file=sys.stderr)
                    continue
                yield from lines

    def _decoded(self, text: bytes) -> Sequence[Line]:
        kind, value = self._line.decode(text)
        lines = self._lines.decode(value) if kind == "all" else [(kind, value)]
        return [(kind, self._values[kind].decode(value)) for kind, value in lines]

    def start(self, state: Iterable[Line]) -> None:
        """Replace the journal by `state` and append from there."""
        if self._path is None:
            return
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as journal:
            for line in state:
                journal.write(self._encoder.encode(line) + b"\n")
            journal.flush()
            os.fsync(journal.fileno())
            self._size = journal.tell()
        if self._damaged:
            self._keep_damaged(self._path)
        fresh.replace(self._path)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND)

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
