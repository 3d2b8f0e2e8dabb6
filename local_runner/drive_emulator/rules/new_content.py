"""New content for a file: room in its owner's storage, its type, and the revision that it becomes."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from ..model.errors import ApiError
from ..model.records import Content, FileRecord, JsonObject, Revision, Viewer
from ..storage.state import Drive

REVISIONS_KEPT = 100
"""Older revisions go, unless kept for ever. Source: Drive guide "Manage file revisions"."""

SERVICE_ACCOUNT_STORAGE = (
    "Service Accounts do not have storage quota. Leverage shared drives"
    " (https://developers.google.com/workspace/drive/api/guides/about-shareddrives), or use OAuth delegation"
    " (http://support.google.com/a/answer/7281227) instead."
)


@dataclass(frozen=True, slots=True)
class Upload:
    """Content that came with a request: already a blob, and the type its sender gave it, if any."""

    content: Content
    mime_type: str | None = None
    keep_forever: bool = False


def check_storage(drive: Drive, owner: str, more_bytes: int) -> None:
    """403 `storageQuotaExceeded` where an owner can't hold so many bytes more; shared drives have no owner."""
    account = drive.store.accounts.get(owner)
    if account is None:
        return
    if account.is_service_account:
        raise ApiError(403, "storageQuotaExceeded", SERVICE_ACCOUNT_STORAGE, domain="usageLimits")
    used = drive.store.usage.get(owner, 0)
    if account.storage_limit is not None and used + more_bytes > account.storage_limit:
        raise ApiError(403, "storageQuotaExceeded", "The user's Drive storage quota has been exceeded.")


def with_content(drive: Drive, viewer: Viewer, record: FileRecord, upload: Upload, body: JsonObject) -> FileRecord:
    """The record with new content, which becomes its head revision."""
    mime_type = body.get("mimeType") or upload.mime_type or _guessed_type(record, upload)
    revision = put_revision(drive, viewer, record, upload, mime_type)
    return replace(
        record,
        content=upload.content,
        head_revision_id=revision.id,
        mime_type=mime_type,
        original_filename=revision.original_filename,
    )


def put_revision(drive: Drive, viewer: Viewer, record: FileRecord, upload: Upload, mime_type: str) -> Revision:
    """The upload as the newest revision of a file; the oldest go."""
    revision = Revision(
        id=drive.ids.revision_id(),
        file_id=record.id,
        content=upload.content,
        mime_type=mime_type,
        modified_ms=record.modified_ms,
        modified_by=viewer.email,
        original_filename=record.original_filename or record.name,
        keep_forever=upload.keep_forever,
    )
    drive.store.put_revision(revision)
    _prune(drive, record.id)
    return revision


def _guessed_type(record: FileRecord, upload: Upload) -> str:
    """By the name, as the content isn't looked into; a file that has a type keeps it."""
    if record.content is not None:
        return record.mime_type
    return guessed_type(record.name)


def guessed_type(name: str) -> str:
    """The type that a name's ending stands for."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _prune(drive: Drive, file_id: str) -> None:
    passing = [revision for revision in drive.store.revisions[file_id] if not revision.keep_forever]
    with drive.store.transaction() as kept:
        for revision in passing[:-REVISIONS_KEPT]:
            drive.store.delete_revision(file_id, revision.id)
            kept.afterwards.append(partial(drive.blobs.release, revision.content))
