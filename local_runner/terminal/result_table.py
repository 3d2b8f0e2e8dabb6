"""How uploads ended, as a table for people."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.filesize import decimal

from local_runner.client.find_files import LeftOut
from local_runner.client.invoke import Entry
from local_runner.client.tally import ROWS_MAX, Tally
from local_runner.terminal.printable import printable
from local_runner.terminal.screen import cell, size_cell, status_cell, table


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
