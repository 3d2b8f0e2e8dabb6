"""Resumable uploads: start, send, ask where we are, cancel.

    POST  .../files?uploadType=resumable   {"name": ...}           -> 200, Location: session URI
    PUT   URI   Content-Range: bytes 0-524287/2000000    <bytes>   -> 308, Range: bytes=0-524287
    PUT   URI   Content-Range: bytes */2000000                     -> 308, Range: what was kept
    PUT   URI   Content-Range: bytes 524288-1999999/2000000 <...>  -> 200, the file

The session URI is the permission. What arrived before a connection broke is kept up to a multiple of 256 KiB, and seen
by the next status query at once. Source: Drive guide "Upload file data"; the refusals as named at each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from ..content.upload_part import GRANULE_BYTES, Part
from ..context import fault_injection
from ..context.request_context import Call
from ..http.read import Body
from ..http.write import Disconnected, Response
from ..methods import mutations
from ..model.errors import ApiError, bad_request, file_not_found
from ..model.records import FileRecord, UploadSession
from ..storage.state import LiveSession, viewer
from . import content_range, single_request
from .content_range import ContentRange

TEXT_TYPE = "text/plain; charset=utf-8"


def start(call: Call) -> Response:
    """Open a session for a create or, with a file's id in the path, for new content of that file."""
    body = mutations.metadata(call, call.body())
    total = _announced(call)
    file_id = call.args.get("fileId")
    single_request.check(call, body, file_id, total or 0)
    session = UploadSession(
        id=call.drive.ids.upload_id(),
        method_id=call.record.starts or "",
        version=call.version,
        email=call.viewer.email,
        client_id=call.viewer.client_id,
        scopes=call.viewer.scopes,
        query={name: values[0] for name, values in call.request.query.items()},
        body=body,
        content_type=single_request.plain_type(call.request.headers.get("x-upload-content-type")),
        file_id=file_id,
        total=total,
        started_ms=call.drive.clock.now_ms(),
    )
    call.drive.store.put_session(session)
    location = f"{call.origin}{call.request.path}?uploadType=resumable&upload_id={session.id}"
    return Response(200, b"", {"Location": location, "X-GUploader-UploadID": session.id})


def _announced(call: Call) -> int | None:
    text = call.request.headers.get("x-upload-content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise bad_request("Invalid X-Upload-Content-Length header.")
    return int(text)


def status(call: Call) -> Response:
    """Where the session is: 308 with what was kept, or the file when it is complete."""
    session, asked = _find(call), content_range.parse(call.request.headers.get("content-range"))
    with _held(call, session) as (now, live):
        if live is None:
            return _finished(call, now)
        part = _part(call, now, live)
        total = now.total if now.total is not None else asked.total if asked else None
        return _complete(call, now, live, part) if part.size == total else incomplete(part.size)


def send(call: Call) -> Response:
    """Content, whole or a chunk of it."""
    session = _find(call)
    body = call.request.body
    span = content_range.parse(call.request.headers.get("content-range"))
    span = span or ContentRange(0, None if body.length is None else body.length - 1, body.length)
    with _held(call, session) as (now, live):
        if live is None:
            return _finished(call, now)
        content_range.check(span, body.length, session.total)
        part = _part(call, now, live)
        live.turn += 1
        turn, kept = live.turn, part.size
    refused = _offset_refusal(call, span, kept)
    if refused is not None:
        return refused
    _skip(body, kept - span.first)
    try:
        _receive(body, live, part, turn, is_last=span.is_last(session.total))
    finally:
        _rest(live, part, turn)
    with _held(call, session) as (now, live):
        if live is None:
            return _finished(call, now)
        part = _part(call, now, live)
        total = span.total if span.total is not None else session.total
        if span.total is None and span.last is None:
            total = part.size
        if session.total is not None and part.size > session.total:
            raise bad_request("More content was sent than X-Upload-Content-Length announced.")
        return _complete(call, now, live, part) if part.size == total else incomplete(part.size)


@contextmanager
def _held(call: Call, session: UploadSession) -> Iterator[tuple[UploadSession, LiveSession | None]]:
    """The session as it is now, while nobody else feeds, completes or ends it; without a live half when complete.

    Raises 404 where it was cancelled meanwhile.
    """
    with call.drive.store.lock:
        live = call.drive.live.setdefault(session.id, LiveSession())
    with live.lock:
        now = call.drive.store.sessions.get(session.id)
        if now is None or now.result is not None:
            call.drive.live.pop(session.id, None)
        if now is None:
            raise file_not_found("")
        yield now, live if now.result is None else None


def _part(call: Call, session: UploadSession, live: LiveSession) -> Part:
    """The part of a session that is held."""
    if live.part is None:
        live.part = call.drive.blobs.part(session.id, session.total, shas=single_request.wanted_shas(call))
    return live.part


def _offset_refusal(call: Call, span: ContentRange, kept: int) -> Response | None:
    """A gap is a 503 that no repetition mends (Byron/google-apis-rs #438); an overlap is as the conditions say."""
    if span.first > kept:
        text = (
            f"Invalid request.  According to the Content-Range header, the upload offset is {span.first} byte(s), "
            f"which exceeds already uploaded size of {kept} byte(s)."
        )
        return Response(503, text.encode(), {"Content-Type": TEXT_TYPE})
    if span.first < kept and call.drive.conditions.overlap == "refuse":
        raise bad_request(f"The upload offset {span.first} lies before what was received already ({kept} bytes).")
    return None


def _skip(body: Body, count: int) -> None:
    """Read past bytes that the session has."""
    view = memoryview(bytearray(min(max(count, 0), GRANULE_BYTES)))
    while count > 0 and (got := body.into(view[: min(count, len(view))])):
        count -= got


def _receive(body: Body, live: LiveSession, part: Part, turn: int, *, is_last: bool) -> None:
    """Append the body a granule at a time, so that what is kept always ends on a border until the content ends.

    Ends early where another request took over and completed the session; raises Disconnected where it is still at it.
    """
    while not body.ended:
        block = part.block()
        count = body.fill(memoryview(block))
        if not count or (count < GRANULE_BYTES and not is_last):
            return
        with live.lock:
            if live.part is None:
                return
            if live.part is not part or live.turn != turn:
                raise Disconnected
            part.append(block if count == GRANULE_BYTES else memoryview(block)[:count])


def _rest(live: LiveSession, part: Part, turn: int) -> None:
    """Until the next chunk, digests need no threads; whoever took over has use for them."""
    with live.lock:
        if live.turn == turn and live.part is part:
            part.rest()


def cancel(call: Call) -> Response:
    """End a session; 499 is how Google's upload service confirms it. Source: Cloud Storage, "Resumable uploads"."""
    session = _find(call)
    drop(call, session)
    return Response(499, b"", {"Content-Type": TEXT_TYPE})


def drop(call: Call, session: UploadSession) -> None:
    """Forget a session and what it received."""
    with call.drive.store.lock:
        live = call.drive.live.setdefault(session.id, LiveSession())
    with live.lock:
        _end(call, session, live)


def _end(call: Call, session: UploadSession, live: LiveSession) -> None:
    """Forget a session that is held."""
    live.end()
    call.drive.blobs.drop_part(session.id)
    call.drive.store.delete_session(session.id)
    call.drive.live.pop(session.id, None)


def _find(call: Call) -> UploadSession:
    """The session of the URI; 404 when unknown or older than a week."""
    session = call.drive.store.sessions.get(call.request.first("upload_id") or "")
    if session is None:
        raise file_not_found("")
    if call.fault is not None and call.fault.do == "lose_session":
        drop(call, session)
        raise file_not_found("")
    age_s = (call.drive.clock.now_ms() - session.started_ms) / 1000
    if age_s > call.drive.conditions.session_life_s:
        drop(call, session)
        raise file_not_found("")
    _become(call, session)
    return session


def _become(call: Call, session: UploadSession) -> None:
    """From here on the call is the one that started the session: its user, parameters and file."""
    call.viewer = viewer(call.drive, session.email, session.client_id, session.scopes)
    call.record.user = session.email
    call.version = session.version
    call.check_parameters(session.query, session.method_id)
    call.args = {"fileId": session.file_id} if session.file_id else {}
    fault_injection.trash_parents(call, session.body.get("parents", ()))


def _complete(call: Call, session: UploadSession, live: LiveSession, part: Part) -> Response:
    """All content is here: the file is made and the session closed, in one step. A refusal of Drive's ends the session.

    Where the step fails for another reason (a full disk), the session is as before and can be completed later.
    """
    live.part = None

    def close_session(record: FileRecord) -> None:
        call.drive.store.put_session(replace(session, result=record.id))

    try:
        record = single_request.store(
            call, part, dict(session.body), session.file_id, session.content_type, together_with=close_session
        )
    except ApiError:
        _end(call, session, live)
        raise
    call.drive.live.pop(session.id, None)
    return call.file(record)


def _finished(call: Call, session: UploadSession) -> Response:
    """The answer to anything sent to a complete session: the file as it is now."""
    record = call.drive.store.files.get(session.result or "")
    if record is None:
        raise file_not_found(session.result or "")
    return call.file(record)


def incomplete(size: int) -> Response:
    """308 without Location; `Range` tells what was kept, and is absent when that is nothing."""
    return Response(308, b"", {"Range": f"bytes=0-{size - 1}"} if size else {})
