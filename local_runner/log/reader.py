"""upload_log.json for those who read it: forwards or newest first, in constant memory, around a torn tail.

The log is an array with an entry a line. A log that someone has laid out otherwise is read whole.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from local_runner.client.invoke import Entry

BLOCK_BYTES = 256 * 1024

_BRACKETS = (b"", b"[", b"]", b"[]")


class NotALog(Exception):
    """The file isn't a JSON array of entries, or can't be read."""


def entries(path: Path) -> Iterator[Entry]:
    """All entries, oldest first; none where there is no log. Raises NotALog."""
    try:
        with open(path, "rb") as file:
            if _is_by_line(file):
                yield from _parsed(file)
            else:
                yield from _whole(file, path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise NotALog(f"{path}: can't be read ({error.strerror}).") from error


def newest_first(path: Path) -> Iterator[Entry]:
    """All entries, newest first; reads no more of the log than is taken. Raises NotALog."""
    try:
        with open(path, "rb") as file:
            if _is_by_line(file):
                yield from _parsed(_lines_backwards(file))
            else:
                yield from reversed(_whole(file, path))
    except FileNotFoundError:
        return
    except OSError as error:
        raise NotALog(f"{path}: can't be read ({error.strerror}).") from error


def torn_lines(path: Path) -> int:
    """How many lines are neither an entry nor a bracket; none in a log that is laid out otherwise."""
    try:
        with open(path, "rb") as file:
            if not _is_by_line(file):
                return 0
            return sum(1 for line in file if line.strip() not in _BRACKETS and parse(line) is None)
    except FileNotFoundError:
        return 0


def parse(line: bytes) -> Entry | None:
    """The entry of a line; None for the brackets and for what is torn."""
    text = line.strip().removesuffix(b",")
    if not text.startswith(b"{"):
        return None
    try:
        entry = json.loads(text)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _parsed(lines: Iterator[bytes] | BinaryIO) -> Iterator[Entry]:
    for line in lines:
        entry = parse(line)
        if entry is not None:
            yield entry


def _is_by_line(file: BinaryIO) -> bool:
    """Whether the first entry stands on a line of its own; the file is rewound."""
    head = [file.readline(), file.readline()]
    is_empty = not file.read(1)
    file.seek(0)
    return parse(head[1]) is not None or (is_empty and not head[0].strip(b"[] \r\n"))


def _whole(file: BinaryIO, path: Path) -> list[Entry]:
    try:
        document = json.load(file)
    except ValueError as error:
        raise NotALog(f"{path}: is not an upload log ({error}).") from error
    if not isinstance(document, list) or not all(isinstance(each, dict) for each in document):
        raise NotALog(f"{path}: is not an upload log: a JSON array of objects is expected.")
    return document


def _lines_backwards(file: BinaryIO) -> Iterator[bytes]:
    offset = file.seek(0, os.SEEK_END)
    rest = b""
    while offset:
        length = min(BLOCK_BYTES, offset)
        offset -= length
        file.seek(offset)
        first, *lines = (file.read(length) + rest).split(b"\n")
        yield from reversed(lines)
        rest = first
    yield rest
