"""HTTP to Drive, to token endpoints and to whatever else the job asks: one way out, one set of rules.

httplib2, which Google's client would send by, repeats a POST by itself when a connection drops, below every retry
setting, and hangs replaying a body that is already consumed: both make twins. `Transport`, over urllib3, is the `http`
object that the client is given instead: it sends each request exactly once, keeps connections open, is safe for
threads, streams bodies, and ends at a deadline.
"""

import base64
import http
import http.client
import io
import json
import logging
import os
import re
import socket
import ssl
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit, urlunsplit

import msgspec
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ProxyError, SSLError

from function import __version__, telemetry
from function.core.errors import HOUR_S, SettingsError, TransientDriveError
from function.core.retry import Deadline
from function.drive.client import MediaUpload
from function.home.network import Proxy, proxy_for

_log = logging.getLogger(__name__)

_COLLECTION = re.compile(r"/drive/v3/(?P<collection>[a-z]+)(/(?P<id>[^/?]+))?")

_VERBS = {"GET": "get", "POST": "create", "PATCH": "update", "DELETE": "delete"}


class Outcome:
    """The status of the answer; 0 until there is one."""

    status = 0


@contextmanager
def told(method: str, uri: str) -> Iterator[Outcome]:
    """Log the request that the block sends."""
    outcome = Outcome()
    if not (_log.isEnabledFor(logging.DEBUG) or telemetry.is_on()):
        yield outcome
        return
    started = time.perf_counter()
    what = purpose(method, uri)
    try:
        with telemetry.span("request", method=method, purpose=what):
            try:
                yield outcome
            finally:
                telemetry.note(status=outcome.status)
    finally:
        answer = str(outcome.status) if outcome.status else "no answer"
        _log.debug("Drive: %s %s %s, %.0f ms", method, what, answer, 1000 * (time.perf_counter() - started))


def purpose(method: str, uri: str) -> str:
    """The method of Drive's API that a request calls, as `files.list`; or the step of a resumable upload."""
    url = urlsplit(uri)
    query = parse_qs(url.query)
    if "upload_id" in query:
        return "upload.send" if method == "PUT" else "upload.cancel"
    found = _COLLECTION.search(url.path)
    if found is None:
        return "token" if method == "POST" else "other"
    if url.path.startswith("/upload/") and query.get("uploadType") == ["resumable"]:
        return "upload.start"
    collection, id_ = found["collection"], found["id"]
    if id_ == "generateIds":
        return "files.generateIds"
    if method == "GET" and id_ is None and collection != "about":
        return f"{collection}.list"
    return f"{collection}.{_VERBS.get(method, method.lower())}"


CONNECT_TIMEOUT_S = 15.0

READ_TIMEOUT_S = 60.0
"""Longest silence of a connection, whoever sends; google-api-python-client's own default."""

CONNECTIONS_MAX = 64
"""Kept open for each endpoint and process: twice a batch's transfers side by side. More are opened and closed again."""

READ_BYTES = 256 * 1024

_LITTLE_UNSENT = [(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 128 * 1024)] if sys.platform == "linux" else []
"""The kernel would keep megabytes of what a send has handed over: on a slow line they take longer than an answer may.
What is under way to the other side isn't counted, so a fast line is as fast. It costs processor time, and without TLS
only this machine and its neighbours are talked to. Source: tcp(7)."""

ANSWER_MAX_BYTES = 16 * 1024 * 1024
"""Of an answer, decoded. A listing of a thousand files has some megabytes; what is longer is none of Google's."""

JOINED_MAX_BYTES = 256 * 1024
"""A block of up to so many bytes is copied to be sent together with what stands before it."""

_NEARLY = 0.98
"""A socket's timeout, set by a system call, is set again only when less than this share of it is left."""

_LEAST_WAIT_S = 0.001
"""Of a socket whose time is over: with 0 it would not wait, and say so in another way."""

Body: TypeAlias = bytes | str | Iterable[memoryview] | None


def pool(endpoint: str) -> "Connections":
    """Connections to keep open between requests. Raises SettingsError where the way to that endpoint is misconfigured.

    Certificates are those that the machine trusts, or those of REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, if one is set.
    """
    connections = Connections()
    connections.host(endpoint)
    return connections


class Connections:
    """Connections by host, through the proxy that the environment names for it, if any. Safe for threads."""

    def __init__(self) -> None:
        self._managers: dict[tuple[Proxy | None, bool], urllib3.PoolManager] = {}
        self._hosts: dict[tuple[str, str], urllib3.HTTPConnectionPool] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> "Connections":
        return self

    def __exit__(self, *_: object) -> None:
        for host in self._hosts.values():
            host.close()
        for manager in self._managers.values():
            manager.clear()

    def host(self, uri: str) -> urllib3.HTTPConnectionPool:
        """The connections to a URI's host: to find them takes a PoolManager as long as to send a request's head."""
        url = urlsplit(uri)
        with self._lock:
            found = self._hosts.get((url.scheme, url.netloc))
            if found is None:
                manager = self._manager(proxy_for(uri), is_secure=url.scheme == "https")
                found = manager.connection_from_host(url.hostname, url.port, url.scheme)
                found.ConnectionCls = _SecureInTime if url.scheme == "https" else _InTime
                self._hosts[url.scheme, url.netloc] = found
            return found

    def renew(self) -> None:
        """Trust anew: which authorities the machine trusts, or a bundle holds, may have been mended since."""
        with self._lock:
            self._managers.clear()
            self._hosts.clear()

    def _manager(self, proxy: Proxy | None, *, is_secure: bool) -> urllib3.PoolManager:
        if (proxy, is_secure) not in self._managers:
            self._managers[proxy, is_secure] = _manager(proxy, is_secure=is_secure)
        return self._managers[proxy, is_secure]

    def request(self, method: str, uri: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """One request, as `PoolManager.request` takes it and as often as it says; for what isn't Drive."""
        return self._manager(proxy_for(uri), is_secure=urlsplit(uri).scheme == "https").request(method, uri, **options)


def _manager(proxy: Proxy | None, *, is_secure: bool) -> urllib3.PoolManager:
    options: dict[str, Any] = {"maxsize": CONNECTIONS_MAX, "block": False, "retries": False, "blocksize": 1024 * 1024}
    if is_secure:
        # urllib3 would read all certificates that the machine trusts again for each connection: 25 ms every time.
        options["ssl_context"] = _Resuming(ssl.PROTOCOL_TLS_CLIENT)
        options["socket_options"] = [*HTTPConnection.default_socket_options, *_LITTLE_UNSENT]
    if proxy is None:
        return urllib3.PoolManager(**options)
    if proxy.url.startswith("https"):
        options["proxy_ssl_context"] = _Resuming(ssl.PROTOCOL_TLS_CLIENT)
    return urllib3.ProxyManager(proxy.url, proxy_headers=_login(proxy), **options)


def _login(proxy: Proxy) -> dict[str, str] | None:
    """The header with user and password, in UTF-8 as curl sends them; urllib3 knows Latin-1 only."""
    if not proxy.login:
        return None
    login = proxy.login.encode("utf-8", "surrogateescape")
    return {"proxy-authorization": f"Basic {base64.b64encode(login).decode('ascii')}"}


def _wait_at_most(left_s: float, connection: socket.socket) -> None:
    """Let the next wait of the socket end in time."""
    waits_s = connection.gettimeout()
    if waits_s is None or left_s < _NEARLY * waits_s:
        connection.settimeout(max(_LEAST_WAIT_S, left_s))


class _Incoming(io.RawIOBase):
    """What a connection receives of one answer, all of it in the time that the socket allows for one wait.

    A socket's own timeout starts anew with each byte: an answer that drips would hold its caller up for ever.
    """

    def __init__(self, raw: io.RawIOBase, connection: socket.socket) -> None:
        self._raw, self._connection = raw, connection
        self._ends = time.monotonic() + (connection.gettimeout() or READ_TIMEOUT_S)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        _wait_at_most(self._ends - time.monotonic(), self._connection)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer that is there in time, head and body."""

    fp: Any

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Incoming(self.fp.detach(), sock))

    def _read_status(self) -> tuple[str, int, str]:
        """The status that is final: hints may stand before it, of which http.client knows only 100.

        Source: RFC 9110, 15.2, 'Informational 1xx'.
        """
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status >= 200 or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)


class _Blocks(msgspec.Struct, frozen=True):
    """A body, and the time until which it may be sent."""

    blocks: Iterable[memoryview]
    deadline: Deadline

    def __iter__(self) -> Iterator[memoryview]:
        return iter(self.blocks)


class _InTime(HTTPConnection):
    """A connection whose answers are there in time, and which sends as long as the other side takes something.

    A socket's own timeout is for all that one call sends: on a slow line a large content never got through.

    http.client sends a head by itself. Here it goes with the first block of its body: of a small upload that is one
    system call and one TLS record less, and the threads of a batch take turns once less for each of them.
    """

    response_class = _Answer
    at_once = 1024 * 1024
    """Bytes in one call, which the other side takes within the longest silence, or the line is given up."""
    _keeps_head = False
    _head = b""
    _deadline: Deadline | None = None

    def connect(self) -> None:
        waits_s = self.timeout
        self.timeout = min(CONNECT_TIMEOUT_S, waits_s) if isinstance(waits_s, int | float) else CONNECT_TIMEOUT_S
        super().connect()
        self.timeout = waits_s
        if isinstance(waits_s, int | float):
            self.sock.settimeout(waits_s)

    def request(self, method: str, url: str, body: Any = None, *args: Any, **options: Any) -> None:
        self._deadline = body.deadline if isinstance(body, _Blocks) else None
        super().request(method, url, body, *args, **options)
        if self._head:  # there was no body
            self.send(b"")

    def endheaders(self, *args: Any, **options: Any) -> None:
        self._keeps_head = True
        super().endheaders(*args, **options)

    def send(self, data: Any) -> None:
        if self._keeps_head:
            self._keeps_head, self._head = False, data
            return
        head, self._head = self._head, b""
        if self.sock is None:
            self.connect()
        for each in [head + data] if len(data) <= JOINED_MAX_BYTES else [head, data]:
            view = memoryview(each)
            for start in range(0, len(view), self.at_once):
                if self._deadline:
                    self._deadline.check()
                    _wait_at_most(self._deadline.remaining_s(), self.sock)
                self.sock.sendall(view[start : start + self.at_once])


class _SecureInTime(_InTime, HTTPSConnection):
    """The same, in TLS: so many bytes take a minute at a kilobyte a second."""

    at_once = 64 * 1024


class _Socket(ssl.SSLSocket):
    """Sets a timeout only where it is another one: urllib3 sets its own twice a request, by a system call each."""

    def settimeout(self, value: float | None) -> None:
        if value != self.gettimeout():
            super().settimeout(value)


class _Resuming(ssl.SSLContext):
    """Opens a connection with the session of an earlier one to that host: a third of a handshake's work.

    TLS 1.3 gives a session's ticket behind the handshake, so it is taken when the next connection opens.
    """

    sslsocket_class = _Socket
    _latest: weakref.WeakValueDictionary[Any, ssl.SSLSocket]
    _sessions: dict[Any, ssl.SSLSession]

    def __init__(self, *_: object) -> None:
        self._latest, self._sessions = weakref.WeakValueDictionary(), {}
        for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            if bundle := os.environ.get(variable):
                _trust(self, variable, bundle)
                return
        self.load_default_certs()  # SSL_CERT_FILE and SSL_CERT_DIR among them

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        host = options.get("server_hostname")
        latest = self._latest.get(host)
        if latest and latest.session and latest.session.has_ticket:
            self._sessions[host] = latest.session
        options["session"] = self._sessions.get(host)
        secure = self._latest[host] = super().wrap_socket(sock, *args, **options)
        return secure


def _trust(context: ssl.SSLContext, variable: str, bundle: str) -> None:
    try:
        context.load_verify_locations(**{"capath" if os.path.isdir(bundle) else "cafile": bundle})
    except OSError as error:  # an SSLError is one
        raise SettingsError(
            f"{variable}: {bundle} can't be read as certificates ({type(error).__name__}); mend or unset it."
        ) from error


def document(body: object) -> dict[str, Any]:
    """The JSON object of a good answer: bytes, or what Google's client made of them, which is text where it is cut.

    Raises TransientDriveError where it is cut short or no object.
    """
    try:
        found = json.loads(body) if isinstance(body, bytes) else body
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise TransientDriveError("Drive's answer was cut short; call again.", reason="network")
    return found


def malformed_response() -> TransientDriveError:
    """Drive said yes, but not what was asked for."""
    return TransientDriveError("Drive's answer makes no sense; call again.")


class Response(dict[str, str]):
    """Lower-case headers and status of an answer, as Google's client reads httplib2's."""

    def __init__(self, status: int, reason: str, headers: Iterable[tuple[str, str]]) -> None:
        super().__init__((name.lower(), value) for name, value in headers)
        self.status, self.reason = status, reason


class Transport(msgspec.Struct, frozen=True):
    """The `http` object of Google's client: sends requests once each, within a deadline."""

    connections: Connections
    user_agent: str = f"drive-upload/{__version__}"
    deadline: Deadline = msgspec.field(default_factory=lambda: Deadline.after(300))
    where: str = "Drive"
    """What is at the other end, for messages."""
    answer_max_bytes: int = ANSWER_MAX_BYTES
    """Decoded. urllib3, from 2.6 on, decodes no more of a piece than was asked for."""
    silence_max_s: float = READ_TIMEOUT_S

    def request(
        self, uri: str, method: str = "GET", body: Body = None, headers: dict[str, str] | None = None
    ) -> tuple[Response, bytes]:
        """One request. Raises TransientDriveError (network), DeadlineExceeded."""
        self.deadline.check()
        headers = {**(headers or {}), "user-agent": self.user_agent}
        silence_s = min(self.silence_max_s, self.deadline.remaining_s())
        url = urlsplit(uri)
        host = self.connections.host(uri)
        with told(method, uri) as outcome:
            try:
                # A PoolManager would parse and encode the URI again at each of its levels.
                response = host.urlopen(
                    method,
                    uri if host.proxy and url.scheme == "http" else urlunsplit(("", "", url.path, url.query, "")),
                    headers=headers,
                    body=body if body is None or isinstance(body, bytes | str) else _Blocks(body, self.deadline),  # type: ignore[arg-type]
                    # urllib3 sends, too, under `connect`; to connect alone has a bound of its own.
                    timeout=urllib3.Timeout(connect=silence_s, read=silence_s),
                    redirect=False,
                    retries=False,
                    assert_same_host=False,
                    preload_content=False,
                )
                outcome.status = response.status
                content = self._read(response)
            except (HTTPError, OSError) as error:
                if isinstance(error, SSLError):
                    self.connections.renew()
                self.deadline.check()
                # The cause isn't kept: it names the URI, and a session's URI is a secret.
                raise _unreachable(error, proxy_for(uri), self.where) from None
        return Response(response.status, response.reason or "", response.headers.items()), content

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """The body, piece by piece as it comes: one that drips would hold its caller up for ever.

        Raises TransientDriveError where it is longer than any of Google's.
        """
        assert isinstance(response, urllib3.HTTPResponse)
        pieces, length = [], 0
        try:
            while piece := response.read1(READ_BYTES):
                pieces.append(piece)
                length += len(piece)
                if length > self.answer_max_bytes:
                    raise TransientDriveError(
                        f"The answer of {self.where} is over {self.answer_max_bytes} bytes long, so it isn't Google's: "
                        "a proxy may be on the way; call again later.",
                        reason="network",
                    )
                if response.length_remaining != 0:
                    self.deadline.check()
        except BaseException:
            response.close()
            raise
        if response.status < 200:  # another protocol from here on
            response.close()
        response.release_conn()
        return b"".join(pieces)


def _unreachable(error: Exception, proxy: Proxy | None, where: str) -> TransientDriveError:
    if proxy and isinstance(error, ProxyError):
        return TransientDriveError(
            f"The proxy {proxy.url} ({proxy.variable}) lets nothing through to {where}; check its address, user and "
            "password, or name the host in NO_PROXY.",
            reason="network",
            retry_after_s=HOUR_S if "407" in str(error) else None,
        )
    way = f" through the proxy {proxy.url} ({proxy.variable})" if proxy else ""
    return TransientDriveError(
        f"The connection to {where}{way} failed ({type(error).__name__}); call again later.", reason="network"
    )


class Media(MediaUpload):  # type: ignore[misc]  # it ships no types
    """The content of a resumable upload, as the client asks for it: its type, its size, and a body that is no bytes.

    With a chunk as large as the content the client sends all that is left at once, and names the range right.
    """

    def __init__(self, mime_type: str, size: int, body: Any = b"") -> None:
        self._mime_type, self._size, self._body = mime_type, size, body

    def mimetype(self) -> str:
        return self._mime_type

    def size(self) -> int:
        return self._size

    def chunksize(self) -> int:
        return self._size

    def resumable(self) -> bool:
        return True

    def has_stream(self) -> bool:
        return False

    def getbytes(self, begin: int, length: int) -> Any:  # noqa: ARG002  the client's interface
        return self._body
