"""files.list: which files, in which order, a page at a time. Shared by v3 and v2."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..context.request_context import Call, reply
from ..http.write import Response
from ..model.errors import ApiError, invalid_parameter, not_emulated
from ..model.records import APP_DATA, FileRecord
from ..oauth.endpoints import APP_DATA_SCOPES
from ..query import language
from ..render.file_v3 import file_resource
from ..rules import access
from ..rules.search import SearchFacts
from ..schema import conformance
from ..storage.page_tokens import Cursor

Key = Callable[[FileRecord], Any]

_DIGITS = re.compile(r"(\d+)")


def natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """A sort key under which file9 comes before file10."""
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in _DIGITS.split(name.casefold()))


ORDERS: Mapping[str, Key] = {
    "createdTime": lambda record: record.created_ms,
    "folder": lambda record: not record.is_folder,
    "modifiedByMeTime": lambda record: record.modified_ms,
    "modifiedTime": lambda record: record.modified_ms,
    "name": lambda record: record.name.casefold(),
    "name_natural": lambda record: natural(record.name),
    "quotaBytesUsed": lambda record: record.content.size if record.content else 0,
    "recency": lambda record: max(record.modified_ms, record.viewed_by_me_ms or 0),
    "sharedWithMeTime": lambda record: record.shared_with_me_ms or 0,
    "starred": lambda record: not record.starred,
    "viewedByMeTime": lambda record: record.viewed_by_me_ms or 0,
}
V2_ORDERS: Mapping[str, str] = {
    "createdDate": "createdTime",
    "folder": "folder",
    "lastViewedByMeDate": "viewedByMeTime",
    "modifiedByMeDate": "modifiedByMeTime",
    "modifiedDate": "modifiedTime",
    "quotaBytesUsed": "quotaBytesUsed",
    "recency": "recency",
    "sharedWithMeDate": "sharedWithMeTime",
    "starred": "starred",
    "title": "name",
    "title_natural": "name_natural",
}


TEXT_ORDER = (
    "Sorting is not supported for queries with fullText terms. Results are always in descending relevance order."
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of files; `next_token` None = the last."""

    files: list[FileRecord]
    next_token: str | None


def files_list(call: Call) -> Response:
    """v3's answer."""
    found = page(call, size=call.params["pageSize"])
    mask = call.mask("FileList")
    answer: dict[str, Any] = {"kind": "drive#fileList", "incompleteSearch": False}
    if found.next_token:
        answer["nextPageToken"] = found.next_token
    if mask.wants("files"):
        inner, view = mask.child("files"), call.view
        answer["files"] = [file_resource(record, view, inner) for record in found.files]
    return reply({name: value for name, value in answer.items() if mask.wants(name)})


def page(call: Call, *, size: int, folder_id: str | None = None) -> Page:
    """The next page of what the call's parameters describe; `folder_id` restricts it to one folder (v2's children)."""
    params = call.params
    names = ("q", "orderBy", "spaces", "corpora", "corpus", "driveId", "includeItemsFromAllDrives")
    asked = (call.viewer.email, folder_id, *(params.get(name) for name in names))
    token = params.get("pageToken")
    if token:
        cursor = call.drive.cursors.get(token, asked)
        return _cut(call, cursor, size)
    ordered = _ordered(call, _matching(call, folder_id))
    if len(ordered) <= size:
        return Page(ordered, None)
    return _cut(call, Cursor(tuple(record.id for record in ordered), 0, asked), size)


def _cut(call: Call, cursor: Cursor, size: int) -> Page:
    end = cursor.at + size
    known = (call.drive.store.files.get(file_id) for file_id in cursor.ids[cursor.at : end])
    files = [record for record in known if record is not None]
    if end >= len(cursor.ids):
        return Page(files, None)
    token = call.drive.cursors.put(call.drive.ids.page_token(), Cursor(cursor.ids, end, cursor.asked))
    return Page(files, token)


def _matching(call: Call, folder_id: str | None) -> list[FileRecord]:
    store, viewer = call.drive.store, call.viewer
    q = call.params.get("q", "")
    wanted = language.parse(q, version=call.version, viewer=viewer, facts=SearchFacts(store, call.drive.blobs))
    if call.params.get("orderBy") and language.searches_text(q):
        raise ApiError(403, "forbidden", TEXT_ORDER, location_type="parameter", location="orderBy")
    parents = wanted.parents
    for parent in parents or ():
        _check_parent(call, parent)
    if folder_id is not None:
        parents = frozenset({folder_id})
    spaces = asked_spaces(call) if folder_id is None else frozenset({store.files[folder_id].space})
    in_corpus = _corpus(call, spaces)
    youngest_ms = call.drive.clock.now_ms() - call.drive.conditions.list_lag_s * 1000
    return [
        record
        for record in store.candidates(parents, wanted.names)
        if (folder_id is None or folder_id in record.parents)
        and record.arrived_ms <= youngest_ms
        and wanted(record)
        and in_corpus(record)
        and access.is_listed(store, viewer, record)
    ]


def _check_parent(call: Call, parent: str) -> None:
    """A search in a folder that doesn't exist is 404. (A folder hidden from the app counts as missing.)"""
    if parent != call.viewer.root_id:
        access.find(call.drive.store, call.viewer, parent, all_drives=True)


def _corpus(call: Call, spaces: frozenset[str]) -> Callable[[FileRecord], bool]:
    """Which files the parameters admit: My Drive's, one shared drive's, or all; and of which space."""
    params, viewer = call.params, call.viewer
    drive_id = params.get("driveId") or params.get("teamDriveId")
    corpora = params.get("corpora") or ("drive" if drive_id else "user")
    with_drives = bool(params.get("includeItemsFromAllDrives") or params.get("includeTeamDriveItems"))
    _check_corpora(call, corpora, drive_id, with_drives)

    def admits(record: FileRecord) -> bool:
        if record.space not in spaces or viewer.is_root(record):
            return False
        if drive_id:
            return bool(record.drive_id == drive_id)
        return bool(with_drives) or record.drive_id is None

    return admits


def asked_spaces(call: Call) -> frozenset[str]:
    """The parameter `spaces`; 403 where the app wasn't granted a scope for each."""
    spaces = frozenset(space.strip() for space in (call.params.get("spaces") or "drive").split(","))
    if not spaces <= {"drive", APP_DATA, "photos"}:
        raise invalid_parameter("spaces")
    if "photos" in spaces:
        raise not_emulated("the space photos")
    granted = {APP_DATA if scope in APP_DATA_SCOPES else "drive" for scope in call.viewer.scopes if "drive" in scope}
    if not spaces <= granted:
        message = "The granted scopes do not give access to all of the requested spaces."
        raise ApiError(403, "insufficientScopes", message, location_type="parameter", location="spaces")
    return spaces


def _check_corpora(call: Call, corpora: str, drive_id: str | None, with_drives: bool) -> None:
    if corpora == "domain":
        raise not_emulated("corpora=domain")
    if corpora not in {"user", "drive", "teamDrive", "allDrives", "allTeamDrives", "default", "user,allTeamDrives"}:
        raise invalid_parameter("corpora")
    if corpora in {"drive", "teamDrive"} and not drive_id:
        message = "The driveId parameter must be specified if and only if corpora is set to drive."
        raise invalid_parameter("driveId", message, reason="required")
    if drive_id and (corpora not in {"drive", "teamDrive"} or not with_drives or not call.all_drives):
        message = (
            "The driveId parameter needs corpora=drive, includeItemsFromAllDrives=true and supportsAllDrives=true."
        )
        raise invalid_parameter("driveId", message)
    asked = ("includeItemsFromAllDrives", "includeTeamDriveItems")
    if not call.all_drives and any(conformance.is_the_word_true(call.request.query, name) for name in asked):
        message = "The includeItemsFromAllDrives parameter needs supportsAllDrives=true."
        raise ApiError(403, "supportsTeamDrivesRequired", message)
    if drive_id:
        check_drive(call, drive_id)


def check_drive(call: Call, drive_id: str) -> None:
    """404 for a shared drive that isn't there for the viewer."""
    root = call.drive.store.files.get(drive_id)
    if drive_id not in call.drive.store.drives or root is None:
        raise _drive_not_found(drive_id)
    if access.role_of(call.drive.store, call.viewer.email, root) is None:
        raise _drive_not_found(drive_id)


def _drive_not_found(drive_id: str) -> ApiError:
    message = f"Shared drive not found: {drive_id}"
    return ApiError(404, "notFound", message, location_type="parameter", location="driveId")


def _ordered(call: Call, records: list[FileRecord]) -> list[FileRecord]:
    """Sorted as `orderBy` says; without it the most recently modified first, as Drive does."""
    order_by = call.params.get("orderBy")
    if not order_by:
        return records if len(records) < 2 else sorted(records, key=lambda record: (-record.modified_ms, record.id))
    records = sorted(records, key=lambda record: record.id)
    for term in reversed(order_by.split(",")):
        name, _, direction = term.strip().partition(" ")
        key = ORDERS.get(name if call.version == 3 else V2_ORDERS.get(name, ""))
        if key is None or direction.strip() not in {"", "desc", "asc"}:
            raise invalid_parameter("orderBy")
        records.sort(key=key, reverse=direction.strip() == "desc")
    return records
