"""What others measured at the real service and published, with who and when; FACTS.md lists them.

brekkylab/backlot: its issues labelled `fidelity`, measured with scope `drive` from an account that is no domain admin.
"""

from __future__ import annotations

import pytest
import requests

from local_runner.drive_emulator import DriveEmulator
from tests.emulator.wire import Api


def test_reading_without_any_identity_is_403_and_writing_401(api: Api) -> None:
    """backlot #223 (2026-09-15): no Authorization header, no key."""
    read = requests.get(f"{api.drive.url}/drive/v3/files", timeout=10)
    write = requests.post(f"{api.drive.url}/drive/v3/files", json={}, timeout=10)

    assert (read.status_code, read.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert "unregistered callers" in read.json()["error"]["message"]
    assert (write.status_code, write.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_an_unknown_alt_is_refused_before_the_credential(api: Api, headers: dict[str, str]) -> None:
    """backlot #309 (2026-09-22): 400, for a stranger too."""
    answer = requests.get(f"{api.drive.url}/drive/v3/files?alt=zzz", headers=headers, timeout=10)

    assert answer.status_code == 400
    assert answer.json()["error"]["errors"]


@pytest.mark.parametrize("word", ["true", "TRUE", "1", "t", "y", "yes", "Yes"])
def test_booleans_are_read_liberally(api: Api, word: str) -> None:
    """backlot #338, #339 (2026-09-23): `1`, `y` and `yes` parse as true."""
    folder = api.call("POST", "/drive/v3/drives?requestId=one", json={"name": "team"}).json()["id"]

    assert api.get(f"files/{folder}", supportsAllDrives=word).status_code == 200
    assert api.get(f"files/{folder}", supportsAllDrives="no").status_code == 404


def test_what_is_no_boolean_is_400(api: Api) -> None:
    """As every ill-typed parameter."""
    assert api.get("files", supportsAllDrives="perhaps").status_code == 400


@pytest.mark.parametrize(
    ("word", "answer"), [("true", (403, "teamDrivesRequired")), ("True", (403, "teamDrivesRequired")), ("1", None)]
)
def test_all_drives_need_support_where_the_word_is_true(api: Api, word: str, answer: tuple[int, str] | None) -> None:
    """backlot #339 (2026-09-23): 403 `supportsTeamDrivesRequired`; the check reads the word, so `1` passes."""
    got = api.get("files", includeItemsFromAllDrives=word)

    if answer is None:
        assert got.status_code == 200
    else:
        assert api.reason(got) == (403, "supportsTeamDrivesRequired")


@pytest.mark.parametrize(("word", "status"), [("true", 403), ("TRUE", 403), ("1", 200), ("false", 200)])
def test_abuse_is_acknowledged_for_contents_only(api: Api, word: str, status: int) -> None:
    """backlot #339 (2026-09-23): 403 `invalidAbuseAcknowledgment` on metadata."""
    file_id = api.multipart({"name": "a"}, b"content").json()["id"]

    answer = api.get(f"files/{file_id}", acknowledgeAbuse=word)

    assert answer.status_code == status
    if status == 403:
        assert api.reason(answer)[1] == "invalidAbuseAcknowledgment"
    assert api.get(f"files/{file_id}", acknowledgeAbuse=word, alt="media").content == b"content"


def test_values_of_parameters_are_checked(api: Api) -> None:
    """backlot #337 (2026-09-23): a page token that is none, a number that is none, an empty number."""
    bogus, nope, empty = (
        api.get("files", **{name: value})
        for name, value in (("pageToken", "BOGUS"), ("pageSize", "NOPE"), ("pageSize", ""))
    )

    assert (bogus.status_code, bogus.json()["error"]["message"]) == (400, "Invalid Value")
    assert (nope.status_code, empty.status_code) == (400, 400)
    assert "TYPE_INT32" in nope.json()["error"]["message"]


def test_empty_fields_ask_for_nothing(api: Api) -> None:
    """backlot #337 (2026-09-23): `{}`, of a list and of a file."""
    file_id = api.made({"name": "a"})["id"]

    assert api.get("files", fields="").json() == {}
    assert api.get(f"files/{file_id}", fields="").json() == {}


def test_a_download_inside_a_batch_is_sent_elsewhere(api: Api) -> None:
    """backlot #343 (2026-09-23): `files.export` too is 302 inside a batch."""
    file_id = api.made({"name": "a"})["id"]
    call = f"GET /drive/v3/files/{file_id}/export?mimeType=text/plain"
    body = f"--B\r\nContent-Type: application/http\r\n\r\n{call}\r\n\r\n\r\n--B--"

    answer = api.call("POST", "/batch/drive/v3", data=body, headers={"Content-Type": "multipart/mixed; boundary=B"})

    assert "HTTP/1.1 302 Found" in answer.text


def test_a_service_account_has_no_storage(drive: DriveEmulator) -> None:
    """n8n-io/n8n #26050 and others (2025): 403 `storageQuotaExceeded` on My Drive, folders can be made."""
    key = drive.service_account()
    robot = Api(drive, key["client_email"])

    assert robot.reason(robot.multipart({"name": "a"}, b"x")) == (403, "storageQuotaExceeded")
    assert robot.folder()


def test_a_search_of_text_cannot_be_sorted(api: Api) -> None:
    """tidyverse/googledrive #374, n8n-io/n8n #4874, a-bonus/google-docs-mcp #155: the whole body that they show."""
    answer = api.get("files", q="fullText contains 'student'", orderBy="modifiedTime")

    message = (
        "Sorting is not supported for queries with fullText terms. Results are always in descending relevance order."
    )
    entry = {
        "message": message,
        "domain": "global",
        "reason": "forbidden",
        "location": "orderBy",
        "locationType": "parameter",
    }
    assert answer.status_code == 403
    assert answer.json() == {"error": {"code": 403, "message": message, "errors": [entry]}}
