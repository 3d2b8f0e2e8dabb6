"""Uploads in one request: media and multipart in the spellings that clients use."""

import base64
import os
import socket
from contextlib import suppress

import pytest

from local_runner.drive_emulator import DriveEmulator
from tests.emulator.wire import Api


def _multipart(api: Api, body: bytes, content_type: str) -> dict[str, str]:
    answer = api.call(
        "POST",
        "/upload/drive/v3/files?uploadType=multipart&fields=id,name,size,mimeType",
        data=body,
        headers={"Content-Type": content_type},
    )
    assert answer.status_code == 200, answer.text
    made: dict[str, str] = answer.json()
    return made


def test_media_takes_its_type_from_the_header(api: Api, drive: DriveEmulator) -> None:
    """Content without metadata."""
    answer = api.call(
        "POST", "/upload/drive/v3/files?uploadType=media", data=b"hello", headers={"Content-Type": "text/plain"}
    )

    assert (answer.json()["mimeType"], answer.json()["name"]) == ("text/plain", "Untitled")
    assert drive.content(answer.json()["id"]) == b"hello"


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("boundary", ["B", '"B"', '"=_a b?\'()+_,-./:="'])
@pytest.mark.parametrize("content", [b"", b"x", b"ends with CR\r", b"ends with LF\n", b"--B\n--", os.urandom(700_000)])
def test_multipart_is_read_liberally(api: Api, drive: DriveEmulator, end: bytes, boundary: str, content: bytes) -> None:
    """Bare LF or CRLF, quoted boundaries, any bytes."""
    dashes = b"--" + boundary.strip('"').encode()
    lines = [
        b"preamble" if end == b"\r\n" else b"",
        dashes,
        b"Content-Type: application/json; charset=UTF-8",
        b"MIME-Version: 1.0",
        b"",
        b'{"name": "a"}',
        dashes,
        b"Content-Type: application/pdf",
        b"Content-Transfer-Encoding: binary",
        b"",
        content,
        dashes + b"--",
    ]
    if dashes == b"--B" and content.startswith(b"--B"):
        content = lines[10] = b"-" + content

    made = _multipart(api, end.join(lines), f"multipart/related; boundary={boundary}")

    assert (made["name"], made["mimeType"], made["size"]) == ("a", "application/pdf", str(len(content)))
    assert drive.content(made["id"]) == content


def test_multipart_content_may_be_base64(api: Api, drive: DriveEmulator) -> None:
    """As browsers' code sends it."""
    content = os.urandom(1000)
    body = b"--B\r\n\r\n{}\r\n--B\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(content)

    made = _multipart(api, body + b"\r\n--B--", "multipart/related; boundary=B")

    assert drive.content(made["id"]) == content


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary at all",
        b"--B\r\n\r\n{}\r\n--B--\r\n",
        b"--B\r\n\r\n{}\r\n--B\r\n\r\nx",
        b"--B\r\n\r\n{}\r\n--B\r\n\r\nx\r\n--B\r\n\r\ny\r\n--B--",
        b"--B\r\n\r\nnot json\r\n--B\r\n\r\nx\r\n--B--",
    ],
)
def test_damaged_multipart_bodies_are_400_and_leave_nothing(api: Api, drive: DriveEmulator, body: bytes) -> None:
    """Exactly two parts, metadata first."""
    answer = api.call(
        "POST",
        "/upload/drive/v3/files?uploadType=multipart",
        data=body,
        headers={"Content-Type": "multipart/related; boundary=B"},
    )

    assert answer.status_code == 400
    assert drive.files() == []


def test_a_body_in_chunks_is_understood(api: Api, drive: DriveEmulator) -> None:
    """Chunked transfer encoding, for media too."""
    pieces = [b"a" * 1000, b"b" * 300_000, b"c"]

    answer = api.call("POST", "/upload/drive/v3/files?uploadType=media", data=iter(pieces))

    assert drive.content(answer.json()["id"]) == b"".join(pieces)


@pytest.mark.parametrize(
    "doubt",
    [
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Content-Length: 2\r\nContent-Length: 3",
        "Transfer-Encoding: gzip, chunked",
        "Content-Length: 2\r\nHost: www.googleapis.com",
    ],
)
def test_a_request_of_doubtful_end_or_host_is_refused(api: Api, drive: DriveEmulator, doubt: str) -> None:
    """Two programs could read it differently: 400, the connection ends, nothing is made."""
    head = f"POST /drive/v3/files HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {api.token}\r\n{doubt}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", drive.port), timeout=5) as sock:
        sock.sendall(head.encode() + b"2\r\n{}\r\n0\r\n\r\n")
        with suppress(ConnectionResetError):
            assert sock.recv(65536).startswith(b"HTTP/1.1 400 ")

    assert drive.files() == []


def test_expect_100_continue_is_answered_before_the_body(api: Api, drive: DriveEmulator) -> None:
    """curl waits for it."""
    with socket.create_connection(("127.0.0.1", drive.port), timeout=5) as sock:
        head = "POST /upload/drive/v3/files?uploadType=media HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += f"Authorization: Bearer {api.token}\r\n"
        sock.sendall(f"{head}Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n".encode())
        go_on = sock.recv(100)
        sock.sendall(b"hello")
        answer = b"".join(iter(lambda: sock.recv(65536), b""))

    assert go_on == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_two_requests_on_one_connection_and_in_one_packet(api: Api, drive: DriveEmulator) -> None:
    """Keep-alive, and pipelining does no harm."""
    get = f"GET /drive/v3/files/root?fields=id HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {api.token}\r\n"
    with socket.create_connection(("127.0.0.1", drive.port), timeout=5) as sock:
        sock.sendall((get + "\r\n" + get + "Connection: close\r\n\r\n").encode())
        answer = b"".join(iter(lambda: sock.recv(65536), b""))

    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_a_multipart_upload_that_breaks_leaves_nothing(api: Api, drive: DriveEmulator) -> None:
    """Neither a file nor bytes on the disk."""
    drive.faults.add({"on": "files.create", "do": "reset_in_body", "after_bytes": 300_000})

    with pytest.raises(OSError):  # noqa: PT011 - the connection breaks in one of several ways
        api.multipart({"name": "a"}, bytes(1_000_000))

    assert drive.files() == []
    assert list((drive.drive.folder / "parts").iterdir()) == []
