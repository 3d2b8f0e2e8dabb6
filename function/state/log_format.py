"""The bytes of upload_log.json: where the next entry goes, and what of its end is damaged. Pure.

    [\\n{entry},\\n{entry}\\n]\\n

The log's end is looked at, never the whole of it: `UNSYNCED_BYTES` are the most that are ever written and not yet on
the disk, so a power failure damages nothing that stands further in front, whichever pages of it reached the disk.

A stretch between two entries that is not JSON (a line of which a page was lost, a line that somebody damaged) is
overwritten in place by a comma and blanks. No entry is moved or written again, so a crash in the middle of a repair
endangers none, and the next append repairs the rest.
"""

import json
import re
from collections.abc import Iterator
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

WHOLE_MAX_BYTES = 4 * 1024 * 1024
"""The longest log of another layout (on one line, indented) that is gone on with."""

ENTRY_START = b'{"time":'

_BLANK = b"\0 \t\r\n"
"""White space, and what a file system puts where it lost a page."""

_SEPARATOR = re.compile(rb"[ \t\r\n]*,[ \t\r\n]*")
_OPENING = re.compile(rb"[ \t\r\n]*\[[ \t\r\n]*")
_CLOSING = re.compile(rb"[ \t\r\n]*,?[ \t\r\n]*\]?[\0 \t\r\n]*")


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
    if start == 0:
        opening = _opening(view[: spans[0][0]])
        if opening is None:
            return None
        damages = [*opening]
    else:
        before = view[: view.find(b"\n")].rstrip(_BLANK).removesuffix(b",").rstrip(_BLANK)
        if not before.endswith(b"}") or spans[-1][1] - spans[0][0] < UNSYNCED_BYTES:
            return None
        spans.insert(0, (0, len(before)))
        damages = []
    damages += [
        Damage(start + end, view[end:begin], _separator(begin - end))
        for (_, end), (begin, _) in pairwise(spans)
        if not _SEPARATOR.fullmatch(view, end, begin)
    ]
    if damages and not _is_upload_log(view, spans):
        return None
    end = spans[-1][1]
    if not _is_end(view[end:]):
        damages.append(Damage(start + end, view[end:]))
    return Tail(AppendPosition(start + end, is_first=False), start + len(view), tuple(damages))


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
    """Where whole entries begin and end; of a line that holds several, all of them together.

    The view's first line is passed over where the log begins in front of it.
    """
    at = 0 if is_start else view.find(b"\n") + 1
    if at == 0 and not is_start:
        return
    while at < len(view):
        end = view.find(b"\n", at)
        end = len(view) if end < 0 else end
        span = _entries_of_line(view, at, end, is_first=is_start and at == 0)
        if span:
            yield span
        at = end + 1


def _entries_of_line(view: bytes, start: int, end: int, *, is_first: bool) -> tuple[int, int] | None:
    line = view[start:end]
    text = line.lstrip(_BLANK)
    if is_first and text.startswith(b"["):
        text = text[1:].lstrip(_BLANK)
    begin = end - len(text)
    text = text.rstrip(_BLANK).removesuffix(b",").rstrip(_BLANK)
    if not text.startswith(b"{"):
        return None
    for whole in (text, text.removesuffix(b"]").rstrip(_BLANK).removesuffix(b",").rstrip(_BLANK)):
        if whole.endswith(b"}") and (is_entry(whole) or _are_entries(whole)):
            return begin, begin + len(whole)
    return None


def _are_entries(text: bytes) -> bool:
    """Whether it is several entries with commas between them. Many megabytes of them aren't made values of."""
    return len(text) <= WHOLE_MAX_BYTES and is_array(b"[" + text + b"]")


def _opening(text: bytes) -> tuple[Damage, ...] | None:
    """What is wrong in front of the first entry; None where no array of ours begins so."""
    if _OPENING.fullmatch(text):
        return ()
    if text.lstrip(b" \t\r\n")[:1] not in (b"[", b"\0") or len(text) < 2:
        return None
    return (Damage(0, text, b"[" + b" " * (len(text) - 2) + b"\n"),)


def _separator(length: int) -> bytes:
    return b"," if length == 1 else b"," + b" " * (length - 2) + b"\n"


def _is_upload_log(view: bytes, spans: list[tuple[int, int]]) -> bool:
    """Whether most of what are whole entries look like ours: nobody else's file is repaired."""
    ours = sum(view.find(b'"status"', begin, end) >= 0 for begin, end in spans)
    return 2 * ours >= len(spans)


def _is_end(rest: bytes) -> bool:
    """Whether what stands behind the last whole entry is the bracket, or was torn and is worth nothing."""
    return bool(_CLOSING.fullmatch(rest)) or is_torn_entry(rest.lstrip(b" \t\r\n,"))


def is_torn_entry(text: bytes) -> bool:
    """Whether it is the beginning of one entry, whose line was not written to its end."""
    text = text.rstrip(b"\0")
    return b"\n" not in text and (text.startswith(ENTRY_START) or ENTRY_START.startswith(text))
