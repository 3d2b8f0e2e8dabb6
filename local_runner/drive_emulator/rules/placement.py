"""Where files lie: the parent of a new file, moves, and the limits of folders.

Source: Drive guides "Create and populate folders", "File and folder limits"; one parent at most since 2020.
"""

from __future__ import annotations

from msgspec.structs import replace

from ..faults.network_conditions import Conditions
from ..model.errors import ApiError, bad_request, file_not_found
from ..model.records import FileRecord, JsonObject, Viewer
from ..storage.state import Drive
from ..storage.store import Store
from . import access
from .trash import spread_trashed


def parent_for(store: Store, viewer: Viewer, body: JsonObject, *, all_drives: bool) -> FileRecord:
    """The folder that a new file goes to: My Drive's root unless the body names one. 404 for one that isn't seen."""
    parents = body.get("parents") or ["root"]
    if not isinstance(parents, list) or not all(isinstance(parent, str) for parent in parents):
        raise bad_request("Invalid value for: parents must be a list of ids.", reason="invalid")
    if len(parents) > 1:
        raise ApiError(403, "cannotAddParent", "Increasing the number of parents is not allowed")
    return _folder(store, viewer, parents[0], all_drives=all_drives)


def _folder(store: Store, viewer: Viewer, file_id: str, *, all_drives: bool) -> FileRecord:
    folder = access.find(store, viewer, file_id, all_drives=all_drives)
    if not folder.is_folder:
        raise ApiError(403, "parentNotAFolder", "The specified parent is not a folder.")
    role = access.role_of(store, viewer.email, folder)
    if role is None or access.RANK[role] < access.RANK["writer"]:
        raise ApiError(403, "insufficientParentPermissions", "Insufficient permissions for the specified parent.")
    return folder


def check_room(store: Store, conditions: Conditions, viewer: Viewer, parent: FileRecord) -> None:
    """403 where a folder is full or lies too deep; My Drive's root may hold any number."""
    if parent.id != viewer.root_id and store.child_count(parent.id) >= conditions.max_children:
        reason = "numChildrenInNonRootLimitExceeded"
        raise ApiError(
            403, reason, "The limit for this folder's number of children (files and folders) has been exceeded."
        )
    if sum(1 for _ in store.ancestors(parent)) + 1 > conditions.max_depth:
        if parent.drive_id:
            raise ApiError(403, "teamDriveHierarchyTooDeep", "The shared drive hierarchy depth will exceed the limit.")
        raise ApiError(
            403, "myDriveHierarchyDepthLimitExceeded", "Your My Drive can't contain more than 100 levels of folders."
        )


def moved(drive: Drive, viewer: Viewer, record: FileRecord, *, add: str, remove: str, all_drives: bool) -> FileRecord:
    """The record under its new parent; the same record where `add` and `remove` change nothing."""
    added = [viewer.resolve(file_id) for file_id in add.split(",") if file_id]
    removed = [viewer.resolve(file_id) for file_id in remove.split(",") if file_id]
    for file_id in removed:
        if file_id not in record.parents and file_id not in drive.store.files:
            raise file_not_found(file_id)
    kept = [parent for parent in record.parents if parent not in removed]
    wanted = list(dict.fromkeys([*kept, *added]))
    if not added:
        return _orphaned(drive, record) if removed and not kept and record.parents else record
    if len(added) > 1 or (len(wanted) > 1 and removed):
        raise ApiError(403, "cannotAddParent", "Increasing the number of parents is not allowed")
    if added[0] in record.parents:
        return record
    return _into(drive, viewer, record, _folder(drive.store, viewer, added[0], all_drives=all_drives))


def _orphaned(drive: Drive, record: FileRecord) -> FileRecord:
    """Out of its only folder: under its owner's root. Source: discovery document v2, `enforceSingleParent`."""
    if record.drive_id:
        raise ApiError(403, "teamDrivesParentLimit", "A shared drive item must have exactly one parent.")
    access.require_no_app_data(record)
    return replace(record, parents=(drive.store.accounts[record.owner].root_id,))


def _into(drive: Drive, viewer: Viewer, record: FileRecord, folder: FileRecord) -> FileRecord:
    """A move; `addParents` alone moves too, for a file has one parent."""
    if viewer.is_root(record):
        raise ApiError(403, "insufficientFilePermissions", "The root folder can't be moved.")
    if record.space != folder.space:
        access.require_no_app_data(record)
        access.require_no_app_data(folder)
    if folder.id == record.id or any(above.id == record.id for above in drive.store.ancestors(folder)):
        raise ApiError(403, "cyclicMembershipsNotAllowed", "A folder can't be moved into itself or what it holds.")
    if record.drive_id != folder.drive_id and record.is_folder and record.drive_id is None:
        raise ApiError(403, "teamDrivesFolderMoveInNotSupported", "Moving folders into shared drives is not supported.")
    check_room(drive.store, drive.conditions, viewer, folder)
    owner = "" if folder.drive_id else record.owner or viewer.email
    return replace(record, parents=(folder.id,), drive_id=folder.drive_id, owner=owner)


def settle(drive: Drive, record: FileRecord) -> FileRecord:
    """After a move: the trash state follows from the new place, for the file and all below it."""
    above = any(folder.explicitly_trashed for folder in drive.store.ancestors(record))
    settled = replace(record, trashed=record.explicitly_trashed or above)
    if settled != record:
        drive.store.put_silently(settled)
    spread_trashed(drive.store, settled)
    return settled
