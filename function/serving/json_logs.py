"""Structured logs: one JSON object a line on stderr, as Cloud Logging reads them.

What a library says of an error may hold what it was given: a token with a line break in it, an address with a key. So a
traceback tells kinds and places of errors without their texts, and of a library's own record its template.
"""

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from function.core.errors import UploadError

METADATA_MAX_BYTES = 64 * 1024
"""Longer metadata is left out of the line; upload_log.json has it. Cloud Logging takes 256 KB an entry."""

_OURS = ("function", "local_runner")

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(-.*)?")
_CLOUD_TRACE = re.compile(r"(?P<trace>[0-9a-fA-F]{32})(/(?P<span>\d{1,20}))?(;o=(?P<sampled>\d))?")

_trace_fields: ContextVar[Mapping[str, object] | None] = ContextVar("trace_fields", default=None)


class JsonLines(logging.Formatter):
    """severity, message, time; the entry of an attempt where there is one; where an internal error came from.

    Source: Cloud Logging, 'Structured logging'.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record's line."""
        is_ours = (record.name or "").partition(".")[0] in _OURS
        line: dict[str, object] = {
            "severity": record.levelname,
            "message": record.getMessage() if is_ours else str(record.msg)[:1000],
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "logger": record.name,
            **(_trace_fields.get() or {}),
        }
        entry = getattr(record, "entry", None)
        if entry is not None:
            line["entry"] = _shown(msgspec.to_builtins(entry))
        if record.exc_info and record.exc_info[1]:
            line["stack_trace"] = _stack_trace(record.exc_info[1])
        return json.dumps(line)


def _shown(entry: dict[str, object]) -> dict[str, object]:
    size = len(json.dumps(entry["metadata"]))
    return entry if size <= METADATA_MAX_BYTES else entry | {"metadata": f"left out: {size} bytes, see upload_log.json"}


def _stack_trace(error: BaseException) -> str:
    """The error and what it came from, without the texts of others' errors."""
    parts: list[str] = []
    each: BaseException | None = error
    while each is not None and len(parts) < 20:
        text = f": {each.message}" if isinstance(each, UploadError) else ""
        parts.append("".join(traceback.format_tb(each.__traceback__)) + type(each).__qualname__ + text)
        each = each.__cause__ or each.__context__
    return "\n\nraised by\n\n".join(reversed(parts))


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what sys.stderr is at each record: servers and tests replace it."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        return


def set_up() -> None:
    """Log the job's own doings to stderr at LOG_LEVEL (default INFO), and warnings of libraries."""
    handler = _Stderr()
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("function")
    logger.handlers[:] = [handler]
    logger.propagate = False
    level = os.environ.get("LOG_LEVEL", "INFO").upper()
    logger.setLevel(level if level in logging.getLevelNamesMapping() else logging.INFO)
    root = logging.getLogger()
    if not any(isinstance(each, _Stderr) for each in root.handlers):
        root.addHandler(handler)


def begin_trace(headers: Mapping[str, str]) -> None:
    """From now on what this request logs belongs to the trace that its headers name; to none where they name none.

    Cloud Run sends both. Source: W3C Trace Context, `traceparent`; Cloud Trace, `X-Cloud-Trace-Context`.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    _trace_fields.set(
        _of_traceparent(lower.get("traceparent", "")) or _of_cloud_trace(lower.get("x-cloud-trace-context", ""))
    )


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
    """Source: Cloud Logging, special fields of structured logs."""
    project = os.environ.get("GOOGLE_CLOUD_PROJECT")
    told: dict[str, object] = {
        "logging.googleapis.com/trace": f"projects/{project}/traces/{trace}" if project else trace,
        "logging.googleapis.com/trace_sampled": is_sampled,
    }
    return told | ({"logging.googleapis.com/spanId": span} if span else {})
