"""Drive's API v3 over HTTP: Google's requests and errors on one side, ours on the other.

google-api-python-client would take longer to import and to build than a request takes, sends no multipart body
without copying it four times, and repeats what must not be repeated; of all that it offers six methods are needed here.
Source: Drive's reference, https://developers.google.com/workspace/drive/api/reference/rest/v3/files.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from function import __version__
from function.core import retry
from function.core.deadline import Deadline
from function.core.errors import NotFound, SessionLost, TransientDriveError
from function.core.types import (
    CLAIM_PROPERTY,
    FOLDER_MIME_TYPE,
    ID_PROPERTY,
    KEY_PROPERTY,
    FileId,
    NewFile,
    RemoteFile,
)
from function.drive import resumable
from function.drive.errors import translate
from function.drive.http import Answer, Body, Transport, nonsense
from function.drive.port import Drive, Usage
from function.drive.query import Query
from function.pacing.rate_limiter import Pacer

FIELDS = (
    "id,name,mimeType,parents,trashed,explicitlyTrashed,size,md5Checksum,sha256Checksum,createdTime,modifiedTime,"
    "headRevisionId,version,appProperties,properties,description,webViewLink"
)
"""All that the job ever looks at, asked for in the answer of the request itself."""

PAGE_SIZE = 1000

GOOGLE = "https://www.googleapis.com"

FILES = "/drive/v3/files"

LIST_UNITS, WRITE_UNITS, OTHER_UNITS = 100, 50, 5
"""Quota units of a call. Source: Drive guide, 'Usage limits', May 2026."""

URI_MAX_BYTES = 2048
"""A longer query goes in the body, as google-api-python-client sends it."""

JOINED_MAX_BYTES = 256 * 1024
"""A content of up to so many bytes is copied into one block with what is around it: one send instead of three."""

UNKNOWN_TYPE = "application/octet-stream"
"""Of a part whose content Drive shall look at itself: each part of a multipart body names a type."""

JSON = "application/json; charset=UTF-8"

HEADERS = {
    "accept": "application/json",
    "accept-encoding": "gzip",
    "user-agent": f"drive-upload/{__version__} (gzip)",
}
"""Google compresses answers for those who say gzip in both. Source: Drive guide, 'Improve performance'."""

_ALL = {"fields": FIELDS, "supportsAllDrives": "true"}

T = TypeVar("T")


class AccessTokens(Protocol):
    """Where access tokens come from."""

    def access_token(self, deadline: Deadline) -> str: ...

    def refused(self, access_token: str, deadline: Deadline) -> None: ...


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: Mapping[str, str]
    units: int
    body: Body = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GoogleDrive:
    """`Drive` for one account."""

    transport: Transport
    tokens: AccessTokens
    pacer: Pacer
    endpoint: str
    """Base URL of the service: sessions begun elsewhere are none of its business."""
    drive_id: str | None
    """The shared drive that listings are confined to."""
    usage: Usage = field(default_factory=Usage)

    def bound(self, usage: Usage, deadline: Deadline) -> Drive:
        return replace(self, usage=usage, transport=replace(self.transport, deadline=deadline))

    def identity(self) -> str:
        query = {"fields": "kind,user(permissionId)"}
        return self._repeat(_Request("GET", "/drive/v3/about", query, OTHER_UNITS), _permission_id)

    def reserve_ids(self, count: int) -> list[str]:
        query = {"count": str(count), "space": "drive", "type": "files", "fields": "ids"}
        return self._repeat(_Request("GET", f"{FILES}/generateIds", query, OTHER_UNITS), _ids)

    def get(self, file_id: str) -> RemoteFile | None:
        try:
            return self._repeat(_Request("GET", _path(file_id), _ALL, OTHER_UNITS), _remote)
        except NotFound:
            return None

    def count_revisions(self, file_id: str) -> int:
        query = {"pageSize": "2", "fields": "revisions(id)"}
        try:
            request = _Request("GET", f"{_path(file_id)}/revisions", query, LIST_UNITS)
            return self._repeat(request, lambda document: len(document.get("revisions", ())))
        except NotFound:
            return 0

    def first_page(self, query: Query) -> tuple[list[RemoteFile], bool]:
        return next(self._pages(query))

    def _pages(self, query: Query) -> Iterator[tuple[list[RemoteFile], bool]]:
        """The pages of a listing, each with whether it is the last one."""
        options = {
            "q": query.q,
            "pageSize": str(PAGE_SIZE),
            "fields": f"nextPageToken,files({FIELDS})",
            "supportsAllDrives": "true",
            "includeItemsFromAllDrives": "true",
        }
        if self.drive_id:
            options |= {"corpora": "drive", "driveId": self.drive_id}
        while True:
            files, next_page = self._repeat(_listing(options), _page)
            yield files, next_page is None
            if next_page is None:
                return
            options["pageToken"] = next_page

    def list(self, query: Query) -> list[RemoteFile]:
        return [each for page, _ in self._pages(query) for each in page]

    def create_folder(self, file_id: FileId, name: str, parent: str, key: str) -> RemoteFile:
        body = {
            "id": file_id,
            "name": name,
            "mimeType": FOLDER_MIME_TYPE,
            "parents": [parent],
            "appProperties": _mark(file_id, key),
        }
        return self._send(_json("POST", FILES, _ALL, body)).told(_remote)

    def create(self, file: NewFile, content: memoryview) -> RemoteFile:
        """A multipart upload. Source: Drive guide, 'Upload file data'."""
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Type: {JSON}\r\n\r\n{json.dumps(_new(file))}\r\n"
        head += f"--{boundary}\r\nContent-Type: {file.mime_type or UNKNOWN_TYPE}\r\n\r\n"
        parts = (head.encode(), content, f"\r\n--{boundary}--\r\n".encode())
        sends = [b"".join(parts)] if len(content) <= JOINED_MAX_BYTES else parts
        headers = {
            "content-type": f"multipart/related; boundary={boundary}",
            "content-length": str(sum(map(len, parts))),
        }
        blocks = [memoryview(each) for each in sends]
        query = _ALL | {"uploadType": "multipart"}
        return self._send(_Request("POST", f"/upload{FILES}", query, WRITE_UNITS, blocks, headers)).told(_remote)

    def start(self, file: NewFile, size: int, *, revises: bool) -> str:
        method, path, body = ("PATCH", _path(file.id), _marks(file)) if revises else ("POST", FILES, _new(file))
        headers = {"x-upload-content-type": file.mime_type or UNKNOWN_TYPE, "x-upload-content-length": str(size)}
        request = _json(method, f"/upload{path}", _ALL | {"uploadType": "resumable"}, body, headers)
        answer = self._send(request)
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
        self,
        file: RemoteFile,
        *,
        name: str | None = None,
        move_to: str | None = None,
        trashed: bool | None = None,
        properties: Mapping[str, str | None] | None = None,
        description: str | None = None,
        nonce: str | None = None,
    ) -> RemoteFile:
        body = {
            "name": name,
            "trashed": trashed,
            "properties": properties,
            "description": description,
            "appProperties": {CLAIM_PROPERTY: nonce} if nonce else None,
        }
        body = {field: value for field, value in body.items() if value is not None}
        move = {"addParents": move_to, "removeParents": ",".join(file.parents)} if move_to else {}
        return self._repeat(_json("PATCH", _path(file.id), _ALL | move, body), _remote)

    def _repeated(self, operation: Callable[[], T]) -> T:
        return retry.call(operation, deadline=self.transport.deadline)

    def _repeat(self, request: _Request, read: Callable[[dict[str, Any]], T]) -> T:
        return self._repeated(lambda: self._send(request).told(read))

    def _session(self, operation: Callable[[], Answer | int]) -> RemoteFile | int:
        self.usage.count(0)
        progress = operation()
        return progress if isinstance(progress, int) else progress.told(_remote)

    def _send(self, request: _Request) -> Answer:
        """The answer, if it is a good one; sent again only with a new token after a 401."""
        deadline = self.transport.deadline
        token = self.tokens.access_token(deadline)
        answer = self._send_paced(request, token)
        if answer.status == 401:
            self.tokens.refused(token, deadline)
            answer = self._send_paced(request, self.tokens.access_token(deadline))
        if answer.status >= 300:
            raise translate(answer.status, answer.headers, answer.body)
        return answer

    def _send_paced(self, request: _Request, token: str) -> Answer:
        write = request.units == WRITE_UNITS
        self.pacer.acquire(write=write, deadline=self.transport.deadline)
        self.usage.count(request.units)
        uri = f"{self.endpoint}{request.path}?{urlencode(request.query)}"
        headers = {**HEADERS, **request.headers, "authorization": f"Bearer {token}"}
        answer = self.transport.send(request.method, uri, headers, request.body)
        self._report(answer, write=write)
        return answer

    def _report(self, answer: Answer, *, write: bool) -> None:
        """Tell the pacer whether Drive let the request in, whatever it thought of it. A day's limit is no rate."""
        refusal = translate(answer.status, answer.headers, answer.body) if answer.status in (403, 429) else None
        if isinstance(refusal, TransientDriveError) and refusal.reason == "rate_limited":
            self.pacer.refused(write=write, retry_after_s=refusal.retry_after_s)
        elif answer.status < 500 and answer.status != 401:
            self.pacer.succeeded(write=write)


def _path(file_id: str) -> str:
    return f"{FILES}/{quote(file_id, safe='')}"


def _json(
    method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> _Request:
    """A write whose body is JSON."""
    return _Request(
        method, path, query, WRITE_UNITS, json.dumps(body).encode(), {"content-type": JSON, **(headers or {})}
    )


def _listing(options: Mapping[str, str]) -> _Request:
    """A `files.list`, whose query may be longer than a URI may be."""
    query = urlencode(options)
    if len(query) <= URI_MAX_BYTES:
        return _Request("GET", FILES, options, LIST_UNITS)
    headers = {"content-type": "application/x-www-form-urlencoded", "x-http-method-override": "GET"}
    return _Request("POST", FILES, {}, LIST_UNITS, query.encode(), headers)


def _new(file: NewFile) -> dict[str, Any]:
    """The resource of a file to be."""
    mime_type = {"mimeType": file.mime_type} if file.mime_type else {}
    return {"id": file.id, "name": file.name, "parents": [file.folder]} | mime_type | _marks(file)


def _mark(file_id: FileId, key: str) -> dict[str, str]:
    return {KEY_PROPERTY: key, ID_PROPERTY: file_id}


def _ours(resource: dict[str, Any]) -> dict[str, str]:
    """Our marks on what we made; none on an owner's copy of it, which takes them along under another id."""
    marks: dict[str, str] = resource.get("appProperties", {})
    return marks if marks.get(ID_PROPERTY, resource["id"]) == resource["id"] else {}


def _marks(file: NewFile) -> dict[str, Any]:
    ours = (_mark(file.id, file.key) if file.key else {}) | ({CLAIM_PROPERTY: file.nonce} if file.nonce else {})
    marks: dict[str, Any] = {"appProperties": ours} if ours else {}
    if file.modified_time:
        marks["modifiedTime"] = file.modified_time
    if file.properties:
        marks["properties"] = dict(file.properties)
    if file.description is not None:
        marks["description"] = file.description
    return marks


def _permission_id(answer: dict[str, Any]) -> str:
    return str(answer["user"]["permissionId"])


def _ids(answer: dict[str, Any]) -> list[str]:
    ids = [str(each) for each in answer["ids"]]
    if not ids:
        raise ValueError("no ids")
    return ids


def _page(answer: dict[str, Any]) -> tuple[list[RemoteFile], str | None]:
    """The files of a page, and the token of the next one."""
    return [_remote(each) for each in answer["files"]], answer.get("nextPageToken")


def _remote(resource: dict[str, Any]) -> RemoteFile:
    size, ours = resource.get("size"), _ours(resource)
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
        key=ours.get(KEY_PROPERTY),
        nonce=ours.get(CLAIM_PROPERTY),
        head_revision_id=resource.get("headRevisionId"),
        version=resource.get("version"),
        properties=resource.get("properties", {}),
        description=resource.get("description"),
        link=resource.get("webViewLink"),
    )
