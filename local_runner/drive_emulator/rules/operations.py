"""What happens to files, without HTTP: create, change, copy, trash and delete, by Drive's rules.

Every function takes the store's lock for itself, looks, decides, and changes; content was received before.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from msgspec.structs import replace

from ..content.digests import EMPTY
from ..model.errors import ApiError, bad_request, not_emulated
from ..model.records import DRIVE_SDK, FOLDER, GOOGLE_TYPE_PREFIX, SHORTCUT, FileRecord, JsonObject, Viewer
from ..storage.state import Drive
from . import access, editors, metadata, placement
from .new_content import Upload, check_storage, with_content
from .trash import set_trashed


def check_create(drive: Drive, viewer: Viewer, body: JsonObject, *, all_drives: bool, size: int | None) -> None:
    """Refuse what `create` would refuse, before content is received: `size` is what the sender announced."""
    with drive.store.transaction():
        _new_record(drive, viewer, body, all_drives=all_drives, has_content=size is not None, probe=True)
        if size is not None:
            parent = placement.parent_for(drive.store, viewer, body, all_drives=all_drives)
            check_storage(drive, viewer.email if parent.drive_id is None else "", size)


def create(drive: Drive, viewer: Viewer, body: JsonObject, upload: Upload | None, *, all_drives: bool) -> FileRecord:
    """Make a file, folder or shortcut. Raises ApiError; the content of a refused create is released by the caller."""
    with drive.store.transaction():
        record = _new_record(drive, viewer, body, all_drives=all_drives, has_content=upload is not None, probe=False)
        if not record.mime_type.startswith(GOOGLE_TYPE_PREFIX):
            upload = upload or Upload(EMPTY, record.mime_type)
            check_storage(drive, record.owner, upload.content.size)
            record = with_content(drive, viewer, record, upload, body)
        elif upload is not None:
            record = editors.with_source(drive, viewer, record, upload)
        drive.store.put_file(record, now_ms=drive.clock.now_ms())
        return record


def _new_record(
    drive: Drive, viewer: Viewer, body: JsonObject, *, all_drives: bool, has_content: bool, probe: bool
) -> FileRecord:
    now_ms = drive.clock.now_ms()
    changes = metadata.changes_of(body, client_id=viewer.client_id, before=None)
    mime_type = body.get("mimeType") or ""
    if mime_type.startswith(GOOGLE_TYPE_PREFIX) and has_content and not editors.converts(mime_type):
        raise not_emulated(f"converting an upload to {mime_type}")
    file_id = _claimed_id(drive, viewer, body, mime_type) or ("" if probe else drive.ids.file_id())
    parent = placement.parent_for(drive.store, viewer, body, all_drives=all_drives)
    placement.check_room(drive.store, drive.conditions, viewer, parent)
    if file_id in drive.store.reserved and drive.store.reserved[file_id][1] != parent.space:
        raise _unusable_id()
    target = _shortcut_target(drive, viewer, body, mime_type, all_drives=all_drives)
    if target is not None and (parent.is_app_data or target.is_app_data):
        raise not_emulated("shortcuts in the hidden folder of an app, or to what lies there")
    fields: dict[str, Any] = {
        "name": target.name if target and body.get("name") is None else "Untitled",
        "created_ms": now_ms,
        "modified_ms": changes.get("created_ms", now_ms),
    }
    return FileRecord(
        id=file_id,
        mime_type=mime_type or "application/octet-stream",
        owner="" if parent.drive_id else viewer.email,
        parents=(parent.id,),
        drive_id=parent.drive_id,
        trashed=parent.trashed and drive.conditions.trashed_from_parent,
        apps=frozenset({viewer.client_id}),
        last_modifying_user=viewer.email,
        shortcut_target_id=target.id if target else None,
        shortcut_target_mime_type=target.mime_type if target else None,
        space=parent.space,
        arrived_ms=now_ms,
        **(fields | changes),
    )


def _claimed_id(drive: Drive, viewer: Viewer, body: JsonObject, mime_type: str) -> str | None:
    """The id that a create brings along: 409 where it was ever used, 400 where it was never given out."""
    file_id: str | None = body.get("id")
    if file_id is None:
        return None
    if mime_type.startswith(GOOGLE_TYPE_PREFIX) and mime_type not in {FOLDER, DRIVE_SDK, SHORTCUT}:
        raise bad_request("Generated IDs are not supported for Docs Editors formats.", reason="invalid")
    if drive.store.is_used(file_id):
        raise ApiError(409, "fileIdInUse", "A file already exists with the provided ID.")
    reserved = drive.store.reserved.get(file_id)
    kind = "shortcuts" if mime_type == SHORTCUT else "files"
    if reserved is None or reserved[0] != viewer.email or reserved[2] != kind:
        raise _unusable_id()
    return file_id


def _unusable_id() -> ApiError:
    return bad_request("The provided file ID is not usable.", reason="invalid")


def _shortcut_target(
    drive: Drive, viewer: Viewer, body: JsonObject, mime_type: str, *, all_drives: bool
) -> FileRecord | None:
    details = body.get("shortcutDetails")
    if mime_type != SHORTCUT:
        if details is not None:
            raise bad_request("shortcutDetails may only be set on a shortcut.", reason="invalid")
        return None
    target_id = (details or {}).get("targetId")
    if not target_id:
        raise bad_request("A shortcut needs shortcutDetails.targetId.", reason="invalid")
    target = access.find(drive.store, viewer, target_id, all_drives=all_drives)
    if target.is_shortcut:
        raise ApiError(403, "shortcutTargetInvalid", "The specified shortcut target is not valid.")
    return target


def update(  # noqa: PLR0913 - as many as the method has
    drive: Drive,
    viewer: Viewer,
    file_id: str,
    body: JsonObject,
    upload: Upload | None,
    *,
    add: str = "",
    remove: str = "",
    all_drives: bool,
    modified_set: bool = True,
) -> FileRecord:
    """Change metadata, place, trash state or content of a file. `add`/`remove` are comma-separated parents."""
    with drive.store.transaction():
        record = check_update(drive, viewer, file_id, body, all_drives=all_drives, size=None)
        changes = metadata.changes_of(body, client_id=viewer.client_id, before=record)
        now_ms = drive.clock.now_ms()
        if upload is not None or {"name", "description"} & changes.keys():
            changes.setdefault("modified_ms", now_ms)
        moved = placement.moved(drive, viewer, record, add=add, remove=remove, all_drives=all_drives)
        changed = replace(
            moved,
            version=record.version + 1,
            last_modifying_user=viewer.email,
            apps=record.apps | {viewer.client_id},
            **changes,
        )
        if upload is not None:
            grown = upload.content.size - (record.content.size if record.content else 0)
            check_storage(drive, record.owner, max(0, grown))
            if editors.converts(record.mime_type):
                changed = editors.with_source(drive, viewer, changed, upload)
            else:
                changed = with_content(drive, viewer, changed, upload, body)
        elif body.get("mimeType"):
            changed = replace(changed, mime_type=body["mimeType"])
        drive.store.put_file(changed, now_ms=now_ms)
        if moved.parents != record.parents:
            changed = placement.settle(drive, changed)
        if body.get("trashed") is not None and body["trashed"] != changed.explicitly_trashed:
            changed = trash(drive, viewer, changed, body["trashed"])
        return changed


def check_update(
    drive: Drive, viewer: Viewer, file_id: str, body: JsonObject, *, all_drives: bool, size: int | None
) -> FileRecord:
    """Refuse what `update` would refuse before content is received; the file as it is."""
    record = access.find(drive.store, viewer, file_id, all_drives=all_drives)
    access.require(drive.store, viewer, record, "writer")
    if "id" in body and body["id"] != record.id:
        raise ApiError(403, "fieldNotWritable", "The resource body includes fields which are not directly writable.")
    if body.get("parents") is not None:
        message = (
            "The parents field is not directly writable in update requests. Use the addParents and removeParents"
            " parameters instead."
        )
        raise ApiError(403, "fieldNotWritable", message)
    if body.get("shortcutDetails") is not None:
        raise ApiError(403, "fieldNotWritable", "The resource body includes fields which are not directly writable.")
    is_fixed = record.mime_type.startswith(GOOGLE_TYPE_PREFIX) and not editors.converts(record.mime_type)
    if size is not None and is_fixed:
        raise ApiError(403, "fileNotUpdatable", "Content can't be uploaded to this type of file.")
    metadata.changes_of(body, client_id=viewer.client_id, before=record)
    mime_type = body.get("mimeType")
    if mime_type and mime_type != record.mime_type and GOOGLE_TYPE_PREFIX in mime_type + record.mime_type:
        raise bad_request("Invalid MIME type provided for the uploaded content.", reason="invalidMimeType")
    if size is not None:
        check_storage(drive, record.owner, max(0, size - (record.content.size if record.content else 0)))
    return record


def trash(drive: Drive, viewer: Viewer, record: FileRecord, trashed: bool) -> FileRecord:
    """Put a file in the bin or take it out. In My Drive only its owner may."""
    with drive.store.transaction():
        if viewer.is_root(record):
            raise ApiError(403, "insufficientFilePermissions", "The root folder can't be trashed.")
        if record.is_app_data:
            raise access.app_data_refusal("Files within the Application Data folder cannot be trashed.")
        access.require(drive.store, viewer, record, "fileOrganizer" if record.drive_id else "owner")
        return set_trashed(drive.store, record, trashed, by=viewer.email, now_ms=drive.clock.now_ms())


def copy(drive: Drive, viewer: Viewer, file_id: str, body: JsonObject, *, all_drives: bool) -> FileRecord:
    """A new file with the same content. Folders can't be copied."""
    with drive.store.transaction() as kept:
        source = access.find(drive.store, viewer, file_id, all_drives=all_drives)
        if source.is_folder:
            raise ApiError(403, "cannotCopyFile", "This file cannot be copied by the user.")
        made_from = editors.source_of(drive, source) if editors.converts(source.mime_type) else None
        content = made_from.content if made_from is not None else source.content
        if content is None:
            raise not_emulated(f"copying a file of type {source.mime_type}")
        inherited: JsonObject = {
            "name": f"Copy of {source.name}",
            "mimeType": source.mime_type,
            "description": source.description,
            "properties": dict(source.properties),
            "appProperties": dict(source.app_properties.get(viewer.client_id, {})),
        }
        if source.parents and "parents" not in body:
            inherited["parents"] = [_copy_parent(drive, viewer, source)]
        merged = inherited | body
        for kind in ("properties", "appProperties"):
            if kind in body:
                merged[kind] = inherited[kind] | body[kind]
        drive.blobs.keep(content)
        kept.undo.append(partial(drive.blobs.release, content))
        content_type = made_from.mime_type if made_from is not None else source.mime_type
        made = create(drive, viewer, merged, Upload(content, content_type), all_drives=True)
        if made.space != source.space:
            raise not_emulated("copying between My Drive and the hidden folder of an app")
        return made


def _copy_parent(drive: Drive, viewer: Viewer, source: FileRecord) -> str:
    """Beside the original where the viewer may write there, else in their own root."""
    above = drive.store.files.get(source.parents[0])
    role = access.role_of(drive.store, viewer.email, above) if above else None
    writable = above is not None and role is not None and access.RANK[role] >= access.RANK["writer"]
    return source.parents[0] if writable else viewer.root_id


def delete(drive: Drive, viewer: Viewer, file_id: str, *, all_drives: bool) -> None:
    """Remove a file for good, and everything in a folder that belongs to the same owner."""
    with drive.store.transaction():
        record = access.find(drive.store, viewer, file_id, all_drives=all_drives)
        if viewer.is_root(record):
            raise ApiError(403, "insufficientFilePermissions", "The root folder can't be deleted.")
        access.require(drive.store, viewer, record, "organizer" if record.drive_id else "owner")
        erase(drive, record)


def erase(drive: Drive, record: FileRecord) -> None:
    """Remove a record with its revisions and descendants; others' files in it go to no folder."""
    now_ms = drive.clock.now_ms()
    with drive.store.transaction() as kept:
        for gone in [*reversed(list(drive.store.subtree(record.id))), record]:
            if gone.owner != record.owner:
                drive.store.put_file(replace(gone, parents=()), now_ms=now_ms)
                continue
            for revision in drive.store.revisions.get(gone.id, ()):
                drive.store.delete_revision(gone.id, revision.id)
                kept.afterwards.append(partial(drive.blobs.release, revision.content))
            drive.store.delete_file(gone.id, now_ms=now_ms)


def empty_trash(drive: Drive, viewer: Viewer, drive_id: str | None) -> None:
    """Erase everything that is in the viewer's bin, or in a shared drive's."""
    with drive.store.transaction():
        for record in list(drive.store.files.values()):
            theirs = record.drive_id == drive_id if drive_id else record.owner == viewer.email
            if (
                theirs
                and record.explicitly_trashed
                and record.id in drive.store.files
                and access.app_sees(viewer, record)
            ):
                erase(drive, record)


def generate_ids(drive: Drive, viewer: Viewer, count: int, space: str, kind: str) -> list[str]:
    """Ids for the viewer's next creates or copies; each is good for one."""
    made = [drive.ids.file_id() for _ in range(count)]
    drive.store.reserve(made, email=viewer.email, space=space, kind=kind)
    return made
