"""Uploads in one request: content alone (`uploadType=media`) and metadata with content (`uploadType=multipart`).

Content goes to disk while it arrives. A request that breaks off leaves nothing. Source: Drive guide "Upload file data".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..content.digests import SHAS
from ..content.upload_part import GRANULE_BYTES, Part
from ..context.request_context import METADATA_LIMIT_BYTES, Call
from ..http.multipart import MultipartReader, base64_sink, boundary_of
from ..http.read import Body
from ..http.write import Response
from ..methods import mutations
from ..model.errors import bad_request
from ..model.records import FileRecord, JsonObject
from ..rules.new_content import Upload
from .upload_type import upload_type

Receive = Callable[[Part], None]


def upload(call: Call) -> Response:
    """create or update with content, in the request's own way; sessions are routed elsewhere."""
    return _media(call) if upload_type(call.request) == "media" else _multipart(call)


def _media(call: Call) -> Response:
    body = call.request.body
    mime_type = plain_type(call.request.headers.get("content-type"))
    return call.file(_save(call, {}, body.length, mime_type, lambda part: pour(body, part)))


def _multipart(call: Call) -> Response:
    content_type = call.request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/"):
        raise bad_request("Media type 'multipart/related' is expected for uploadType=multipart.")
    parts = MultipartReader(call.request.body, boundary_of(content_type))
    if parts.next_part() is None:
        raise bad_request("Malformed multipart body.")
    body = mutations.metadata(call, parts.read(METADATA_LIMIT_BYTES), lone_lists=True)
    headers = parts.next_part()
    if headers is None:
        raise bad_request("Malformed multipart body: a part with content is expected after the metadata.")

    def receive(part: Part) -> None:
        if headers.get("content-transfer-encoding", "").lower() == "base64":
            sink, finish = base64_sink(part.append)
            parts.copy(sink)
            finish()
        else:
            parts.copy(part.append)
        if parts.next_part() is not None:
            raise bad_request("Malformed multipart body: exactly two parts are expected.")

    return call.file(_save(call, body, call.request.body.length, plain_type(headers.get("content-type")), receive))


def _save(call: Call, body: JsonObject, size: int | None, mime_type: str | None, receive: Receive) -> FileRecord:
    """Check what can be checked before content comes, receive it, then create or update."""
    check(call, body, call.args.get("fileId"), 0)
    part = call.drive.blobs.part(call.drive.ids.upload_id(), size, shas=wanted_shas(call), at_once=True)
    try:
        receive(part)
        return store(call, part, body, call.args.get("fileId"), mime_type)
    except BaseException:
        part.discard()
        raise


def check(call: Call, body: JsonObject, file_id: str | None, size: int) -> None:
    """Refuse early what would be refused at the end."""
    if file_id is None:
        mutations.check_create(call, body, size)
    else:
        mutations.check_update(call, file_id, body, size)


def store(
    call: Call,
    part: Part,
    body: JsonObject,
    file_id: str | None,
    mime_type: str | None,
    *,
    together_with: Callable[[FileRecord], None] | None = None,
) -> FileRecord:
    """A received part becomes a file's content, in one transaction `together_with` what the caller has to note.

    Where that fails, nothing has happened and the part is still there. Digests are finished before any lock is taken.
    """
    content = call.drive.blobs.adopt(part)
    keep = bool(call.params.get("keepRevisionForever") or call.params.get("pinned"))
    incoming = Upload(content, mime_type, keep)
    try:
        with call.drive.store.transaction() as kept:
            if file_id is None:
                record = mutations.create(call, body, incoming)
            else:
                record = mutations.update(call, file_id, body, incoming)
            if together_with is not None:
                together_with(record)
            if part.held is None:
                kept.afterwards.append(partial(call.drive.blobs.drop_part, part.path.name))
            return record
    except BaseException:
        call.drive.blobs.release(content)
        raise


def wanted_shas(call: Call) -> list[str]:
    """The SHAs that the answer is to hold, so that they had better be computed on the way."""
    mask = call.mask("File")
    return [name for name in SHAS if mask.wants(f"{name}Checksum")]


def pour(body: Body, part: Part) -> None:
    """All of a body into a part, in blocks."""
    while not body.ended:
        small = body.length is not None and body.length < GRANULE_BYTES
        block = memoryview(bytearray(body.length or 0) if small else part.block())
        count = body.fill(block)
        part.append(block[:count])


def plain_type(content_type: str | None) -> str | None:
    """A Content-Type without its parameters; None where it says nothing."""
    plain = (content_type or "").partition(";")[0].strip().lower()
    return plain if "/" in plain and plain != "application/octet-stream" else None
