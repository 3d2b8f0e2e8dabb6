"""State on disk: every change of the store is one line, appended before the request is answered.

A process that is killed leaves at most a torn last line, which the next start drops. At each start the journal is
written anew without what was overwritten. Without a folder nothing is kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
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
}
"""Line kinds that carry a whole record; other kinds carry plain JSON."""


class Journal:
    """Append-only lines `[kind, value]`; a kind that starts with `-` says what is gone."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._fd = -1
        self._encoder = msgspec.json.Encoder()

    def load(self) -> Iterator[tuple[str, Any]]:
        """Every line of the last run, records decoded; a torn last line is left out."""
        if self._path is None or not self._path.exists():
            return
        with self._path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    return
                kind, value = msgspec.json.decode(line)
                yield kind, msgspec.convert(value, KINDS[kind]) if kind in KINDS else value

    def start(self, state: Iterator[tuple[str, Any]]) -> None:
        """Replace the journal by `state` and append from there."""
        if self._path is None:
            return
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as lines:
            for kind, value in state:
                lines.write(self._encoder.encode([kind, value]) + b"\n")
            lines.flush()
            os.fsync(lines.fileno())
        fresh.replace(self._path)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND)

    def append(self, kind: str, value: Any) -> None:
        """One line, written with a single system call: it survives a kill of this process, not of the machine."""
        if self._fd >= 0:
            os.write(self._fd, self._encoder.encode([kind, value]) + b"\n")

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
