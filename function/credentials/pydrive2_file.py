"""Access tokens of what PyDrive2 saved, authenticated and renewed through its `GoogleAuth`.

PyDrive2 gets a dictionary to load from and to save to instead of the file: it refuses links, rewrites files in place
and fails on read-only mounts. It never meets a method that opens a browser, and no discovery is asked for.
The one module that imports PyDrive2 and oauth2client, and imported only where such a file is met.
Source: PyDrive2 1.21.3 `auth.py`; oauth2client 4.1.3 `client.py`, `service_account.py`.
"""

import json
import os
from typing import Any

from google.auth.crypt import RSASigner
from oauth2client import crypt
from oauth2client.service_account import ServiceAccountCredentials
from pydrive2.auth import GoogleAuth

from function.credentials.token_endpoint import Endpoint
from function.credentials.token_file import WRITE_SCOPES, AccessToken, TokenFile, issued

_KEY = "drive_token"
_CLIENT_FIELDS = ("client_id", "client_secret", "token_uri", "revoke_uri")
_ID_TOKEN = ("id_token", "id_token_jwt")
_DEFAULTS = {"access_token": None, "refresh_token": None, "client_secret": None, "user_agent": None, "invalid": False}
"""What oauth2client insists on finding; older and hand-made files lack some."""


class _Signer:
    """Signs with the `cryptography` of today: oauth2client signs with functions that pyOpenSSL has removed."""

    @staticmethod
    def from_string(key: bytes | str, password: bytes | str | None = None) -> Any:
        """A signer of a PEM or PKCS #12 key, with the interface of oauth2client's signers."""
        if isinstance(key, str):
            return RSASigner.from_string(key)  # type: ignore[no-untyped-call]
        from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

        secret = password.encode() if isinstance(password, str) else password
        return RSASigner(load_key_and_certificates(key, secret)[0])  # type: ignore[no-untyped-call]


def current(file: TokenFile) -> AccessToken | None:
    """The access token that the file holds, as PyDrive2 sees it; None where it is expired, marked invalid or absent."""
    auth = _load(file, None, {})
    if auth.access_token_expired or not auth.credentials.access_token:
        return None
    # Without an expiry oauth2client takes a token as valid.
    return AccessToken(auth.credentials.access_token, issued("", auth.credentials.token_expiry).expires_at)


def renew(file: TokenFile, endpoint: Endpoint) -> tuple[AccessToken, dict[str, Any]]:
    """A new access token, and what PyDrive2 saves with it."""
    store: dict[str, str] = {}
    auth = _load(file, endpoint.override, store)
    auth.http = endpoint
    auth.Refresh()
    token = issued(auth.credentials.access_token, auth.credentials.token_expiry)
    if file.acts_for_another:
        return token, {}
    auth.SaveCredentials()
    saved = {**json.loads(store[_KEY]), "token_uri": file.fields["token_uri"]}
    if not saved.get("id_token_jwt"):
        # oauth2client forgets the old one where the answer brings none.
        saved |= {name: file.fields[name] for name in _ID_TOKEN if name in file.fields}
    return token, saved


def _load(file: TokenFile, token_uri: str | None, store: dict[str, str]) -> GoogleAuth:
    os.environ["GDRIVE_NON_INTERACTIVE"] = "1"  # PyDrive2 then raises where it would open a browser
    crypt.Signer = _Signer
    fields = {**_DEFAULTS, **file.fields, "token_uri": token_uri or file.fields["token_uri"]}
    store[_KEY] = json.dumps(fields)
    auth = GoogleAuth(settings=_settings(fields, store))
    if file.kind == "pydrive2_service_account":
        # PyDrive2's own dictionary backend loads every file as a person's.
        auth.auth_method = "service"
        auth.credentials = ServiceAccountCredentials.from_json(store[_KEY])
        if file.acts_for_another:
            # It has no token yet: the one in the file is the service account's own.
            auth.credentials = auth.credentials.create_delegated(file.subject)
    else:
        auth.LoadCredentials()
    return auth


def _settings(fields: dict[str, Any], store: dict[str, str]) -> dict[str, Any]:
    return {
        "client_config_backend": "settings",
        "client_config": {name: fields.get(name) or "" for name in _CLIENT_FIELDS},
        "save_credentials": True,
        "save_credentials_backend": "dictionary",
        "save_credentials_dict": store,
        "save_credentials_key": _KEY,
        "oauth_scope": list(WRITE_SCOPES),
    }
