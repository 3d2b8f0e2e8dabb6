"""HTTP to Drive.

httplib2, which Google's own client rests on, repeats a POST by itself when a connection drops, below every retry
setting, and hangs replaying a body that is already consumed: both make twins. This transport, over urllib3, sends each
request exactly once, keeps connections open, is safe for threads, and streams bodies.
"""

import json
import socket
import ssl
import urllib.request
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit, urlunsplit

import urllib3
from urllib3.exceptions import HTTPError

from function.core.deadline import Deadline
from function.core.errors import TransientDriveError

CONNECT_TIMEOUT_S = 15.0

READ_TIMEOUT_S = 60.0
"""Longest silence of a connection; google-api-python-client's own default."""

CONNECTIONS_MAX = 64


def pool(endpoint: str) -> urllib3.PoolManager:
    """Connections to keep open between requests, through the proxy that the environment names for that URL, if any."""
    options: dict[str, Any] = {"maxsize": CONNECTIONS_MAX, "block": False, "retries": False, "blocksize": 1024 * 1024}
    url = urlsplit(endpoint)
    if url.scheme == "https":
        # urllib3 would read all certificates that the machine trusts again for each connection: 25 ms every time.
        options["ssl_context"] = _Resuming(ssl.PROTOCOL_TLS_CLIENT)
    proxy = urllib.request.getproxies().get(url.scheme)
    if proxy is None or urllib.request.proxy_bypass(url.netloc):
        return urllib3.PoolManager(**options)
    return urllib3.ProxyManager(proxy, **options)


class _Resuming(ssl.SSLContext):
    """Opens a connection with the session of an earlier one to that host: a third of a handshake's work.

    TLS 1.3 gives a session's ticket behind the handshake, so it is taken when the next connection opens.
    """

    _latest: weakref.WeakValueDictionary[Any, ssl.SSLSocket]
    _sessions: dict[Any, ssl.SSLSession]

    def __init__(self, *_: object) -> None:
        self._latest, self._sessions = weakref.WeakValueDictionary(), {}
        self.load_default_certs()

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        host = options.get("server_hostname")
        latest = self._latest.get(host)
        if latest and latest.session and latest.session.has_ticket:
            self._sessions[host] = latest.session
        options["session"] = self._sessions.get(host)
        secure = self._latest[host] = super().wrap_socket(sock, *args, **options)
        return secure


T = TypeVar("T")

Body: TypeAlias = bytes | str | Iterable[memoryview] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, lower-case headers and body of a response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def told(self, read: Callable[[dict[str, Any]], T]) -> T:
        """What `read` finds in the body's JSON. Raises TransientDriveError where it is cut short or makes no sense."""
        try:
            document = json.loads(self.body)
        except ValueError as error:
            raise TransientDriveError("Drive's answer was cut short; call again.", reason="network") from error
        try:
            return read(document)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise nonsense() from error


def nonsense() -> TransientDriveError:
    """Drive said yes, but not what was asked for."""
    return TransientDriveError("Drive's answer makes no sense; call again.")


@lru_cache(maxsize=64)
def _host(
    connections: urllib3.PoolManager, scheme: str, name: str | None, port: int | None
) -> urllib3.HTTPConnectionPool:
    """The connections to a host: to find them takes a PoolManager as long as to send a request's head."""
    return connections.connection_from_host(name, port, scheme)


@dataclass(frozen=True, slots=True)
class Transport:
    """Sends requests once each, within a deadline."""

    connections: urllib3.PoolManager
    deadline: Deadline = field(default_factory=lambda: Deadline.after(300))

    def send(self, method: str, uri: str, headers: dict[str, str], body: Body) -> Answer:
        """One request. Raises TransientDriveError (network), DeadlineExceeded."""
        self.deadline.check()
        remaining = self.deadline.remaining_s()
        timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT_S, remaining), read=min(READ_TIMEOUT_S, remaining))
        url = urlsplit(uri)
        try:
            # A PoolManager would parse and encode the URI again at each of its levels.
            host = _host(self.connections, url.scheme, url.hostname, url.port)
            response = host.urlopen(
                method,
                uri if host.proxy and url.scheme == "http" else urlunsplit(("", "", url.path, url.query, "")),
                headers=headers,
                body=body,  # type: ignore[arg-type]  # memoryviews are sent as bytes are
                timeout=timeout,
                redirect=False,
                retries=False,
                assert_same_host=False,
            )
        except (HTTPError, OSError) as error:
            self.deadline.check()
            raise TransientDriveError(
                f"The connection to Drive failed ({type(error).__name__}); call again later.", reason="network"
            ) from None  # the cause names the URI, and a session's URI is a secret
        lower = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, lower, response.data)
