"""What public test suites found at the real service, held here in our own words.

Sources: the tests of pubkey/google-drive-mock, which run against Google too; bodies recorded by
DataZooDE/duckdb-gdrive; the tests of PyDrive2 and fs.googledrivefs, which run against Google only.
"""

from __future__ import annotations

from typing import Any

import pytest
import requests

from local_runner.drive_emulator import DriveEmulator
from tests.emulator.wire import Api


def v2(api: Api, verb: str, path: str, **more: Any) -> requests.Response:
    """Ask version 2."""
    return api.call(verb, f"/drive/v2/{path}", **more)


def parents(answer: requests.Response) -> set[str]:
    """The ids of a v2 resource's parents."""
    return {parent["id"] for parent in answer.json().get("parents", ())}


@pytest.mark.parametrize("verb", ["PUT", "PATCH"])
def test_out_of_its_only_folder_a_file_lies_in_the_root(api: Api, verb: str) -> None:
    """addParents alone moves, removeParents alone is accepted."""
    folder, file = api.folder(), api.made({"name": "a"})
    root = set(file["parents"])

    there = v2(api, verb, f"files/{file['id']}", params={"addParents": folder}, json={})
    back = v2(api, verb, f"files/{file['id']}", params={"removeParents": folder}, json={})

    assert (there.status_code, parents(there)) == (200, {folder})
    assert (back.status_code, parents(back)) == (200, root)


def test_a_parent_is_deleted_as_a_resource_of_v2(api: Api) -> None:
    """204, and then the reference is 404; the folder's child likewise."""
    folder, file = api.folder(), api.made({"name": "a"})["id"]
    v2(api, "POST", f"files/{file}/parents", json={"id": folder})

    deleted = v2(api, "DELETE", f"files/{file}/parents/{folder}")

    assert deleted.status_code == 204
    assert v2(api, "GET", f"files/{file}/parents/{folder}").status_code == 404
    assert v2(api, "GET", f"files/{folder}/children/{file}").status_code == 404


def test_a_text_file_cannot_be_exported(api: Api) -> None:
    """v2 answers 400, v3 403 `fileNotExportable`."""
    file = api.multipart({"name": "a.txt"}, b"text").json()["id"]

    assert v2(api, "GET", f"files/{file}/export", params={"mimeType": "text/plain"}).status_code == 400
    assert api.reason(api.get(f"files/{file}/export", mimeType="text/plain")) == (403, "fileNotExportable")


CHANNEL = {"id": "one", "type": "web_hook", "address": "https://example.com/hook"}


def test_a_file_can_be_watched(api: Api) -> None:
    """A channel is answered; its id can't be used twice until it is stopped."""
    file = api.made({"name": "a"})["id"]

    opened = v2(api, "POST", f"files/{file}/watch", json=CHANNEL)
    again = v2(api, "POST", f"files/{file}/watch", json=CHANNEL)
    stop = {"id": "one", "resourceId": opened.json()["resourceId"]}
    stopped = [v2(api, "POST", "channels/stop", json=stop).status_code for _ in range(2)]

    assert (opened.status_code, opened.json()["kind"], opened.json()["id"]) == (200, "api#channel", "one")
    assert api.reason(again) == (400, "channelIdNotUnique")
    assert stopped == [204, 404]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"id": None}, "required"),
        ({"type": "pigeon"}, "channelTypeInvalid"),
        ({"address": "http://example.com"}, "push.webhookUrlNotHttps"),
    ],
)
def test_a_channel_needs_an_id_a_type_and_a_safe_address(api: Api, wrong: dict[str, Any], reason: str) -> None:
    """What Drive would refuse is refused."""
    answer = v2(api, "POST", f"files/{api.made({})['id']}/watch", json=CHANNEL | wrong)

    assert api.reason(answer) == (400, reason)


def test_v2_compares_etags_and_v3_takes_no_notice(api: Api) -> None:
    """412 for another ETag, if only in its quote, on update, upload and delete; in v3 the last write wins."""
    made = v2(api, "POST", "files", json={"title": "a"})
    file, etag = made.json()["id"], made.json()["etag"]
    other = {"If-Match": etag[:-1] + "0"}

    refused = [
        v2(api, "PUT", f"files/{file}", json={"title": "b"}, headers=other),
        api.call("PUT", f"/upload/drive/v2/files/{file}?uploadType=media", data=b"x", headers=other),
        v2(api, "DELETE", f"files/{file}", headers={"If-Match": '"wrong"'}),
    ]

    assert [api.reason(answer) for answer in refused] == [(412, "conditionNotMet")] * 3
    assert made.headers["ETag"] == v2(api, "GET", f"files/{file}").headers["ETag"] == etag
    assert api.call("PATCH", f"/drive/v3/files/{file}", json={"name": "c"}, headers=other).json()["name"] == "c"


def test_if_none_match_never_makes_a_create_safe(api: Api, drive: DriveEmulator) -> None:
    """v2 refuses the header always, v3 makes twins."""
    header = {"If-None-Match": "*"}

    v2_create = v2(api, "POST", "files", json={"title": "a"}, headers=header)
    v3_creates = [api.call("POST", "/drive/v3/files", json={"name": "a"}, headers=header) for _ in range(2)]

    assert api.reason(v2_create) == (412, "conditionNotMet")
    assert [answer.status_code for answer in v3_creates] == [200, 200]
    assert len(drive.files()) == 2


def test_permissions_come_with_the_owner_last_and_only_on_request(api: Api) -> None:
    """A link's grant is listed before the owner's; a v2 resource has permissions when it is asked for them."""
    file = v2(api, "POST", "files", json={"title": "a"}).json()
    v2(api, "POST", f"files/{file['id']}/permissions", json={"type": "anyone", "role": "reader", "value": "anyone"})

    listed = v2(api, "GET", f"files/{file['id']}/permissions").json()["items"]
    whole = v2(api, "GET", f"files/{file['id']}", params={"fields": "*"}).json()

    assert [grant["type"] for grant in listed] == ["anyone", "user"]
    assert ("permissions" in file, len(whole["permissions"])) == (False, 2)


def test_a_token_too_small_is_refused_in_the_words_of_the_front_end(drive: DriveEmulator) -> None:
    """The entry says `Insufficient Permission`, the envelope `Request had insufficient authentication scopes.`"""
    drive.accept_token("small", scopes=["https://www.googleapis.com/auth/drive.metadata.readonly"])

    answer = requests.post(
        f"{drive.url}/drive/v3/files", json={}, headers={"Authorization": "Bearer small"}, timeout=10
    )

    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (403, "PERMISSION_DENIED")
    assert error["message"] == "Request had insufficient authentication scopes."
    assert (error["errors"][0]["reason"], error["errors"][0]["message"]) == (
        "insufficientPermissions",
        "Insufficient Permission",
    )
    assert error["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"


def test_content_of_a_shared_drive_needs_no_parameter(api: Api) -> None:
    """rclone downloads without supportsAllDrives; metadata stays 404 without it."""
    made = api.call("POST", "/drive/v3/drives", params={"requestId": "1"}, json={"name": "Team"}).json()["id"]
    file = api.multipart({"name": "a", "parents": [made]}, b"shared", supportsAllDrives=True).json()["id"]

    assert api.get(f"files/{file}", alt="media").content == b"shared"
    assert api.get(f"files/{file}").status_code == 404


def test_a_change_without_metadata_may_be_null(api: Api) -> None:
    """Google's client for Go sends `null` where there is nothing to say."""
    folder, file = api.folder(), api.made({"name": "a"})["id"]

    moved = api.call(
        "PATCH", f"/drive/v3/files/{file}", params={"addParents": folder, "fields": "parents"}, data="null"
    )

    assert moved.json() == {"parents": [folder]}


@pytest.mark.parametrize("q", ["trashed=False and name='a'", "trashed = FALSE", "not trashed = True"])
def test_flags_in_a_query_are_read_in_any_case(api: Api, q: str) -> None:
    """People print Python's booleans into queries."""
    file = api.made({"name": "a"})["id"]

    assert [found["id"] for found in api.get("files", q=q).json()["files"]] == [file]


def test_a_parameter_in_the_body_is_disregarded(api: Api) -> None:
    """As are the names of the other version: v3 makes an Untitled file of a `title`. What nobody knows is refused."""
    made = api.made({"title": "a", "enforceSingleParent": True})

    assert made["name"] == "Untitled"
    assert v2(api, "POST", "files", json={"title": "a", "name": "b"}).json()["title"] == "a"
    assert api.create({"nonsense": 1}).status_code == 400


def test_a_head_request_has_the_date_and_no_body(api: Api) -> None:
    """What a GET would answer, without the body."""
    answer = api.call("HEAD", f"/drive/v3/files/{api.made({})['id']}")

    assert (answer.status_code, answer.content, "Date" in answer.headers) == (200, b"", True)
