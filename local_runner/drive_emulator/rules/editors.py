"""Docs Editors files, minimally: an upload that Drive would convert keeps its content, and an export gives it back.

A document is made from text, HTML or Word, a spreadsheet from CSV or tab-separated values. The record has no content of
its own, as at Google: the source is the content of its head revision, under its own type. What is exported is what the
source says in words, no more: no layout, no formulas. So there is no PDF, which is nothing but layout, and needs the
glyphs of every script. Other types are refused.

Sources: Drive guides "Import to Google Docs types" and "Export MIME types for Google Workspace documents"; that plain
text is exported with a byte order mark: PyDrive2's tests, which run at Google.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from html import escape

from msgspec.structs import replace

from ..model.errors import ApiError, bad_request, not_emulated
from ..model.records import GOOGLE_TYPE_PREFIX, FileRecord, JsonObject, Revision, Viewer
from ..storage.state import Drive
from . import docx, html_text
from .new_content import Upload, guessed_type, put_revision

DOCUMENT = f"{GOOGLE_TYPE_PREFIX}document"
SPREADSHEET = f"{GOOGLE_TYPE_PREFIX}spreadsheet"

IMPORTS: Mapping[str, str] = {
    "text/plain": DOCUMENT,
    "text/html": DOCUMENT,
    docx.TYPE: DOCUMENT,
    "text/csv": SPREADSHEET,
    "text/tab-separated-values": SPREADSHEET,
}
"""What can be converted -> into what."""

EXPORTS: Mapping[str, tuple[str, ...]] = {
    DOCUMENT: ("text/plain", "text/html", docx.TYPE),
    SPREADSHEET: ("text/csv", "text/tab-separated-values"),
}
"""What a Docs Editors file can be exported as."""

EXPORT_LIMIT_BYTES = 10 * 1024 * 1024
"""Source: Drive guide "Download and export files"."""


def converts(mime_type: str) -> bool:
    """Whether content can become a file of this type."""
    return mime_type in EXPORTS


def target_of(name: str, upload_type: str | None, named: str | None) -> str:
    """What v2's `convert=true` makes of a content: by its type, else by its name; 501 where that isn't emulated."""
    source = named or upload_type or guessed_type(name)
    if source not in IMPORTS:
        raise not_emulated(f"converting an upload of type {source}")
    return IMPORTS[source]


def with_source(drive: Drive, viewer: Viewer, record: FileRecord, upload: Upload) -> FileRecord:
    """The Docs Editors record with a new source. 400 for a source that can't become it, 501 for one not emulated."""
    source = upload.mime_type or guessed_type(record.name)
    if source not in IMPORTS:
        raise not_emulated(f"converting {source} to {record.mime_type}")
    if IMPORTS[source] != record.mime_type:
        raise bad_request("The requested conversion is not supported.", reason="conversionUnsupportedConversionPath")
    if source == docx.TYPE:
        try:
            docx.text_of(drive.blobs.read(upload.content))
        except ValueError as error:
            raise bad_request(f"The upload can't be converted: {error}.") from None
    revision = put_revision(drive, viewer, record, upload, source)
    return replace(record, content=None, head_revision_id=revision.id)


def source_of(drive: Drive, record: FileRecord) -> Revision | None:
    """What a Docs Editors file was made from; None of one that was made empty."""
    return drive.store.revision(record.id, record.head_revision_id)


def exported(drive: Drive, record: FileRecord, mime_type: str) -> bytes:
    """The file in another type; 403 above 10 MB, 400 for a type that it can't have."""
    if mime_type not in EXPORTS.get(record.mime_type, ()):
        raise bad_request("The requested conversion is not supported.")
    revision = source_of(drive, record)
    if revision is not None and revision.content.size > EXPORT_LIMIT_BYTES:
        raise ApiError(403, "exportSizeLimitExceeded", "This file is too large to be exported.")
    source = drive.blobs.read(revision.content) if revision else b""
    kind = revision.mime_type if revision else EXPORTS[record.mime_type][0]
    if record.mime_type == SPREADSHEET:
        return _table(_text(source), kind, mime_type).encode()
    if mime_type == docx.TYPE:
        return source if kind == docx.TYPE else docx.made_of(_plain(source, kind))
    if mime_type == "text/plain":
        return _DOCUMENT_MARK + _plain(source, kind).replace("\n", "\r\n").encode()
    return (_text(source) if kind == "text/html" else _html_of_plain(_plain(source, kind))).encode()


def export_links(record: FileRecord, origin: str) -> JsonObject | None:
    """Where each export is to be had; None of a file that can't be exported."""
    types = EXPORTS.get(record.mime_type)
    return {one: f"{origin}/drive/v3/files/{record.id}/export?mimeType={one}" for one in types} if types else None


_DOCUMENT_MARK = b"\xef\xbb\xbf"


def _text(content: bytes) -> str:
    """A source as text with bare line feeds; what isn't UTF-8 is read as Windows-1252."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _plain(source: bytes, kind: str) -> str:
    """A document's words, with bare line feeds."""
    if kind == docx.TYPE:
        return docx.text_of(source)
    return html_text.words(_text(source)) if kind == "text/html" else _text(source)


def _html_of_plain(text: str) -> str:
    lines = "".join(f"<p>{escape(line)}</p>" for line in text.split("\n"))
    head = '<meta content="text/html; charset=UTF-8" http-equiv="content-type">'
    return f"<html><head>{head}</head><body>{lines}</body></html>"


def _table(text: str, source: str, target: str) -> str:
    """Rows from one separator to the other; 400 for a cell too large to be one."""
    if source == target:
        return text
    separators = {"text/csv": ",", "text/tab-separated-values": "\t"}
    rows = csv.reader(io.StringIO(text), delimiter=separators[source])
    out = io.StringIO()
    try:
        csv.writer(out, delimiter=separators[target], lineterminator="\r\n").writerows(rows)
    except csv.Error as error:
        raise bad_request(f"The requested conversion is not supported: {error}.") from None
    return out.getvalue()
