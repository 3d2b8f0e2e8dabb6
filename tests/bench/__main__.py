"""Side-by-side figures against what people use today: `python -m tests.bench [--quick] [--only NAME]...`."""

import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from tests.bench import report, work_growth, work_large, work_small
from tests.bench.stage import PROJECT, stage
from tests.bench.work_small import Effort

WORK = {
    "one": work_small.one_file,
    "warm": work_small.one_file_warm,
    "hundred": work_small.hundred,
    "megabytes": work_small.megabytes,
    "thousand": work_small.thousand,
    "accounts": work_small.accounts,
    "large": work_large.large,
    "growth": work_growth.growth,
    "quota": work_growth.quota,
}


SLOW = ["megabytes", "thousand", "quota"]
"""Rows that take their time by nature: a quick look leaves them out unless they are named."""


@click.command()
@click.option("--quick", is_flag=True, help="Smaller and once, in less than a minute; writes nothing.")
@click.option("--only", multiple=True, type=click.Choice(list(WORK)), help="Only these rows; writes nothing.")
@click.option("--runs", default=5, show_default=True, help="Repetitions of each row; the median counts.")
@click.option("--docs", default=PROJECT / "docs", type=click.Path(path_type=Path), help="Where bench.md and .svg go.")
def bench(quick: bool, only: tuple[str, ...], runs: int, docs: Path) -> None:
    """Measure, print, and write docs/bench.md with its picture; exit code 1 where a bar is missed."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    effort = Effort(quick=quick, runs=1 if quick else runs)
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, stage(Path(folder)) as running:
        for name in only or [name for name in WORK if not (quick and name in SLOW)]:
            found = WORK[name](running, effort)
            report.show(found, console)
            rows += found
    if not quick and not only:
        docs.mkdir(exist_ok=True)
        report.draw(rows, docs / "bench.svg")
        (docs / "bench.md").write_text(report.markdown(rows, "bench.svg"), encoding="utf-8")
    sys.exit(any(not bar.is_met for row in rows for bar in row.bars))


if __name__ == "__main__":
    bench()
