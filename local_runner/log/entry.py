"""One entry of the log as every reader sees it: each field of the type that it should have, or None.

The log is a file that others write to as well, so any value may stand in it. What a field can't mean is read as None
here, once, and no command looks at types again.
"""

import json
from datetime import datetime
from typing import Any

import msgspec

from local_runner.client.invoke import Entry, Known, is_plain

_TYPES = {each.name: each.type for each in msgspec.structs.fields(Known)}


def parse_all(line: bytes) -> list[Entry] | None:
    """The entries of a line of the log: of the usual layout one, none of a bracket; None where it is damaged."""
    text = line.strip(b"\0 \t\r\n")
    if text.startswith(b"["):
        text = text[1:].lstrip()
    text = text.removesuffix(b",").rstrip()
    for whole in (text, text.removesuffix(b"]").rstrip().removesuffix(b",").rstrip()):
        if not whole:
            return []
        entry = parse(whole)
        if entry is not None:
            return [entry]
        several = _decoded(b"[" + whole + b"]") if whole.startswith(b"{") and whole.endswith(b"}") else None
        if isinstance(several, list) and all(isinstance(each, dict) for each in several):
            return [_clean(each) for each in several]
    return None


def parse(text: bytes) -> Entry | None:
    """The entry that a JSON object (a comma behind it or not) tells; None where it is none."""
    text = text.strip().removesuffix(b",")
    document = _decoded(text) if text.startswith(b"{") else None
    return _clean(document) if isinstance(document, dict) else None


def _decoded(text: bytes) -> Any:
    """The JSON document; None where it is none that can be read."""
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        return None
    except ValueError:  # also what Python allows and msgspec doesn't: a name that isn't UTF-8, as an escape
        try:
            return json.loads(text.decode())
        except (ValueError, RecursionError):
            return None


def _clean(document: dict[str, Any]) -> Entry:
    try:
        msgspec.convert(document, Known)
        cleaned = document
    except (ValueError, RecursionError):
        cleaned = {name: _of_type(value, _TYPES[name]) if name in _TYPES else value for name, value in document.items()}
    if not _is_time(cleaned.get("time")):
        cleaned = cleaned | {"time": None}
    return {
        name: value if not isinstance(value, dict | list | float) or is_plain(value) else None
        for name, value in cleaned.items()
    }


def _of_type(value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except (ValueError, RecursionError):
        return None


def _is_time(value: Any) -> bool:
    """Whether it is a moment that can be compared, shown in any time zone and counted from."""
    try:
        return 1970 < datetime.fromisoformat(value).year < 9000
    except (TypeError, ValueError):
        return False
