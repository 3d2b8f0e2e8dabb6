"""`revisions` of both versions: the contents that a file had.

Source: discovery documents; Drive guide "Manage file revisions".
"""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from ..context import paging
from ..context.request_context import Call, checked_body, reply
from ..http.write import Response
from ..model.clock import rfc3339
from ..model.errors import ApiError, not_emulated
from ..model.records import FileRecord, JsonObject, Revision
from ..render import others_v2
from ..rules import access
from . import downloads

KEPT_FOR_EVER = 200
"""Source: discovery document v3, `keepForever`."""


def revisions_list(call: Call) -> Response:
    """Oldest first."""
    record = _file(call)
    made = [_resource(call, one) for one in call.drive.store.revisions.get(record.id, ())]
    size = call.params.get("pageSize") or call.params.get("maxResults") or 200
    items, token = paging.cut(call, made, size)
    if call.version == 2:
        link = call.site.link("files", record.id, "revisions")
        listed = others_v2.listing("revisionList", items, link, nextPageToken=token)
        return reply(call.mask("RevisionList").apply(listed))
    answer: JsonObject = {"kind": "drive#revisionList", "revisions": items}
    return reply(call.mask("RevisionList").apply(answer | ({"nextPageToken": token} if token else {})))


def get(call: Call) -> Response:
    """A revision's metadata; in v3 with `alt=media` its content."""
    revision = _revision(call, _file(call))
    if call.params.get("alt") == "media":
        call.record.units = 200
        return downloads.stream(call, revision.content, revision.mime_type)
    return _answer(call, revision)


def update(call: Call) -> Response:
    """Keep a revision for ever, or no longer; publish it."""
    record = _writable(call)
    body = checked_body(call.version, "Revision", call.body())
    body = others_v2.revision_body(body) if call.version == 2 else body
    if body.get("publishAuto") or body.get("publishedOutsideDomain") or not body.keys() <= _KNOWN:
        raise not_emulated("these fields of a revision")
    with call.drive.store.transaction():
        revision = _revision(call, record)
        keep = bool(body.get("keepForever", revision.keep_forever))
        kept = sum(one.keep_forever for one in call.drive.store.revisions[record.id])
        if keep and not revision.keep_forever and kept >= KEPT_FOR_EVER:
            message = f"At most {KEPT_FOR_EVER} revisions of a file can be kept for ever."
            raise ApiError(400, "illegalKeepForeverModification", message)
        changed = replace(revision, keep_forever=keep, published=bool(body.get("published", revision.published)))
        call.drive.store.put_revision(changed)
    return _answer(call, changed)


_KNOWN = frozenset({"keepForever", "published", "publishAuto", "publishedOutsideDomain"})


def delete(call: Call) -> Response:
    """Remove an old content; the only one stays, and the head can't be taken away here."""
    record = _writable(call)
    with call.drive.store.transaction() as kept:
        revision = _revision(call, record)
        if len(call.drive.store.revisions[record.id]) == 1:
            raise ApiError(403, "cannotDeleteOnlyRevision", "The only revision of a file cannot be deleted.")
        if revision.id == record.head_revision_id:
            raise not_emulated("deleting the head revision of a file")
        call.drive.store.delete_revision(record.id, revision.id)
        kept.afterwards.append(partial(call.drive.blobs.release, revision.content))
    return Response(204)


def _file(call: Call) -> FileRecord:
    """These methods know shared drives unasked; who may only read sees no revisions."""
    record = access.find(call.drive.store, call.viewer, call.args["fileId"], all_drives=True)
    access.require(call.drive.store, call.viewer, record, "writer")
    if record.content is None:
        raise ApiError(403, "revisionsNotSupported", "The file does not support revisions.")
    return record


_writable = _file


def _revision(call: Call, record: FileRecord) -> Revision:
    revision_id = call.args["revisionId"]
    wanted = record.head_revision_id if revision_id == "head" else revision_id
    revision = call.drive.store.revision(record.id, wanted)
    if revision is None:
        message = f"Revision not found: {revision_id}."
        raise ApiError(404, "notFound", message, location_type="parameter", location="revisionId")
    return revision


def _resource(call: Call, revision: Revision) -> JsonObject:
    resource: JsonObject = {
        "kind": "drive#revision",
        "id": revision.id,
        "mimeType": revision.mime_type,
        "modifiedTime": rfc3339(revision.modified_ms),
        "keepForever": revision.keep_forever,
        "published": revision.published,
        "lastModifyingUser": call.view.user(revision.modified_by),
        "originalFilename": revision.original_filename,
        "md5Checksum": revision.content.md5,
        "size": str(revision.content.size),
    }
    return others_v2.revision_resource(resource, revision.file_id, call.site) if call.version == 2 else resource


def _answer(call: Call, revision: Revision) -> Response:
    return reply(call.mask("Revision").apply(_resource(call, revision)))
