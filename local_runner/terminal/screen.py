"""What people see: consoles, and the cells of tables."""

import sys

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from local_runner.terminal.printable import printable

NO_TERMINAL_WIDTH = 100_000
"""Columns where nobody's screen ends: lines stay whole for whoever reads them from a file or a pipe."""

STATUS_STYLE = {"uploaded": "green", "unchanged": "cyan", "skipped": "yellow", "failed": "bold red"}


def output() -> Console:
    """Standard output: as wide as the terminal, or as wide as the lines are where there is none."""
    return Console(width=None if sys.stdout.isatty() else NO_TERMINAL_WIDTH, highlight=False)


def errors() -> Console:
    """Standard error."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else NO_TERMINAL_WIDTH, highlight=False)


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table whose cells are folded, never cut, where the terminal is too narrow."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        made.add_column(name, overflow="fold", justify="right" if name in right else "left")
    return made


def cell(value: object, style: str = "") -> Text:
    """A value as a cell: nothing in it is markup."""
    return Text("" if value is None else printable(str(value)), style=style)


def status_cell(status: str, reason: str | None = None) -> Text:
    """A status in its colour, with its reason."""
    return cell(f"{status}: {reason}" if reason else status, STATUS_STYLE.get(status, ""))


def size_cell(size_bytes: int | None) -> Text:
    """A size for people."""
    return cell(None if size_bytes is None else decimal(size_bytes))
