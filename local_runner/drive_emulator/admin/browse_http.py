"""The browse pages over HTTP, and the downloads they link to."""

from __future__ import annotations

from urllib.parse import quote

from ..context.request_context import Call
from ..http.write import Response
from ..methods import downloads
from ..model.errors import file_not_found
from ..model.records import Content
from . import browse


def page(call: Call) -> Response:
    """The page that the query asks for; without one, the accounts: it says that the emulator is ready, too."""
    query = {name: values[0] for name, values in call.request.query.items()}
    status, text = browse.page(call.drive.store, query, call.origin)
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-store",
        # Names and contents are other people's: nothing on the page may run, or be fetched from elsewhere.
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'",
    }
    return Response(status, text.encode("utf-8", "replace"), headers)


def download(call: Call) -> Response:
    """The bytes of the file `id`, or of its `revision`, under the file's name."""
    file_id, revision_id = call.request.first("id") or "", call.request.first("revision")
    record = call.drive.store.files.get(file_id)
    content: Content | None = record.content if record else None
    if revision_id is not None:
        revision = call.drive.store.revision(file_id, revision_id)
        content = revision.content if revision else None
    if record is None or content is None:
        raise file_not_found(file_id)
    response = downloads.stream(call, content, "application/octet-stream")
    name = quote(record.name.encode("utf-8", "replace"), safe="")
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
    return response
