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
    """Show them while the block lasts."""
    logger, handler = logging.getLogger("function"), _Shown(console)
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
