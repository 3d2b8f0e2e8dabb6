"""What is open, for people and for programs."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from local_runner.log import advice
from local_runner.log.open_failures import OpenFailure
from local_runner.terminal.printable import printable
from local_runner.terminal.screen import cell, output, table, time_cell


def show(found: Sequence[OpenFailure], *, as_json: bool) -> None:
    """The failures, and once for each reason what to do."""
    if as_json:
        click.echo(json.dumps([each.document for each in found], indent=1))
    elif found:
        _show(found)
    else:
        click.echo("Nothing is open.")


def _show(found: Sequence[OpenFailure]) -> None:
    console = output()
    rows = table("path", "account", "reason", "attempts", "first failed", "next try", right=("attempts",))
    for each in found:
        rows.add_row(
            cell(each.entry["path"]),
            cell(each.entry["account"]),
            cell(each.entry.get("reason"), "red"),
            cell(each.failures),
            time_cell(each.document["first_failed"]),
            cell(next_try(each)),
        )
    console.print(rows)
    for reason in dict.fromkeys(each.entry.get("reason") for each in found):
        first = next(each.entry for each in found if each.entry.get("reason") == reason)
        console.print()
        console.print(cell(reason, "bold").append(f": {advice.for_reason(reason)}"))
        console.print(printable(f"  {first.get('message') or ''}"), markup=False)
    console.print(f"\n{len(found)} open. {_ways_out(found)}", markup=False)


def _ways_out(found: Sequence[OpenFailure]) -> str:
    is_final = [each.due is None for each in found]
    ways = [] if all(is_final) else ["`drive-upload retry --all` tries what can succeed"]
    ways += ["`drive-upload retry --failed` tries what failed for good"] if any(is_final) else []
    return "; ".join([*ways, "`retry --forget PATH` closes one for good."])


def next_try(failure: OpenFailure) -> str:
    """When it is due, in the time of this machine."""
    if failure.due is None:
        return "retry --failed"
    if failure.due <= datetime.now(UTC):
        return "due now"
    return f"{failure.due.astimezone():%Y-%m-%d %H:%M}"
