"""The log's new entries, as they come."""

import os
from pathlib import Path
from typing import BinaryIO

from function.state import log_index
from local_runner.client.invoke import Entry
from local_runner.log.reader import parse, readable


class Follower:
    """Reads on behind what was there before, also when the log is closed and a new one begun, or is cut shorter.

    The file stays open, so that a log that was renamed is read to its end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = self._opened()
        self._offset = self._end()

    def new_entries(self) -> list[Entry]:
        """What was appended since the last call. Raises NotALog."""
        found = self._read()
        opened = self._opened()
        if opened is None:
            return found
        if self._file is not None and os.path.sameopenfile(opened.fileno(), self._file.fileno()):
            opened.close()
            return found
        if self._file is not None:
            self._file.close()
        self._file, self._offset = opened, 0
        return found + self._read()

    def close(self) -> None:
        """Follow no longer."""
        if self._file is not None:
            self._file.close()

    def _opened(self) -> BinaryIO | None:
        try:
            with readable(self._path):
                return log_index.open_log(self._path)
        except FileNotFoundError:
            return None

    def _end(self) -> int:
        """Behind the last entry, before the bracket that the next append writes over."""
        if self._file is None:
            return 0
        size = self._file.seek(0, os.SEEK_END)
        start = max(0, size - 16)
        self._file.seek(start)
        return start + len(self._file.read().rstrip(b"\0 \t\r\n]"))

    def _read(self) -> list[Entry]:
        if self._file is None:
            return []
        if self._file.seek(0, os.SEEK_END) < self._offset:
            self._offset = self._end()
        self._file.seek(self._offset)
        found, position = [], self._offset
        for line in self._file.read().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break  # it is being written
            entry = parse(line)
            if entry is not None:
                found.append(entry)
                self._offset = position + len(line.rstrip(b", \t\r\n"))
            position += len(line)
        return found
