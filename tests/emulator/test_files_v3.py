"""Drive's rules for files in v3: names, ids, places, bins, properties, masks, pages, errors."""

import gzip
import json
from typing import Any

import pytest
import requests

from local_runner.drive_emulator import DriveEmulator
from tests.emulator.wire import FOLDER, Api


def test_two_plain_creates_of_one_name_make_two_files(api: Api, drive: DriveEmulator) -> None:
    """Names aren't unique, and v3 takes no notice of `If-None-Match: *`."""
    answers = [
        api.call("POST", "/drive/v3/files", json={"name": "twin"}, headers={"If-None-Match": "*"}) for _ in range(2)
    ]

    assert [one.status_code for one in answers] == [200, 200]
    assert [one["name"] for one in drive.files()] == ["twin", "twin"]


def test_an_answer_has_the_short_set_of_fields_unless_asked(api: Api) -> None:
    """Checksums, size and parents come only when asked for."""
    made = api.call("POST", "/drive/v3/files", json={"name": "a"}).json()

    assert set(made) == {"kind", "id", "name", "mimeType"}


def test_a_create_without_name_is_untitled_and_empty(api: Api) -> None:
    """A metadata-only create makes a file of no bytes."""
    made = api.made({})

    assert (made["name"], made["size"], made["md5Checksum"]) == ("Untitled", "0", "d41d8cd98f00b204e9800998ecf8427e")


@pytest.mark.parametrize("mime_type", [None, FOLDER])
def test_a_reserved_id_makes_one_file_however_often_it_is_sent(
    api: Api, drive: DriveEmulator, mime_type: str | None
) -> None:
    """The second create with an id is 409 and makes nothing, for folders too."""
    body: dict[str, Any] = {"id": api.ids()[0], "name": "a"} | ({"mimeType": mime_type} if mime_type else {})

    first, second = api.create(body), api.create(body)

    assert first.json()["id"] == body["id"]
    assert api.reason(second) == (409, "fileIdInUse")
    assert second.json()["error"]["message"] == "A file already exists with the provided ID."
    assert len(drive.files()) == 1


def test_a_used_id_stays_used_in_the_bin_and_after_deletion(api: Api) -> None:
    """Trashed or gone for ever, the id can't be had again."""
    trashed, deleted = api.ids(2)
    for file_id in (trashed, deleted):
        api.made({"id": file_id})
    api.update(trashed, {"trashed": True})
    api.call("DELETE", f"/drive/v3/files/{deleted}")

    assert api.reason(api.create({"id": trashed})) == (409, "fileIdInUse")
    assert api.reason(api.create({"id": deleted})) == (409, "fileIdInUse")


def test_an_id_never_given_out_or_given_to_another_is_400(api: Api, drive: DriveEmulator) -> None:
    """Ids are made for the requesting user."""
    theirs = Api(drive, "other@example.com").ids()[0]

    assert api.create({"id": "1" + "x" * 32}).status_code == 400
    assert api.create({"id": theirs}).status_code == 400


@pytest.mark.parametrize(("count", "status"), [(1, 200), (1000, 200), (0, 400), (1001, 400)])
def test_generate_ids_gives_one_to_a_thousand(api: Api, count: int, status: int) -> None:
    """`count` has bounds."""
    answer = api.get("files/generateIds", count=count)

    assert answer.status_code == status
    if status == 200:
        assert len(set(answer.json()["ids"])) == count


def test_reserved_ids_are_for_binary_files_and_folders_only(api: Api) -> None:
    """Docs Editors types take no id of ours."""
    body = {"id": api.ids()[0], "mimeType": "application/vnd.google-apps.document"}

    assert api.create(body).status_code == 400


def test_trash_spreads_down_and_only_the_folder_says_explicitly(api: Api) -> None:
    """`trashed` by an ancestor isn't `explicitlyTrashed`."""
    top = api.folder("top")
    file_id = api.made({"parents": [api.folder("sub", parents=[top])]})["id"]

    api.update(top, {"trashed": True})
    below = api.get(f"files/{file_id}", fields="trashed,explicitlyTrashed").json()
    api.update(top, {"trashed": False})
    after = api.get(f"files/{file_id}", fields="trashed").json()

    assert below == {"trashed": True, "explicitlyTrashed": False}
    assert after == {"trashed": False}


@pytest.mark.parametrize("from_parent", [True, False])
def test_a_create_under_a_trashed_folder_is_accepted(api: Api, drive: DriveEmulator, from_parent: bool) -> None:
    """Without a word; what the new file says of itself is contested, so it is a setting."""
    drive.set_weather(trashed_from_parent=from_parent)
    folder = api.folder()
    api.update(folder, {"trashed": True})

    answer = api.create({"parents": [folder]})

    assert (answer.status_code, answer.json()["trashed"]) == (200, from_parent)


def test_deleting_a_folder_takes_everything_in_it(api: Api, drive: DriveEmulator) -> None:
    """204, and no descendant is left."""
    top = api.folder("top")
    api.made({"parents": [api.folder("sub", parents=[top])]})

    answer = api.call("DELETE", f"/drive/v3/files/{top}")

    assert (answer.status_code, answer.content) == (204, b"")
    assert drive.files() == []


def test_a_file_has_one_parent_and_moves_between_folders(api: Api) -> None:
    """More than one parent on create is refused, addParents and removeParents move."""
    one, two = api.folder("one"), api.folder("two")
    made = api.made({"parents": [one]})

    moved = api.update(made["id"], {}, addParents=two, removeParents=one)
    refused = api.create({"parents": [one, two]})
    direct = api.update(made["id"], {"parents": [one]})

    assert moved.json()["parents"] == [two]
    assert api.reason(refused) == (403, "cannotAddParent")
    assert api.reason(direct) == (403, "fieldNotWritable")


def test_a_folder_cannot_be_moved_into_what_it_holds(api: Api) -> None:
    """No cycles."""
    top = api.folder("top")
    sub = api.folder("sub", parents=[top])

    assert api.update(top, {}, addParents=sub).status_code == 403


def test_a_missing_parent_is_named_in_the_404(api: Api) -> None:
    """`File not found: <id>.`, at fileId; an empty id shows as `File not found: .`"""
    answer = api.create({"parents": ["nowhere"]})

    assert answer.json()["error"] == {
        "code": 404,
        "message": "File not found: nowhere.",
        "errors": [
            {
                "domain": "global",
                "reason": "notFound",
                "message": "File not found: nowhere.",
                "locationType": "parameter",
                "location": "fileId",
            }
        ],
    }
    assert api.create({"parents": [""]}).json()["error"]["message"] == "File not found: ."


def test_a_file_is_no_parent(api: Api) -> None:
    """Only folders hold files."""
    assert api.reason(api.create({"parents": [api.made({})["id"]]})) == (403, "parentNotAFolder")


def test_folders_have_limits(api: Api, drive: DriveEmulator) -> None:
    """Children and depth; My Drive's root may hold any number."""
    drive.set_weather(max_children=1, max_depth=2)
    one = api.folder("1")
    two = api.folder("2", parents=[one])

    assert api.reason(api.create({"parents": [one]})) == (403, "numChildrenInNonRootLimitExceeded")
    assert api.reason(api.create({"parents": [two]})) == (403, "myDriveHierarchyDepthLimitExceeded")


def test_properties_merge_and_null_clears(api: Api) -> None:
    """Public and private ones are maps of strings."""
    made = api.made({"properties": {"a": "1", "b": "2"}, "appProperties": {"k": "v"}})

    changed = api.update(made["id"], {"properties": {"a": None, "c": "3"}, "appProperties": {"k": None}}).json()

    assert changed["properties"] == {"b": "2", "c": "3"}
    assert "appProperties" not in changed


def test_properties_have_limits_in_bytes_and_number(api: Api) -> None:
    """124 bytes of UTF-8 for key and value; 30 private, 30 public ones."""
    fits = api.create({"properties": {"k" * 4: "é" * 60}})
    too_long = api.create({"properties": {"k" * 5: "é" * 60}})
    too_many = api.create({"appProperties": {str(number): "x" for number in range(31)}})

    assert fits.status_code == 200
    assert api.reason(too_long) == (403, "propertyLengthLimitExceeded")
    assert api.reason(too_many) == (403, "propertiesLimitExceeded")


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        ("files", {"q": "name ="}, (400, "invalid")),
        ("files", {"fields": "etag"}, (400, "invalidParameter")),
        ("files", {"fields": "files(nonsense)"}, (400, "invalidParameter")),
        ("files", {"orderBy": "weight"}, (400, "invalid")),
        ("files", {"pageToken": "made up"}, (400, "invalid")),
        ("files", {"alt": "media"}, (400, "invalidParameter")),
        ("files", {"q": "fullText contains 'x'", "orderBy": "name"}, (403, "forbidden")),
        ("files", {"spaces": "attic"}, (400, "invalid")),
        ("files", {"q": "'nowhere' in parents"}, (404, "notFound")),
        ("about", {}, (400, "required")),
        ("files/nowhere", {}, (404, "notFound")),
        ("files/nowhere/comments", {"fields": "*"}, (404, "notFound")),
        ("files/nowhere/approvals", {"fields": "*"}, (501, "notImplemented")),
    ],
)
def test_what_is_wrong_is_refused_as_google_refuses_it(
    api: Api, path: str, params: dict[str, str], expected: tuple[int, str]
) -> None:
    """Status and reason of bad parameters, and 501 for what isn't emulated."""
    assert api.reason(api.get(path, **params)) == expected


def test_malformed_json_is_a_parse_error_and_read_only_fields_are_refused(api: Api) -> None:
    """400 parseError, 403 fieldNotWritable, 400 for an unknown field."""
    broken = api.call("POST", "/drive/v3/files", data=b"{", headers={"Content-Type": "application/json"})

    assert api.reason(broken) == (400, "parseError")
    assert api.reason(api.create({"md5Checksum": "0"})) == (403, "fieldNotWritable")
    assert api.create({"nonsense": 1}).status_code == 400


@pytest.mark.parametrize(
    ("token", "reason", "message"),
    [
        ("", "required", "Login Required."),
        ("Basic abc", "required", "Login Required."),
        ("Bearer wrong", "authError", "Invalid Credentials"),
    ],
)
def test_a_missing_or_wrong_token_is_401_at_the_authorization_header(
    drive: DriveEmulator, token: str, reason: str, message: str
) -> None:
    """No token is `required`, a wrong one `authError`."""
    headers = {"Authorization": token} if token else {}

    answer = requests.post(f"{drive.url}/drive/v3/files", json={}, headers=headers, timeout=10)

    assert answer.status_code == 401
    assert answer.json()["error"]["errors"] == [
        {
            "domain": "global",
            "reason": reason,
            "message": message,
            "locationType": "header",
            "location": "Authorization",
        }
    ]


def test_a_token_expires(api: Api, drive: DriveEmulator) -> None:
    """After an hour, and not before."""
    drive.set_weather(advance_s=3500)
    before = api.get("files").status_code
    drive.set_weather(advance_s=3700)

    assert (before, api.get("files").status_code) == (200, 401)


def test_scope_drive_file_hides_what_the_app_did_not_make(api: Api, drive: DriveEmulator) -> None:
    """Search shows nothing, get is 404; a read-only scope can't create."""
    made = api.made({"name": "by the other app"})
    for token, scope in (("narrow", "drive.file"), ("reader", "drive.readonly")):
        drive.accept_token(token, scopes=[f"https://www.googleapis.com/auth/{scope}"])
    narrow, reader = Api(drive), Api(drive)
    narrow.session.headers["Authorization"], reader.session.headers["Authorization"] = "Bearer narrow", "Bearer reader"
    drive.drive.store.put_token(
        type(drive.drive.store.tokens["narrow"])(
            "narrow",
            "user@example.com",
            "another-client",
            frozenset({"https://www.googleapis.com/auth/drive.file"}),
            None,
        )
    )

    assert narrow.get("files").json()["files"] == []
    assert narrow.get(f"files/{made['id']}").status_code == 404
    assert narrow.create({"name": "own"}).status_code == 200
    assert [one["name"] for one in narrow.get("files").json()["files"]] == ["own"]
    assert narrow.reason(reader.create({"name": "x"})) == (403, "insufficientPermissions")


def test_pages_hold_every_file_once(api: Api) -> None:
    """A list ends when `nextPageToken` is absent; a token belongs to its parameters."""
    names = {f"n{number}" for number in range(7)}
    for name in names:
        api.made({"name": name})

    first = api.get("files", pageSize=3, orderBy="name").json()
    second = api.get("files", pageSize=3, orderBy="name", pageToken=first["nextPageToken"]).json()
    third = api.get("files", pageSize=3, orderBy="name", pageToken=second["nextPageToken"]).json()
    other = api.get("files", pageSize=3, orderBy="name desc", pageToken=first["nextPageToken"])

    found = [one["name"] for page in (first, second, third) for one in page["files"]]
    assert found == sorted(names)
    assert "nextPageToken" not in third
    assert other.status_code == 400


def test_order_by_several_keys(api: Api) -> None:
    """Folders first, then names backwards; natural names count."""
    for name in ("f10", "f9"):
        api.made({"name": name})
    api.folder("a")

    descending = api.get("files", orderBy="folder,name desc").json()["files"]
    natural = api.get("files", orderBy="folder,name_natural").json()["files"]

    assert [one["name"] for one in descending] == ["a", "f9", "f10"]
    assert [one["name"] for one in natural] == ["a", "f9", "f10"]


def test_a_lagging_list_misses_what_get_finds(api: Api, drive: DriveEmulator) -> None:
    """By id reads are consistent, searches are eventually."""
    drive.set_weather(list_lag_s=60)
    made = api.made({"name": "young"})

    by_id, at_once = api.get(f"files/{made['id']}").status_code, api.get("files").json()["files"]
    drive.set_weather(advance_s=61)
    later = api.get("files").json()["files"]

    assert (by_id, at_once, [one["name"] for one in later]) == (200, [], ["young"])


def test_copy_shares_content_and_keeps_its_own_life(api: Api, drive: DriveEmulator) -> None:
    """The copy survives its original."""
    made = api.multipart({"name": "a.txt", "description": "d"}, b"content").json()
    copied = api.call(
        "POST", f"/drive/v3/files/{made['id']}/copy", json={"name": "b.txt"}, params={"fields": "*"}
    ).json()

    api.call("DELETE", f"/drive/v3/files/{made['id']}")

    assert (copied["name"], copied["description"]) == ("b.txt", "d")
    assert drive.content(copied["id"]) == b"content"


def test_export_is_for_documents(api: Api) -> None:
    """403 fileNotExportable for everything that has bytes."""
    answer = api.get(f"files/{api.made({})['id']}/export", mimeType="text/plain")

    assert api.reason(answer) == (403, "fileNotExportable")


@pytest.mark.parametrize(
    ("asked", "status", "expected", "content_range"),
    [
        (None, 200, b"0123456789", None),
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=5-999", 206, b"56789", "bytes 5-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
    ],
)
def test_downloads_honour_a_range(
    api: Api, asked: str | None, status: int, expected: bytes | None, content_range: str | None
) -> None:
    """206 with Content-Range, 416 beyond the end."""
    made = api.multipart({}, b"0123456789").json()

    answer = api.call("GET", f"/drive/v3/files/{made['id']}?alt=media", headers={"Range": asked} if asked else {})

    assert answer.status_code == status
    assert answer.headers.get("Content-Range") == content_range
    if expected is not None:
        assert answer.content == expected


def test_a_folder_cannot_be_downloaded(api: Api) -> None:
    """403 fileNotDownloadable."""
    assert api.reason(api.get(f"files/{api.folder()}", alt="media")) == (403, "fileNotDownloadable")


def test_answers_are_compressed_for_clients_that_take_it(api: Api) -> None:
    """From a kilobyte on."""
    made = api.made({"description": "x" * 5000})

    answer = api.call(
        "GET", f"/drive/v3/files/{made['id']}?fields=description", headers={"Accept-Encoding": "gzip"}, stream=True
    )

    assert answer.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.raw.read())) == {"description": "x" * 5000}


def test_a_long_query_may_come_as_form(api: Api) -> None:
    """`X-HTTP-Method-Override: GET`, as google-api-python-client sends URLs over 2048 characters."""
    api.made({"name": "a"})

    answer = api.call("POST", "/drive/v3/files", data={"q": "name = 'a'"}, headers={"X-HTTP-Method-Override": "GET"})

    assert [one["name"] for one in answer.json()["files"]] == ["a"]


def test_service_accounts_own_no_storage_but_may_make_folders(drive: DriveEmulator) -> None:
    """The failure appears only at the first file."""
    drive.service_account("robot@x.iam.gserviceaccount.com")
    robot = Api(drive, "robot@x.iam.gserviceaccount.com")

    folder, file = robot.create({"mimeType": FOLDER}), robot.create({"name": "a"})

    assert folder.status_code == 200
    assert robot.reason(file) == (403, "storageQuotaExceeded")
    assert file.json()["error"]["message"].startswith("Service Accounts do not have storage quota.")


def test_full_storage_refuses_content(drive: DriveEmulator) -> None:
    """Each account has its own room; `about` tells how much is used."""
    drive.add_account("small@example.com", storage_limit=10)
    small = Api(drive, "small@example.com")

    first, second = small.multipart({}, b"12345678"), small.multipart({}, b"123")
    quota = small.get("about", fields="storageQuota").json()["storageQuota"]

    assert (first.status_code, small.reason(second)) == (200, (403, "storageQuotaExceeded"))
    assert (quota["limit"], quota["usage"]) == ("10", "8")
    assert small.reason(small.start({}, total=3)) == (403, "storageQuotaExceeded")


def test_a_bin_is_emptied_by_who_may(drive: DriveEmulator, api: Api) -> None:
    """One's own; a shared drive's by its manager. A member is refused, and a stranger doesn't know the drive."""
    team = api.call("POST", "/drive/v3/drives?requestId=1", json={"name": "team"}).json()["id"]
    mine = api.made({"name": "mine"})["id"]
    theirs = api.call("POST", "/drive/v3/files?supportsAllDrives=true", json={"parents": [team]}).json()["id"]
    for file_id in (mine, theirs):
        api.call("PATCH", f"/drive/v3/files/{file_id}?supportsAllDrives=true", json={"trashed": True})
    for name in ("member", "stranger"):
        drive.add_account(f"{name}@example.com")
    writer = {"type": "user", "role": "writer", "emailAddress": "member@example.com"}
    api.call("POST", f"/drive/v3/files/{team}/permissions?supportsAllDrives=true", json=writer)
    address = f"/drive/v3/files/trash?driveId={team}"

    assert api.reason(Api(drive, "member@example.com").call("DELETE", address))[0] == 403
    assert api.reason(Api(drive, "stranger@example.com").call("DELETE", address)) == (404, "notFound")
    assert api.reason(api.call("DELETE", "/drive/v3/files/trash?driveId=nowhere")) == (404, "notFound")
    assert {one["id"] for one in drive.files()} >= {mine, theirs}
    assert api.call("DELETE", "/drive/v3/files/trash").status_code == 204
    assert mine not in {one["id"] for one in drive.files()}
    assert api.call("DELETE", address).status_code == 204
    assert theirs not in {one["id"] for one in drive.files()}
