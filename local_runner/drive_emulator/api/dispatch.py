"""The way of one request: route, record, faults, who asks, quota, handler, answer. All that isn't bytes on a socket.

match -> record -> fault due? -> access token -> scope -> quota -> parameters -> handler -> headers, gzip
"""

from __future__ import annotations

import gzip
import sys
import time
import traceback
from email.utils import formatdate
from html import escape

from ..context import fault_injection
from ..context.request_context import Call, refusal
from ..http.read import BadRequest, Body, BodyTooLarge, Request, parse_query
from ..http.write import Disconnected, Response
from ..model.errors import ApiError
from ..rules import expiry
from ..schema import conformance
from ..schema.discovery import document
from ..storage.request_log import RequestRecord
from ..storage.state import Drive
from . import oauth as oauth_http
from .routes import Route, match

GZIP_FROM_BYTES = 1024
"""Shorter answers aren't worth compressing."""

METADATA_SCOPES = frozenset(
    f"https://www.googleapis.com/auth/drive.{name}" for name in ("metadata", "metadata.readonly", "apps.readonly")
)
OVERRIDE_LIMIT_BYTES = 1024 * 1024


def answer(drive: Drive, request: Request, *, in_batch: bool = False) -> tuple[Response, RequestRecord]:
    """The answer to a request, with its record. Raises Disconnected (with the record closed) to cut the connection."""
    started = time.perf_counter()
    _override(request)
    route = match(request)
    record = drive.requests.open(route.method_id if route else "unknown", request.method, request.path)
    record.in_batch = in_batch
    try:
        expiry.sweep(drive)
        response = _answer(drive, request, route, record)
        record.status = response.status
        return response, record
    except (Disconnected, BadRequest, ConnectionError, TimeoutError):
        raise
    except OSError as error:
        print(f"{record.method_id}: answered 503, since a file of the emulator failed: {error}", file=sys.stderr)
        response = refusal(ApiError(503, "backendError", f"The emulator's files fail: {error.strerror or error}."))
    except Exception:  # noqa: BLE001 - a bug of ours is told, and counted among the requests
        traceback.print_exc(file=sys.stderr)
        response = refusal(ApiError(500, "internalError", "Internal Error"))
    finally:
        drive.notifier.look(drive.store, drive.clock.now_ms())
        record.bytes_in = request.body.received
        record.duration_ms = (time.perf_counter() - started) * 1000
    record.status = response.status
    return finish(request, response), record


def _answer(drive: Drive, request: Request, route: Route | None, record: RequestRecord) -> Response:
    if route is None:
        return finish(request, _nothing_here(request))
    record.version, record.starts = route.version, route.starts
    call = Call(drive, request, route.method_id, route.version, route.args or {}, record)
    call.answer = lambda inner: answer(drive, inner, in_batch=True)[0]
    if not route.is_api:
        return finish(request, _handled(call, route))
    fault_injection.weigh(call)
    call.fault = drive.faults.due(route.method_id, route.starts, request.path)
    fault_injection.before(call)
    response = finish(request, fault_injection.edited(call, _handled(call, route)))
    fault_injection.after(call, response)
    return response


def _handled(call: Call, route: Route) -> Response:
    try:
        if route.is_api:
            struck = fault_injection.refusal(call)
            if struck is not None:
                return struck
            _admit(call, route)
        return route.handler(call)
    except ApiError as error:
        return refusal(error)
    except BodyTooLarge:
        return refusal(ApiError(413, "uploadTooLarge", "The request is too large."))


def _admit(call: Call, route: Route) -> None:
    """Access token, scope, quota and parameters of an API method; sessions need none of these."""
    if not route.open:
        conformance.check_alt(call.request.query)
        call.viewer = oauth_http.viewer_of(call.drive, call.request, route.starts or route.method_id)
        call.record.user = call.viewer.email
        oauth_http.require_scope(call.viewer, _scopes(route, call.request))
        query = {name: values[0] for name, values in call.request.query.items()}
        call.check_parameters(query, route.starts or route.method_id)
        call.drive.quota.spend(
            call.drive.conditions,
            user=call.viewer.email,
            project=call.viewer.client_id,
            units=call.record.units,
            write=call.record.write,
        )


def _scopes(route: Route, request: Request) -> frozenset[str]:
    """Those that suffice for a method; for content, not those that show metadata only.

    Sources: discovery documents; Drive guide "Choose Google Drive API scopes".
    """
    method = document(route.version).methods.get(route.starts or route.method_id)
    accepted = method.scopes if method else frozenset()
    return accepted - METADATA_SCOPES if request.first("alt") == "media" else accepted


def _override(request: Request) -> None:
    """`X-HTTP-Method-Override` with the query as form body, as clients send long queries."""
    method = request.headers.get("x-http-method-override")
    if method is None or request.method != "POST":
        return
    request.method = method.upper()
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = request.body.read(OVERRIDE_LIMIT_BYTES).decode("utf-8", "replace")
        request.query |= parse_query(form)
        request.body = Body.of(b"")


def _nothing_here(request: Request) -> Response:
    """404 for a path or verb that Google doesn't have: HTML, as its front ends answer."""
    page = (
        "<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>"
        f"<p>The requested URL <code>{escape(request.path)}</code> was not found on this server."
    )
    return Response(404, page.encode(), {"Content-Type": "text/html; charset=UTF-8"})


def finish(request: Request, response: Response) -> Response:
    """The headers that every answer has, and gzip where the client takes it."""
    headers = response.headers
    headers["Date"] = formatdate(usegmt=True)
    headers["Server"] = "UploadServer" if request.path.startswith("/upload/") else "ESF"
    body = response.body
    if (
        isinstance(body, bytes)
        and len(body) >= GZIP_FROM_BYTES
        and "gzip" in request.headers.get("accept-encoding", "")
        and headers.get("Content-Type", "").startswith(("application/json", "text/"))
    ):
        response.body = gzip.compress(body, compresslevel=1, mtime=0)
        headers["Content-Encoding"] = "gzip"
        headers["Vary"] = "Origin, X-Origin, Accept-Encoding"
    return response
