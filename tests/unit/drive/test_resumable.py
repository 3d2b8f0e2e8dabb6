"""What a session's answers say of where it is, and whom its bytes are sent to."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from function.core.errors import MetadataRefused, SessionLost, TransientDriveError
from function.drive import resumable
from function.drive.http import Response

SIZE = 1000
FILE = b'{"id": "1", "name": "a"}'
Told = tuple[int, dict[str, str], bytes]
GONE: Told = (404, {}, b"Not Found")


@dataclass(slots=True)
class Answers:
    """An `http` object that gives these answers, one after the other: status, headers, body."""

    answers: Sequence[Told]
    requests: list[dict[str, str]] = field(default_factory=list)

    def request(self, uri: str, method: str, body: Any, headers: dict[str, str]) -> tuple[Response, bytes]:
        """The next answer; the request's body is read."""
        status, answer_headers, content = self.answers[len(self.requests)]
        self.requests.append(headers | {"body": str(sum(map(len, body)))})
        return Response(status, "", answer_headers.items()), content


def status(*answers: Told) -> object:
    """What a session is taken to say that answers so."""
    return resumable.status(Answers(answers), "http://drive/session", SIZE)  # type: ignore[arg-type]


def send(*answers: Told) -> object:
    """What comes of sending the last 400 bytes to a session that answers so."""
    http = Answers(answers)
    return resumable.send(http, "http://drive/session", SIZE, 600, [memoryview(bytes(400))])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("headers", "kept"), [({}, 0), ({"range": "bytes=0-0"}, 1), ({"range": "bytes=0-41"}, 42), ({"range": "0-41"}, 42)]
)
def test_the_bytes_that_a_session_has_kept(headers: dict[str, str], kept: int) -> None:
    """One more than the number of the last one; none without a range."""
    assert status((308, headers, b"")) == kept


@pytest.mark.parametrize("text", ["bytes=0-", "bytes=*", "everything", "bytes=0-4x"])
@pytest.mark.parametrize("ask", [status, send])
def test_a_range_that_makes_no_sense_is_asked_for_again(ask: Any, text: str) -> None:
    """It is taken for trouble on the way, not for a number."""
    with pytest.raises(TransientDriveError):
        ask((308, {"range": text}, b""))


def test_a_session_is_given_up_on_two_answers_only() -> None:
    """One 404 may come from something on the way."""
    assert status(GONE, (308, {"range": "bytes=0-9"}, b"")) == 10
    with pytest.raises(SessionLost):
        status(GONE, GONE)


def test_a_refusal_after_the_bytes_were_taken_loses_nothing() -> None:
    """The session is asked, and has the file."""
    assert send((400, {}, b"Failed to parse Content-Range header."), (200, {}, FILE)) == {"id": "1", "name": "a"}
    with pytest.raises(SessionLost):
        send(GONE, GONE, GONE)


def test_metadata_that_is_refused_at_the_end_is_said() -> None:
    """Drive may look at it only when the content is there; a new session with the same would end the same."""
    error = {"code": 403, "message": "No.", "errors": [{"reason": "propertyLengthLimitExceeded"}]}

    with pytest.raises(MetadataRefused):
        send((403, {}, json.dumps({"error": error}).encode()))


@pytest.mark.parametrize("code", [302, 403, 407, 411, 423, 499, 503])
def test_what_does_not_speak_of_the_session_does_not_end_it(code: int) -> None:
    """A page of HTML, a proxy's refusal, a redirect."""
    with pytest.raises(TransientDriveError):
        status((code, {}, b"<html>no</html>"))


@pytest.mark.parametrize("offset", [0, 600, SIZE - 1])
def test_the_range_of_what_is_sent(offset: int) -> None:
    """From the offset to the end, of the whole; nothing but the rest."""
    http = Answers([(200, {}, FILE)])

    resumable.send(http, "http://drive/session", SIZE, offset, [memoryview(bytes(SIZE - offset))])  # type: ignore[arg-type]

    assert http.requests[0]["Content-Range"] == f"bytes {offset}-{SIZE - 1}/{SIZE}"
    assert http.requests[0]["Content-Length"] == str(SIZE - offset)


def test_an_empty_content_names_no_range() -> None:
    """`bytes 0--1/0` is none."""
    http = Answers([(200, {}, FILE)])

    resumable.send(http, "http://drive/session", 0, 0, [])  # type: ignore[arg-type]

    assert "Content-Range" not in http.requests[0]


@pytest.mark.parametrize(
    "uri",
    [
        "https://drive.example/session?upload_id=1",
        "http://drive/session",
        "https://drive:444/session",
        "https://drive@evil.example/session",
        "//drive/session",
        "https://drive:port/session",
        "https://drive/a\nb",
        "https://drive/a b",
        "https://drive/\ud800",
        "",
    ],
)
def test_bytes_go_only_to_the_own_endpoint(uri: str) -> None:
    """The address comes from a file: another host, port or scheme, or a damaged one, is no session of ours."""
    with pytest.raises(SessionLost) as lost:
        resumable.check_endpoint(uri, "https://drive")

    assert not uri or uri not in lost.value.message
    resumable.check_endpoint("https://drive/upload?upload_id=1", "https://drive")
