"""The command `drive-upload`. A subcommand's module is imported when it is called, so that each starts fast.

Exit codes follow sysexits.h: 0 done, 64 usage, 65 failed for good, 75 try again later, 78 settings.
"""

import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from function import __version__
from function.command_line import EX_USAGE, leave
from function.startup import collect_garbage_rarely, outlive_output, restart_in_utf8
from local_runner.terminal import verbosity

SECTIONS = {
    "Upload": {
        "upload": ("local_runner.commands.upload:upload", "Upload files, whole folders, or globs, from here."),
        "enqueue": ("local_runner.commands.enqueue:enqueue", "Let Cloud Tasks call the function, a task a file."),
        "retry": ("local_runner.commands.retry:retry", "Try again what failed and is due."),
    },
    "See": {
        "status": ("local_runner.commands.status:status", "The last attempts, as a table."),
        "report": ("local_runner.commands.report:report", "The log as an HTML page."),
        "doctor": ("local_runner.commands.doctor:doctor", "Check settings, token, Drive, volume and lock."),
    },
    "Set up": {
        "init": ("local_runner.commands.init:init", "Make a home: settings, explained, and a folder for files."),
        "authorize": ("local_runner.commands.authorize:command", "Get a drive_token.json by the browser."),
    },
    "Serve": {
        "serve": ("local_runner.commands.serve:serve", "The HTTP function, until it is interrupted."),
        "emulator": ("local_runner.drive_emulator.cli:emulator", "A Google Drive for your own machine."),
        "demo": ("local_runner.commands.demo:demo", "A whole upload without a Google account."),
    },
}
"""Section of the help -> command -> (module and attribute, what it is for)."""

COMMANDS = {name: target for section in SECTIONS.values() for name, (target, _) in section.items()}
"""Name -> module and attribute of the command."""

EPILOG = """\b
Examples:
  drive-upload upload Data/Meta/note.txt
  drive-upload --home ~/memory upload Data
  drive-upload COMMAND --help

Exit codes: 0 done, 64 wrong usage, 65 failed for good, 75 try again later, 78 the settings are wrong.

\b
Shell completion, for bash (or zsh, fish):
eval "$(_DRIVE_UPLOAD_COMPLETE=bash_source drive-upload)"
"""


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:  # click suggests from the commands that it has imported, none here
            raise click.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])

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
        _placed(error).show()
        raise click.exceptions.Exit(EX_USAGE) from error


def _placed(error: click.UsageError) -> click.UsageError:
    """The error; of an option that is none of the command's because it stands before it, where it stands."""
    if isinstance(error, click.NoSuchOption):
        for option in cli.params:
            if error.option_name in option.opts:
                shown = " ".join(filter(None, (error.option_name, option.metavar)))
                return click.UsageError(
                    f"{error.option_name} stands before the command: drive-upload {shown} COMMAND …", error.ctx
                )
    return error


def _go_home(context: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    """Let this process, and those it starts, find the home there."""
    _stand_somewhere(value)
    if value is not None:
        os.environ["DRIVE_UPLOAD_HOME"] = str(value.absolute())
        os.environ["DRIVE_UPLOAD_PATHS"] = str(value.absolute() / "paths.json")


def _stand_somewhere(home: Path | None) -> None:
    """Where the working folder was removed, let the home stand for it. Raises UsageError."""
    try:
        os.getcwd()
    except FileNotFoundError:
        named = os.environ.get("DRIVE_UPLOAD_HOME") or os.path.dirname(os.environ.get("DRIVE_UPLOAD_PATHS", ""))
        try:
            os.chdir(home or named)
        except OSError as error:
            raise click.UsageError(
                "The working folder was removed; change to one that is there, or name the home's whole path by --home."
            ) from error


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    callback=_go_home,
    expose_value=False,
    is_eager=True,
    metavar="DIR",
    help="The folder of paths.json, token, log and Data/ (default: where DRIVE_UPLOAD_PATHS lies, or here).",
)
@click.option("-v", "--verbose", is_flag=True, help="Show what the job does, each request to Drive included.")
@click.option("-q", "--quiet", is_flag=True, help="Show only what failed.")
@click.version_option(__version__, prog_name="drive-upload")
def cli(verbose: bool, quiet: bool) -> None:
    """Put local files onto Google Drive: exactly once, byte for byte, nothing overwritten."""
    if verbose and quiet:
        raise click.UsageError("-v and -q exclude each other.")
    if verbose:
        os.environ["LOG_LEVEL"] = "DEBUG"
    if quiet:
        verbosity.set_quiet()


def main(prog_name: str = "drive-upload", defaults: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Run the command line, with other defaults of commands' options where they are given."""
    outlive_output()
    restart_in_utf8()
    collect_garbage_rarely()
    try:
        cli(prog_name=prog_name, default_map=defaults)
    except SystemExit as end:
        if isinstance(end.code, int):
            leave(end.code)
        raise
