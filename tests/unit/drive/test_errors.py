"""Google's refusals as ours: every row of what is known of them."""

import json
import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.core.errors import (
    HTTP_CODE,
    AlreadyExists,
    BadRequest,
    CredentialsError,
    DriveError,
    NotFound,
    SessionLost,
    TransientDriveError,
    UploadError,
)
from function.drive.errors import retry_after_s, translate

ROWS: list[tuple[int, str | None, type[UploadError], str]] = [
    *((400, reason, BadRequest, "drive_rejected") for reason in ("badRequest", "invalid", "invalidParameter")),
    *((400, reason, BadRequest, "drive_rejected") for reason in ("parseError", "failedPrecondition")),
    (401, "authError", CredentialsError, "credentials_invalid"),
    *(
        (403, reason, TransientDriveError, "rate_limited")
        for reason in ("rateLimitExceeded", "userRateLimitExceeded", "sharingRateLimitExceeded")
    ),
    (403, "dailyLimitExceeded", DriveError, "rate_limited"),
    (403, "quotaExceeded", DriveError, "rate_limited"),
    (403, "storageQuotaExceeded", DriveError, "storage_quota_exceeded"),
    *(
        (403, reason, DriveError, "drive_rejected")
        for reason in (
            "teamDriveFileLimitExceeded", "numChildrenInNonRootLimitExceeded", "activeItemCreationLimitExceeded",
            "myDriveHierarchyDepthLimitExceeded", "teamDriveHierarchyTooDeep", "cannotAddParent",
            "teamDrivesParentLimit", "fileNotDownloadable", None,
        )
    ),
    *(
        (403, reason, DriveError, "permission_denied")
        for reason in (
            "insufficientFilePermissions", "insufficientParentPermissions", "teamDriveMembershipRequired",
            "fileOwnerNotMemberOfTeamDrive", "appNotAuthorizedToFile", "domainPolicy", "accessNotConfigured",
        )
    ),
    (403, "insufficientPermissions", CredentialsError, "credentials_invalid"),
    (404, "notFound", NotFound, "drive_rejected"),
    (408, None, TransientDriveError, "drive_unavailable"),
    (409, "fileIdInUse", AlreadyExists, "drive_rejected"),
    (409, "duplicate", AlreadyExists, "drive_rejected"),
    (410, None, SessionLost, "drive_rejected"),
    (412, "conditionNotMet", DriveError, "drive_rejected"),
    (413, "uploadTooLarge", DriveError, "file_too_large"),
    (429, "rateLimitExceeded", TransientDriveError, "rate_limited"),
    (429, None, TransientDriveError, "rate_limited"),
    *(
        (status, reason, TransientDriveError, "drive_unavailable")
        for status in (500, 502, 503, 504)
        for reason in ("backendError", "internalError", "transientError", "unknownError", "serviceNotAvailable", None)
    ),
]  # fmt: skip


def envelope(status: int, reason: str | None, message: str = "Said Google.") -> bytes:
    """Google's body."""
    error = {"domain": "global", "reason": reason, "message": message} if reason else {}
    return json.dumps({"error": {"errors": [error] if reason else [], "code": status, "message": message}}).encode()


@pytest.mark.parametrize(("status", "reason", "kind", "ours"), ROWS)
def test_a_refusal_by_its_reason(status: int, reason: str | None, kind: type[UploadError], ours: str) -> None:
    """The type tells what may be done again, the reason what the caller is told; the sentence holds Google's."""
    error = translate(status, {}, envelope(status, reason))

    assert (type(error), error.reason) == (kind, ours)
    assert error.reason in HTTP_CODE
    assert str(status) in error.message
    assert (reason or "") in error.message
    assert "Said Google" in error.message
    assert error.message.endswith(".")


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("RATE_LIMIT_EXCEEDED", "rate_limited"),
        ("SERVICE_DISABLED", "permission_denied"),
        ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "credentials_invalid"),
    ],
)
def test_the_newer_envelope(reason: str, ours: str) -> None:
    """ErrorInfo in `details`, without `errors`."""
    details = [{"@type": "type.googleapis.com/google.rpc.Help"}, {"@type": "…ErrorInfo", "reason": reason}]
    body = {"error": {"code": 403, "message": "No.", "status": "PERMISSION_DENIED", "details": details}}

    assert translate(403, {}, json.dumps(body).encode()).reason == ours


def test_text_is_quoted_and_pages_are_not() -> None:
    """Upload traffic answers plain text, load balancers HTML."""
    assert "Failed to parse Content-Range" in translate(400, {}, b"Failed to parse Content-Range header.").message
    assert "<" not in translate(502, {}, b"<!DOCTYPE html><html>...").message


@given(st.integers(400, 599), st.binary(max_size=80) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["error", "errors", "details", "reason", "message"]), inner, max_size=3
    ),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_body_is_translated(status: int, body: bytes) -> None:
    """Whatever stands in the body, an error of ours with a reason of the table comes out."""
    error = translate(status, {}, body)

    assert isinstance(error, UploadError)
    assert error.reason in HTTP_CODE
    assert isinstance(error, TransientDriveError) == (
        status in (408, 429) or status >= 500 or error.reason == "rate_limited"
    )


def test_retry_after_in_both_forms() -> None:
    """Seconds, an HTTP date, and nothing where it can't be read."""
    assert retry_after_s({"retry-after": "17"}) == 17
    assert 28 < (retry_after_s({"retry-after": formatdate(time.time() + 30, usegmt=True)}) or 0) <= 31
    assert retry_after_s({"retry-after": formatdate(0, usegmt=True)}) == 0
    assert [retry_after_s({"retry-after": value}) for value in ("", "soon", "-5", "1e999", "²")] == [None] * 5
    assert retry_after_s({}) is None
    assert retry_after_s({"retry-after": "9" * 400}) == 86400
