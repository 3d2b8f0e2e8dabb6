"""The trace of a request in the lines that it logs."""

import json
import logging

import pytest

from function.telemetry import JsonLines, begin_trace

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def line() -> dict[str, object]:
    """What is logged now, as Cloud Logging gets it."""
    told = json.loads(
        JsonLines().format(logging.makeLogRecord({"name": "function.x", "msg": "hello", "levelname": "INFO"}))
    )
    assert isinstance(told, dict)
    return {name.rpartition("/")[2]: value for name, value in told.items() if name.startswith("logging.")}


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"Traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}, (TRACE, "00f067aa0ba902b7", True)),
        ({"traceparent": f"00-{TRACE}-00f067aa0ba902b7-00"}, (TRACE, "00f067aa0ba902b7", False)),
        ({"X-Cloud-Trace-Context": f"{TRACE.upper()}/67667974448284343;o=1"}, (TRACE, "00f067aa0ba902b7", True)),
        ({"X-Cloud-Trace-Context": TRACE}, (TRACE, None, False)),
    ],
)
def test_a_line_names_the_trace_of_its_request(
    headers: dict[str, str], told: tuple[str, str | None, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both headers are understood, and the trace is named below the project."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "mine")
    begin_trace(headers)
    found = line()
    begin_trace({})

    assert (found["trace"], found.get("spanId"), found["trace_sampled"]) == (
        f"projects/mine/traces/{told[0]}",
        *told[1:],
    )


@pytest.mark.parametrize("text", ["", "nonsense", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-x-01"])
def test_what_is_no_trace_is_not_named(text: str) -> None:
    """Headers can be anything, and the next request has no part in the trace of the one before."""
    begin_trace({"traceparent": text})

    assert line() == {}
