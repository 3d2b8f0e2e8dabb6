"""A v3 metadata body, checked and turned into changes of a record.

Source: discovery document v3, schema File; limits of properties: Drive guide "Add custom file properties".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..model.clock import from_rfc3339
from ..model.errors import ApiError, bad_request, not_emulated
from ..model.records import FileRecord, JsonObject

PROPERTY_BYTES = 124
"""Key plus value of one property, in UTF-8."""
PRIVATE_PROPERTIES = 30
PUBLIC_PROPERTIES = 30
ALL_PROPERTIES = 100

_NOT_KEPT = frozenset({"contentHints"})
"""Writable and without any visible effect here: contentHints are never returned."""

_BESIDE_PARENTS = frozenset({"driveId", "teamDriveId"})
"""Sent by real clients beside `parents` of a new file, and disregarded: the parent says which drive it is."""

_PLACES = frozenset({"id", "parents", "mimeType", "shortcutDetails", "trashed", "kind"})
"""Fields that the operations themselves read."""

_REFUSED = frozenset({"contentRestrictions", "downloadRestrictions", "inheritedPermissionsDisabled", "labelInfo"})
"""Writable on Drive, not emulated."""


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise bad_request(f"Invalid value for: {name} must be a string.", reason="invalid")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise bad_request(f"Invalid value for: {name} must be a boolean.", reason="invalid")
    return value


def _time(name: str, value: Any) -> int:
    try:
        return from_rfc3339(_text(name, value))
    except ValueError:
        raise bad_request(f"Invalid value for: {name} is not a date and time (RFC 3339).", reason="invalid") from None


_FIELDS: Mapping[str, tuple[str, Callable[[str, Any], Any], Any]] = {
    "name": ("name", _text, "Untitled"),
    "description": ("description", _text, None),
    "starred": ("starred", _flag, False),
    "createdTime": ("created_ms", _time, None),
    "modifiedTime": ("modified_ms", _time, None),
    "viewedByMeTime": ("viewed_by_me_ms", _time, None),
    "originalFilename": ("original_filename", _text, None),
    "folderColorRgb": ("folder_color_rgb", _text, None),
    "writersCanShare": ("writers_can_share", _flag, True),
    "copyRequiresWriterPermission": ("copy_requires_writer_permission", _flag, False),
}
"""Resource field -> record field, check, value for null."""


def changes_of(body: JsonObject, *, client_id: str, before: FileRecord | None) -> dict[str, Any]:
    """The record fields that a body sets; the body was held against the schema File before.

    Raises ApiError: 403 for fields that only Drive sets and for properties over the limits.
    """
    changes: dict[str, Any] = {}
    for name, value in body.items():
        if name in _FIELDS:
            field, check, empty = _FIELDS[name]
            if value is None and field in {"created_ms", "modified_ms"}:
                continue
            changes[field] = empty if value is None else check(name, value)
        elif name in _REFUSED:
            raise not_emulated(f"File.{name}")
        elif name not in _PLACES | _NOT_KEPT | {"properties", "appProperties"} | (
            _BESIDE_PARENTS if not before else set()
        ):
            message = "The resource body includes fields which are not directly writable."
            raise ApiError(403, "fieldNotWritable", message)
    _merge_properties(changes, body, client_id, before)
    return changes


def _merge_properties(changes: dict[str, Any], body: JsonObject, client_id: str, before: FileRecord | None) -> None:
    public = dict(before.properties) if before else {}
    private = {app: dict(own) for app, own in before.app_properties.items()} if before else {}
    if body.get("properties") is not None:
        changes["properties"] = _merged(public, "properties", body["properties"])
        public = changes["properties"]
    if body.get("appProperties") is not None:
        private[client_id] = _merged(private.get(client_id, {}), "appProperties", body["appProperties"])
        changes["app_properties"] = private
    own_count = len(private.get(client_id, {}))
    total = len(public) + sum(len(own) for own in private.values())
    if len(public) > PUBLIC_PROPERTIES or own_count > PRIVATE_PROPERTIES or total > ALL_PROPERTIES:
        raise ApiError(403, "propertiesLimitExceeded", "The maximum number of properties for the file is exceeded.")


def _merged(before: dict[str, str], name: str, given: Any) -> dict[str, str]:
    if not isinstance(given, dict):
        raise bad_request(f"Invalid value for: {name} must be a map of strings.", reason="invalid")
    after = dict(before)
    for key, value in given.items():
        if value is None:
            after.pop(key, None)
            continue
        after[key] = _text(f"{name}.{key}", value)
        if len(key.encode()) + len(after[key].encode()) > PROPERTY_BYTES:
            message = (
                f"The size of the property {key!r} exceeds {PROPERTY_BYTES} bytes in UTF-8, key and value together."
            )
            raise ApiError(403, "propertyLengthLimitExceeded", message)
    return after
