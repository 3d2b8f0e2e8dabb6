"""Drive's API v3 by Google's own client: its requests and errors on one side, ours on the other.

Source: Drive's reference, https://developers.google.com/workspace/drive/api/reference/rest/v3/files.
"""

import copy
import json
import random
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Annotated, Any, Protocol, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from function.core import retry
from function.core.errors import DeadlineExceeded, LookFailed, NotFound, TransientDriveError, UploadError
from function.core.retry import Deadline
from function.core.types import (
    CLAIM_PROPERTY,
    FOLDER_MIME_TYPE,
    ID_PROPERTY,
    KEY_PROPERTY,
    FileId,
    NewFile,
    RemoteFile,
    Usage,
)
from function.drive import resumable
from function.drive.client import ODD_ANSWER, USER_AGENT, HttpError, Service, service
from function.drive.errors import translate
from function.drive.http import JOINED_MAX_BYTES, Media, Transport, document, malformed_response
from function.drive.port import Drive
from function.drive.query import Query
from function.pacing import Pacer

FIELDS = (
    "id,name,mimeType,parents,trashed,explicitlyTrashed,size,md5Checksum,sha256Checksum,createdTime,modifiedTime,"
    "headRevisionId,version,appProperties,properties,description,webViewLink,ownedByMe,shortcutDetails(targetId)"
)
"""All that the job ever looks at, asked for in the answer of the request itself."""

PAGE_SIZE = 1000

GOOGLE = "https://www.googleapis.com"

LIST_UNITS, WRITE_UNITS, OTHER_UNITS = 100, 50, 5
"""Quota units of a call. Source: Drive guide, 'Usage limits', May 2026."""

UNKNOWN_TYPE = "application/octet-stream"
"""Of a part whose content Drive shall look at itself: each part of a multipart body names a type."""

_ALL = {"fields": FIELDS, "supportsAllDrives": True}

T = TypeVar("T")


class AccessTokens(Protocol):
    """Where access tokens come from."""

    def access_token(self, deadline: Deadline) -> str: ...

    def refused(self, access_token: str, deadline: Deadline) -> None: ...


class GoogleDrive(msgspec.Struct, frozen=True):
    """`Drive` for one account."""

    transport: Transport
    tokens: AccessTokens
    pacer: Pacer
    endpoint: str
    """Base URL of the service: sessions begun elsewhere are none of its business."""
    drive_id: str | None
    """The shared drive that listings are confined to."""
    usage: Usage = msgspec.field(default_factory=Usage)
    rate_refusals: dict[bool, TransientDriveError] = msgspec.field(default_factory=dict)
    """Of writes (True) and of reads: what Drive last said against the account's rate, until it lets one in again."""

    def bound(self, usage: Usage, deadline: Deadline) -> Drive:
        return replace(self, usage=usage, transport=replace(self.transport, deadline=deadline))

    @property
    def _api(self) -> Service:
        return service(self.endpoint)

    @property
    def _http(self) -> Transport:
        return replace(self.transport, user_agent=USER_AGENT)

    def identity(self) -> str:
        request = self._api.about.get(fields="kind,user(permissionId)")
        return self._look(request, OTHER_UNITS, _permission_id)

    def reserve_ids(self, count: int) -> list[str]:
        request = self._api.files.generateIds(count=count, space="drive", type="files", fields="ids")
        return self._look(request, OTHER_UNITS, _ids)

    def get(self, file_id: str) -> RemoteFile | None:
        try:
            return self._look(self._api.files.get(fileId=file_id, **_ALL), OTHER_UNITS, _remote)
        except NotFound:
            return None

    def count_revisions(self, file_id: str) -> int:
        request = self._api.revisions.list(fileId=file_id, pageSize=2, fields="revisions(id)")
        try:
            return self._look(request, LIST_UNITS, lambda answer: len(answer["revisions"]))
        except NotFound:
            return 0

    def first_page(self, query: Query) -> tuple[list[RemoteFile], bool]:
        files, next_page = self._look(self._listing(query), LIST_UNITS, partial(_page, query))
        return files, next_page is None

    def list(self, query: Query) -> list[RemoteFile]:
        found: list[RemoteFile] = []
        next_page: str | None = ""
        while next_page is not None:
            files, next_page = self._look(self._listing(query, next_page), LIST_UNITS, partial(_page, query))
            found += files
        return found

    def _listing(self, query: Query, page: str = "") -> Any:
        """The request for a page of a listing."""
        options: dict[str, Any] = {
            "q": query.q,
            "pageSize": PAGE_SIZE,
            "fields": f"kind,nextPageToken,incompleteSearch,files({FIELDS})",
            "supportsAllDrives": True,
            "includeItemsFromAllDrives": True,
        }
        if self.drive_id:
            options |= {"corpora": "drive", "driveId": self.drive_id}
        if page:
            options["pageToken"] = page
        return self._api.files.list(**options)

    def create_folder(self, file_id: FileId, name: str, parent: str, key: str) -> RemoteFile:
        body = {
            "id": file_id,
            "name": name,
            "mimeType": FOLDER_MIME_TYPE,
            "parents": [parent],
            "appProperties": _ownership_mark(file_id, key),
        }
        return self._send(self._api.files.create(body=body, **_ALL), WRITE_UNITS, _remote)

    def create(self, file: NewFile, content: memoryview) -> RemoteFile:
        """A multipart upload. Google's client would copy the content four times: the body is made here, without copies.

        Source: Drive guide, 'Upload file data'.
        """
        request = copy.copy(_multipart_create(self.endpoint))
        boundary = f"{random.getrandbits(128):032x}"
        head = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(_new(file))}\r\n"
        head += f"--{boundary}\r\nContent-Type: {file.mime_type or UNKNOWN_TYPE}\r\n\r\n"
        parts = (head.encode(), content, f"\r\n--{boundary}--\r\n".encode())
        sends = [b"".join(parts)] if len(content) <= JOINED_MAX_BYTES else parts
        request.body = [memoryview(each) for each in sends]
        request.headers = {
            **request.headers,
            "content-type": f"multipart/related; boundary={boundary}",
            "content-length": str(sum(map(len, parts))),
        }
        return self._send(request, WRITE_UNITS, _remote)

    def start(self, file: NewFile, size: int, *, revises: bool) -> str:
        """Google's client would start a session and send to it in one go: here the start is a request of its own."""
        media = Media(file.mime_type or UNKNOWN_TYPE, size)
        files = self._api.files
        if revises:
            request = files.update(fileId=file.id, body=_told(file), media_body=media, **_ALL)
        else:
            request = files.create(body=_new(file), media_body=media, **_ALL)
        request.resumable = None
        request.headers |= {"x-upload-content-type": media.mimetype(), "x-upload-content-length": str(size)}
        request.postproc = lambda response, _: response
        return self._send(request, WRITE_UNITS, _location)

    def session_status(self, uri: str, size: int) -> RemoteFile | int:
        return retry.call(
            lambda: self._session(uri, lambda http: resumable.status(http, uri, size)), deadline=self.transport.deadline
        )

    def send(self, uri: str, size: int, offset: int, blocks: Iterable[memoryview]) -> RemoteFile | int:
        return self._session(uri, lambda http: resumable.send(http, uri, size, offset, blocks))

    def update(
        self,
        file: RemoteFile,
        *,
        name: str | None = None,
        move_to: str | None = None,
        properties: Mapping[str, str | None] | None = None,
        description: str | None = None,
    ) -> RemoteFile:
        body = {
            "name": name,
            "properties": properties,
            "description": description,
        }
        move = {"addParents": move_to, "removeParents": ",".join(file.parents)} if move_to else {}
        return self._change(file, {field: value for field, value in body.items() if value is not None}, move)

    def trash(self, file: RemoteFile) -> RemoteFile:
        return self._change(file, {"trashed": True, "appProperties": {KEY_PROPERTY: None}}, {})

    def _change(self, file: RemoteFile, body: dict[str, Any], options: dict[str, str]) -> RemoteFile:
        request = partial(self._api.files.update, fileId=file.id, body=body, **_ALL, **options)
        return retry.call(lambda: self._send(request(), WRITE_UNITS, _remote), deadline=self.transport.deadline)

    def _look(self, request: Any, units: int, read: Callable[[dict[str, Any]], T]) -> T:
        """What a request tells that changes nothing; sent again while it isn't answered whole.

        A listing knows no 404: whoever asked for it looks by their ids whether the folders are there, and asks again.
        """
        try:
            return retry.call(partial(self._send, request, units, read), deadline=self.transport.deadline)
        except NotFound as error:
            if request.methodId != "drive.files.list":
                raise
            raise LookFailed(error.message) from None

    def _session(self, uri: str, ask: Callable[[Transport], dict[str, Any] | int]) -> RemoteFile | int:
        resumable.check_endpoint(uri, self.endpoint)
        self.usage.count(0)
        progress = ask(self._http)
        return progress if isinstance(progress, int) else _read(_remote, progress)

    def _send(self, request: Any, units: int, read: Callable[[dict[str, Any]], T]) -> T:
        """What `read` finds in a good answer; sent once, or again with a new token after a 401."""
        deadline = self.transport.deadline
        write = request.method != "GET"
        for is_last in (False, True):
            token = self.tokens.access_token(deadline)
            self._wait_for_room(write=write)
            self.usage.count(units)
            request.headers["authorization"] = f"Bearer {token}"
            try:
                answer = request.execute(http=self._http, num_retries=0)
            except HttpError as error:
                refusal = _refusal(error, request, token)
                self._report(error.resp.status, refusal, write=write)
                if error.resp.status != 401 or is_last:
                    raise refusal from None
                self.tokens.refused(token, deadline)
            except ODD_ANSWER:
                raise malformed_response() from None
            else:
                self.pacer.succeeded(write=write)
                self.rate_refusals.pop(write, None)
                return _read(read, answer)
        raise AssertionError("the last try returns or raises")

    def _wait_for_room(self, *, write: bool) -> None:
        """Return when the pacer lets a request go. Where that is too late, Drive's last word tells why."""
        try:
            self.pacer.acquire(write=write, deadline=self.transport.deadline)
        except DeadlineExceeded as late:
            if late.reason == "rate_limited" and (refusal := self.rate_refusals.get(write)):
                raise refusal from late
            raise

    def _report(self, status: int, refusal: UploadError, *, write: bool) -> None:
        """Tell the pacer whether Drive let the request in, whatever it thought of it. A day's limit is no rate."""
        if isinstance(refusal, TransientDriveError) and refusal.reason == "rate_limited":
            self.rate_refusals[write] = refusal
            self.pacer.refused(write=write, retry_after_s=refusal.wait_s)
        elif status < 500 and status != 401:
            self.pacer.succeeded(write=write)


@lru_cache(maxsize=8)
def _multipart_create(endpoint: str) -> Any:
    """A create without its body, which is all that differs: to make its address anew for each file takes a fifth of
    the request's time."""
    request = service(endpoint).files.create(body={}, media_body=Media(UNKNOWN_TYPE, 0), **_ALL)
    request.resumable = None
    uri = request.uri.replace("uploadType=resumable", "uploadType=multipart")
    request.uri = uri.replace(quote(FIELDS), FIELDS)  # each percent sign would be looked at again, for each file
    return request


def _refusal(error: Any, request: Any, token: str) -> UploadError:
    """What a refusal stands for. What was sent may come back in it: the token never gets into a message."""
    content = error.content.replace(token.encode(), b"")
    return translate(error.resp.status, error.resp, content, to_content="uploadType=" in request.uri)


def _read(read: Callable[[dict[str, Any]], T], answer: object) -> T:
    """What `read` finds in an answer. Raises TransientDriveError where it is cut short or makes no sense."""
    found = document(answer)
    try:
        msgspec.json.encode(found)  # a lone surrogate, which JSON allows, could never be written down
        return read(found)
    except ODD_ANSWER as error:
        raise malformed_response() from error


def _new(file: NewFile) -> dict[str, Any]:
    """The resource of a file to be."""
    mime_type = {"mimeType": file.mime_type} if file.mime_type else {}
    return {"id": file.id, "name": file.name, "parents": [file.folder]} | mime_type | _told(file)


def _ownership_mark(file_id: FileId, key: str) -> dict[str, str]:
    return {KEY_PROPERTY: key, ID_PROPERTY: file_id}


def _told(file: NewFile) -> dict[str, Any]:
    """What creates and revisions say of a file: our mark and nonce, its time, the caller's metadata."""
    ours = (_ownership_mark(file.id, file.key) if file.key else {}) | (
        {CLAIM_PROPERTY: file.nonce} if file.nonce else {}
    )
    told: dict[str, Any] = {"appProperties": ours} if ours else {}
    if file.modified_time:
        told["modifiedTime"] = file.modified_time
    if file.properties:
        told["properties"] = dict(file.properties)
    if file.description is not None:
        told["description"] = file.description
    return told


_Text: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]


class _User(msgspec.Struct, rename="camel"):
    permission_id: _Text


class _Shortcut(msgspec.Struct, rename="camel", frozen=True):
    target_id: _Text | None = None


class _Resource(msgspec.Struct, rename="camel"):
    """What FIELDS asks for. Source: Drive's reference, `files`."""

    id: _Text
    name: str
    mime_type: str
    parents: tuple[_Text, ...] = ()
    trashed: bool = False
    explicitly_trashed: bool = False
    size: int | None = None
    md5_checksum: str | None = None
    sha256_checksum: str | None = None
    created_time: str = ""
    modified_time: str = ""
    head_revision_id: str | None = None
    version: str | None = None
    app_properties: dict[str, str] = {}
    properties: dict[str, str] = {}
    description: str | None = None
    web_view_link: str | None = None
    owned_by_me: bool | None = None
    shortcut_details: _Shortcut = _Shortcut()

    @property
    def our_properties(self) -> dict[str, str]:
        """Our properties of what we made; none of an owner's copy of it, which takes them along under another id."""
        return self.app_properties if self.app_properties.get(ID_PROPERTY, self.id) == self.id else {}


def _location(headers: dict[str, Any]) -> str:
    return msgspec.convert(headers["location"], _Text)


def _permission_id(answer: dict[str, Any]) -> str:
    return msgspec.convert(answer["user"], _User).permission_id


def _ids(answer: dict[str, Any]) -> list[str]:
    ids: list[str] = msgspec.convert(answer["ids"], Annotated[list[_Text], msgspec.Meta(min_length=1)])
    return ids


def _page(query: Query, answer: dict[str, Any]) -> tuple[list[RemoteFile], str | None]:
    """The files of a page, and the token of the next one. Raises LookFailed for a page that doesn't tell all."""
    if answer.get("kind", _LISTING) != _LISTING or answer.get("incompleteSearch") or "error" in answer:
        raise LookFailed("Drive did not search everything; call again later.")
    files = [_remote(each) for each in answer["files"]]
    if not all(each.parents or query.matches(each, ()) for each in files):
        raise LookFailed("Drive's listing leaves out where its files are; call again later.")
    return files, msgspec.convert(answer.get("nextPageToken"), _Text | None)


_LISTING = "drive#fileList"


def _remote(answer: dict[str, Any]) -> RemoteFile:
    resource = msgspec.convert(answer, _Resource, strict=False)  # `size` is text
    return RemoteFile(
        id=FileId(resource.id),
        name=resource.name,
        mime_type=resource.mime_type,
        parents=resource.parents,
        trashed=resource.trashed,
        explicitly_trashed=resource.explicitly_trashed,
        size=resource.size,
        md5=resource.md5_checksum,
        sha256=resource.sha256_checksum,
        created_time=resource.created_time,
        modified_time=resource.modified_time,
        key=resource.our_properties.get(KEY_PROPERTY),
        nonce=resource.our_properties.get(CLAIM_PROPERTY),
        head_revision_id=resource.head_revision_id,
        version=resource.version,
        properties=resource.properties,
        description=resource.description,
        link=resource.web_view_link,
        is_mine=resource.owned_by_me is not False,
        target=resource.shortcut_details.target_id,
    )
