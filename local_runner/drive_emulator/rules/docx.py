"""Text in Word's format, both ways: paragraphs, line breaks and tabs; no text boxes, and nothing that is layout.

A `.docx` is a zip file; `word/document.xml` has the body: paragraphs `w:p`, of runs whose text is in `w:t`. Source:
ECMA-376, part 1, "WordprocessingML".
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
BODY = "word/document.xml"
BODY_LIMIT_BYTES = 16 * 1024 * 1024
"""Of the body, unpacked: a small zip file can claim any size."""

_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_REST = {
    "[Content_Types].xml": f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/{BODY}" ContentType="{TYPE}.main+xml"/></Types>',
    "_rels/.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}" Target="{BODY}"/></Relationships>',
}
_NOT_IN_XML = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def made_of(text: str) -> bytes:
    """A document with a paragraph for each line. The same text makes the same bytes."""
    paragraphs = "".join(f"<w:p>{_run(line)}</w:p>" for line in _NOT_IN_XML.sub("", text).split("\n"))
    body = f'{_XML}<w:document xmlns:w="{_WORD}"><w:body>{paragraphs}</w:body></w:document>'
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, part in {**_REST, BODY: body}.items():
            package.writestr(zipfile.ZipInfo(name), part, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _run(line: str) -> str:
    words = "<w:tab/>".join(f'<w:t xml:space="preserve">{escape(part)}</w:t>' for part in line.split("\t"))
    return f"<w:r>{words}</w:r>" if line else ""


def text_of(document: bytes) -> str:
    """The words of a document, a line for each paragraph; raises ValueError for what is no such document."""
    try:
        with zipfile.ZipFile(io.BytesIO(document)) as package, package.open(BODY) as part:
            body = part.read(BODY_LIMIT_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise ValueError(f"no Word document: {error}") from error
    if len(body) > BODY_LIMIT_BYTES:
        raise ValueError(f"a body of more than {BODY_LIMIT_BYTES} bytes")
    try:
        text = body.decode("utf-8-sig")
        if "<!DOCTYPE" in text:  # no document has one, and its entities could grow without bound
            raise ValueError("a document type in the body")
        root = ET.fromstring(text)  # noqa: S314 - without a document type there are no entities
    except (ET.ParseError, ValueError) as error:
        raise ValueError(f"no sound XML: {error}") from error
    try:
        return "\n".join("".join(map(_words, _below(one, _RUN))) for one in _below(root, _PARAGRAPH))
    except RecursionError:
        raise ValueError("a body nested too deeply") from None


_PARAGRAPH, _RUN, _TEXT, _MOVED_AWAY = (f"{{{_WORD}}}{name}" for name in ("p", "r", "t", "moveFrom"))
_BREAKS = {f"{{{_WORD}}}tab": "\t", f"{{{_WORD}}}br": "\n", f"{{{_WORD}}}cr": "\n"}


def _below(element: ET.Element, tag: str) -> Iterator[ET.Element]:
    """The outermost elements of a tag, in order."""
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag != _MOVED_AWAY:
            yield from _below(child, tag)


def _words(run: ET.Element) -> str:
    return "".join((one.text or "") if one.tag == _TEXT else _BREAKS.get(one.tag, "") for one in run)
