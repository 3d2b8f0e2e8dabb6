"""The bytes of upload_log.json: where the next entry goes, and what of its end is damaged. Pure.

    [\\n{entry},\\n{entry}\\n]\\n

An append looks at the log's end, never at the whole of it: `UNSYNCED_BYTES` are the most that are ever written and not
yet on the disk, so a power failure damages nothing that stands further in front, whichever pages of it reached the
disk. What people, other programs and bad disks damage may stand anywhere: once in a process the log's beginning and
its last `LOOK_BACK_BYTES` are looked through.

A stretch between two entries that is not JSON (a line of which a page was lost, a line that somebody damaged) is
overwritten in place by a comma and blanks. No entry is moved or written again, so a crash in the middle of a repair
endangers none, and the next append repairs the rest.
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import msgspec

CLOSE = b"\n]\n"
"""What ends the log, and is written over by the next append."""

UNSYNCED_BYTES = 32 * 1024
"""No more entries than these are written before they are synced; a longer entry is synced alone."""

TAIL_BYTES = 2 * UNSYNCED_BYTES
"""What is read of the log's end at first."""

TAIL_MAX_BYTES = 16 * 1024 * 1024
"""The most that is read of it: more than the longest entry takes."""

LOOK_BACK_BYTES = 4 * 1024 * 1024
"""How much of the log's end is looked through once in a process: some 8,000 entries, in 5 ms."""

HEAD_BYTES = 64 * 1024
"""How much of the beginning of a longer log is looked through then."""

_BLOCK_BYTES = 16 * 1024
"""So many bytes of lines are taken for whole at once, where they are; else line by line."""

WHOLE_MAX_BYTES = 4 * 1024 * 1024
"""The longest log of another layout (on one line, indented) that is gone on with."""

ENTRY_START = b'{"time":'

_BLANK = b"\0 \t\r\n"
"""White space, and what a file system puts where it lost a page."""

_SPACE = b" \t\r\n"
"""White space in JSON."""

_CLOSING = re.compile(rb"[ \t\r\n]*+,?[ \t\r\n]*+\]?[\0 \t\r\n]*+")
"""Possessive, since each blank may be anyone's: looked for in every way, 64 KB of them took 15 s."""


class AppendPosition(msgspec.Struct, frozen=True):
    """Where the next entry goes: the byte behind the last one."""

    offset: int
    is_first: bool


class Damage(msgspec.Struct, frozen=True):
    """A stretch of the log that is not JSON, and what is written over it."""

    offset: int
    found: bytes
    instead: bytes = b""
    """As long as `found`; nothing where it stands at the end of the log, which the next append writes over."""


class Tail(msgspec.Struct, frozen=True):
    """What an append needs to know of the log's end."""

    position: AppendPosition
    size: int
    """Bytes of the file that was looked at."""
    damages: tuple[Damage, ...] = ()


_OBJECT = msgspec.json.Decoder(dict[str, Any])
_OBJECTS = msgspec.json.Decoder(list[dict[str, Any]])


class _Entry(msgspec.Struct):
    """Any object; no value of it is made."""


_ENTRIES = msgspec.json.Decoder(list[_Entry])


def is_entry(text: bytes) -> bool:
    """Whether it is one JSON object, as Python's `json` reads it."""
    return text.startswith(b"{") and _is_json(text, _OBJECT, dict)


def is_array(text: bytes) -> bool:
    """Whether it is a JSON array of objects."""
    return _is_json(text, _OBJECTS, list)


def _is_json(text: bytes, decoder: msgspec.json.Decoder[Any], kind: type) -> bool:
    try:
        decoder.decode(text)  # as values: msgspec doesn't check the strings that it passes over
    except RecursionError:
        return False
    except ValueError:  # also what Python allows and msgspec doesn't: an escape that stands for no character, NaN
        return _is_python_json(text, kind)
    return True


def _is_python_json(text: bytes, kind: type) -> bool:
    try:
        document: Any = json.loads(text.decode())
    except (ValueError, RecursionError):
        return False
    if kind is dict:
        return isinstance(document, dict)
    return isinstance(document, list) and all(isinstance(each, dict) for each in document)


def examine(view: bytes, start: int) -> Tail | None:
    """The log's end, from a view of the file from byte `start` to its end.

    None where more of the file has to be seen; where all of it is seen, it is no upload log.
    """
    if start == 0:
        whole = _empty_or_whole(view)
        if whole:
            return whole
    spans = list(_entries(view, is_start=start == 0))
    if not spans:
        return _begun(view) if start == 0 else None
    damages: list[Damage] = []
    if start == 0:
        opening = view[: spans[0][0]]
        if not opening:  # no room for a bracket: a JSON document a line
            return None
        if not _opens(opening):
            damages.append(_new_opening(opening))
    elif spans[-1][1] - spans[0][0] < UNSYNCED_BYTES:
        return None
    damages += _gaps(view, start, spans)
    if damages and not _is_upload_log(view, spans):
        return None
    end = spans[-1][1]
    if not _is_end(view[end:]):
        damages.append(Damage(start + end, view[end:]))
    return Tail(AppendPosition(start + end, is_first=False), start + len(view), tuple(damages))


def look_back(view: bytes, start: int) -> list[Damage]:
    """What is damaged in a part of the file, from byte `start` on: in front of its entries, and between two of them.

    What is cut off by the part's ends isn't judged. Nothing where the file is no upload log.
    """
    spans = list(_entries(view, is_start=start == 0))
    found = [*_gaps(view, start, spans)]
    if start == 0 and spans and not _opens(view[: spans[0][0]]):
        found.insert(0, _new_opening(view[: spans[0][0] or _line_end(view, 0) + 1]))
    return found if _is_upload_log(view, spans) else []


def _gaps(view: bytes, start: int, spans: list[tuple[int, int]]) -> Iterator[Damage]:
    """What stands between two whole entries, and should not."""
    for (_, end), (begin, _) in pairwise(spans):
        if not _is_between(view[end:begin]):
            yield Damage(start + end, view[end:begin], _separator(begin - end))


def _is_between(text: bytes) -> bool:
    """Whether it is a comma, or entries in another layout between two commas."""
    text = text.strip(_SPACE)
    inner = text[1:-1].strip(_SPACE)
    return text == b"," or (text[:1] == text[-1:] == b"," and bool(inner) and _are_entries(inner))


def _empty_or_whole(view: bytes) -> Tail | None:
    """The end of a log that is empty, or a JSON array in whichever layout."""
    if not view.strip(_BLANK):
        return Tail(AppendPosition(0, is_first=True), len(view))
    text = view.rstrip(_BLANK)
    if len(text) > WHOLE_MAX_BYTES or not text.endswith(b"]") or not is_array(text):
        return None
    before = text[:-1].rstrip()
    is_empty = before.lstrip() == b"["
    return Tail(AppendPosition(0 if is_empty else len(before), is_first=is_empty), len(view))


def _begun(view: bytes) -> Tail | None:
    """The end of a log whose first append was torn."""
    text = view.strip(_BLANK)
    is_torn = text.startswith(b"[") and is_torn_entry(text[1:].lstrip())
    return Tail(AppendPosition(0, is_first=True), len(view)) if is_torn else None


def _entries(view: bytes, *, is_start: bool) -> Iterator[tuple[int, int]]:
    """Where whole entries begin and end: of many lines that are whole together, else line by line.

    The view's first line is passed over where the log begins in front of it.
    """
    at = 0 if is_start else view.find(b"\n") + 1
    if at == 0 and not is_start:
        return
    while at < len(view):
        end = _line_end(view, at + _BLOCK_BYTES)
        span = _span(view, at, end, _are_plain_entries)
        yield from [span] if span else _entries_by_line(view, at, end)
        at = end + 1


def _entries_by_line(view: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    while at < end:
        line_end = _line_end(view, at)
        if span := _span(view, at, line_end, _is_entry_or_several):
            yield span
        at = line_end + 1


def _line_end(view: bytes, at: int) -> int:
    end = view.find(b"\n", at)
    return len(view) if end < 0 else end


def _span(view: bytes, start: int, end: int, is_whole: Callable[[bytes], bool]) -> tuple[int, int] | None:
    """Where the entries in the lines from `start` to `end` begin and end; None where they aren't whole."""
    text = view[start:end].lstrip(_BLANK)
    if start == 0 and text.startswith(b"["):
        text = text[1:].lstrip(_BLANK)
    begin = end - len(text)
    text = text.rstrip(_BLANK).removesuffix(b",").rstrip(_BLANK)
    if not text.startswith(b"{"):
        return None
    for whole in (text, text.removesuffix(b"]").rstrip(_BLANK).removesuffix(b",").rstrip(_BLANK)):
        if whole.endswith(b"}") and is_whole(whole):
            return begin, begin + len(whole)
    return None


def _is_entry_or_several(text: bytes) -> bool:
    return is_entry(text) or _are_entries(text)


def _are_plain_entries(text: bytes) -> bool:
    """`_are_entries`, quickly: what only Python's `json` reads is refused."""
    try:
        _ENTRIES.decode(b"[" + text + b"]")  # checks all but the strings' UTF-8
        text.decode()
    except (ValueError, RecursionError):
        return False
    return True


def _are_entries(text: bytes) -> bool:
    """Whether it is several entries with commas between them. Many megabytes of them aren't made values of."""
    return len(text) <= WHOLE_MAX_BYTES and is_array(b"[" + text + b"]")


def _opens(text: bytes) -> bool:
    """Whether it is a bracket, or a bracket and entries in another layout."""
    return text.lstrip(_SPACE)[:1] == b"[" and _is_between(text.replace(b"[", b",", 1))


def _new_opening(text: bytes) -> Damage:
    return Damage(0, text, b"[" + b" " * (len(text) - 2) + b"\n" * (len(text) > 1))


def _separator(length: int) -> bytes:
    return b"," if length == 1 else b"," + b" " * (length - 2) + b"\n"


def _is_upload_log(view: bytes, spans: list[tuple[int, int]]) -> bool:
    """Whether most of what are whole entries look like ours: nobody else's file is repaired."""
    ours = sum(end - begin for begin, end in spans if view.find(b'"status"', begin, end) >= 0)
    return 2 * ours >= sum(end - begin for begin, end in spans)


def _is_end(rest: bytes) -> bool:
    """Whether what stands behind the last whole entry is the bracket, or was torn and is worth nothing."""
    return bool(_CLOSING.fullmatch(rest)) or is_torn_entry(rest.lstrip(b" \t\r\n,"))


def is_torn_entry(text: bytes) -> bool:
    """Whether it is the beginning of one entry, whose line was not written to its end."""
    text = text.rstrip(b"\0")
    return b"\n" not in text and (text.startswith(ENTRY_START) or ENTRY_START.startswith(text))
