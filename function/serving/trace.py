"""The trace that a request belongs to, in the form that Cloud Logging groups lines by.

Source: W3C Trace Context, `traceparent`; Cloud Trace, `X-Cloud-Trace-Context: TRACE/SPAN;o=1`; Cloud Logging, special
fields of structured logs. Cloud Run sends both headers.
"""

import os
import re
from collections.abc import Mapping
from contextvars import ContextVar

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(-.*)?")
_CLOUD_TRACE = re.compile(r"(?P<trace>[0-9a-fA-F]{32})(/(?P<span>\d{1,20}))?(;o=(?P<sampled>\d))?")

_fields: ContextVar[Mapping[str, object] | None] = ContextVar("trace_fields", default=None)


def begin(headers: Mapping[str, str]) -> None:
    """From now on what this request logs belongs to the trace that its headers name; to none where they name none."""
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    _fields.set(
        _of_traceparent(lower.get("traceparent", "")) or _of_cloud_trace(lower.get("x-cloud-trace-context", ""))
    )


def fields() -> Mapping[str, object]:
    """What a line of the log says of its trace."""
    return _fields.get() or {}


def _of_traceparent(text: str) -> Mapping[str, object]:
    found = _TRACEPARENT.fullmatch(text)
    if not found or not int(found["trace"], 16):
        return {}
    return _as_fields(found["trace"], found["span"], is_sampled=bool(int(found["flags"], 16) & 1))


def _of_cloud_trace(text: str) -> Mapping[str, object]:
    found = _CLOUD_TRACE.fullmatch(text)
    if not found:
        return {}
    span = f"{int(found['span']):016x}" if found["span"] else None
    return _as_fields(found["trace"].lower(), span, is_sampled=found["sampled"] == "1")


def _as_fields(trace: str, span: str | None, *, is_sampled: bool) -> Mapping[str, object]:
    project = os.environ.get("GOOGLE_CLOUD_PROJECT")
    told: dict[str, object] = {
        "logging.googleapis.com/trace": f"projects/{project}/traces/{trace}" if project else trace,
        "logging.googleapis.com/trace_sampled": is_sampled,
    }
    return told | ({"logging.googleapis.com/spanId": span} if span else {})
