"""Google's refusals -> ours: by reason first, since a 403 can mean "wait" as well as "never".

Source: Drive guide, 'Resolve errors'; reasons beyond it are those that Drive's clients have met.
"""

import email.utils
import json
import time
from collections.abc import Callable, Mapping

from function.core.errors import (
    AlreadyExists,
    BadRequest,
    CredentialsError,
    DriveError,
    NotFound,
    SessionLost,
    TransientDriveError,
    UploadError,
)

DAY_S = 86400.0
"""A Retry-After beyond it is no use to anyone."""

RATE_LIMITS = frozenset(
    {"rateLimitExceeded", "userRateLimitExceeded", "sharingRateLimitExceeded", "RATE_LIMIT_EXCEEDED"}
)
DAILY_LIMITS = frozenset({"dailyLimitExceeded", "quotaExceeded"})
PERMISSIONS = frozenset(
    {
        "insufficientFilePermissions",
        "insufficientParentPermissions",
        "teamDriveMembershipRequired",
        "fileOwnerNotMemberOfTeamDrive",
        "appNotAuthorizedToFile",
        "domainPolicy",
        "accessNotConfigured",
        "SERVICE_DISABLED",
        "forbidden",
    }
)
SCOPES = frozenset({"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"})


def translate(status: int, headers: Mapping[str, str], body: bytes) -> UploadError:
    """The error that an answer of 400 or above stands for."""
    reason, said = _read(body)
    message = f"Drive answered {status}{f' {reason}' if reason else ''}: {(said or 'no explanation').rstrip('.')}"
    if status == 429 or reason in RATE_LIMITS:
        return TransientDriveError(
            f"{message}; call again later.", reason="rate_limited", retry_after_s=retry_after_s(headers)
        )
    if status == 408 or status >= 500:
        return TransientDriveError(f"{message}; call again later.", retry_after_s=retry_after_s(headers))
    by_status = _BY_STATUS.get(status)
    return by_status(message) if by_status else _forbidden(reason, message)


_BY_STATUS: dict[int, Callable[[str], UploadError]] = {
    400: lambda message: BadRequest(f"{message}."),
    401: lambda message: CredentialsError(f"{message}. The access token is refused: authorize again."),
    404: lambda message: NotFound(f"{message}."),
    409: lambda message: AlreadyExists(f"{message}."),
    410: lambda message: SessionLost(f"{message}."),
    413: lambda message: DriveError(f"{message}.", reason="file_too_large"),
}


def _forbidden(reason: str | None, message: str) -> UploadError:
    if reason in DAILY_LIMITS:
        return DriveError(f"{message}. The day's quota is used up; call again tomorrow.", reason="rate_limited")
    if reason == "storageQuotaExceeded":
        return DriveError(
            f"{message}. Free some space; a service account has none and needs a shared drive.",
            reason="storage_quota_exceeded",
        )
    if reason in SCOPES:
        return CredentialsError(f"{message}. The token's scope is too small: authorize again with the drive scope.")
    if reason in PERMISSIONS:
        return DriveError(f"{message}.", reason="permission_denied")
    return DriveError(f"{message}.")


def _read(body: bytes) -> tuple[str | None, str | None]:
    """Reason and message of Google's envelope, old or new; upload traffic and load balancers answer text or HTML."""
    try:
        error = json.loads(body)["error"]
        details = [*error.get("errors", ()), *error.get("details", ())]
        reason = next((each["reason"] for each in details if "reason" in each), None)
        return reason, str(error.get("message", ""))[:300]
    except (ValueError, KeyError, TypeError, AttributeError):
        text = body[:300].decode("utf-8", "replace").strip()
        return None, None if text.startswith("<") else text


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
