"""Getting a drive_token.json: a person allows this program access to their Drive, in their browser.

    consent page ─▶ redirect to http://127.0.0.1:PORT/?code=… ─▶ token endpoint ─▶ drive_token.json (0600)

On a machine without a browser the page is opened elsewhere; its redirect then fails to load there, and the address it
ended on is pasted here. The code is useless without the verifier that never left this process (PKCE).
Source: Google guide "OAuth 2.0 for iOS & Desktop Apps"; RFC 7636 (PKCE); RFC 8252 (loopback redirect).
"""

import base64
import hashlib
import json
import queue
import secrets
import select
import sys
import time
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import parse_qs, urlencode, urlsplit

import click
import urllib3

from function.credentials.token_file import WRITE_SCOPES
from function.state import files

_SCOPE_PREFIX = "https://www.googleapis.com/auth/"
_HTTP_TIMEOUT_S = 30.0
_GET_ONE = (
    "make one of type 'Desktop app' in the Google Cloud console (APIs & Services, Credentials) and download its JSON"
)


class AuthorizationFailed(click.ClickException):
    """No token was got; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Client:
    """The OAuth client that asks: its id and secret, and where a person and a program talk to Google."""

    id: str
    secret: str = field(repr=False)
    auth_uri: str
    token_uri: str


def read_client(path: Path, emulator: str | None) -> Client:
    """The client of a client-secret file; an emulator takes any, so there the file may be missing."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if emulator is None:
            raise AuthorizationFailed(f"{path}: no such client secret; {_GET_ONE}.") from error
        document = {"installed": {"client_id": "drive-upload.apps.googleusercontent.com", "client_secret": "emulator"}}
    except (OSError, ValueError) as error:
        raise AuthorizationFailed(f"{path}: the client secret can't be read ({type(error).__name__}).") from error
    section = (document.get("installed") or document.get("web")) if isinstance(document, dict) else None
    if not isinstance(section, dict) or not section.get("client_id") or not section.get("client_secret"):
        raise AuthorizationFailed(f"{path}: is no OAuth client secret; {_GET_ONE}.")
    return Client(
        id=str(section["client_id"]),
        secret=str(section["client_secret"]),
        auth_uri=f"{emulator}/o/oauth2/v2/auth" if emulator else "https://accounts.google.com/o/oauth2/v2/auth",
        token_uri=f"{emulator}/token"
        if emulator
        else str(section.get("token_uri") or "https://oauth2.googleapis.com/token"),
    )


def authorize(
    client: Client, scope: str, *, show: Callable[[str], object], typed: TextIO | None = None, timeout_s: float = 600
) -> dict[str, Any]:
    """The content of a token file, in google-auth's authorized-user form, for the account that the person chose.

    `show` gets the page's URL. The redirect is awaited on a free port of this machine and, pasted, as a line of
    `typed`. Raises AuthorizationFailed.
    """
    verifier, state = secrets.token_urlsafe(64), secrets.token_urlsafe(24)
    with _Redirects(("127.0.0.1", 0), _RedirectHandler) as redirects:
        redirects.state = state
        redirect_uri = f"http://127.0.0.1:{redirects.server_port}/"
        show(f"{client.auth_uri}?{urlencode(_request(client, scope, redirect_uri, verifier, state))}")
        code = redirects.wait(typed, timeout_s)
    answer = _exchange(client, code, redirect_uri, verifier)
    return _token_file(client, answer)


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


class _Redirects(ThreadingHTTPServer):
    """Waits for the browser to come back. In threads, since browsers open connections ahead that stay silent."""

    daemon_threads = True
    state = ""

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.outcomes: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()

    def wait(self, typed: TextIO | None, timeout_s: float) -> str:
        """The authorization code. Raises AuthorizationFailed."""
        until = time.monotonic() + timeout_s
        watched: list[Any] = [self, *([typed] if typed is not None else [])]
        while time.monotonic() < until:
            if not self.outcomes.empty():
                return _code(self.outcomes.get())
            ready, _, _ = select.select(watched, [], [], 0.1)
            if self in ready:
                self.handle_request()
            if typed in ready and typed is not None:
                line = typed.readline()
                if not line:
                    watched.remove(typed)
                elif query := self.ours(line.strip()):
                    self.outcomes.put(query)
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
        text = "Done: you can close this window." if query else "This is not the sign-in that is awaited."
        page = f"<!doctype html><meta charset=utf-8><title>Drive Upload</title><p>{text}</p>".encode()
        self.send_response(200 if query else 400)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)
        if query:
            # Last, since the program may end as soon as it has the code.
            self.server.outcomes.put(query)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name in the standard library
        """Nothing: the request line holds the code."""


def _code(outcome: dict[str, str]) -> str:
    if outcome.get("error") == "access_denied":
        raise AuthorizationFailed("Access was denied on the consent page; run it again and allow it.")
    if not outcome.get("code"):
        raise AuthorizationFailed(f"The consent page ended with {outcome.get('error', 'no code')!r}; run it again.")
    return outcome["code"]


def _exchange(client: Client, code: str, redirect_uri: str, verifier: str) -> dict[str, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "client_id": client.id,
        "client_secret": client.secret,
        "code_verifier": verifier,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        response = urllib3.request(
            "POST", client.token_uri, body=urlencode(form), headers=headers, timeout=_HTTP_TIMEOUT_S, retries=False
        )
        answer = json.loads(response.data)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        host = urlsplit(client.token_uri).hostname
        raise AuthorizationFailed(f"No token came from {host} ({type(error).__name__}); run it again.") from None
    if response.status != 200 or not isinstance(answer, dict) or not answer.get("access_token"):
        what = answer.get("error_description") or answer.get("error") if isinstance(answer, dict) else "no reason given"
        raise AuthorizationFailed(f"The token was refused with {response.status} ({what}); run it again.")
    return answer


def _token_file(client: Client, answer: dict[str, Any]) -> dict[str, Any]:
    scopes = str(answer.get("scope", "")).split()
    if not set(scopes).intersection(WRITE_SCOPES):
        raise AuthorizationFailed("The access to Drive was not ticked on the consent page; run it again and tick it.")
    if not answer.get("refresh_token"):
        raise AuthorizationFailed(
            "No refresh token came with the answer; remove the app's access at "
            "https://myaccount.google.com/permissions and run it again."
        )
    expiry = datetime.now(UTC) + timedelta(seconds=int(answer.get("expires_in", 0)))
    return {
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


@click.command("authorize")
@click.option(
    "--client-secret",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("client_secret.json"),
    show_default=True,
    help="The OAuth client's JSON from the Google Cloud console.",
)
@click.option(
    "--token",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("drive_token.json"),
    show_default=True,
    help="Where the token is written.",
)
@click.option(
    "--scope",
    type=click.Choice(["drive.file", "drive"]),
    default="drive.file",
    show_default=True,
    help="drive.file sees only what this client made; drive sees everything, folders made by hand included.",
)
@click.option("--browser/--no-browser", default=True, help="Whether to open the consent page here.")
@click.option("--emulator", envvar="DRIVE_EMULATOR_HOST", hidden=True)
def command(client_secret: Path, token: Path, scope: str, browser: bool, emulator: str | None) -> None:
    """Get a drive_token.json: allow access to a Google Drive in the browser."""
    host = (emulator if "://" in emulator else f"http://{emulator}").rstrip("/") if emulator else None
    client = read_client(client_secret, host)

    def show(url: str) -> None:
        click.echo(f"Open this page and allow access:\n\n  {url}\n", err=True)
        click.echo("On another machine's browser: paste the address it ends on here (it won't load).", err=True)
        if browser:
            webbrowser.open(url)

    content = authorize(client, _SCOPE_PREFIX + scope, show=show, typed=_terminal())
    try:
        files.replace(token, json.dumps(content, indent=2).encode() + b"\n")
    except OSError as error:
        raise AuthorizationFailed(f"{token}: the token can't be written ({error.strerror}).") from error
    click.echo(f"Wrote {token}: keep it secret.")


def _terminal() -> TextIO | None:
    """Standard input where it can be waited for, on a terminal or through a pipe."""
    try:
        sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return sys.stdin
