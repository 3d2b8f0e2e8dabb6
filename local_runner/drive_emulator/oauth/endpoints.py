"""Google's OAuth 2.0 endpoints: tokens from codes, refresh tokens and signed assertions; revocation; what a token says.

    token     POST /token        form -> {"access_token", "expires_in", "scope", "token_type"} | {"error", …}
    revoke    POST /revoke       form token=… -> {}
    tokeninfo GET  /tokeninfo    access_token=… -> whose it is, for what, for how long

No HTTP here: forms come in as mappings, answers go out as status and JSON. The page where a person consents is
consent.py's, the signed assertions are assertions.py's. Source: Google guides "Using OAuth 2.0 for Web Server
Applications", "… for iOS & Desktop Apps", "… for Server to Server Applications".
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec.structs import replace

from ..model.records import AccessToken, Account, RefreshToken
from . import assertions
from .assertions import GrantError
from .devices import DEVICE_CODE, Devices
from .id_tokens import OPENID, IdTokens, at_hash

CLIENT_ID = "407408718192-driveemulator.apps.googleusercontent.com"
CLIENT_SECRET = "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ne"  # noqa: S105 - opens nothing but the emulator
APP_DATA_SCOPES = frozenset(f"https://www.googleapis.com/auth/drive.{name}" for name in ("appdata", "appfolder"))
"""Two names of one scope, that of an app's hidden folder; the second, older one is rclone's."""
DRIVE_SCOPE = "https://www.googleapis.com/auth/drive"

CODE_LIFE_MS = 10 * 60 * 1000
REFRESH_TOKENS_PER_CLIENT = 100
"""Live refresh tokens of one account for one client; one more ends the oldest. Source: Google, "Using OAuth 2.0"."""

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
REVOKED = "revoked"
"""A refresh token that is always refused, so that the case can be had without revoking one."""
UNKNOWN = "unknown"
"""A client secret that is always refused."""


class TokenStore(Protocol):
    """Where tokens live: the emulator's store, or two dicts in a test."""

    @property
    def accounts(self) -> Mapping[str, Account]: ...
    @property
    def tokens(self) -> Mapping[str, AccessToken]: ...
    @property
    def refresh_tokens(self) -> Mapping[str, RefreshToken]: ...
    def put_token(self, token: AccessToken) -> None: ...
    def delete_token(self, token: str) -> None: ...
    def put_refresh_token(self, token: RefreshToken) -> None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What the endpoint answers, as JSON."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code, good once and for ten minutes."""

    email: str
    client_id: str
    redirect_uri: str
    scopes: frozenset[str]
    offline: bool
    challenge: str
    challenge_method: str
    expires_ms: int
    nonce: str = ""
    """What the app wants to find in its ID token."""


@dataclass(slots=True)
class OAuth:
    """The state machine behind the endpoints. `new_secret(prefix)` makes tokens; `life_s()` is an access token's life.

    Any refresh token that wasn't revoked is honoured: one that was never issued belongs to `default_account`. A client
    that isn't known yet is taken at its word, and held to its secret from then on.
    """

    store: TokenStore
    new_secret: Callable[[str], str]
    default_account: Callable[[], str]
    life_s: Callable[[], float]
    clients: dict[str, str] = field(default_factory=lambda: {CLIENT_ID: CLIENT_SECRET})
    codes: dict[str, Code] = field(default_factory=dict)
    devices: Devices = field(init=False)
    id_tokens: IdTokens = field(default_factory=IdTokens)
    form_token: str = field(default_factory=secrets.token_urlsafe)
    """What the consent page's form carries. Not of `new_secret`, whose tokens the seed tells."""

    def __post_init__(self) -> None:
        self.devices = Devices(self.new_secret)

    def token(self, form: Mapping[str, str], *, now_ms: int, basic: tuple[str, str] | None = None) -> Answer:
        """The token endpoint. `basic` are client id and secret from an Authorization header, where there was one."""
        grants: dict[str, Callable[[Mapping[str, str], int], Answer]] = {
            "authorization_code": self._from_code,
            "refresh_token": self._from_refresh_token,
            JWT_BEARER: self._from_assertion,
            DEVICE_CODE: self._from_device,
        }
        if basic is not None:
            form = {**form, "client_id": basic[0], "client_secret": basic[1]}
        grant = grants.get(form.get("grant_type", ""))
        try:
            if grant is None:
                raise GrantError("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
            return grant(form, now_ms)
        except GrantError as refusal:
            return Answer(refusal.status, {"error": refusal.error, "error_description": refusal.description})

    def revoke(self, token: str) -> Answer:
        """Ends a grant by its refresh token or by an access token made from it."""
        grant = self.store.refresh_tokens.get(token) or self.store.tokens.get(token)
        if grant is None or (isinstance(grant, RefreshToken) and grant.revoked):
            return Answer(400, {"error": "invalid_token", "error_description": "Token expired or revoked"})
        for refresh in list(self.store.refresh_tokens.values()):
            if (refresh.email, refresh.client_id) == (grant.email, grant.client_id):
                self.store.put_refresh_token(replace(refresh, revoked=True))
        for access in list(self.store.tokens.values()):
            if (access.email, access.client_id) == (grant.email, grant.client_id):
                self.store.delete_token(access.token)
        return Answer(200, {})

    def tokeninfo(self, access_token: str, *, now_ms: int) -> Answer:
        """Whose token it is, for which client and scopes, and how many seconds it has left."""
        token = self._live(access_token, now_ms)
        if token is None:
            return Answer(400, {"error": "invalid_token", "error_description": "Invalid Value"})
        left_s = (token.expires_ms - now_ms) // 1000 if token.expires_ms is not None else 3600
        about = {"azp": token.client_id, "aud": token.client_id, "scope": " ".join(sorted(token.scopes))}
        timing = {"exp": str(now_ms // 1000 + left_s), "expires_in": str(left_s)}
        return Answer(200, about | timing | {"email": token.email, "email_verified": "true", "access_type": "offline"})

    def userinfo(self, access_token: str, *, now_ms: int, legacy: bool = False) -> Answer:
        """The account that the token acts for; `legacy` in the words of oauth2/v1 and v2."""
        token = self._live(access_token, now_ms)
        account = self.store.accounts.get(token.email) if token else None
        if account is None:
            return Answer(401, {"error": "invalid_request", "error_description": "Invalid Credentials"})
        about: dict[str, Any] = {"sub": account.permission_id, "name": account.display_name}
        if legacy:
            about = {"id": account.permission_id, "name": account.display_name}
        return Answer(200, about | {"email": account.email, "verified_email" if legacy else "email_verified": True})

    def grant_code(self, code: Code) -> str:
        """A fresh authorization code for what a person consented to."""
        text = self.new_secret("4/0A")
        self.codes[text] = code
        return text

    def grant_refresh_token(self, email: str, client_id: str, scopes: frozenset[str]) -> RefreshToken:
        """A new long-lived grant; the oldest of more than a hundred dies silently."""
        grant = RefreshToken(self.new_secret("1//0"), email, client_id, scopes)
        self.store.put_refresh_token(grant)
        live = [
            token
            for token in self.store.refresh_tokens.values()
            if (token.email, token.client_id) == (email, client_id) and not token.revoked
        ]
        for oldest in live[:-REFRESH_TOKENS_PER_CLIENT]:
            self.store.put_refresh_token(replace(oldest, revoked=True))
        return grant

    def grant_access_token(self, email: str, client_id: str, scopes: frozenset[str], *, now_ms: int) -> AccessToken:
        """A new access token that lives `life_s()` seconds."""
        token = AccessToken(self.new_secret("ya29."), email, client_id, scopes, now_ms + int(self.life_s() * 1000))
        self.store.put_token(token)
        return token

    def _live(self, access_token: str, now_ms: int) -> AccessToken | None:
        token = self.store.tokens.get(access_token)
        return None if token is None or (token.expires_ms is not None and token.expires_ms <= now_ms) else token

    def _from_code(self, form: Mapping[str, str], now_ms: int) -> Answer:
        client_id = self._client(form)
        code = self.codes.pop(_required(form, "code"), None)
        if code is None or code.expires_ms <= now_ms:
            raise GrantError("invalid_grant", "Malformed auth code.")
        if code.client_id != client_id:
            raise GrantError("unauthorized_client", "Unauthorized", 401)
        if form.get("redirect_uri", "") != code.redirect_uri:
            raise GrantError("redirect_uri_mismatch", "Bad Request")
        _check_verifier(code, form.get("code_verifier", ""))
        answer = self._issue(code.email, client_id, code.scopes, now_ms, nonce=code.nonce)
        if code.offline:
            answer.body["refresh_token"] = self.grant_refresh_token(code.email, client_id, code.scopes).token
        return answer

    def _from_refresh_token(self, form: Mapping[str, str], now_ms: int) -> Answer:
        client_id = self._client(form)
        text = _required(form, "refresh_token")
        grant = self.store.refresh_tokens.get(text)
        if text == REVOKED or (grant is not None and grant.revoked):
            raise GrantError("invalid_grant", "Token has been expired or revoked.")
        if grant is None:
            grant = RefreshToken(text, self.default_account(), client_id, frozenset({DRIVE_SCOPE}))
            self.store.put_refresh_token(grant)
        if grant.client_id != client_id:
            raise GrantError("unauthorized_client", "Unauthorized", 401)
        scopes = frozenset(form.get("scope", "").split()) or grant.scopes
        if not scopes <= grant.scopes and DRIVE_SCOPE not in grant.scopes:
            raise GrantError("invalid_scope", "Some requested scopes were invalid.")
        return self._issue(grant.email, client_id, scopes, now_ms)

    def _from_assertion(self, form: Mapping[str, str], now_ms: int) -> Answer:
        claims = assertions.verified(_required(form, "assertion"), accounts=self.store.accounts, now_ms=now_ms)
        if claims.target_audience:
            account = self.store.accounts[claims.email]
            scopes = frozenset({OPENID, "email"})
            audience = {"aud": claims.target_audience}
            return Answer(
                200, {"id_token": self.id_tokens.signed(account, claims.client_id, scopes, now_ms // 1000, audience)}
            )
        return self._issue(claims.email, claims.client_id, claims.scopes, now_ms)

    def _from_device(self, form: Mapping[str, str], now_ms: int) -> Answer:
        client_id = self._client(form)
        grant = self.devices.poll(_required(form, "device_code"), client_id, now_ms=now_ms)
        email = grant.email or self.default_account()
        answer = self._issue(email, client_id, grant.scopes, now_ms)
        answer.body["refresh_token"] = self.grant_refresh_token(email, client_id, grant.scopes).token
        return answer

    def _issue(self, email: str, client_id: str, scopes: frozenset[str], now_ms: int, *, nonce: str = "") -> Answer:
        token = self.grant_access_token(email, client_id, scopes, now_ms=now_ms)
        about: dict[str, Any] = {"access_token": token.token, "expires_in": int(self.life_s())}
        if OPENID in scopes:
            more = {"at_hash": at_hash(token.token)} | ({"nonce": nonce} if nonce else {})
            account = self.store.accounts[email]
            about["id_token"] = self.id_tokens.signed(account, client_id, scopes, now_ms // 1000, more)
        return Answer(200, about | {"scope": " ".join(sorted(scopes)), "token_type": "Bearer"})

    def _client(self, form: Mapping[str, str]) -> str:
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        if not client_id:
            raise GrantError("invalid_request", "Could not determine client ID from request.")
        if not secret and not form.get("code_verifier"):
            raise GrantError("invalid_request", "client_secret is missing.")
        if secret == UNKNOWN or self.clients.setdefault(client_id, secret) != secret:
            raise GrantError("invalid_client", "The provided client secret is invalid.", 401)
        return client_id


def _required(form: Mapping[str, str], name: str) -> str:
    if not form.get(name):
        raise GrantError("invalid_request", f"Missing required parameter: {name}")
    return form[name]


def _check_verifier(code: Code, verifier: str) -> None:
    """PKCE (RFC 7636): the verifier must be what the challenge was made from."""
    if not code.challenge:
        return
    if not verifier:
        raise GrantError("invalid_grant", "Missing code verifier.")
    digest = hashlib.sha256(verifier.encode()).digest()
    expected = verifier if code.challenge_method == "plain" else base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    if expected != code.challenge:
        raise GrantError("invalid_grant", "Invalid code verifier.")
