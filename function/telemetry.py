"""What the job tells of its own doings: log lines on stderr, and OpenTelemetry's spans and metrics.

    severity, message, time, …                                                 a line, as Cloud Logging reads it
    drive_upload.invocation ─▶ drive_upload.lock, drive_upload.request, …      spans
    drive_upload.entries{status, reason}, .bytes, .requests, .duration         metrics

What a library says of an error may hold what it was given: a token with a line break in it, an address with a key. So a
traceback tells kinds and places of errors without their texts, and of a library's own record its template. What a
library only warns of it has dealt with, so that needs no traceback.

OpenTelemetry is spoken to through its API, where the process has set an SDK up; where none is, nothing is even
imported. Names of files never go there: those who read traces need not be those who may read the names.
"""

import contextvars
import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, TextIO, TypeVar

import msgspec

from function import __version__
from function.core.errors import UploadError
from function.core.naming import as_json
from function.core.types import LogEntry, Status

T = TypeVar("T")

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
        if record.exc_info and record.exc_info[1] and (is_ours or record.levelno >= logging.ERROR):
            line["stack_trace"] = _stack_trace(record.exc_info[1])
        return json.dumps(line)


def _shown(entry: dict[str, object]) -> dict[str, object]:
    size = len(as_json(entry["metadata"]))
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


def log_to_stderr() -> None:
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


NAME = "drive_upload"

DURATIONS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Borders of the histogram; the SDK's own are meant for milliseconds."""

FLUSH_S = 5.0
"""Time that a collector is given at a process's end."""


def is_on() -> bool:
    """Whether this process has an SDK, set up by code or by `opentelemetry-instrument`."""
    return "opentelemetry.sdk" in sys.modules


@contextmanager
def span(name: str, headers: Mapping[str, str] | None = None, **attributes: str | int | float) -> Iterator[None]:
    """A span around the block, below the one that it stands in, or below the one that a request's headers name."""
    if not is_on():
        yield
        return
    from opentelemetry import propagate, trace

    parent = propagate.extract({key.lower(): value for key, value in headers.items()}) if headers else None
    tracer = trace.get_tracer(NAME, __version__)
    kind = trace.SpanKind.SERVER if headers else trace.SpanKind.INTERNAL
    with tracer.start_as_current_span(f"{NAME}.{name}", context=parent, kind=kind, attributes=attributes):
        yield


def note(**attributes: str | int | float) -> None:
    """More about the span that this stands in."""
    if is_on():
        from opentelemetry import trace

        trace.get_current_span().set_attributes(attributes)


def count(entries: Iterable[LogEntry]) -> None:
    """The entries of an invocation as metrics."""
    if not is_on():
        return
    metrics = _metrics()
    for entry in entries:
        metrics["entries"].add(1, {"status": str(entry.status), "reason": entry.reason or ""})
        metrics["requests"].add(entry.requests, {})
        metrics["duration"].record(entry.duration_s, {"status": str(entry.status)})
        if entry.status is Status.UPLOADED:
            metrics["bytes"].add(entry.size or 0, {})


@cache
def _metrics() -> dict[str, Any]:
    from opentelemetry import metrics

    meter = metrics.get_meter(NAME, __version__)
    return {
        "entries": meter.create_counter(f"{NAME}.entries", "1", "Files and accounts that were answered"),
        "requests": meter.create_counter(f"{NAME}.requests", "1", "Requests to Drive"),
        "bytes": meter.create_counter(f"{NAME}.bytes", "By", "Bytes of files that were uploaded"),
        "duration": meter.create_histogram(
            f"{NAME}.duration", "s", "Time that a file took", explicit_bucket_boundaries_advisory=DURATIONS_S
        ),
    }


def flush() -> None:
    """Let the SDK hand over what it has gathered: a process that ends at once leaves it no time to.

    In a thread, since exporters try a collector that is away for longer than they are told to.
    """
    if not is_on():
        return
    from opentelemetry import metrics, trace

    def run() -> None:
        for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
            if hasattr(provider, "force_flush"):  # the SDK's have it, the API's don't
                provider.force_flush()

    thread = threading.Thread(target=run, name="telemetry", daemon=True)
    thread.start()
    thread.join(FLUSH_S)


def in_context(do: Callable[[], T]) -> Callable[[], T]:
    """The same for another thread: what it does belongs to the span, and the trace, that is current here."""
    return partial(contextvars.copy_context().run, do)


class Threads(ThreadPoolExecutor):
    """A pool whose tasks belong to the span, and the trace, in which they were handed over."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """As ThreadPoolExecutor's."""
        return super().submit(contextvars.copy_context().run, fn, *args, **kwargs)
