"""Drive over google-api-python-client (API v3): Google's requests and errors on one side, ours on the other."""

import dataclasses
import io
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from function import resumable, retry
from function.deadline import Deadline
from function.deferred import deferred
from function.drive import Drive, Usage
from function.drive_errors import translate
from function.errors import NotFound, SessionLost, TransientDriveError
from function.model import FOLDER_MIME_TYPE, ID_PROPERTY, KEY_PROPERTY, FileId, NewFile, RemoteFile
from function.pacer import Pacer
from function.transport import Answer, Body, Transport, nonsense

FIELDS = (
    "id,name,mimeType,parents,trashed,explicitlyTrashed,size,md5Checksum,sha256Checksum,createdTime,modifiedTime,"
    "appProperties,webViewLink"
)
"""All that the job ever looks at, asked for in the answer of the request itself."""

PAGE_SIZE = 1000

GOOGLE = "https://www.googleapis.com"

WRITE_UNITS = 50

UNITS = {"list": 100, "create": WRITE_UNITS, "update": WRITE_UNITS}
"""Quota units of a call; others cost 5. Source: Drive guide, 'Usage limits', May 2026."""

JOINED_MAX_BYTES = 256 * 1024
"""A content of up to so many bytes is copied into one block with what is around it: one send instead of three."""

_ALL: dict[str, Any] = {"fields": FIELDS, "supportsAllDrives": True}

T = TypeVar("T")


class AccessTokens(Protocol):
    """Where access tokens come from."""

    def access_token(self, deadline: Deadline) -> str: ...

    def refused(self, access_token: str, deadline: Deadline) -> None: ...


def files_resource(endpoint: str | None) -> Any:
    """The `files` of google-api-python-client's v3 client, aimed at Google or at an emulator's base URL.

    Made once: the client builds all its methods anew for each `service.files()`.
    """
    with deferred("oauth2client", "oauth2client.client", "google.oauth2.service_account", "httplib2.auth"):
        from googleapiclient import discovery, discovery_cache
    document = json.loads(discovery_cache.get_static_doc("drive", "v3"))
    if endpoint:
        # client_options.api_endpoint would leave uploads on https.
        document["rootUrl"] = f"{endpoint}/"
        document["baseUrl"] = f"{endpoint}/{document['servicePath']}"
        document.pop("mtlsRootUrl", None)
    return discovery.build_from_document(document, http=_NoHttp()).files()


class _NoHttp:
    """Stands in for an http object: every request is given the transport it is executed with."""


@dataclasses.dataclass(frozen=True, slots=True)
class GoogleDrive:
    """`Drive` for one account."""

    files: Any
    """google-api-python-client's resource of that name: it prepares the requests."""
    transport: Transport
    tokens: AccessTokens
    pacer: Pacer
    endpoint: str
    """Base URL of the service: sessions begun elsewhere are none of its business."""
    drive_id: str | None
    """The shared drive that listings are confined to."""
    usage: Usage = dataclasses.field(default_factory=Usage)

    def bound(self, usage: Usage, deadline: Deadline) -> Drive:
        return dataclasses.replace(self, usage=usage, transport=dataclasses.replace(self.transport, deadline=deadline))

    def reserve_ids(self, count: int) -> list[str]:
        return self._repeat(
            lambda: self.files.generateIds(count=count, space="drive", type="files", fields="ids"), _ids
        )

    def get(self, file_id: str) -> RemoteFile | None:
        try:
            return self._repeat(lambda: self.files.get(fileId=file_id, **_ALL), _remote)
        except NotFound:
            return None

    def first_page(self, query: str) -> tuple[list[RemoteFile], bool]:
        return next(self._pages(query))

    def _pages(self, query: str) -> Iterator[tuple[list[RemoteFile], bool]]:
        """The pages of a listing, each with whether it is the last one."""
        options: dict[str, Any] = {
            "q": query,
            "pageSize": PAGE_SIZE,
            "fields": f"nextPageToken,files({FIELDS})",
            "supportsAllDrives": True,
            "includeItemsFromAllDrives": True,
        }
        if self.drive_id:
            options |= {"corpora": "drive", "driveId": self.drive_id}
        while True:
            files, next_page = self._repeat(lambda: self.files.list(**options), _page)
            options["pageToken"] = next_page
            yield files, next_page is None
            if next_page is None:
                return

    def list(self, query: str) -> list[RemoteFile]:
        return [each for page, _ in self._pages(query) for each in page]

    def create_folder(self, file_id: FileId, name: str, parent: str, key: str) -> RemoteFile:
        body = {
            "id": file_id,
            "name": name,
            "mimeType": FOLDER_MIME_TYPE,
            "parents": [parent],
            "appProperties": _mark(file_id, key),
        }
        return self._once(self.files.create(body=body, **_ALL), _remote)

    def create(self, file: NewFile, content: bytes) -> RemoteFile:
        """A multipart upload. Source: Drive guide, 'Upload file data'.

        The client would build its body with the e-mail package: four copies of the content, a fifth of the time.
        """
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(_new(file))}\r\n"
        head += f"--{boundary}\r\nContent-Type: {file.mime_type}\r\n\r\n"
        parts = (head.encode(), content, f"\r\n--{boundary}--\r\n".encode())
        sends = [b"".join(parts)] if len(content) <= JOINED_MAX_BYTES else parts
        request = _multipart(self.files)
        headers = request.headers | {
            "content-type": f"multipart/related; boundary={boundary}",
            "content-length": str(sum(map(len, parts))),
        }
        blocks = [memoryview(each) for each in sends]
        return self._http(request).send(request.uri, request.method, blocks, headers).told(_remote)

    def start(self, file: NewFile, size: int, *, revises: bool) -> str:
        request = self._revise(file) if revises else self._create(file)
        request.headers |= {"x-upload-content-type": file.mime_type, "x-upload-content-length": str(size)}
        answer = self._http(request).send(request.uri, request.method, request.body, request.headers)
        if not answer.headers.get("location"):
            raise nonsense()
        return answer.headers["location"]

    def session_status(self, uri: str, size: int) -> RemoteFile | int:
        if urlsplit(uri).netloc != urlsplit(self.endpoint).netloc:
            raise SessionLost("The session was begun at another endpoint.")
        return self._repeated(lambda: self._session(lambda: resumable.status(self.transport, uri, size)))

    def send(self, uri: str, size: int, offset: int, blocks: Iterable[memoryview]) -> RemoteFile | int:
        return self._session(lambda: resumable.send(self.transport, uri, size, offset, blocks))

    def update(
        self, file: RemoteFile, *, name: str | None = None, move_to: str | None = None, trashed: bool | None = None
    ) -> RemoteFile:
        body = {key: value for key, value in (("name", name), ("trashed", trashed)) if value is not None}
        move = {"addParents": move_to, "removeParents": ",".join(file.parents)} if move_to else {}
        return self._repeat(lambda: self.files.update(fileId=file.id, body=body, **_ALL, **move), _remote)

    def _create(self, file: NewFile) -> Any:
        return self.files.create(body=_new(file), media_body=_media(file.mime_type), **_ALL)

    def _revise(self, file: NewFile) -> Any:
        return self.files.update(fileId=file.id, body=_marks(file), media_body=_media(file.mime_type), **_ALL)

    def _repeated(self, operation: Callable[[], T]) -> T:
        return retry.call(operation, deadline=self.transport.deadline)

    def _repeat(self, make: Callable[[], Any], read: Callable[[dict[str, Any]], T]) -> T:
        return self._repeated(lambda: self._once(make(), read))

    def _once(self, request: Any, read: Callable[[dict[str, Any]], T]) -> T:
        request.postproc = lambda _, body: Answer(200, {}, body)
        answer: Answer = request.execute(http=self._http(request))
        return answer.told(read)

    def _http(self, request: Any) -> "_Http":
        return _Http(self, UNITS.get(request.methodId.rpartition(".")[2], 5))

    def _session(self, operation: Callable[[], Answer | int]) -> RemoteFile | int:
        self.usage.count(0)
        progress = operation()
        return progress if isinstance(progress, int) else progress.told(_remote)


@dataclasses.dataclass(frozen=True, slots=True)
class _Http:
    """The `http` object of one request: authorizes, paces and counts it, and raises our errors for Google's."""

    drive: GoogleDrive
    units: int

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: dict[str, str] | None = None,
        **_: object,
    ) -> tuple[Any, bytes]:
        import httplib2

        answer = self.send(uri, method, body, headers or {})
        return httplib2.Response({**answer.headers, "status": answer.status}), answer.body

    def send(self, uri: str, method: str, body: Body, headers: dict[str, str]) -> Answer:
        """The answer, if it is a good one; sent again only with a new token after a 401."""
        deadline = self.drive.transport.deadline
        token = self.drive.tokens.access_token(deadline)
        answer = self._send_paced(uri, method, body, headers, token)
        if answer.status == 401:
            self.drive.tokens.refused(token, deadline)
            answer = self._send_paced(uri, method, body, headers, self.drive.tokens.access_token(deadline))
        if answer.status >= 300:
            raise translate(answer.status, answer.headers, answer.body)
        return answer

    def _send_paced(self, uri: str, method: str, body: Body, headers: dict[str, str], token: str) -> Answer:
        pacer, write = self.drive.pacer, self.units == WRITE_UNITS
        pacer.acquire(write=write, deadline=self.drive.transport.deadline)
        self.drive.usage.count(self.units)
        answer = self.drive.transport.send(method, uri, {**headers, "authorization": f"Bearer {token}"}, body)
        self._report(answer, write=write)
        return answer

    def _report(self, answer: Answer, *, write: bool) -> None:
        """Tell the pacer whether Drive let the request in, whatever it thought of it. A day's limit is no rate."""
        refusal = translate(answer.status, answer.headers, answer.body) if answer.status in (403, 429) else None
        if isinstance(refusal, TransientDriveError) and refusal.reason == "rate_limited":
            self.drive.pacer.refused(write=write, retry_after_s=refusal.retry_after_s)
        elif answer.status < 500 and answer.status != 401:
            self.drive.pacer.succeeded(write=write)


@lru_cache(maxsize=8)
def _multipart(files: Any) -> Any:
    """A create in one request as the client prepares it, which is the same for all files but for its body."""
    request = files.create(body={}, media_body=_media("application/octet-stream"), **_ALL)
    request.uri = request.uri.replace("uploadType=resumable", "uploadType=multipart")
    return request


def _media(mime_type: str) -> Any:
    """What makes the client prepare an upload of that type; we send the content ourselves."""
    from googleapiclient.http import MediaIoBaseUpload

    return MediaIoBaseUpload(io.BytesIO(), mimetype=mime_type, resumable=True)


def _new(file: NewFile) -> dict[str, Any]:
    """The resource of a file to be."""
    return {"id": file.id, "name": file.name, "parents": [file.folder], "mimeType": file.mime_type} | _marks(file)


def _mark(file_id: FileId, key: str) -> dict[str, str]:
    return {KEY_PROPERTY: key, ID_PROPERTY: file_id}


def _key(resource: dict[str, Any]) -> str | None:
    """The key of what we made; None on an owner's copy of it."""
    marks = resource.get("appProperties", {})
    return marks.get(KEY_PROPERTY) if marks.get(ID_PROPERTY, resource["id"]) == resource["id"] else None


def _marks(file: NewFile) -> dict[str, Any]:
    marks: dict[str, Any] = {"appProperties": _mark(file.id, file.key)} if file.key else {}
    if file.properties:
        marks["properties"] = dict(file.properties)
    if file.description is not None:
        marks["description"] = file.description
    return marks


def _ids(answer: dict[str, Any]) -> list[str]:
    ids = [str(each) for each in answer["ids"]]
    if not ids:
        raise ValueError("no ids")
    return ids


def _page(answer: dict[str, Any]) -> tuple[list[RemoteFile], str | None]:
    """The files of a page, and the token of the next one."""
    return [_remote(each) for each in answer["files"]], answer.get("nextPageToken")


def _remote(resource: dict[str, Any]) -> RemoteFile:
    size = resource.get("size")
    return RemoteFile(
        id=FileId(resource["id"]),
        name=resource.get("name", ""),
        mime_type=resource.get("mimeType", ""),
        parents=tuple(resource.get("parents", ())),
        trashed=bool(resource.get("trashed")),
        explicitly_trashed=bool(resource.get("explicitlyTrashed")),
        size=None if size is None else int(size),
        md5=resource.get("md5Checksum"),
        sha256=resource.get("sha256Checksum"),
        created_time=resource.get("createdTime", ""),
        modified_time=resource.get("modifiedTime", ""),
        key=_key(resource),
        link=resource.get("webViewLink"),
    )
