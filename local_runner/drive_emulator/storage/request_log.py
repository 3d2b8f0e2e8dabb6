"""The record of requests: what was asked, what it cost, how it ended. Tests count here."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, overload

KEPT = 100_000
"""So many requests are remembered; older ones are dropped, the totals go on."""


@dataclass(slots=True)
class RequestRecord:
    """One request as it ended.

    `method_id` is the API's method ("files.create", v2's "files.insert"), "upload.start", "upload.send",
    "upload.status", "upload.cancel", "oauth.token", ...; `starts` names the method that a session start belongs to.
    `status` is 0 where the connection was cut instead of an answer; `bytes_in` counts content and other body bytes that
    arrived; `units` are Google's quota units; `fault` names what was done to it on purpose.
    """

    number: int
    method_id: str
    http_method: str
    path: str
    version: int = 0
    status: int = 0
    units: int = 0
    write: bool = False
    bytes_in: int = 0
    bytes_out: int = 0
    duration_ms: float = 0.0
    starts: str | None = None
    user: str = ""
    fault: str | None = None
    in_batch: bool = False


class RequestLog:
    """All requests so far, in the order in which they arrived."""

    def __init__(self) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        self._count = 0

    def open(self, method_id: str, http_method: str, path: str) -> RequestRecord:
        """A record for a request that has just arrived; it is filled in while the request is served."""
        with self._lock:
            self._count += 1
            record = RequestRecord(self._count, method_id, http_method, path)
            self._records.append(record)
            return record

    def clear(self) -> None:
        with self._lock:
            self._records.clear()

    def __iter__(self) -> Iterator[RequestRecord]:
        with self._lock:
            return iter(list(self._records))

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, at: int) -> RequestRecord: ...

    @overload
    def __getitem__(self, at: slice) -> list[RequestRecord]: ...

    def __getitem__(self, at: int | slice) -> RequestRecord | list[RequestRecord]:
        return list(self)[at] if isinstance(at, slice) else self._records[at]

    def of(self, method_id: str) -> list[RequestRecord]:
        """The requests of one method."""
        return [record for record in self if record.method_id == method_id]

    def count(self, method_id: str) -> int:
        """How many requests of one method came; a session start counts for the create or update it starts, too."""
        return sum(method_id in {record.method_id, record.starts} for record in self)

    @property
    def units(self) -> int:
        """Quota units of everything on record."""
        return sum(record.units for record in self)

    @property
    def writes(self) -> int:
        """Creates and edits on record."""
        return sum(record.write for record in self)

    @property
    def bytes_in(self) -> int:
        return sum(record.bytes_in for record in self)

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(record) for record in self]
