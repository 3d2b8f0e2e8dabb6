"""How many uploads ended: counted as they come, shown as a table, and as an exit code."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.filesize import decimal

from function.__main__ import exit_code
from function.app import CODES_WORST_FIRST
from function.errors import HTTP_CODE
from local_runner.calling import Entry
from local_runner.screen import cell, printable, size_cell, status_cell, table
from local_runner.walk import LeftOut

ROWS_MAX = 100
"""With more entries than this the table shows the failures only, and counts the rest."""


@dataclass(slots=True)
class Tally:
    """Totals, and as many entries as will be shown."""

    statuses: Counter[str] = field(default_factory=Counter)
    bytes_uploaded: int = 0
    requests: int = 0
    units: int = 0
    codes: set[int] = field(default_factory=lambda: {200})
    first: list[Entry] = field(default_factory=list)
    failures: list[Entry] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """One more entry."""
        status = str(entry.get("status"))
        self.statuses[status] += 1
        self.requests += entry.get("requests") or 0
        self.units += entry.get("units") or 0
        self.codes.add(_code(entry))
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
        codes = self.codes | ({404} if any(each.is_failure for each in left_out) else set())
        return exit_code(min(codes, key=CODES_WORST_FIRST.index))

    def totals(self) -> dict[str, Any]:
        """The totals for programs."""
        counts = {name: self.statuses[name] for name in ("uploaded", "unchanged", "skipped", "failed")}
        return {
            "entries": self.count,
            **counts,
            "bytes_uploaded": self.bytes_uploaded,
            "requests": self.requests,
            "units": self.units,
        }


def _code(entry: Entry) -> int:
    reason = entry.get("reason")
    if reason is None:
        return 200
    return HTTP_CODE.get(reason, 503 if entry.get("retryable") else 422)


def show(tally: Tally, left_out: Sequence[LeftOut], console: Console, duration_s: float) -> None:
    """The table, what was left out, and the totals."""
    rows = tally.first if tally.count <= ROWS_MAX else tally.failures
    accounts = {each.get("account") for each in rows}
    if rows:
        console.print(_entries_table(rows, several_accounts=len(accounts - {None}) > 1))
    for entry in rows:
        if entry.get("message"):
            console.print(printable(f"{entry.get('path') or 'request'}: {entry['message']}"), markup=False)
    for each in left_out:
        console.print(printable(f"left out: {each.path}: {each.why}"), style="yellow", markup=False)
    console.print(_totals_line(tally, duration_s), markup=False)


def _entries_table(rows: Sequence[Entry], *, several_accounts: bool) -> Any:
    columns = ["path", "status", "on Drive", "size", "requests"]
    made = table(*columns, *(["account"] if several_accounts else []), right=("size", "requests"))
    for entry in rows:
        made.add_row(
            cell(entry.get("path")),
            status_cell(str(entry.get("status")), entry.get("reason")),
            cell(entry.get("destination")),
            size_cell(entry.get("size")),
            cell(entry.get("requests")),
            *([cell(entry.get("account"))] if several_accounts else []),
        )
    return made


def _totals_line(tally: Tally, duration_s: float) -> str:
    if not tally.count:
        return "Nothing to upload."
    counts = ", ".join(f"{count} {status}" for status, count in sorted(tally.statuses.items()))
    return (
        f"{counts}; {decimal(tally.bytes_uploaded)} sent, {tally.requests} requests ({tally.units} quota units),"
        f" {duration_s:.1f} s"
    )
