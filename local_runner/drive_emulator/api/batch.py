"""`/batch/drive/v3` and v2: up to 100 calls in one request, each answered for itself.

Source: Drive guide "Improve performance"; that downloads and exports inside are answered 302:
brekkylab/backlot #343, September 2026.
"""

from __future__ import annotations

from ..context.request_context import Call, refusal
from ..http.multipart import MultipartReader, boundary_of
from ..http.read import BadRequest, Body, Request, parse_head
from ..http.write import Response, head_bytes
from ..model.errors import ApiError, bad_request

CALLS = 100
URL_CHARACTERS = 8000
PART_LIMIT_BYTES = 8 * 1024 * 1024
BOUNDARY = "batch_drive_emulator_Wn3pQ7"


def batch(call: Call) -> Response:
    """Every call of the batch in its order; the outer headers' access token serves those that bring none.

    The batch itself needs no token: Google's client for Java authorises only the calls inside.
    """
    content_type = call.request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/mixed"):
        raise bad_request("Failed to parse batch request, error: multipart/mixed is expected.")
    parts = MultipartReader(call.request.body, boundary_of(content_type))
    inner: list[tuple[str | None, bytes]] = []
    while (headers := parts.next_part()) is not None:
        inner.append((headers.get("content-id"), parts.read(PART_LIMIT_BYTES)))
        if len(inner) > CALLS:
            raise bad_request(f"The batch request has more than {CALLS} calls.")
    if not inner:
        raise bad_request("Failed to parse batch request, error: 0 items. Received batch body: (0) bytes redacted")
    answers = [_part(content_id, _one(call, message)) for content_id, message in inner]
    body = b"".join(answers) + f"--{BOUNDARY}--\r\n".encode()
    return Response(200, body, {"Content-Type": f"multipart/mixed; boundary={BOUNDARY}"})


def _part(content_id: str | None, response: Response) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Type: application/http\r\n"
    if content_id:
        inside = content_id.strip().removeprefix("<").removesuffix(">")
        head += f"Content-ID: <response-{inside}>\r\n"
    assert isinstance(response.body, bytes)
    return head.encode() + b"\r\n" + head_bytes(response, keep_alive=True) + response.body + b"\r\n"


def _one(call: Call, message: bytes) -> Response:
    try:
        request = _inner_request(call, message)
        if not request.path.startswith("/drive/"):
            raise bad_request("Only calls of the Drive API can be part of a batch, and no media uploads.")
        if request.first("alt") == "media" or request.path.endswith("/export"):
            location = f"{call.origin}{request.path}?{request.raw_query}"
            return Response(302, b"", {"Location": location})
        return call.answer(request)
    except (BadRequest, ValueError):
        return refusal(bad_request("Failed to parse a call of the batch request."))
    except ApiError as error:
        return refusal(error)


def _inner_request(call: Call, message: bytes) -> Request:
    """The call inside a part: a request without its own connection. Lines may end with bare LF."""
    head, body = _split(message.lstrip(b"\r\n"))
    request = parse_head(head, Body.of(body))
    if len(request.path) + len(request.raw_query) > URL_CHARACTERS:
        raise bad_request(f"The URL of a call in a batch may have at most {URL_CHARACTERS} characters.")
    request.origin = call.request.origin
    if "authorization" in call.request.headers:
        request.headers.setdefault("authorization", call.request.headers["authorization"])
    return request


def _split(message: bytes) -> tuple[bytes, bytes]:
    found = [(at, len(mark)) for mark in (b"\r\n\r\n", b"\n\n") if (at := message.find(mark)) >= 0]
    if not found:
        return message.rstrip(b"\r\n"), b""
    at, length = min(found)
    return message[:at], message[at + length :]
