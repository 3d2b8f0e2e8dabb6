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


def test_a_page_of_more_than_a_thousand_files_is_refused(api: Api) -> None:
    """brekkylab/backlot #23 (2026-07-28): `pageSize=1001` is 400, whatever the discovery document says of coercion."""
    answer = api.get("files", pageSize="1001")

    assert answer.status_code == 400
    assert "[1, 1000]" in answer.json()["error"]["message"]
    assert api.get("changes", pageToken="1", pageSize="1001").status_code == 200


def test_documents_have_a_size(api: Api) -> None:
    """brekkylab/backlot #23 (2026-07-28): `size` is there for Docs Editors files, and not for folders."""
    body = '--B\r\nContent-Type: application/json\r\n\r\n{"mimeType": "application/vnd.google-apps.document"}\r\n'
    made = api.call(
        "POST",
        "/upload/drive/v3/files?uploadType=multipart&fields=id,size",
        data=f"{body}--B\r\nContent-Type: text/plain\r\n\r\nwords\r\n--B--",
        headers={"Content-Type": "multipart/related; boundary=B"},
    ).json()
    empty = api.made({"mimeType": "application/vnd.google-apps.document"})["id"]

    assert made["size"] == "5"
    assert api.get(f"files/{empty}", fields="size").json() == {"size": "0"}
    assert api.get(f"files/{api.folder()}", fields="size").json() == {}


def test_a_file_looks_the_same_alone_and_in_a_list(api: Api) -> None:
    """brekkylab/backlot #23 (2026-07-28): one mask, one shape; folders are found by their type, too."""
    folder = api.folder()
    mask = "id,name,mimeType,size,modifiedTime,webViewLink"

    listed = api.get("files", q="mimeType = 'application/vnd.google-apps.folder'", fields=f"files({mask})").json()[
        "files"
    ]

    assert listed == [api.get(f"files/{folder}", fields=mask).json()]
    assert listed[0]["webViewLink"].endswith("?usp=drivesdk") or "/folders/" in listed[0]["webViewLink"]
    assert api.get("files", fields="files(id,bogus)").json()["error"]["message"] == "Invalid field selection bogus"


@pytest.mark.parametrize(
    ("first", "second", "seen"),
    [
        ("fields=files(name)", "fields=bogus", ["b", "a"]),
        ("q=name='a'", "q=name='b'", ["a"]),
        ("pageSize=1", "pageSize=2", ["b"]),
        ("orderBy=name", "orderBy=name desc", ["a", "b"]),
    ],
)
def test_of_a_repeated_parameter_the_first_counts(api: Api, first: str, second: str, seen: list[str]) -> None:
    """brekkylab/backlot #306 (2026-09-22): `fields`, `q`, `pageSize`, `orderBy`."""
    for name in ("a", "b"):
        api.made({"name": name})

    answer = api.call("GET", f"/drive/v3/files?{first}&{second}&fields=files(name)")

    assert [one["name"] for one in answer.json()["files"]] == seen


def test_a_list_is_no_content(api: Api) -> None:
    """brekkylab/backlot #309 (2026-09-22): `alt=media` on `files.list`."""
    answer = api.get("files", alt="media")

    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == 'Unsupported alt type "media" for non byte stream request.'


@pytest.mark.parametrize(
    "q",
    [
        "id = '1x7ECq0XJBsZrE8M5MhrePkIdJ9jAgrgC'",
        "id = 'a' or id = 'b'",
        "title = 'a'",
        'title = "a"',
        "mimeType=folder",
    ],
)
def test_what_is_no_term_of_a_query_is_refused(api: Api, q: str) -> None:
    """`id`: langchain-ai/langchain-google #1867 (2026-06-22). `title` in v3, and a word without quotes:
    prasmussen/gdrive #128 (2016-04-04), #626 (2022-05-12). All: 400 "Invalid Value".
    """
    answer = api.get("files", q=q, includeItemsFromAllDrives="true", supportsAllDrives="true")

    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "Invalid Value")


def test_permissions_in_a_shared_drive_are_listed_only(api: Api) -> None:
    """taylorwilsdon/google_workspace_mcp #1002 (2026-08-05): `permissions` and `shared` aren't in the file."""
    drive_id = api.call("POST", "/drive/v3/drives?requestId=1", json={"name": "D"}).json()["id"]
    item = api.call("POST", "/drive/v3/files?supportsAllDrives=true", json={"parents": [drive_id]}).json()["id"]
    anyone = {"type": "anyone", "role": "reader"}
    api.call("POST", f"/drive/v3/files/{item}/permissions?supportsAllDrives=true", json=anyone)

    shown = api.get(f"files/{item}", fields="id,permissions,shared", supportsAllDrives="true").json()
    listed = api.get(f"files/{item}/permissions", supportsAllDrives="true").json()["permissions"]

    assert shown == {"id": item}
    assert "anyone" in {one["type"] for one in listed}


def test_a_document_is_exported_never_downloaded(api: Api) -> None:
    """langchain-ai/langchain #31265 (2025-05-17), ParveenBhadooOfficial/Google-Drive-Index #11 (2020-07-30)."""
    made = api.made({"mimeType": "application/vnd.google-apps.document"})["id"]

    answer = api.get(f"files/{made}", alt="media")

    message = "Only files with binary content can be downloaded. Use Export with Docs Editors files."
    entry = {"domain": "global", "reason": "fileNotDownloadable", "message": message}
    assert answer.status_code == 403
    assert answer.json()["error"]["errors"] == [entry | {"locationType": "parameter", "location": "alt"}]


def test_a_document_too_large_is_not_exported(api: Api) -> None:
    """onyx-dot-app/onyx #1453 (2024-05-13), nextcloud/integration_google #173 (2024-05-27): 403, these words."""
    made = api.call(
        "POST",
        "/upload/drive/v2/files?uploadType=media&convert=true",
        data=b"x" * (10 * 1024 * 1024 + 1),
        headers={"Content-Type": "text/plain"},
    ).json()["id"]

    answer = api.get(f"files/{made}/export", mimeType="text/plain")

    assert api.reason(answer) == (403, "exportSizeLimitExceeded")
    assert answer.json()["error"]["message"] == "This file is too large to be exported."


def test_a_folder_is_no_shared_drive(api: Api) -> None:
    """RobinBobin/react-native-google-drive-api-wrapper #19 (2020-02-26): 404 "Shared drive not found: ID"."""
    folder = api.folder()

    answer = api.get(
        "files", corpora="drive", driveId=folder, supportsAllDrives="true", includeItemsFromAllDrives="true"
    )

    assert (answer.status_code, answer.json()["error"]["message"]) == (404, f"Shared drive not found: {folder}")
