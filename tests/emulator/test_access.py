"""Who may do what: every method of both versions, called by those who may not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local_runner.drive_emulator import DriveEmulator
from local_runner.drive_emulator.schema.discovery import Method, Version, document
from tests.emulator.wire import Api

BODY = {
    "name": "taken over",
    "title": "taken over",
    "content": "taken over",
    "role": "writer",
    "type": "user",
    "emailAddress": "stranger@example.com",
    "value": "stranger@example.com",
    "key": "k",
    "keepForever": True,
    "pinned": True,
}
"""What changes something, of whatever resource."""


class Property:
    """A file with everything that a path can name, its folder, a shared drive and what lies in it: all `owner`'s."""

    def __init__(self, drive: DriveEmulator, owner: Api) -> None:
        self.drive = drive
        self.team = owner.call("POST", "/drive/v3/drives?requestId=1", json={"name": "team"}).json()["id"]
        self.folder = owner.folder()
        self.file = owner.multipart({"name": "f", "parents": [self.folder]}, b"first").json()["id"]
        owner.call("PATCH", f"/upload/drive/v3/files/{self.file}?uploadType=media", data=b"second")
        in_team = {"name": "t", "parents": [self.team]}
        self.in_team = owner.call("POST", "/drive/v3/files?supportsAllDrives=true", json=in_team).json()["id"]
        comments = f"/drive/v3/files/{self.file}/comments"
        comment = owner.call("POST", f"{comments}?fields=id", json={"content": "c"}).json()["id"]
        reply = owner.call("POST", f"{comments}/{comment}/replies?fields=id", json={"content": "r"}).json()["id"]
        self.inner = {
            "{driveId}": self.team,
            "{commentId}": comment,
            "{replyId}": reply,
            "{revisionId}": owner.get(f"files/{self.file}/revisions").json()["revisions"][0]["id"],
            "{permissionId}": owner.get(f"files/{self.file}/permissions").json()["permissions"][0]["id"],
            "{childId}": self.file,
            "{parentId}": self.folder,
            "{propertyKey}": "k",
        }

    def state(self) -> str:
        """All that there is to be changed."""
        store = self.drive.drive.store
        return json.dumps([self.drive.files(), *map(str, (store.comments, store.drives, store.revisions))])

    def calls(self, version: Version) -> list[tuple[Method, str, Any]]:
        """Each method on each thing: the method, its address and its body."""
        found = []
        for method in document(version).methods.values():
            known = document(version).schema(method.request).fields if method.request else {}
            mine = {k: v for k, v in BODY.items() if k in known and not (k == "type" and method.request == "File")}
            body = mine if method.request else None
            wanted = {
                "supportsAllDrives": "true",
                "mimeType": "text/plain",
                "removeParents": self.folder,
                "fields": "*",
            }
            query = "&".join(f"{name}={value}" for name, value in wanted.items() if name in method.parameters)
            if "{fileId}" in method.path or "{folderId}" in method.path:
                things = [self.file, self.folder, self.in_team, self.team]
            else:
                things = [self.team] if "{driveId}" in method.path else []
            for thing in things:
                path = method.path.replace("{fileId}", thing).replace("{folderId}", thing)
                for name, value in self.inner.items():
                    path = path.replace(name, value)
                found.append((method, f"/drive/v{version}/{path}?{query}", body))
                if method.takes_media:
                    found += [
                        (method, f"/upload/drive/v{version}/{path}?uploadType={kind}&{query}", body)
                        for kind in ("media", "resumable")
                    ]
        return found


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("who", ["stranger", "reader"])
def test_nobody_changes_what_is_not_theirs(drive: DriveEmulator, api: Api, version: Version, who: str) -> None:
    """A stranger gets nothing at all; who may read can copy, and hide a drive from themselves."""
    for name in ("stranger", "reader"):
        drive.add_account(f"{name}@example.com")
    theirs = Property(drive, api)
    for item in (theirs.folder, theirs.team):
        grant = {"type": "user", "role": "reader", "emailAddress": "reader@example.com"}
        shared = api.call("POST", f"/drive/v3/files/{item}/permissions?supportsAllDrives=true", json=grant)
        assert shared.status_code == 200
    caller, before = Api(drive, f"{who}@example.com"), theirs.state()

    for method, address, body in theirs.calls(version):
        if method.id in {"files.copy", "drives.hide", "drives.unhide"} and who == "reader":
            continue
        answer = caller.call(method.http_method, address, **({} if body is None else {"json": body}))
        assert who == "reader" or answer.status_code >= 400, (method.id, answer.text)
        assert answer.status_code < 500 or answer.status_code == 501, (method.id, answer.text)
        assert theirs.state() == before, (method.id, address, answer.text)


def test_a_drive_is_hidden_from_its_hider_alone(drive: DriveEmulator, api: Api) -> None:
    """`hidden` is each member's own."""
    team = api.call("POST", "/drive/v3/drives?requestId=1", json={"name": "team"}).json()["id"]
    drive.add_account("reader@example.com")
    grant = {"type": "user", "role": "reader", "emailAddress": "reader@example.com"}
    api.call("POST", f"/drive/v3/files/{team}/permissions?supportsAllDrives=true", json=grant)
    reader = Api(drive, "reader@example.com")

    assert reader.call("POST", f"/drive/v3/drives/{team}/hide").status_code == 200

    assert [one.get(f"drives/{team}", fields="hidden").json()["hidden"] for one in (api, reader)] == [False, True]


def test_what_lies_in_a_folder_is_listed_to_its_owner(drive: DriveEmulator, api: Api) -> None:
    """Whoever has put it there, who owns it."""
    drive.add_account("writer@example.com")
    folder = api.folder()
    grant = {"type": "user", "role": "writer", "emailAddress": "writer@example.com"}
    api.call("POST", f"/drive/v3/files/{folder}/permissions", json=grant)
    file = Api(drive, "writer@example.com").made({"name": "theirs", "parents": [folder]})

    listed = api.get("files", q=f"'{folder}' in parents").json()["files"]

    assert [each["id"] for each in listed] == [file["id"]]


@pytest.mark.parametrize("scope", ["drive.metadata", "drive.metadata.readonly"])
def test_a_token_for_metadata_downloads_nothing(drive: DriveEmulator, api: Api, scope: str) -> None:
    """Drive guide "Choose Google Drive API scopes": it shows files, never what is in them."""
    file_id = api.multipart({"name": "a"}, b"secret").json()["id"]
    revision = api.get(f"files/{file_id}/revisions").json()["revisions"][0]["id"]
    drive.accept_token("small", scopes=[f"https://www.googleapis.com/auth/{scope}"])
    caller = Api(drive)
    caller.session.headers["Authorization"] = "Bearer small"

    assert caller.get(f"files/{file_id}", fields="name").json() == {"name": "a"}
    for path in (f"v3/files/{file_id}", f"v2/files/{file_id}", f"v3/files/{file_id}/revisions/{revision}"):
        answer = caller.call("GET", f"/drive/{path}?alt=media")
        assert (answer.status_code, b"secret" in answer.content) == (403, False)


def test_the_feed_tells_whoever_loses_sight_of_a_file(drive: DriveEmulator, api: Api) -> None:
    """Moved out of a shared folder, unshared or deleted: a removal, also when more happens before they ask."""
    for name in ("stranger", "reader"):
        drive.add_account(f"{name}@example.com")
    reader, stranger = Api(drive, "reader@example.com"), Api(drive, "stranger@example.com")
    start = {one: one.get("changes/startPageToken").json()["startPageToken"] for one in (reader, stranger)}
    folder = api.folder()
    grant = {"type": "user", "role": "reader", "emailAddress": "reader@example.com"}
    shared = api.call("POST", f"/drive/v3/files/{folder}/permissions", json=grant).json()["id"]
    moved, deleted, private = (
        api.made({"name": name, "parents": [parent]})["id"]
        for name, parent in (("moved", folder), ("deleted", folder), ("private", "root"))
    )

    def told(who: Api) -> dict[str, bool]:
        feed = who.get("changes", pageToken=start[who]).json()["changes"]
        return {one["fileId"]: one["removed"] for one in feed}

    assert told(reader) == {folder: False, moved: False, deleted: False}
    api.call("PATCH", f"/drive/v3/files/{moved}?addParents=root&removeParents={folder}", json={})
    api.update(moved, {"name": "renamed"})
    api.call("DELETE", f"/drive/v3/files/{deleted}")
    assert told(reader) == {folder: False, moved: True, deleted: True}
    api.call("DELETE", f"/drive/v3/files/{folder}/permissions/{shared}")
    assert told(reader) == {folder: True, moved: True, deleted: True}
    assert told(stranger) == {}
    assert private not in told(reader)
