"""A file record as the v3 resource `File`, field by field, so that only what a mask asks for is made.

Source: discovery document v3, schema File.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from ..model.clock import rfc3339
from ..model.records import FOLDER, FileRecord, JsonObject, Mask, Viewer
from ..rules import access, editors
from ..rules.access import Grant
from ..storage.state import Drive
from .capabilities import capabilities

GOOGLE = "https://drive.google.com"


@dataclass(frozen=True, slots=True)
class View:
    """Through whose eyes a file is rendered."""

    drive: Drive
    viewer: Viewer
    origin: str = GOOGLE
    """What the links to contents begin with: the emulator as the client reached it, if not by a name of Google's."""

    @property
    def content_site(self) -> str:
        """Where `webContentLink` leads."""
        host = (urlsplit(self.origin).hostname or "").lower()
        return GOOGLE if host.endswith(("googleapis.com", "google.com")) else self.origin

    def role(self, record: FileRecord) -> str:
        return access.role_of(self.drive.store, self.viewer.email, record) or "reader"

    def user(self, email: str) -> JsonObject | None:
        """The resource `User` of an account; None for nobody."""
        if not email:
            return None
        account = self.drive.store.accounts.get(email)
        user: JsonObject = {
            "kind": "drive#user",
            "displayName": account.display_name if account else email,
            "me": email == self.viewer.email,
            "emailAddress": email,
        }
        if account:
            user["permissionId"] = account.permission_id
        return user


Field = Callable[[FileRecord, View], Any]


def file_resource(record: FileRecord, view: View, mask: Mask) -> JsonObject:
    """What the mask asks for of a file; fields that don't apply are absent, as on Drive."""
    resource: JsonObject = {}
    for name in FIELDS if mask.names is None else _in_order(mask.names):
        value = FIELDS[name](record, view)
        if value is not None:
            resource[name] = value
    return mask.apply(resource)


@lru_cache(maxsize=1024)
def _in_order(names: frozenset[str]) -> tuple[str, ...]:
    """The fields of that name, always in the same order."""
    return tuple(name for name in FIELDS if name in names)


def permission_resource(granted: Grant) -> JsonObject:
    """The resource `Permission` of a grant."""
    grant = granted.permission
    resource: JsonObject = {"kind": "drive#permission", "id": grant.id, "type": grant.type, "role": grant.role}
    if grant.type in {"user", "group"}:
        resource |= {
            "emailAddress": grant.email,
            "displayName": grant.display_name,
            "deleted": False,
            "pendingOwner": False,
        }
    if grant.type == "domain":
        resource |= {"domain": grant.domain, "displayName": grant.domain}
    if grant.type in {"domain", "anyone"}:
        resource["allowFileDiscovery"] = grant.allow_file_discovery
    if grant.expires_ms is not None:
        resource["expirationTime"] = rfc3339(grant.expires_ms)
    inherited: JsonObject = {"inherited": granted.inherited_from is not None}
    if granted.inherited_from is not None:
        inherited["inheritedFrom"] = granted.inherited_from
    resource["permissionDetails"] = [{"permissionType": "file", "role": grant.role, **inherited}]
    return resource


def grants_of(record: FileRecord, view: View) -> list[Grant]:
    """All grants on a file, inherited ones, too, in the order in which Drive lists them."""
    return access.grants(view.drive.store, record)


def may_share(view: View, record: FileRecord) -> bool:
    """Whether the viewer sees the grants of a file."""
    return access.RANK[view.role(record)] >= access.RANK["writer"]


def _time(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)


def _binary(record: FileRecord) -> bool:
    return record.content is not None


def _extension(record: FileRecord) -> str | None:
    if not _binary(record):
        return None
    return record.name.rpartition(".")[2] if "." in record.name else ""


def _full_extension(record: FileRecord) -> str | None:
    """`tar.gz` for a.tar.gz: what follows the first dot of a name whose double ending is known as one."""
    if not _binary(record):
        return None
    parts = record.name.rsplit(".", 2)
    return ".".join(parts[1:]) if len(parts) == 3 and parts[1] == "tar" else _extension(record)


def _view_link(record: FileRecord, view: View) -> str:
    if record.mime_type == FOLDER:
        return f"https://drive.google.com/drive/folders/{record.id}"
    return f"https://drive.google.com/file/d/{record.id}/view?usp=drivesdk"


def _shortcut(record: FileRecord, view: View) -> JsonObject | None:
    if record.shortcut_target_id is None:
        return None
    return {"targetId": record.shortcut_target_id, "targetMimeType": record.shortcut_target_mime_type}


def _permissions(record: FileRecord, view: View) -> list[JsonObject] | None:
    if record.drive_id or not may_share(view, record):
        return None
    return [permission_resource(grant) for grant in grants_of(record, view)]


def _permission_ids(record: FileRecord, view: View) -> list[str] | None:
    return [grant.permission.id for grant in grants_of(record, view)] if may_share(view, record) else None


def _owners(record: FileRecord, view: View) -> list[JsonObject] | None:
    owner = view.user(record.owner)
    return [owner] if owner else None


def _size(record: FileRecord, view: View) -> str | None:
    """Of Docs Editors files too, where it is what they take in store. Source: brekkylab/backlot #23, July 2026."""
    if record.content is not None:
        return str(record.content.size)
    if not editors.converts(record.mime_type):
        return None
    source = editors.source_of(view.drive, record)
    return str(source.content.size if source else 0)


def _sha1(record: FileRecord, view: View) -> str | None:
    return view.drive.blobs.sha1(record.content) if record.content else None


def _sha256(record: FileRecord, view: View) -> str | None:
    return view.drive.blobs.sha256(record.content) if record.content else None


FIELDS: dict[str, Field] = {
    "kind": lambda record, view: "drive#file",
    "id": lambda record, view: record.id,
    "name": lambda record, view: record.name,
    "mimeType": lambda record, view: record.mime_type,
    "description": lambda record, view: record.description,
    "starred": lambda record, view: record.starred,
    "trashed": lambda record, view: record.trashed,
    "explicitlyTrashed": lambda record, view: record.explicitly_trashed,
    "trashedTime": lambda record, view: _time(record.trashed_ms) if record.drive_id else None,
    "trashingUser": lambda record, view: view.user(record.trashed_by or "") if record.drive_id else None,
    "parents": lambda record, view: list(record.parents) or None,
    "properties": lambda record, view: dict(record.properties) or None,
    "appProperties": lambda record, view: dict(record.app_properties.get(view.viewer.client_id, {})) or None,
    "spaces": lambda record, view: [record.space],
    "version": lambda record, view: str(record.version),
    "webContentLink": lambda record, view: (
        f"{view.content_site}/uc?id={record.id}&export=download" if _binary(record) else None
    ),
    "webViewLink": _view_link,
    "iconLink": lambda record, view: f"https://drive-thirdparty.googleusercontent.com/16/type/{record.mime_type}",
    "hasThumbnail": lambda record, view: False,
    "thumbnailVersion": lambda record, view: "0",
    "viewedByMe": lambda record, view: record.viewed_by_me_ms is not None,
    "viewedByMeTime": lambda record, view: _time(record.viewed_by_me_ms),
    "createdTime": lambda record, view: rfc3339(record.created_ms),
    "modifiedTime": lambda record, view: rfc3339(record.modified_ms),
    "modifiedByMe": lambda record, view: record.last_modifying_user == view.viewer.email,
    "modifiedByMeTime": lambda record, view: (
        rfc3339(record.modified_ms) if record.last_modifying_user == view.viewer.email else None
    ),
    "sharedWithMeTime": lambda record, view: (
        _time(record.shared_with_me_ms) if record.owner != view.viewer.email else None
    ),
    "owners": _owners,
    "driveId": lambda record, view: record.drive_id,
    "teamDriveId": lambda record, view: record.drive_id,
    "lastModifyingUser": lambda record, view: view.user(record.last_modifying_user),
    "shared": lambda record, view: (
        any(grant.permission.role != "owner" for grant in grants_of(record, view)) if not record.drive_id else None
    ),
    "ownedByMe": lambda record, view: record.owner == view.viewer.email if not record.drive_id else None,
    "capabilities": lambda record, view: capabilities(record, view.role(record), is_root=view.viewer.is_root(record)),
    "viewersCanCopyContent": lambda record, view: not record.copy_requires_writer_permission,
    "copyRequiresWriterPermission": lambda record, view: record.copy_requires_writer_permission,
    "writersCanShare": lambda record, view: record.writers_can_share if not record.drive_id else None,
    "permissions": _permissions,
    "permissionIds": _permission_ids,
    "hasAugmentedPermissions": lambda record, view: False if record.drive_id else None,
    "folderColorRgb": lambda record, view: (record.folder_color_rgb or "#8f8f8f") if record.is_folder else None,
    "originalFilename": lambda record, view: record.original_filename if _binary(record) else None,
    "fullFileExtension": lambda record, view: _full_extension(record),
    "fileExtension": lambda record, view: _extension(record),
    "md5Checksum": lambda record, view: record.content.md5 if record.content else None,
    "sha1Checksum": _sha1,
    "sha256Checksum": _sha256,
    "size": _size,
    "quotaBytesUsed": lambda record, view: str(record.content.size if record.content else 0),
    "headRevisionId": lambda record, view: record.head_revision_id if record.content else None,
    "isAppAuthorized": lambda record, view: view.viewer.client_id in record.apps,
    "shortcutDetails": _shortcut,
    "exportLinks": lambda record, view: editors.export_links(record, view.origin),
    "linkShareMetadata": lambda record, view: {"securityUpdateEligible": False, "securityUpdateEnabled": True},
    "inheritedPermissionsDisabled": lambda record, view: False if record.is_folder else None,
}
