"""Creating and changing files for both versions: v2's bodies and parameters become v3's here, ETags are compared.

Uploads, sessions and metadata calls all end in `create` or `update`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..context import fault_injection
from ..context.request_context import Call, checked_body
from ..model.errors import ApiError
from ..model.records import FileRecord, JsonObject
from ..render import file_v2
from ..rules import editors, operations
from ..rules.new_content import Upload

_DATES_FROM_BODY = frozenset({"fromBody", "fromBodyIfNeeded", "fromBodyOrNow", "fromBodyOrNowIfNeeded"})


def metadata(call: Call, data: bytes, *, lone_lists: bool = False) -> JsonObject:
    """A request's metadata in v3's words, held against its version's schema; for `lone_lists` see `checked_body`."""
    body = checked_body(call.version, "File", data, lone_lists=lone_lists)
    if call.version == 3:
        return body
    changes = file_v2.file_body(body)
    keeps_date = call.params.get("setModifiedDate") or call.params.get("modifiedDateBehavior") in _DATES_FROM_BODY
    if call.args.get("fileId") and not keeps_date:
        changes.pop("modifiedTime", None)
    return changes


def create(call: Call, body: JsonObject, upload: Upload | None) -> FileRecord:
    """Make a file. v2 answers 412 to `If-None-Match: *`, always; v3 takes no notice of it."""
    check_create(call, body, None)
    if call.params.get("convert") and upload is not None:
        target = editors.target_of(body.get("name") or "", upload.mime_type, body.get("mimeType"))
        upload = replace(upload, mime_type=body.get("mimeType") or upload.mime_type)
        body = {**body, "mimeType": target}
    return operations.create(call.drive, call.viewer, body, upload, all_drives=call.all_drives)


def check_create(call: Call, body: JsonObject, size: int | None) -> None:
    """Refuse what `create` would refuse; `size` is what content is announced, None for metadata alone."""
    if call.version == 2 and "if-none-match" in call.request.headers:
        raise _precondition_failed("If-None-Match")
    fault_injection.trash_parents(call, body.get("parents") or ())
    if size is not None:
        operations.check_create(call.drive, call.viewer, body, all_drives=call.all_drives, size=size)


def update(call: Call, file_id: str, body: JsonObject, upload: Upload | None) -> FileRecord:
    """Change a file as the body and the parameters say."""
    with call.drive.store.transaction():
        record = check_update(call, file_id, body, None)
        add, remove = call.params.get("addParents", ""), call.params.get("removeParents", "")
        if call.version == 2 and "parents" in body:
            wanted = [call.viewer.resolve(parent) for parent in body["parents"]]
            add, remove = file_v2.moves(wanted, record.parents)
        return operations.update(
            call.drive,
            call.viewer,
            record.id,
            _without_place(call, body),
            upload,
            add=add,
            remove=remove,
            all_drives=call.all_drives,
        )


def check_update(call: Call, file_id: str, body: JsonObject, size: int | None) -> FileRecord:
    """Refuse what `update` would refuse; the file as it is."""
    fault_injection.trash_parent_of(call, file_id)
    record = operations.check_update(
        call.drive, call.viewer, file_id, _without_place(call, body), all_drives=call.all_drives, size=size
    )
    check_etag(call, record)
    return record


def check_etag(call: Call, record: FileRecord) -> None:
    """412 where v2's `If-Match` names another state of the file; v3 has no ETags."""
    tags = call.request.headers.get("if-match")
    if call.version == 2 and tags is not None and not _names(tags.split(","), record):
        raise _precondition_failed("If-Match")


def is_known(call: Call, record: FileRecord) -> bool:
    """Whether v2's `If-None-Match` names the file's present state: the client has it already."""
    tags = call.request.headers.get("if-none-match")
    return call.version == 2 and tags is not None and _names(tags.split(","), record)


def _names(tags: Iterable[str], record: FileRecord) -> bool:
    present = file_v2.etag(record.id, record.version)
    return any(tag.strip().removeprefix("W/") in {present, "*"} for tag in tags)


def _without_place(call: Call, body: JsonObject) -> JsonObject:
    """v2 clients send the whole resource back, id and parents included."""
    if call.version == 3:
        return body
    return {name: value for name, value in body.items() if name not in {"id", "parents", "shortcutDetails"}}


def _precondition_failed(header: str) -> ApiError:
    message = "Precondition Failed"
    return ApiError(412, "conditionNotMet", message, location_type="header", location=header)
