"""What a handler is given, and how it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..faults.scripted import Fault
from ..http.read import BodyTooLarge, Request
from ..http.write import Response
from ..model.clock import rfc3339
from ..model.errors import ApiError, bad_request, not_emulated
from ..model.records import FileRecord, JsonObject, Viewer
from ..render import field_mask, file_v2
from ..render.file_v3 import View, file_resource
from ..schema import conformance
from ..schema.discovery import Version
from ..storage.request_log import RequestRecord
from ..storage.state import Drive

JSON_TYPE = "application/json; charset=UTF-8"
METADATA_LIMIT_BYTES = 8 * 1024 * 1024
"""Room for the longest metadata: contentHints with a thumbnail of 2 MB in base64."""

NOBODY = Viewer("", "", "", "", frozenset())


REFUSED_WHEN_TRUE = ("useDomainAdminAccess", "ocr", "allowItemDeletion")
"""Parameters whose effect is not emulated; their absence or `false` is."""
REFUSED = ("includeLabels", "includePermissionsForView", "callback", "timedTextLanguage", "timedTextTrackName")


def _no_answer(request: Request) -> Response:
    raise not_emulated("a call inside this request")


@dataclass(slots=True)
class Call:
    """One request on its way through: `args` are the path's ids, `params` the checked query parameters."""

    drive: Drive
    request: Request
    method_id: str
    version: Version
    args: Mapping[str, str]
    record: RequestRecord
    params: Mapping[str, Any] = field(default_factory=dict)
    viewer: Viewer = NOBODY
    fault: Fault | None = None
    answer: Callable[[Request], Response] = _no_answer
    """Serves another request as if it had come by itself: the calls of a batch."""

    @property
    def all_drives(self) -> bool:
        """Whether the client said that it knows shared drives."""
        return bool(self.params.get("supportsAllDrives") or self.params.get("supportsTeamDrives"))

    def check_parameters(self, query: Mapping[str, str], method_id: str) -> None:
        """Set `params` from a query; 400 for what that method doesn't have."""
        self.params = conformance.check_parameters(self.version, method_id, query)
        for name in REFUSED_WHEN_TRUE:
            if self.params.get(name) is True:
                raise not_emulated(f"{name}=true")
        for name in REFUSED:
            if self.params.get(name):
                raise not_emulated(f"the parameter {name}")
        if self.params.get("newRevision") is False or self.params.get("alt") == "proto":
            raise not_emulated("newRevision=false or alt=proto")

    @property
    def view(self) -> View:
        return View(self.drive, self.viewer, self.origin)

    def body(self) -> bytes:
        """The request's whole body: metadata, so of limited size."""
        try:
            return self.request.body.read(METADATA_LIMIT_BYTES)
        except BodyTooLarge as error:
            raise ApiError(413, "uploadTooLarge", "The request's metadata is too large.") from error

    def mask(self, schema: str) -> field_mask.FieldMask:
        """What `fields` asks for of an answer of that schema."""
        return field_mask.parse(self.params.get("fields"), version=self.version, schema=schema)

    def file(self, record: FileRecord) -> Response:
        """The answer that is one file."""
        mask = self.mask("File")
        if self.version == 3:
            return reply(file_resource(record, self.view, mask))
        made = file_resource(record, self.view, file_v2.v3_mask(mask))
        response = reply(file_v2.file_resource(made, self.site, mask))
        response.headers["ETag"] = file_v2.etag(record.id, record.version)
        return response

    @property
    def site(self) -> file_v2.Site:
        """What links in v2's resources start with."""
        return file_v2.Site(self.origin, self.viewer.root_id)

    @property
    def now(self) -> str:
        """The present moment as Drive writes it."""
        return rfc3339(self.drive.clock.now_ms())

    @property
    def origin(self) -> str:
        """Scheme and host as the client named them, for URLs in answers."""
        return self.request.origin


def checked_body(version: Version, schema: str, data: bytes, *, lone_lists: bool = False) -> JsonObject:
    """Metadata as sent -> an object of that schema; 400 `parseError` for what isn't JSON.

    With `lone_lists` a list of one scalar counts as the scalar: only multipart uploads are read so. Source: googledrive
    (R), whose live tests upload with such metadata.
    """
    if not data.strip():
        return {}
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request("Parse Error", reason="parseError") from error
    if body is None:  # what Google's client for Go sends for a change without metadata
        return {}
    if isinstance(body, dict):
        misplaced = conformance.disregarded(version, schema)
        body = {name: value for name, value in body.items() if name not in misplaced}
        if lone_lists:
            body = conformance.without_lone_lists(version, schema, body)
    conformance.check_body(version, schema, body)
    if not isinstance(body, dict):
        raise bad_request("Parse Error", reason="parseError")
    return body


def reply(resource: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(status, msgspec.json.encode(resource), {"Content-Type": JSON_TYPE})


def refusal(error: ApiError) -> Response:
    """Google's envelope for a refusal."""
    response = reply(error.body(), error.status)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(round(error.retry_after_s))
    if error.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="https://accounts.google.com/", error="invalid_token"'
    return response
