"""What people see: consoles, and the cells of tables."""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from function.core.naming import quoted
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


def sentence(entry: Mapping[str, Any]) -> str:
    """What an entry says, its file named once."""
    path, message = str(entry.get("path") or "request"), str(entry.get("message"))
    return printable(message if message.startswith((path, quoted(path))) else f"{path}: {message}")


FOLD_COLUMNS_MIN = 24
"""A cell that is folded narrower than that can't be read: names go over four lines and more."""

GAP_COLUMNS = 3


@dataclass(slots=True)
class Rows:
    """Rows of cells: a table where the terminal has room for one, else a paragraph for each row.

    Short cells stay whole; those of the columns `fold` are folded, never cut.
    """

    columns: Sequence[str]
    right: Collection[str]
    fold: Collection[str]
    rows: list[Sequence[Text]] = field(default_factory=list)

    def add_row(self, *cells: Text) -> None:
        """One more row, a cell for each column."""
        self.rows.append(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._narrowest() <= options.max_width:
            yield self._table()
        else:
            yield from (self._paragraph(row, options.max_width) for row in self.rows)

    def _narrowest(self) -> int:
        """Columns that the table takes at least."""
        widest = [
            max([len(name), *(row[index].cell_len for row in self.rows)]) for index, name in enumerate(self.columns)
        ]
        least = (
            min(width, FOLD_COLUMNS_MIN) if name in self.fold else width
            for name, width in zip(self.columns, widest, strict=True)
        )
        return sum(least) + GAP_COLUMNS * (len(self.columns) - 1)

    def _table(self) -> Table:
        made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for name in self.columns:
            made.add_column(
                name, overflow="fold", justify="right" if name in self.right else "left", no_wrap=name not in self.fold
            )
        for row in self.rows:
            made.add_row(*row)
        return made

    def _paragraph(self, row: Sequence[Text], width: int) -> Text:
        cells = dict(zip(self.columns, row, strict=True))
        title = cells.pop(next(name for name in self.columns if name in self.fold))
        lines = [title.copy()]
        for name, text in cells.items():
            if not text.plain:
                continue
            labelled = text.copy() if name in SELF_EXPLAINING else Text(f"{name}: ") + text
            if len(lines) > 1 and lines[-1].cell_len + labelled.cell_len + 2 <= width and name not in self.fold:
                lines[-1] = lines[-1] + Text(", ") + labelled
            else:
                lines.append(Text("  ") + labelled)
        return Text("\n").join(lines)


SELF_EXPLAINING = ("", "time", "status", "reason")
"""Columns whose cells need no name beside them."""


def table(*columns: str, right: Collection[str] = (), fold: Collection[str] = ("path", "on Drive")) -> Rows:
    """No rows yet."""
    return Rows(columns, right, fold)


def cell(value: object, style: str = "") -> Text:
    """A value as a cell: nothing in it is markup."""
    return Text("" if value is None else printable(str(value)), style=style)


def status_cell(status: str, reason: str | None = None, *, is_healed: bool = False, is_planned: bool = False) -> Text:
    """A status in its colour, with its reason; a failure that a later attempt made good doesn't shout."""
    planned = "would fail" if status == "failed" else f"would be {status}"
    shown = planned if is_planned else status
    text = f"{shown}: {reason}" if reason else shown
    return cell(f"{text}, healed" if is_healed else text, "dim" if is_healed else STATUS_STYLE.get(status, ""))


def destination_cell(entry: Mapping[str, Any]) -> Text:
    """Where the content is on Drive: nowhere, after a failure."""
    return cell(None if entry.get("status") == "failed" else entry.get("destination"))


def time_cell(time: object) -> Text:
    """A time of the log, to the second, in the time of this machine; what is none, as it stands."""
    try:
        moment = datetime.fromisoformat(str(time))
    except ValueError:
        return cell(time)
    return cell(f"{moment.astimezone():%Y-%m-%d %H:%M:%S}")


def size_cell(size_bytes: int | None) -> Text:
    """A size for people."""
    return cell(None if size_bytes is None else decimal(size_bytes))
