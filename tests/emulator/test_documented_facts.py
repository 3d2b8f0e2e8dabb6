"""The error tables and observed facts of the project's reference on Drive, row by row, each by its section.

A row is tried here, or names the test that tries it, or says why it is left out. Sections: 3 uploads on the wire,
7 errors, 9 batch, 14 what clients send.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from local_runner.drive_emulator import DriveEmulator
from tests.emulator.wire import GRANULE, Api

TRIED_ELSEWHERE = {
    "3.3 bare LF, quoted boundary, MIME headers": "uploads::multipart_is_read_liberally",
    "3.3 browsers' multipart: CRLF, also before the first boundary": "uploads::multipart_is_read_liberally",
    "3.4 `fields` at the start shapes the answer": "documented_facts::fields_at_the_start_shape_the_final_answer",
    "3.5 a chunk off the 256 KiB border, a malformed range: 400": "sessions::chunks_that_contradict_the_rules_are_400",
    "3.5 a gap: 503 as text": "sessions::a_gap_is_the_503_that_no_repetition_mends",
    "3.5 more than announced: 400": "sessions::more_than_announced_is_400",
    "3.5 overlap: accepted or 400": "sessions::overlapping_bytes_are_skipped_or_refused_as_the_weather_has_it",
    "3.6 complete all along: 200 and the resource": "sessions::status_of_a_complete_session_is_the_file",
    "3.6 308 without Range: nothing kept": "sessions::status_of_a_fresh_session_has_no_range",
    "3.6 404: unknown or expired": "sessions::unknown_expired_and_cancelled_sessions_are_gone",
    "3.7 an empty PUT without range, and `*/0`, complete": "sessions::an_empty_put_completes_a_session_of_total_zero",
    "3.7 google-api-python-client's empty file": "google_client::an_empty_file_goes_up_either_way",
    "4 409 for a used id, also in the bin": "files_v3::a_used_id_stays_used_in_the_bin_and_after_deletion",
    "7 412: If-Match, If-None-Match in v2": "public_suites::v2_compares_etags_and_v3_takes_no_notice",
    "7 none: the connection is reset": "faults::reset_before_does_nothing",
    "9 google-api-python-client's batch": "google_client::a_batch_answers_each_call_by_itself",
    "9 bare LF in a batch": "batch::bare_line_feeds_do",
    "9 the old global batch address is gone": "batch::the_global_batch_address_is_gone",
    "14 URLs over 2048 characters become POST": "google_client::a_query_longer_than_a_url_is_posted",
    "14 the shipped document with another root: files, uploads and batch follow": "google_client::files_live_and_die",
    "14 lower-case headers at a start": "google_client::content_goes_up_in_chunks_and_comes_down_in_chunks",
    "14 rclone: POST chunks, never a status query": "rclone::large_content_goes_in_chunks",
}

LEFT_OUT = {
    "3.6 410": "no document says when; only a fault makes one",
    "14 client_options.api_endpoint replaces the base URL and leaves uploads at https": "true of the client alone",
    "14 chunk default 100 MiB, socket timeout 60 s, BatchError for media": "true of the client alone",
}

NATURAL: dict[str, tuple[int, str, dict[str, Any]]] = {
    "q": (400, "invalid", {"message": "Invalid Value", "locationType": "parameter", "location": "q"}),
    "fields": (
        400,
        "invalidParameter",
        {"message": "Invalid field selection etag", "locationType": "parameter", "location": "fields"},
    ),
    "token": (
        401,
        "authError",
        {"message": "Invalid Credentials", "locationType": "header", "location": "Authorization"},
    ),
    "storage": (403, "storageQuotaExceeded", {"message": "The user's Drive storage quota has been exceeded."}),
    "missing": (
        404,
        "notFound",
        {"message": "File not found: FILE_ID.", "locationType": "parameter", "location": "fileId"},
    ),
    "used": (409, "fileIdInUse", {"message": "A file already exists with the provided ID."}),
}
"""Section 7, "Bodies to imitate": those that come about by themselves."""

SCRIPTED = [
    (403, "userRateLimitExceeded", "usageLimits", "User rate limit exceeded."),
    (429, "rateLimitExceeded", "usageLimits", "Rate Limit Exceeded"),
    (500, "backendError", "global", "Backend Error"),
]
"""The others, as faults make them."""

ROWS: dict[int, str] = {
    400: "badRequest invalid invalidParameter parseError illegalKeepForeverModification invalidSharingRequest"
    " failedPrecondition",
    401: "authError",
    403: "rateLimitExceeded userRateLimitExceeded sharingRateLimitExceeded dailyLimitExceeded quotaExceeded"
    " storageQuotaExceeded teamDriveFileLimitExceeded numChildrenInNonRootLimitExceeded"
    " activeItemCreationLimitExceeded myDriveHierarchyDepthLimitExceeded teamDriveHierarchyTooDeep"
    " insufficientFilePermissions insufficientParentPermissions teamDriveMembershipRequired"
    " fileOwnerNotMemberOfTeamDrive insufficientPermissions appNotAuthorizedToFile domainPolicy accessNotConfigured"
    " cannotAddParent cannotModifyInheritedTeamDrivePermission fileWriterTeamDriveMoveInDisabled"
    " teamDrivesFolderMoveInNotSupported teamDrivesParentLimit UrlLeaseLimitExceeded download_restricted_for_revision"
    " fileNotDownloadable cannotDownloadAbusiveFile downloadQuotaExceeded",
    404: "notFound",
    408: "requestTimeout",
    409: "fileIdInUse",
    410: "gone",
    412: "conditionNotMet",
    413: "uploadTooLarge",
    429: "rateLimitExceeded",
    500: "backendError internalError transientError unknownError serviceNotAvailable",
    502: "backendError",
    503: "backendError serviceNotAvailable",
    504: "backendError",
}
"""Section 7, the table of codes and reasons (408, 410 and 412 have none there)."""

USAGE_LIMITS = {
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "dailyLimitExceeded",
    "sharingRateLimitExceeded",
    "quotaExceeded",
}


def refused(api: Api, what: str) -> Any:
    """The refusal that comes about by itself."""
    used = api.ids()[0]
    api.made({"id": used})
    match what:
        case "q":
            return api.get("files", q="name ~ 'x'")
        case "fields":
            return api.get(f"files/{used}", fields="etag")
        case "token":
            return api.call("GET", "/drive/v3/files", headers={"Authorization": "Bearer old"})
        case "storage":
            api.drive.add_account("poor@example.com", storage_limit=1)
            return Api(api.drive, "poor@example.com").multipart({"name": "a"}, b"too much")
        case "missing":
            return api.get("files/FILE_ID")
        case _:
            return api.create({"id": used})


@pytest.mark.parametrize("what", NATURAL)
def test_a_body_is_as_documented(api: Api, what: str) -> None:
    """Section 7, "Bodies to imitate": code, the entry word for word, and the message again in the envelope."""
    code, reason, entry = NATURAL[what]

    answer = refused(api, what)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["message"]) == (code, code, entry["message"])
    assert error["errors"] == [{"domain": "global", "reason": reason, **entry}]


@pytest.mark.parametrize(("code", "reason", "domain", "message"), SCRIPTED)
def test_a_scripted_body_is_as_documented(api: Api, code: int, reason: str, domain: str, message: str) -> None:
    """The same for what only a fault or the weather brings about."""
    api.drive.faults.add({"on": "files.list", "do": "status", "status": code, "reason": reason})

    answer = api.get("files")

    entry = {"domain": domain, "reason": reason, "message": message}
    assert answer.json() == {"error": {"errors": [entry], "code": code, "message": message}}


@pytest.mark.parametrize(("code", "reason"), [(code, reason) for code, row in ROWS.items() for reason in row.split()])
def test_any_row_of_the_table_can_be_made(api: Api, drive: DriveEmulator, code: int, reason: str) -> None:
    """Section 7: any code with any reason, in Google's envelope, and nothing is done."""
    drive.faults.add({"on": "files.create", "do": "status", "status": code, "reason": reason})

    answer = api.create({"name": "a"})

    domain = "usageLimits" if reason in USAGE_LIMITS else "global"
    assert api.reason(answer) == (code, reason)
    assert answer.json()["error"]["errors"][0]["domain"] == domain
    assert drive.files() == []


def test_a_session_needs_no_authorization_and_takes_it(api: Api, drive: DriveEmulator) -> None:
    """Section 3.4: the URI is the permission; clients that send Authorization all the same do no harm."""
    uris = [api.session_uri(total=1) for _ in range(2)]

    bare = api.send(uris[0], b"x")
    with_token = api.session.put(uris[1], data=b"x", timeout=30)

    assert [bare.status_code, with_token.status_code] == [200, 200]
    assert len(drive.files()) == 2


def test_fields_at_the_start_shape_the_final_answer(api: Api) -> None:
    """Section 3.4: clients send `fields` with the start, not with the bytes."""
    uri = api.session_uri({"name": "a"}, total=1, fields="name,size")

    assert api.send(uri, b"x").json() == {"name": "a", "size": "1"}


def test_after_a_failed_chunk_the_status_tells_where_to_go_on(api: Api, drive: DriveEmulator) -> None:
    """Section 3.6: 5xx, ask, `308` with `Range`, go on at its end plus one."""
    uri = api.session_uri(total=GRANULE + 1)
    api.send(uri, bytes(GRANULE), f"bytes 0-{GRANULE - 1}/{GRANULE + 1}")
    drive.faults.add({"on": "upload.send", "do": "status", "status": 502})

    failed = api.send(uri, b"x", f"bytes {GRANULE}-{GRANULE}/{GRANULE + 1}")
    asked = api.status(uri, GRANULE + 1)
    done = api.send(uri, b"x", f"bytes {GRANULE}-{GRANULE}/{GRANULE + 1}")

    assert [failed.status_code, asked.status_code, done.status_code] == [502, 308, 200]
    assert asked.headers["Range"] == f"bytes=0-{GRANULE - 1}"


@pytest.mark.parametrize("row", ["status", "410"])
def test_a_session_may_be_gone(api: Api, drive: DriveEmulator, row: str) -> None:
    """Section 3.6: 404 for a lost session, 410 as clients have seen it."""
    uri = api.session_uri(total=2)
    lost: dict[str, Any] = {"on": "upload.status", "do": "lose_session"}
    gone = {"on": "upload.status", "do": "status", "status": 410, "reason": "gone"}
    drive.faults.add(lost if row == "status" else gone)

    assert api.status(uri, 2).status_code == (404 if row == "status" else 410)


def test_rows_tried_elsewhere_are_tried() -> None:
    """The tests that rows name exist."""
    texts = {path.stem.removeprefix("test_"): path.read_text() for path in Path(__file__).parent.glob("test_*.py")}

    missing = {
        row
        for row, (file, _, test) in ((row, where.partition("::")) for row, where in TRIED_ELSEWHERE.items())
        if not re.search(rf"^def test_{test}\(", texts.get(file, ""), re.MULTILINE)
    }

    assert missing == set()
    assert all(LEFT_OUT.values())
