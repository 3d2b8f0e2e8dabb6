"""What can go wrong, as the answer and the log name it.

    UploadError
    ├── InvalidPayload            the request is wrong
    ├── SettingsError             paths.json is wrong: nothing runs until it is mended
    ├── SourceError               the local file is missing, outside, unreadable or changed while it was read
    ├── CredentialsError          drive_token.json is missing, malformed, expired or revoked
    ├── Locked                    another invocation holds the destination
    ├── DeadlineExceeded          the time budget of the invocation is spent
    ├── VolumeUnavailable         the home cannot be written
    ├── DestinationExists         if_exists is "fail" and the name holds other content
    ├── IntegrityError            what Drive stored is not what was sent
    └── DriveError                Drive refused
        ├── BadRequest            400: something in the request is not acceptable
        │   └── MetadataRefused   properties or description, by name
        ├── NotFound              no such id, or no right to see it
        ├── AlreadyExists         409: the id of a create is taken
        ├── SessionLost           the resumable session is unknown or gone
        └── TransientDriveError   429, 5xx, rate limits, dropped connections: what was asked may have happened
            └── LookFailed        a listing that wasn't answered whole

Every error carries a stable `reason` of the contract's table; `HTTP_CODE` and `RETRYABLE_REASONS` are that table.
"""

from typing import Final

HTTP_CODE: Final[dict[str, int]] = {
    "invalid_payload": 400,
    "batch_too_large": 400,
    "path_outside_data_root": 403,
    "source_forbidden": 403,
    "source_missing": 404,
    "source_not_a_file": 404,
    "source_unreadable": 404,
    "destination_exists": 409,
    "drive_rejected": 422,
    "file_too_large": 422,
    "settings_invalid": 503,
    "credentials_missing": 503,
    "credentials_invalid": 503,
    "credentials_expired": 503,
    "locked": 503,
    "rate_limited": 503,
    "storage_quota_exceeded": 503,
    "drive_root_not_found": 503,
    "permission_denied": 503,
    "drive_unavailable": 503,
    "network": 503,
    "deadline_exceeded": 503,
    "source_changed": 503,
    "checksum_mismatch": 503,
    "volume_unavailable": 503,
}
"""Reason -> HTTP code of the answer."""

RETRYABLE_REASONS: Final = frozenset(reason for reason, code in HTTP_CODE.items() if code == 503)
"""Reasons that the same call can succeed after: by itself, or when a person has mended something."""

SOON_S: Final = 30.0
"""For a rate, an outage, another invocation at work: what passes by itself."""

HOUR_S: Final = 3600.0
"""For what a person must mend, and for a day's limit: asking sooner only costs requests."""

RETRY_AFTER_S: Final[dict[str, float]] = dict.fromkeys(RETRYABLE_REASONS, SOON_S) | dict.fromkeys(
    (
        "settings_invalid",
        "credentials_missing",
        "credentials_invalid",
        "credentials_expired",
        "storage_quota_exceeded",
        "drive_root_not_found",
        "permission_denied",
    ),
    HOUR_S,
)
"""Retryable reason -> seconds after which to call again, where the error names no time of its own."""


class UploadError(Exception):
    """A failure with a machine-readable reason and one sentence that names the file or field and what to do."""

    default_reason = "drive_unavailable"

    def __init__(self, message: str, *, reason: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.retry_after_s = retry_after_s

    @property
    def is_retryable(self) -> bool:
        """Whether the same call can succeed later."""
        return self.reason in RETRYABLE_REASONS


class InvalidPayload(UploadError):
    """The request is not acceptable; nothing was tried."""

    default_reason = "invalid_payload"


class SettingsError(UploadError):
    """paths.json or a DRIVE_UPLOAD_ variable is missing or wrong."""

    default_reason = "settings_invalid"


class SourceError(UploadError):
    """The local file can't be uploaded as it is."""

    default_reason = "source_missing"


class CredentialsError(UploadError):
    """No usable credentials: reasons credentials_missing, credentials_invalid, credentials_expired."""

    default_reason = "credentials_invalid"


class Locked(UploadError):
    """Others work on the destination, and did not finish in time."""

    default_reason = "locked"


class DeadlineExceeded(UploadError):
    """The time budget is spent; the next call goes on where this one stopped."""

    default_reason = "deadline_exceeded"


class VolumeUnavailable(UploadError):
    """State or log can't be written."""

    default_reason = "volume_unavailable"


class DestinationExists(UploadError):
    """The name holds other content and the policy forbids to go on."""

    default_reason = "destination_exists"


class IntegrityError(UploadError):
    """Drive's size or checksum differs from the source's."""

    default_reason = "checksum_mismatch"


class DriveError(UploadError):
    """Drive refused, and the same request would be refused again now."""

    default_reason = "drive_rejected"


class BadRequest(DriveError):
    """Drive can't accept the request as it is: a reserved id gone stale, or metadata it doesn't like."""


class MetadataRefused(BadRequest):
    """Drive doesn't take what travels with the content: the same goes up without it."""


class NotFound(DriveError):
    """No such id, or no right to see it."""

    default_reason = "drive_unavailable"


class AlreadyExists(DriveError):
    """409 on a create that carried an id: look at the id."""

    default_reason = "drive_unavailable"


class SessionLost(DriveError):
    """The resumable session is unknown, gone or not to be had: start a new one."""

    default_reason = "drive_unavailable"


class TransientDriveError(DriveError):
    """Drive or the network faltered: what was asked may have happened.

    Reasons: rate_limited, drive_unavailable, network. `wait_s` is what Drive asked to wait before the same request,
    `retry_after_s` when to call again where further tries in this call didn't help; they are one unless both are given.
    """

    default_reason = "drive_unavailable"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        retry_after_s: float | None = None,
        wait_s: float | None = None,
    ) -> None:
        super().__init__(message, reason=reason, retry_after_s=retry_after_s)
        self.wait_s = retry_after_s if wait_s is None else wait_s


class LookFailed(TransientDriveError):
    """A listing was not answered whole: it says nothing, and least of all that there is nothing."""
