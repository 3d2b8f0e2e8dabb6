"""What a session's answer says of where it is."""

from dataclasses import dataclass, field

import pytest
import urllib3

from function.core.errors import TransientDriveError
from function.drive import resumable
from function.drive.http import Answer, Transport

SIZE = 1000


@dataclass(frozen=True, slots=True)
class Answers(Transport):
    """A transport on which every request has one answer."""

    answer: Answer = field(default_factory=lambda: Answer(308, {}, b""))

    def send(self, method: str, uri: str, headers: dict[str, str], body: object) -> Answer:
        return self.answer


def status(headers: dict[str, str]) -> Answer | int:
    """What a session is taken to say that answers 308 with these headers."""
    transport = Answers(urllib3.PoolManager(), answer=Answer(308, headers, b""))
    return resumable.status(transport, "http://drive/session", SIZE)


@pytest.mark.parametrize(
    ("headers", "kept"), [({}, 0), ({"range": "bytes=0-0"}, 1), ({"range": "bytes=0-41"}, 42), ({"range": "0-41"}, 42)]
)
def test_the_bytes_that_a_session_has_kept(headers: dict[str, str], kept: int) -> None:
    """One more than the number of the last one; none without a range."""
    assert status(headers) == kept


@pytest.mark.parametrize("text", ["bytes=0-", "bytes=*", "everything", "bytes=0-4x"])
def test_a_range_that_makes_no_sense_is_asked_for_again(text: str) -> None:
    """It is taken for trouble on the way, not for a number."""
    with pytest.raises(TransientDriveError):
        status({"range": text})
