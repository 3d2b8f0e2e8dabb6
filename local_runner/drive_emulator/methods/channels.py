"""`watch` and `channels.stop`: channels are opened and closed as on Drive, and nobody is notified.

Google tells a receiver on the public internet; an emulator on one machine has none. A client sees what it sees of Drive
while nothing changes. Source: Drive guide "Notifications for resource changes".
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from ..context.request_context import Call, checked_body, reply
from ..http.write import Response
from ..model.errors import ApiError, bad_request
from ..rules import access

DEFAULT_LIFE_MS = 3600 * 1000


def watch_file(call: Call) -> Response:
    """A channel for one file."""
    record = access.find(call.drive.store, call.viewer, call.args["fileId"], all_drives=call.all_drives)
    return _open(call, f"files/{record.id}", longest_ms=24 * DEFAULT_LIFE_MS)


def watch_changes(call: Call) -> Response:
    """A channel for the change feed."""
    return _open(call, "changes", longest_ms=7 * 24 * DEFAULT_LIFE_MS)


def stop(call: Call) -> Response:
    """Close a channel; 404 for one that isn't open."""
    body = checked_body(call.version, "Channel", call.body())
    name, resource = body.get("id"), body.get("resourceId")
    if not name or call.drive.channels.get(name) != resource:
        message = f"Channel '{name}' not found for project '{call.viewer.client_id}'"
        raise ApiError(404, "channelIdNotFound", message)
    del call.drive.channels[name]
    return Response(204)


def _open(call: Call, path: str, *, longest_ms: int) -> Response:
    body = checked_body(call.version, "Channel", call.body())
    name = _checked(call, body)
    now_ms = call.drive.clock.now_ms()
    expires_ms = min(int(body.get("expiration") or now_ms + DEFAULT_LIFE_MS), now_ms + longest_ms)
    resource = base64.urlsafe_b64encode(hashlib.sha256(path.encode()).digest())[:27].decode()
    call.drive.channels[name] = resource
    channel: dict[str, Any] = {
        "kind": "api#channel",
        "id": name,
        "resourceId": resource,
        "resourceUri": f"{call.origin}/drive/v{call.version}/{path}?alt=json",
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
    if not str(body.get("address", "")).startswith("https://"):
        message = f"WebHook callback must be HTTPS: {body.get('address', '')}"
        raise bad_request(message, reason="push.webhookUrlNotHttps")
    if name in call.drive.channels:
        raise bad_request(f"Channel id {name} not unique", reason="channelIdNotUnique")
    return name
