"""ID tokens (OpenID Connect): who signed in, as a JWT that anyone can check against the published keys.

    /oauth2/v3/certs                   the key as JWK
    /oauth2/v1/certs                   the key as certificate, by its id
    /.well-known/openid-configuration  where everything is

Source: Google guide "OpenID Connect". The key is made when it is first needed and ends with the process.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from ..model.records import Account

ISSUER = "https://accounts.google.com"
OPENID = "openid"
_EMAIL = frozenset({"email", "https://www.googleapis.com/auth/userinfo.email"})
_PROFILE = frozenset({"profile", "https://www.googleapis.com/auth/userinfo.profile"})


class IdTokens:
    """Signs ID tokens with one RSA key (RS256) and publishes it."""

    def signed(
        self, account: Account, client_id: str, scopes: frozenset[str], now_s: int, more: Mapping[str, str]
    ) -> str:
        """A token for one hour; e-mail and name are in it where the scopes ask for them. `more` are further claims."""
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "azp": client_id,
            "aud": client_id,
            "sub": account.permission_id,
            "iat": now_s,
            "exp": now_s + 3600,
            **more,
        }
        if scopes & _EMAIL or account.is_service_account:
            claims |= {"email": account.email, "email_verified": True}
        if scopes & _PROFILE:
            claims["name"] = account.display_name
        head = {"alg": "RS256", "kid": self.key_id, "typ": "JWT"}
        signed = ".".join(_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_encoded(signature)}"

    @property
    def jwks(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set."""
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.key_id}
        return {"keys": [key | {"n": _number(numbers.n), "e": _number(numbers.e)}]}

    @cached_property
    def certificates(self) -> dict[str, str]:
        """The public key in a certificate, by its id."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "federated-signon.system.gserviceaccount.com")])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=365))
            .sign(self._key, hashes.SHA256())
        )
        return {self.key_id: certificate.public_bytes(serialization.Encoding.PEM).decode()}

    @cached_property
    def key_id(self) -> str:
        """40 hexadecimal digits."""
        der = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(der).hexdigest()[:40]

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def at_hash(access_token: str) -> str:
    """What ties an ID token to the access token that came with it."""
    return _encoded(hashlib.sha256(access_token.encode()).digest()[:16])


def configuration(origin: str) -> dict[str, Any]:
    """The OpenID configuration, every address of it at `origin`."""
    return {
        "issuer": ISSUER,
        "authorization_endpoint": f"{origin}/o/oauth2/v2/auth",
        "device_authorization_endpoint": f"{origin}/device/code",
        "token_endpoint": f"{origin}/token",
        "userinfo_endpoint": f"{origin}/v1/userinfo",
        "revocation_endpoint": f"{origin}/revoke",
        "jwks_uri": f"{origin}/oauth2/v3/certs",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": [OPENID, "email", "profile"],
        "code_challenge_methods_supported": ["plain", "S256"],
    }


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _encoded(value.to_bytes((value.bit_length() + 7) // 8))
