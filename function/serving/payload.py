"""A request's body and headers -> Job, whichever way it was delivered.

A plain JSON body, a Cloud Tasks HTTP task, a Pub/Sub push message (wrapped or not), a CloudEvent (binary or
structured), and a CloudEvent around a Pub/Sub message carry the same payload. After `parse` nothing is unvalidated, and
nothing is larger than its bound.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, TypeGuard, TypeVar

import msgspec

from function.core.errors import InvalidPayload
from function.core.misfit import misfit
from function.core.request import FileRequest, Job

BODY_MAX_BYTES = 10 * 1024 * 1024
"""Longest body accepted: Pub/Sub's limit for a message, the largest of those who call."""

VALUES_MAX = 100_000
"""Most values in a payload: 10 MB of the smallest lists would be a gigabyte of objects."""

PATH_MAX_BYTES = 4096
"""Longest path accepted: Linux's PATH_MAX."""

DEPTH_MAX = 64
"""Deepest nesting accepted in a payload."""

BATCH_MAX_FILES = 1000

_QUEUE_HEADERS = ("x-cloudtasks-taskname", "x-goog-pubsub-message-id", "ce-id", "ce-specversion")
"""Cloud Tasks, unwrapped Pub/Sub pushes and binary CloudEvents carry one of them; their senders repeat a failed call.

Sources: Cloud Tasks, 'Write HTTP task handlers'; Pub/Sub, 'Payload unwrapping'; CloudEvents, 'HTTP protocol binding'.
"""

_STRUCTURAL = re.compile(rb'"(?:[^"\\]|\\.)*+"|[,\[{]', re.DOTALL)
"""A text, which is passed over, or what begins another value."""

T = TypeVar("T")


class _Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    files: list[FileRequest]


def is_from_queue(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether the request carries a queue's mark, even where its payload is no good."""
    if _has_queue_header(headers):
        return True
    try:
        return _is_pubsub(loads(body))
    except InvalidPayload:
        return False


def parse(body: bytes, headers: Mapping[str, str]) -> Job:
    """The job that a request asks for. Raises InvalidPayload (invalid_payload, batch_too_large)."""
    if len(body) > BODY_MAX_BYTES:
        raise InvalidPayload(f"The body is longer than {BODY_MAX_BYTES} bytes; send fewer files at once.")
    document = _opened(headers, loads(body))
    if _is_pubsub(document):
        return Job(parse_files(_pubsub_data(document)), from_queue=True)
    return Job(parse_files(document), from_queue=_has_queue_header(headers))


def parse_files(document: object) -> tuple[FileRequest, ...]:
    """The files of a payload, or of a batch. Raises InvalidPayload."""
    if not isinstance(document, dict):
        raise InvalidPayload('The payload must be a JSON object such as {"path": "Data/Meta/AI_Architecture.txt"}.')
    if "files" not in document:
        return (_checked(_convert(document, FileRequest), "path"),)
    if isinstance(document["files"], list) and len(document["files"]) > BATCH_MAX_FILES:
        raise InvalidPayload(
            f"files: {len(document['files'])} files are too many for one call; send up to {BATCH_MAX_FILES}.",
            reason="batch_too_large",
        )
    files = _convert(document, _Batch).files
    if not files:
        raise InvalidPayload("files: name at least one file.")
    return tuple(_checked(each, f"files[{index}].path") for index, each in enumerate(files))


def loads(body: bytes | str, shown: str = "The body") -> object:
    """Strict JSON: no NaN, no Infinity, not nested too deeply, not too many values. Raises InvalidPayload."""
    _check_count(body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass"), shown)
    try:
        document = json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise InvalidPayload(f"{shown} is not valid JSON ({str(error)[:200]}).") from error
    _check_depth(document, shown)
    return document


def _check_count(body: bytes, shown: str) -> None:
    if sum(map(body.count, (b",", b"[", b"{"))) <= VALUES_MAX:
        return
    count = 0
    for found in _STRUCTURAL.finditer(body):
        count += body[found.start()] != ord('"')
        if count > VALUES_MAX:
            raise InvalidPayload(f"{shown} holds more than {VALUES_MAX} values; send fewer files or less metadata.")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _check_depth(document: object, shown: str) -> None:
    level = [document]
    for _ in range(DEPTH_MAX):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise InvalidPayload(f"{shown} is nested more than {DEPTH_MAX} levels deep.")


def _convert(document: dict[str, Any], kind: type[T]) -> T:
    files = document.get("files")
    for each in files if isinstance(files, list) else [document]:
        if isinstance(each, dict) and each.get("metadata", ...) is None:  # null is none
            del each["metadata"]
    try:
        return msgspec.convert(document, kind)
    except (msgspec.ValidationError, UnicodeError) as error:  # the latter where it meets a lone surrogate
        raise InvalidPayload(misfit(document, kind)) from error


def _checked(request: FileRequest, field: str) -> FileRequest:
    if not request.path.strip():
        raise InvalidPayload(f"{field}: is empty; name a file such as Data/Meta/AI_Architecture.txt.")
    if "\0" in request.path:
        raise InvalidPayload(f"{field}: contains a NUL character, which no file name can.")
    if len(request.path) > PATH_MAX_BYTES or len(request.path.encode("utf-8", "surrogatepass")) > PATH_MAX_BYTES:
        raise InvalidPayload(f"{field}: is longer than {PATH_MAX_BYTES} bytes, which no path can be.")
    return request


def _has_queue_header(headers: Mapping[str, str]) -> bool:
    return any(name.lower() in _QUEUE_HEADERS for name in headers) or _is_structured_event(headers)


def _is_structured_event(headers: Mapping[str, str]) -> bool:
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    return kind.lower().startswith("application/cloudevents+json")


def _opened(headers: Mapping[str, str], document: object) -> object:
    """What is inside a structured CloudEvent, or the document itself: a binary one is its data."""
    return _event_data(document) if _is_structured_event(headers) else document


def _event_data(event: object) -> object:
    if not isinstance(event, dict) or not event.keys() & {"data", "data_base64"}:
        raise InvalidPayload("The CloudEvent carries no data.")
    if "data" in event:
        return loads(event["data"]) if isinstance(event["data"], str) else event["data"]
    return loads(_base64(event["data_base64"], "data_base64"))


def _is_pubsub(document: object) -> TypeGuard[dict[str, Any]]:
    return (
        isinstance(document, dict)
        and isinstance(document.get("message"), dict)
        and ("subscription" in document or "data" in document["message"])
        and "path" not in document
    )


def _pubsub_data(document: dict[str, Any]) -> object:
    data = document["message"].get("data")
    if not data:
        raise InvalidPayload("message.data: the Pub/Sub message carries no payload.")
    return loads(_base64(data, "message.data"))


def _base64(text: object, field: str) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidPayload(f"{field}: is not base64.") from error
