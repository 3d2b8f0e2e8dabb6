"""The protocol of a resumable session, from any process that knows its URI.

    PUT <session URI>                                   PUT <session URI>
    Content-Range: bytes 262144-999999/1000000          Content-Range: bytes */1000000        (where are we?)
    <bytes>
    200 + the file: complete         308 + Range: bytes=0-N: N + 1 bytes kept         308 alone: nothing kept

All that is left goes in one request, as Google recommends. The URI is the permission: no Authorization is sent, and
it is never shown. Source: Drive guide, 'Upload file data'.
"""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec

from function.core.errors import (
    BadRequest,
    CredentialsError,
    DriveError,
    MetadataRefused,
    NotFound,
    SessionLost,
    UploadError,
)
from function.drive.client import ODD_ANSWER, HttpError, HttpRequest
from function.drive.errors import translate
from function.drive.http import Media, Transport, document, malformed_response


def check_endpoint(uri: str, endpoint: str) -> None:
    """Raise SessionLost where a session's URI is damaged, or names another host or scheme than the endpoint's.

    The content is sent to whatever the URI names, and the URI comes from a file.
    """
    try:
        session, own = urlsplit(uri), urlsplit(endpoint)
        is_own = (session.scheme, session.hostname, session.port) == (own.scheme, own.hostname, own.port)
    except ValueError:
        is_own = False
    if not is_own or not uri.isascii() or not uri.isprintable() or " " in uri:
        raise SessionLost("The session's address is damaged, or another endpoint's.")


def status(transport: Transport, uri: str, size: int) -> dict[str, Any] | int:
    """The file when the session is complete, else how many bytes it has kept. Raises SessionLost.

    A session is given up only when two answers in a row speak of its end: what is on the way may have given one.
    """
    try:
        return _asked(transport, uri, size)
    except SessionLost:
        return _asked(transport, uri, size)


def _asked(transport: Transport, uri: str, size: int) -> dict[str, Any] | int:
    headers = {"content-range": f"bytes */{size}", "content-length": "0"}
    request = HttpRequest(transport, _content, uri, method="PUT", body=b"", headers=headers)
    try:
        return document(request.execute(num_retries=0))
    except HttpError as error:
        return _kept(error)
    except ODD_ANSWER:
        raise malformed_response() from None


def send(transport: Transport, uri: str, size: int, offset: int, blocks: Iterable[memoryview]) -> dict[str, Any] | int:
    """Send the bytes from `offset` to the end; as `status`.

    Raises TransientDriveError after which the session must be asked where it is: repeating the same bytes where the
    session has a gap is answered 503 for ever. A refusal doesn't prove that the bytes weren't taken: the session is
    asked.
    """
    media = Media("", size, _Rest(size - offset, blocks))
    request = HttpRequest(transport, _content, uri, resumable=media)
    request.resumable_uri, request.resumable_progress = uri, offset
    try:
        progress, content = request.next_chunk(num_retries=0)
    except HttpError as error:
        try:
            return _kept(error)
        except SessionLost:
            return status(transport, uri, size)
    except ODD_ANSWER:  # among them the Range of a 308, which it reads itself
        raise malformed_response() from None
    return int(progress.resumable_progress) if progress else document(content)


class _Rest(msgspec.Struct, frozen=True):
    """The rest of a content, as a body that knows its length."""

    length: int
    blocks: Iterable[memoryview]

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[memoryview]:
        return iter(self.blocks)


def _content(_: object, content: bytes) -> bytes:
    return content


def _kept(error: Any) -> int:
    """How many bytes a 308 says are kept. Raises what another answer stands for."""
    if error.resp.status == 308:
        kept = error.resp.get("range")
        last = kept.rpartition("-")[2] if kept else "-1"
        if kept and not last.isdecimal():
            raise malformed_response()
        return int(last) + 1
    refusal = translate(error.resp.status, error.resp, error.content, to_content=True)
    if isinstance(refusal, MetadataRefused):  # Drive may look at it only when the content is there
        raise refusal from None
    if _ends_the_session(error.resp.status, refusal):
        raise SessionLost("The session is unknown or has ended.") from None
    raise refusal from None


def _ends_the_session(code: int, refusal: UploadError) -> bool:
    """404 and 410 need no envelope here: Google's upload servers answer plain text. Source: as above."""
    return code in (404, 410) or (
        isinstance(refusal, NotFound | BadRequest | CredentialsError)
        or (type(refusal) is DriveError and refusal.reason in ("drive_rejected", "permission_denied"))
        or code == 400
    )
