"""The `fields` parameter: which parts of a resource a client wants, checked against the resource's schema.

    mask = field {"," field}        field = name | name "/" field | name "(" mask ")"        name "*" stands for all

A mask is known before the resource is made, so that nothing need be computed that nobody asked for. Source: Drive
guides "Return specific fields" and "Improve performance" (partial resources).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from ..model.errors import ApiError, invalid_parameter
from ..schema.discovery import Schema, Version, document

_TOKEN = re.compile(r"\s*([A-Za-z0-9_.\-]+|[*(),/])")
_MAX_DEPTH = 50
_FILE = "kind,id,name,mimeType,resourceKey,driveId,teamDriveId"
_DEFAULTS: Mapping[str, str] = {
    "File": _FILE,
    "FileList": f"kind,incompleteSearch,nextPageToken,files({_FILE})",
    "ChangeList": f"kind,nextPageToken,newStartPageToken,"
    f"changes(kind,type,changeType,time,removed,fileId,file({_FILE}),driveId,teamDriveId,drive(kind,id,name))",
    "Drive": "kind,id,name",
    "DriveList": "kind,nextPageToken,drives(kind,id,name)",
    "Permission": "kind,id,type,role,allowFileDiscovery,expirationTime",
    "PermissionList": "kind,nextPageToken,permissions(kind,id,type,role,allowFileDiscovery,expirationTime)",
    "Revision": "kind,id,mimeType,modifiedTime",
    "RevisionList": "kind,nextPageToken,revisions(kind,id,mimeType,modifiedTime)",
    "TeamDrive": "kind,id,name",
    "TeamDriveList": "kind,nextPageToken,teamDrives(kind,id,name)",
}
"""What v3 returns unasked. Source: Drive guide "Return specific fields" and the examples of its reference."""

_ONLY_ASKED = frozenset({"permissions"})
"""What v2 doesn't return of a file unasked. Source: PyDrive2's tests against the real service (test_file.py)."""


@dataclass(frozen=True, slots=True)
class FieldMask:
    """The fields asked for at one level. `names` None means all of them; `inner` has the masks of those cut further."""

    names: frozenset[str] | None = None
    inner: Mapping[str, FieldMask] = field(default_factory=dict)

    def wants(self, name: str) -> bool:
        """Whether the field of that name is asked for, in whole or in part."""
        return self.names is None or name in self.names

    def child(self, name: str) -> FieldMask:
        """The mask for what is inside the field of that name."""
        return self.inner.get(name, EVERYTHING) if self.wants(name) else NOTHING

    def apply(self, resource: dict[str, Any]) -> dict[str, Any]:
        """A copy of the resource with only what was asked for; lists are cut item by item."""
        if self.names is None and not self.inner:
            return resource
        return {name: self._cut(name, value) for name, value in resource.items() if self.wants(name)}

    def _cut(self, name: str, value: Any) -> Any:
        mask = self.inner.get(name)
        if mask is None:
            return value
        if isinstance(value, list):
            return [mask.apply(item) if isinstance(item, dict) else item for item in value]
        return mask.apply(value) if isinstance(value, dict) else value


EVERYTHING = FieldMask()
NOTHING = FieldMask(frozenset())


def parse(fields: str | None, *, version: Version, schema: str) -> FieldMask:
    """The mask that `fields` means for a response of that schema; None gives the method's default, "" asks for nothing.

    Raises ApiError: 400 `invalidParameter`, "Invalid field selection NAME", at `fields`.
    """
    if fields is None:
        return default(version, schema)
    if not fields.strip():  # measured of v3 only: brekkylab/backlot #337, September 2026
        return NOTHING if version == 3 else default(version, schema)
    return _parsed(fields, version, schema)


@cache
def default(version: Version, schema: str) -> FieldMask:
    """What is returned when no `fields` is given: in v3 a short set for most resources, in v2 nearly everything."""
    if version == 3:
        return _parsed(_DEFAULTS[schema], version, schema) if schema in _DEFAULTS else EVERYTHING
    if schema == "FileList":
        return FieldMask(inner={"items": default(2, "File")})
    if schema == "File":
        return FieldMask(frozenset(document(2).schema("File").fields) - _ONLY_ASKED)
    return EVERYTHING


@lru_cache(maxsize=1024)
def _parsed(fields: str, version: Version, schema: str) -> FieldMask:
    parser = _Parser(fields)
    mask = parser.mask(document(version).schema(schema), 0)
    parser.expect_end()
    return mask


class _Parser:
    def __init__(self, fields: str) -> None:
        self._fields = fields
        self._tokens = [*_tokens(fields), ""]
        self._at = 0

    def expect_end(self) -> None:
        if self._tokens[self._at]:
            raise _invalid(self._fields)

    def mask(self, schema: Schema, depth: int) -> FieldMask:
        found: dict[str, FieldMask] = {}
        while True:
            name, inner = self._field(schema, depth)
            found[name] = _merged(found[name], inner) if name in found else inner
            if not self._skip(","):
                return _level(found)

    def _field(self, schema: Schema, depth: int) -> tuple[str, FieldMask]:
        name = self._tokens[self._at]
        self._at += 1
        if name in {"", "(", ")", ",", "/"} or depth > _MAX_DEPTH:
            raise _invalid(self._fields)
        if name == "*":
            return name, EVERYTHING
        inner = schema.field(name)
        if inner is None:
            raise _invalid(name)
        if self._skip("/"):
            deeper, mask = self._field(inner, depth + 1)
            return name, _level({deeper: mask})
        if not self._skip("("):
            return name, EVERYTHING
        mask = self.mask(inner, depth + 1)
        if not self._skip(")"):
            raise _invalid(self._fields)
        return name, mask

    def _skip(self, token: str) -> bool:
        found = self._tokens[self._at] == token
        self._at += found
        return found


def _tokens(fields: str) -> list[str]:
    tokens, at, end = [], 0, len(fields.rstrip())
    while at < end:
        found = _TOKEN.match(fields, at)
        if found is None:
            raise _invalid(fields)
        tokens.append(found[1])
        at = found.end()
    return tokens


def _level(found: dict[str, FieldMask]) -> FieldMask:
    if "*" in found:
        return EVERYTHING
    return FieldMask(frozenset(found), {name: mask for name, mask in found.items() if mask is not EVERYTHING})


def _merged(one: FieldMask, two: FieldMask) -> FieldMask:
    """What either asks for."""
    if one.names is None or two.names is None:
        return EVERYTHING
    names = one.names | two.names
    pairs = {name: (one.child(name), two.child(name)) for name in names}
    return _level({name: _merged(*pair) for name, pair in pairs.items()})


def _invalid(selection: str) -> ApiError:
    return invalid_parameter("fields", f"Invalid field selection {selection}", reason="invalidParameter")
