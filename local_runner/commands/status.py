"""The command `status`: the log as a table."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice

import click

from local_runner.client.home import NoLog, settings
from local_runner.client.invoke import Entry
from local_runner.log import reader
from local_runner.terminal.printable import printable
from local_runner.terminal.screen import cell, output, size_cell, status_cell, table


@click.command()
@click.option("-n", "--last", default=20, show_default=True, type=click.IntRange(min=1), help="So many entries.")
@click.option("--failed", is_flag=True, help="Only attempts that failed.")
@click.option("--json", "as_json", is_flag=True, help="Print them as a JSON array, for programs.")
def status(last: int, failed: bool, as_json: bool) -> None:
    """Show the last attempts of the log, newest at the end."""
    log = settings().log
    try:
        chosen = list(islice(_chosen(reader.newest_first(log), failed=failed), last))[::-1]
    except reader.NotALog as error:
        raise NoLog(str(error)) from error
    if as_json:
        click.echo(json.dumps(chosen, indent=1))
    elif chosen:
        _show(chosen)
    else:
        click.echo(f"{log}: no {'failed ' if failed else ''}attempts yet.")


def _chosen(entries: Iterable[Entry], *, failed: bool) -> Iterator[Entry]:
    return (each for each in entries if not failed or each.get("status") == "failed")


def _show(entries: Iterable[Entry]) -> None:
    console = output()
    rows = table("time", "account", "path", "status", "on Drive", "size", "attempt", right=("size", "attempt"))
    for entry in entries:
        rows.add_row(
            cell(entry.get("time")),
            cell(entry.get("account")),
            cell(entry.get("path")),
            status_cell(str(entry.get("status")), entry.get("reason")),
            cell(entry.get("destination")),
            size_cell(entry.get("size")),
            cell(entry.get("attempt")),
        )
    console.print(rows)
    for entry in entries:
        if entry.get("message"):
            console.print(printable(f"{entry.get('path') or 'request'}: {entry['message']}"), markup=False)
