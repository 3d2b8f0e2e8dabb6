"""OpenTelemetry through its API, where the process has set an SDK up; where none is, nothing is even imported.

    drive_upload.invocation ─▶ drive_upload.lock, drive_upload.request, …      spans
    drive_upload.entries{status, reason}, .bytes, .requests, .duration         metrics

Names of files never go there: those who read traces need not be those who may read the names.
"""

import contextvars
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from function import __version__
from function.core.types import LogEntry, Status

T = TypeVar("T")

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
    context = contextvars.copy_context()
    return lambda: context.run(do)


class Threads(ThreadPoolExecutor):
    """A pool whose tasks belong to the span, and the trace, in which they were handed over."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """As ThreadPoolExecutor's."""
        return super().submit(contextvars.copy_context().run, fn, *args, **kwargs)
