"""Docs Editors files, minimally: what is uploaded with conversion is kept and exported, and no more is claimed."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from local_runner.drive_emulator import DriveEmulator
from tests.emulator.wire import Api

DOCUMENT = "application/vnd.google-apps.document"
SPREADSHEET = "application/vnd.google-apps.spreadsheet"
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def converted(api: Api, mime_type: str, source: str, content: bytes) -> dict[str, Any]:
    """A file made by conversion: uploaded with a target type, its content of another."""
    body = (
        f'--B\r\nContent-Type: application/json\r\n\r\n{{"name": "doc", "mimeType": "{mime_type}"}}'
        f"\r\n--B\r\nContent-Type: {source}\r\n\r\n"
    )
    answer = api.call(
        "POST",
        "/upload/drive/v3/files?uploadType=multipart&fields=*",
        data=body.encode() + content + b"\r\n--B--\r\n",
        headers={"Content-Type": "multipart/related; boundary=B"},
    )
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def exported(api: Api, file_id: str, mime_type: str) -> bytes:
    """The file in another type."""
    answer = api.get(f"files/{file_id}/export", mimeType=mime_type)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == mime_type
    return answer.content


def test_text_becomes_a_document_and_comes_back(api: Api) -> None:
    """As text with a byte order mark, and as HTML; the document has no checksum and no download."""
    made = converted(api, DOCUMENT, "text/plain", "Grüße & <Küsse>\nzwei".encode())

    assert made["mimeType"] == DOCUMENT
    assert {"md5Checksum", "headRevisionId", "webContentLink"} & made.keys() == set()
    assert set(made["exportLinks"]) == {"text/plain", "text/html", WORD}
    assert exported(api, made["id"], "text/plain") == b"\xef\xbb\xbf" + "Grüße & <Küsse>\r\nzwei".encode()
    assert "<p>Grüße &amp; &lt;Küsse&gt;</p><p>zwei</p>" in exported(api, made["id"], "text/html").decode()
    assert api.reason(api.get(f"files/{made['id']}", alt="media")) == (403, "fileNotDownloadable")
    assert api.call("GET", made["exportLinks"]["text/plain"].removeprefix(api.drive.url)).content.endswith(b"zwei")


def test_html_becomes_a_document_and_comes_back(api: Api) -> None:
    """The page as it was, or its words."""
    page = "<html><head><title>t</title></head><body><h1>One</h1>\n<p>two <b>three</b></p><script>no()</script></body>"
    made = converted(api, DOCUMENT, "text/html", page.encode())

    assert exported(api, made["id"], "text/html").decode() == page
    assert exported(api, made["id"], "text/plain").decode("utf-8-sig") == "One\r\ntwo three"


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (
            "<p title='a>b'>1 &lt; 2<br>next<SCRIPT>no()</SCRIPT> &amp; <!-- no -->end <?no?><!DOCTYPE html>",
            "1 < 2\nnext & end",
        ),
        ("a <b>bold</b>\n text, 1 < 2<ul><li>x</li></ul>", "a bold text, 1 < 2\nx"),
        ("kept <!-- never closed <p>no", "kept"),
        ("kept <script>never closed <p>no", "kept"),
        ("kept <a href='never closed>no", "kept"),
        ("<!--" * 200_000, ""),
        ("<" * 200_000, "<" * 200_000),
        ("</" * 200_000, "</" * 200_000),
    ],
    ids=["all kinds", "inline", "open comment", "open script", "open tag", "comments", "less than", "ends"],
)
def test_the_words_of_a_page(api: Api, page: str, words: str) -> None:
    """A line for each block; what is never closed ends with the page; no page keeps the emulator busy for ever."""
    made = converted(api, DOCUMENT, "text/html", page.encode())

    assert exported(api, made["id"], "text/plain").decode("utf-8-sig") == words.replace("\n", "\r\n")


def test_a_table_becomes_a_spreadsheet_and_comes_back(api: Api) -> None:
    """From one separator to the other, quotes and line ends inside included."""
    table = b'a,"b,c"\r\n1,"two\r\nlines"\r\n'
    made = converted(api, SPREADSHEET, "text/csv", table)

    assert exported(api, made["id"], "text/csv") == table.replace(b"\r\n", b"\n")
    assert exported(api, made["id"], "text/tab-separated-values") == b'a\tb,c\r\n1\t"two\nlines"\r\n'


def test_a_document_is_changed_copied_and_counted(api: Api, drive: DriveEmulator) -> None:
    """New content by an upload; a copy has the same; the bytes go with the file."""
    made = converted(api, DOCUMENT, "text/plain", b"first")
    copy = api.call("POST", f"/drive/v3/files/{made['id']}/copy", json={}).json()
    updated = api.call(
        "PATCH",
        f"/upload/drive/v3/files/{made['id']}?uploadType=media",
        data=b"second",
        headers={"Content-Type": "text/plain"},
    )

    assert updated.status_code == 200, updated.text
    assert exported(api, made["id"], "text/plain").endswith(b"second")
    assert (copy["mimeType"], exported(api, copy["id"], "text/plain")) == (DOCUMENT, b"\xef\xbb\xbffirst")
    for file_id in (made["id"], copy["id"]):
        assert api.call("DELETE", f"/drive/v3/files/{file_id}").status_code == 204
    assert [path for path in (drive.drive.folder / "content").glob("*/*") if path.is_file()] == []


def test_documents_survive_a_restart(tmp_path: Path) -> None:
    """The source is kept as every content is."""
    with DriveEmulator(tmp_path) as drive:
        made = converted(Api(drive), DOCUMENT, "text/plain", b"x" * 100_000)
    with DriveEmulator(tmp_path) as drive:
        assert exported(Api(drive), made["id"], "text/plain").endswith(b"x" * 100_000)


def test_v2_converts_where_it_is_asked_to(api: Api) -> None:
    """`convert=true`, as PyDrive2 sends it: the type of the content says into what."""
    answer = api.call(
        "POST",
        "/upload/drive/v2/files?uploadType=media&convert=true",
        data=b"words",
        headers={"Content-Type": "text/plain"},
    ).json()

    assert answer["mimeType"] == DOCUMENT
    assert exported(api, answer["id"], "text/plain") == b"\xef\xbb\xbfwords"
    assert answer["exportLinks"]["text/html"].startswith(api.drive.url)


def test_about_names_the_formats(api: Api) -> None:
    """What can come in and what can go out, and nothing besides."""
    about = api.get("about", fields="importFormats,exportFormats").json()

    assert about["importFormats"]["text/csv"] == [SPREADSHEET]
    assert about["importFormats"][WORD] == [DOCUMENT]
    assert about["exportFormats"] == {
        DOCUMENT: ["text/plain", "text/html", WORD],
        SPREADSHEET: ["text/csv", "text/tab-separated-values"],
    }


def test_what_is_not_emulated_is_refused(api: Api, drive: DriveEmulator) -> None:
    """A type that only Google can convert is 501; a way that Google hasn't is 400; plain files aren't exported."""
    made = converted(api, DOCUMENT, "text/plain", b"words")
    plain = api.multipart({"name": "a"}, b"x").json()["id"]

    word = api.call(
        "POST",
        "/upload/drive/v2/files?uploadType=media&convert=true",
        data=b"x",
        headers={"Content-Type": "application/msword"},
    )

    assert word.status_code == 501
    assert api.multipart({"mimeType": SPREADSHEET}, b"x").status_code == 400
    assert api.get(f"files/{made['id']}/export", mimeType="application/pdf").status_code == 400
    assert api.reason(api.get(f"files/{plain}/export", mimeType="text/plain")) == (403, "fileNotExportable")
    assert len(drive.files()) == 2


@pytest.mark.parametrize(("mime_type", "empty"), [("text/plain", ""), ("text/html", "<p></p>"), (WORD, "<w:p></w:p>")])
def test_an_empty_document_is_exported_empty(api: Api, mime_type: str, empty: str) -> None:
    """One that was made without content has one paragraph, without a word."""
    made = api.made({"name": "new", "mimeType": DOCUMENT})

    found = exported(api, made["id"], mime_type)
    text = body_of(found) if mime_type == WORD else found.decode("utf-8-sig")
    assert re.sub(r".*<(w:)?body>|</(w:)?body>.*", "", text, flags=re.DOTALL) == empty


def body_of(document: bytes) -> str:
    """The XML of a Word document's body."""
    with zipfile.ZipFile(io.BytesIO(document)) as package:
        return package.read("word/document.xml").decode()


def word(body: str, *, name: str = "word/document.xml") -> bytes:
    """A Word document as Word makes them, as far as its words go."""
    names = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr(name, f"<?xml version='1.0'?><w:document {names}><w:body>{body}</w:body></w:document>")
    return out.getvalue()


def test_a_word_document_becomes_a_document_and_comes_back(api: Api) -> None:
    """As it was, and as its words: of runs, tables and breaks, without what was struck out or moved away."""
    source = word(
        "<w:p><w:pPr><w:tabs><w:tab w:val='left' w:pos='720'/></w:tabs></w:pPr>"
        "<w:r><w:t>Gr</w:t></w:r><w:r><w:t>üße</w:t><w:tab/><w:t>&amp; K</w:t></w:r></w:p>"
        "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>cell</w:t><w:br/><w:t>two</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
        "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:moveFrom><w:r><w:t>off</w:t></w:r></w:moveFrom></w:p>"
    )
    made = converted(api, DOCUMENT, WORD, source)

    assert exported(api, made["id"], WORD) == source
    assert exported(api, made["id"], "text/plain").decode("utf-8-sig") == "Grüße\t& K\r\ncell\r\ntwo\r\n"
    assert "<p>cell</p><p>two</p>" in exported(api, made["id"], "text/html").decode()


def test_words_travel_through_word_unchanged(api: Api) -> None:
    """Exported as a Word document and converted back: every letter, space and tab; what XML can't hold is left out."""
    text = "  two  spaces\t& <tags> \U0001f600\n\nlast\x0b"
    first = converted(api, DOCUMENT, "text/plain", text.encode())
    document = exported(api, first["id"], WORD)
    second = converted(api, DOCUMENT, WORD, document)

    assert (
        exported(api, second["id"], "text/plain")
        == b"\xef\xbb\xbf" + text.replace("\x0b", "").replace("\n", "\r\n").encode()
    )
    assert exported(api, first["id"], WORD) == document


@pytest.mark.parametrize(
    "kind", ["no zip file", "half a zip file", "another zip file", "no XML", "entities", "a bomb", "a well"]
)
def test_a_broken_word_document_is_refused(api: Api, drive: DriveEmulator, kind: str) -> None:
    """400 that says why; nothing is made."""
    bomb = "<w:p>" + "<w:r/>" * 3_000_000 + "</w:p>"
    source = {
        "no zip file": b"words",
        "half a zip file": word("<w:p/>")[:-30],
        "another zip file": word("", name="content.xml"),
        "no XML": word("<w:p>"),
        "entities": word("<!DOCTYPE d [<!ENTITY a 'b'>]><w:p/>"),
        "a well": word("<w:q>" * 10_000 + "</w:q>" * 10_000),
        "a bomb": word(bomb) if kind == "a bomb" else b"",
    }[kind]

    answer = api.call(
        "POST",
        "/upload/drive/v2/files?uploadType=media&convert=true",
        data=source,
        headers={"Content-Type": WORD},
    )

    assert answer.status_code == 400
    assert "can't be converted" in answer.json()["error"]["message"]
    assert drive.files() == []


def test_a_cell_that_no_table_can_have_is_refused(api: Api) -> None:
    """400 where a conversion isn't possible, and the way back as it was."""
    table = b"a\t" + b"x" * 200_000
    made = converted(api, SPREADSHEET, "text/tab-separated-values", table)

    assert api.get(f"files/{made['id']}/export", mimeType="text/csv").status_code == 400
    assert exported(api, made["id"], "text/tab-separated-values") == table
