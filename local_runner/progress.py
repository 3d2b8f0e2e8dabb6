"""Progress bars on a terminal: one over all files, one for each large file on its way."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from function.model import MULTIPART_MAX_BYTES
from local_runner.screen import printable

NAME_COLUMNS = 40


class Bars:
    """The bars. Safe for threads; without a terminal nothing is shown."""

    def __init__(self, console: Console, count: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._count = count
        self._ended = 0
        self._all = self._progress.add_task("files", total=count, amount=f"0 of {count}")
        self._large: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def sent(self, path: str, sent: int, size: int) -> None:
        """That many bytes of a file were sent."""
        if self._progress.disable or size <= MULTIPART_MAX_BYTES:
            return
        amount = f"{decimal(sent)} of {decimal(size)}"
        with self._lock:
            if path not in self._large:
                self._large[path] = self._progress.add_task(_short(path), total=size, amount=amount)
            self._progress.update(self._large[path], completed=sent, amount=amount, visible=sent < size)

    def ended(self) -> None:
        """One more entry is there."""
        self._ended += 1
        amount = f"{self._ended} of {self._count}"
        self._progress.update(self._all, completed=self._ended, amount=amount)

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Show them while the block lasts."""
        with self._progress:
            yield


def _short(path: str) -> str:
    name = printable(path)
    return name if len(name) <= NAME_COLUMNS else f"…{name[1 - NAME_COLUMNS :]}"
