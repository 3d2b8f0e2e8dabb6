"""Who may see and change what: roles by ownership, grants, ancestors and shared drives; what an app's scopes hide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..model.errors import ApiError, file_not_found
from ..model.records import APP_DATA, FileRecord, Permission, Viewer
from ..storage.store import Store

SCOPE = "https://www.googleapis.com/auth/"
BROAD_SCOPES = frozenset(
    SCOPE + name
    for name in ("drive", "drive.readonly", "drive.metadata", "drive.metadata.readonly", "drive.photos.readonly")
)
"""Scopes that see all of a user's files; the others see what the app made."""

ANYONE = "(anyone)"
"""The e-mail address of a viewer without an account: who came with an API key, or by a public link."""

RANK = {"reader": 1, "commenter": 2, "writer": 3, "fileOrganizer": 4, "organizer": 5, "owner": 6}


def anyone(client_id: str) -> Viewer:
    """A viewer without an account, who may read what is shared with anyone."""
    return Viewer(ANYONE, "", "", client_id, frozenset({SCOPE + "drive.readonly"}))


def role_of(store: Store, email: str, record: FileRecord) -> str | None:
    """The strongest role that an account has on a file, by itself or through what it lies in; None = none."""
    if record.owner == email:
        return "owner"
    grants: list[Permission] = list(record.permissions)
    for above in store.ancestors(record):
        if above.owner == email and not record.drive_id:
            grants.append(Permission("", "user", "writer", email))
        grants += above.permissions
    if record.drive_id and record.drive_id in store.drives:
        grants += store.drives[record.drive_id].members
    return strongest(grant.role for grant in grants if _is_for(grant, email))


@dataclass(frozen=True, slots=True)
class Grant:
    """Who has which role on a file, and the folder or shared drive that it comes from; None = the file itself."""

    permission: Permission
    inherited_from: str | None = None


def grants(store: Store, record: FileRecord) -> list[Grant]:
    """All grants on a file, one for each id: the strongest of its own, its owner's, and those of what it lies in."""
    found = [Grant(permission) for permission in record.permissions]
    found += [Grant(permission) for permission in _owner(store, record, "owner")]
    for above in store.ancestors(record):
        found += [Grant(permission, above.id) for permission in above.permissions]
        if above.owner != record.owner:
            found += [Grant(permission, above.id) for permission in _owner(store, above, "writer")]
    if record.drive_id in store.drives:
        source = None if record.id == record.drive_id else record.drive_id
        found += [Grant(permission, source) for permission in store.drives[record.drive_id].members]
    best: dict[str, Grant] = {}
    for grant in found:
        known = best.get(grant.permission.id)
        if known is None or RANK[grant.permission.role] > RANK[known.permission.role]:
            best[grant.permission.id] = grant
    return list(best.values())


def _owner(store: Store, record: FileRecord, role: str) -> list[Permission]:
    """What ownership grants, as a permission of that role; nothing for items of a shared drive."""
    owner = store.accounts.get(record.owner)
    return [] if owner is None else [Permission(owner.permission_id, "user", role, owner.email, owner.display_name)]


def strongest(roles: Iterable[str]) -> str | None:
    """The role that allows most; None of none."""
    return max(roles, key=lambda role: RANK[role], default=None)


def _is_for(grant: Permission, email: str) -> bool:
    match grant.type:
        case "anyone":
            return True
        case "domain":
            return email.rpartition("@")[2] == grant.domain
        case _:
            return grant.email == email


def is_listed(store: Store, viewer: Viewer, record: FileRecord) -> bool:
    """Whether a search may show a file to this viewer (links that anyone may follow aren't found by searching)."""
    if not app_sees(viewer, record):
        return False
    if record.drive_id or viewer.email == ANYONE:  # who has a key only is shown the public folder that they name
        return role_of(store, viewer.email, record) is not None
    shares = [record, *store.ancestors(record)]
    return any(
        share.owner == viewer.email or any(grant.email == viewer.email for grant in share.permissions)
        for share in shares
    )


def app_sees(viewer: Viewer, record: FileRecord) -> bool:
    """Scope drive.file hides what the app neither made nor opened; drive.appdata sees only the app's hidden folder."""
    if record.is_app_data:
        return viewer.client_id in record.apps and bool(viewer.app_data_id)
    return bool(viewer.scopes & BROAD_SCOPES) or viewer.client_id in record.apps


def find(store: Store, viewer: Viewer, file_id: str, *, all_drives: bool) -> FileRecord:
    """The file with this id or alias; 404 where it is missing, invisible, or in a shared drive not asked for."""
    wanted = viewer.resolve(file_id)
    if wanted == APP_DATA:
        raise ApiError(403, "insufficientScopes", "The granted scopes do not allow use of the Application Data folder.")
    record = store.files.get(wanted)
    if record is None or role_of(store, viewer.email, record) is None:
        raise file_not_found(file_id)
    if record.drive_id and not all_drives:
        raise file_not_found(file_id)
    if not app_sees(viewer, record) and record.id != viewer.root_id:
        raise file_not_found(file_id)
    return record


def require(store: Store, viewer: Viewer, record: FileRecord, role: str) -> None:
    """Raise 403 unless the viewer has at least this role on the file."""
    has = role_of(store, viewer.email, record)
    if has is None or RANK[has] < RANK[role]:
        message = "The user does not have sufficient permissions for this file."
        raise ApiError(403, "insufficientFilePermissions", message)


def require_no_app_data(record: FileRecord) -> None:
    """Raise 403 for what can't be done in the hidden folder of an app: sharing, and moving out of it or in."""
    if record.is_app_data:
        raise app_data_refusal("Method not supported for files within the Application Data folder.")


def app_data_refusal(message: str) -> ApiError:
    """Source: Drive guide "Store application-specific data"."""
    return ApiError(403, "notSupportedForAppDataFolderFiles", message)
