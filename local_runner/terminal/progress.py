"""Progress bars on a terminal: one over all files, one for each large file on its way."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from function.core.types import MULTIPART_MAX_BYTES
from local_runner.terminal.printable import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

NAME_COLUMNS = 40


class Bars:
    """The bars, on standard error. Safe for threads; without a terminal nothing is shown, and rich isn't imported."""

    def __init__(self, count: int) -> None:
        self._progress = _progress() if sys.stderr.isatty() else None
        self._count = count
        self._ended = 0
        self._all = self._progress.add_task("files", total=count, amount=f"0 of {count}") if self._progress else None
        self._large: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def sent(self, path: str, sent: int, size: int) -> None:
        """That many bytes of a file were sent."""
        if self._progress is None or size <= MULTIPART_MAX_BYTES:
            return
        from rich.filesize import decimal

        amount = f"{decimal(sent)} of {decimal(size)}"
        with self._lock:
            if path not in self._large:
                self._large[path] = self._progress.add_task(_short(path), total=size, amount=amount)
            self._progress.update(self._large[path], completed=sent, amount=amount, visible=sent < size)

    def ended(self) -> None:
        """One more entry is there."""
        self._ended += 1
        if self._progress and self._all is not None:
            amount = f"{self._ended} of {self._count}"
            self._progress.update(self._all, completed=self._ended, amount=amount)

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Show them while the block lasts."""
        if self._progress is None:
            yield
            return
        with self._progress:
            yield


def _progress() -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from local_runner.terminal.screen import errors

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
        console=errors(),
    )


def _short(path: str) -> str:
    name = printable(path)
    return name if len(name) <= NAME_COLUMNS else f"…{name[1 - NAME_COLUMNS :]}"
