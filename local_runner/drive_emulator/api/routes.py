"""One table: which request is which method, and who answers it.

API methods take their verb and path from Google's discovery documents; a method that the documents have and `HANDLERS`
has not is answered 501. Uploads, sessions, OAuth, batch and the emulator's own pages stand below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

from ..admin import api, browse_http, lifecycle
from ..context.request_context import Call
from ..http.read import Request
from ..http.write import Response
from ..methods import (
    about,
    changes,
    channels,
    comments,
    downloads,
    drives,
    files_v2,
    files_v3,
    listing,
    permissions,
    revisions,
)
from ..model.errors import not_emulated
from ..schema.discovery import Version, document
from ..upload import session_dialects, single_request, upload_type
from . import batch
from . import oauth as oauth_http

Handler = Callable[[Call], Response]

_SAME: Mapping[str, Handler] = {
    "changes.getStartPageToken": changes.start_page_token,
    "changes.watch": channels.watch_changes,
    "channels.stop": channels.stop,
    "comments.delete": comments.delete,
    "comments.get": comments.get,
    "comments.list": comments.comments_list,
    "comments.update": comments.update,
    "drives.delete": drives.delete,
    "drives.get": drives.get,
    "drives.hide": drives.hide,
    "drives.list": drives.drives_list,
    "drives.unhide": drives.unhide,
    "drives.update": drives.update,
    "files.copy": files_v3.copy,
    "files.emptyTrash": files_v3.empty_trash,
    "files.export": files_v3.export,
    "files.generateIds": files_v3.generate_ids,
    "files.update": files_v3.update,
    "files.watch": channels.watch_file,
    "permissions.delete": permissions.delete,
    "permissions.get": permissions.get,
    "permissions.list": permissions.permissions_list,
    "permissions.update": permissions.update,
    "replies.delete": comments.reply_delete,
    "replies.get": comments.reply_get,
    "replies.list": comments.replies_list,
    "replies.update": comments.reply_update,
    "revisions.delete": revisions.delete,
    "revisions.get": revisions.get,
    "revisions.list": revisions.revisions_list,
    "revisions.update": revisions.update,
}
"""Methods that have one name in both versions, and one handler."""

HANDLERS: Mapping[Version, Mapping[str, Handler]] = {
    3: {
        **_SAME,
        "about.get": about.get,
        "changes.list": changes.changes_list,
        "comments.create": comments.create,
        "drives.create": drives.create,
        "files.create": files_v3.create,
        "files.delete": files_v3.delete,
        "files.get": files_v3.get,
        "files.list": listing.files_list,
        "permissions.create": permissions.create,
        "replies.create": comments.reply_create,
    },
    2: {
        **_SAME,
        "about.get": about.get_v2,
        "changes.get": changes.get_v2,
        "changes.list": changes.changes_list_v2,
        "children.delete": files_v2.children_delete,
        "children.get": files_v2.children_get,
        "children.insert": files_v2.children_insert,
        "children.list": files_v2.children_list,
        "comments.insert": comments.create,
        "comments.patch": comments.update,
        "drives.insert": drives.create,
        "files.delete": files_v2.delete,
        "files.get": files_v2.get,
        "files.insert": files_v3.create,
        "files.list": files_v2.files_list,
        "files.patch": files_v3.update,
        "files.touch": files_v2.touch,
        "files.trash": files_v2.trash,
        "files.untrash": files_v2.untrash,
        "parents.delete": files_v2.parents_delete,
        "parents.get": files_v2.parents_get,
        "parents.insert": files_v2.parents_insert,
        "parents.list": files_v2.parents_list,
        "permissions.getIdForEmail": permissions.id_for_email,
        "permissions.insert": permissions.create,
        "permissions.patch": permissions.update,
        "properties.delete": files_v2.properties_delete,
        "properties.get": files_v2.properties_get,
        "properties.insert": files_v2.properties_insert,
        "properties.list": files_v2.properties_list,
        "properties.patch": files_v2.properties_update,
        "properties.update": files_v2.properties_update,
        "replies.insert": comments.reply_create,
        "replies.patch": comments.reply_update,
        "revisions.patch": revisions.update,
    },
}
"""What is emulated, by version and method."""

UPLOADS: Mapping[tuple[Version, str], tuple[str, str]] = {
    (3, "files.create"): ("POST", "files"),
    (3, "files.update"): ("PATCH", "files/{fileId}"),
    (2, "files.insert"): ("POST", "files"),
    (2, "files.update"): ("PUT", "files/{fileId}"),
}
"""Methods that take content, under /upload/drive/vN/ (and /resumable/upload/drive/vN/)."""

OPEN: Mapping[tuple[str, str], tuple[str, Handler]] = {
    ("POST", "/token"): ("oauth.token", oauth_http.token),
    ("POST", "/oauth2/v4/token"): ("oauth.token", oauth_http.token),
    ("POST", "/o/oauth2/token"): ("oauth.token", oauth_http.token),
    ("POST", "/revoke"): ("oauth.revoke", oauth_http.revoke),
    ("GET", "/revoke"): ("oauth.revoke", oauth_http.revoke),
    ("GET", "/o/oauth2/revoke"): ("oauth.revoke", oauth_http.revoke),
    ("POST", "/o/oauth2/revoke"): ("oauth.revoke", oauth_http.revoke),
    ("GET", "/tokeninfo"): ("oauth.tokeninfo", oauth_http.tokeninfo),
    ("POST", "/tokeninfo"): ("oauth.tokeninfo", oauth_http.tokeninfo),
    ("GET", "/oauth2/v3/tokeninfo"): ("oauth.tokeninfo", oauth_http.tokeninfo),
    ("GET", "/oauth2/v3/userinfo"): ("oauth.userinfo", oauth_http.userinfo),
    ("GET", "/v1/userinfo"): ("oauth.userinfo", oauth_http.userinfo),
    ("GET", "/oauth2/v1/userinfo"): ("oauth.userinfo", oauth_http.userinfo),
    ("GET", "/oauth2/v2/userinfo"): ("oauth.userinfo", oauth_http.userinfo),
    ("GET", "/userinfo/v2/me"): ("oauth.userinfo", oauth_http.userinfo),
    ("GET", "/oauth2/v1/tokeninfo"): ("oauth.tokeninfo", oauth_http.tokeninfo),
    ("GET", "/oauth2/v1/certs"): ("oauth.certs", oauth_http.certificates),
    ("GET", "/oauth2/v3/certs"): ("oauth.certs", oauth_http.jwks),
    ("GET", "/.well-known/openid-configuration"): ("oauth.configuration", oauth_http.openid_configuration),
    ("POST", "/device/code"): ("oauth.device_code", oauth_http.device_code),
    ("POST", "/o/oauth2/device/code"): ("oauth.device_code", oauth_http.device_code),
    ("GET", "/device"): ("oauth.device", oauth_http.device),
    ("POST", "/device"): ("oauth.device", oauth_http.device_decided),
    ("GET", "/o/oauth2/auth"): ("oauth.authorize", oauth_http.authorize),
    ("GET", "/o/oauth2/v2/auth"): ("oauth.authorize", oauth_http.authorize),
    ("POST", "/o/oauth2/auth"): ("oauth.consent", oauth_http.consent_given),
    ("POST", "/o/oauth2/v2/auth"): ("oauth.consent", oauth_http.consent_given),
    ("GET", "/discovery/v1/apis/drive/v3/rest"): ("discovery.get", api.discovery_v3),
    ("GET", "/discovery/v1/apis/drive/v2/rest"): ("discovery.get", api.discovery_v2),
    ("GET", "/uc"): ("public.download", downloads.public_link),
    ("GET", "/download"): ("public.download", downloads.public_link),
    ("GET", "/emulator/faults"): ("emulator.faults", api.show_faults),
    ("POST", "/emulator/faults"): ("emulator.faults", api.add_faults),
    ("DELETE", "/emulator/faults"): ("emulator.faults", api.clear_faults),
    ("GET", "/emulator/requests"): ("emulator.requests", api.show_requests),
    ("DELETE", "/emulator/requests"): ("emulator.requests", api.clear_requests),
    ("GET", "/emulator/files"): ("emulator.files", api.show_files),
    ("GET", "/emulator/content"): ("emulator.content", api.show_content),
    ("GET", "/emulator/weather"): ("emulator.weather", api.show_conditions),
    ("PATCH", "/emulator/weather"): ("emulator.weather", api.change_conditions),
    ("GET", "/emulator/accounts"): ("emulator.accounts", api.show_accounts),
    ("POST", "/emulator/accounts"): ("emulator.accounts", api.add_account),
    ("GET", "/emulator/health"): ("emulator.health", lifecycle.health),
    ("POST", "/emulator/reset"): ("emulator.reset", lifecycle.reset),
    ("POST", "/emulator/service-account"): ("emulator.accounts", lifecycle.service_account_key),
    ("GET", "/emulator/state"): ("emulator.state", lifecycle.state),
    ("GET", "/emulator/download"): ("emulator.download", browse_http.download),
    ("GET", "/"): ("emulator.page", browse_http.page),
}
"""What needs no access token: verb and path -> method id and handler."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes. `starts` is the method that a session's start belongs to; `open` needs no access token."""

    method_id: str
    handler: Handler
    version: Version = 3
    args: Mapping[str, str] | None = None
    starts: str | None = None
    open: bool = False

    @property
    def is_api(self) -> bool:
        """Whether faults, conditions and quota apply; the emulator's own pages stand outside."""
        return not self.method_id.startswith("emulator.")


def match(request: Request) -> Route | None:
    """The route of a request; None where Google has nothing at this path with this verb."""
    known = OPEN.get((request.method, request.path))
    if known is not None:
        return Route(known[0], known[1], open=True)
    segments = request.path.strip("/").split("/")
    if segments[0] == "resumable":
        segments = segments[1:]
    if segments[0] == "batch" and request.method == "POST" and segments[1:] in (["drive", "v3"], ["drive", "v2"]):
        return Route("batch", batch.batch, _VERSIONS[segments[2]], open=True)
    if segments[:2] == ["upload", "drive"] and len(segments) > 3:
        return _upload_route(request, segments[2], segments[3:])
    if segments[0] == "drive" and len(segments) > 2:
        return _api_route(request.method, segments[1], segments[2:])
    return None


def _api_route(http_method: str, version_name: str, segments: list[str]) -> Route | None:
    version = _VERSIONS.get(version_name)
    if version is None:
        return None
    for pattern, method_id in _patterns(version).get((http_method, len(segments)), ()):
        args = _args(pattern, segments)
        if args is not None:
            return Route(method_id, HANDLERS[version].get(method_id, _refuse), version, args)
    return None


def _upload_route(request: Request, version_name: str, segments: list[str]) -> Route | None:
    version = _VERSIONS.get(version_name)
    if version is None:
        return None
    if request.first("upload_id") is not None:
        return _session_route(request, version)
    for (of_version, method_id), (http_method, path) in UPLOADS.items():
        args = _args(tuple(path.split("/")), segments)
        if of_version == version and http_method == request.method and args is not None:
            if upload_type.is_start(request):
                return Route("upload.start", session_dialects.start, version, args, starts=method_id)
            return Route(method_id, single_request.upload, version, args)
    return None


def _session_route(request: Request, version: Version) -> Route | None:
    if request.method not in {"PUT", "POST", "PATCH", "DELETE"}:
        return None
    match "cancel" if request.method == "DELETE" else session_dialects.sends(request):
        case "cancel":
            return Route("upload.cancel", session_dialects.cancel, version, open=True)
        case "status":
            return Route("upload.status", session_dialects.status, version, open=True)
        case _:
            return Route("upload.send", session_dialects.send, version, open=True)


def _refuse(call: Call) -> Response:
    raise not_emulated(f"v{call.version} {call.method_id}")


_VERSIONS: Mapping[str, Version] = {"v2": 2, "v3": 3}


@cache
def _patterns(version: Version) -> Mapping[tuple[str, int], tuple[tuple[tuple[str, ...], str], ...]]:
    """Verb and length of path -> patterns with their method, those without placeholders first."""
    table: dict[tuple[str, int], list[tuple[tuple[str, ...], str]]] = {}
    for method in document(version).methods.values():
        pattern = tuple(method.path.split("/"))
        table.setdefault((method.http_method, len(pattern)), []).append((pattern, method.id))
    return {key: tuple(sorted(found, key=lambda one: "{" in "".join(one[0]))) for key, found in table.items()}


def _args(pattern: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    """The placeholders' values where the path fits the pattern: `{fileId}`, also `{commentId}:resolve`."""
    if len(pattern) != len(segments):
        return None
    args: dict[str, str] = {}
    for expected, given in zip(pattern, segments, strict=True):
        if not expected.startswith("{"):
            if expected != given:
                return None
            continue
        name, _, suffix = expected[1:].partition("}")
        if not given.endswith(suffix) or len(given) <= len(suffix):
            return None
        args[name] = unquote(given.removesuffix(suffix))
    return args
