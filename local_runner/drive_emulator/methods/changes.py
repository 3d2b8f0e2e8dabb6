"""`changes` of both versions: what happened since a token, folded to each file's present state.

A token is the number of the next change. Source: Drive guides "Retrieve changes", "Track changes for users and shared
drives".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..context.request_context import Call, reply
from ..http.write import Response
from ..model.clock import rfc3339
from ..model.errors import ApiError, invalid_parameter
from ..model.records import Change, FileRecord, JsonObject
from ..render import file_v2, others_v2
from ..render.field_mask import FieldMask
from ..render.file_v3 import file_resource
from ..rules import access
from . import listing


def start_page_token(call: Call) -> Response:
    """Where the feed stands now."""
    drive_id = call.params.get("driveId") or call.params.get("teamDriveId")
    if drive_id:
        listing.check_drive(call, drive_id)
    body = {"kind": "drive#startPageToken", "startPageToken": str(largest(call) + 1)}
    return reply(call.mask("StartPageToken").apply(body))


def largest(call: Call) -> int:
    """The number of the latest change, 0 before the first."""
    changes = call.drive.store.changes
    return changes[-1].number if changes else 0


def changes_list(call: Call) -> Response:
    """v3's page of changes: `nextPageToken` until the last, which has `newStartPageToken`."""
    found, token = _page(call, call.params.get("pageToken"), call.params["pageSize"])
    mask = call.mask("ChangeList")
    inner = mask.child("changes")
    answer: JsonObject = {
        "kind": "drive#changeList",
        "changes": [_resource(call, one, inner.child("file")) for one in found],
        "nextPageToken" if token else "newStartPageToken": token or str(largest(call) + 1),
    }
    return reply(mask.apply(answer))


def changes_list_v2(call: Call) -> Response:
    """v2's page; it may begin with a `startChangeId` instead of a token."""
    start = call.params.get("pageToken") or call.params.get("startChangeId") or "1"
    found, token = _page(call, start, call.params["maxResults"])
    mask = call.mask("ChangeList")
    inner = mask.child("items").child("file")
    link = call.site.link("changes")
    more: dict[str, object] = {
        "largestChangeId": str(largest(call)),
        "nextPageToken": token,
        "newStartPageToken": None if token else str(largest(call) + 1),
        "nextLink": others_v2.next_link(link, token),
    }
    items = [_resource_v2(call, one, inner) for one in found]
    return reply(mask.apply(others_v2.listing("changeList", items, link, **more)))


def get_v2(call: Call) -> Response:
    """One change by its number."""
    number = call.args["changeId"]
    for one in call.drive.store.changes:
        if str(one.number) == number and (seen := _seen(call, one)):
            mask = call.mask("Change")
            return reply(mask.apply(_resource_v2(call, seen, mask.child("file"))))
    raise ApiError(404, "notFound", f"Change not found: {number}.")


@dataclass(frozen=True, slots=True)
class Seen:
    """A change as one viewer sees it; `record` None = gone, or gone from sight."""

    change: Change
    record: FileRecord | None


def _page(call: Call, token: object, size: int) -> tuple[list[Seen], str | None]:
    """Up to `size` changes from a token on, and the token after them, None at the end."""
    if not (isinstance(token, str) and token.isascii() and token.isdigit() and len(token) < 19):
        raise invalid_parameter("pageToken")
    changes = call.drive.store.changes
    start = bisect_left(changes, int(token), key=lambda change: change.number)
    page: list[Seen] = []
    for change in _wanted(call, (changes[at] for at in range(start, len(changes)))):
        if not call.drive.store.is_latest(change):
            continue
        seen = _seen(call, change)
        if seen is None:
            continue
        if len(page) == size:
            return page, str(change.number)
        page.append(seen)
    return page, None


def _wanted(call: Call, changes: Iterable[Change]) -> Iterator[Change]:
    """Those of the feed that the parameters name: the user's, or one shared drive's."""
    params = call.params
    drive_id = params.get("driveId") or params.get("teamDriveId")
    with_drives = params.get("includeItemsFromAllDrives") or params.get("includeTeamDriveItems")
    if drive_id:
        listing.check_drive(call, drive_id)
    only_mine = params.get("restrictToMyDrive") or not with_drives
    spaces = listing.asked_spaces(call)
    for change in changes:
        if change.space not in spaces:
            continue
        if drive_id and change.drive_id != drive_id:
            continue
        if not drive_id and only_mine and change.drive_id is not None:
            continue
        yield change


def _seen(call: Call, change: Change) -> Seen | None:
    """The change as the viewer may see it; None where it is not for them."""
    store, viewer = call.drive.store, call.viewer
    record = store.files.get(change.file_id)
    if record is not None and access.is_listed(store, viewer, record):
        return Seen(change, record)
    removals = call.params.get("includeRemoved", True) and call.params.get("includeDeleted", True)
    concerned = viewer.email in change.viewers
    if not removals or not concerned or (record is not None and not access.app_sees(viewer, record)):
        return None
    return Seen(change, None)


def _resource(call: Call, seen: Seen, mask: FieldMask) -> JsonObject:
    resource: JsonObject = {
        "kind": "drive#change",
        "type": "file",
        "changeType": "file",
        "time": rfc3339(seen.change.time_ms),
        "removed": seen.record is None,
        "fileId": seen.change.file_id,
    }
    if seen.record is not None:
        resource["file"] = file_resource(seen.record, call.view, mask)
    return resource


def _resource_v2(call: Call, seen: Seen, mask: FieldMask) -> JsonObject:
    file: JsonObject | None = None
    if seen.record is not None:
        v3_file = file_resource(seen.record, call.view, file_v2.v3_mask(mask))
        file = file_v2.file_resource(v3_file, call.site, mask)
    plain = _resource(call, Seen(seen.change, None), mask) | {"removed": seen.record is None}
    return others_v2.change_resource(plain, seen.change.number, file, call.site)
