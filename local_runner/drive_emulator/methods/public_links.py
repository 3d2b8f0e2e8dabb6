"""Links that anyone may follow: `/uc?id=ID&export=download`, and `/download?id=ID` of drive.usercontent.google.com.

A file whose permissions say `anyone` is handed out under its name; others aren't, and no account is asked for. Google's
page that warns before contents above 100 MB, which it can't scan for viruses, is left out: the content comes at once.
Source: the links that Google's answers name in `webContentLink`; gdown, download.py.
"""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from ..context.request_context import Call
from ..http.write import Response
from ..rules import access
from . import downloads


def download(call: Call) -> Response:
    """The content of a public file; a page with 404 or 403 for others, as a browser is shown."""
    file_id = call.request.first("id") or ""
    record = call.drive.store.files.get(file_id)
    if record is None or record.content is None or record.trashed:
        return _page(404, "Sorry, the file you have requested does not exist.")
    if access.role_of(call.drive.store, access.ANYONE, record) is None:
        return _page(403, "You need access: the file is not shared with anyone who has the link.")
    response = downloads.stream(call, record.content, record.mime_type)
    name = quote(record.name.encode("utf-8", "replace"), safe="")
    plain = record.name.encode("ascii", "replace").decode().replace('"', "_").replace("\\", "_")
    plain = "".join(letter if letter.isprintable() else "_" for letter in plain)
    response.headers["Content-Disposition"] = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{name}"
    return response


def _page(status: int, text: str) -> Response:
    page = f"<!DOCTYPE html><title>Google Drive emulator</title><p>{escape(text)}"
    return Response(status, page.encode(), {"Content-Type": "text/html; charset=utf-8"})
