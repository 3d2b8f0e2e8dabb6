"""The job's own warnings on standard error, or more with LOG_LEVEL; the entries are left to whoever shows them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click

from local_runner.terminal.printable import printable
from local_runner.terminal.verbosity import log_level


class _Shown(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "entry", None) is None:
            warns = record.levelno >= logging.WARNING
            click.secho(printable(record.getMessage()), fg="yellow" if warns else None, dim=not warns, err=True)


@contextmanager
def on() -> Iterator[None]:
    """Show them while the block lasts, instead of the lines that a server's log collector reads."""
    logger = logging.getLogger("function")
    before = logger.handlers[:], logger.level, logger.propagate
    logger.handlers[:], logger.propagate = [_Shown()], False
    logger.setLevel(log_level())
    try:
        yield
    finally:
        logger.handlers[:], level, logger.propagate = before
        logger.setLevel(level)
