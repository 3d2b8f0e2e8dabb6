"""Google's refusals -> ours.

A verdict needs a witness. What ends an upload for good is only what Google's own JSON envelope says about this very
file. A page of HTML, a redirect, a proxy's refusal, a code without a reason: none of them speaks of the file, and the
same call may succeed later.

Two questions are answered here, for different askers. Is the same request sent again within the call? By type: only a
TransientDriveError is (`core.retry`). Does the same call succeed later? By reason: `core.errors.HTTP_CODE`, after the
`retry_after_s` of the error or of its reason.

Source: Drive guide, 'Resolve errors'; reasons beyond it are those that Drive's clients have met.
"""

import email.utils
import json
import re
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from function.core.errors import (
    HOUR_S,
    HTTP_CODE,
    AlreadyExists,
    BadRequest,
    CredentialsError,
    DriveError,
    MetadataRefused,
    NotFound,
    TransientDriveError,
    UploadError,
)

DAY_S = 86400.0
"""A Retry-After beyond it is no use to anyone."""

QUOTED_MAX = 200
"""Characters of Google's message in ours."""


class Verdict(msgspec.Struct, frozen=True):
    """What a reason of Google's means: our error's type and reason, and what to do, as a sentence."""

    kind: type[UploadError]
    reason: str
    advice: str
    retry_after_s: float | None = None
    """None: as `core.errors.RETRY_AFTER_S` has it for the reason."""


AGAIN: Final = "Call again later."

_TABLE: Final[tuple[tuple[str, Verdict], ...]] = (
    (
        """rateLimitExceeded userRateLimitExceeded userRateLimitExceededUnreg sharingRateLimitExceeded
        RATE_LIMIT_EXCEEDED RESOURCE_EXHAUSTED""",
        Verdict(TransientDriveError, "rate_limited", AGAIN),
    ),
    (
        "dailyLimitExceeded dailyLimitExceededUnreg quotaExceeded",
        Verdict(DriveError, "rate_limited", "The day's quota is used up: call again tomorrow.", HOUR_S),
    ),
    (
        "backendError internalError transientError unknownError serviceNotAvailable INTERNAL UNAVAILABLE",
        Verdict(TransientDriveError, "drive_unavailable", AGAIN),
    ),
    (
        "storageQuotaExceeded",
        Verdict(DriveError, "storage_quota_exceeded", "Free some space on this Drive, or get more."),
    ),
    (
        "teamDriveFileLimitExceeded",
        Verdict(DriveError, "storage_quota_exceeded", "The shared drive holds as many items as it may: remove some."),
    ),
    (
        "numChildrenInNonRootLimitExceeded",
        Verdict(DriveError, "storage_quota_exceeded", "The folder holds as many items as it may: move some elsewhere."),
    ),
    (
        "activeItemCreationLimitExceeded",
        Verdict(DriveError, "storage_quota_exceeded", "This account has as many items as it may: delete some."),
    ),
    (
        "teamDriveHierarchyTooDeep myDriveHierarchyDepthLimitExceeded",
        Verdict(DriveError, "permission_denied", "The folders are nested too deep: name a drive_root further up."),
    ),
    (
        """insufficientFilePermissions insufficientParentPermissions forbidden PERMISSION_DENIED
        fileWriterTeamDriveMoveInDisabled teamDrivesFolderMoveInNotSupported teamDrivesParentLimit""",
        Verdict(DriveError, "permission_denied", "Let this account edit the folder that drive_root names."),
    ),
    (
        "teamDriveMembershipRequired fileOwnerNotMemberOfTeamDrive",
        Verdict(DriveError, "permission_denied", "Make this account a member of the shared drive."),
    ),
    (
        "appNotAuthorizedToFile",
        Verdict(
            DriveError, "permission_denied", "The token's scope shows only the app's own files: authorize for drive."
        ),
    ),
    (
        "domainPolicy",
        Verdict(
            DriveError, "permission_denied", "The organisation's administrator forbids it: ask them to allow the app."
        ),
    ),
    (
        "accessNotConfigured SERVICE_DISABLED",
        Verdict(
            DriveError,
            "permission_denied",
            "Enable the Google Drive API in the Google Cloud project of the token; that takes some minutes to count.",
        ),
    ),
    (
        """API_KEY_INVALID keyInvalid keyExpired USER_PROJECT_DENIED BILLING_DISABLED CONSUMER_INVALID
        CONSUMER_SUSPENDED""",
        Verdict(DriveError, "permission_denied", "Mend it in the Google Cloud project of the token."),
    ),
    (
        "insufficientPermissions insufficientScopes ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        Verdict(
            CredentialsError, "credentials_invalid", "The token's scope is too small: authorize for the drive scope."
        ),
    ),
    (
        "authError UNAUTHENTICATED",
        Verdict(CredentialsError, "credentials_invalid", "The access token is refused: authorize again."),
    ),
    (
        "propertyLengthLimitExceeded propertiesLimitExceeded",
        Verdict(MetadataRefused, "drive_rejected", "Drive doesn't take this metadata."),
    ),
    (
        "cannotAddParent",
        Verdict(DriveError, "drive_unavailable", "The file is being moved by someone else: call again later."),
    ),
    (
        "uploadTooLarge maxFileSizeExceeded fileTooLarge",
        Verdict(DriveError, "file_too_large", "Drive takes no file of this size."),
    ),
)

VERDICTS: Final = {reason: verdict for reasons, verdict in _TABLE for reason in reasons.split()}
"""Google's reason -> what it means."""

_NO_SPACE_OF_ITS_OWN: Final = Verdict(
    DriveError,
    "storage_quota_exceeded",
    "A service account has no space of its own: let drive_root be in a shared drive, or name a user as the account's "
    "subject.",
)
_UPLOADS_OF_A_DAY: Final = Verdict(
    TransientDriveError, "rate_limited", "If it lasts, the 750 GB that a user may upload a day are used up.", HOUR_S
)
_NO_SUCH_SHARED_DRIVE: Final = Verdict(
    DriveError, "drive_root_not_found", "Mend drive_root, or make this account a member of that shared drive."
)
_FORBIDDEN: Final = Verdict(DriveError, "permission_denied", "Mend what it says, and call again.")
_FOR_GOOD: Final = Verdict(BadRequest, "drive_rejected", "Drive would refuse it again.")
_NOT_NOW: Final = Verdict(BadRequest, "drive_unavailable", "It says nothing about this file: call again later.")
_ABOUT_THE_FILE: Final = frozenset(("badRequest", "invalid", "invalidParameter", "parseError", "required"))
"""Reasons of a 400 that mean what was sent; all others mean who sent it, from where, or to which folder."""

_NO_SUCH_ID: Final = Verdict(NotFound, "drive_unavailable", AGAIN)
_ID_TAKEN: Final = Verdict(AlreadyExists, "drive_unavailable", AGAIN)
_ON_THE_WAY: Final = {
    407: Verdict(TransientDriveError, "network", "A proxy wants other credentials: mend HTTPS_PROXY.", HOUR_S),
    413: Verdict(TransientDriveError, "network", "Something before Drive takes no request of this size.", HOUR_S),
    429: VERDICTS["rateLimitExceeded"],
}
"""Codes whose answer carries no word of Google's."""


def translate(status: int, headers: Mapping[str, str], body: bytes, *, to_content: bool = False) -> UploadError:
    """The error that an answer of 300 or above stands for; `to_content`: to a request that brings or begins a content.

    `headers` have lower-case names.
    """
    envelope = _Envelope.read(status, body)
    verdict = _verdict(status, envelope)
    if not to_content and HTTP_CODE[verdict.reason] == 422:  # of a look or of a folder: no word about the file
        verdict = msgspec.structs.replace(verdict, reason="drive_unavailable", advice=AGAIN)
    if to_content and envelope and envelope.is_days_limit:
        verdict = _UPLOADS_OF_A_DAY
    if envelope is None:
        said = f"Drive, or something on the way to it, answered {status} without a reason"
    else:
        said = f"Drive answered {status} {envelope.reason}: {quotable(envelope.message)}"
    return _error(verdict, f"{said}. {verdict.advice}", retry_after_s(headers))


def _error(verdict: Verdict, message: str, asked_s: float | None) -> UploadError:
    if verdict.kind is TransientDriveError:
        later_s = verdict.retry_after_s if asked_s is None else asked_s
        return TransientDriveError(message, reason=verdict.reason, retry_after_s=later_s, wait_s=asked_s or 0.0)
    return verdict.kind(message, reason=verdict.reason, retry_after_s=verdict.retry_after_s)


def _verdict(status: int, envelope: "_Envelope | None") -> Verdict:
    if envelope is None or (status >= 500 or status == 408):
        by_reason = VERDICTS.get(envelope.reason) if envelope else None
        is_rate = by_reason is not None and by_reason.reason == "rate_limited"
        return by_reason if by_reason and is_rate else _on_the_way(status)
    return (
        _by_what_it_says(envelope) or VERDICTS.get(envelope.reason) or _by_code(status, envelope) or _on_the_way(status)
    )


def _by_code(status: int, envelope: "_Envelope") -> Verdict | None:
    """What Drive's own codes mean with a reason that isn't in the table."""
    if status == 400:
        is_about_it = envelope.reason in _ABOUT_THE_FILE and envelope.location != "parents"
        return _FOR_GOOD if is_about_it else _NOT_NOW
    if status == 404:
        return _NO_SUCH_ID if envelope.reason == "notFound" else None
    return {403: _FORBIDDEN, 409: _ID_TAKEN}.get(status)


def _on_the_way(status: int) -> Verdict:
    if 300 <= status < 400:
        return Verdict(
            TransientDriveError, "network", "A portal or a proxy on the way redirects: let it through.", HOUR_S
        )
    return _ON_THE_WAY.get(status) or Verdict(TransientDriveError, "drive_unavailable", AGAIN)


def _by_what_it_says(envelope: "_Envelope") -> Verdict | None:
    """Where one reason stands for several causes, the message tells them apart."""
    reason, message = envelope.reason, envelope.message.lower()
    if reason in ("storageQuotaExceeded", "quotaExceeded") and "service account" in message:
        return _NO_SPACE_OF_ITS_OWN
    if reason == "quotaExceeded" and "storage quota" in message:
        return VERDICTS["storageQuotaExceeded"]
    if envelope.code == 404 and message.startswith("shared drive not found"):
        return _NO_SUCH_SHARED_DRIVE
    if envelope.code == 400 and re.search(
        r"propert|description|modified.?time|mime.?type", f"{envelope.location} {message}"
    ):
        return VERDICTS["propertiesLimitExceeded"]
    return None


class _Envelope(msgspec.Struct, frozen=True):
    """What Google says: `{"error": {"code", "message", "errors": [{"reason", "location"}], "status", "details"}}`."""

    code: int
    reason: str
    message: str
    location: str

    @property
    def is_days_limit(self) -> bool:
        """750 GB a day have no reason of their own. A rate's message goes on after this sentence."""
        return self.reason == "userRateLimitExceeded" and self.message == "User rate limit exceeded."

    @classmethod
    def read(cls, status: int, body: bytes) -> "_Envelope | None":
        """The body's envelope; None where it is none of Google's, or gives no reason."""
        try:
            error = json.loads(body)["error"]
            errors, details = error.get("errors", ()), error.get("details", ())
            exact, plain = ([str(each["reason"]) for each in part if "reason" in each] for part in (details, errors))
            location = next((str(each["location"]) for each in errors if "location" in each), "")
            known = [each for each in [*exact, *plain, str(error.get("status"))] if each in VERDICTS]
            reason = (known or plain or exact or [str(error["status"])])[0]
            if error["code"] != status or not re.fullmatch(r"\w{1,60}", reason):
                return None
            return cls(status, reason, str(error.get("message") or "no explanation"), location.lower())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


_SECRET: Final = re.compile(
    r"(?i:bearer|basic)\s+\S+|ya29\.\S+|1//\S+|GOCSPX-\S+|AIza\S+|eyJ[\w-]+\.\S*|(?i:upload_id|access_token|key)=[^&\s]+"
    r"|[\w.~+/=-]{60,}"
)
"""What looks like a token, a key or a session: a gateway may put what it was sent into an envelope of its own."""


def quotable(message: str) -> str:
    """What an answer says, on one short line, without what looks like a secret."""
    text = " ".join(_SECRET.sub("…", message).split())
    text = "".join(each for each in text if each.isprintable())
    return (text if len(text) <= QUOTED_MAX else f"{text[:QUOTED_MAX]}…").rstrip(". ") or "no explanation"


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header, given in seconds or as an HTTP date."""
    value = headers.get("retry-after")
    if not value:
        return None
    if value.isascii() and value.strip().isdigit():
        return min(float(value), DAY_S)
    try:
        return min(max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time()), DAY_S)
    except ValueError:
        return None
