"""The log for those who read it: its closed files and the current one, forwards or newest first, in constant memory.

A log is an array with an entry a line; a line that is damaged, or an end that is torn, hides no whole entry. A log
that someone has laid out otherwise is read entry by entry.
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

__all__ = ["NotALog", "Unreadable", "entries", "newest_first", "parse", "readable", "torn_lines"]

BLOCK_BYTES = 256 * 1024

ENTRY_MAX_BYTES = 16 * 1024 * 1024
"""What is longer is no entry."""

_BLANKS = re.compile(r"[\0 \t\r\n,]*")
_OPENING = re.compile(r"[\0 \t\r\n]*\[?[\0 \t\r\n]*")

_DECODER = json.JSONDecoder()

_HEAD_BYTES = 1024 * 1024
"""A log whose second line is longer is not taken for one with an entry a line; it is read all the same."""


class NotALog(Exception):
    """The file isn't a JSON array of entries."""


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


def torn_lines(path: Path) -> int:
    """How many lines are neither entries nor a bracket; none in a log that is laid out otherwise. Raises NotALog."""
    count = 0
    for name, file in _logs(path):
        with readable(name):
            if _is_by_line(file):
                count += sum(1 for line in log_index.lines(file) if parse_all(line) is None)
    return count


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
        raise Unreadable(f"{path}: can't be read ({error.strerror}).") from error
    except VolumeUnavailable as error:
        raise Unreadable(error.message) from error


def _parsed(file: BinaryIO, start: int, end: int) -> Iterator[Entry]:
    entry = parse(os.pread(file.fileno(), end - start, start))
    if entry is not None:
        yield entry


def _is_by_line(file: BinaryIO) -> bool:
    """Whether the first entry stands on a line of its own; the file is rewound."""
    head = [file.readline(_HEAD_BYTES), file.readline(_HEAD_BYTES)]
    is_empty = not file.read(1)
    file.seek(0)
    return parse(head[1]) is not None or (is_empty and not head[0].strip(b"[] \0\r\n"))


def _spans(file: BinaryIO, path: Path) -> Iterator[tuple[int, int]]:
    """Where the objects of a JSON array begin and end, in whichever layout; a torn one at the end is passed over.

    The text is decoded by bytes, not by characters: a place in it is a place in the file.
    """
    text, base, at, length = "", 0, 0, BLOCK_BYTES
    is_open = False
    while True:
        blank = (_BLANKS if is_open else _OPENING).match(text, at)
        at, is_open = (blank.end(), is_open or "[" in blank[0]) if blank else (at, is_open)
        end = _end_of_object(text, at, path) if is_open else None
        if end is not None:
            yield base + at, base + end
            at, length = end, BLOCK_BYTES
            continue
        if is_open and text.startswith("]", at):
            return
        if text[at : at + 1] not in ("", "{" if is_open else "") or len(text) - at > ENTRY_MAX_BYTES:
            raise _no_log(path, f"byte {base + at} begins no entry")
        more = file.read(length)
        if not more and not is_open and base + len(text):
            raise _no_log(path, "it is no array")
        if not more:
            return
        text, base, at, length = text[at:] + more.decode("latin-1"), base + at, 0, 2 * length


def _end_of_object(text: str, at: int, path: Path) -> int | None:
    """Where the object that begins there ends; None where none does, or more of it has to be read."""
    if not text.startswith("{", at):
        return None
    try:
        return _DECODER.raw_decode(text, at)[1]
    except RecursionError:
        raise _no_log(path, "its entries are nested too deeply") from None
    except ValueError:
        return None


def _no_log(path: Path, why: str) -> NotALog:
    return NotALog(f"{path}: is not an upload log: a JSON array of objects is expected ({why}).")


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
