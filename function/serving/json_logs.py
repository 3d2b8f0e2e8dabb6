"""Structured logs: one JSON object a line on stderr, as Cloud Logging reads them."""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from function.serving import trace


class JsonLines(logging.Formatter):
    """severity, message, time; the entry of an attempt where there is one; a traceback with an internal error.

    Source: Cloud Logging, 'Structured logging'.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record's line."""
        line: dict[str, object] = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "logger": record.name,
            **trace.fields(),
        }
        entry = getattr(record, "entry", None)
        if entry is not None:
            line["entry"] = msgspec.to_builtins(entry)
        if record.exc_info:
            line["stack_trace"] = self.formatException(record.exc_info)
        return json.dumps(line)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what sys.stderr is at each record: servers and tests replace it."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        return


def set_up() -> None:
    """Log the job's own doings to stderr at LOG_LEVEL (default INFO)."""
    handler = _Stderr()
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("function")
    logger.handlers[:] = [handler]
    logger.propagate = False
    level = os.environ.get("LOG_LEVEL", "INFO").upper()
    logger.setLevel(level if level in logging.getLevelNamesMapping() else logging.INFO)
