"""The command `report`: the log as an HTML page of its own."""

import os
import sys
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

import click

from function.core.errors import UploadError
from function.home.settings import Settings
from local_runner.client.home import NoLog, is_own, is_source, settings
from local_runner.log import reader
from local_runner.log.open_failures import open_failures
from local_runner.terminal.report.page import TITLE, page
from local_runner.terminal.report.summary import Summary

PAGE_START_BYTES = 4096
"""The title of a page is among them."""

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
    type=click.IntRange(1, sys.maxsize),
    help="Attempts that can be searched.",
)
def report(output: Path, last: int) -> None:
    """Write the log as an HTML page: what is open now, totals and pictures, and the last attempts to search."""
    home = settings()
    if str(output) != "-":
        _check_place(output, home)
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
        with open(output, "w", encoding="utf-8", opener=_for_its_owner) as page_file:
            page_file.write(written)
    except OSError as error:
        raise NoLog(f"{output}: the page can't be written ({error.strerror}).") from error
    click.echo(f"Wrote {output}: {len(open_)} open; {len(summary.last)} of {summary.all.statuses.total()} attempts.")


def _for_its_owner(path: str, flags: int) -> int:
    """Open a page that only its owner may read, as the log that it shows."""
    return os.open(path, flags, 0o600)


def _check_place(output: Path, home: Settings) -> None:
    """Raise UsageError where the page would take the place of something else than a page or nothing."""
    try:
        if is_own(output, home):
            raise click.UsageError(f"--output: {output} is one of the home's own files; name another one.")
        if not output.is_file():
            return
        with output.open("rb") as file:
            start = file.read(PAGE_START_BYTES)
    except UploadError as error:
        raise NoLog(error.message) from error
    except OSError as error:
        raise NoLog(f"{output}: the page can't be written there ({error.strerror}).") from error
    # By its content, since a source may have another name that lies elsewhere.
    if TITLE.encode() not in start and (start or is_source(output, home)):
        raise click.UsageError(f"--output: {output} is a file that is no report; name another one, or remove it.")
