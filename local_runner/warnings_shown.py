"""The job's own warnings on standard error; what an entry says already is left to whoever shows the entries."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from local_runner.screen import printable


class _Shown(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "entry", None) is None:
            self._console.print(printable(record.getMessage()), style="yellow", markup=False)


@contextmanager
def on(console: Console) -> Iterator[None]:
    """Show them while the block lasts, instead of the lines that a server's log collector reads."""
    logger = logging.getLogger("function")
    before = logger.handlers[:], logger.level, logger.propagate
    logger.handlers[:], logger.propagate = [_Shown(console)], False
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.handlers[:], level, logger.propagate = before
        logger.setLevel(level)
