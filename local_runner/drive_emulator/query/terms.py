"""What the single terms of a `q` mean: `name contains 'x'`, `'id' in parents`, `properties has {…}` as predicates.

The grammar around them (and, or, not, parentheses) is query.py's. Source: Drive guides "Search for files and folders"
and "Search query terms and operators"; v2 spellings from the guide of that version.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ..model.errors import ApiError, invalid_parameter
from ..model.records import FileRecord, Permission, Viewer
from ..schema.discovery import Version


class Facts(Protocol):
    """What a query asks about a file that its record doesn't hold. Equal facts hash alike: queries are remembered."""

    def __hash__(self) -> int: ...

    def text_of(self, record: FileRecord) -> str:
        """What `fullText` searches."""

    def grants_of(self, record: FileRecord) -> Iterable[Permission]:
        """Who has which role, by the file itself or by what it lies in."""


Predicate = Callable[[FileRecord, Viewer], bool]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)?)?", re.ASCII)
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")
_ORDER: Mapping[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
}
_WRITER_ROLES = frozenset({"owner", "organizer", "fileOrganizer", "writer"})
_V3_TERMS = (
    "name fullText mimeType modifiedTime viewedByMeTime createdTime trashed starred sharedWithMe visibility"
    " shortcutDetails.targetId parents owners writers readers properties appProperties"
)
_V3_NAMES: Mapping[str, str] = {term: term for term in _V3_TERMS.split()}
_V2_NAMES: Mapping[str, str] = {
    **{term: name for term, name in _V3_NAMES.items() if term not in {"name", "appProperties"} and "Time" not in term},
    "title": "name",
    "modifiedDate": "modifiedTime",
    "lastViewedByMeDate": "viewedByMeTime",
    "createdDate": "createdTime",
}


def refused() -> ApiError:
    """400 "Invalid Value" for the parameter `q`."""
    return invalid_parameter("q")


def v3_name(term: str, version: Version) -> str:
    """The term as v3 spells it; raises ApiError (400) for one that this version doesn't have."""
    name = (_V3_NAMES if version == 3 else _V2_NAMES).get(term)
    if name is None:
        raise refused()
    return name


def name_key(name: str) -> str:
    """What `name =` compares: the operator doesn't regard case. Source: comments in rclone's and PyDrive2's code."""
    return name.casefold()


def words(text: str) -> str:
    """The text as its lower-case words, each with a space before it: prefixes of words begin at a space."""
    return " " + _NOT_ALPHANUMERIC.sub(" ", text.casefold()).strip()


def time_ms(value: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 time or date, in UTC when it names no zone; raises ApiError (400)."""
    if _DATE.fullmatch(value) is None:
        raise refused()
    try:
        moment = datetime.fromisoformat(value.upper())
    except ValueError:
        raise refused() from None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)


def text_comparison(term: str, op: str, value: str, facts: Facts) -> Predicate:
    """The predicate of `term op 'value'`; raises ApiError where Drive doesn't take the operator or value."""
    if term == "name":
        return _name(op, value)
    if term == "fullText":
        return _full_text(op, value, facts)
    if term == "mimeType":
        return _mime_type(op, value)
    if term == "visibility":
        return _equality(op, lambda record: _visibility(facts.grants_of(record)), value)
    if term == "shortcutDetails.targetId":
        return _equality(op, lambda record: record.shortcut_target_id, value)
    if term in _TIMES:
        return _time(term, op, time_ms(value))
    raise refused()


def flag_comparison(term: str, op: str, value: bool) -> Predicate:
    """The predicate of `trashed = true` and its like."""
    flag = _FLAGS.get(term)
    if flag is None or op not in {"=", "!="}:
        raise refused()
    wanted = value if op == "=" else not value
    return lambda record, viewer: flag(record, viewer) is wanted


def membership(value: str, collection: str, facts: Facts) -> Predicate:
    """The predicate of `'value' in collection`; `root` and `me` mean the viewer's own."""
    if collection == "parents":
        return lambda record, viewer: viewer.resolve(value) in record.parents
    roles = _ROLES_OF.get(collection)
    if roles is None:
        raise refused()
    wanted = value.casefold()

    def holds(record: FileRecord, viewer: Viewer) -> bool:
        email = viewer.email.casefold() if wanted == "me" else wanted
        if email == record.owner.casefold():
            return True
        return any(grant.email.casefold() == email and grant.role in roles for grant in facts.grants_of(record))

    return holds


def possession(collection: str, pairs: Mapping[str, str], version: Version) -> Predicate:
    """The predicate of `properties has { key='k' and value='v' }`; v2 adds `visibility='PRIVATE'|'PUBLIC'`."""
    extra = set(pairs) - {"key", "value"}
    if not {"key", "value"} <= set(pairs) or collection not in {"properties", "appProperties"}:
        raise refused()
    if extra and (extra != {"visibility"} or version == 3 or pairs["visibility"] not in {"PRIVATE", "PUBLIC"}):
        raise refused()
    key, value = pairs["key"], pairs["value"]

    def in_public(record: FileRecord, viewer: Viewer) -> bool:
        return record.properties.get(key) == value

    def in_private(record: FileRecord, viewer: Viewer) -> bool:
        return record.app_properties.get(viewer.client_id, {}).get(key) == value

    if collection == "appProperties" or pairs.get("visibility") == "PRIVATE":
        return in_private
    if version == 3 or pairs.get("visibility") == "PUBLIC":
        return in_public
    return lambda record, viewer: in_public(record, viewer) or in_private(record, viewer)


def _name(op: str, value: str) -> Predicate:
    if op == "contains":
        wanted = words(value)
        if wanted == " ":
            return lambda record, viewer: value in record.name
        return lambda record, viewer: wanted in words(record.name)
    if op in {">", ">="}:
        # The real service fails here instead of refusing (checked against it by the authors of a public test suite).
        raise ApiError(500, "backendError", "Backend Error")
    key = name_key(value)
    return _negatable(op, lambda record, viewer: name_key(record.name) == key)


def _full_text(op: str, value: str, facts: Facts) -> Predicate:
    """Whole words in any order; a phrase where the value stands in double quotes."""
    if op != "contains":
        raise refused()
    if len(value) > 1 and value[0] == value[-1] == '"':
        wanted = [words(value[1:-1]) + " "]
    else:
        wanted = [f" {word} " for word in words(value).split()]
    return lambda record, viewer: all(word in words(facts.text_of(record)) + " " for word in wanted)


def _mime_type(op: str, value: str) -> Predicate:
    wanted = value.casefold()
    if op == "contains":
        return lambda record, viewer: wanted in record.mime_type.casefold()
    return _negatable(op, lambda record, viewer: record.mime_type.casefold() == wanted)


def _equality(op: str, field: Callable[[FileRecord], str | None], value: str) -> Predicate:
    return _negatable(op, lambda record, viewer: field(record) == value)


def _negatable(op: str, equal: Predicate) -> Predicate:
    if op == "=":
        return equal
    if op == "!=":
        return lambda record, viewer: not equal(record, viewer)
    raise refused()


def _time(term: str, op: str, wanted_ms: int) -> Predicate:
    """A time that was never set differs from every time, and is neither before nor after it."""
    field, order = _TIMES[term], _ORDER.get(op)
    if order is None:
        raise refused()

    def holds(record: FileRecord, viewer: Viewer) -> bool:
        value_ms = field(record)
        return op == "!=" if value_ms is None else order(value_ms, wanted_ms)

    return holds


def _visibility(permissions: Iterable[Permission]) -> str:
    found = {(grant.type, grant.allow_file_discovery) for grant in permissions}
    for kind in ("anyone", "domain"):
        if (kind, True) in found:
            return f"{kind}CanFind"
        if (kind, False) in found:
            return f"{kind}WithLink"
    return "limited"


def _is_shared_with(record: FileRecord, viewer: Viewer) -> bool:
    return (
        record.drive_id is None
        and record.owner != viewer.email
        and viewer.email.casefold() in {grant.email.casefold() for grant in record.permissions}
    )


_ROLES_OF: Mapping[str, frozenset[str]] = {
    "owners": frozenset({"owner"}),
    "writers": _WRITER_ROLES,
    "readers": _WRITER_ROLES | {"reader", "commenter"},
}
"""Collection of people -> the roles that put somebody into it."""
_FLAGS: Mapping[str, Predicate] = {
    "trashed": lambda record, viewer: record.trashed,
    "starred": lambda record, viewer: record.starred,
    "sharedWithMe": _is_shared_with,
}
_TIMES: Mapping[str, Callable[[FileRecord], int | None]] = {
    "modifiedTime": lambda record: record.modified_ms,
    "viewedByMeTime": lambda record: record.viewed_by_me_ms,
    "createdTime": lambda record: record.created_ms,
}
