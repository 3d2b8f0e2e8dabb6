"""How a request to an upload path brings its content.

Sources: Drive guide "Upload file data" (`uploadType`); the discovery documents (`upload_protocol`); Ruby's
google-apis-core, upload.rb (`X-Goog-Upload-Protocol` and no parameter).
"""

from __future__ import annotations

from ..http.read import Request
from ..model.errors import invalid_parameter

PROTOCOL = "x-goog-upload-protocol"

_TYPES = {"raw": "media", "simple": "media", "media": "media", "multipart": "multipart", "resumable": "resumable"}


def upload_type(request: Request) -> str:
    """media, multipart or resumable: as a parameter says, or a header, or else by the body's type; 400 for another."""
    named = _named(request)
    if named is None:
        is_multipart = request.headers.get("content-type", "").lower().startswith("multipart/related")
        return "multipart" if is_multipart else "media"
    if named not in _TYPES:
        raise invalid_parameter("uploadType", f"Invalid upload type: {named}")
    return _TYPES[named]


def is_start(request: Request) -> bool:
    """Whether the request opens a session."""
    return _named(request) == "resumable"


def _named(request: Request) -> str | None:
    return request.first("uploadType") or request.first("upload_protocol") or request.headers.get(PROTOCOL)
