"""What goes wrong on purpose: scripted faults, and the conditions' share of errors and delays."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ..faults.scripted import Fault
from ..http.write import Disconnected, FilePart, Response
from ..model.errors import ApiError
from ..rules.trash import set_trashed
from .request_context import Call, reply
from .request_context import refusal as envelope

FULL = "The user's Drive storage quota has been exceeded."

_OTHER_READS = 5
_WRITES = 50
_LIST = 100


def weigh(call: Call) -> None:
    """Quota units and kind of a call: get and the like 5, edits 50, lists 100; the bytes of a session are free.

    Source: Drive guide "Usage limits", edition of 1 May 2026.
    """
    record = call.record
    if call.method_id.startswith(("oauth.", "discovery.", "batch", "upload.send", "upload.status", "upload.cancel")):
        return
    if call.method_id == "upload.start" or call.request.method != "GET":
        record.units, record.write = _WRITES, True
    elif call.method_id.endswith(".list"):
        record.units = _LIST
    else:
        record.units = 200 if call.request.first("alt") == "media" else _OTHER_READS


def before(call: Call) -> None:
    """What strikes before anything is done: delays, cut connections, vanished tokens."""
    conditions, fault = call.drive.conditions, call.fault
    pause_ms = conditions.latency_ms + (conditions.jitter_ms * call.drive.ids.dice() if conditions.jitter_ms else 0)
    if pause_ms:
        time.sleep(pause_ms / 1000)
    if fault is None:
        return
    call.record.fault = fault.do
    match fault.do:
        case "reset_before":
            raise Disconnected
        case "reset_in_body":
            call.request.body.cut_after = fault.after_bytes
        case "delay":
            time.sleep(fault.ms / 1000)
        case "slow_body":
            call.request.body.pace = _slow(fault, call.request.body.length)
        case "expire_token":
            call.drive.store.delete_token(call.request.headers.get("authorization", "").partition(" ")[2])


def _slow(fault: Fault, length: int | None) -> Callable[[int], None]:
    """Waits after each piece so that the body as a whole takes `ms`."""
    ms_per_byte = fault.ms / max(1, length or 1)
    return lambda count: time.sleep(count * ms_per_byte / 1000)


def refusal(call: Call) -> Response | None:
    """The answer that takes the place of the work: a fault's status, or the conditions' share of errors."""
    fault, conditions = call.fault, call.drive.conditions
    if fault is not None and fault.do == "status" and not fault.done_first:
        return _status(fault, oauth=call.method_id.startswith("oauth."))
    if fault is not None and fault.do == "full_storage":
        return envelope(ApiError(403, "storageQuotaExceeded", FULL))
    if conditions.error_rate and call.drive.ids.dice() < conditions.error_rate:
        call.record.fault = "weather"
        return envelope(ApiError(conditions.error_status, "backendError", "Backend Error"))
    return None


def _status(fault: Fault, *, oauth: bool) -> Response:
    """Google's envelope, or the token endpoint's own form."""
    error = fault.error()
    response = envelope(error)
    if oauth:
        response = reply({"error": error.reason, "error_description": error.message}, error.status)
    if fault.body is not None:
        response.body = fault.body.encode()
        response.headers["Content-Type"] = fault.content_type
    if fault.retry_after is not None:
        seconds = fault.retry_after
        response.headers["Retry-After"] = f"{seconds:g}" if isinstance(seconds, float) else seconds
    response.headers |= fault.headers
    return response


def edited(call: Call, response: Response) -> Response:
    """The answer that a fault puts in the place of the true one, or makes of it, after the work was done."""
    fault = call.fault
    if fault is None:
        return response
    if fault.do == "status" and fault.done_first:
        _close(response)
        return _status(fault, oauth=call.method_id.startswith("oauth."))
    if not isinstance(response.body, bytes):
        return response
    if fault.do == "shorten_answer":
        response.body = response.body[: fault.after_bytes or len(response.body) // 2]
    if fault.do == "edit_answer" and response.headers.get("Content-Type", "").startswith("application/json"):
        resource = {**msgspec.json.decode(response.body), **fault.set}
        for path in fault.drop:
            _drop(resource, path.split("."))
        response.body = json.dumps(resource).encode()  # also half a character, which msgspec refuses
    return response


def _drop(resource: Any, path: list[str]) -> None:
    """Leave a field out, in every item where the way leads through a list."""
    for item in resource if isinstance(resource, list) else [resource]:
        if not isinstance(item, dict):
            continue
        if len(path) == 1:
            item.pop(path[0], None)
        else:
            _drop(item.get(path[0]), path[1:])


def trash_parents(call: Call, folder_ids: Iterable[str]) -> None:
    """The fault `trash_parent`: at this very moment, someone puts the folders in question in the bin."""
    if call.fault is None or call.fault.do != "trash_parent":
        return
    store = call.drive.store
    with store.transaction():
        for folder_id in folder_ids:
            folder = store.files.get(folder_id)
            if folder is not None:
                set_trashed(store, folder, True, by=folder.owner, now_ms=call.drive.clock.now_ms())


def trash_parent_of(call: Call, file_id: str) -> None:
    """The same for the folder that a file lies in."""
    record = call.drive.store.files.get(file_id)
    trash_parents(call, record.parents if record else ())


def after(call: Call, response: Response) -> None:
    """What strikes when the work is done: a lost or damaged answer."""
    fault = call.fault
    if fault is None:
        return
    if fault.do == "lose_answer":
        _close(response)
        raise Disconnected
    if fault.do == "truncate_answer":
        response.cut_after = fault.after_bytes or response.length // 2
    if fault.do == "slow_body" and response.length:
        response.spread_ms = fault.ms


def _close(response: Response) -> None:
    if isinstance(response.body, FilePart):
        response.body.file.close()
