"""PyDrive2, unmodified, against the embedded Drive: it speaks v2 through oauth2client's credentials."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httplib2
import pytest
from googleapiclient.discovery import build_from_document
from oauth2client.client import OAuth2Credentials
from pydrive2.auth import GoogleAuth, RefreshError
from pydrive2.drive import GoogleDrive
from pydrive2.files import ApiRequestError

from local_runner.drive_emulator import DriveEmulator
from local_runner.drive_emulator.model.records import FOLDER
from local_runner.drive_emulator.schema import discovery
from tests.support.tls_front import TlsFront

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""PyDrive2 makes a connection a thread and never closes one."""


@pytest.fixture
def emulator() -> Iterator[DriveEmulator]:
    """An empty embedded Drive; what PyDrive2 left open is collected before the next test."""
    with DriveEmulator() as running:
        yield running
    gc.collect()


def authenticated(emulator: DriveEmulator, monkeypatch: pytest.MonkeyPatch, refresh_token: str | None = None) -> Any:
    """PyDrive2's GoogleAuth with a refresh token and no access token, its service aimed at the emulator."""
    monkeypatch.setenv("GDRIVE_NON_INTERACTIVE", "1")
    token, url = emulator.authorized_user(), emulator.url
    client = {"client_id": token["client_id"], "client_secret": token["client_secret"]}
    uris = {"token_uri": f"{url}/token", "revoke_uri": f"{url}/revoke"}
    auth = GoogleAuth(
        settings={
            "client_config_backend": "settings",
            "client_config": {**client, **uris, "auth_uri": f"{url}/o/oauth2/auth"},
            "oauth_scope": token["scopes"],
        }
    )
    refresh = refresh_token or token["refresh_token"]
    auth.credentials = OAuth2Credentials(
        None, *client.values(), refresh, None, uris["token_uri"], "PyDrive2", scopes=token["scopes"]
    )
    auth.http = httplib2.Http()
    auth.service = build_from_document(discovery.served(2, url), http=auth.credentials.authorize(httplib2.Http()))
    return auth


@pytest.fixture
def drive(emulator: DriveEmulator, monkeypatch: pytest.MonkeyPatch) -> GoogleDrive:
    """PyDrive2's GoogleDrive, with a fresh access token."""
    auth = authenticated(emulator, monkeypatch)
    auth.Refresh()
    return GoogleDrive(auth)


def a_file(drive: GoogleDrive, content: str, **metadata: Any) -> Any:
    """A new file, uploaded."""
    file = drive.CreateFile(metadata)
    file.SetContentString(content)
    file.Upload()
    return file


def test_content_goes_up_and_comes_down(emulator: DriveEmulator, drive: GoogleDrive, tmp_path: Path) -> None:
    """Upload, another content, and downloads as text and as a file; every revision stays."""
    file = a_file(drive, "first", title="a.txt")
    file.SetContentString("second")
    file.Upload()

    again = drive.CreateFile({"id": file["id"]})
    again.GetContentFile(str(tmp_path / "a.txt"))

    assert (again.GetContentString(), (tmp_path / "a.txt").read_text()) == ("second", "second")
    assert (again["title"], again["fileSize"], len(again.GetRevisions())) == ("a.txt", "6", 2)
    assert emulator.content(file["id"]) == b"second"


def test_folders_lists_and_moves(drive: GoogleDrive) -> None:
    """A file made in a folder and one moved into it are both listed there, page by page too."""
    folder = drive.CreateFile({"title": "folder", "mimeType": FOLDER})
    folder.Upload()
    a_file(drive, "x", title="made here", parents=[{"id": folder["id"]}])
    moved = a_file(drive, "y", title="moved here")
    moved["parents"] = [{"id": folder["id"]}]
    moved.Upload()
    q = f"'{folder['id']}' in parents and trashed = false"

    pages = list(drive.ListFile({"q": q, "maxResults": 1}))

    assert [len(page) for page in pages] == [1, 1]
    assert {file["title"] for page in pages for file in page} == {"made here", "moved here"}


def test_the_bin_and_deletion(emulator: DriveEmulator, drive: GoogleDrive) -> None:
    """Trash, untrash and delete do what they say."""
    file = a_file(drive, "x", title="a")

    file.Trash()
    trashed = drive.ListFile({"q": "trashed = true"}).GetList()
    file.UnTrash()
    kept = drive.ListFile({"q": "trashed = false"}).GetList()
    file.Delete()

    assert ([one["id"] for one in trashed], [one["id"] for one in kept]) == ([file["id"]], [file["id"]])
    assert emulator.files() == []


def test_permissions_properties_and_copies(drive: GoogleDrive) -> None:
    """A link is shared and taken back; a property stays; a copy has the content."""
    file = a_file(drive, "x", title="a", properties=[{"key": "k", "value": "v", "visibility": "PUBLIC"}])

    grant = file.InsertPermission({"type": "anyone", "value": "anyone", "role": "reader", "withLink": True})
    shared = {one["type"] for one in file.GetPermissions()}
    file.DeletePermission(grant["id"])
    copy = file.Copy(new_title="copy of a")

    assert shared == {"user", "anyone"}
    assert {one["type"] for one in file.GetPermissions()} == {"user"}
    assert [(one["key"], one["value"]) for one in file["properties"]] == [("k", "v")]
    assert (copy["title"], copy.GetContentString()) == ("copy of a", "x")
    assert drive.GetAbout()["quotaBytesUsed"] == "2"


def test_what_is_missing_is_googles_404(drive: GoogleDrive) -> None:
    """PyDrive2 reads reason and message out of the refusal."""
    with pytest.raises(ApiRequestError) as refusal:
        drive.CreateFile({"id": "nowhere"}).FetchMetadata()

    assert (refusal.value.error["code"], refusal.value.GetField("reason")) == (404, "notFound")
    assert refusal.value.GetField("message") == "File not found: nowhere."


def test_a_revoked_token_is_a_refresh_error(emulator: DriveEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a revoked refresh token PyDrive2 says so instead of asking anybody to log in."""
    auth = authenticated(emulator, monkeypatch, refresh_token="revoked")

    with pytest.raises(RefreshError, match=r"invalid_grant: Token has been expired or revoked\."):
        auth.Refresh()


SETTINGS = """\
client_config_backend: settings
client_config:
  client_id: {client_id}
  client_secret: {client_secret}
save_credentials: True
save_credentials_backend: file
save_credentials_file: {folder}/credentials.json
get_refresh_token: True
oauth_scope: [{scopes[0]}]
"""


def test_settings_and_credentials_as_people_have_them(
    emulator: DriveEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A settings file and saved credentials, everything else unmodified: PyDrive2 believes that it talks to Google."""
    user = emulator.authorized_user()
    (tmp_path / "settings.yaml").write_text(SETTINGS.format(folder=tmp_path, **user))
    client = (user["client_id"], user["client_secret"], user["refresh_token"])
    uri = "https://oauth2.googleapis.com/token"
    expired = OAuth2Credentials(
        "old", *client, datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None), uri, "PyDrive2", scopes=user["scopes"]
    )
    (tmp_path / "credentials.json").write_text(expired.to_json())

    with TlsFront(emulator.url, tmp_path) as front:
        for name, value in front.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(httplib2, "CA_CERTS", str(front.authority))
        auth = GoogleAuth(str(tmp_path / "settings.yaml"))
        auth.LocalWebserverAuth()
        file = a_file(GoogleDrive(auth), "content", title="a.txt")

    saved = OAuth2Credentials.from_json((tmp_path / "credentials.json").read_text())
    assert emulator.content(file["id"]) == b"content"
    assert (saved.access_token != "old", saved.access_token_expired) == (True, False)
