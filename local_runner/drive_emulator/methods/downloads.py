"""Content going out, straight from disk to the socket: whole or the range that was asked for, by API or public link.

Google's page that warns before contents above 100 MB, which it can't scan for viruses, is left out: the content comes
at once. Source: the links that Google's answers name in `webContentLink`; gdown, download.py.
"""

from __future__ import annotations

import re
from html import escape
from urllib.parse import quote

from ..context.request_context import Call
from ..http.write import FilePart, Response
from ..model.errors import ApiError, file_not_found
from ..model.records import Content, FileRecord
from ..rules import access

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def content(call: Call, record: FileRecord) -> Response:
    """The content of a file; 403 `fileNotDownloadable` for what has none."""
    if record.content is None:
        message = "Only files with binary content can be downloaded. Use Export with Docs Editors files."
        raise ApiError(403, "fileNotDownloadable", message, location_type="parameter", location="alt")
    call.record.units = 200
    return stream(call, record.content, record.mime_type)


def stream(call: Call, stored: Content, mime_type: str) -> Response:
    """A stored content as an answer: 200, 206 for a range, 416 for one beyond the end."""
    headers = {
        "Content-Type": mime_type,
        "Accept-Ranges": "bytes",
        "Content-Disposition": "attachment",
    }
    asked = _RANGE.fullmatch(call.request.headers.get("range", "").replace(" ", ""))
    if asked is None or asked.groups() == ("", ""):
        return Response(200, _part(call, stored, 0, stored.size), headers)
    first, last = _bounds(asked[1], asked[2], stored.size)
    if first > last or first >= stored.size:
        body = b"Request range not satisfiable"
        return Response(416, body, {"Content-Type": "text/html", "Content-Range": f"bytes */{stored.size}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{stored.size}"
    return Response(206, _part(call, stored, first, last - first + 1), headers)


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    """First and last byte of a range; `-N` means the last N bytes."""
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last), size - 1) if last else size - 1


def _part(call: Call, stored: Content, offset: int, length: int) -> FilePart | bytes:
    try:
        file = call.drive.blobs.open(stored)
    except FileNotFoundError:  # deleted while this request was on its way
        raise file_not_found(call.args.get("fileId", "")) from None
    return FilePart(file, offset, length) if file is not None else b""


def public_link(call: Call) -> Response:
    """`/uc?id=ID&export=download`, and `/download?id=ID` of drive.usercontent.google.com, which anyone may follow.

    A file whose permissions say `anyone` is handed out under its name; for others a browser is shown 404 or 403.
    """
    file_id = call.request.first("id") or ""
    record = call.drive.store.files.get(file_id)
    if record is None or record.content is None or record.trashed:
        return _page(404, "Sorry, the file you have requested does not exist.")
    if access.role_of(call.drive.store, access.ANYONE, record) is None:
        return _page(403, "You need access: the file is not shared with anyone who has the link.")
    response = stream(call, record.content, record.mime_type)
    name = quote(record.name.encode("utf-8", "replace"), safe="")
    plain = record.name.encode("ascii", "replace").decode().replace('"', "_").replace("\\", "_")
    plain = "".join(letter if letter.isprintable() else "_" for letter in plain)
    response.headers["Content-Disposition"] = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{name}"
    return response


def _page(status: int, text: str) -> Response:
    page = f"<!DOCTYPE html><title>Google Drive emulator</title><p>{escape(text)}"
    return Response(status, page.encode(), {"Content-Type": "text/html; charset=utf-8"})
