"""The function as a server: functions-framework's application, served by waitress.

waitress receives requests in one thread and hands whole ones to the others, so that connections that are silent, or
that send slowly, keep none of them. A request is bounded before it is parsed: its header by waitress, its body and what
stands around a body's chunks here.
"""

import logging
import os
import signal
import socket
import time
from functools import partial
from pathlib import Path
from typing import Any

import functions_framework
from waitress import wasyncore
from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.receiver import ChunkedReceiver
from waitress.server import create_server
from waitress.task import ErrorTask
from waitress.utilities import BadRequest

from function import telemetry
from function.core.errors import SOON_S
from function.serving import shutdown
from function.serving.payload import BODY_MAX_BYTES

THREADS = 16
"""Uploads at a time, unless THREADS says otherwise: a deployment sets it to its concurrency."""

SPARE_THREADS = 2
"""Besides them, for health while all of them upload."""

CONNECTIONS_MAX = 900
"""Below the 1024 descriptors that a process usually has."""

SILENCE_MAX_S = 60
"""A connection that sent nothing for so long is closed, unless its request is being answered."""

HEADER_MAX_BYTES = 32 * 1024
"""Request line and headers; as well the line of a chunk's size, and the trailer behind the last chunk."""

EX_TEMPFAIL, EX_CONFIG = 75, 78

EVERYWHERE = "0.0.0.0"  # noqa: S104 - in a container nobody is reached otherwise; the log says so

_log = logging.getLogger("function.serving.server")


def serve() -> int:
    """Serve on $HOST and $PORT until SIGTERM; the exit code."""
    telemetry.log_to_stderr()
    try:
        host, port, threads = (
            os.environ.get("HOST") or EVERYWHERE,
            _number("PORT", 8080, 0),
            _number("THREADS", THREADS, 1),
        )
        listener = _listener(host, port)
    except ValueError as error:
        _log.error("%s", error)
        return EX_CONFIG
    except OSError as error:
        _log.error("Can't listen on HOST %s, PORT %s (%s).", host, port, error.strerror)
        return EX_TEMPFAIL
    # Only now: the file sets another THREADS, for functions-framework's own server.
    main = str(Path(__file__).resolve().parent.parent / "main.py")
    app = functions_framework.create_app("drive_upload", main)  # type: ignore[no-untyped-call]
    _log.info("%s", _where(listener))
    _run(_server(app, listener, threads + SPARE_THREADS))
    return 0


def _number(variable: str, default: int, least: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not text.isascii() or not text.isdecimal() or not least <= int(text[:6]) <= 65535 or len(text) > 5:
        raise ValueError(f"{variable} must be a number from {least} to 65535.")
    return int(text)


def _listener(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=1024)


def _where(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if host in (EVERYWHERE, "::"):
        return f"Serving on port {port} of every network interface; HOST=127.0.0.1 keeps it to this machine."
    return f"Serving on {host}, port {port}."


def _server(app: Any, listener: socket.socket, threads: int) -> Any:
    server = create_server(
        app,
        sockets=[listener],
        threads=threads,
        connection_limit=CONNECTIONS_MAX,
        channel_timeout=SILENCE_MAX_S,
        cleanup_interval=10,
        max_request_header_size=HEADER_MAX_BYTES,
        asyncore_use_poll=True,
        log_socket_errors=False,
        ident="",
    )
    server.channel_class = _Channel
    return server


def _run(server: Any) -> None:
    """Answer requests until SIGTERM or SIGINT; then those in hand, whose deadlines are brought forward."""
    stopped_at: list[float] = []

    def stop(grace_s: float, *_: object) -> None:
        stopped_at.append(time.monotonic())
        shutdown.stop("The function is being stopped; call again to go on.", grace_s)
        server.pull_trigger()

    signal.signal(signal.SIGTERM, partial(stop, shutdown.GRACE_S))
    signal.signal(signal.SIGINT, partial(stop, 0.0))
    while not stopped_at:
        _turn(server)
    wasyncore.dispatcher.close(server)  # of the listening socket: what was accepted goes on
    while _is_busy(server) and time.monotonic() < stopped_at[0] + shutdown.GRACE_S + 5:
        _turn(server)


def _turn(server: Any) -> None:
    wasyncore.loop(timeout=0.5, use_poll=True, map=server._map, count=1)  # noqa: SLF001 - as its own `run` does


def _is_busy(server: Any) -> bool:
    return any(each.requests or each.total_outbufs_len for each in server.active_channels.values())


class _Body(OverflowableBuffer):  # type: ignore[misc]
    """A request's body, kept up to one byte more than is allowed, by which the job refuses it; the rest is dropped."""

    def append(self, data: bytes) -> None:
        """Take note of what arrived."""
        super().append(data[: max(0, BODY_MAX_BYTES + 1 - len(self))])


class _Chunks(ChunkedReceiver):  # type: ignore[misc]
    """A body in chunks. What waitress keeps of it until a line's end has come is as long as a header at most."""

    def received(self, data: bytes) -> int:
        """Take a piece of the body."""
        consumed = super().received(data)
        if len(self.control_line) + len(self.trailer) > HEADER_MAX_BYTES:
            self.error = BadRequest("the line of a chunk's size, or the trailer, is too long")
        return int(consumed)


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    _begin = b""

    @property
    def is_head(self) -> bool:
        """Whether only a header is asked for, even where the rest of the request can't be parsed."""
        return self._begin == b"HEAD "

    def parse_header(self, header: bytes) -> None:
        """Parse the header, and prepare for the body."""
        super().parse_header(header)
        if self.chunked:
            self.body_rcv = _Chunks(None)
        if self.body_rcv is not None:
            self.body_rcv.buf = _Body(self.adj.inbuf_overflow)

    def received(self, data: bytes) -> int:
        """Take a piece of the request; the length of the body is what was kept of it."""
        self._begin = (self._begin + data[:9]).lstrip(b"\r\n")[:5]
        try:
            consumed = super().received(data)
        except ValueError:  # an address, or a number of digits, that Python can't read
            self.error, self.completed, consumed = BadRequest("it can't be read"), True, len(data)
        if self.completed:
            self.expect_continue = False  # waitress would ask for a body that doesn't come, and wait for it
        if self.completed and self.body_rcv is not None:
            self.headers["CONTENT_LENGTH"] = str(len(self.body_rcv.buf))
        return int(consumed)


class _JsonErrorTask(ErrorTask):  # type: ignore[misc]
    def execute(self) -> None:
        """Answer what is no HTTP, and what failed where no answer should fail."""
        error = self.request.error
        is_theirs = error.code < 500 or error.code == 501
        code, reason = (400 if error.code == 501 else error.code, error.reason) if is_theirs else (503, "Unavailable")
        said = f"{reason}; POST a payload to /." if is_theirs else "An internal error stopped the call; call again."
        body = f'{{"status": "failed", "message": "{said}"}}'.encode()
        self.status = f"{code} {reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        if code == 503:
            self.response_headers.append(("Retry-After", str(int(SOON_S))))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(b"" if self.request.is_head else body)


class _Channel(HTTPChannel):  # type: ignore[misc]
    parser_class = _Parser
    error_task_class = _JsonErrorTask
