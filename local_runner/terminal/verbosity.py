"""How much is shown: `-q` of the command line, and LOG_LEVEL, which `-v` sets."""

import logging
import os

import click

QUIET = "drive-upload: quiet"
"""Key of the context's `meta`."""


def set_quiet() -> None:
    """From now on this command shows only what failed."""
    click.get_current_context().meta[QUIET] = True


def is_quiet() -> bool:
    """Whether only what failed is shown."""
    context = click.get_current_context(silent=True)
    return context is not None and QUIET in context.meta


def log_level() -> int:
    """LOG_LEVEL where it is a level's name, else that of warnings."""
    return logging.getLevelNamesMapping().get(os.environ.get("LOG_LEVEL", "").upper(), logging.WARNING)
