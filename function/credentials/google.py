"""Access tokens for google-auth's kinds of credentials; google-auth is imported when one has to be renewed."""

from typing import Any

from function.core.deadline import Deadline
from function.core.errors import CredentialsError, TransientDriveError, UploadError
from function.credentials import access_token, token_endpoint
from function.credentials.access_token import AccessToken
from function.credentials.token_file import WRITE_SCOPES, TokenFile, require_write_scope

GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105

_KEY_SCOPES = [WRITE_SCOPES[-1]]
"""What keys and workloads ask for: no one has to consent, and drive.file would hide folders shared with them."""

_GOOGLE = "https://oauth2.googleapis.com/token"

_AWS = "urn:ietf:params:aws:token-type:aws4_request"


def renew(file: TokenFile, deadline: Deadline, token_uri_override: str | None) -> tuple[AccessToken, dict[str, Any]]:
    """A new access token, and the fields of the file that change with it (none where the file holds no token).

    Raises CredentialsError, TransientDriveError, DeadlineExceeded.
    """
    from google.auth import exceptions

    from function.drive import http as transport

    with transport.pool(token_uri_override or _GOOGLE) as connections:
        endpoint = token_endpoint.Endpoint(connections, deadline, token_uri_override)
        try:
            credentials = _credentials(file)
            credentials.refresh(endpoint)
        except exceptions.TransportError as error:
            raise TransientDriveError(f"{file.path}: the machine's identity can't be asked for; call again.") from error
        except exceptions.RefreshError as error:
            raise _refused(file, endpoint, str(error.args[0])) from error
        except (exceptions.GoogleAuthError, ValueError, TypeError, KeyError, AttributeError) as error:
            # Their texts can quote the file's content.
            raise _refused(file, endpoint, f"damaged, {type(error).__name__}") from None
    if file.kind != "authorized_user":
        return access_token.issued(credentials.token, credentials.expiry), {}
    require_write_scope(file.path, endpoint.granted_scopes)
    return access_token.issued(credentials.token, credentials.expiry), _changes(credentials)


def _refused(file: TokenFile, endpoint: token_endpoint.Endpoint, what: str) -> UploadError:
    """By the endpoint's code; where nothing was answered yet, by what google-auth misses on this machine."""
    if endpoint.error_code is not None:
        return token_endpoint.refusal(file.path, endpoint.error_code)
    return CredentialsError(f"{file.path}: its {file.kind} credentials are no use ({' '.join(what.split())}); mend it.")


def _changes(credentials: Any) -> dict[str, Any]:
    """What the file holds anew; the refresh token stays, unless the answer brought another."""
    expiry = f"{credentials.expiry.isoformat()}Z" if credentials.expiry else None
    return {"token": credentials.token, "expiry": expiry, "refresh_token": credentials.refresh_token}


def _credentials(file: TokenFile) -> Any:
    fields = file.fields
    match file.kind:
        case "authorized_user":
            return _authorized_user(fields)
        case "service_account":
            from google.oauth2.service_account import Credentials as ServiceAccount

            return ServiceAccount.from_service_account_info(  # type: ignore[no-untyped-call]
                {"token_uri": GOOGLE_TOKEN_URI, **fields}, scopes=_KEY_SCOPES
            )
        case "impersonated_service_account":
            from google.auth.impersonated_credentials import Credentials as Impersonated

            return Impersonated.from_impersonated_service_account_info(fields, scopes=_KEY_SCOPES)  # type: ignore[no-untyped-call]
        case "external_account_authorized_user":
            from google.auth.external_account_authorized_user import Credentials as Workforce

            return Workforce.from_info(fields)  # type: ignore[no-untyped-call]
        case _:
            return _external_account(fields)


def _authorized_user(fields: dict[str, Any]) -> Any:
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


def _external_account(fields: dict[str, Any]) -> Any:
    """A workload's own identity, exchanged for Google's. Source: AIP-4117; google-auth `_default`."""
    from google.auth import aws, identity_pool, pluggable

    if fields["subject_token_type"] == _AWS:
        return aws.Credentials.from_info(fields, scopes=_KEY_SCOPES)  # type: ignore[no-untyped-call]
    if "executable" in fields["credential_source"]:
        return pluggable.Credentials.from_info(fields, scopes=_KEY_SCOPES)  # type: ignore[no-untyped-call]
    return identity_pool.Credentials.from_info(fields, scopes=_KEY_SCOPES)  # type: ignore[no-untyped-call]
