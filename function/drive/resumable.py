"""The protocol of a resumable session, from any process that knows its URI.

    PUT <session URI>                                   PUT <session URI>
    Content-Range: bytes 262144-999999/1000000          Content-Range: bytes */1000000        (where are we?)
    <bytes>
    200 + the file: complete         308 + Range: bytes=0-N: N + 1 bytes kept         308 alone: nothing kept

All that is left goes in one request, as Google recommends. The URI is the permission: no Authorization is sent, and
it is never shown. Source: Drive guide, 'Upload file data'.
"""

from collections.abc import Iterable

from function.core.errors import BadRequest, CredentialsError, DriveError, NotFound, SessionLost
from function.drive.errors import translate
from function.drive.http import Answer, Transport, nonsense


def status(transport: Transport, uri: str, size: int) -> Answer | int:
    """The answer with the file when the session is complete, else how many bytes it has kept."""
    headers = {"content-length": "0", "content-range": f"bytes */{size}"}
    return _progress(transport.send("PUT", uri, headers, b""))


def send(transport: Transport, uri: str, size: int, offset: int, blocks: Iterable[memoryview]) -> Answer | int:
    """Send the bytes from `offset` to the end; as `status`.

    Raises TransientDriveError after which the session must be asked where it is: repeating the same bytes where the
    session has a gap is answered 503 for ever.
    """
    headers = {"content-length": str(size - offset)}
    if size:  # `bytes 0--1/0` is no range: an empty content is a PUT of nothing, as Google's client sends it
        headers["content-range"] = f"bytes {offset}-{size - 1}/{size}"
    return _progress(transport.send("PUT", uri, headers, blocks))


def _progress(answer: Answer) -> Answer | int:
    if answer.status in (200, 201):
        return answer
    if answer.status == 308:
        kept = answer.headers.get("range")
        return _last_byte(kept) + 1 if kept else 0
    error = translate(answer.status, answer.headers, answer.body)
    if isinstance(error, NotFound | BadRequest | CredentialsError):
        raise SessionLost(error.message) from None
    if type(error) is DriveError and error.reason == "drive_rejected":
        raise SessionLost(error.message) from None
    raise error


def _last_byte(kept: str) -> int:
    """The number at the end of `bytes=0-N`."""
    last = kept.rpartition("-")[2]
    if not last.isdecimal():
        raise nonsense()
    return int(last)
