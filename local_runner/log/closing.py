"""Closing what is open, without an upload: an entry of the log that says so."""

import uuid
from collections.abc import Sequence

from function.core.retry import Deadline
from function.core.types import LogEntry, Status
from function.home.settings import Settings
from function.serving.app import open_app
from function.upload.item import now
from local_runner.log.open_failures import OpenFailure


def close(home: Settings, failures: Sequence[OpenFailure], deadline: Deadline) -> None:
    """Log each as skipped by a person. Raises VolumeUnavailable, Locked."""
    invocation_id = uuid.uuid4().hex
    if failures:
        open_app(home).log.append([_entry(each, invocation_id) for each in failures], deadline)


def _entry(failure: OpenFailure, invocation_id: str) -> LogEntry:
    return LogEntry(
        time=now(),
        invocation_id=invocation_id,
        account=failure.entry["account"],
        path=failure.entry["path"],
        destination=_text(failure.entry.get("destination")),
        status=Status.SKIPPED,
        reason=None,
        message=f"Closed by hand with retry --forget; it had failed with {failure.entry.get('reason')}.",
        retryable=False,
        attempt=None,
        file_id=None,
        link=None,
        size=None,
        sha256=None,
        md5=None,
        duration_s=0.0,
        requests=0,
        units=0,
        metadata=None,
        if_exists=None,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
