"""Access tokens for google-auth's kinds of credentials; google-auth is imported when one has to be renewed.

Whatever google-auth raises here is put into our words by renewal.py.
"""

import re
from collections.abc import Mapping
from typing import Any

from function.core.errors import CredentialsError
from function.credentials.token_endpoint import Endpoint
from function.credentials.token_file import GOOGLE_TOKEN_URI, METADATA, AccessToken, TokenFile, issued

_IAM_SCOPES = ["https://www.googleapis.com/auth/iam"]
"""What the source of an impersonation asks for. Source: IAM Credentials API, generateAccessToken."""

_AWS = "urn:ietf:params:aws:token-type:aws4_request"


def renew(file: TokenFile, endpoint: Endpoint) -> tuple[AccessToken, dict[str, Any]]:
    """A new access token, and the fields of the file that change with it (none where the file holds no token)."""
    credentials = _machine(file, endpoint) if file.kind == METADATA else _credentials(file)
    credentials.refresh(endpoint)
    token = issued(credentials.token, credentials.expiry)
    if file.kind not in ("authorized_user", "external_account_authorized_user"):
        return token, {}
    # A refresh token stays, unless the answer brought another.
    expiry = f"{credentials.expiry.isoformat()}Z" if credentials.expiry else None
    changes = {"token": credentials.token, "expiry": expiry, "refresh_token": credentials.refresh_token}
    return token, changes


def _credentials(file: TokenFile) -> Any:
    fields, subject, scopes = file.fields, file.subject, [file.scope]
    address = str(fields.get("service_account_impersonation_url") or "")
    match file.kind:
        case "service_account":
            return _key(fields, subject, scopes)
        case "impersonated_service_account":
            source = _source(fields["source_credentials"], scopes)
            return _acting(source, address, fields.get("delegates"), subject, scopes)
        case "external_account" if address and subject:
            own = {name: value for name, value in fields.items() if not name.startswith("service_account_imp")}
            return _acting(_external_account(own, _IAM_SCOPES), address, None, subject, scopes)
        case "external_account" if subject:
            raise CredentialsError(
                f"{file.path}: a subject ({subject}) needs a service account that acts for it: make the file anew with "
                "service_account_impersonation_url, or remove subject from the settings."
            )
        case "external_account":
            return _external_account(fields, scopes)
        case "external_account_authorized_user":
            return _workforce(fields)
        case _:
            return _authorized_user(fields)


def _source(fields: Mapping[str, Any], scopes: list[str]) -> Any:
    """The credentials that impersonate. Source: google-auth `impersonated_credentials`."""
    match fields.get("type"):
        case "service_account":
            return _key(fields, None, scopes)
        case "external_account":
            return _external_account(dict(fields), _IAM_SCOPES)
        case "external_account_authorized_user":
            return _workforce(fields)
        case _:
            return _authorized_user(fields)


def _authorized_user(fields: Mapping[str, Any]) -> Any:
    """Built field by field, since `from_authorized_user_info` puts Google's token_uri in the place of the file's.

    No scopes are asked for, so that the answer covers, and names, all that were granted (RFC 6749 section 6).
    """
    from google.oauth2.credentials import Credentials as AuthorizedUser

    return AuthorizedUser(  # type: ignore[no-untyped-call]
        fields.get("token"),
        refresh_token=fields["refresh_token"],
        token_uri=fields.get("token_uri") or GOOGLE_TOKEN_URI,
        client_id=fields["client_id"],
        client_secret=fields.get("client_secret", ""),
    )


def _workforce(fields: Mapping[str, Any]) -> Any:
    from google.auth.external_account_authorized_user import Credentials as Workforce

    return Workforce.from_info(fields)  # type: ignore[no-untyped-call]


def _key(fields: Mapping[str, Any], subject: str | None, scopes: list[str]) -> Any:
    from google.oauth2.service_account import Credentials as ServiceAccount

    named = {name: value for name, value in fields.items() if value is not None}
    return ServiceAccount.from_service_account_info(  # type: ignore[no-untyped-call]
        {"token_uri": GOOGLE_TOKEN_URI, **named}, scopes=scopes, subject=subject
    )


def _external_account(fields: dict[str, Any], scopes: list[str]) -> Any:
    """A workload's own identity, exchanged for Google's. Source: AIP-4117; google-auth `_default`."""
    from google.auth import aws, identity_pool, pluggable

    if fields["subject_token_type"] == _AWS:
        return aws.Credentials.from_info(fields, scopes=scopes)  # type: ignore[no-untyped-call]
    if "executable" in fields["credential_source"]:
        return pluggable.Credentials.from_info(fields, scopes=scopes)  # type: ignore[no-untyped-call]
    return identity_pool.Credentials.from_info(fields, scopes=scopes)  # type: ignore[no-untyped-call]


def _acting(source: Any, address: str, delegates: list[str] | None, subject: str | None, scopes: list[str]) -> Any:
    """`source` acts as the service account of the address, and that one for `subject`, where there is one."""
    from google.auth.impersonated_credentials import Credentials as Impersonated

    account = re.search(r"/serviceAccounts/([^/:]+):generateAccessToken$", address)
    if account is None:
        raise ValueError("service_account_impersonation_url names no service account")
    return Impersonated(  # type: ignore[no-untyped-call]
        source,
        target_principal=account[1],
        target_scopes=scopes,
        delegates=delegates or [],
        subject=subject,
        iam_endpoint_override=address,
    )


def _machine(file: TokenFile, endpoint: Endpoint) -> Any:
    """The identity of a machine of Google's (Cloud Run, Compute Engine, GKE), from its metadata server.

    For a `subject` it signs by IAM as itself, so it needs roles/iam.serviceAccountTokenCreator on itself.
    """
    from google.auth.compute_engine import Credentials as Machine

    # With a domain given, google-auth doesn't ask for it by an HTTP client of its own.
    own = Machine(  # type: ignore[no-untyped-call]
        scopes=_IAM_SCOPES if file.subject else [file.scope], universe_domain="googleapis.com"
    )
    if file.subject is None:
        return own
    own.refresh(endpoint)  # type: ignore[no-untyped-call]
    account = own.service_account_email
    address = f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
    return _acting(own, address, None, file.subject, [file.scope])
