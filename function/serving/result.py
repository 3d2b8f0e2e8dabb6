"""What an invocation came to: HTTP code, status and one log entry a file and account."""

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from function.core.errors import HTTP_CODE, RETRY_AFTER_S, UploadError
from function.core.request import FileRequest
from function.core.types import LogEntry, Status
from function.upload.item import Item, now

CODES_WORST_FIRST = (503, 422, 409, 404, 403, 400, 200)


class InvocationResult(msgspec.Struct, frozen=True):
    """What the caller gets."""

    code: int
    status: str
    results: Sequence[LogEntry]
    retry_after_s: int | None = None

    def document(self) -> dict[str, Any]:
        """The answer's JSON."""
        return {"status": self.status, "results": msgspec.to_builtins(self.results)}


def result_of(items: Sequence[Item], *, from_queue: bool) -> InvocationResult:
    """The result of items that have ended."""
    waits = [(each.entry.reason, each.retry_after_s) for each in items if each.entry and each.entry.reason]
    return _result([each.entry for each in items if each.entry], waits, from_queue=from_queue)


def refusal(invocation_id: str, error: UploadError, *, from_queue: bool) -> InvocationResult:
    """The result of a request that was refused before any file was met: one entry, without the payload."""
    return failure([refused_entry(invocation_id, error)], error, from_queue=from_queue)


def failure(entries: Sequence[LogEntry], error: UploadError, *, from_queue: bool) -> InvocationResult:
    """The result where everything failed for one reason."""
    return _result(entries, [(error.reason, error.retry_after_s)], from_queue=from_queue)


def _result(
    entries: Sequence[LogEntry], waits: Sequence[tuple[str, float | None]], *, from_queue: bool
) -> InvocationResult:
    """A queue repeats whatever isn't 2xx: a failure that no repetition mends is 200 for it."""
    statuses = {each.status for each in entries}
    code = min((HTTP_CODE.get(each.reason or "", 200) for each in entries), key=CODES_WORST_FIRST.index)
    return InvocationResult(
        code=200 if from_queue and code != 503 else code,
        status=statuses.pop() if len(statuses) == 1 else "partial",
        results=entries,
        retry_after_s=_retry_after_s(waits) if code == 503 else None,
    )


def _retry_after_s(waits: Sequence[tuple[str, float | None]]) -> int:
    """When the first of the files can succeed: what a person must mend doesn't keep the others of a batch waiting."""
    return math.ceil(
        min(
            RETRY_AFTER_S[reason] if seconds is None else seconds
            for reason, seconds in waits
            if reason in RETRY_AFTER_S
        )
    )


def refused_entry(
    invocation_id: str, error: UploadError, *, account: str | None = None, request: FileRequest | None = None
) -> LogEntry:
    """The entry of what failed before a file was met."""
    return LogEntry(
        time=now(),
        invocation_id=invocation_id,
        account=account,
        path=request.path if request else None,
        destination=None,
        status=Status.FAILED,
        reason=error.reason,
        message=error.message,
        retryable=error.is_retryable,
        attempt=None,
        file_id=None,
        link=None,
        size=None,
        sha256=None,
        md5=None,
        duration_s=0.0,
        requests=0,
        units=0,
        metadata=request.metadata if request else None,
        if_exists=request.if_exists if request else None,
    )
