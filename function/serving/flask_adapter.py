"""Flask's request -> the job's answer as a response: always JSON, never the framework's pages."""

import json
import logging
import time
import uuid
from typing import Any

from flask import Flask, Request, Response
from werkzeug.exceptions import HTTPException

import function
from function.core.errors import InvalidPayload, UploadError
from function.serving import trace
from function.serving.app import current
from function.serving.payload import BODY_MAX_BYTES, is_from_queue
from function.serving.result import InvocationResult, refusal

_log = logging.getLogger(__name__)


def respond(request: Request) -> Response:
    """`GET /` is health and touches neither volume nor Drive; `POST` is a job."""
    if request.method in ("GET", "HEAD"):
        if request.path != "/":
            return _json({"status": "failed", "message": f"{request.path}: nothing is served here."}, 404)
        return _json({"status": "ok", "version": function.__version__}, 200)
    if request.method != "POST":
        response = _json({"status": "failed", "message": f"{request.method} is not served; POST a payload."}, 405)
        response.headers["Allow"] = "GET, HEAD, POST"
        return response
    return _answered(request)


def speak_json(app: Flask) -> None:
    """Let the framework's own refusals be JSON too: of paths and methods that never reach the function, of crashes."""
    app.url_map.merge_slashes = False  # a redirect would be a page
    app.register_error_handler(HTTPException, _refusal)
    app.register_error_handler(500, _refusal)


def _refusal(error: HTTPException) -> Response:
    response = _json({"status": "failed", "message": f"{error.name}; POST a payload to /."}, error.code or 500)
    if response.status_code == 500:
        response.headers["X-Google-Status"] = "crash"  # as the framework says it to the platform
    return response


def _answered(request: Request) -> Response:
    since = time.monotonic()
    headers = dict(request.headers)
    trace.begin(headers)
    body = b""
    try:
        body = _body(request)
        app = current()
    except UploadError as error:
        _log.error("%s", error.message)
        return _response(refusal(uuid.uuid4().hex, error, from_queue=is_from_queue(headers, body)))
    return _response(app.handle(body, headers, since=since))


def _body(request: Request) -> bytes:
    """The whole body, no longer than is allowed. Raises InvalidPayload."""
    try:
        body = request.stream.read(BODY_MAX_BYTES + 1)
    except (HTTPException, OSError) as error:
        raise InvalidPayload("The body could not be read to its end; send it again.") from error
    return bytes(body)


def _response(answer: InvocationResult) -> Response:
    response = _json(answer.document(), answer.code)
    if answer.retry_after_s is not None:
        response.headers["Retry-After"] = str(answer.retry_after_s)
    return response


def _json(document: dict[str, Any], code: int) -> Response:
    return Response(json.dumps(document), status=code, mimetype="application/json")
