"""Answers that are no verdicts: the file is never dropped, never doubled, and no look counts that failed."""

import json
from typing import Any

import pytest

from tests.support.home import Home, Post
from tests.support.owner import Owner

DESTINATION = "MemoryVDB/Meta/note.txt"
PAGE = {"body": "<html><title>Sorry</title></html>", "content_type": "text/html"}
METHODS = ["files.create", "files.list", "files.generateIds"]


def odd(home: Home, on: str, status: int, **more: Any) -> None:
    """Let the next request of that kind be answered with a page and a code."""
    home.drive.faults.add({"on": on, "do": "status", "status": status, **PAGE, **more})


@pytest.mark.parametrize("status", [302, 400, 403, 404, 407, 411, 423, 499])
@pytest.mark.parametrize("on", METHODS)
def test_one_page_of_html_is_asked_again(home: Home, post: Post, on: str, status: int) -> None:
    """Within the call; the file is there once."""
    odd(home, on, status)

    answer = post(home, {"path": home.put()})

    assert answer.body["status"] == "uploaded", answer.entry["message"]
    assert list(home.stored()) == [DESTINATION]


@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize(
    ("status", "reason", "retry_after"),
    [
        (302, "network", "3600"),
        (403, "drive_unavailable", "30"),
        (407, "network", "3600"),
        (499, "drive_unavailable", "30"),
    ],
)
@pytest.mark.parametrize("on", METHODS)
def test_a_page_that_stays_is_retryable(
    home: Home, post: Post, on: str, status: int, reason: str, retry_after: str
) -> None:
    """503, also to a queue, which would drop the file otherwise; the same call succeeds when it is over."""
    home.settings(deadline_s=60)
    odd(home, on, status, times=99)
    path = home.put()

    failed = post(home, {"path": path}, {"X-CloudTasks-TaskName": "task"})
    home.drive.faults.clear()
    home.settings()
    done = post(home, {"path": path})

    assert (failed.code, failed.entry["reason"], failed.entry["retryable"]) == (503, reason, True)
    assert failed.headers["Retry-After"] == retry_after
    assert "Sorry" not in failed.entry["message"]
    assert done.body["status"] == "uploaded", done.entry["message"]
    assert list(home.stored()) == [DESTINATION]


@pytest.mark.parametrize(
    ("policy", "status", "names"),
    [
        ("fail", "failed", {DESTINATION}),
        ("skip", "skipped", {DESTINATION}),
        ("new_revision", "uploaded", {DESTINATION}),
        ("keep_both", "uploaded", {DESTINATION, "MemoryVDB/Meta/note (2).txt"}),
    ],
)
@pytest.mark.parametrize("fault", [{"do": "status", "status": 404}, {"do": "truncate_answer", "after_bytes": 40}])
def test_a_look_that_failed_is_no_look(
    home: Home, post: Post, policy: str, status: str, names: set[str], fault: dict[str, Any]
) -> None:
    """A listing that was answered 404, even in Google's envelope, or cut short, never says that the name is free."""
    Owner(home.drive).make(DESTINATION)
    home.drive.faults.add({"on": "files.list", "times": 2, **fault})

    answer = post(home, {"path": home.put(), "if_exists": policy})

    assert answer.body["status"] == status, answer.entry["message"]
    assert set(home.stored()) == names
    assert len(home.folders()) == len(set(home.folders()))


@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize("root", ["MemoryVDB", "Up/Memory VDB"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_drive_root_is_made_only_after_two_listings_without_it(home: Home, post: Post, root: str, nth: int) -> None:
    """One that is whole, sane and empty by mistake makes no second one."""
    home.settings(drive_root=root)
    Owner(home.drive).make(f"{root}/theirs.txt")
    before = home.folders()
    home.drive.faults.add({"on": "files.list", "nth": nth, "do": "edit_answer", "set": {"files": []}})

    answer = post(home, {"path": home.put()})

    assert answer.body["status"] == "uploaded", answer.entry["message"]
    assert home.folders() == sorted([*before, f"{root}/Meta"])


@pytest.mark.parametrize(
    ("reason", "message", "ours", "says"),
    [
        ("dailyLimitExceeded", "Daily Limit Exceeded", "rate_limited", "tomorrow"),
        ("userRateLimitExceeded", "User rate limit exceeded.", "rate_limited", "750 GB"),
        ("quotaExceeded", "Has exceeded their Drive storage quota", "storage_quota_exceeded", "Free some space"),
        ("storageQuotaExceeded", "Service Accounts do not have storage quota.", "storage_quota_exceeded", "subject"),
        ("accessNotConfigured", "Drive API has not been used.", "permission_denied", "Enable"),
        ("teamDriveFileLimitExceeded", "Limit.", "storage_quota_exceeded", "remove some"),
        ("teamDriveHierarchyTooDeep", "Too deep.", "permission_denied", "further up"),
    ],
)
def test_a_limit_has_its_sentence_and_its_time(
    home: Home, post: Post, reason: str, message: str, ours: str, says: str
) -> None:
    """An hour for what a person must mend and for a day's limit; the same call succeeds when it is over."""
    home.settings(deadline_s=8)
    home.drive.faults.add(
        {
            "on": "files.create",
            "nth": 3,
            "times": 99,
            "do": "status",
            "status": 403,
            "reason": reason,
            "message": message,
        }
    )
    path = home.put()

    failed = post(home, {"path": path})
    home.drive.faults.clear()
    home.settings()
    (home.folder / ".drive_upload" / "pace" / "default.json").unlink(missing_ok=True)
    done = post(home, {"path": path})

    assert (failed.code, failed.entry["reason"], failed.headers["Retry-After"]) == (503, ours, "3600")
    assert says in failed.entry["message"]
    assert done.body["status"] == "uploaded", done.entry["message"]
    assert list(home.stored()) == [DESTINATION]


def said(code: int, message: str, **more: Any) -> dict[str, Any]:
    """A fault that answers with an error in the layout of Google's."""
    body = {"error": {"code": code, "message": message, **more}}
    return {"do": "status", "status": code, "body": json.dumps(body), "times": 99}


@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (
            said(
                400,
                "API key not valid.",
                errors=[{"reason": "badRequest"}],
                details=[{"@type": "ErrorInfo", "reason": "API_KEY_INVALID"}],
            ),
            "permission_denied",
        ),
        (said(400, "User location is not supported.", errors=[{"reason": "failedPrecondition"}]), "drive_unavailable"),
        (
            said(400, "The specified parent is not a folder.", errors=[{"reason": "parentNotAFolder"}]),
            "drive_unavailable",
        ),
        (said(400, "Invalid Value", errors=[{"reason": "invalid", "location": "parents"}]), "drive_unavailable"),
        (said(400, "Blocked by policy.", status="WAF_BLOCK"), "drive_unavailable"),
        (said(413, "Too big for this gateway.", status="PAYLOAD_TOO_LARGE"), "network"),
    ],
    ids=["key", "place", "parent", "parents", "firewall", "gateway"],
)
def test_a_refusal_that_is_not_about_the_file_is_retryable(
    home: Home, post: Post, fault: dict[str, Any], reason: str
) -> None:
    """Of the caller, of the folder, of a gateway that speaks as Google does: the same call succeeds when it is over."""
    home.settings(deadline_s=60)
    home.drive.faults.add({"on": "files.create", "nth": 3, **fault})
    path = home.put()

    failed = post(home, {"path": path}, {"X-CloudTasks-TaskName": "task"})
    home.drive.faults.clear()
    home.settings()
    done = post(home, {"path": path})

    assert (failed.code, failed.entry["reason"]) == (503, reason), failed.entry["message"]
    assert done.body["status"] == "uploaded", done.entry["message"]
    assert list(home.stored()) == [DESTINATION]


@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize("reason", ["uploadTooLarge", "badRequest"])
@pytest.mark.parametrize("on", [{"on": "files.list"}, {"on": "files.create", "path": "/drive/v3/files"}])
def test_a_refusal_of_a_look_or_a_folder_is_none_of_the_file(
    home: Home, post: Post, on: dict[str, Any], reason: str
) -> None:
    """Whatever a listing or a folder's create is answered: it never ends the upload of the file for good."""
    home.settings(deadline_s=60)
    status = 413 if reason == "uploadTooLarge" else 400
    home.drive.faults.add({**on, "do": "status", "status": status, "reason": reason, "times": 99})

    failed = post(home, {"path": home.put()}, {"X-CloudTasks-TaskName": "task"})

    assert (failed.code, failed.entry["reason"]) == (503, "drive_unavailable"), failed.entry["message"]


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize(
    ("on", "field", "value"),
    [
        ("files.create", "webViewLink", "\ud800"),
        ("files.create", "name", "note\udcff.txt"),
        ("files.list", "nextPageToken", "\ud800"),
        ("files.generateIds", "ids", ["id-\ud800"]),
        ("about.get", "user", {"permissionId": "\ud800"}),
    ],
)
def test_text_that_nobody_can_write_down_is_no_answer(
    home: Home, post: Post, warm: bool, on: str, field: str, value: object
) -> None:
    """JSON allows half a character; receipts, logs and requests don't. Drive is asked again, and all is there once."""
    if warm:
        post(home, {"path": home.put("Data/Meta/first.txt", b"first")})
    home.drive.faults.add({"on": on, "do": "edit_answer", "set": {field: value}})
    path = home.put()

    answers = [post(home, {"path": path}) for _ in range(2)]

    assert [each.body["status"] for each in answers] == ["uploaded", "unchanged"], answers[0].entry["message"]
    assert len(home.stored()) == 1 + warm


@pytest.mark.parametrize("body", ["[]", '""', '{"error": {"errors": [null], "message": 5}}', "[" * 5000])
@pytest.mark.parametrize(
    ("on", "status"),
    [("files.list", 403), ("about.get", 403), ("upload.send", 413), ("upload.send", 404), ("upload.status", 503)],
)
def test_a_refusal_that_is_other_json_than_googles_is_asked_again(
    home: Home, post: Post, caplog: pytest.LogCaptureFixture, on: str, status: int, body: str
) -> None:
    """Within the call, and no traceback is logged for what Google's client makes of it."""
    if on == "upload.status":
        home.drive.faults.add({"on": "upload.send", "do": "reset_in_body", "after_bytes": 1_000_000})
    home.drive.faults.add({"on": on, "do": "status", "status": status, "body": body})
    content = b"large" * 1_200_000 if on.startswith("upload") else b"small"

    answer = post(home, {"path": home.put(content=content)})

    assert answer.body["status"] == "uploaded", answer.entry["message"]
    assert home.stored() == {DESTINATION: content}
    assert not [each for each in caplog.records if each.exc_info]
