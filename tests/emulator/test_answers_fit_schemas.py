"""Every emulated method is asked once and more, and every answer is held against Google's discovery document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3

from local_runner.drive_emulator import DriveEmulator
from local_runner.drive_emulator.api.routes import HANDLERS
from local_runner.drive_emulator.model.records import FOLDER, SHORTCUT
from local_runner.drive_emulator.schema.conformance import validate
from local_runner.drive_emulator.schema.discovery import Version, document


class Client:
    """Asks one version of the API and checks each answer against the schema of the method that gave it."""

    def __init__(self, drive: DriveEmulator, http: urllib3.PoolManager, version: Version) -> None:
        self.drive = drive
        self.http = http
        self.version = version
        self.token = drive.authorized_user()["token"]
        self.seen: set[str] = set()

    def ask(self, verb: str, path: str, body: Any = None, /, **query: str) -> Any:
        """The answer's JSON, None for 204; the test fails where it departs from its schema."""
        data = b"" if body is None else json.dumps(body).encode()
        return self._answer(verb, f"/drive/v{self.version}/{path}", data, "application/json", query)

    def send(self, verb: str, path: str, content: bytes, /, **query: str) -> Any:
        """The same for content in a simple upload."""
        query |= {"uploadType": "media"}
        return self._answer(verb, f"/upload/drive/v{self.version}/{path}", content, "text/plain", query)

    def _answer(self, verb: str, path: str, data: bytes, content_type: str, query: dict[str, str]) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}
        url = f"{self.drive.url}{path}?{urlencode(query)}"
        answer = self.http.request(verb, url, headers=headers, body=data)
        method_id = self.drive.requests[-1].method_id
        self.seen.add(method_id)
        assert answer.status in {200, 204}, (method_id, answer.status, answer.data)
        if not answer.data or query.get("alt") == "media":
            return None
        resource = json.loads(answer.data)
        schema = document(self.version).methods[method_id].response
        assert schema is not None
        assert validate(self.version, schema, resource) == [], method_id
        return resource


@pytest.fixture
def drive() -> Iterator[DriveEmulator]:
    """An emulator with two accounts."""
    with DriveEmulator(emails=("ann@example.com", "bob@example.com")) as emulator:
        yield emulator


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    """Connections that are closed in the end."""
    with urllib3.PoolManager() as pool:
        yield pool


def emulated(version: Version) -> set[str]:
    """The methods that the emulator answers with a resource or with nothing (an export is always refused)."""
    return set(HANDLERS[version]) - {"files.export"}


EVERY = {"fields": "*"}
BOB = "bob@example.com"


def files_v3(client: Client) -> str:
    """Create, change, read, list: the id of a file with two revisions."""
    ask, send = client.ask, client.send
    folder = ask("POST", "files", {"name": "f", "mimeType": FOLDER}, **EVERY)["id"]
    file = str(send("POST", "files", b"abc", **EVERY)["id"])
    details = {"name": "a.txt", "description": "d", "properties": {"k": "v"}, "appProperties": {"p": "v"}}
    ask("PATCH", f"files/{file}", details, addParents=folder, **EVERY)
    send("PATCH", f"files/{file}", b"defg", **EVERY)
    ask("POST", "files", {"name": "s", "mimeType": SHORTCUT, "shortcutDetails": {"targetId": file}}, **EVERY)
    copied = ask("POST", f"files/{file}/copy", {}, **EVERY)["id"]
    ask("PATCH", f"files/{copied}", {"trashed": True}, **EVERY)
    for fields in ({}, EVERY):
        ask("GET", f"files/{file}", **fields)
        ask("GET", "files", **fields)
        ask("GET", "files", pageSize="1", **fields)
    ask("GET", f"files/{file}", alt="media")
    ask("GET", "files/generateIds", count="2")
    ask("GET", "about", **EVERY)
    ask("DELETE", "files/trash")
    return file


def permissions_and_revisions_v3(client: Client, file: str) -> None:
    """What belongs to one file."""
    ask, grants, revisions = client.ask, f"files/{file}/permissions", f"files/{file}/revisions"
    grant = ask("POST", grants, {"type": "user", "role": "reader", "emailAddress": BOB})["id"]
    ask("POST", grants, {"type": "anyone", "role": "reader"}, **EVERY)
    ask("GET", grants, **EVERY)
    ask("GET", f"{grants}/{grant}", **EVERY)
    ask("PATCH", f"{grants}/{grant}", {"role": "writer"}, **EVERY)
    ask("DELETE", f"{grants}/{grant}")
    oldest = ask("GET", revisions, **EVERY)["revisions"][0]["id"]
    ask("GET", f"{revisions}/{oldest}", **EVERY)
    ask("PATCH", f"{revisions}/{oldest}", {"keepForever": True}, **EVERY)
    ask("DELETE", f"{revisions}/{oldest}")


def comments(client: Client, file: str) -> None:
    """Comments and replies, with what is deleted among them; the same in both versions but for two words."""
    ask, place = client.ask, f"files/{file}/comments"
    comment = ask("POST", place, {"content": "Why?"}, **EVERY)["id" if client.version == 3 else "commentId"]
    one, body = f"{place}/{comment}", {"content": "How?"}
    reply = ask("POST", f"{one}/replies", body, **EVERY)["id" if client.version == 3 else "replyId"]
    for path in (one, f"{one}/replies/{reply}"):
        ask("PATCH", path, body, **EVERY)
        if client.version == 2:
            ask("PUT", path, body)
        ask("GET", path, **EVERY)
        ask("GET", path.rpartition("/")[0], **EVERY)
    for path in (f"{one}/replies/{reply}", one):
        ask("DELETE", path)
        ask("GET", path, includeDeleted="true", **EVERY)
    ask("GET", place, includeDeleted="true", **EVERY)


def shared_drives_v3(client: Client) -> None:
    """A shared drive's life, and a file in it."""
    ask, both = client.ask, {"includeItemsFromAllDrives": "true", "supportsAllDrives": "true"}
    shared = ask("POST", "drives", {"name": "d"}, requestId="r", **EVERY)["id"]
    ask("POST", "files", {"name": "in d", "parents": [shared]}, supportsAllDrives="true", **EVERY)
    ask("GET", "files", corpora="drive", driveId=shared, **both, **EVERY)
    for fields in ({}, EVERY):
        ask("GET", "drives", **fields)
        ask("GET", f"drives/{shared}", **fields)
    ask("PATCH", f"drives/{shared}", {"name": "e"}, **EVERY)
    ask("POST", f"drives/{shared}/hide", **EVERY)
    ask("POST", f"drives/{shared}/unhide", **EVERY)
    ask("DELETE", f"drives/{ask('POST', 'drives', {'name': 'empty'}, requestId='r2')['id']}")


def test_every_v3_answer_fits_its_schema(drive: DriveEmulator, http: urllib3.PoolManager) -> None:
    """Each v3 method, with all fields and with the default ones, answers as Google documents it."""
    client = Client(drive, http, 3)
    start = client.ask("GET", "changes/startPageToken")["startPageToken"]

    file = files_v3(client)
    permissions_and_revisions_v3(client, file)
    comments(client, file)
    shared_drives_v3(client)
    channels(client, file, start)
    client.ask("DELETE", f"files/{file}")
    client.ask("GET", "changes", pageToken=start)
    client.ask("GET", "changes", pageToken=start, **EVERY)

    assert emulated(3) - client.seen == set()


def channels(client: Client, file: str, page_token: str) -> None:
    """Channels for a file and for the feed are opened and closed."""
    receiver = {"type": "web_hook", "address": "https://example.com/hook"}
    resource = client.ask("POST", f"files/{file}/watch", {"id": "one", **receiver})["resourceId"]
    client.ask("POST", "changes/watch", {"id": "two", **receiver}, pageToken=page_token)
    client.ask("POST", "channels/stop", {"id": "one", "resourceId": resource})


def files_v2(client: Client, folder: str) -> str:
    """Create, change, read, list, trash: the id of a file with two revisions."""
    ask, send = client.ask, client.send
    file = str(send("POST", "files", b"abc")["id"])
    send("PUT", f"files/{file}", b"defg")
    ask("PUT", f"files/{file}", {"title": "a.txt", "labels": {"starred": True}, "parents": [{"id": folder}]})
    ask("PATCH", f"files/{file}", {"description": "d"})
    ask("POST", "files", {"title": "s", "mimeType": SHORTCUT, "shortcutDetails": {"targetId": file}})
    copied = ask("POST", f"files/{file}/copy", {})["id"]
    ask("GET", f"files/{file}")
    ask("GET", f"files/{file}", alt="media")
    ask("GET", "files")
    ask("GET", "files", maxResults="1", q="title contains 'a'")
    ask("GET", "files/generateIds", maxResults="2")
    ask("GET", "about")
    for change in ("touch", "trash", "untrash"):
        ask("POST", f"files/{file}/{change}")
    ask("POST", f"files/{copied}/trash")
    ask("DELETE", "files/trash")
    return file


def places_and_properties_v2(client: Client, folder: str, file: str) -> None:
    """What v2 has as resources of their own: children, parents, properties."""
    ask = client.ask
    ask("POST", f"files/{folder}/children", {"id": file})
    ask("GET", f"files/{folder}/children")
    ask("GET", f"files/{folder}/children/{file}")
    ask("POST", f"files/{file}/parents", {"id": folder})
    ask("GET", f"files/{file}/parents")
    ask("GET", f"files/{file}/parents/{folder}")
    for visibility in ("PRIVATE", "PUBLIC"):
        ask("POST", f"files/{file}/properties", {"key": "k", "value": "v", "visibility": visibility})
        ask("GET", f"files/{file}/properties/k", visibility=visibility)
        ask("PATCH", f"files/{file}/properties/k", {"value": "w"}, visibility=visibility)
        ask("PUT", f"files/{file}/properties/k", {"value": "x"}, visibility=visibility)
    ask("GET", f"files/{file}/properties")
    ask("DELETE", f"files/{file}/properties/k", visibility="PUBLIC")


def permissions_and_revisions_v2(client: Client, file: str) -> None:
    """What belongs to one file."""
    ask, grants, revisions = client.ask, f"files/{file}/permissions", f"files/{file}/revisions"
    grant = ask("POST", grants, {"type": "user", "role": "reader", "value": BOB})["id"]
    ask("POST", grants, {"type": "anyone", "role": "reader", "withLink": True})
    ask("GET", grants)
    ask("GET", f"{grants}/{grant}")
    ask("PATCH", f"{grants}/{grant}", {"role": "writer"})
    ask("PUT", f"{grants}/{grant}", {"role": "reader"})
    ask("DELETE", f"{grants}/{grant}")
    ask("GET", f"permissionIds/{BOB}")
    oldest = ask("GET", revisions)["items"][0]["id"]
    ask("GET", f"{revisions}/{oldest}")
    ask("PATCH", f"{revisions}/{oldest}", {"pinned": True})
    ask("PUT", f"{revisions}/{oldest}", {"pinned": False})
    ask("DELETE", f"{revisions}/{oldest}")


def shared_drives_v2(client: Client) -> None:
    """A shared drive's life."""
    ask = client.ask
    shared = ask("POST", "drives", {"name": "d"}, requestId="r")["id"]
    ask("GET", "drives")
    ask("GET", f"drives/{shared}")
    ask("PUT", f"drives/{shared}", {"name": "e"})
    ask("POST", f"drives/{shared}/hide")
    ask("POST", f"drives/{shared}/unhide")
    ask("DELETE", f"drives/{shared}")


def test_every_v2_answer_fits_its_schema(drive: DriveEmulator, http: urllib3.PoolManager) -> None:
    """Each v2 method answers as Google documents it."""
    client = Client(drive, http, 2)
    start = client.ask("GET", "changes/startPageToken")["startPageToken"]
    folder = client.ask("POST", "files", {"title": "f", "mimeType": FOLDER})["id"]

    file = files_v2(client, folder)
    places_and_properties_v2(client, folder, file)
    permissions_and_revisions_v2(client, file)
    comments(client, file)
    shared_drives_v2(client)
    changes = client.ask("GET", "changes", pageToken=start)["items"]
    client.ask("GET", f"changes/{changes[0]['id']}")
    channels(client, file, start)
    client.ask("DELETE", f"files/{folder}/children/{file}")
    client.ask("DELETE", f"files/{file}/parents/root")
    client.ask("DELETE", f"files/{file}")

    assert emulated(2) - client.seen == set()
