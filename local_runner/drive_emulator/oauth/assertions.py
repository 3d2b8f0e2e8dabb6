"""Service accounts: key files, and the signed assertions (JWT, RS256) that are traded for access tokens.

An assertion is `header.claims.signature`, each base64url; the claims say who (`iss`), for whom (`sub`), for what
(`scope`), towards whom (`aud`) and when (`iat`, `exp`). The signature is verified with the public key that was kept
when the key file was made. Source: Google guide "Using OAuth 2.0 for Server to Server Applications".
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from msgspec.structs import replace

from ..model.records import Account

ROBOT = "robot@project.iam.gserviceaccount.com"
"""The service account that is meant where none is named."""

MAX_LIFE_S = 3600
SKEW_S = 300
"""How far the clocks of client and server may differ."""

_TOKEN_PATHS = ("/token", "/oauth2/v4/token", "/o/oauth2/token")


class GrantError(Exception):
    """A refusal of the token endpoint: `{"error": error, "error_description": description}` with that status."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified assertion grants: tokens for `email`, as the service account's own client."""

    email: str
    client_id: str
    scopes: frozenset[str]
    target_audience: str = ""
    """Whom an ID token is for, where that was asked for instead of an access token."""


def new_key(account: Account, token_uri: str) -> tuple[dict[str, str], Account]:
    """A key file for a service account, as Google Cloud issues it, and the account that knows the key's public half."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(public)
    key_id = digest.finalize().hex()[:40]
    key_file = {
        "type": "service_account",
        "project_id": "drive-emulator",
        "private_key_id": key_id,
        "private_key": private,
        "client_email": account.email,
        "client_id": account.permission_id,
        "auth_uri": token_uri.removesuffix("/token") + "/o/oauth2/auth",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    }
    return key_file, replace(account, public_keys={**account.public_keys, key_id: public.decode()})


def verified(assertion: str, *, accounts: Mapping[str, Account], now_ms: int) -> Claims:
    """The claims of an assertion whose signature, times, audience and subject are right; raises GrantError."""
    header, claims, signed, signature = _parts(assertion)
    issuer = accounts.get(str(claims.get("iss", "")))
    if issuer is None or not issuer.is_service_account:
        raise GrantError("invalid_grant", "Invalid grant: account not found")
    if header.get("alg") != "RS256":
        raise GrantError("invalid_grant", "Invalid JWT Signature.")
    _check_signature(issuer, str(header.get("kid", "")), signed, signature)
    _check_times(claims, now_ms // 1000)
    if not str(claims.get("aud", "")).endswith(_TOKEN_PATHS):
        raise GrantError("invalid_grant", "Invalid JWT: Failed audience check.")
    scopes = frozenset(str(claims.get("scope", "")).split())
    target_audience = str(claims.get("target_audience", ""))
    if not scopes and not target_audience:
        raise GrantError("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
    subject = str(claims.get("sub") or issuer.email)
    if subject not in accounts:
        message = "Client is unauthorized to retrieve access tokens using this method."
        raise GrantError("unauthorized_client", message, 401)
    return Claims(subject, issuer.permission_id, scopes, target_audience)


def _parts(assertion: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    signed, _, signature = assertion.rpartition(".")
    try:
        header, claims = (json.loads(_decoded(part)) for part in signed.split("."))
        raw_signature = _decoded(signature)
    except (ValueError, binascii.Error):
        raise GrantError("invalid_grant", "Invalid JWT: the assertion can't be read.") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise GrantError("invalid_grant", "Invalid JWT: header and claims must be objects.")
    return header, claims, signed.encode(), raw_signature


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part.encode("ascii") + b"=" * (-len(part) % 4))


def _check_signature(account: Account, key_id: str, signed: bytes, signature: bytes) -> None:
    """Without a key id any of the account's keys may have signed."""
    keys = [account.public_keys.get(key_id)] if key_id else list(account.public_keys.values())
    if not any(pem is not None and _is_signed(pem, signed, signature) for pem in keys):
        raise GrantError("invalid_grant", "Invalid JWT Signature.")


def _is_signed(pem: str, signed: bytes, signature: bytes) -> bool:
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _check_times(claims: Mapping[str, Any], now_s: int) -> None:
    issued_s, expires_s = _seconds(claims, "iat"), _seconds(claims, "exp")
    life_s = expires_s - issued_s
    if not (0 < life_s <= MAX_LIFE_S + SKEW_S and issued_s - SKEW_S <= now_s < expires_s + SKEW_S):
        message = (
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
            "Check your iat and exp values in the JWT claim."
        )
        raise GrantError("invalid_grant", message)


def _seconds(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    return value if isinstance(value, int) else 0
