"""multipart/related and multipart/mixed as a stream: metadata first, then content of any length in constant memory.

Liberal as a server must be: lines end with CRLF or bare LF (google-api-python-client), the boundary may be quoted, and
text before the first boundary is ignored. The first boundary's line end says which line ends the message uses, so that
content which ends with CR isn't cut.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from email.message import Message

from ..model.errors import bad_request
from .read import Body

BLOCK_BYTES = 256 * 1024
"""The content is passed on in blocks of this size."""

HEADER_LIMIT_BYTES = 64 * 1024

Sink = Callable[[bytes], None]


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type names; 400 without one."""
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise bad_request("Missing multipart boundary.")
    return boundary.encode("latin-1", "replace")


class MultipartReader:
    """Reads part after part: `next_part` gives the headers, then `copy` the content."""

    def __init__(self, body: Body, boundary: bytes) -> None:
        self._body = body
        self._dashes = b"--" + boundary
        self._pending = bytearray()
        self._block = memoryview(bytearray(BLOCK_BYTES))
        self._line_end: bytes | None = None

    def next_part(self) -> dict[str, str] | None:
        """The headers of the next part, names in lower case; None after the last part, when the whole body has arrived.

        A body that breaks off behind its closing boundary was not sent whole: Disconnected is raised as anywhere else.
        """
        if self._line_end is None:
            self._skip_preamble()
        while len(self._pending) < 2 and self._more():
            continue
        if self._pending.startswith(b"--"):
            while self._more():
                self._pending.clear()
            return None
        self._line()
        headers: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return headers

    def copy(self, sink: Sink) -> None:
        """Pass the current part's content to `sink` in blocks."""
        assert self._line_end is not None
        delimiter = self._line_end + self._dashes
        if self._pending.startswith(self._dashes):  # an empty part whose blank line is the delimiter's own
            del self._pending[: len(self._dashes)]
            return
        while (end := self._pending.find(delimiter)) < 0:
            ready = len(self._pending) - len(delimiter) + 1
            if ready >= BLOCK_BYTES:
                sink(bytes(self._pending[:ready]))
                del self._pending[:ready]
            if not self._more():
                raise bad_request("Malformed multipart body.")
        if end:
            sink(bytes(self._pending[:end]))
        del self._pending[: end + len(delimiter)]

    def read(self, limit: int) -> bytes:
        """The current part's content in memory; 400 past `limit` bytes."""
        content = bytearray()

        def keep(block: bytes) -> None:
            content.extend(block)
            if len(content) > limit:
                raise bad_request("A part of the multipart body is too large.")

        self.copy(keep)
        return bytes(content)

    def _skip_preamble(self) -> None:
        while (start := self._pending.find(self._dashes)) < 0 or b"\n" not in self._pending[start:]:
            if len(self._pending) > HEADER_LIMIT_BYTES or not self._more():
                raise bad_request("Malformed multipart body.")
        del self._pending[: start + len(self._dashes)]
        first_line = bytes(self._pending[: self._pending.index(b"\n")])
        self._line_end = b"\r\n" if first_line.endswith(b"\r") else b"\n"

    def _line(self) -> str:
        while (end := self._pending.find(b"\n")) < 0:
            if len(self._pending) > HEADER_LIMIT_BYTES or not self._more():
                raise bad_request("Malformed multipart body.")
        line = bytes(self._pending[:end]).rstrip(b"\r")
        del self._pending[: end + 1]
        return line.decode("utf-8", "replace")

    def _more(self) -> bool:
        count = self._body.into(self._block)
        self._pending += self._block[:count]
        return bool(count)


def base64_sink(sink: Sink) -> tuple[Sink, Callable[[], None]]:
    """A sink that decodes base64 before passing it on, and what to call at the end."""
    waiting = bytearray()

    def take(block: bytes, *, everything: bool = False) -> None:
        waiting.extend(block.translate(None, b"\r\n\t "))
        ready = len(waiting) if everything else len(waiting) // 4 * 4
        if not ready:
            return
        try:
            sink(binascii.a2b_base64(waiting[:ready]))
        except binascii.Error as error:
            raise bad_request("Malformed base64 content.") from error
        del waiting[:ready]

    return take, lambda: take(b"", everything=True)
