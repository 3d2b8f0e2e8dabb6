"""All files as a test wants to see them: with paths, whoever owns them."""

from __future__ import annotations

from typing import Any

from ..model.clock import rfc3339
from ..model.records import FileRecord
from .state import Drive


def files(drive: Drive) -> list[dict[str, Any]]:
    """Every file and folder but the roots, oldest first."""
    return [_entry(drive, record) for record in records(drive)]


def records(drive: Drive) -> list[FileRecord]:
    """The records of every file and folder but the roots, oldest first."""
    roots = {account.root_id for account in drive.store.accounts.values()} | set(drive.store.drives)
    known = list(drive.store.files.values())
    return [one for one in known if one.id not in roots and not (one.is_app_data and not one.parents)]


def path_of(drive: Drive, record: FileRecord) -> str:
    """`MemoryVDB/Meta/x.txt`: names from below the root on. A `/` in a name stays as it is."""
    above = [folder.name for folder in drive.store.ancestors(record) if folder.parents]
    return "/".join(reversed([record.name, *above]))


def _entry(drive: Drive, record: FileRecord) -> dict[str, Any]:
    content = drive.blobs.complete(record.content) if record.content else None
    own = list(record.app_properties.values())
    return {
        "id": record.id,
        "name": record.name,
        "path": path_of(drive, record),
        "parents": list(record.parents),
        "mimeType": record.mime_type,
        "trashed": record.trashed,
        "explicitlyTrashed": record.explicitly_trashed,
        "size": content.size if content else None,
        "md5Checksum": content.md5 if content else None,
        "sha1Checksum": content.sha1 if content else None,
        "sha256Checksum": content.sha256 if content else None,
        "properties": dict(record.properties),
        "appProperties": {key: value for of_app in own for key, value in of_app.items()},
        "description": record.description,
        "createdTime": rfc3339(record.created_ms),
        "modifiedTime": rfc3339(record.modified_ms),
        "version": record.version,
        "headRevisionId": record.head_revision_id,
        "revisions": len(drive.store.revisions.get(record.id, ())),
        "owner": record.owner,
        "driveId": record.drive_id,
        "space": record.space,
    }
