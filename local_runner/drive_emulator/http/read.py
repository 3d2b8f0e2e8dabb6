"""The asking half of HTTP/1.1: read a request from a socket, stream its body.

The emulator needs what HTTP libraries keep to themselves: to reset a connection in the middle of a body, to know how
many bytes arrived before it broke, to cut or delay an answer, to read GBs straight into blocks. Hence these lines and
those of http1_write; meaning is left to `app`, connections and threads to `server`.
"""

from __future__ import annotations

import re
import socket
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from .write import Disconnected

HEAD_LIMIT_BYTES = 128 * 1024
"""Longest request line plus headers. Batch allows inner URLs of 8 000 characters; rclone's queries reach 20 KB."""

GZIP_BLOCK_BYTES = 64 * 1024
"""How much of a packed body is read at once. Google's clients for Java and .NET pack metadata and content alike."""

HEAD_LIMIT_S = 60.0
"""Half a request line or head is given up after so long. A connection may rest between requests for any time."""

DRAIN_LIMIT_BYTES = 64 * 1024 * 1024
"""An unread body up to this size is read and dropped to keep the connection; a longer one closes it."""


_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")


class BadRequest(Exception):
    """The bytes received are not HTTP/1.1; the connection can't be used further."""


class Reader:
    """Buffered reading from a socket."""

    def __init__(self, sock: socket.socket | None) -> None:
        self._sock = sock
        self.pending = bytearray()

    @property
    def sock(self) -> socket.socket:
        if self._sock is None:
            raise Disconnected
        return self._sock

    def until(self, mark: bytes, limit: int, *, within_s: float | None = None) -> bytes | None:
        """Everything up to and without `mark`; None when the peer closed before the first byte.

        Raises BadRequest where it is longer than `limit`, or not there `within_s` seconds after its first byte.
        """
        start = 0
        ends_s: float | None = None
        while (end := self.pending.find(mark, start)) < 0:
            if len(self.pending) > limit:
                raise BadRequest("request head too long")
            start = max(0, len(self.pending) - len(mark))
            if within_s is not None and self.pending:
                ends_s = ends_s or time.monotonic() + within_s
            block = self._received(ends_s)
            if not block:
                if self.pending:
                    raise Disconnected
                return None
            self.pending += block
        found = bytes(self.pending[:end])
        del self.pending[: end + len(mark)]
        return found

    def _received(self, ends_s: float | None) -> bytes:
        if ends_s is None:
            return self.sock.recv(65536)
        try:
            self.sock.settimeout(max(0.001, ends_s - time.monotonic()))
            return self.sock.recv(65536)
        except TimeoutError:
            raise BadRequest("the head of the request did not arrive in time") from None
        finally:
            self.sock.settimeout(None)

    def into(self, view: memoryview) -> int:
        """Read at least one byte into `view`; raises Disconnected when the peer closed."""
        if self.pending:
            count = min(len(view), len(self.pending))
            view[:count] = self.pending[:count]
            del self.pending[:count]
            return count
        count = self.sock.recv_into(view)
        if not count:
            raise Disconnected
        return count


class Body:
    """A request's body as a stream, read once.

    `received` counts payload bytes. `cut_after` makes the body break off after so many bytes, `pace` is called with the
    size of each piece read: both are for faults. A client that sent `Expect: 100-continue` is told to go on at the
    first read. A body sent with `Content-Encoding: gzip` is unpacked on the way: its `length` is None, for it shows at
    the end; `received` and faults count what was sent.
    """

    def __init__(self, reader: Reader, length: int | None, chunked: bool, expects: bool, gzipped: bool = False) -> None:
        self._reader = reader
        self._left = 0 if chunked else (length or 0)
        self._chunked = chunked
        self._ended = not chunked and not length
        self._expects = expects
        self._first_chunk = True
        self._inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if gzipped and not self._ended else None
        self._packed = b""
        self.length = None if chunked or self._inflater is not None else (length or 0)
        self.received = 0
        self.cut_after: int | None = None
        self.pace: Callable[[int], None] | None = None

    @classmethod
    def of(cls, data: bytes) -> Body:
        """A body that is already here, such as one inside a batch."""
        reader = Reader(None)
        reader.pending += data
        return cls(reader, len(data), chunked=False, expects=False)

    @property
    def ended(self) -> bool:
        """Whether everything was read."""
        return self._ended if self._inflater is None else self._inflater.eof

    def into(self, view: memoryview) -> int:
        """Read some bytes into `view`; 0 at the end of the body. Raises Disconnected when the peer is gone before."""
        return self._as_sent(view) if self._inflater is None else self._unpacked(self._inflater, view)

    def _unpacked(self, inflater: zlib._Decompress, view: memoryview) -> int:
        """The same of a body in gzip; raises BadRequest for bytes that aren't, or end too early."""
        while len(view) and not inflater.eof:
            if not self._packed:
                block = bytearray(GZIP_BLOCK_BYTES)
                self._packed = bytes(block[: self._as_sent(memoryview(block))])
                if not self._packed:
                    raise BadRequest("the body ends before its gzip does")
            try:
                unpacked = inflater.decompress(self._packed, len(view))
            except zlib.error:
                raise BadRequest("the body is not what Content-Encoding: gzip says") from None
            self._packed = inflater.unconsumed_tail
            if unpacked:
                view[: len(unpacked)] = unpacked
                return len(unpacked)
        return 0

    def _as_sent(self, view: memoryview) -> int:
        """Bytes as they came."""
        if self._ended or not len(view):
            return 0
        self._go_on()
        if self._chunked and not self._left and not self._next_chunk():
            return 0
        limit = min(len(view), self._left)
        if self.cut_after is not None:
            limit = min(limit, self.cut_after - self.received)
            if limit <= 0:
                raise Disconnected
        count = self._reader.into(view[:limit])
        self._left -= count
        self.received += count
        if not self._left and not self._chunked:
            self._ended = True
        if self.pace is not None:
            self.pace(count)
        return count

    def fill(self, view: memoryview) -> int:
        """Read until `view` is full or the body ends; the count of bytes read."""
        filled = 0
        while filled < len(view) and (count := self.into(view[filled:])):
            filled += count
        return filled

    def read(self, limit: int) -> bytes:
        """The whole rest of the body; raises BodyTooLarge past `limit` bytes."""
        parts: list[bytes] = []
        total = 0
        buffer = bytearray(min(65536, (self.length or 65536) + 1))
        view = memoryview(buffer)
        while count := self.into(view):
            total += count
            if total > limit:
                raise BodyTooLarge(limit)
            parts.append(bytes(view[:count]))
        return b"".join(parts)

    def drop(self) -> bool:
        """Read and forget the rest, so that the connection can be used again; False when it had better be closed."""
        if self._ended:
            return True
        if self._expects or (self._left > DRAIN_LIMIT_BYTES):
            return False
        view = memoryview(bytearray(65536))
        dropped = 0
        while count := self._as_sent(view):
            dropped += count
            if dropped > DRAIN_LIMIT_BYTES:
                return False
        return True

    def _go_on(self) -> None:
        if self._expects:
            self._expects = False
            self._reader.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _next_chunk(self) -> bool:
        if not self._first_chunk:
            self._line(2)
        self._first_chunk = False
        size_text = self._line(1024).split(b";")[0].strip()
        if _CHUNK_SIZE.fullmatch(size_text) is None:
            raise BadRequest("malformed chunk size")
        self._left = int(size_text, 16)
        if self._left:
            return True
        while self._line(HEAD_LIMIT_BYTES):  # trailers
            continue
        self._ended = True
        return False

    def _line(self, limit: int) -> bytes:
        line = self._reader.until(b"\r\n", limit)
        if line is None:
            raise Disconnected
        return line


class BodyTooLarge(Exception):
    """A body that has to fit in memory doesn't."""


@dataclass(slots=True)
class Request:
    """One request; header names are lower case, `path` is as sent, `query` keeps every value of a repeated name."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Body
    raw_query: str = ""
    keep_alive: bool = True
    origin: str = "http://localhost"
    """Scheme and host by which the client reached the emulator, without a slash at the end; the server sets it."""

    def first(self, name: str) -> str | None:
        """The first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else None


def parse_query(text: str) -> dict[str, list[str]]:
    """A query string or form body as name -> values."""
    query: dict[str, list[str]] = {}
    if text:
        for name, value in parse_qsl(text, keep_blank_values=True):
            query.setdefault(name, []).append(value)
    return query


def read_request(reader: Reader) -> Request | None:
    """The next request on a connection, its body still unread; None when the peer closed between requests."""
    head = b""
    while not head:  # empty lines before a request line are to be ignored (RFC 9112, 2.2)
        found = reader.until(b"\r\n\r\n", HEAD_LIMIT_BYTES, within_s=HEAD_LIMIT_S)
        if found is None:
            return None
        head = found.lstrip(b"\r\n")
    method, target, version, headers = _head(head)
    return _request(method, target, version, headers, _body(reader, headers))


def parse_head(head: bytes, body: Body) -> Request:
    """A request whose body is here already: a call inside a batch.

    Lines may end with CRLF or LF, and the version may be missing, as in the examples of Google's guide.
    """
    first, _, rest = head.replace(b"\r\n", b"\n").partition(b"\n")
    version = b"" if first.count(b" ") > 1 else b" HTTP/1.1"
    return _request(*_head((first + version + b"\n" + rest).strip(b"\n").replace(b"\n", b"\r\n")), body)


_ONCE = frozenset({"host", "content-length", "transfer-encoding"})
"""Headers that say where a request goes and where it ends: to be doubtful about them is to be open to smuggling.

Source: RFC 9112, 3.2 and 6.3.
"""


def _head(head: bytes) -> tuple[str, str, str, dict[str, str]]:
    """Verb, target, version and headers."""
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest("malformed request line")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequest("malformed header")
        name, value = name.strip().lower(), value.strip()
        if name in _ONCE and headers.get(name, value) != value:
            raise BadRequest(f"two values of {name}")
        headers[name] = value
    return parts[0], parts[1], parts[2], headers


def _body(reader: Reader, headers: dict[str, str]) -> Body:
    coding = headers.get("transfer-encoding", "identity").lower()
    if coding not in {"chunked", "identity"}:
        raise BadRequest("unknown Transfer-Encoding")
    chunked = coding == "chunked"
    if chunked and "content-length" in headers:
        raise BadRequest("both Content-Length and Transfer-Encoding")
    length_text = headers.get("content-length")
    if length_text is not None and not (length_text.isascii() and length_text.isdigit() and len(length_text) < 19):
        raise BadRequest("malformed Content-Length")
    length = int(length_text) if length_text is not None else None
    expects = headers.get("expect", "").lower() == "100-continue" and (chunked or bool(length))
    gzipped = headers.get("content-encoding", "").lower() in {"gzip", "x-gzip"}
    return Body(reader, length, chunked, expects, gzipped)


def _request(method: str, target: str, version: str, headers: dict[str, str], body: Body) -> Request:
    if "://" in target.partition("?")[0]:  # absolute form, as proxies send it
        target = "/" + target.split("://", 1)[1].partition("/")[2]
    path, _, raw_query = target.partition("?")
    connection = headers.get("connection", "").lower()
    return Request(
        method=method,
        path=path,
        query=parse_query(raw_query),
        headers=headers,
        body=body,
        raw_query=raw_query,
        keep_alive="close" not in connection and (version != "HTTP/1.0" or "keep-alive" in connection),
    )
