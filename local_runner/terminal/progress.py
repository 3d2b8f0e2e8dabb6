"""Progress bars on a terminal: one over all files, one for each large file on its way."""

import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from function.core.types import MULTIPART_MAX_BYTES
from local_runner.client.invoke import Entry, Request
from local_runner.client.tally import Tally
from local_runner.terminal.printable import printable
from local_runner.terminal.verbosity import is_quiet

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

NAME_COLUMNS = 40

FILE_BYTES = 256 * 1024
"""What a file costs besides its bytes, in bytes: else the time left of many small files would be far too short."""

RATE_S = 5.0
"""The rate shown is that of so many seconds."""


class Bars:
    """The bars, on standard error. Safe for threads; without a terminal nothing is shown, and rich isn't imported."""

    def __init__(self, requests: Sequence[Request], told: Tally, home: Path | None) -> None:
        self._progress = _progress() if sys.stderr.isatty() and not is_quiet() else None
        self._told = told
        self._count = len(requests)
        self._work: dict[str, int] = {}
        self._ended: set[str] = set()
        self._large: dict[str, TaskID] = {}
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._lock = threading.Lock()
        if self._progress:
            total = _work(requests, home)
            self._all = self._progress.add_task("files", total=total, amount=f"0 of {self._count}", rate="")

    def sent(self, path: str, sent: int, size: int) -> None:
        """That many bytes of a file were sent."""
        if self._progress is None:
            return
        with self._lock:
            if size > MULTIPART_MAX_BYTES:
                self._show_large(path, sent, size)
            self._update(path, sent, is_ended=sent == size)

    def ended(self, entry: Entry) -> None:
        """One more entry is there."""
        if self._progress is None:
            return
        with self._lock:
            self._update(str(entry.get("path")), entry.get("size") or 0, is_ended=True)

    def _show_large(self, path: str, sent: int, size: int) -> None:
        from rich.filesize import decimal

        assert self._progress is not None
        amount = f"{decimal(sent)} of {decimal(size)}"
        if path not in self._large:
            self._large[path] = self._progress.add_task(_short(path), total=size, amount=amount, rate="")
        self._progress.update(self._large[path], completed=sent, amount=amount, visible=sent < size)

    def _update(self, path: str, done_bytes: int, *, is_ended: bool) -> None:
        assert self._progress is not None
        if is_ended:
            self._ended.add(path)
        work = done_bytes + (FILE_BYTES if path in self._ended else 0)
        advance = work - self._work.get(path, 0)
        self._work[path] = work
        amount = f"{len(self._ended)} of {self._count}"
        self._progress.update(self._all, advance=advance, amount=amount, rate=self._rate())

    def _rate(self) -> str:
        from rich.filesize import decimal

        now = time.monotonic()
        self._marks.append((now, self._told.bytes_sent))
        while len(self._marks) > 2 and self._marks[1][0] < now - RATE_S:
            self._marks.popleft()
        then, before = self._marks[0]
        rate = (self._told.bytes_sent - before) / max(now - then, 0.001)
        return f"{decimal(int(rate))}/s"

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Show them while the block lasts."""
        if self._progress is None:
            yield
            return
        with self._progress:
            yield


def _work(requests: Sequence[Request], home: Path | None) -> int:
    """Bytes of all files, and what each costs besides."""
    total = FILE_BYTES * len(requests)
    for each in requests:
        with suppress(OSError, ValueError):  # the job says what is wrong with it
            total += ((home or Path.cwd()) / each["path"]).stat().st_size
    return total


def _progress() -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from local_runner.terminal.screen import errors

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[amount]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=errors(),
        expand=True,
    )


def _short(path: str) -> str:
    name = printable(path)
    return name if len(name) <= NAME_COLUMNS else f"…{name[1 - NAME_COLUMNS :]}"
