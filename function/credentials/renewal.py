"""One renewal of an access token, by the library that knows the token file's kind, behind a wall.

The wall is `guarded`: no exception of google-auth, oauth2client, PyDrive2 or urllib3 passes it, since their texts quote
files, requests and answers. What passes are errors of ours, in our words, without a link to what they stand for.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, TypeVar

from function.core.errors import HOUR_S, SOON_S, CredentialsError, TransientDriveError, UploadError
from function.core.retry import Deadline
from function.credentials import refusals
from function.credentials.token_endpoint import Endpoint
from function.credentials.token_file import (
    AUTHORIZE,
    DRIVE_SCOPE,
    METADATA,
    AccessToken,
    TokenFile,
    require_write_scope,
)

T = TypeVar("T")

_LIBRARIES = ("google.auth", "google.oauth2", "oauth2client", "pydrive2")
"""Their logs are silenced: oauth2client's quotes refused answers whole, google-auth's the metadata server's."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """What an endpoint issued."""

    token: AccessToken
    changes: dict[str, Any] = field(default_factory=dict, repr=False)
    """The fields of the token file that change with it; none where the file holds no access token."""
    scopes: tuple[str, ...] = ()
    """What was granted; empty where the answer doesn't say."""


def renew(file: TokenFile, deadline: Deadline, token_uri_override: str | None) -> Renewal:
    """A new access token. Raises CredentialsError, TransientDriveError, DeadlineExceeded."""
    if file.kind in ("authorized_user", "pydrive2") and not file.fields.get("refresh_token"):
        raise CredentialsError(
            f"{file.path}: the access token is no longer good and there is no refresh token; {AUTHORIZE}.",
            reason="credentials_expired",
        )
    with Endpoint(deadline, token_uri_override) as endpoint:

        def work() -> Renewal:
            if file.kind.startswith("pydrive2"):
                _require_pydrive2(file)
                from function.credentials import pydrive2_file

                return Renewal(*pydrive2_file.renew(file, endpoint), tuple(endpoint.granted_scopes))
            from function.credentials import google

            return Renewal(*google.renew(file, endpoint), tuple(endpoint.granted_scopes))

        try:
            renewal = guarded(file, endpoint, work)
        except TransientDriveError:
            if file.kind != METADATA or endpoint.error is not None:
                raise
            renewal = None
    if renewal is None:
        raise _no_machine_identity()
    if file.kind in ("authorized_user", "pydrive2") and file.scope == DRIVE_SCOPE:
        require_write_scope(file.path, list(renewal.scopes))
    return renewal


def held_by_pydrive2(file: TokenFile) -> AccessToken | None:
    """The access token in a file that PyDrive2 saved. Raises CredentialsError where PyDrive2 can't load it."""

    def work() -> AccessToken | None:
        _require_pydrive2(file)
        from function.credentials import pydrive2_file

        return pydrive2_file.current(file)

    return guarded(file, None, work)


def _require_pydrive2(file: TokenFile) -> None:
    """Raise CredentialsError where PyDrive2 is missing: it is an extra, since it holds cryptography back."""
    if find_spec("pydrive2") is None:
        raise CredentialsError(
            f"{file.path}: PyDrive2 saved it, which is not installed here; install 'drive-upload[pydrive2]', "
            f"or {AUTHORIZE}."
        )


def guarded(file: TokenFile, endpoint: Endpoint | None, work: Callable[[], T]) -> T:
    """What `work` gives. Raises UploadError only: whatever a library raises is told in our words."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        return work()
    except UploadError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - the wall: a damaged file makes a library raise anything
        failure = _told(file, endpoint, error)
    # Raised here, outside of the handler, so that no traceback leads back to the library's exception.
    failure.__cause__ = failure.__context__ = None
    raise failure.with_traceback(None)


def _told(file: TokenFile, endpoint: Endpoint | None, error: Exception) -> UploadError:
    """By what the endpoint said; where nothing was answered, by what is missing on this machine."""
    name = type(error).__name__
    if endpoint is not None and endpoint.error:
        return refusals.refusal(file, endpoint.error, endpoint.description)
    if endpoint is not None and endpoint.error is not None:
        return TransientDriveError(f"{file.path}: the token endpoint's answer makes no sense ({name}); call again.")
    if file.kind == METADATA:
        return _no_machine_identity()
    source = file.fields.get("credential_source")
    if isinstance(source, dict):
        path = str(source.get("file"))
        # Named only where it can be a path: what was pasted into the wrong field may be a secret.
        own = path if path.startswith("/") and os.path.isdir(os.path.dirname(path)) else "its credential_source"
        return CredentialsError(
            f"{file.path}: the workload's own token can't be got from {own} ({name}); mend credential_source, or let "
            "the machine provide the token there.",
        )
    return CredentialsError(
        f"{file.path}: its {file.kind} credentials are damaged ({name}); put the file there anew.", retry_after_s=HOUR_S
    )


def _no_machine_identity() -> CredentialsError:
    """What to raise where Application Default Credentials are found nowhere."""
    return CredentialsError(
        "application-default: there are none here: GOOGLE_APPLICATION_CREDENTIALS isn't set, nobody has run "
        "'gcloud auth application-default login', and no metadata server of Google's answers; set the variable, or use "
        "a token file.",
        reason="credentials_missing",
        retry_after_s=SOON_S,
    )
