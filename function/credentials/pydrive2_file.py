"""Access tokens of what PyDrive2 saved, authenticated and renewed through its `GoogleAuth`.

PyDrive2 gets a dictionary to load from and to save to instead of the file: it refuses links, rewrites files in place
and fails on read-only mounts. It never meets a method that opens a browser, and no discovery is asked for.
The one module that imports PyDrive2 and oauth2client, and imported only where such a file is met.
Source: PyDrive2 1.21.3 `auth.py`; oauth2client 4.1.3 `client.py`, `service_account.py`.
"""

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httplib2
from google.auth.crypt import RSASigner
from oauth2client import crypt
from oauth2client.client import Error as OAuth2ClientError
from oauth2client.client import HttpAccessTokenRefreshError
from oauth2client.service_account import ServiceAccountCredentials
from pydrive2.auth import GoogleAuth, RefreshError

from function.core.deadline import Deadline
from function.core.errors import CredentialsError, UploadError
from function.credentials import access_token, token_endpoint
from function.credentials.access_token import AccessToken
from function.credentials.token_file import AUTHORIZE, WRITE_SCOPES, TokenFile, require_write_scope

_KEY = "drive_token"
_CLIENT_FIELDS = ("client_id", "client_secret", "token_uri", "revoke_uri")
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


class _Http(httplib2.Http):  # type: ignore[misc]
    """Keeps the last answer's headers, which oauth2client's errors don't carry."""

    answered: Mapping[str, str] = {}

    def request(self, *args: Any, **options: Any) -> tuple[httplib2.Response, bytes]:
        """The answer to one request."""
        self.answered, content = super().request(*args, **options)
        return self.answered, content


def current(file: TokenFile) -> AccessToken | None:
    """The access token that the file holds, as PyDrive2 sees it; None where it is expired, marked invalid or absent.

    Raises CredentialsError where PyDrive2 can't load it.
    """
    auth = _load(file, None, {})
    if auth.access_token_expired or not auth.credentials.access_token:
        return None
    # Without an expiry oauth2client takes a token as valid.
    return AccessToken(auth.credentials.access_token, access_token.issued("", auth.credentials.token_expiry).expires_at)


def renew(file: TokenFile, deadline: Deadline, token_uri_override: str | None) -> tuple[AccessToken, dict[str, Any]]:
    """A new access token, and what PyDrive2 saves with it.

    Raises CredentialsError, TransientDriveError, DeadlineExceeded.
    """

    def ask(timeout_s: float) -> tuple[AccessToken, dict[str, Any]]:
        store: dict[str, str] = {}
        auth = _load(file, token_uri_override, store)
        auth.http = _Http(timeout=timeout_s)
        try:
            _refresh(auth, file)
        finally:
            auth.http.close()
        auth.SaveCredentials()
        require_write_scope(file.path, str((auth.credentials.token_response or {}).get("scope") or "").split())
        saved = {**json.loads(store[_KEY]), "token_uri": file.fields["token_uri"]}
        return access_token.issued(auth.credentials.access_token, auth.credentials.token_expiry), saved

    return token_endpoint.persistently(ask, deadline)


def _load(file: TokenFile, token_uri: str | None, store: dict[str, str]) -> GoogleAuth:
    os.environ["GDRIVE_NON_INTERACTIVE"] = "1"  # PyDrive2 then raises where it would open a browser
    crypt.Signer = _Signer
    fields = {**_DEFAULTS, **file.fields, "token_uri": token_uri or file.fields["token_uri"]}
    store[_KEY] = json.dumps(fields)
    try:
        auth = GoogleAuth(settings=_settings(fields, store))
        if file.kind == "pydrive2_service_account":
            # PyDrive2's own dictionary backend loads every file as a person's.
            auth.auth_method = "service"
            auth.credentials = ServiceAccountCredentials.from_json(store[_KEY])
        else:
            auth.LoadCredentials()
    except (OSError, KeyError, TypeError, ValueError, AttributeError, OAuth2ClientError) as error:
        # Their texts can quote the file's content.
        what = f"PyDrive2 can't load it ({type(error).__name__})"
        raise CredentialsError(f"{file.path}: {what}; {AUTHORIZE}.") from None
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


def _refresh(auth: GoogleAuth, file: TokenFile) -> None:
    host = urlsplit(auth.credentials.token_uri).hostname
    try:
        auth.Refresh()
    except RefreshError as error:
        raise _refused(file, host, error, auth.http.answered) from error
    except (httplib2.HttpLib2Error, OSError) as error:
        raise token_endpoint.unreachable(host, error) from error
    except (ValueError, KeyError, TypeError, OAuth2ClientError):
        # Signing succeeded or nothing was sent; either way what came back was no token.
        token_endpoint.check_answer(host, 200, b"", {})


def _refused(file: TokenFile, host: str | None, error: RefreshError, headers: Mapping[str, str]) -> UploadError:
    """PyDrive2 keeps only a text, `code: description`; the status is in oauth2client's error behind it."""
    cause = error.__context__
    if not isinstance(cause, HttpAccessTokenRefreshError):
        return CredentialsError(
            f"{file.path}: the token has expired and can't be renewed; {AUTHORIZE}.", reason="credentials_expired"
        )
    code = str(cause).partition(":")[0]
    token_endpoint.check_answer(host, cause.status or 0, json.dumps({"error": code}).encode(), headers)
    return token_endpoint.refusal(file.path, code)
