"""The commands and where they live. A command's module is imported when it is called, so that each starts fast.

Exit codes follow sysexits.h: 0 done, 64 usage, 65 failed for good, 75 try again later.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from function.__main__ import leave

EX_USAGE = 64

COMMANDS = {
    "authorize": "local_runner.commands.authorize:command",
    "demo": "local_runner.commands.demo:demo",
    "doctor": "local_runner.commands.doctor:doctor",
    "emulator": "local_runner.drive_emulator.cli:emulator",
    "report": "local_runner.commands.report:report",
    "retry": "local_runner.commands.retry:retry",
    "serve": "local_runner.commands.serve:serve",
    "status": "local_runner.commands.status:status",
    "upload": "local_runner.commands.upload:upload",
}
"""Name -> module and attribute of the command."""


class Commands(click.Group):
    """The group of all commands, each imported at its first use; wrong usage exits with 64."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _usage_errors():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _usage_errors():
            return super().invoke(ctx)


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        error.show()
        raise click.exceptions.Exit(EX_USAGE) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Drive Upload on your own machine: upload, watch, retry, diagnose, with a Google Drive of its own."""


def main() -> None:
    """Run the command line; names that the terminal can't show are escaped instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        cli(prog_name="python -m local_runner")
    except SystemExit as end:
        if isinstance(end.code, int):
            leave(end.code)
        raise
