"""The figures as a table for the terminal, as docs/bench.md, and as a picture."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tests.bench.rows import Bar, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tests.bench.stage import Figures

HEADERS = ("", "wall, s", "requests", "units", "CPU, s", "peak, MB")

OURS, OTHERS, TEXT = "#0072B2", "#B8B8B8", "#333333"
"""Blue and grey of the palette by Okabe and Ito, told apart with every kind of colour vision and in print."""


def show(rows: Sequence[Row], console: Console) -> None:
    """Print a table for each row, and what became of the bars."""
    for row in rows:
        table = Table(*HEADERS, title=f"{row.title}\n[dim]{_note(row)}[/dim]", title_justify="left", title_style="bold")
        for column in table.columns[1:]:
            column.justify = "right"
        for name, figures in row.medians.items():
            table.add_row(name, *_cells(figures))
        console.print(table)
        for bar in row.bars:
            verdict = "[green]met[/green]" if bar.is_met else "[bold red]missed[/bold red]"
            console.print(f"  {verdict}  {bar.what}: {_number(bar.value)} ({_limit(bar)})")
        console.print()


def markdown(rows: Sequence[Row], picture: str) -> str:
    """The page for the docs."""
    lines = [
        "# Bench",
        "",
        f"Made by `make bench` on {os.cpu_count()} cores ({platform.system()}, Python {platform.python_version()}).",
        "One embedded Drive; contenders take turns; medians. Unless a row says straight or bare, they reach it as",
        "they reach Google: over TLS, by Google's host names, unmodified. Requests and quota units are counted by the",
        "Drive, CPU seconds and peak resident memory of each contender's processes by the kernel.",
        "",
        f"![Time of each contender]({picture})",
        "",
        "| promise | figure | bar | |",
        "|---|--:|--:|---|",
        *(
            f"| {bar.what} | {_number(bar.value)} | {_limit(bar)} | {'met' if bar.is_met else '**missed**'} |"
            for row in rows
            for bar in row.bars
        ),
    ]
    for row in rows:
        note = _note(row)
        lines += ["", f"## {row.title}", "", f"{note[0].upper()}{note[1:]}.", "", f"| {' | '.join(HEADERS)} |"]
        lines += ["|---|--:|--:|--:|--:|--:|"]
        lines += [f"| {name} | {' | '.join(_cells(figures))} |" for name, figures in row.medians.items()]
    return "\n".join(lines) + "\n"


def draw(rows: Sequence[Row], path: Path) -> None:
    """A bar chart of wall times for each row that compares, as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "bench", "font.size": 9, "text.color": TEXT, "axes.labelcolor": TEXT})
    from matplotlib import pyplot as plt

    drawn = [row for row in rows if len(row.medians) > 1]
    heights = [len(row.medians) + 1.2 for row in drawn]
    figure, axes = plt.subplots(
        len(drawn), 1, figsize=(8, 0.28 * sum(heights)), height_ratios=heights, layout="constrained", squeeze=False
    )
    for row, each in zip(drawn, axes[:, 0], strict=True):
        _draw_row(row, each)
    figure.savefig(path, metadata={"Date": None})


def _draw_row(row: Row, axes: Axes) -> None:
    names = list(row.medians)
    times = [figures.wall_s for figures in row.medians.values()]
    colors = [OURS if _is_ours(row, name) else OTHERS for name in names]
    bars = axes.barh(names, times, color=colors, height=0.7)
    axes.bar_label(bars, [f"{each:.2f} s" for each in times], padding=3)
    axes.set_title(row.title, loc="left", fontsize=9, fontweight="bold")
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(times))
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(bottom=False, labelbottom=False, left=False)


def _is_ours(row: Row, name: str) -> bool:
    return name.startswith("Drive Upload") or not any(each.startswith("Drive Upload") for each in row.medians)


def _note(row: Row) -> str:
    return f"{row.note}; median of {row.runs}" if row.runs > 1 else f"{row.note}; one run"


def _cells(figures: Figures) -> list[str]:
    peak_mb = None if figures.peak_bytes is None else figures.peak_bytes / 1e6
    whole = ["–" if each is None else f"{each:,.0f}" for each in (figures.requests, figures.units)]
    return [f"{figures.wall_s:.3f}", *whole, _maybe(figures.cpu_s, ".2f"), _maybe(peak_mb, ".0f")]


def _maybe(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.2f}"


def _limit(bar: Bar) -> str:
    return f"{'at least' if bar.at_least else 'at most'} {bar.limit:g}"
