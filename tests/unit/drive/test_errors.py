"""Google's refusals as ours: every row of what is known of them."""

import json
import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.core.errors import (
    HOUR_S,
    HTTP_CODE,
    RETRY_AFTER_S,
    AlreadyExists,
    BadRequest,
    CredentialsError,
    DriveError,
    MetadataRefused,
    NotFound,
    TransientDriveError,
    UploadError,
)
from function.drive.errors import retry_after_s, translate

STORAGE = "storage_quota_exceeded"

ROWS: list[tuple[int, str, type[UploadError], str]] = [
    *((400, reason, BadRequest, "drive_rejected") for reason in ("badRequest", "invalid", "invalidParameter")),
    *((400, reason, BadRequest, "drive_rejected") for reason in ("parseError", "required")),
    *((400, reason, BadRequest, "drive_unavailable") for reason in ("failedPrecondition", "parentNotAFolder")),
    *((400, reason, DriveError, "permission_denied") for reason in ("keyInvalid", "keyExpired")),
    (401, "authError", CredentialsError, "credentials_invalid"),
    *(
        (403, reason, TransientDriveError, "rate_limited")
        for reason in ("rateLimitExceeded", "userRateLimitExceeded", "sharingRateLimitExceeded")
    ),
    *((403, reason, DriveError, "rate_limited") for reason in ("dailyLimitExceeded", "quotaExceeded")),
    *(
        (403, reason, DriveError, "storage_quota_exceeded")
        for reason in (
            "storageQuotaExceeded", "teamDriveFileLimitExceeded", "numChildrenInNonRootLimitExceeded",
            "activeItemCreationLimitExceeded",
        )
    ),
    *(
        (403, reason, DriveError, "permission_denied")
        for reason in (
            "insufficientFilePermissions", "insufficientParentPermissions", "teamDriveMembershipRequired",
            "fileOwnerNotMemberOfTeamDrive", "appNotAuthorizedToFile", "domainPolicy", "accessNotConfigured",
            "teamDriveHierarchyTooDeep", "myDriveHierarchyDepthLimitExceeded", "teamDrivesParentLimit",
            "somethingNobodyKnows",
        )
    ),
    (403, "cannotAddParent", DriveError, "drive_unavailable"),
    (403, "insufficientPermissions", CredentialsError, "credentials_invalid"),
    *((403, f"propert{each}LimitExceeded", MetadataRefused, "drive_rejected") for each in ("ies", "yLength")),
    (404, "notFound", NotFound, "drive_unavailable"),
    (409, "fileIdInUse", AlreadyExists, "drive_unavailable"),
    (409, "duplicate", AlreadyExists, "drive_unavailable"),
    (412, "conditionNotMet", TransientDriveError, "drive_unavailable"),
    (413, "uploadTooLarge", DriveError, "file_too_large"),
    (429, "rateLimitExceeded", TransientDriveError, "rate_limited"),
    *(
        (status, reason, TransientDriveError, "drive_unavailable")
        for status in (408, 500, 502, 503, 504)
        for reason in ("backendError", "internalError", "transientError", "unknownError", "serviceNotAvailable")
    ),
]  # fmt: skip

WITHOUT_A_WORD = [
    *((code, "drive_unavailable") for code in (400, 401, 402, 403, 404, 405, 408, 409, 410, 411, 412, 423, 451, 499)),
    *((code, "drive_unavailable") for code in (500, 502, 503, 504, 520)),
    *((code, "network") for code in (301, 302, 303, 307, 407, 413)),
    (429, "rate_limited"),
]
"""Codes that come without Google's envelope, and our reason."""

NO_WITNESSES = [
    b"",
    b"<!DOCTYPE html><html><title>Sorry</title>",
    b"plain text",
    b'{"error": "access_denied"}',
    b'{"error": {"message": "no reason"}}',
    b'{"error": {"code": 418, "message": "another code", "errors": [{"reason": "uploadTooLarge"}]}}',
    b'{"error": {"code": 403, "message": 5, "errors": "uploadTooLarge"}}',
    b"[" * 10_000,
]


def envelope(status: int, reason: str, message: str = "Said Google.", **more: object) -> bytes:
    """Google's body."""
    error = {"domain": "global", "reason": reason, "message": message, **more}
    return json.dumps({"error": {"errors": [error], "code": status, "message": message}}).encode()


@pytest.mark.parametrize(("status", "reason", "kind", "ours"), ROWS)
def test_a_refusal_by_its_reason(status: int, reason: str, kind: type[UploadError], ours: str) -> None:
    """The type tells what may be done again, the reason what the caller is told; the sentence holds Google's."""
    error = translate(status, {}, envelope(status, reason), to_content=True)

    assert (type(error), error.reason) == (kind, ours)
    assert error.reason in HTTP_CODE
    assert str(status) in error.message
    assert reason in error.message
    assert "Said Google" in error.message
    assert error.message.endswith(".")
    assert RETRY_AFTER_S.get(ours) != HOUR_S or error.retry_after_s in (None, HOUR_S)


@pytest.mark.parametrize(("status", "ours"), WITHOUT_A_WORD)
@pytest.mark.parametrize("body", NO_WITNESSES, ids=lambda body: body[:24].decode())
def test_what_is_not_googles_word_is_no_verdict(status: int, ours: str, body: bytes) -> None:
    """Whatever the code: the same request may be sent again, nothing of the body is repeated, and a person is told."""
    error = translate(status, {}, body)

    assert (type(error), error.reason) == (TransientDriveError, ours)
    assert str(status) in error.message
    assert not any(word in error.message for word in ("Sorry", "plain", "access_denied", "another"))


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("RATE_LIMIT_EXCEEDED", "rate_limited"),
        ("SERVICE_DISABLED", "permission_denied"),
        ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "credentials_invalid"),
        ("BILLING_DISABLED", "permission_denied"),
    ],
)
def test_the_newer_envelope(reason: str, ours: str) -> None:
    """ErrorInfo in `details`, without `errors`."""
    details = [{"@type": "type.googleapis.com/google.rpc.Help"}, {"@type": "…ErrorInfo", "reason": reason}]
    body = {"error": {"code": 403, "message": "No.", "status": "PERMISSION_DENIED", "details": details}}

    assert translate(403, {}, json.dumps(body).encode()).reason == ours


@pytest.mark.parametrize(
    ("status", "reason", "message", "ours", "advice"),
    [
        (403, "storageQuotaExceeded", "The user's Drive storage quota has been exceeded.", STORAGE, "Free some space"),
        (403, "quotaExceeded", "The user has exceeded their Drive storage quota", STORAGE, "Free some space"),
        (403, "storageQuotaExceeded", "Service Accounts do not have storage quota.", STORAGE, "shared drive"),
        (403, "quotaExceeded", "Daily quota.", "rate_limited", "tomorrow"),
        (403, "userRateLimitExceeded", "User rate limit exceeded.", "rate_limited", "750 GB"),
        (404, "notFound", "Shared drive not found: 0A", "drive_root_not_found", "Mend drive_root"),
        (403, "accessNotConfigured", "Drive API has not been used in project 1.", "permission_denied", "Enable"),
    ],
)
def test_one_reason_for_several_causes(status: int, reason: str, message: str, ours: str, advice: str) -> None:
    """The message tells them apart; each has its sentence, and all wait an hour."""
    error = translate(status, {}, envelope(status, reason, message), to_content=True)

    assert error.reason == ours
    assert advice in error.message
    assert (error.retry_after_s or RETRY_AFTER_S[ours]) == HOUR_S


def test_a_rate_is_no_days_limit() -> None:
    """Its message goes on: seconds, and tries within the call."""
    error = translate(403, {}, envelope(403, "userRateLimitExceeded", "User Rate Limit Exceeded. Rate of requests …"))

    assert isinstance(error, TransientDriveError)
    assert (error.retry_after_s, error.wait_s) == (None, 0.0)


def test_a_days_limit_is_tried_again_at_once_and_called_again_in_an_hour() -> None:
    """It may be a rate after all, as it is where no content is sent."""
    body = envelope(403, "userRateLimitExceeded", "User rate limit exceeded.")
    error = translate(403, {}, body, to_content=True)

    assert isinstance(error, TransientDriveError)
    assert (error.retry_after_s, error.wait_s) == (HOUR_S, 0.0)
    assert translate(403, {}, body).retry_after_s is None


@pytest.mark.parametrize(
    ("message", "location"),
    [("Invalid property.", ""), ("Invalid value", "file.description"), ("Bad modifiedTime", "")],
)
def test_a_refusal_of_metadata_by_400(message: str, location: str) -> None:
    """By what it is about: the content may go without it."""
    assert type(translate(400, {}, envelope(400, "invalid", message, location=location))) is MetadataRefused


@pytest.mark.parametrize(
    "secret",
    [
        "Authorization: Bearer abc.def",
        "ya29.a0AfB_by",
        "1//0gAbCdEf",
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln",
        "https://www.googleapis.com/upload?upload_id=ABPtcPq",
        "GOCSPX-abcdef",
        "a" * 80,
    ],
)
def test_an_envelope_that_echoes_what_was_sent(secret: str) -> None:
    """A gateway may write one of its own: what looks like a secret is not repeated, nor a novel."""
    error = translate(403, {}, envelope(403, "forbidden", f"You sent {secret} and\n\x1b[2J more. {'x ' * 5000}"))

    assert secret.rpartition(" ")[2] not in error.message
    assert "ABPtcPq" not in error.message
    assert "You sent" in error.message
    assert error.message.isprintable()
    assert len(error.message) < 500


@given(st.integers(300, 599), st.binary(max_size=80) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["error", "errors", "details", "reason", "message", "code", "status"]), inner, max_size=3
    ),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_body_is_translated(status: int, body: bytes) -> None:
    """Whatever stands in the body, an error of ours with a reason of the table comes out."""
    error = translate(status, {}, body)

    assert isinstance(error, UploadError)
    assert error.reason in HTTP_CODE
    assert isinstance(error, TransientDriveError) or b"reason" in body or b"status" in body


def test_retry_after_in_both_forms() -> None:
    """Seconds, an HTTP date, and nothing where it can't be read."""
    assert retry_after_s({"retry-after": "17"}) == 17
    assert 28 < (retry_after_s({"retry-after": formatdate(time.time() + 30, usegmt=True)}) or 0) <= 31
    assert retry_after_s({"retry-after": formatdate(0, usegmt=True)}) == 0
    assert [retry_after_s({"retry-after": value}) for value in ("", "soon", "-5", "1e999", "²")] == [None] * 5
    assert retry_after_s({}) is None
    assert retry_after_s({"retry-after": "9" * 400}) == 86400
