"""The function as an OpenAPI description, served at /openapi.json.

Requests and entries are described by the types that the job itself reads and writes, so it can't fall behind them.
"""

from functools import cache
from typing import Any

import msgspec

import function
from function.core.errors import HTTP_CODE
from function.core.request import FileRequest
from function.core.types import Status
from function.serving.payload import BATCH_MAX_FILES, PATH_MAX_BYTES
from function.state import log_schema

_MEANINGS = {
    200: "Done: uploaded, unchanged or skipped. To a queue also what failed and no retry can mend.",
    400: "The payload is not acceptable; nothing was tried.",
    403: "The file is outside data_root, or one of the job's own.",
    404: "There is no such file, or it can't be read.",
    409: "if_exists is fail, and the name on Drive holds other content.",
    422: "Google says that this very file can never be taken.",
    503: "The same call can succeed later, by itself or when a person has mended something.",
}

_FIELDS: dict[str, dict[str, Any]] = {
    "path": {
        "description": "Below data_root: absolute, or relative to the home.",
        "maxLength": PATH_MAX_BYTES,
        "pattern": r"^[^\u0000]*[^\u0000\s][^\u0000]*$",
        "examples": ["Data/Meta/AI_Architecture.txt"],
    },
    "metadata": {
        "description": "Travels with the file: properties or description on Drive, whole in the log. null is none.",
        "type": ["object", "null"],
    },
    "account": {"description": "A name of the settings; every account where it is left out."},
    "if_exists": {"description": "What to do where the name on Drive holds other content; else the settings decide."},
}
"""What a schema of types alone doesn't say."""


@cache
def document() -> dict[str, Any]:
    """The description, as JSON takes it."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Drive Upload",
            "version": function.__version__,
            "description": "A local file onto Google Drive: exactly once, byte for byte, nothing overwritten. "
            "Calling twice is always safe. An answer comes at most 5 s after the setting deadline_s.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/": {"get": _health(), "post": _upload()},
            "/openapi.json": {
                "get": {"operationId": "describe", "responses": {"200": _json("This document.", {"type": "object"})}}
            },
        },
        "components": {"schemas": _schemas()},
    }


def _health() -> dict[str, Any]:
    healthy = {
        "type": "object",
        "properties": {"status": {"const": "ok"}, "version": {"type": "string"}},
        "required": ["status", "version"],
    }
    return {"operationId": "health", "responses": {"200": _json("It is there; nothing was asked of Drive.", healthy)}}


def _upload() -> dict[str, Any]:
    answers = {str(code): _json(meaning, _reference("Answer")) for code, meaning in _MEANINGS.items()}
    for code, answer in answers.items():
        reasons = ", ".join(reason for reason, its_code in HTTP_CODE.items() if str(its_code) == code)
        answer["description"] += f" Reasons: {reasons}." if reasons else ""
    answers["503"]["headers"] = {
        "Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer", "minimum": 0}}
    }
    asked = {"oneOf": [_reference("FileRequest"), _reference("Batch")]}
    return {
        "operationId": "upload",
        "description": "Cloud Tasks, Pub/Sub pushes and CloudEvents around the same JSON are understood, too.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
        "responses": answers,
    }


def _schemas() -> dict[str, Any]:
    _, made = msgspec.json.schema_components([FileRequest], ref_template="#/components/schemas/{name}")
    for name, told in _FIELDS.items():
        made["FileRequest"]["properties"][name] |= told
    files = {"type": "array", "items": _reference("FileRequest"), "minItems": 1, "maxItems": BATCH_MAX_FILES}
    entry = {key: value for key, value in log_schema.schema().items() if key != "$schema"}
    results = {"type": "array", "items": _reference("Entry"), "minItems": 1}
    return {
        **made,
        "Batch": {
            "type": "object",
            "properties": {"files": files},
            "required": ["files"],
            "additionalProperties": False,
        },
        "Entry": entry,
        "Answer": {
            "type": "object",
            "properties": {"status": {"enum": [*(each.value for each in Status), "partial"]}, "results": results},
            "required": ["status", "results"],
        },
    }


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
