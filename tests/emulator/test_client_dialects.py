"""What Google's clients of other languages put on the wire, imitated: so it is held where those aren't installed."""

from __future__ import annotations

import gzip
import json
import random
import re
import zlib
from typing import Any

import pytest
import requests

from local_runner.drive_emulator import DriveEmulator
from tests.emulator.wire import GRANULE, Api

CONTENT = random.Random(11).randbytes(2 * GRANULE + 1234)


def test_metadata_in_gzip_is_read(api: Api) -> None:
    """Java and .NET pack the bodies of their requests."""
    body = gzip.compress(json.dumps({"name": "packed"}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    answer = api.call("POST", "/drive/v3/files", data=body, headers=headers)

    assert answer.json()["name"] == "packed"


def test_content_in_gzip_is_kept_unpacked(api: Api, drive: DriveEmulator) -> None:
    """A whole multipart body packed, and content of a session whose length nobody knows yet."""
    parts = b'--B\r\nContent-Type: application/json\r\n\r\n{"name": "m"}\r\n--B\r\n\r\n' + CONTENT + b"\r\n--B--\r\n"
    packed = {"Content-Type": "multipart/related; boundary=B", "Content-Encoding": "gzip"}
    multipart = api.call(
        "POST", "/upload/drive/v3/files?uploadType=multipart", data=gzip.compress(parts), headers=packed
    )
    uri = api.session_uri({"name": "s"})

    chunk = {"Content-Range": f"bytes 0-{GRANULE - 1}/*", "Content-Encoding": "gzip"}
    first = requests.put(uri, data=gzip.compress(CONTENT[:GRANULE]), headers=chunk, timeout=30)
    rest = {"Content-Range": f"bytes {GRANULE}-{len(CONTENT) - 1}/{len(CONTENT)}", "Content-Encoding": "gzip"}
    last = requests.put(uri, data=gzip.compress(CONTENT[GRANULE:]), headers=rest, timeout=30)

    assert drive.content(multipart.json()["id"]) == CONTENT
    assert (first.status_code, first.headers["Range"]) == (308, f"bytes=0-{GRANULE - 1}")
    assert drive.content(last.json()["id"]) == CONTENT


@pytest.mark.parametrize("body", [b"no gzip at all", gzip.compress(CONTENT)[:-20], zlib.compress(CONTENT)])
def test_what_is_no_gzip_is_400_and_makes_nothing(api: Api, drive: DriveEmulator, body: bytes) -> None:
    """Garbage, a body that ends too early, another packing."""
    answer = api.call(
        "POST", "/upload/drive/v3/files?uploadType=media", data=body, headers={"Content-Encoding": "gzip"}
    )

    assert answer.status_code == 400
    assert drive.files() == []


def test_go_is_answered_200_with_the_status_beside_it(api: Api, drive: DriveEmulator) -> None:
    """`X-GUploader-No-308: yes`: also a status query; the last answer is a plain 200."""
    uri, total = api.session_uri({"name": "g"}), len(CONTENT)

    def send(content: bytes, span: str) -> requests.Response:
        headers = {"Content-Range": span, "X-GUploader-No-308": "yes"}
        return requests.post(uri, data=content, headers=headers, timeout=30)

    chunk = send(CONTENT[:GRANULE], f"bytes 0-{GRANULE - 1}/*")
    status = send(b"", "bytes */*")
    last = send(CONTENT[GRANULE:], f"bytes {GRANULE}-{total - 1}/{total}")

    assert [answer.status_code for answer in (chunk, status, last)] == [200, 200, 200]
    assert [answer.headers.get("X-HTTP-Status-Code-Override") for answer in (chunk, status, last)] == [
        "308",
        "308",
        None,
    ]
    assert status.headers["Range"] == f"bytes=0-{GRANULE - 1}"
    assert drive.content(last.json()["id"]) == CONTENT


class Commands:
    """A session of `X-Goog-Upload-Command`s, as Ruby's client speaks it."""

    def __init__(self, api: Api, **metadata: Any) -> None:
        headers = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Type": "application/pdf",
            "X-Goog-Upload-Header-Content-Length": str(len(CONTENT)),
        }
        self.started = api.call("POST", "/upload/drive/v3/files?fields=*", json=metadata, headers=headers)

    def send(self, command: str, content: bytes = b"", offset: int | str | None = None) -> requests.Response:
        headers = {"X-Goog-Upload-Command": command}
        if offset is not None:
            headers["X-Goog-Upload-Offset"] = str(offset)
        url = self.started.headers["X-Goog-Upload-URL"]
        return requests.post(url, data=content, headers=headers, timeout=30)


def told(answer: requests.Response) -> tuple[int, str | None, str | None]:
    """Status, upload status and what was received."""
    received = answer.headers.get("X-Goog-Upload-Size-Received")
    return answer.status_code, answer.headers.get("X-Goog-Upload-Status"), received


def test_a_session_of_commands(api: Api, drive: DriveEmulator) -> None:
    """Start, a chunk, a query, the rest with finalize, a query after the end."""
    session = Commands(api, name="commands")
    fresh = session.send("query")
    chunk = session.send("upload", CONTENT[:GRANULE], 0)
    query = session.send("query")
    last = session.send("upload, finalize", CONTENT[GRANULE:], GRANULE)
    after = session.send("query")

    assert told(session.started) == (200, "active", None)
    assert session.started.headers["X-Goog-Upload-Chunk-Granularity"] == str(GRANULE)
    assert told(fresh) == (200, "active", "0")
    assert told(chunk) == told(query) == (200, "active", str(GRANULE))
    assert told(last) == told(after) == (200, "final", None)
    assert (last.json()["name"], last.json()["mimeType"]) == ("commands", "application/pdf")
    assert drive.content(last.json()["id"]) == CONTENT


def test_finalize_may_come_alone(api: Api, drive: DriveEmulator) -> None:
    """All content first, and then the word that it was all."""
    session = Commands(api, name="late")
    session.send("upload", CONTENT[: 2 * GRANULE], 0)
    tail = session.send("upload, finalize", CONTENT[2 * GRANULE :], 2 * GRANULE)
    again = session.send("finalize", b"", len(CONTENT))

    assert told(tail) == told(again) == (200, "final", None)
    assert drive.content(tail.json()["id"]) == CONTENT


def test_commands_are_cancelled_and_refused(api: Api, drive: DriveEmulator) -> None:
    """A cancelled session is gone; unknown words and offsets are 400, a start without the word too."""
    session = Commands(api, name="cancelled")

    assert session.send("leap", b"x", 0).status_code == 400
    assert session.send("upload", b"x").status_code == 400
    assert session.send("upload", b"x", "some").status_code == 400
    assert told(session.send("cancel")) == (200, "cancelled", None)
    assert session.send("query").status_code == 404
    headers = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "upload, finalize"}
    assert api.call("POST", "/upload/drive/v3/files", data=b"x", headers=headers).status_code == 400
    assert drive.files() == []


def test_an_upload_may_go_without_upload_type(api: Api, drive: DriveEmulator) -> None:
    """The header says how, or else the body's type does."""
    multipart = b'--B\r\nContent-Type: application/json\r\n\r\n{"name": "m"}\r\n--B\r\n\r\ncontent\r\n--B--\r\n'
    related = {"Content-Type": "multipart/related; boundary=B"}
    answers = [
        api.call("POST", "/upload/drive/v3/files", data=multipart, headers=related),
        api.call(
            "POST", "/upload/drive/v3/files", data=multipart, headers={**related, "X-Goog-Upload-Protocol": "multipart"}
        ),
        api.call("POST", "/upload/drive/v3/files", data=b"content", headers={"X-Goog-Upload-Protocol": "raw"}),
        api.call("POST", "/upload/drive/v3/files", data=b"content", headers={"Content-Type": "text/plain"}),
        api.call("POST", "/upload/drive/v2/files?upload_protocol=multipart", data=multipart, headers=related),
    ]

    assert [answer.status_code for answer in answers] == [200] * 5
    assert {drive.content(answer.json()["id"]) for answer in answers} == {b"content"}
    assert api.reason(api.call("POST", "/upload/drive/v3/files?uploadType=pigeon"))[0] == 400


def test_only_the_calls_of_a_batch_need_a_token(api: Api) -> None:
    """Java authorises each call and not the batch; a call without a token is refused for itself."""
    calls = [f"GET /drive/v3/about?fields=user\r\nAuthorization: Bearer {api.token}", "POST /drive/v3/files"]
    parts = "".join(f"--B\r\nContent-Type: application/http\r\n\r\n{call}\r\n\r\n\r\n" for call in calls)
    headers = {"Content-Type": "multipart/mixed; boundary=B"}

    answer = requests.post(f"{api.drive.url}/batch/drive/v3", data=f"{parts}--B--", headers=headers, timeout=30)

    assert answer.status_code == 200
    assert re.findall(r"HTTP/1.1 (\d+)", answer.text) == ["200", "401"]


def test_a_list_of_one_scalar_passes_in_multipart_metadata_only(api: Api) -> None:
    """googledrive (R) uploads so, and works at Google; the same in a plain create is refused there."""
    body = {"name": ["lone"], "starred": [True], "parents": ["root"]}

    uploaded = api.multipart(body, b"x")
    several = api.multipart({"name": ["two", "names"]}, b"x")
    plain = api.create(body)

    assert (uploaded.json()["name"], uploaded.json()["starred"]) == ("lone", True)
    assert (several.status_code, plain.status_code) == (400, 400)
    assert "Proto field is not repeating, cannot start list." in plain.json()["error"]["message"]
