"""Two other ways in which Google's clients speak of resumable sessions, translated to the documented one and back.

    X-GUploader-No-308: yes      Go: "not yet" is 200 with X-HTTP-Status-Code-Override: 308, since its HTTP client would
                                 take a 308 for a redirect
    X-GUploader-No-308: yes      Go: incomplete is 200 with X-HTTP-Status-Code-Override: 308, as its HTTP client would
                                 of their own, always 200

    POST .../files   X-Goog-Upload-Protocol: resumable, -Command: start   -> 200, X-Goog-Upload-URL, -Status: active
    POST URL         -Command: upload            -Offset: 0       <bytes> -> 200, -Status: active
    POST URL         -Command: query                                      -> 200, -Size-Received: 262144
    POST URL         -Command: upload, finalize  -Offset: 262144  <bytes> -> 200, -Status: final, the file

Sources: google-api-go-client, internal/gensupport/resumable.go; google-apis-core for Ruby, upload.rb and
storage_upload.rb; Google Photos guide "Resumable uploads".
"""

from __future__ import annotations

from ..content.upload_part import GRANULE_BYTES
from ..context.request_context import Call
from ..http.read import Request
from ..http.write import Response
from ..model.errors import ApiError, bad_request
from . import resumable
from .content_range import is_status_query
from .upload_type import PROTOCOL

NO_308 = "x-guploader-no-308"
OVERRIDE = "X-HTTP-Status-Code-Override"
COMMAND = "x-goog-upload-command"

_HEADERS = {
    "x-goog-upload-header-content-length": "x-upload-content-length",
    "x-goog-upload-header-content-type": "x-upload-content-type",
}


def sends(request: Request) -> str:
    """What a request to a session's URI wants: status, send or cancel."""
    command = request.headers.get(COMMAND)
    if command is None:
        return "status" if is_status_query(request.headers.get("content-range")) else "send"
    return {"query": "status", "cancel": "cancel"}.get(command.strip().lower(), "send")


def start(call: Call) -> Response:
    """Open a session, in either dialect."""
    headers = call.request.headers
    if PROTOCOL not in headers:
        return resumable.start(call)
    if _words(headers.get(COMMAND, "")) != {"start"}:
        raise bad_request(f"{COMMAND}: start is expected, and the content with a command of its own.")
    for theirs, ours in _HEADERS.items():
        if theirs in headers:
            headers[ours] = headers[theirs]
    response = resumable.start(call)
    location = response.headers.pop("Location")
    response.headers |= {
        "X-Goog-Upload-Status": "active",
        "X-Goog-Upload-URL": location,
        "X-Goog-Upload-Control-URL": location,
        "X-Goog-Upload-Chunk-Granularity": str(GRANULE_BYTES),
    }
    return response


def status(call: Call) -> Response:
    """Where the session is, in the client's dialect."""
    if COMMAND in call.request.headers:
        call.request.headers["content-range"] = "bytes */*"
    return _translated(call, resumable.status(call))


def send(call: Call) -> Response:
    """Content, whole or a chunk, in the client's dialect."""
    headers = call.request.headers
    if COMMAND in headers:
        words = _words(headers[COMMAND])
        if not words or not words <= {"upload", "finalize"}:
            raise bad_request(f"{COMMAND}: upload, finalize, query or cancel are expected.")
        headers["content-range"] = _content_range(call, words)
        if headers["content-range"].startswith("bytes */"):
            return _translated(call, resumable.status(call))
    return _translated(call, resumable.send(call))


def cancel(call: Call) -> Response:
    """End a session; the dialect of commands confirms it with 200."""
    response = resumable.cancel(call)
    if COMMAND in call.request.headers:
        return Response(200, b"", {"X-Goog-Upload-Status": "cancelled"})
    return response


def _content_range(call: Call, words: set[str]) -> str:
    """The chunk of a command as `Content-Range`; a chunk without bytes asks only whether the content is complete."""
    length = call.request.body.length if "upload" in words else 0
    if length is None:
        raise ApiError(411, "contentLengthRequired", "A Content-Length header is required.")
    text = call.request.headers.get("x-goog-upload-offset", "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise bad_request("X-Goog-Upload-Offset: a number of bytes is expected.")
    offset = int(text)
    total = str(offset + length) if "finalize" in words else "*"
    return f"bytes {offset}-{offset + length - 1}/{total}" if length else f"bytes */{total}"


def _words(command: str) -> set[str]:
    return {word.strip().lower() for word in command.split(",") if word.strip()}


def _translated(call: Call, response: Response) -> Response:
    """The answer to a chunk or a status query in the client's dialect."""
    headers = call.request.headers
    if COMMAND in headers and response.status in {200, 201, 308}:
        kept = response.headers.pop("Range", "bytes=0--1").rpartition("-")
        size = 0 if kept[0].endswith("-") else int(kept[2]) + 1
        if response.status == 308:
            active = {"X-Goog-Upload-Status": "active", "X-Goog-Upload-Size-Received": str(size)}
            return Response(200, b"", response.headers | active)
        response.headers["X-Goog-Upload-Status"] = "final"
    elif response.status == 308 and headers.get(NO_308, "").lower() == "yes":
        response.status = 200
        response.headers[OVERRIDE] = "308"
    return response
