"""Signing in by the browser: a person allows this program access to their Drive.

    consent page ─▶ redirect to http://127.0.0.1:PORT/?code=… ─▶ token endpoint ─▶ the token file's content

On a machine without a browser the page is opened elsewhere; its redirect then fails to load there, and the address it
ended on is pasted here. The code is useless without the verifier that never left this process (PKCE). The browser is
answered last, when the token is written, so that it never says "Done" of what failed.
Source: Google guide "OAuth 2.0 for iOS & Desktop Apps"; RFC 7636 (PKCE); RFC 8252 (loopback redirect).
"""

import base64
import hashlib
import html
import json
import queue
import re
import secrets
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, TextIO
from urllib.parse import parse_qs, urlencode, urlsplit

import click

from function.core.errors import CredentialsError, DeadlineExceeded, UploadError
from function.core.retry import Deadline
from function.credentials import token_checks
from function.credentials.token_file import DRIVE_FILE_SCOPE, DRIVE_SCOPE, GOOGLE_TOKEN_URI
from function.drive.http import Connections, Transport, pool

SCOPES: Final = {"drive": DRIVE_SCOPE, "drive.file": DRIVE_FILE_SCOPE}
"""What can be asked for, by the names that people use."""

EMULATOR_CLIENT: Final = ("drive-upload.apps.googleusercontent.com", "emulator")
"""An emulator takes any client; a real one's secret is never sent there."""

_HTTP_TIMEOUT_S = 30.0

_SHOWN_S = 5.0
"""How long the program stays for the browser to get its last page."""

_GET_ONE = (
    "make one of type 'Desktop app' in the Google Cloud console (APIs & Services, Credentials) and save its JSON there"
    " (docs/google-setup.md, step by step)"
)


class AuthorizationFailed(click.ClickException):
    """No token was got; the message says why and what to do."""

    exit_code = 65


@dataclass(frozen=True, slots=True)
class Client:
    """The OAuth client that asks: its id and secret, and where a person and a program talk to Google."""

    id: str
    secret: str = field(repr=False)
    auth_uri: str
    token_uri: str


def read_client(path: Path, emulator: str | None) -> Client:
    """The client of a client-secret file; for an emulator its own, whatever the file holds.

    Raises AuthorizationFailed.
    """
    if emulator is not None:
        return Client(*EMULATOR_CLIENT, auth_uri=f"{emulator}/o/oauth2/v2/auth", token_uri=f"{emulator}/token")
    path = path.absolute()
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise AuthorizationFailed(f"{path}: no such client secret; {_GET_ONE}.") from error
    except OSError as error:
        raise AuthorizationFailed(f"{path}: the client secret can't be read ({error.strerror}).") from error
    except (ValueError, RecursionError):
        raise AuthorizationFailed(f"{path}: the client secret is not valid JSON; {_GET_ONE}.") from None
    section = (document.get("installed") or document.get("web")) if isinstance(document, dict) else None
    if not isinstance(section, dict) or not section.get("client_id") or not section.get("client_secret"):
        raise AuthorizationFailed(f"{path}: is no OAuth client secret; {_GET_ONE}.")
    used = {name: section[name] for name in ("client_id", "client_secret", "token_uri") if section.get(name)}
    try:
        token_checks.check(path, used)
    except CredentialsError as error:
        raise AuthorizationFailed(error.message) from None
    return Client(
        id=used["client_id"],
        secret=used["client_secret"],
        auth_uri="https://accounts.google.com/o/oauth2/v2/auth",
        token_uri=used.get("token_uri", GOOGLE_TOKEN_URI),
    )


def sign_in(
    client: Client,
    scope: str,
    *,
    show: Callable[[str], object],
    save: Callable[[dict[str, Any]], object],
    typed: TextIO | None = None,
    timeout_s: float = 600,
) -> None:
    """Give `save` the content of a token file, in google-auth's authorized-user form, for the account that was chosen.

    `scope` is one of SCOPES. `show` gets the page's URL. The redirect is awaited on a free port of this machine and,
    pasted, as a line of `typed`. Raises SettingsError where the way to the token endpoint is misconfigured, before
    anything is shown; AuthorizationFailed, and what `save` raises.
    """
    verifier, state = secrets.token_urlsafe(64), secrets.token_urlsafe(24)
    # The way to the token endpoint comes first: once someone has consented, the code can be used only once.
    with pool(client.token_uri) as connections, _Redirects(("127.0.0.1", 0), _RedirectHandler) as redirects:
        redirects.state = state
        redirect_uri = f"http://127.0.0.1:{redirects.server_port}/"
        show(f"{client.auth_uri}?{urlencode(_request(client, SCOPES[scope], redirect_uri, verifier, state))}")
        visit = redirects.wait(typed, timeout_s)
        try:
            answer = _exchange(connections, client, _code(visit.query), redirect_uri, verifier)
            save(_token_file(client, answer, scope))
        except BaseException as failure:
            visit.end(f"Not done: {getattr(failure, 'message', 'look at the program that sent you here.')}")
            raise
        visit.end("Done: you can close this window.")


def _request(client: Client, scope: str, redirect_uri: str, verifier: str, state: str) -> dict[str, str]:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return {
        "client_id": client.id,
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "scope": scope,
        "state": state,
        # Without both, a second authorisation brings no refresh token.
        "access_type": "offline",
        "prompt": "consent",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }


class _Visit:
    """The browser at our door, waiting to be told how it ended; or an address that was pasted, where nobody waits."""

    def __init__(self, query: dict[str, str], *, is_browser: bool) -> None:
        self.query = query
        self.outcome: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.shown = threading.Event()
        if not is_browser:
            self.shown.set()

    def end(self, text: str) -> None:
        """Tell the browser, and wait until it has heard."""
        self.outcome.put(text)
        self.shown.wait(_SHOWN_S)


class _Redirects(ThreadingHTTPServer):
    """Waits for the browser to come back. In threads, since browsers open connections ahead that stay silent."""

    daemon_threads = True
    state = ""

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.visits: queue.SimpleQueue[_Visit] = queue.SimpleQueue()

    def wait(self, typed: TextIO | None, timeout_s: float) -> _Visit:
        """The first visit that comes from our page. Raises AuthorizationFailed."""
        until = time.monotonic() + timeout_s
        watched: list[Any] = [self, *([typed] if typed is not None else [])]
        while time.monotonic() < until:
            if not self.visits.empty():
                return self.visits.get()
            ready, _, _ = select.select(watched, [], [], 0.1)
            if self in ready:
                self.handle_request()
            if typed in ready and typed is not None:
                line = typed.readline()
                if not line:
                    watched.remove(typed)
                elif query := self.ours(line.strip()):
                    self.visits.put(_Visit(query, is_browser=False))
                else:
                    click.echo(
                        "That is not the address this sign-in ends on; paste it whole, from http:// on.", err=True
                    )
        raise AuthorizationFailed(f"Nobody allowed access within {timeout_s:.0f} s; run it again.")

    def ours(self, address: str) -> dict[str, str] | None:
        """The query of the address where the consent page sent the browser; anyone else's lacks our state: None."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        if not secrets.compare_digest(query.get("state", "").encode(), self.state.encode()):
            return None
        return query


class _RedirectHandler(BaseHTTPRequestHandler):
    timeout = 10
    server: _Redirects

    def do_GET(self) -> None:
        query = self.server.ours(self.path)
        if query is None:
            self._answer(400, "This is not the sign-in that is awaited.")
            return
        visit = _Visit(query, is_browser=True)
        self.server.visits.put(visit)
        try:
            self._answer(200, visit.outcome.get(timeout=2 * _HTTP_TIMEOUT_S))
        except queue.Empty:
            self._answer(200, "Look at the program that sent you here: it hasn't ended yet.")
        finally:
            visit.shown.set()

    def _answer(self, status: int, text: str) -> None:
        page = f"<!doctype html><meta charset=utf-8><title>Drive Upload</title><p>{html.escape(text)}</p>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name in the standard library
        """Nothing: the request line holds the code."""


def _code(outcome: dict[str, str]) -> str:
    if outcome.get("error") == "access_denied":
        raise AuthorizationFailed("Access was denied on the consent page; run it again and allow it.")
    if not outcome.get("code"):
        raise AuthorizationFailed(f"The consent page ended with {_name(outcome.get('error'))}; run it again.")
    return outcome["code"]


def _exchange(connections: Connections, client: Client, code: str, redirect_uri: str, verifier: str) -> dict[str, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "client_id": client.id,
        "client_secret": client.secret,
        "code_verifier": verifier,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    host = str(urlsplit(client.token_uri).hostname)
    transport = Transport(connections, deadline=Deadline.after(_HTTP_TIMEOUT_S), where=host)
    try:
        # Once: a code that was used is worth nothing.
        response, content = transport.request(client.token_uri, "POST", urlencode(form), headers)
        answer = json.loads(content)
    except DeadlineExceeded:
        raise AuthorizationFailed(f"No token came from {host} within {_HTTP_TIMEOUT_S:.0f} s; run it again.") from None
    except UploadError as error:
        raise AuthorizationFailed(f"No token came: {error.message}") from None
    except (ValueError, RecursionError) as error:
        raise AuthorizationFailed(f"No token came from {host} ({type(error).__name__}); run it again.") from None
    if response.status != 200 or not isinstance(answer, dict) or not answer.get("access_token"):
        error_code = answer.get("error") if isinstance(answer, dict) else None
        why = _REFUSED.get(str(error_code), f"{host} answered {response.status} with {_name(error_code)}")
        raise AuthorizationFailed(f"The token was refused: {why}; run it again.")
    return answer


_REFUSED: Final = {
    "invalid_client": "Google doesn't know the client or its secret (invalid_client); download its JSON anew",
    "invalid_grant": "the code was used before or is too old (invalid_grant)",
    "redirect_uri_mismatch": "the client isn't of type 'Desktop app' (redirect_uri_mismatch)",
}
"""OAuth error -> what it means here."""


def _name(code: object) -> str:
    """An OAuth error code; an answer may echo what it was sent, so nothing else is repeated."""
    return code if isinstance(code, str) and re.fullmatch(r"[A-Za-z_]{1,40}", code) else "no reason given"


def _token_file(client: Client, answer: dict[str, Any], scope: str) -> dict[str, Any]:
    scopes = str(answer.get("scope", "")).split()
    if SCOPES[scope] not in scopes and DRIVE_SCOPE not in scopes:
        raise AuthorizationFailed(
            f"The access to Drive ({scope}) was not ticked on the consent page; run it again and tick it."
        )
    if not answer.get("refresh_token"):
        raise AuthorizationFailed(
            "No refresh token came with the answer; remove the app's access at "
            "https://myaccount.google.com/permissions and run it again."
        )
    life_s = answer.get("expires_in")
    expiry = datetime.now(UTC) + timedelta(seconds=life_s if isinstance(life_s, int) and 0 <= life_s < 10**6 else 0)
    content = {
        "type": "authorized_user",
        "token": answer["access_token"],
        "refresh_token": answer["refresh_token"],
        "token_uri": client.token_uri,
        "client_id": client.id,
        "client_secret": client.secret,
        "scopes": scopes,
        "universe_domain": "googleapis.com",
        "expiry": expiry.replace(tzinfo=None).isoformat() + "Z",
    }
    try:
        token_checks.check("The answer", content)
    except CredentialsError:
        raise AuthorizationFailed("The token endpoint's answer makes no sense; run it again.") from None
    return content
