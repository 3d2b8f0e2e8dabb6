"""google-api-python-client against the embedded Drive: Google's own client, built from Google's own document."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httplib2
import pytest
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.discovery import build, build_from_document
from googleapiclient.discovery_cache import get_static_doc
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaFileUpload, MediaIoBaseDownload, MediaIoBaseUpload, build_http

from local_runner.drive_emulator import DriveEmulator
from local_runner.drive_emulator.model.records import FOLDER
from tests.support.tls_front import TlsFront

GRANULE = 256 * 1024


def credentials(drive: DriveEmulator) -> Credentials:
    """An authorized user without an access token: the first call fetches one from the emulator's token endpoint."""
    user = drive.authorized_user()
    client = {name: user[name] for name in ("refresh_token", "token_uri", "client_id", "client_secret")}
    return Credentials(None, **client)  # type: ignore[no-untyped-call]


@contextmanager
def by_url(drive: DriveEmulator, folder: Path) -> Iterator[Any]:
    """The unmodified client, told where to find its discovery document."""
    where = drive.url + "/discovery/v1/apis/{api}/{apiVersion}/rest"
    with build(
        "drive", "v3", discoveryServiceUrl=where, static_discovery=False, credentials=credentials(drive)
    ) as service:
        yield service


@contextmanager
def by_shipped_document(drive: DriveEmulator, folder: Path) -> Iterator[Any]:
    """The document that the client ships, with its root turned to the emulator."""
    document = json.loads(get_static_doc("drive", "v3"))
    document |= {"rootUrl": drive.url + "/", "baseUrl": drive.url + "/drive/v3/"}
    document.pop("mtlsRootUrl", None)
    with build_from_document(document, http=AuthorizedHttp(credentials(drive), http=build_http())) as service:
        yield service


@contextmanager
def by_googles_names(drive: DriveEmulator, folder: Path) -> Iterator[Any]:
    """Client and credentials unmodified, through a proxy that ends the TLS: they believe that they talk to Google."""
    with TlsFront(drive.url, folder) as front:
        proxy = httplib2.proxy_info_from_url(front.url, method="https", noproxy="")
        http = httplib2.Http(ca_certs=str(front.authority), proxy_info=proxy)
        http.redirect_codes -= {308}
        info = {**drive.authorized_user(), "token": None, "expiry": None}
        user = Credentials.from_authorized_user_info(info)  # type: ignore[no-untyped-call]
        with build("drive", "v3", http=AuthorizedHttp(user, http=http)) as service:
            yield service


@pytest.fixture(params=[by_url, by_shipped_document, by_googles_names])
def service(request: pytest.FixtureRequest, drive: DriveEmulator, tmp_path: Path) -> Iterator[Any]:
    """A Drive v3 service object, by each way of building one."""
    with request.param(drive, tmp_path) as made:
        yield made


def a_file(service: Any, content: bytes = b"content", **metadata: Any) -> Any:
    """A new file, by multipart."""
    media = MediaIoBaseUpload(io.BytesIO(content), "text/plain")
    return service.files().create(body={"name": "a.txt", **metadata}, media_body=media, fields="*").execute()


def test_files_live_and_die(service: Any) -> None:
    """create, get, update, list, trash, delete; the last answers nothing."""
    files = service.files()
    folder = files.create(body={"name": "folder", "mimeType": FOLDER}).execute()["id"]
    made = a_file(service, parents=[folder])

    renamed = files.update(fileId=made["id"], body={"name": "b.txt"}).execute()
    listed = files.list(q=f"'{folder}' in parents and trashed = false", pageSize=10).execute()["files"]
    trashed = files.update(fileId=folder, body={"trashed": True}, fields="trashed").execute()
    below = files.get(fileId=made["id"], fields="trashed,explicitlyTrashed").execute()
    gone = files.delete(fileId=folder).execute()

    assert (renamed["name"], [file["id"] for file in listed]) == ("b.txt", [made["id"]])
    assert (trashed, below, gone) == ({"trashed": True}, {"trashed": True, "explicitlyTrashed": False}, "")
    with pytest.raises(HttpError, match="File not found") as refusal:
        files.get(fileId=made["id"]).execute()
    assert (refusal.value.status_code, refusal.value.reason) == (404, f"File not found: {made['id']}.")
    assert refusal.value.error_details[0]["reason"] == "notFound"


def test_content_goes_up_in_chunks_and_comes_down_in_chunks(service: Any, drive: DriveEmulator, tmp_path: Path) -> None:
    """MediaFileUpload with next_chunk, an update by upload, and MediaIoBaseDownload."""
    content = bytes(range(256)) * 2600
    (tmp_path / "large.bin").write_bytes(content)
    media = MediaFileUpload(str(tmp_path / "large.bin"), chunksize=GRANULE, resumable=True)
    request = service.files().create(body={"name": "large.bin"}, media_body=media, fields="id,size,md5Checksum")

    seen = []
    made = None
    while made is None:
        progress, made = request.next_chunk()
        seen.append(progress.resumable_progress if progress else None)
    into = io.BytesIO()
    download = MediaIoBaseDownload(into, service.files().get_media(fileId=made["id"]), chunksize=100_000)
    while not download.next_chunk()[1]:
        continue
    newer = MediaIoBaseUpload(io.BytesIO(b"newer"), "application/octet-stream", resumable=True)
    updated = service.files().update(fileId=made["id"], media_body=newer, fields="size").execute()

    assert (seen, made["size"]) == ([GRANULE, 2 * GRANULE, None], str(len(content)))
    assert (into.getvalue() == content, updated) == (True, {"size": "5"})
    assert drive.content(made["id"]) == b"newer"


def test_a_failed_chunk_is_followed_by_a_question(service: Any, drive: DriveEmulator) -> None:
    """After a 503 the client asks the session where it is, at the next call, and goes on there."""
    content = bytes(range(256)) * 4096
    media = MediaIoBaseUpload(io.BytesIO(content), "application/octet-stream", chunksize=GRANULE, resumable=True)
    request = service.files().create(body={"name": "a"}, media_body=media, fields="id")
    drive.faults.add({"on": "upload.send", "nth": 2, "do": "status", "status": 503})

    request.next_chunk()
    with pytest.raises(HttpError, match="503"):
        request.next_chunk()
    made = None
    while made is None:
        made = request.next_chunk()[1]

    assert drive.requests.count("upload.status") == 1
    assert drive.content(made["id"]) == content


def test_an_empty_file_goes_up_either_way(service: Any, drive: DriveEmulator) -> None:
    """A session of no bytes and a multipart body without content both make a file of size 0."""
    ids = [
        service.files().create(body={"name": "e"}, media_body=media, fields="id").execute()["id"]
        for resumable in (True, False)
        for media in [MediaIoBaseUpload(io.BytesIO(b""), "text/plain", resumable=resumable)]
    ]

    assert [drive.content(file_id) for file_id in ids] == [b"", b""]


def test_reserved_ids_make_one_file(service: Any) -> None:
    """generateIds, a create with the id, and 409 for the second."""
    file_id = service.files().generateIds(count=1).execute()["ids"][0]

    made = a_file(service, id=file_id)

    with pytest.raises(HttpError) as refusal:
        a_file(service, id=file_id)
    assert (made["id"], refusal.value.status_code) == (file_id, 409)
    assert refusal.value.error_details[0]["reason"] == "fileIdInUse"


def test_pages_follow_each_other(service: Any) -> None:
    """list and list_next until there is no next."""
    made = {a_file(service, name=f"{number}")["id"] for number in range(5)}
    request = service.files().list(pageSize=2, orderBy="name", fields="nextPageToken,files(id)")

    pages = []
    while request is not None:
        pages.append(request.execute())
        request = service.files().list_next(request, pages[-1])

    assert [len(page["files"]) for page in pages] == [2, 2, 1]
    assert {file["id"] for page in pages for file in page["files"]} == made


def test_a_query_longer_than_a_url_is_posted(service: Any, drive: DriveEmulator) -> None:
    """Past 2048 characters the client sends a POST with `x-http-method-override: GET`."""
    a_file(service, name="name 99")
    drive.requests.clear()
    q = " or ".join(f"name = 'name {number}'" for number in range(150))

    found = service.files().list(q=q, fields="files(name)").execute()

    assert found == {"files": [{"name": "name 99"}]}
    assert [(one.method_id, one.status) for one in drive.requests if one.method_id != "oauth.token"] == [
        ("files.list", 200)
    ]


def test_a_batch_answers_each_call_by_itself(service: Any) -> None:
    """Good and bad calls in one request; the callback hears of each."""
    made = a_file(service)["id"]
    heard: dict[str, Any] = {}
    batch = service.new_batch_http_request(callback=lambda name, answer, error: heard.update({name: error or answer}))
    batch.add(service.files().get(fileId=made, fields="name"), request_id="good")
    batch.add(service.files().get(fileId="nowhere"), request_id="bad")
    batch.add(service.files().create(body={"name": "é"}, fields="name"), request_id="new")

    batch.execute()

    assert (heard["good"], heard["new"]) == ({"name": "a.txt"}, {"name": "é"})
    assert heard["bad"].status_code == 404


def test_changes_since_a_token(service: Any) -> None:
    """A new file and a deleted one show in the feed, which ends with the token to go on from."""
    start = service.changes().getStartPageToken().execute()["startPageToken"]
    kept, gone = a_file(service)["id"], a_file(service)["id"]
    service.files().delete(fileId=gone).execute()

    feed = service.changes().list(pageToken=start).execute()
    later = service.changes().list(pageToken=feed["newStartPageToken"]).execute()

    assert {change["fileId"]: change["removed"] for change in feed["changes"]} == {kept: False, gone: True}
    assert later["changes"] == []


def test_shared_drives_have_files_of_their_own(service: Any) -> None:
    """A shared drive is made once per request id; its files need supportsAllDrives and the right corpus."""
    drive_id = service.drives().create(requestId="1", body={"name": "Team"}).execute()["id"]
    made = service.files().create(body={"name": "x", "parents": [drive_id]}, supportsAllDrives=True).execute()["id"]

    mine = service.files().list(q="name = 'x'").execute()["files"]
    theirs = service.files().list(
        corpora="drive", driveId=drive_id, includeItemsFromAllDrives=True, supportsAllDrives=True
    )

    assert [drive["name"] for drive in service.drives().list().execute()["drives"]] == ["Team"]
    assert (mine, [file["id"] for file in theirs.execute()["files"]]) == ([], [made])
    with pytest.raises(HttpError) as refusal:
        service.files().get(fileId=made).execute()
    assert refusal.value.status_code == 404


def test_permissions_revisions_and_copies(service: Any) -> None:
    """A link is shared and taken back, contents are remembered, a copy has the newest."""
    made = a_file(service)["id"]
    service.files().update(fileId=made, media_body=MediaIoBaseUpload(io.BytesIO(b"new"), "text/plain")).execute()

    grant = service.permissions().create(fileId=made, body={"type": "anyone", "role": "reader"}).execute()
    shared = service.permissions().list(fileId=made).execute()["permissions"]
    service.permissions().delete(fileId=made, permissionId=grant["id"]).execute()
    revisions = service.revisions().list(fileId=made).execute()["revisions"]
    first = service.revisions().get_media(fileId=made, revisionId=revisions[0]["id"]).execute()
    copy = service.files().copy(fileId=made, body={"name": "copy"}).execute()

    assert ([one["type"] for one in shared], grant["id"]) == (["anyone", "user"], "anyoneWithLink")
    assert (len(revisions), first) == (2, b"content")
    assert service.files().get_media(fileId=copy["id"]).execute() == b"new"


def test_the_account_is_told_on_request_only(service: Any) -> None:
    """about needs `fields`; numbers are strings."""
    a_file(service)

    quota = service.about().get(fields="storageQuota").execute()["storageQuota"]

    assert (quota["usage"], quota["limit"]) == ("7", str(15 * 1024**3))
    with pytest.raises(HttpError) as refusal:
        service.about().get().execute()
    assert refusal.value.status_code == 400
