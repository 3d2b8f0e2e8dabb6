"""How uploads ended: counted as they come, and as an exit code."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from function.command_line import exit_code
from function.core.errors import HTTP_CODE
from function.core.types import MULTIPART_MAX_BYTES
from function.home.source import BLOCK_BYTES
from function.serving.app import CODES_WORST_FIRST
from local_runner.client.find_files import LeftOut
from local_runner.client.invoke import Entry

ROWS_MAX = 100
"""With more entries than this only the failures are shown, and the rest counted."""


@dataclass(slots=True)
class Tally:
    """Totals, and as many entries as will be shown."""

    expected: int = 0
    """Entries that will come, where nothing interrupts."""
    statuses: Counter[str] = field(default_factory=Counter)
    bytes_uploaded: int = 0
    """Of the files that this run reports as uploaded, whoever sent their bytes."""
    bytes_sent: int = 0
    """As far as this process has seen: what a resumed upload had sent before is not in it, what was cut off is."""
    requests: int = 0
    units: int = 0
    codes: set[int] = field(default_factory=lambda: {200})
    first: list[Entry] = field(default_factory=list)
    failures: list[Entry] = field(default_factory=list)
    _offsets: dict[str, int] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def sent(self, path: str, offset: int, size: int) -> None:
        """A file is sent up to there. Safe for threads."""
        with self._lock:
            step = offset - self._offsets.get(path, 0)
            if size > MULTIPART_MAX_BYTES and not 0 < step <= BLOCK_BYTES:
                step = min(offset, BLOCK_BYTES)  # the first block of a session that was resumed, or of another account
            self.bytes_sent += step
            self._offsets[path] = offset if offset < size else 0

    def add(self, entry: Entry) -> None:
        """One more entry."""
        status = str(entry.get("status"))
        self.statuses[status] += 1
        self.requests += entry.get("requests") or 0
        self.units += entry.get("units") or 0
        self.codes.add(http_code(entry))
        if status == "uploaded":
            self.bytes_uploaded += entry.get("size") or 0
        if status == "failed":
            self.failures.append(entry)
        if len(self.first) <= ROWS_MAX:
            self.first.append(entry)

    @property
    def count(self) -> int:
        """Entries so far."""
        return self.statuses.total()

    @property
    def status(self) -> str | None:
        """The entries' common status, or "partial"; None where there are none."""
        return next(iter(self.statuses)) if len(self.statuses) == 1 else "partial" if self.statuses else None

    def exit_code(self, left_out: Sequence[LeftOut] = ()) -> int:
        """Of the worst that happened."""
        return exit_code_of(self.codes | {each.code for each in left_out})

    def totals(self) -> dict[str, Any]:
        """The totals for programs."""
        counts = {name: self.statuses[name] for name in ("uploaded", "unchanged", "skipped", "failed")}
        return {
            "entries": self.count,
            **counts,
            "bytes_uploaded": self.bytes_uploaded,
            "bytes_sent": self.bytes_sent,
            "requests": self.requests,
            "units": self.units,
        }


def exit_code_of(codes: Iterable[int]) -> int:
    """The exit code for the worst of these HTTP codes; 0 where there are none."""
    return exit_code(min(codes, key=CODES_WORST_FIRST.index, default=200))


def http_code(entry: Entry) -> int:
    """The HTTP code that an answer with this entry alone has."""
    reason = entry.get("reason")
    if reason is None:
        return 200
    return HTTP_CODE.get(reason, 503 if entry.get("retryable") else 422)
