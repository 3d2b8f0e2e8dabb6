"""Flask's request -> the job's answer as a response: always JSON, never the framework's pages."""

import gc
import io
import logging
import time
import uuid
from functools import partial
from typing import Any

from flask import Flask, Request, Response
from werkzeug.exceptions import HTTPException

import function
from function import telemetry
from function.core.errors import SOON_S, InvalidPayload, UploadError
from function.core.naming import as_json, quoted
from function.serving import openapi
from function.serving.app import InvocationResult, current, refusal
from function.serving.payload import BODY_MAX_BYTES, is_from_queue

_BLOCK_BYTES = 64 * 1024

GARBAGE_MAX_BYTES = 8 * 1024 * 1024
"""Of requests' bodies, before the garbage collector runs for their sake: in 10 ms, next to nothing beside so much."""

_log = logging.getLogger(__name__)


def drive_upload(request: Request) -> Response:
    """The function: `POST` is a job; `GET /` is health, `GET /openapi.json` a description: they meet no volume."""
    try:
        return _answered(request) if request.method == "POST" else _small_talk(request)
    finally:
        _pass_over_body(request)


def speak_json(app: Flask) -> None:
    """Let the framework's own refusals be JSON too: of paths and methods that never reach the function, of crashes.

    DEBUG=1, which functions-framework listens to, opens no debugger: it runs whatever its caller sends.
    """
    # A redirect would be a page. The framework adds its rules after this.
    app.url_map.merge_slashes = app.url_map.strict_slashes = app.url_map.redirect_defaults = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.register_error_handler(HTTPException, _refusal)
    app.register_error_handler(500, _refusal)
    app.run = partial(app.run, use_debugger=False, use_reloader=False)  # type: ignore[method-assign]


def _small_talk(request: Request) -> Response:
    if request.method not in ("GET", "HEAD"):
        response = _json(
            {"status": "failed", "message": f"{quoted(request.method)} is not served; POST a payload."}, 405
        )
        response.headers["Allow"] = "GET, HEAD, POST"
        return response
    if request.path == "/openapi.json":
        return _json(openapi.document(), 200)
    if request.path != "/":
        return _json({"status": "failed", "message": f"{quoted(request.path)}: nothing is served here."}, 404)
    return _json({"status": "ok", "version": function.__version__}, 200)


def _refusal(error: HTTPException) -> Response:
    if (error.code or 500) < 500:
        return _json({"status": "failed", "message": f"{error.name}; POST a payload to /."}, error.code or 400)
    response = _json({"status": "failed", "message": "An internal error stopped the call; call again."}, 503)
    response.headers["Retry-After"] = str(int(SOON_S))
    response.headers["X-Google-Status"] = "crash"  # as the framework says it to the platform
    return response


def _answered(request: Request) -> Response:
    began_at = time.monotonic()
    if "Origin" in request.headers:  # browsers send it with every POST, and nothing else does
        return _json({"status": "failed", "message": "Web pages can't call this service; call it from a program."}, 403)
    headers = dict(request.headers)
    telemetry.begin_trace(headers)
    try:
        app = current()
        body = _body(request)
    except InvalidPayload as error:  # 400 to a queue as well, which sends the whole again
        return _response(app.refuse(uuid.uuid4().hex, error, from_queue=False))
    except UploadError as error:
        _log.error("%s", error.message)
        return _response(refusal(uuid.uuid4().hex, error, from_queue=is_from_queue(headers, b"")))
    _collect_garbage_of(len(body))
    return _response(app.handle(body, headers, began_at=began_at))


def _body(request: Request) -> bytes:
    """The whole body, or one byte more than is allowed. Raises InvalidPayload where it was cut on its way."""
    try:
        body = bytes(request.stream.read(BODY_MAX_BYTES + 1))
    except Exception as error:  # the server's own kinds, too: a bad chunk, a caller who is gone
        raise InvalidPayload("The body could not be read to its end; send it again.") from error
    if len(body) < min(request.content_length or 0, BODY_MAX_BYTES):
        raise InvalidPayload("The body ends before its Content-Length; send it again.")
    return body


def _pass_over_body(request: Request) -> None:
    """Read what is left of the body, in constant memory; functions-framework would take it all into memory."""
    try:
        while request.stream.read(_BLOCK_BYTES):
            pass
    except Exception:  # noqa: BLE001 - as in _body; there is nothing left to read
        _log.debug("The body could not be read to its end.")
    request.stream = io.BytesIO()


def _response(result: InvocationResult) -> Response:
    response = _json(result.document(), result.code)
    if result.retry_after_s is not None:
        response.headers["Retry-After"] = str(result.retry_after_s)
    return response


def _json(document: dict[str, Any], code: int) -> Response:
    return Response(as_json(document), status=code, mimetype="application/json")


_bodies_bytes = 0


def _collect_garbage_of(body_bytes: int) -> None:
    """Let the garbage collector run now, if the bodies since it last did so were large.

    A few objects in a cycle hold one of them: those of a failed call, say, by the error and its traceback.
    """
    global _bodies_bytes  # noqa: PLW0603 - the collector is the process's own, too
    _bodies_bytes += body_bytes
    if _bodies_bytes > GARBAGE_MAX_BYTES:
        _bodies_bytes = 0
        gc.collect()
