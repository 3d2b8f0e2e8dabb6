"""The hidden folder of an app: `appDataFolder`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local_runner.drive_emulator import DriveEmulator
from tests.emulator.wire import Api

SCOPE = "https://www.googleapis.com/auth/"
BOTH = (SCOPE + "drive", SCOPE + "drive.appdata")


def _app(drive: DriveEmulator, *scopes: str, client_id: str = "app-1") -> Api:
    """A client of the first account with these scopes, through an app of its own."""
    api = Api(drive)
    granted = drive.drive.oauth.grant_access_token(
        "user@example.com", client_id, frozenset(scopes), now_ms=drive.drive.clock.now_ms()
    )
    api.session.headers["Authorization"] = f"Bearer {granted.token}"
    return api


def _names(api: Api, **params: str) -> list[str]:
    return [file["name"] for file in api.get("files", **params).json()["files"]]


def test_what_an_app_hides_is_seen_by_that_app_alone(drive: DriveEmulator, api: Api) -> None:
    """The alias as parent, id and search term; no list of `drive`, no feed and no other app shows what lies there."""
    app, other = _app(drive, *BOTH), _app(drive, *BOTH, client_id="app-2")
    token = app.get("changes/startPageToken").json()["startPageToken"]

    made = app.multipart({"name": "settings", "parents": ["appDataFolder"]}, b"dark")
    file_id = made.json()["id"]
    folder = app.get("files/appDataFolder", fields="*").json()
    inner = app.made({"name": "inner", "mimeType": folder["mimeType"], "parents": ["appDataFolder"]})
    app.made({"name": "plain"})

    assert made.json()["parents"] == [folder["id"]]
    assert (made.json()["spaces"], folder["spaces"]) == (["appDataFolder"], ["appDataFolder"])
    assert (folder["name"], folder.get("parents")) == ("Application Data", None)
    assert made.json()["capabilities"]["canTrash"] is False
    assert sorted(_names(app, spaces="appDataFolder")) == ["inner", "settings"]
    assert sorted(_names(app, spaces="drive,appDataFolder")) == ["inner", "plain", "settings"]
    assert _names(app, spaces="appDataFolder", q="'appDataFolder' in parents and name = 'settings'") == ["settings"]
    assert _names(app) == ["plain"]
    assert _names(app, q="'appDataFolder' in parents") == []
    assert app.get(f"files/{file_id}", alt="media").content == b"dark"
    children = app.call("GET", "/drive/v2/files/appDataFolder/children").json()["items"]
    assert {one["id"] for one in children} == {file_id, inner["id"]}
    for stranger in (other, api):
        assert stranger.get(f"files/{file_id}").status_code == 404
        assert _names(stranger) == ["plain"]
    assert _names(other, spaces="appDataFolder") == []

    assert app.call("DELETE", f"/drive/v3/files/{inner['id']}").status_code == 204
    feed = {
        space: [one["fileId"] for one in app.get("changes", pageToken=token, spaces=space).json()["changes"]]
        for space in ("drive", "appDataFolder")
    }
    assert set(feed["drive"]) & {file_id, inner["id"]} == set()
    assert feed["appDataFolder"] == [file_id, inner["id"]]
    shown = {one["name"]: one["space"] for one in drive.files()}
    assert shown == {"settings": "appDataFolder", "plain": "drive"}


def test_ids_are_reserved_for_a_space(drive: DriveEmulator) -> None:
    """An id of `generateIds` is good in its own space only."""
    app = _app(drive, *BOTH)
    hidden = app.get("files/generateIds", space="appDataFolder", count=1).json()
    plain = app.ids()[0]

    assert hidden["space"] == "appDataFolder"
    assert app.create({"id": plain, "parents": ["appDataFolder"]}).status_code == 400
    assert app.create({"id": hidden["ids"][0]}).status_code == 400
    assert app.made({"id": hidden["ids"][0], "parents": ["appDataFolder"]})["id"] == hidden["ids"][0]
    assert app.made({"id": plain})["id"] == plain


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("PATCH", "files/{file}", {"trashed": True}, (403, "notSupportedForAppDataFolderFiles")),
        ("PATCH", "files/{file}?addParents=root", {}, (403, "notSupportedForAppDataFolderFiles")),
        ("PATCH", "files/{plain}?addParents=appDataFolder", {}, (403, "notSupportedForAppDataFolderFiles")),
        ("PATCH", "files/{file}?removeParents=appDataFolder", {}, (403, "notSupportedForAppDataFolderFiles")),
        (
            "POST",
            "files/{file}/permissions",
            {"type": "anyone", "role": "reader"},
            (403, "notSupportedForAppDataFolderFiles"),
        ),
        ("DELETE", "files/appDataFolder", None, (403, "insufficientFilePermissions")),
        ("POST", "files/{file}/copy", {"parents": ["root"]}, (501, "notImplemented")),
        (
            "POST",
            "files",
            {"mimeType": "application/vnd.google-apps.shortcut", "shortcutDetails": {"targetId": "{file}"}},
            (501, "notImplemented"),
        ),
    ],
)
def test_what_cannot_be_done_there_is_refused(
    drive: DriveEmulator, method: str, path: str, body: dict[str, Any] | None, expected: tuple[int, str]
) -> None:
    """No bin, no sharing, no way out or in. Source: Drive guide "Store application-specific data"."""
    app = _app(drive, *BOTH)
    file_id = app.made({"name": "a", "parents": ["appDataFolder"]})["id"]
    plain = app.made({"name": "b"})["id"]
    before = drive.files()
    sent = json.loads(json.dumps(body).replace("{file}", file_id))

    answer = app.call(method, f"/drive/v3/{path.format(file=file_id, plain=plain)}", json=sent)

    assert app.reason(answer) == expected
    assert drive.files() == before


def test_scopes_open_spaces(drive: DriveEmulator) -> None:
    """RobinBobin/react-native-google-drive-api-wrapper #27 (2020-06): a list of `drive` needs a scope for it."""
    hidden_only, plain_only = _app(drive, SCOPE + "drive.appdata"), _app(drive, SCOPE + "drive")

    assert hidden_only.create({"name": "a", "parents": ["appDataFolder"]}).status_code == 200
    refused = hidden_only.get("files", q="'appDataFolder' in parents")
    assert hidden_only.reason(refused) == (403, "insufficientScopes")
    assert refused.json()["error"]["message"] == "The granted scopes do not give access to all of the requested spaces."
    assert _names(hidden_only, spaces="appDataFolder") == ["a"]
    assert plain_only.reason(plain_only.get("files", spaces="appDataFolder")) == (403, "insufficientScopes")
    assert plain_only.reason(plain_only.create({"parents": ["appDataFolder"]})) == (403, "insufficientScopes")
    assert plain_only.reason(plain_only.get("files/appDataFolder")) == (403, "insufficientScopes")


def test_it_is_there_after_a_restart_and_empty_after_a_reset(tmp_path: Path) -> None:
    """The hidden folder keeps its id and what lies in it; a reset takes what lies in it."""
    with DriveEmulator(tmp_path) as drive:
        app = _app(drive, *BOTH)
        first = app.get("files/appDataFolder").json()["id"]
        app.made({"name": "a", "parents": ["appDataFolder"]})

    with DriveEmulator(tmp_path) as drive:
        app = _app(drive, *BOTH)
        assert app.get("files/appDataFolder").json()["id"] == first
        assert _names(app, spaces="appDataFolder") == ["a"]
        assert app.call("POST", "/emulator/reset").status_code == 204
        assert _names(app, spaces="appDataFolder") == []
        assert app.create({"parents": ["appDataFolder"]}).status_code == 200
