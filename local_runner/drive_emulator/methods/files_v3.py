"""The methods of `files` that carry no upload; all but get, list and delete serve v2, too.

Source: discovery documents; Drive guides as named.
"""

from __future__ import annotations

from ..context import fault_injection
from ..context.request_context import Call, reply
from ..http.write import Response
from ..model.errors import ApiError, invalid_parameter, not_emulated
from ..model.records import APP_DATA
from ..rules import access, editors, operations
from ..schema import conformance
from . import downloads, listing, mutations


def create(call: Call) -> Response:
    """A file without content: a folder, a shortcut, an empty file."""
    return call.file(mutations.create(call, mutations.metadata(call, call.body()), None))


def get(call: Call) -> Response:
    """A file's metadata; with `alt=media` its content.

    Content of shared drives is there without `supportsAllDrives`: rclone downloads so (backend/drive/drive.go).
    """
    fault_injection.trash_parent_of(call, call.args["fileId"])
    wants_content = call.params.get("alt") == "media"
    if not wants_content and conformance.is_the_word_true(call.request.query, "acknowledgeAbuse"):
        message = "The acknowledgeAbuse parameter applies to downloads of contents only."
        raise ApiError(403, "invalidAbuseAcknowledgment", message)
    all_drives = call.all_drives or wants_content
    record = access.find(call.drive.store, call.viewer, call.args["fileId"], all_drives=all_drives)
    if wants_content:
        return downloads.content(call, record)
    return call.file(record)


def update(call: Call) -> Response:
    """New metadata, another parent, in or out of the bin."""
    return call.file(mutations.update(call, call.args["fileId"], mutations.metadata(call, call.body()), None))


def copy(call: Call) -> Response:
    """A new file with the same content."""
    body = mutations.metadata(call, call.body())
    return call.file(operations.copy(call.drive, call.viewer, call.args["fileId"], body, all_drives=call.all_drives))


def delete(call: Call) -> Response:
    """Remove for good, with all that is in a folder."""
    operations.delete(call.drive, call.viewer, call.args["fileId"], all_drives=call.all_drives)
    return Response(204)


def empty_trash(call: Call) -> Response:
    """Remove what is in the viewer's bin, or in that of a shared drive which they manage."""
    drive_id = call.params.get("driveId")
    if drive_id:
        listing.check_drive(call, drive_id)
        access.require(call.drive.store, call.viewer, call.drive.store.files[drive_id], "organizer")
    operations.empty_trash(call.drive, call.viewer, drive_id)
    return Response(204)


def generate_ids(call: Call) -> Response:
    """Ids for later creates. Shortcuts live in the space drive only."""
    count_name = "count" if call.version == 3 else "maxResults"
    space, kind = call.params.get("space", "drive"), call.params.get("type", "files")
    if space not in {"drive", APP_DATA}:
        raise invalid_parameter("space")
    if kind not in {"files", "shortcuts"} or (kind == "shortcuts" and space != "drive"):
        raise invalid_parameter("type")
    ids = operations.generate_ids(call.drive, call.viewer, call.params[count_name], space, kind)
    return reply(call.mask("GeneratedIds").apply({"kind": "drive#generatedIds", "space": space, "ids": ids}))


def export(call: Call) -> Response:
    """A Docs Editors file in another type; others can't be exported."""
    record = access.find(call.drive.store, call.viewer, call.args["fileId"], all_drives=True)
    if record.content is not None or record.is_folder or record.is_shortcut:
        status, reason = (403, "fileNotExportable") if call.version == 3 else (400, "badRequest")
        raise ApiError(status, reason, "Export only supports Docs Editors files.")
    if not editors.converts(record.mime_type):
        raise not_emulated(f"exporting a file of type {record.mime_type}")
    mime_type = str(call.params["mimeType"])
    content = editors.exported(call.drive, record, mime_type)
    return Response(200, content, {"Content-Type": mime_type, "Content-Disposition": "attachment"})
