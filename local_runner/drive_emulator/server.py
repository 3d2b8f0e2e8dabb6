"""Sockets and threads: one thread per connection, requests on it one after the other.

Threads rather than an event loop: handlers block on disk and digests, which let go of the interpreter's lock, and a
body of GBs is read in a plain loop. What a request means is `app`'s.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .api import dispatch
from .context.request_context import refusal
from .http import read, tls, write
from .http.browser_policy import BrowserPolicy
from .http.read import BadRequest, Reader, Request
from .http.write import Disconnected, Response
from .model.errors import ApiError
from .storage.request_log import RequestRecord
from .storage.state import Drive

BACKLOG = 512
ACCEPT_AGAIN_S = 0.05
"""Pause before the next try where a connection can't be accepted."""

Watcher = Callable[[RequestRecord], None]


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How the emulator can be reached.

    `allow_hosts` are names that it answers to besides plain addresses, Google's names, and those that no public DNS
    has; `allow_origins` are the web pages that may use the API (`http://localhost:3000`): none by default.
    """

    allow_hosts: Sequence[str] = ()
    allow_origins: Sequence[str] = ()
    https: bool = False
    """Speak TLS, too, and stand for Google's names to clients whose `HTTPS_PROXY` is the emulator."""
    public_url: str | None = None
    """What URLs in answers begin with, where something stands before the emulator; else as the client named it."""

    def check(self) -> None:
        """Raises ValueError for an origin or URL that is none."""
        BrowserPolicy.of(self.allow_hosts, self.allow_origins, self.public_url)


class Server:
    """Serves one Drive on one address until `stop`. `watcher` is told of every request when it is done."""

    def __init__(
        self,
        drive: Drive,
        host: str,
        port: int,
        watcher: Watcher | None = None,
        options: ServerOptions = ServerOptions(),
    ) -> None:
        self._drive = drive
        self._policy = BrowserPolicy.of([host, *options.allow_hosts], options.allow_origins, options.public_url)
        self._public_url = options.public_url.rstrip("/") if options.public_url is not None else None
        self.tls = tls.Tls(drive.folder / "tls", [host, *options.allow_hosts]) if options.https else None
        self._watcher = watcher
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._stopping = threading.Event()
        self._accepting = threading.Thread(target=self._accept, daemon=True, name="drive-emulator")

    def start(self) -> None:
        self._accepting.start()

    def stop(self) -> None:
        """Take no more connections and cut those that are open."""
        self._stopping.set()
        _shut(self._listener)
        if self._accepting.is_alive():
            self._accepting.join()
        self._listener.close()
        for sock in list(self._open):
            _shut(sock)
        deadline = time.monotonic() + 5
        while self._open and time.monotonic() < deadline:
            time.sleep(0.005)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:  # `stop`; or no descriptor is left, and who waits is served once a connection has ended
                self._stopping.wait(ACCEPT_AGAIN_S)
                continue
            self._open.add(sock)
            try:
                threading.Thread(target=self._serve, args=(sock,), daemon=True, name="drive-connection").start()
            except RuntimeError:  # no thread is left
                self._open.discard(sock)
                sock.close()

    def _serve(self, sock: socket.socket) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None and tls.greets(sock):
                sock = self._secured(self.tls, sock)
            reader = Reader(sock)
            while (request := read.read_request(reader)) is not None:
                if request.method == "CONNECT" and self.tls is not None and self._tunnels(sock, request):
                    sock = self._secured(self.tls, sock)
                    reader = Reader(sock)
                elif not self._exchange(sock, request):
                    break
        except BadRequest as error:
            _try_to_say(sock, str(error))
        except Disconnected:
            write.reset(sock)
        except OSError:
            return  # the client went away; there is nobody to tell
        finally:
            self._open.discard(sock)
            sock.close()

    def _secured(self, authority: tls.Tls, sock: socket.socket) -> socket.socket:
        """The connection as TLS; it takes the plain one's place."""
        secure = authority.wrapped(sock)
        self._open.discard(sock)
        self._open.add(secure)
        return secure

    def _tunnels(self, sock: socket.socket, request: Request) -> bool:
        """Say yes to a client that takes the emulator for a proxy to one of Google's names."""
        try:
            self._policy.tunnel(request)
        except ApiError:
            return False
        sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return True

    def _exchange(self, sock: socket.socket, request: Request) -> bool:
        """One request and its answer; whether the connection can be used again."""
        request.origin = self._public_url or _origin(sock, request)
        head_only = request.method == "HEAD"
        if head_only:
            request.method = "GET"
        try:
            response, record = self._answer(request)
        except (Disconnected, BadRequest, ConnectionError):
            self._tell_last(request)
            raise
        except Exception:  # noqa: BLE001 - a bug of ours must not look like a dropped connection
            traceback.print_exc(file=sys.stderr)
            response, record = refusal(ApiError(500, "internalError", "Internal Error")), None
        keep_alive = request.body.drop() and request.keep_alive and not self._stopping.is_set()
        self._policy.complete(request, response)
        if record is not None:
            record.bytes_in, record.bytes_out = request.body.received, response.length
        write.write(sock, response, keep_alive=keep_alive, head_only=head_only)
        if record is not None and self._watcher is not None:
            self._watcher(record)
        return keep_alive

    def _answer(self, request: Request) -> tuple[Response, RequestRecord]:
        """What the browser policy says of a request, or else the Drive's answer."""
        try:
            if request.method == "CONNECT":
                self._policy.tunnel(request)
            self._policy.check(request)
            response = self._policy.preflight(request)
        except ApiError as error:
            response = refusal(error)
        if response is None:
            return dispatch.answer(self._drive, request)
        record = self._drive.requests.open("browser.policy", request.method, request.path)
        record.status = response.status
        return response, record

    def _tell_last(self, request: Request) -> None:
        """Show a request that got no answer."""
        if self._watcher is None:
            return
        for record in reversed(list(self._drive.requests)):
            if record.path == request.path and record.status == 0:
                self._watcher(record)
                return


def _origin(sock: socket.socket, request: Request) -> str:
    """Scheme and host as the client named them; a proxy before the emulator says in a header what it was asked by."""
    is_tls = isinstance(sock, ssl.SSLSocket) or request.headers.get("x-forwarded-proto") == "https"
    return f"{'https' if is_tls else 'http'}://{request.headers.get('host', 'localhost')}"


def _shut(sock: socket.socket) -> None:
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # SSLSocket's own would pull its state from under its thread
    except OSError:
        return  # closed already


def _try_to_say(sock: socket.socket, problem: str) -> None:
    try:
        write.write(sock, refusal(ApiError(400, "badRequest", f"Bad Request: {problem}")), keep_alive=False)
    except OSError:
        return  # the client went away; there is nobody to tell
