"""The log for those who read it: its closed files and the current one, forwards or newest first, in constant memory.

A log is an array with an entry a line; a line that is damaged, or an end that is torn, hides no whole entry. A log
that someone has laid out otherwise is read entry by entry, from the next one on behind what is damaged.
"""

import json
import os
import re
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from function.core.errors import VolumeUnavailable
from function.state import log_index
from local_runner.client.invoke import Entry
from local_runner.log.entry import parse, parse_all

__all__ = ["NotALog", "Unreadable", "contents", "entries", "newest_first", "parse", "readable"]

BLOCK_BYTES = 256 * 1024

ENTRY_MAX_BYTES = 16 * 1024 * 1024
"""What is longer is no entry."""

_BETWEEN = re.compile(r"[\0 \t\r\n,\[\]]*")
_OPENING = re.compile(r"[\0 \t\r\n]*\[?[\0 \t\r\n]*")
_ENTRY = re.compile(r'\{\s{0,64}"time"')
"""How an entry of the job begins, in whichever layout; no string of JSON holds it."""

_ENTRY_START_BYTES = 72
"""No shorter than what that matches."""

_DECODER = json.JSONDecoder()

_HEAD_BYTES = 1024 * 1024
"""Where no line that begins and ends in these is a whole entry, the log is read entry by entry."""


class NotALog(Exception):
    """The file at `path` isn't a JSON array of entries."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


class Unreadable(NotALog):
    """The file can't be read, or its folder can't be listed."""


def entries(path: Path) -> Iterator[Entry]:
    """All entries, oldest first, those of closed logs before those of the current one. Raises NotALog."""
    for name, file in _logs(path):
        with readable(name):
            if _is_by_line(file):
                for line in log_index.lines(file):
                    yield from parse_all(line) or []
            else:
                for start, end in _spans(file, name):
                    yield from _parsed(file, start, end)


def newest_first(path: Path) -> Iterator[Entry]:
    """All entries, newest first; reads no more of the logs than is taken. Raises NotALog."""
    for name, file in _logs(path, newest_first=True):
        with readable(name):
            if _is_by_line(file):
                for line in _lines_backwards(file):
                    yield from reversed(parse_all(line) or [])
            else:
                ends = array("q", (end for span in _spans(file, name) for end in span))
                for at in range(len(ends) - 2, -1, -2):
                    yield from _parsed(file, ends[at], ends[at + 1])


def contents(path: Path) -> Iterator[int | None]:
    """How many entries each line holds, of a log that is laid out otherwise each place; None where it is damaged.

    Raises NotALog.
    """
    for name, file in _logs(path):
        with readable(name):
            if _is_by_line(file):
                for line in log_index.lines(file):
                    found = parse_all(line)
                    yield None if found is None else len(found)
            else:
                behind = 0
                for start, end in _spans(file, name):
                    if not _is_blank(file, behind, start):
                        yield None
                    yield 1
                    behind = end
                if not _is_blank(file, behind, os.fstat(file.fileno()).st_size):
                    yield None


def _logs(path: Path, *, newest_first: bool = False) -> Iterator[tuple[Path, BinaryIO]]:
    """The files of the log. The current one is opened first, so that it is read though it is closed meanwhile."""
    with ExitStack() as stack:
        current: BinaryIO | None = None
        with suppress(FileNotFoundError), readable(path):
            current = stack.enter_context(log_index.open_log(path))
        with readable(path):
            closed = log_index.closed_logs(path)
        if current is not None:
            status = os.fstat(current.fileno())
            closed = [each for each in closed if not os.path.samestat(each.stat(), status)]
        if current is not None and newest_first:
            yield path, current
        for each in reversed(closed) if newest_first else closed:
            with suppress(FileNotFoundError), readable(each):
                yield each, stack.enter_context(log_index.open_log(each))
        if current is not None and not newest_first:
            yield path, current


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Whatever stops the block from reading that file, unless it is missing, is told as Unreadable."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unreadable(path, f"{path}: can't be read ({error.strerror}).") from error
    except VolumeUnavailable as error:
        raise Unreadable(path, error.message) from error


def _parsed(file: BinaryIO, start: int, end: int) -> Iterator[Entry]:
    entry = parse(os.pread(file.fileno(), end - start, start))
    if entry is not None:
        yield entry


def _is_by_line(file: BinaryIO) -> bool:
    """Whether entries stand on lines of their own, as far as its beginning tells; the file is rewound.

    Any line may be damaged, the first one too. But where a whole entry opens the array and its line isn't whole, the
    log was laid out otherwise, though the job may have gone on behind it with lines.
    """
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    text = head.decode("latin-1")
    opening = _OPENING.match(text)
    start = opening.end() if opening else 0
    first_line = head[start:].partition(b"\n")[0]
    if _end_of_object(text, start) is not None and parse_all(first_line) is None:
        return False
    is_empty = len(head) < _HEAD_BYTES and not head.strip(b"[] \0\r\n")
    # A line of another layout can be an object, but none with a status: that one is an entry.
    return is_empty or any("status" in each for line in head.split(b"\n") for each in parse_all(line) or ())


def _spans(file: BinaryIO, path: Path) -> Iterator[tuple[int, int]]:
    """Where the objects of a JSON array begin and end, in whichever layout; what is damaged or torn is passed over.

    The text is decoded by bytes, not by characters: a place in it is a place in the file.
    """
    text, base, at, length = "", 0, 0, BLOCK_BYTES
    is_open, has_found, damaged_at = False, False, -1
    while True:
        blank = (_BETWEEN if is_open else _OPENING).match(text, at)
        at, is_open = (blank.end(), is_open or "[" in blank[0]) if blank else (at, is_open)
        end = _end_of_object(text, at) if is_open else None
        if end is not None:
            yield base + at, base + end
            at, length, has_found = end, BLOCK_BYTES, True
            continue
        if not is_open and at < len(text):
            raise _no_log(path, "it is no array")
        if text[at : at + 1] not in ("", "{") or len(text) - at > ENTRY_MAX_BYTES:
            damaged_at = damaged_at if damaged_at >= 0 else base + at
            at = _next_entry(text, at)
            continue
        more = file.read(length)
        if more:
            text, base, at, length = text[at:] + more.decode("latin-1"), base + at, 0, 2 * length
        elif at < len(text):  # it was torn, or is damaged
            at = _next_entry(text, at)
        else:
            break
    if not is_open and base + len(text):
        raise _no_log(path, "it is no array")
    if damaged_at >= 0 and not has_found:
        raise _no_log(path, f"byte {damaged_at} begins no entry")


def _end_of_object(text: str, at: int) -> int | None:
    """Where the object that begins there ends; None where none does, or more of it has to be read."""
    if not text.startswith("{", at):
        return None
    try:
        return _DECODER.raw_decode(text, at)[1]
    except (ValueError, RecursionError):
        return None


def _next_entry(text: str, at: int) -> int:
    """Where the next entry begins behind what is damaged, or may begin, where more is to be read."""
    found = _ENTRY.search(text, at + 1)
    return found.start() if found else max(at + 1, len(text) - _ENTRY_START_BYTES)


def _is_blank(file: BinaryIO, start: int, end: int) -> bool:
    """Whether nothing stands between two entries but what has to, as far as the beginning of it tells."""
    return not os.pread(file.fileno(), min(end - start, BLOCK_BYTES), start).strip(b"\0 \t\r\n,[]")


def _no_log(path: Path, why: str) -> NotALog:
    return NotALog(path, f"{path}: is not an upload log: a JSON array of objects is expected ({why}).")


def _lines_backwards(file: BinaryIO) -> Iterator[bytes]:
    """The lines, last one first; of one that is longer than any entry, pieces."""
    offset = file.seek(0, os.SEEK_END)
    rest: list[bytes] = []
    size = 0
    while offset:
        length = min(BLOCK_BYTES, offset)
        offset -= length
        file.seek(offset)
        first, *lines = file.read(length).split(b"\n")
        if lines:
            *between, last = lines
            yield b"".join([last, *reversed(rest)])
            yield from reversed(between)
            rest, size = [], 0
        rest.append(first)
        size += len(first)
        if size > ENTRY_MAX_BYTES:
            rest, size = [], 0
    yield b"".join(reversed(rest))
