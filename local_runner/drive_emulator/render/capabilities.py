"""What a viewer can do with a file, as `capabilities` says it: by role, by kind of file, and for root folders.

Source: discovery document v3, File.capabilities.
"""

from __future__ import annotations

from ..model.records import FileRecord
from ..rules.access import RANK

_READ = frozenset({"canCopy", "canDownload", "canReadDrive"})
_COMMENT = frozenset({"canComment"})
_WRITE = frozenset(
    {
        "canEdit",
        "canRename",
        "canModifyContent",
        "canReadRevisions",
        "canShare",
        "canChangeCopyRequiresWriterPermission",
        "canChangeViewersCanCopyContent",
        "canModifyContentRestriction",
        "canModifyEditorContentRestriction",
        "canReadLabels",
        "canModifyLabels",
    }
)
_ADD = frozenset({"canAddChildren"})
_OWN = frozenset(
    {
        "canTrash",
        "canUntrash",
        "canDelete",
        "canMoveItemWithinDrive",
        "canMoveItemOutOfDrive",
        "canMoveItemIntoTeamDrive",
        "canRemoveMyDriveParent",
        "canModifyOwnerContentRestriction",
    }
)
_FOLDER_ONLY = frozenset({"canAddChildren", "canListChildren", "canRemoveChildren"})
_NOT_FOLDER = frozenset({"canCopy", "canReadRevisions", "canModifyContent", "canComment"})
_NOT_ROOT = _OWN | {"canRename", "canShare"}
_MY_DRIVE_ONLY = frozenset({"canMoveItemIntoTeamDrive", "canRemoveMyDriveParent"})
_SHARED_ONLY = frozenset(
    {
        "canReadDrive",
        "canMoveItemOutOfDrive",
        "canMoveChildrenWithinDrive",
        "canMoveChildrenOutOfDrive",
        "canDeleteChildren",
        "canTrashChildren",
        "canAddFolderFromAnotherDrive",
    }
)
_ALL = _READ | _COMMENT | _WRITE | _ADD | _OWN | _FOLDER_ONLY | _SHARED_ONLY | {"canMoveChildrenWithinDrive"}


def capabilities(record: FileRecord, role: str, *, is_root: bool) -> dict[str, bool]:
    """Every capability that applies to this kind of file, true or false."""
    granted = set(_READ)
    rank = RANK[role]
    if record.is_folder:
        granted.add("canListChildren")
    if rank >= RANK["commenter"]:
        granted |= _COMMENT
    if rank >= RANK["writer"]:
        granted |= _WRITE | _ADD | {"canMoveChildrenWithinDrive", "canMoveItemWithinDrive"}
    if rank >= RANK["fileOrganizer"]:
        granted |= _OWN | {"canRemoveChildren", "canTrashChildren", "canMoveChildrenOutOfDrive"}
    if rank in (RANK["organizer"], RANK["owner"]):
        granted |= {"canDeleteChildren"}
    if record.drive_id and rank == RANK["fileOrganizer"]:
        granted -= {"canDelete", "canDeleteChildren"}
    hidden = _MY_DRIVE_ONLY if record.drive_id else _SHARED_ONLY - {"canMoveChildrenWithinDrive"}
    if is_root:
        granted -= _NOT_ROOT
    if record.is_app_data:
        granted -= {"canShare", "canTrash", "canUntrash", "canRemoveMyDriveParent", "canMoveItemIntoTeamDrive"}
    granted -= _NOT_FOLDER if record.is_folder else _FOLDER_ONLY
    return {name: name in granted for name in sorted(_ALL - hidden)}
