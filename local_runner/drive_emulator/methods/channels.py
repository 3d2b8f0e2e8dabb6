"""`watch` and `channels.stop`: channels for a file or for the feed of changes.

Receivers on this machine and in its network are told (storage/notifications.py); plain http is taken for loopback only,
where nobody can have a certificate. Other receivers see what they see of Drive while nothing changes.
Source: Drive guide "Notifications for resource changes".
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from ..context.request_context import Call, checked_body, reply
from ..http.write import Response
from ..model.errors import ApiError, bad_request
from ..model.records import FileRecord
from ..rules import access
from ..storage.notifications import Channel, is_loopback

DEFAULT_LIFE_MS = 3600 * 1000


def watch_file(call: Call) -> Response:
    """A channel for one file."""
    record = access.find(call.drive.store, call.viewer, call.args["fileId"], all_drives=call.all_drives)
    return _open(call, f"files/{record.id}", record, longest_ms=24 * DEFAULT_LIFE_MS)


def watch_changes(call: Call) -> Response:
    """A channel for the change feed."""
    return _open(call, "changes", None, longest_ms=7 * 24 * DEFAULT_LIFE_MS)


def stop(call: Call) -> Response:
    """Close a channel; 404 for one that isn't open."""
    body = checked_body(call.version, "Channel", call.body())
    name, resource = body.get("id"), body.get("resourceId")
    channel = call.drive.notifier.channels.get(name or "")
    if channel is None or channel.resource_id != resource:
        message = f"Channel '{name}' not found for project '{call.viewer.client_id}'"
        raise ApiError(404, "channelIdNotFound", message)
    del call.drive.notifier.channels[channel.id]
    return Response(204)


def _open(call: Call, path: str, watched: FileRecord | None, *, longest_ms: int) -> Response:
    body = checked_body(call.version, "Channel", call.body())
    name = _checked(call, body)
    now_ms = call.drive.clock.now_ms()
    expires_ms = min(int(body.get("expiration") or now_ms + DEFAULT_LIFE_MS), now_ms + longest_ms)
    resource = base64.urlsafe_b64encode(hashlib.sha256(path.encode()).digest())[:27].decode()
    uri = f"{call.origin}/drive/v{call.version}/{path}?alt=json"
    file_id = watched.id if watched is not None else None
    token = str(body.get("token") or "")
    call.drive.notifier.open(
        Channel(name, resource, uri, body["address"], token, expires_ms, call.viewer.email, file_id, watched),
        call.drive.store,
    )
    channel: dict[str, Any] = {
        "kind": "api#channel",
        "id": name,
        "resourceId": resource,
        "resourceUri": uri,
        "expiration": str(expires_ms),
    }
    more = {"token": body["token"]} if body.get("token") else {}
    return reply(call.mask("Channel").apply(channel | more))


def _checked(call: Call, body: dict[str, Any]) -> str:
    """The channel's id, where the request is one that Drive would take."""
    name: str | None = body.get("id")
    if not name:
        raise bad_request("entity.resource.id is required.", reason="required")
    if body.get("type") not in {"web_hook", "webhook"}:
        raise bad_request("Unknown channel type.", reason="channelTypeInvalid")
    address = str(body.get("address", ""))
    is_local_http = address.startswith("http://") and is_loopback(address)
    if not (address.startswith("https://") or is_local_http):
        message = f"WebHook callback must be HTTPS: {body.get('address', '')}"
        raise bad_request(message, reason="push.webhookUrlNotHttps")
    if name in call.drive.notifier.channels:
        raise bad_request(f"Channel id {name} not unique", reason="channelIdNotUnique")
    return name
