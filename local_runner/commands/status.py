"""The command `status`: the log as a table, what is open, or each attempt as it comes."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import click

from function.startup import lost_output
from local_runner.client.home import NoLog, settings
from local_runner.client.invoke import Entry
from local_runner.log import reader
from local_runner.log.follow import Follower
from local_runner.log.open_failures import open_failures
from local_runner.terminal import open_table
from local_runner.terminal.printable import printable
from local_runner.terminal.screen import (
    cell,
    destination_cell,
    output,
    sentence,
    size_cell,
    status_cell,
    table,
    time_cell,
)

POLL_S = 0.5

EXAMPLES = """\b
Examples:
  drive-upload status --open           what is not there
  drive-upload status --open --json    that, for programs
  drive-upload status --follow --json  a line each

Exit codes: 0 done, 64 wrong usage, 65 the log can't be read, 78 the settings are wrong.
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """An attempt, and whether a later one of its file and account went well."""

    entry: Entry
    is_healed: bool


@click.command(epilog=EXAMPLES)
@click.option(
    "-n", "--last", default=20, show_default=True, type=click.IntRange(1, sys.maxsize), help="So many entries."
)
@click.option("--failed", is_flag=True, help="Only attempts that failed.")
@click.option("--open", "open_", is_flag=True, help="What has failed and not arrived since: reason, next try, advice.")
@click.option("--follow", "-f", is_flag=True, help="Then show each attempt as it comes, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, for programs; with --follow a line each.")
def status(last: int, failed: bool, open_: bool, follow: bool, as_json: bool) -> None:
    """Show the last attempts of the log, newest at the end."""
    if open_ and (follow or failed):
        raise click.UsageError("--open is a state of its own; leave out --follow and --failed.")
    home = settings()
    try:
        if open_:
            found = open_failures(reader.entries(home.log), home.home)
            open_table.show(found, as_json=as_json)
        elif follow:
            _follow(home.log, last, failed=failed, as_json=as_json)
        else:
            _show_last(home.log, last, failed=failed, as_json=as_json)
    except reader.NotALog as error:
        raise NoLog(str(error)) from error


def _show_last(log: Path, last: int, *, failed: bool, as_json: bool) -> None:
    chosen = _last(log, last, failed=failed)
    if as_json:
        click.echo(json.dumps([each.entry for each in chosen], indent=1))
    elif chosen:
        _show(chosen)
    else:
        click.echo(f"{log}: no {'failed ' if failed else ''}attempts yet.")


def _last(log: Path, last: int, *, failed: bool) -> list[Shown]:
    chosen = (each for each in _healed(reader.newest_first(log)) if not failed or each.entry.get("status") == "failed")
    return list(islice(chosen, last))[::-1]


def _healed(newest_first: Iterable[Entry]) -> Iterator[Shown]:
    went_well = set()
    for entry in newest_first:
        key = (entry.get("account"), entry.get("path"))
        if entry.get("status") == "failed":
            yield Shown(entry, key in went_well)
        else:
            went_well.add(key)
            yield Shown(entry, False)


def _show(shown: Sequence[Shown]) -> None:
    console = output()
    accounts = {each.entry.get("account") for each in shown} - {None}
    several = ["account"] if len(accounts) > 1 else []
    rows = table("time", *several, "path", "status", "on Drive", "size", "attempt", right=("size", "attempt"))
    for each in shown:
        entry = each.entry
        rows.add_row(
            time_cell(entry.get("time")),
            *(cell(entry.get(name)) for name in several),
            cell(entry.get("path")),
            status_cell(str(entry.get("status")), entry.get("reason"), is_healed=each.is_healed),
            destination_cell(entry),
            size_cell(entry.get("size")),
            cell(entry.get("attempt")),
        )
    console.print(rows)
    for each in shown:
        if each.entry.get("message") and not each.is_healed:
            console.print(sentence(each.entry), markup=False)


def _follow(log: Path, last: int, *, failed: bool, as_json: bool) -> None:
    show: Callable[[Entry], None] = _line_of_json if as_json else _line
    with closing(Follower(log)) as follower:
        for each in _last(log, last, failed=failed):
            show(each.entry)
        try:
            while lost_output() is None:
                for entry in follower.new_entries():
                    if not failed or entry.get("status") == "failed":
                        show(entry)
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            return


def _line_of_json(entry: Entry) -> None:
    click.echo(json.dumps(entry))


def _line(entry: Entry) -> None:
    told = status_cell(str(entry.get("status")), entry.get("reason"))
    line = time_cell(entry.get("time")).append("  ").append_text(told)
    line.append(printable(f"  {entry.get('path') or 'request'}"))
    if entry.get("message"):
        line.append(printable(f"  {entry['message']}"))
    output().print(line, soft_wrap=True)
