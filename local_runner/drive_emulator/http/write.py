"""The answering half of HTTP/1.1: head and body onto a socket, whole, slowly, cut short, or not at all."""

from __future__ import annotations

import os
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import BinaryIO

SLOW_PIECES = 20
"""A slow body is sent in so many pieces."""

REASONS = {
    100: "Continue", 200: "OK", 201: "Created", 204: "No Content", 206: "Partial Content", 302: "Found",
    304: "Not Modified", 308: "Resume Incomplete", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict", 410: "Gone",
    411: "Length Required", 412: "Precondition Failed", 413: "Request Entity Too Large",
    416: "Requested Range Not Satisfiable", 428: "Precondition Required", 429: "Too Many Requests",
    499: "Client Closed Request",
    500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout",
}  # fmt: skip


class Disconnected(Exception):
    """The peer is gone, or a fault ordered the connection cut."""


@dataclass(slots=True)
class FilePart:
    """A body that is a stretch of a file on disk, sent without passing through this process's memory."""

    file: BinaryIO
    offset: int
    length: int


@dataclass(slots=True)
class Response:
    """An answer. `body` is bytes or a stretch of a file; Content-Length is added by `write`.

    For faults: `cut_after` so many bytes of the body the connection is reset, `spread_ms` is how long the body takes.
    """

    status: int
    body: bytes | FilePart = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    spread_ms: float = 0

    @property
    def length(self) -> int:
        return self.body.length if isinstance(self.body, FilePart) else len(self.body)


def head_bytes(response: Response, *, keep_alive: bool) -> bytes:
    """Status line and headers, ready to send."""
    lines = [f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    if response.status != 204:
        lines.append(f"Content-Length: {response.length}")
    if not keep_alive:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def write(sock: socket.socket, response: Response, *, keep_alive: bool, head_only: bool = False) -> None:
    """Send an answer, head and small body in one packet. Raises Disconnected where a fault cuts it."""
    head = head_bytes(response, keep_alive=keep_alive)
    body = response.body
    try:
        if head_only:
            sock.sendall(head)
        elif response.spread_ms or response.cut_after is not None:
            sock.sendall(head)
            _write_badly(sock, response)
        elif isinstance(body, FilePart):
            sock.sendall(head)
            if body.length:
                sock.sendfile(body.file, body.offset, body.length)
        else:
            sock.sendall(head + body)
    finally:
        if isinstance(body, FilePart):
            body.file.close()


def _write_badly(sock: socket.socket, response: Response) -> None:
    """The body slowly, in pieces, or only its beginning."""
    length = response.length if response.cut_after is None else min(response.length, response.cut_after)
    piece = max(1, length // SLOW_PIECES) if response.spread_ms else max(1, length)
    for start in range(0, length, piece):
        sock.sendall(_bytes(response.body, start, min(piece, length - start)))
        if response.spread_ms:
            time.sleep(response.spread_ms / 1000 * piece / length)
    if response.cut_after is not None:
        raise Disconnected


def _bytes(body: bytes | FilePart, start: int, count: int) -> bytes:
    if isinstance(body, bytes):
        return body[start : start + count]
    return os.pread(body.file.fileno(), count, body.offset + start)


def reset(sock: socket.socket) -> None:
    """Close with RST, as a broken network does, rather than an orderly FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
