"""Asking an OAuth token endpoint: over the job's own HTTP, with a few quick tries within the deadline.

google-auth and oauth2client send by `Endpoint`, so that all kinds of credentials have one way out: the same proxies,
certificates and timeouts as Drive requests. Asking again is safe: a renewal that was answered into a dropped connection
only makes one more access token. Source: RFC 6749 section 5.
"""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from function.core import retry
from function.core.errors import DeadlineExceeded, TransientDriveError
from function.core.retry import Deadline
from function.credentials import token_answer
from function.drive.errors import retry_after_s

if TYPE_CHECKING:
    from function.drive.http import Connections

T = TypeVar("T")

_TIMEOUT_S = 20.0
"""For one try; the endpoint answers within a second or is ill."""

_TRIES = 4
"""A second or two in all. A caller's queue comes back later: nobody is helped by waiting long here."""

_TRANSIENT_CODES: Final = ("internal_failure", "server_error", "temporarily_unavailable", "rate_limit_exceeded")

ANSWER_MAX_BYTES: Final = 1024 * 1024
"""Of an answer, which has some kilobytes."""


def persistently(ask: Callable[[float], T], deadline: Deadline) -> T:
    """What `ask(timeout_s)` gives, tried again where it raises TransientDriveError.

    Raises the last of them, or at once what else `ask` raises; DeadlineExceeded when the budget is already spent.
    """
    return retry.call(lambda: ask(min(_TIMEOUT_S, deadline.remaining_s())), deadline=deadline, attempts=_TRIES)


def check_answer(host: str | None, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    """Raise TransientDriveError for an answer that says nothing about the credentials.

    Only OAuth's own JSON is a verdict on them: a page of a proxy or of a hotel's sign-in isn't, whatever its status.
    """
    document = token_answer.parsed(body)
    if status == 429 or status >= 500 or status == 408 or _code(document) in _TRANSIENT_CODES:
        raise TransientDriveError(
            f"The token endpoint ({host}) answers {status}; call again later.",
            reason="rate_limited" if status == 429 else "drive_unavailable",
            retry_after_s=retry_after_s(headers),
        )
    if status == 200 and not token_answer.cleaned(document).keys().isdisjoint(token_answer.TOKENS):
        return
    if status == 200 or not _code(document):
        raise TransientDriveError(
            f"The token endpoint ({host}) answers {status} with something that isn't Google's: a proxy or a sign-in "
            "page may be on the way; call again later.",
            reason="network",
        )


def _code(document: Mapping[str, Any]) -> str:
    """`error` of an OAuth answer, or the `status` that Google's other APIs put below it."""
    code = document.get("error")
    if isinstance(code, dict):
        code = code.get("status")
    return code if isinstance(code, str) else ""


def _description(document: Mapping[str, Any]) -> str:
    error = document.get("error")
    text = error.get("message") if isinstance(error, dict) else document.get("error_description")
    return text if isinstance(text, str) else ""


def _is_machines(headers: Mapping[str, str] | None, document: Mapping[str, Any]) -> bool:
    """Whether a metadata server of Google's was asked for an access token; other GETs get a workload's own token.

    Source: Compute Engine, "About VM metadata".
    """
    return "access_token" in document and "metadata-flavor" in map(str.lower, headers or ())


class Answer(msgspec.Struct, frozen=True):
    """google-auth's `transport.Response`, and as much of httplib2's as oauth2client looks at."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case."""
    data: bytes


class Endpoint(msgspec.Struct):
    """google-auth's `transport.Request` and oauth2client's `http`, obeying a deadline. A context manager.

    With `override`, whatever a file or google-auth itself names as token endpoint, that address is asked instead.
    """

    deadline: Deadline
    override: str | None
    error: str | None = None
    """What the last POST was refused with; empty where it wasn't, None where no POST was answered."""
    description: str = ""
    granted_scopes: list[str] = msgspec.field(default_factory=list)
    """What the last POST was granted; empty where the answer doesn't say."""
    _connections: "Connections | None" = None

    def __enter__(self) -> "Endpoint":
        return self

    def __exit__(self, *_: object) -> None:
        if self._connections is not None:
            self._connections.__exit__()

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_options: object,
    ) -> Answer:
        """The answer to one request, as google-auth asks."""
        target = self._target(url, method)
        return persistently(
            lambda limit_s: self._send(target, method, body, headers, min(limit_s, timeout or limit_s)), self.deadline
        )

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        **_options: object,
    ) -> tuple[Answer, bytes]:
        """The answer to one request, as oauth2client asks."""
        answer = self(uri, method, body, headers)
        return answer, answer.data

    def _target(self, url: str, method: str) -> str:
        # GET and PUT ask the machine itself who it is (metadata servers): that is no OAuth traffic.
        if self.override is None or method != "POST":
            return url
        if url.endswith((":generateAccessToken", ":signJwt")):
            emulator, original = urlsplit(self.override), urlsplit(url)
            return emulator._replace(path=original.path).geturl()
        return self.override

    def _send(
        self,
        url: str,
        method: str,
        body: bytes | str | None,
        headers: Mapping[str, str] | None,
        timeout_s: float,
    ) -> Answer:
        from function.drive.http import Connections, Transport

        if self._connections is None:
            self._connections = Connections()
        host = urlsplit(url).hostname
        transport = Transport(
            self._connections,
            deadline=Deadline.after(timeout_s),
            where=f"the token endpoint ({host})",
            answer_max_bytes=ANSWER_MAX_BYTES,
        )
        try:
            response, content = transport.request(url, method, body, dict(headers or {}))
        except DeadlineExceeded:
            self.deadline.check()
            raise TransientDriveError(
                f"The token endpoint ({host}) doesn't answer; call again later.", reason="network"
            ) from None
        if method == "POST":
            check_answer(host, response.status, content, response)
        document = token_answer.parsed(content)
        if response.status == 200 and (method == "POST" or _is_machines(headers, document)):
            document = token_answer.cleaned(document)
            content = json.dumps(document).encode()
        if method == "POST":
            self.error, self.description = _code(document), _description(document)
            self.granted_scopes = str(document.get("scope") or "").split()
        return Answer(response.status, response, content)
