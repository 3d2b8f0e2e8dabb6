"""The page where a person picks an account and allows an app, and the redirect that follows.

    GET  /o/oauth2/v2/auth?client_id&redirect_uri&response_type=code&scope&state&…  -> page
    POST the page's form (the same fields, and `account`, or `deny`)                -> redirect with code or error

Source: Google guide "OAuth 2.0 for iOS & Desktop Apps", steps 1 to 4. The page works without scripts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from urllib.parse import urlencode, urlsplit, urlunsplit

from ..model.records import Account
from .assertions import GrantError
from .devices import DeviceGrant
from .endpoints import CODE_LIFE_MS, Code, OAuth

CARRIED = (
    "client_id",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
    "access_type",
    "code_challenge",
    "code_challenge_method",
    "nonce",
)
"""Parameters of the request that the form brings back."""

FORM_TOKEN = "form_token"  # noqa: S105 - the field's name
"""The form's field that only this page can have filled in: pages of other origins can't read it."""

_STYLE = """
:root{color-scheme:light dark;--edge:color-mix(in srgb,currentColor 22%,transparent)}
body{font:16px/1.5 system-ui,sans-serif;margin:0;min-height:100vh;display:grid;place-items:center;background:Canvas}
main{max-width:26rem;margin:1rem;padding:2rem;border:1px solid var(--edge);border-radius:1rem}
h1{font-size:1.35rem;margin:0 0 .75rem}ul{padding-left:1.2rem;overflow-wrap:anywhere}
button{font:inherit;width:100%;padding:.7rem 1rem;margin:.25rem 0;border-radius:.6rem;border:1px solid var(--edge);
background:none;color:inherit;text-align:left;cursor:pointer}
button:hover{background:color-mix(in srgb,currentColor 8%,transparent)}
button:focus-visible{outline:3px solid #1a73e8;outline-offset:2px}
button small{display:block;opacity:.75}
"""


def check(query: Mapping[str, str]) -> None:
    """Raises GrantError for a request that Google would show an error page for."""
    for name in ("client_id", "redirect_uri", "response_type", "scope"):
        if not query.get(name):
            raise GrantError("invalid_request", f"Required parameter is missing: {name}")
    if query["response_type"] != "code":
        raise GrantError("unsupported_response_type", f"Invalid response_type: {query['response_type']}")
    target = urlsplit(query["redirect_uri"])
    if target.scheme not in {"http", "https"} or not target.netloc or target.fragment:
        # Copying a code by hand (urn:ietf:wg:oauth:2.0:oob) ended in 2023.
        raise GrantError("invalid_request", f"Invalid redirect_uri: {query['redirect_uri']}")
    if query.get("code_challenge_method", "plain") not in {"plain", "S256"}:
        raise GrantError("invalid_request", "Invalid code_challenge_method: use S256 or plain.")


def page(query: Mapping[str, str], accounts: Mapping[str, Account], action: str, form_token: str) -> str:
    """The consent page for a request that passed `check`; its form is sent to `action` with the page's token."""
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(query[name])}">' for name in CARRIED if name in query
    )
    hint = query.get("login_hint", "")
    people = sorted(
        (account for account in accounts.values() if not account.is_service_account),
        key=lambda account: (account.email != hint, account.email),
    )
    return _choice(query["client_id"], query["scope"].split(), people, action, hidden + _token_field(form_token))


def device_page(user_code: str = "", problem: str = "") -> str:
    """Where a person enters the code that a device shows."""
    note = f"<p><strong>{escape(problem)}</strong></p>" if problem else ""
    return _document(
        "Connect a device",
        f'{note}<form method="get" action="/device"><p><label>Code on the device<br>'
        f'<input name="user_code" value="{escape(user_code)}" required autofocus autocomplete="off"></label></p>'
        "<button>Continue</button></form>",
    )


def device_choice(device: DeviceGrant, accounts: Mapping[str, Account], form_token: str) -> str:
    """Whether the device that shows the code may act for an account, and for which."""
    people = sorted(
        (account for account in accounts.values() if not account.is_service_account), key=lambda account: account.email
    )
    code = f'<input type="hidden" name="user_code" value="{escape(device.user_code)}">'
    return _choice(device.client_id, sorted(device.scopes), people, "/device", code + _token_field(form_token))


def device_done(allowed: bool) -> str:
    """What a person sees at the end."""
    return _document("Device connected" if allowed else "Device refused", "<p>You can close this page.</p>")


def _choice(client_id: str, scopes: Iterable[str], people: Iterable[Account], action: str, hidden: str) -> str:
    choices = "".join(
        f'<button name="account" value="{escape(one.email)}">{escape(one.display_name)}'
        f"<small>{escape(one.email)}</small></button>"
        for one in people
    )
    asked = "".join(f"<li><code>{escape(scope)}</code></li>" for scope in scopes)
    return _document(
        "Choose an account",
        f"<p><strong>{escape(client_id)}</strong> asks for:</p><ul>{asked}</ul>"
        f'<form method="post" action="{escape(action)}">{hidden}<p>Allow it as</p>{choices}'
        '<p><button name="deny" value="1">Cancel</button></p></form>',
    )


def _token_field(form_token: str) -> str:
    return f'<input type="hidden" name="{FORM_TOKEN}" value="{escape(form_token)}">'


def error_page(refusal: GrantError) -> str:
    """What a person sees when the app's request is wrong; there is nowhere to redirect to."""
    return _document("Access blocked", f"<p>{escape(refusal.description)}</p><p>Error 400: {escape(refusal.error)}</p>")


def decide(form: Mapping[str, str], oauth: OAuth, *, now_ms: int) -> str:
    """The URL to redirect the browser to after the person's decision; raises GrantError where `check` does."""
    check(form)
    if form.get("deny"):
        return _redirect(form, {"error": "access_denied"})
    if form.get("account", "") not in oauth.store.accounts:
        raise GrantError("invalid_request", "Choose one of the emulator's accounts.")
    scopes = form["scope"].split()
    code = oauth.grant_code(
        Code(
            email=form["account"],
            client_id=form["client_id"],
            redirect_uri=form["redirect_uri"],
            scopes=frozenset(scopes),
            offline=form.get("access_type") == "offline",
            challenge=form.get("code_challenge", ""),
            challenge_method=form.get("code_challenge_method", "plain"),
            expires_ms=now_ms + CODE_LIFE_MS,
            nonce=form.get("nonce", ""),
        )
    )
    return _redirect(form, {"code": code, "scope": " ".join(scopes)})


def _redirect(form: Mapping[str, str], answer: dict[str, str]) -> str:
    target = urlsplit(form["redirect_uri"])
    state = {"state": form["state"]} if "state" in form else {}
    query = "&".join(part for part in (target.query, urlencode(state | answer)) if part)
    return urlunsplit(target._replace(query=query))


def _document(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title} - Drive emulator</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{title}</h1>{body}</main></body></html>"
    )
