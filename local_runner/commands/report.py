"""The command `report`: the log as an HTML page of its own."""

from collections import Counter
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import click

from local_runner.client.home import NoLog, settings
from local_runner.log import reader
from local_runner.terminal import report_page
from local_runner.terminal.report_page import Summary


@click.command()
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("upload_report.html"),
    show_default=True, help="Where the page goes; - for standard output.",
)  # fmt: skip
@click.option("-n", "--last", default=2000, show_default=True, type=click.IntRange(min=1), help="Attempts listed.")
def report(output: Path, last: int) -> None:
    """Write the log as an HTML page: totals, what is still open, and the last attempts."""
    log = settings().log
    try:
        summary = _summary(log)
        listed = list(islice(reader.newest_first(log), last))
    except reader.NotALog as error:
        raise NoLog(str(error)) from error
    page = report_page.page(summary, listed, datetime.now(UTC))
    if str(output) == "-":
        click.echo(page, nl=False)
        return
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise NoLog(f"{output}: the page can't be written ({error.strerror}).") from error
    click.echo(f"Wrote {output}: {len(listed)} of {summary.attempts} attempts.")


def _summary(log: Path) -> Summary:
    """Totals over the whole log, in one pass."""
    statuses: Counter[str] = Counter()
    by_day: dict[str, Counter[str]] = {}
    open_: dict[tuple[object, object], bool] = {}
    size = 0
    for entry in reader.entries(log):
        status = str(entry.get("status"))
        statuses[status] += 1
        by_day.setdefault(str(entry.get("time"))[:10], Counter())[status] += 1
        where = (entry.get("account"), entry.get("path"))
        if status == "failed" and entry.get("path"):
            open_[where] = True
        else:
            open_.pop(where, None)
        if status == "uploaded" and isinstance(entry.get("size"), int):
            size += entry["size"]
    return Summary(str(log), statuses, by_day, size, len(open_))
