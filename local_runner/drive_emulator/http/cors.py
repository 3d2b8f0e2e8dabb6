"""What pages of other origins may do: all that Google's APIs allow them, and nothing on the emulator's own pages.

Source: Fetch standard, "CORS protocol"; that Google's API front ends answer pre-flights: Google's client for browsers.
"""

from __future__ import annotations

from .read import Request
from .write import Response

_API = ("/drive/", "/upload/", "/resumable/", "/batch/", "/discovery/", "/token", "/oauth2/", "/revoke")
_EXPOSED = "Content-Encoding,Content-Length,Content-Type,Date,ETag,Location,Range,Server,Vary,X-GUploader-UploadID"


def preflight(request: Request) -> Response | None:
    """The answer to a browser that asks before it sends; None for any other request."""
    if request.method != "OPTIONS" or not _is_foreign(request):
        return None
    headers = {
        "Access-Control-Allow-Methods": "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT",
        "Access-Control-Allow-Headers": request.headers.get("access-control-request-headers", ""),
        "Access-Control-Max-Age": "3600",
    }
    return allowed(request, Response(200, b"", headers))


def allowed(request: Request, response: Response) -> Response:
    """The answer with what lets a page of another origin read it."""
    if _is_foreign(request):
        response.headers["Access-Control-Allow-Origin"] = request.headers["origin"]
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        response.headers.setdefault("Vary", "Origin, X-Origin")
    return response


def _is_foreign(request: Request) -> bool:
    return "origin" in request.headers and request.path.startswith(_API)
