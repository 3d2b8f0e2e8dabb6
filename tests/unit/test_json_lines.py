"""What the process's own log tells of errors: where they came from, and none of the values in their texts."""

import json
import logging

import pytest

from function.core.errors import VolumeUnavailable
from function.telemetry import JsonLines

CANARY = "ya29.canary-3f9a1c"


def line(record: logging.LogRecord) -> dict[str, object]:
    """The record as it is written."""
    document = json.loads(JsonLines().format(record))
    assert isinstance(document, dict)
    return document


def record_of(error: BaseException, name: str = "function.serving.app") -> logging.LogRecord:
    """A record about that error."""
    return logging.LogRecord(name, logging.ERROR, __file__, 1, "internal error", (), (type(error), error, None))


def test_a_traceback_without_the_texts_of_errors() -> None:
    """A library's error repeats the header it was given, a token with a line break: kinds and places are enough."""

    def fail() -> None:
        try:
            raise ValueError(f"Invalid header value b'Bearer {CANARY}\\n'")
        except ValueError as error:
            raise VolumeUnavailable("Our own sentence.") from error

    with pytest.raises(VolumeUnavailable) as caught:
        fail()

    shown = line(record_of(caught.value))

    trace = str(shown["stack_trace"])
    assert CANARY not in json.dumps(shown)
    assert "ValueError" in trace
    assert "VolumeUnavailable: Our own sentence." in trace
    assert "test_json_lines.py" in trace


def test_a_librarys_record_without_its_values() -> None:
    """Its template says what happened; the values may be an address with a session's key."""
    record = logging.LogRecord(
        "urllib3", logging.WARNING, __file__, 1, "Retrying %s", (f"/x?upload_id={CANARY}",), None
    )

    assert line(record)["message"] == "Retrying %s"


@pytest.mark.parametrize(
    ("name", "level", "has_traceback"),
    [
        ("urllib3.connection", logging.WARNING, False),
        ("waitress", logging.ERROR, True),
        ("function.drive", logging.WARNING, True),
    ],
)
def test_a_librarys_warning_without_a_traceback(name: str, level: int, has_traceback: bool) -> None:
    """What a library warns of, such as an odd header, it has dealt with; its errors, and ours, say where."""
    error = ValueError("odd header")
    record = logging.LogRecord(name, level, __file__, 1, "Failed to parse", (), (ValueError, error, None))

    shown = line(record)

    assert shown["message"] == "Failed to parse"
    assert ("stack_trace" in shown) == has_traceback


def test_our_own_record_with_its_values() -> None:
    """Our sentences are written to be read."""
    record = logging.LogRecord("function.state", logging.WARNING, __file__, 1, "set aside %s", ("a.json",), None)

    assert line(record)["message"] == "set aside a.json"
