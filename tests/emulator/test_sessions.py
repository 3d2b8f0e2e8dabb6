"""The resumable protocol on the wire, row by row of the reference's section 3."""

import contextlib
import hashlib
import os
import socket
from urllib.parse import urlsplit

import pytest
import requests

from local_runner.drive_emulator import DriveEmulator
from tests.emulator.wire import GRANULE, Api


def _raw(uri: str) -> tuple[socket.socket, str]:
    parts = urlsplit(uri)
    sock = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=10)
    return sock, f"{parts.path}?{parts.query}"


def _broken_send(uri: str, content: bytes, total: int, first: int = 0) -> None:
    """Announce everything from `first` on, send only `content`, and close."""
    sock, target = _raw(uri)
    length = total - first
    head = f"PUT {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n"
    head += f"Content-Range: bytes {first}-{total - 1}/{total}\r\n\r\n"
    sock.sendall(head.encode() + content)
    sock.shutdown(socket.SHUT_WR)
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(4096):
            continue
    sock.close()


def test_start_answers_an_empty_200_with_a_location_on_the_host_that_was_named(api: Api) -> None:
    """A client behind a proxy gets a session URI that it can reach."""
    answer = api.call(
        "POST",
        "/upload/drive/v3/files?uploadType=resumable",
        json={"name": "a"},
        headers={"Host": "www.googleapis.com:81"},
    )

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Location"].startswith(
        "http://www.googleapis.com:81/upload/drive/v3/files?uploadType=resumable&"
    )
    assert answer.headers["X-GUploader-UploadID"] in answer.headers["Location"]


def test_whole_content_in_one_put_needs_no_authorization_and_no_range(api: Api, drive: DriveEmulator) -> None:
    """The session URI is the permission."""
    content = os.urandom(GRANULE + 5)
    uri = api.session_uri({"name": "a.bin"}, total=len(content))

    answer = api.send(uri, content)

    assert answer.status_code == 200
    assert answer.json()["sha256Checksum"] == hashlib.sha256(content).hexdigest()
    assert drive.content(answer.json()["id"]) == content


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_chunks_are_answered_308_without_location_until_the_last(api: Api, drive: DriveEmulator, method: str) -> None:
    """rclone posts its chunks, everybody else puts them."""
    content = os.urandom(2 * GRANULE + 100)
    uri = api.session_uri(total=len(content))

    first = api.send(uri, content[:GRANULE], f"bytes 0-{GRANULE - 1}/{len(content)}", method)
    second = api.send(uri, content[GRANULE : 2 * GRANULE], f"bytes {GRANULE}-{2 * GRANULE - 1}/{len(content)}", method)
    last = api.send(uri, content[2 * GRANULE :], f"bytes {2 * GRANULE}-{len(content) - 1}/{len(content)}", method)

    assert [one.status_code for one in (first, second, last)] == [308, 308, 200]
    assert first.headers["Range"] == f"bytes=0-{GRANULE - 1}"
    assert "Location" not in first.headers
    assert drive.content(last.json()["id"]) == content


def test_unknown_length_is_told_with_the_last_chunk(api: Api, drive: DriveEmulator) -> None:
    """`bytes 0-N/*` until the end is known."""
    content = os.urandom(GRANULE + 7)
    uri = api.session_uri()

    first = api.send(uri, content[:GRANULE], f"bytes 0-{GRANULE - 1}/*")
    last = api.send(uri, content[GRANULE:], f"bytes {GRANULE}-{len(content) - 1}/{len(content)}")

    assert first.status_code == 308
    assert drive.content(last.json()["id"]) == content


def test_chunked_transfer_encoding_of_unknown_length(api: Api, drive: DriveEmulator) -> None:
    """A pipe is uploaded as it comes (`curl -T -`)."""
    uri = api.session_uri()

    answer = requests.put(uri, data=iter([b"abc", b"", b"defg" * 100_000]), timeout=10)

    assert drive.content(answer.json()["id"]) == b"abc" + b"defg" * 100_000


def test_status_of_a_fresh_session_has_no_range(api: Api) -> None:
    """Nothing kept: 308 without `Range`."""
    answer = api.status(api.session_uri(total=10), 10)

    assert answer.status_code == 308
    assert "Range" not in answer.headers


def test_status_of_a_complete_session_is_the_file(api: Api) -> None:
    """The answer had been lost: ask again, get the resource."""
    uri = api.session_uri({"name": "done"}, total=3)
    api.send(uri, b"abc")

    answer = api.status(uri, 3)

    assert (answer.status_code, answer.json()["name"]) == (200, "done")


def test_what_arrived_before_the_connection_broke_is_kept_on_a_border(api: Api, drive: DriveEmulator) -> None:
    """The status query that follows at once sees it, and the upload goes on there."""
    content = os.urandom(5 * GRANULE + 11)
    uri = api.session_uri(total=len(content))
    _broken_send(uri, content[: 3 * GRANULE + 1000], len(content))

    kept = api.status(uri, len(content))
    answer = api.send(uri, content[3 * GRANULE :], f"bytes {3 * GRANULE}-{len(content) - 1}/{len(content)}")

    assert kept.headers["Range"] == f"bytes=0-{3 * GRANULE - 1}"
    assert answer.json()["md5Checksum"] == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert drive.content(answer.json()["id"]) == content


def test_large_uploads_break_and_go_on_as_well(api: Api, drive: DriveEmulator) -> None:
    """From 4 MiB on, digests run in threads and writing goes past the cache: the result is the same."""
    content = os.urandom(24 * GRANULE + 4097)
    uri = api.session_uri(total=len(content))
    _broken_send(uri, content[: 17 * GRANULE + 5], len(content))

    kept = api.status(uri, len(content)).headers["Range"]
    answer = api.send(uri, content[17 * GRANULE :], f"bytes {17 * GRANULE}-{len(content) - 1}/{len(content)}")

    assert kept == f"bytes=0-{17 * GRANULE - 1}"
    assert answer.json()["sha1Checksum"] == hashlib.sha1(content, usedforsecurity=False).hexdigest()
    assert drive.content(answer.json()["id"]) == content


@pytest.mark.parametrize("fields", ["id,md5Checksum", "id,md5Checksum,sha1Checksum", "id,md5Checksum,sha256Checksum"])
def test_shas_that_nobody_asked_for_are_there_when_somebody_does(api: Api, fields: str) -> None:
    """A large upload makes only the digests that its answer holds, and puts the others off."""
    content = os.urandom(20 * GRANULE + 3)
    uri = api.session_uri(total=len(content), fields=fields)

    made = api.send(uri, content).json()
    asked = api.get(f"files/{made['id']}", fields="sha1Checksum,sha256Checksum").json()

    assert made["md5Checksum"] == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert asked == {
        "sha1Checksum": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        "sha256Checksum": hashlib.sha256(content).hexdigest(),
    }


def test_a_stalled_connection_is_overtaken_by_a_newer_one(api: Api, drive: DriveEmulator) -> None:
    """What a half-dead sender brought counts; the newcomer goes on, the old one can't disturb it."""
    content = os.urandom(3 * GRANULE)
    uri = api.session_uri(total=len(content))
    stalled, target = _raw(uri)
    head = f"PUT {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n\r\n"
    stalled.sendall(head.encode() + content[:GRANULE])
    while "Range" not in api.status(uri, len(content)).headers:
        continue

    answer = api.send(uri, content[GRANULE:], f"bytes {GRANULE}-{len(content) - 1}/{len(content)}")

    assert drive.content(answer.json()["id"]) == content
    stalled.close()


def test_a_gap_is_the_503_that_no_repetition_mends(api: Api) -> None:
    """Text, not JSON, with both offsets in it."""
    uri = api.session_uri(total=4 * GRANULE)
    api.send(uri, bytes(GRANULE), f"bytes 0-{GRANULE - 1}/{4 * GRANULE}")

    answers = [api.send(uri, bytes(GRANULE), f"bytes {2 * GRANULE}-{3 * GRANULE - 1}/{4 * GRANULE}") for _ in range(2)]

    assert [one.status_code for one in answers] == [503, 503]
    assert answers[0].headers["Content-Type"].startswith("text/plain")
    assert answers[0].text == (
        "Invalid request.  According to the Content-Range header, the upload offset is 524288 byte(s), "
        "which exceeds already uploaded size of 262144 byte(s)."
    )


@pytest.mark.parametrize(
    ("content_range", "size", "message"),
    [
        ("bytes 9-0/100", 10, "Failed to parse Content-Range header."),
        ("bytes 0--1/0", 0, "Failed to parse Content-Range header."),
        ("bytes 0-99/50", 100, "Failed to parse Content-Range header."),
        ("0-9/100", 10, "Failed to parse Content-Range header."),
        ("bytes 0-1023/10000", 1024, "multiple of 262144"),
        ("bytes 0-1023/*", 1024, "multiple of 262144"),
        ("bytes 0-19/20", 10, "doesn't match the length"),
    ],
)
def test_chunks_that_contradict_the_rules_are_400(api: Api, content_range: str, size: int, message: str) -> None:
    """Malformed ranges and chunks off the border."""
    answer = api.send(api.session_uri(), bytes(size), content_range)

    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def test_more_than_announced_is_400(api: Api, drive: DriveEmulator) -> None:
    """X-Upload-Content-Length binds."""
    uri = api.session_uri(total=10)

    with_range = api.send(uri, bytes(20), "bytes 0-19/20")
    without = api.send(uri, bytes(20))

    assert [with_range.status_code, without.status_code] == [400, 400]
    assert drive.files() == []


def test_overlapping_bytes_are_skipped_or_refused_as_the_weather_has_it(api: Api, drive: DriveEmulator) -> None:
    """The real service's answer is unverified, so both can be had."""
    content = os.urandom(2 * GRANULE)
    uri = api.session_uri(total=len(content))
    api.send(uri, content[:GRANULE], f"bytes 0-{GRANULE - 1}/{len(content)}")

    drive.set_weather(overlap="refuse")
    refused = api.send(uri, content, f"bytes 0-{len(content) - 1}/{len(content)}")
    drive.set_weather(overlap="skip")
    taken = api.send(uri, content, f"bytes 0-{len(content) - 1}/{len(content)}")

    assert refused.status_code == 400
    assert drive.content(taken.json()["id"]) == content


@pytest.mark.parametrize("content_range", [None, "bytes */0"])
def test_an_empty_put_completes_a_session_of_total_zero(api: Api, content_range: str | None) -> None:
    """google-api-python-client sends no range, rclone sends the status query's."""
    uri = api.session_uri({"name": "empty"}, total=0)

    answer = api.send(uri, b"", content_range)

    assert answer.status_code == 200
    assert (answer.json()["size"], answer.json()["md5Checksum"]) == ("0", "d41d8cd98f00b204e9800998ecf8427e")


def test_unknown_expired_and_cancelled_sessions_are_gone(api: Api, drive: DriveEmulator) -> None:
    """404 tells the client to start anew; a session lives for a week."""
    cancelled, expired = api.session_uri(total=5), api.session_uri(total=5)

    cancelling = requests.delete(cancelled, timeout=10)
    drive.set_weather(advance_s=7 * 24 * 3600 + 60)

    assert cancelling.status_code == 499
    assert [api.send(uri, b"12345").status_code for uri in (cancelled, expired, expired + "x")] == [404, 404, 404]
    assert drive.files() == []


def test_one_id_in_two_sessions_is_consumed_by_the_first_that_finishes(api: Api, drive: DriveEmulator) -> None:
    """Starting doesn't consume the id; the second session's end is 409 and makes nothing."""
    file_id = api.ids()[0]
    one, two = api.session_uri({"id": file_id}, total=1), api.session_uri({"id": file_id}, total=1)

    first, second = api.send(one, b"1"), api.send(two, b"2")
    third = api.start({"id": file_id}, total=1)

    assert first.json()["id"] == file_id
    assert api.reason(second) == (409, "fileIdInUse")
    assert api.reason(third) == (409, "fileIdInUse")
    assert drive.content(file_id) == b"1"


def test_new_content_for_a_file_keeps_the_old_one_as_revision(api: Api, drive: DriveEmulator) -> None:
    """PATCH starts a session for an existing file."""
    made = api.multipart({"name": "a.txt"}, b"old").json()
    uri = api.session_uri({"description": "second"}, total=3, file_id=made["id"])

    answer = api.send(uri, b"new").json()

    assert (answer["id"], answer["description"]) == (made["id"], "second")
    assert answer["headRevisionId"] != made["headRevisionId"]
    assert int(answer["version"]) > int(made["version"])
    revisions = api.get(f"files/{made['id']}/revisions").json()["revisions"]
    assert [one["id"] for one in revisions] == [made["headRevisionId"], answer["headRevisionId"]]


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/upload/drive/v3/files/x"), ("PATCH", "/upload/drive/v2/files/x"), ("PUT", "/upload/drive/v3/files")],
)
def test_a_wrong_verb_on_an_upload_path_is_404(api: Api, method: str, path: str) -> None:
    """Not 405: v3 knows no PUT, v2 no PATCH with content."""
    answer = api.call(method, path, params={"uploadType": "media"}, data=b"x")

    assert answer.status_code == 404


def test_metadata_errors_come_at_the_start(api: Api) -> None:
    """An unknown parent or field is refused before any byte is sent."""
    assert api.reason(api.start({"parents": ["nowhere"]}, total=5)) == (404, "notFound")
    assert api.start({"nonsense": 1}, total=5).status_code == 400


def test_a_session_keeps_its_version_whatever_path_it_is_continued_at(api: Api) -> None:
    """v3's session sent to v2's address is answered as v3."""
    uri = api.session_uri({"name": "a"})

    assert api.send(uri.replace("/v3/", "/v2/"), b"x").json()["name"] == "a"
