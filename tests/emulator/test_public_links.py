"""Reading without an account: API keys, and links that anyone may follow."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from local_runner.drive_emulator import DriveEmulator
from tests.emulator.wire import FOLDER, Api


def share(api: Api, file_id: str) -> None:
    """With anyone who has the link."""
    answer = api.call("POST", f"/drive/v3/files/{file_id}/permissions", json={"type": "anyone", "role": "reader"})
    assert answer.status_code == 200, answer.text


def anonymous(api: Api, path: str, method: str = "GET", **params: Any) -> requests.Response:
    """A request without a token."""
    return requests.request(method, f"{api.drive.url}{path}", params=params, timeout=10)


@pytest.fixture
def public(api: Api) -> dict[str, str]:
    """A public folder with a file in it, and a private file beside it: their ids."""
    folder = api.folder("public")
    inside = api.multipart({"name": 'Übung "1".txt', "parents": [folder]}, b"for all").json()["id"]
    private = api.multipart({"name": "private"}, b"mine").json()["id"]
    share(api, folder)
    return {"folder": folder, "inside": inside, "private": private}


def test_a_key_reads_what_is_public(api: Api, public: dict[str, str]) -> None:
    """Metadata, content, and the folder's listing; nothing private, and nothing by searching."""
    inside = f"/drive/v3/files/{public['inside']}"
    listed = anonymous(api, "/drive/v3/files", key="AIza-any", q=f"'{public['folder']}' in parents").json()["files"]
    everything = anonymous(api, "/drive/v3/files", key="AIza-any", q=f"mimeType != '{FOLDER}' and name = 'private'")

    assert anonymous(api, inside, key="AIza-any").json()["name"] == 'Übung "1".txt'
    assert anonymous(api, inside, key="AIza-any", alt="media").content == b"for all"
    assert [file["id"] for file in listed] == [public["inside"]]
    assert everything.json()["files"] == []
    assert anonymous(api, f"/drive/v3/files/{public['private']}", key="AIza-any").status_code == 404


def test_a_key_changes_nothing(api: Api, drive: DriveEmulator, public: dict[str, str]) -> None:
    """Writing, and what belongs to an account, needs a token; a key that Google doesn't know is 400."""
    for method, path in (
        ("POST", "/drive/v3/files"),
        ("DELETE", f"/drive/v3/files/{public['inside']}"),
        ("PATCH", f"/drive/v3/files/{public['inside']}"),
        ("POST", "/upload/drive/v3/files"),
        ("GET", "/drive/v3/about"),
        ("GET", "/drive/v3/changes/startPageToken"),
        ("GET", f"/drive/v3/files/{public['inside']}/permissions"),
    ):
        assert api.reason(anonymous(api, path, method, key="AIza-any", fields="*")) == (401, "required"), path
    wrong = anonymous(api, f"/drive/v3/files/{public['inside']}", key="invalid")
    assert (wrong.status_code, wrong.json()["error"]["details"][0]["reason"]) == (400, "API_KEY_INVALID")
    assert len(drive.files()) == 3


def test_the_link_of_a_public_file_leads_to_its_content(api: Api, public: dict[str, str]) -> None:
    """`webContentLink` is followed as it stands, a range of it too."""
    link = api.get(f"files/{public['inside']}", fields="webContentLink").json()["webContentLink"]

    whole = requests.get(link, timeout=10)
    part = requests.get(link, headers={"Range": "bytes=4-"}, timeout=10)

    assert link.startswith(api.drive.url)
    assert (whole.content, part.content, part.status_code) == (b"for all", b"all", 206)
    assert whole.headers["Content-Disposition"] == (
        "attachment; filename=\"?bung _1_.txt\"; filename*=UTF-8''%C3%9Cbung%20%221%22.txt"
    )


def test_a_client_that_knows_googles_names_gets_googles_link(api: Api, public: dict[str, str]) -> None:
    """Its names are bent to the emulator, the link's as well."""
    answer = api.call(
        "GET",
        f"/drive/v3/files/{public['inside']}?fields=webContentLink",
        headers={"Host": "www.googleapis.com"},
    )

    assert answer.json()["webContentLink"] == f"https://drive.google.com/uc?id={public['inside']}&export=download"


def test_a_private_file_has_no_public_link(api: Api, public: dict[str, str]) -> None:
    """Neither has a folder, a file in the bin, or one that isn't there."""
    api.update(public["inside"], {"trashed": True})

    assert anonymous(api, "/uc", id=public["private"]).status_code == 403
    assert [
        anonymous(api, "/uc", id=file_id).status_code for file_id in (public["folder"], public["inside"], "nowhere", "")
    ] == [404] * 4
