"""OAuth over HTTP: forms in, JSON, pages and redirects out; and whose access token a request carries."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from urllib.parse import unquote

from ..context.request_context import Call, reply
from ..http.read import Request, parse_query
from ..http.write import Response
from ..model.errors import insufficient_scope, invalid_api_key, login_required, unauthorized, unregistered
from ..model.records import Viewer
from ..oauth import consent, id_tokens
from ..oauth.assertions import GrantError
from ..oauth.devices import INTERVAL_S, LIFE_S
from ..oauth.endpoints import Answer
from ..rules import access
from ..storage.state import Drive, viewer

PUBLIC_METHODS = frozenset({"files.get", "files.list", "files.export", "children.list"})
"""What an API key opens. Any key is taken, except this one, so that the refusal can be had:"""
INVALID_KEY = "invalid"

FORM_LIMIT_BYTES = 64 * 1024


def viewer_of(drive: Drive, request: Request, method_id: str) -> Viewer:
    """Who the access token speaks for; 401 where it is unknown or expired. Without one see `_without_token`."""
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        text = request.first("access_token") or ""
    if not text.strip():
        return _without_token(request, method_id)
    token = drive.store.tokens.get(text.strip())
    if token is None or (token.expires_ms is not None and token.expires_ms <= drive.clock.now_ms()):
        raise unauthorized()
    return viewer(drive, token.email, token.client_id, token.scopes)


def _without_token(request: Request, method_id: str) -> Viewer:
    """An API key reads what is public; without one, reading is 403 and everything else 401.

    Sources: Drive guide "API keys"; the refusals as measured at the real service by brekkylab/backlot, #223.
    """
    if request.method != "GET" or "authorization" in request.headers:
        raise login_required()
    key = request.first("key") or request.headers.get("x-goog-api-key")
    if not key:
        raise unregistered()
    if key == INVALID_KEY:
        raise invalid_api_key()
    if method_id not in PUBLIC_METHODS:
        raise login_required()
    return access.anyone(f"key:{key}")


def require_scope(viewer: Viewer, accepted: frozenset[str]) -> None:
    """403 where none of the method's scopes was granted to the token."""
    if accepted and not accepted & viewer.scopes:
        raise insufficient_scope()


def token(call: Call) -> Response:
    """The token endpoint."""
    return _json(call.drive.oauth.token(_form(call), now_ms=call.drive.clock.now_ms(), basic=_basic(call.request)))


def revoke(call: Call) -> Response:
    """End a grant."""
    return _json(call.drive.oauth.revoke(_form(call).get("token", "")))


def tokeninfo(call: Call) -> Response:
    """What a token says."""
    return _json(call.drive.oauth.tokeninfo(_form(call).get("access_token", ""), now_ms=call.drive.clock.now_ms()))


def userinfo(call: Call) -> Response:
    """Whose token it is."""
    text = call.request.headers.get("authorization", "").partition(" ")[2] or call.request.first("access_token") or ""
    legacy = call.request.path in {"/oauth2/v1/userinfo", "/oauth2/v2/userinfo", "/userinfo/v2/me"}
    return _json(call.drive.oauth.userinfo(text, now_ms=call.drive.clock.now_ms(), legacy=legacy))


def jwks(call: Call) -> Response:
    """The key of ID tokens as JWK."""
    return reply(call.drive.oauth.id_tokens.jwks)


def certificates(call: Call) -> Response:
    """The key of ID tokens as certificate."""
    return reply(call.drive.oauth.id_tokens.certificates)


def openid_configuration(call: Call) -> Response:
    """Where everything is."""
    return reply(id_tokens.configuration(call.origin))


def device_code(call: Call) -> Response:
    """Two codes for a device: one to poll with, one to show."""
    form = _form(call)
    scopes = frozenset(form.get("scope", "").split())
    if not form.get("client_id") or not scopes:
        refused = {"error": "invalid_request", "error_description": "Missing required parameter: client_id or scope"}
        return reply(refused, 400)
    grant = call.drive.oauth.devices.begin(form["client_id"], scopes, now_ms=call.drive.clock.now_ms())
    codes = {
        "device_code": grant.device_code,
        "user_code": grant.user_code,
        "expires_in": LIFE_S,
        "interval": INTERVAL_S,
    }
    return reply(codes | {"verification_url": f"{call.origin}/device", "verification_uri": f"{call.origin}/device"})


def device(call: Call) -> Response:
    """The page on which a person enters the code and chooses an account."""
    oauth, user_code = call.drive.oauth, call.request.first("user_code")
    if user_code is None:
        return _page(200, consent.device_page())
    grant = oauth.devices.of_user(user_code, now_ms=call.drive.clock.now_ms())
    if grant is None:
        return _page(400, consent.device_page(user_code, "No device shows this code."))
    return _page(200, consent.device_choice(grant, call.drive.store.accounts, oauth.form_token))


def device_decided(call: Call) -> Response:
    """What the person chose for the device."""
    form, oauth = _form(call), call.drive.oauth
    try:
        _check_form_token(call, form)
    except GrantError as refusal:
        return _page(400, consent.error_page(refusal))
    grant = oauth.devices.of_user(form.get("user_code", ""), now_ms=call.drive.clock.now_ms())
    allowed = not form.get("deny")
    if grant is None or (allowed and form.get("account") not in call.drive.store.accounts):
        return _page(400, consent.device_page(problem="No device shows this code."))
    grant.email, grant.denied = (form["account"], False) if allowed else (None, True)
    return _page(200, consent.device_done(allowed))


def authorize(call: Call) -> Response:
    """The page on which a person chooses an account."""
    query = {name: values[0] for name, values in call.request.query.items()}
    try:
        consent.check(query)
    except GrantError as refusal:
        return _page(400, consent.error_page(refusal))
    return _page(200, consent.page(query, call.drive.store.accounts, call.request.path, call.drive.oauth.form_token))


def consent_given(call: Call) -> Response:
    """Back to the app, with a code or a refusal."""
    try:
        form = _form(call)
        _check_form_token(call, form)
        target = consent.decide(form, call.drive.oauth, now_ms=call.drive.clock.now_ms())
    except GrantError as refusal:
        return _page(400, consent.error_page(refusal))
    return Response(302, b"", {"Location": target})


def _check_form_token(call: Call, form: Mapping[str, str]) -> None:
    """Raises GrantError for a form that the emulator's own page didn't send."""
    if not hmac.compare_digest(form.get(consent.FORM_TOKEN, "").encode(), call.drive.oauth.form_token.encode()):
        raise GrantError("invalid_request", "This form didn't come from the emulator's own page: open it again.")


def _form(call: Call) -> dict[str, str]:
    """The form of a POST with the query's parameters beneath it."""
    text = call.request.body.read(FORM_LIMIT_BYTES).decode("utf-8", "replace")
    merged: Mapping[str, list[str]] = call.request.query | parse_query(text)
    return {name: values[0] for name, values in merged.items()}


def _basic(request: Request) -> tuple[str, str] | None:
    kind, _, encoded = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote(user), unquote(password)


def _json(answer: Answer) -> Response:
    return reply(answer.body, answer.status)


def _page(status: int, html: str) -> Response:
    return Response(status, html.encode(), {"Content-Type": "text/html; charset=utf-8"})
