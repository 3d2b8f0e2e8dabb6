"""`drives`, the shared drives, for both versions. Source: discovery documents; Drive guide "Shared drives overview"."""

from __future__ import annotations

from msgspec.structs import replace

from ..context import paging
from ..context.request_context import Call, checked_body, reply
from ..http.write import Response
from ..model.clock import rfc3339
from ..model.errors import ApiError, bad_request, not_emulated
from ..model.records import FOLDER, FileRecord, JsonObject, Permission, SharedDrive
from ..rules import access
from . import listing

RESTRICTIONS = (
    "adminManagedRestrictions",
    "copyRequiresWriterPermission",
    "domainUsersOnly",
    "driveMembersOnly",
    "sharingFoldersRequiresOrganizerPermission",
)
_BY_ROLE = {
    "reader": ("canListChildren", "canDownload", "canCopy"),
    "commenter": ("canComment",),
    "writer": ("canAddChildren", "canEdit", "canReadRevisions", "canRename", "canShare"),
    "fileOrganizer": ("canTrashChildren",),
    "organizer": (
        "canDeleteChildren",
        "canDeleteDrive",
        "canManageMembers",
        "canRenameDrive",
        "canChangeCopyRequiresWriterPermissionRestriction",
        "canChangeDomainUsersOnlyRestriction",
        "canChangeDriveBackground",
        "canChangeDriveMembersOnlyRestriction",
        "canChangeSharingFoldersRequiresOrganizerPermissionRestriction",
        "canResetDriveRestrictions",
    ),
}


def create(call: Call) -> Response:
    """A new shared drive with the viewer as organizer; the same `requestId` again is 409."""
    body = checked_body(call.version, "Drive", call.body())
    if not body.get("name"):
        raise bad_request("A shared drive needs a name.", reason="required")
    _refuse_unknown(body)
    store, request_id, now_ms = call.drive.store, call.params["requestId"], call.drive.clock.now_ms()
    with store.transaction():
        if any(drive.request_id == request_id for drive in store.drives.values()):
            raise ApiError(409, "duplicate", "A shared drive was already created with the provided request ID.")
        person = store.accounts[call.viewer.email]
        member = Permission(person.permission_id, "user", "organizer", person.email, person.display_name)
        made = SharedDrive(call.drive.ids.drive_id(), body["name"], now_ms, request_id, members=(member,))
        root = FileRecord(
            made.id,
            made.name,
            FOLDER,
            "",
            (),
            now_ms,
            now_ms,
            drive_id=made.id,
            apps=frozenset({call.viewer.client_id}),
        )
        store.put_drive(made)
        store.put_silently(root)
    return _answer(call, made)


def get(call: Call) -> Response:
    """One shared drive."""
    return _answer(call, _find(call))


def drives_list(call: Call) -> Response:
    """The shared drives that the viewer is a member of."""
    if call.params.get("q"):
        raise not_emulated("searching shared drives with q")
    store = call.drive.store
    roots = ((drive, store.files[drive.id]) for drive in store.drives.values())
    mine = [drive for drive, root in roots if access.role_of(store, call.viewer.email, root) is not None]
    items_name = "drives" if call.version == 3 else "items"
    size = call.params.get("pageSize") or call.params.get("maxResults") or 10
    drives, token = paging.cut(call, [_resource(call, drive) for drive in mine], size)
    answer: JsonObject = {"kind": "drive#driveList", items_name: drives}
    return reply(call.mask("DriveList").apply(answer | ({"nextPageToken": token} if token else {})))


def update(call: Call) -> Response:
    """A new name."""
    body = checked_body(call.version, "Drive", call.body())
    _refuse_unknown(body)
    drive = _organized(call)
    return _save(call, replace(drive, name=body.get("name") or drive.name))


def delete(call: Call) -> Response:
    """Only an empty one."""
    drive = _organized(call)
    store = call.drive.store
    with store.transaction():
        if store.child_count(drive.id):
            raise ApiError(403, "cannotDeleteResourceWithChildren", "The shared drive is not empty.")
        store.delete_file(drive.id, now_ms=call.drive.clock.now_ms())
        store.delete_drive(drive.id)
    return Response(204)


def hide(call: Call) -> Response:
    """Out of the viewer's own default view."""
    with call.drive.store.transaction():
        drive = _find(call)
        return _save(call, replace(drive, hidden_by=drive.hidden_by | {call.viewer.email}))


def unhide(call: Call) -> Response:
    """Back into the viewer's own default view."""
    with call.drive.store.transaction():
        drive = _find(call)
        return _save(call, replace(drive, hidden_by=drive.hidden_by - {call.viewer.email}))


def _refuse_unknown(body: JsonObject) -> None:
    foreign = body.keys() - {"name", "kind", "id", "hidden"}
    if foreign:
        raise not_emulated(f"setting {', '.join(sorted(foreign))} of a shared drive")


def _find(call: Call) -> SharedDrive:
    listing.check_drive(call, call.args["driveId"])
    return call.drive.store.drives[call.args["driveId"]]


def _organized(call: Call) -> SharedDrive:
    drive = _find(call)
    access.require(call.drive.store, call.viewer, call.drive.store.files[drive.id], "organizer")
    return drive


def _save(call: Call, drive: SharedDrive) -> Response:
    store = call.drive.store
    with store.transaction():
        store.put_drive(drive)
        root = store.files[drive.id]
        if root.name != drive.name:
            store.put_silently(replace(root, name=drive.name, version=root.version + 1))
    return _answer(call, drive)


def _resource(call: Call, drive: SharedDrive) -> JsonObject:
    root = call.drive.store.files[drive.id]
    rank = access.RANK[access.role_of(call.drive.store, call.viewer.email, root) or "reader"]
    created = {"createdTime" if call.version == 3 else "createdDate": rfc3339(drive.created_ms)}
    return {
        "kind": "drive#drive",
        "id": drive.id,
        "name": drive.name,
        "colorRgb": "#0f9d58",
        "hidden": call.viewer.email in drive.hidden_by,
        **created,
        "restrictions": dict.fromkeys(RESTRICTIONS, False),
        "capabilities": {name: rank >= access.RANK[role] for role, names in _BY_ROLE.items() for name in names},
    }


def _answer(call: Call, drive: SharedDrive) -> Response:
    return reply(call.mask("Drive").apply(_resource(call, drive)))
