"""The command `report`: the log as an HTML page of its own."""

import os
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

import click

from local_runner.client.home import NoLog, settings
from local_runner.log import reader
from local_runner.log.open_failures import open_failures
from local_runner.terminal.report.page import page
from local_runner.terminal.report.summary import Summary

EXAMPLES = """\b
Examples:
  drive-upload report
  drive-upload report --last 2000 --output - > report.html

Exit codes: 0 done, 64 wrong usage, 65 the log can't be read, 78 the settings are wrong.
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("upload_report.html"),
    show_default=True, help="Where the page goes; - for standard output.",
)  # fmt: skip
@click.option(
    "-n",
    "--last",
    default=100_000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Attempts that can be searched.",
)
def report(output: Path, last: int) -> None:
    """Write the log as an HTML page: what is open now, totals and pictures, and the last attempts to search."""
    home = settings()
    summary = Summary(os.path.relpath(home.data_root, home.home), deque(maxlen=last))
    try:
        open_ = open_failures(summary.counting(reader.entries(home.log)), home.home)
    except reader.NotALog as error:
        raise NoLog(str(error)) from error
    written = page(summary, open_, str(home.log), home.accounts[0].root.label, datetime.now(UTC))
    if str(output) == "-":
        click.echo(written, nl=False)
        return
    try:
        output.write_text(written, encoding="utf-8")
    except OSError as error:
        raise NoLog(f"{output}: the page can't be written ({error.strerror}).") from error
    click.echo(f"Wrote {output}: {len(open_)} open; {len(summary.last)} of {summary.all.statuses.total()} attempts.")
