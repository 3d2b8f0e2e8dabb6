"""The job's own warnings on standard error; what an entry says already is left to whoever shows the entries."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click

from local_runner.terminal.printable import printable


class _Shown(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "entry", None) is None:
            click.secho(printable(record.getMessage()), fg="yellow", err=True)


@contextmanager
def on() -> Iterator[None]:
    """Show them while the block lasts, instead of the lines that a server's log collector reads."""
    logger = logging.getLogger("function")
    before = logger.handlers[:], logger.level, logger.propagate
    logger.handlers[:], logger.propagate = [_Shown(logging.WARNING)], False
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.handlers[:], level, logger.propagate = before
        logger.setLevel(level)
