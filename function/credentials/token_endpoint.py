"""Asking an OAuth token endpoint: a few quick tries within the deadline, and its refusals in our words.

Asking again is safe: a renewal that was answered into a dropped connection only makes one more access token.
Source: RFC 6749 section 5.2; Google, "Using OAuth 2.0 to Access Google APIs".
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from function.core import retry
from function.core.deadline import Deadline
from function.core.errors import CredentialsError, TransientDriveError, UploadError
from function.credentials.token_file import AUTHORIZE, WRITE_SCOPES
from function.drive.errors import retry_after_s

T = TypeVar("T")

_TIMEOUT_S = 20.0
"""For one try; the endpoint answers within a second or is ill."""

_TRIES = 4
"""A second or two in all. A caller's queue comes back later: nobody is helped by waiting long here."""

_TRANSIENT_CODES: Final = ("internal_failure", "server_error", "temporarily_unavailable", "rate_limit_exceeded")


def persistently(ask: Callable[[float], T], deadline: Deadline) -> T:
    """What `ask(timeout_s)` gives, tried again where it raises TransientDriveError.

    Raises the last of them, or at once what else `ask` raises; DeadlineExceeded when the budget is already spent.
    """
    return retry.call(lambda: ask(min(_TIMEOUT_S, deadline.remaining_s())), deadline=deadline, attempts=_TRIES)


def unreachable(host: str | None, error: Exception) -> TransientDriveError:
    """What to raise when no answer came."""
    return TransientDriveError(
        f"The token endpoint ({host}) can't be reached ({type(error).__name__}); call again later.", reason="network"
    )


def check_answer(host: str | None, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    """Raise TransientDriveError for an answer that says nothing about the credentials."""
    if status == 429 or status >= 500 or status == 408 or _code(body) in _TRANSIENT_CODES:
        raise TransientDriveError(
            f"The token endpoint ({host}) answers {status}; call again later.",
            reason="rate_limited" if status == 429 else "drive_unavailable",
            retry_after_s=retry_after_s(headers),
        )
    if status == 200 and not _object(body):
        raise TransientDriveError(f"The token endpoint ({host}) answers something else than a token; call again later.")


def _object(body: bytes | str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _code(body: bytes | str) -> str:
    """`error` of an OAuth answer, or the `status` that Google's other APIs put below it."""
    code = _object(body).get("error")
    if isinstance(code, dict):
        code = code.get("status")
    return code if isinstance(code, str) else ""


def refusal(path: Path, code: str) -> UploadError:
    """The error for what the endpoint says about the credentials in the file, by its `error` code."""
    # Only what looks like a code is repeated: an answer may echo what it was sent.
    name = code if re.fullmatch(r"[A-Za-z_]{1,40}", code) else "no reason given"
    if name in ("invalid_grant", "invalid_rapt", "rapt_required"):
        return CredentialsError(
            f"{path}: the grant was revoked or has expired ({name}; tokens of an app in testing live 7 days): "
            f"authorize again, {AUTHORIZE}.",
            reason="credentials_expired",
        )
    if name in ("invalid_client", "unauthorized_client", "deleted_client", "disabled_client"):
        return CredentialsError(
            f"{path}: Google doesn't accept its client id and secret ({name}); {AUTHORIZE} with current ones."
        )
    if name == "invalid_scope":
        return CredentialsError(
            f"{path}: the grant doesn't cover the scope ({name}); authorize again with {WRITE_SCOPES[0]}."
        )
    if name in ("admin_policy_enforced", "access_denied", "org_internal"):
        return CredentialsError(f"{path}: an administrator doesn't allow this access ({name}); ask them to.")
    return CredentialsError(
        f"{path}: no access token is given for these credentials ({name}); {AUTHORIZE} or mend the file."
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """google-auth's `transport.Response`."""

    status: int
    headers: dict[str, str]
    data: bytes


@dataclass(slots=True)
class Endpoint:
    """google-auth's `transport.Request` over urllib3, obeying a deadline.

    With `override`, whatever a file or google-auth itself names as token endpoint, that address is asked instead.
    """

    connections: Any
    deadline: Deadline
    override: str | None
    error_code: str | None = None
    """What the last POST was refused with; None where none was answered."""
    granted_scopes: list[str] = field(default_factory=list)
    """What the last POST was granted; empty where the answer doesn't say."""

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float | None = None,
        **_options: object,
    ) -> Answer:
        target = self._target(url, method)
        return persistently(
            lambda limit_s: self._send(target, method, body, headers, min(limit_s, timeout or limit_s)), self.deadline
        )

    def _target(self, url: str, method: str) -> str:
        # GET and PUT ask the machine itself who it is (metadata servers): that is no OAuth traffic.
        if self.override is None or method != "POST":
            return url
        if url.endswith(":generateAccessToken"):
            emulator, original = urlsplit(self.override), urlsplit(url)
            return emulator._replace(path=original.path).geturl()
        return self.override

    def _send(
        self, url: str, method: str, body: bytes | None, headers: dict[str, str] | None, timeout_s: float
    ) -> Answer:
        from urllib3.exceptions import HTTPError

        host = urlsplit(url).hostname
        try:
            response = self.connections.request(
                method, url, body=body, headers=headers, timeout=timeout_s, redirect=False, retries=False
            )
        except (HTTPError, OSError) as error:
            raise unreachable(host, error) from error
        if method == "POST":
            check_answer(host, response.status, response.data, response.headers)
            self.error_code = _code(response.data)
            self.granted_scopes = str(_object(response.data).get("scope") or "").split()
        return Answer(response.status, dict(response.headers), response.data)
