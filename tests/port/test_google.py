"""What only the real adapter does: Google's mark on each request, and odd answers, which are no verdicts."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from function.core.errors import BadRequest, DeadlineExceeded, LookFailed, NotFound, TransientDriveError
from function.core.retry import Deadline
from function.core.types import FileId, NewFile, RemoteFile, Usage
from function.drive.google import GoogleDrive
from function.drive.port import Drive
from function.drive.query import LIVE, Query, inside, marked
from function.pacing import Pacer
from local_runner.drive_emulator import DriveEmulator
from tests.port.conftest import google_drive

TOKEN = "canary-token"
FILE = {"id": "1", "name": "a", "parents": ["2"]}


@contextmanager
def answering(status: int, body: bytes, *headers: str) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives every request this answer: its URL, and the heads of the requests it got."""
    heads: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, status, body, headers, heads), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heads


def _serve(listener: socket.socket, status: int, body: bytes, headers: tuple[str, ...], heads: list[bytes]) -> None:
    while True:
        try:
            connection = listener.accept()[0]
        except OSError:
            return
        with connection, connection.makefile("rb") as stream:
            head = b"".join(iter(stream.readline, b"\r\n"))
            length = next(
                (int(each[15:]) for each in head.lower().split(b"\r\n") if each.startswith(b"content-length:")), 0
            )
            stream.read(length)
            heads.append(head)
            lines = [f"HTTP/1.1 {status} Odd", f"content-length: {len(body)}", "connection: close", *headers, "", ""]
            connection.sendall("\r\n".join(lines).encode() + body)


class UntilAnswered(Deadline):
    """Leaves no time to wait for another try once so many requests were answered: nobody sleeps here."""

    heads: list[bytes] = msgspec.field(default_factory=list)
    enough: int = 1

    def remaining_s(self) -> float:
        return 30.0 if len(self.heads) < self.enough else 0.0

    def check(self) -> None:
        return


def soon(url: str, heads: list[bytes], enough: int = 1) -> Drive:
    """The adapter on that URL, with no time to try again."""
    deadline = UntilAnswered(time.monotonic() + 60, heads=heads, enough=enough)
    return google_drive(url, TOKEN).bound(Usage(), deadline)


CALLS: dict[str, Callable[[Drive], object]] = {
    "identity": lambda drive: drive.identity(),
    "reserve_ids": lambda drive: drive.reserve_ids(1),
    "get": lambda drive: drive.get("1"),
    "list": lambda drive: drive.list(LIVE),
    "first_page": lambda drive: drive.first_page(LIVE),
    "count_revisions": lambda drive: drive.count_revisions("1"),
    "create": lambda drive: drive.create(NewFile(FileId("1"), "a", FileId("2"), None, None, {}, None), memoryview(b"")),
    "create_folder": lambda drive: drive.create_folder(FileId("1"), "a", "2", "key"),
    "start": lambda drive: drive.start(NewFile(FileId("1"), "a", FileId("2"), None, None, {}, None), 1, revises=True),
    "update": lambda drive: drive.update(RemoteFile(FileId("1"), "a"), name="b"),
}
LOOKS = ["identity", "reserve_ids", "get", "list", "first_page", "count_revisions"]


def test_every_request_carries_googles_mark() -> None:
    """What names the client in each API request, and the user agent on a session's bytes, which have no other mark."""
    with DriveEmulator() as emulator, recorded(emulator.url) as (url, heads):
        drive = google_drive(url, str(emulator.authorized_user()["token"]))
        one, two = drive.reserve_ids(2)
        folder = drive.create_folder(FileId(one), "a", "root", "key")
        file = NewFile(FileId(two), "a", folder.id, None, "key", {}, None)
        sent = drive.send(drive.start(file, 3, revises=False), 3, 0, [memoryview(b"abc")])
        assert isinstance(sent, RemoteFile)
        drive.list(inside(folder.id))
        drive.update(sent, name="b")
        drive.identity()

    lines = [head.lower().decode().split("\r\n") for head in heads]
    assert len(lines) == 7
    for head in lines:
        assert any(each.startswith("user-agent: google-api-python-client/") and "gzip" in each for each in head)
        is_bytes = head[0].startswith("put ")
        assert any(each.startswith("x-goog-api-client: gdcl/") for each in head) != is_bytes
        assert any(each.startswith("authorization: bearer") for each in head) != is_bytes


@contextmanager
def recorded(url: str) -> Iterator[tuple[str, list[bytes]]]:
    """Passes requests on, and keeps their heads."""
    heads: list[bytes] = []
    host, port = url.removeprefix("http://").split(":")

    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while head := b"".join(iter(stream.readline, b"\r\n")):
                heads.append(head)
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                with socket.create_connection((host, int(port))) as onward:
                    onward.sendall(
                        head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + b"\r\n" + stream.read(length)
                    )
                    connection.sendall(b"".join(iter(lambda: onward.recv(65536), b"")))
                return

    def accept(listener: socket.socket) -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heads


@pytest.mark.parametrize("status", [302, 400, 403, 404, 407, 411, 423, 499, 500])
@pytest.mark.parametrize("call", CALLS)
def test_a_page_of_html_is_no_verdict(call: str, status: int) -> None:
    """Whatever the code and the call: the same may succeed later, and nothing is taken as absent."""
    with answering(status, b"<html>Sorry</html>") as (url, heads), pytest.raises(TransientDriveError) as error:
        CALLS[call](soon(url, heads))

    assert error.value.is_retryable
    assert "Sorry" not in error.value.message


ODD_ANSWERS = {
    "cut": b'{"kind": "drive#fileList", "files": [',
    "empty": b"",
    "a list": b"[]",
    "a page": b"<html></html>",
    "nothing": b"{}",
    "null": b'{"files": null, "ids": null, "revisions": null, "user": null, "id": null}',
    "other types": b'{"files": [5], "ids": [1], "revisions": 1, "user": {"permissionId": 5}, "id": 7, "size": "x"}',
    "empty ids": b'{"files": [{"id": "", "parents": ["2"]}], "ids": [""], "user": {"permissionId": ""}, "id": ""}',
    "not UTF-8": b'{"id": "\xff"}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("body", ODD_ANSWERS.values(), ids=list(ODD_ANSWERS))
@pytest.mark.parametrize("call", [each for each in CALLS if each != "start"])
def test_a_yes_that_says_nothing_is_asked_again(call: str, body: bytes) -> None:
    """200 with what isn't the answer."""
    with answering(200, body) as (url, heads), pytest.raises(TransientDriveError):
        CALLS[call](soon(url, heads))


INCOMPLETE = {
    "not everything searched": {"kind": "drive#fileList", "incompleteSearch": True, "files": []},
    "another kind": {"kind": "drive#file", "files": []},
    "no files": {"kind": "drive#fileList"},
    "a file without parents": {"kind": "drive#fileList", "files": [{"id": "1", "name": "a"}]},
    "a file without id": {"kind": "drive#fileList", "files": [{"name": "a", "parents": ["2"]}]},
}


@pytest.mark.parametrize("answer", INCOMPLETE.values(), ids=list(INCOMPLETE))
@pytest.mark.parametrize("call", ["list", "first_page"])
def test_a_listing_that_is_not_whole_is_none(call: str, answer: dict[str, Any]) -> None:
    """It never says that there is nothing."""
    with answering(200, json.dumps(answer).encode()) as (url, heads), pytest.raises(TransientDriveError):
        getattr(soon(url, heads), call)(inside("2"))


@pytest.mark.parametrize("query", [marked("key"), LIVE | inside("2")])
def test_a_file_of_ours_may_be_where_we_see_no_folder(query: Query) -> None:
    """Asked for by its mark, it is found without parents: its owner may have put it out of our sight."""
    resource = {"id": "1", "name": "a", "mimeType": "text/plain", "appProperties": {"drive_upload_key": "key"}}
    with answering(200, json.dumps({"files": [resource]}).encode()) as (url, heads):
        assert [each.id for each in soon(url, heads).list(query)] == ["1"]


def envelope(status: int, reason: str, message: str = "No.") -> bytes:
    """Google's body."""
    return json.dumps({"error": {"code": status, "message": message, "errors": [{"reason": reason}]}}).encode()


@pytest.mark.parametrize("call", ["list", "first_page"])
def test_a_404_of_a_listing_means_nothing(call: str) -> None:
    """Even in Google's envelope: it has been seen for minutes on queries that name no folder."""
    with answering(404, envelope(404, "notFound")) as (url, heads), pytest.raises(LookFailed):
        CALLS[call](soon(url, heads))


def test_a_404_of_an_id_in_googles_envelope_is_believed() -> None:
    """There is none, or no right to see it."""
    with answering(404, envelope(404, "notFound")) as (url, heads):
        assert soon(url, heads).get("1") is None
        heads.clear()
        with pytest.raises(NotFound):
            CALLS["create"](soon(url, heads))


@pytest.mark.parametrize("call", LOOKS)
def test_a_look_is_never_refused_for_good(call: str) -> None:
    """A 400 to a look says nothing about a file that is to be uploaded."""
    with answering(400, envelope(400, "invalid")) as (url, heads), pytest.raises(BadRequest) as error:
        CALLS[call](soon(url, heads))

    assert error.value.is_retryable
    assert len(heads) == 1


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [401, 403])
def test_an_envelope_that_echoes_the_request_shows_no_token(call: str, status: int) -> None:
    """A gateway's own, with all headers in it."""
    body = envelope(status, "forbidden", f"x-token={TOKEN} Authorization: Bearer {TOKEN}")
    with answering(status, body) as (url, heads), pytest.raises(Exception, match=str(status)) as error:
        CALLS[call](soon(url, heads, enough=2))

    assert TOKEN not in str(error.value)


def test_a_create_is_sent_once() -> None:
    """Whatever happens: who sends it again looks first."""
    with answering(503, b"") as (url, heads), pytest.raises(TransientDriveError):
        CALLS["create"](google_drive(url, TOKEN))

    assert len(heads) == 1


@pytest.mark.parametrize(
    "begin", [b"", b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"],
    ids=["nothing", "head", "body"],
)  # fmt: skip
def test_an_answer_that_drips_ends_with_the_deadline(begin: bytes) -> None:
    """A byte now and then keeps nobody waiting, in the head or in the body."""
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_drip, args=(listener, begin, gone), daemon=True).start()
        drive: GoogleDrive = google_drive(f"http://127.0.0.1:{listener.getsockname()[1]}", TOKEN)
        with pytest.raises((DeadlineExceeded, TransientDriveError)):
            drive.bound(Usage(), Deadline.after(0.5)).get("1")
        gone.set()


def _drip(listener: socket.socket, begin: bytes, gone: threading.Event) -> None:
    connection = listener.accept()[0]
    with connection, suppress(OSError):
        connection.recv(65536)
        connection.sendall(begin)
        while not gone.wait(0.02):
            connection.send(b"H")


class NoRoom(Pacer):
    """Lets one request go, and has no room for another before the deadline."""

    def acquire(self, *, write: bool, deadline: Deadline) -> None:
        if self.asked:
            raise DeadlineExceeded("No room.", reason="rate_limited", retry_after_s=9)
        self.asked = True

    asked = False


def test_the_pace_says_what_drive_said() -> None:
    """A day's limit met by one request is what the next one tells, which the pacer holds back."""
    body = envelope(403, "userRateLimitExceeded", "User rate limit exceeded.")
    with answering(403, body) as (url, heads):
        drive = replace(google_drive(url, TOKEN), pacer=NoRoom(None))
        for _ in range(2):
            with pytest.raises(TransientDriveError, match="750 GB") as error:
                CALLS["create"](drive.bound(Usage(), Deadline.after(60)))

    assert error.value.retry_after_s == 3600
    assert len(heads) == 1
