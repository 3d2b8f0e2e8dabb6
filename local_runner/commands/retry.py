"""The command `retry`: tries again what the log leaves open, or closes it."""

import difflib
import os
import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click

from function.command_line import EX_DATAERR, if_exists_option
from function.core.errors import HTTP_CODE, UploadError
from function.core.retry import Deadline
from function.home.settings import Settings
from local_runner.client.find_files import LeftOut
from local_runner.client.home import NoLog, settings
from local_runner.client.invoke import Request
from local_runner.commands import run_uploads
from local_runner.log import closing, reader
from local_runner.log.advice import ADVICE
from local_runner.log.open_failures import OpenFailure, open_failures, spelled
from local_runner.terminal import open_table
from local_runner.terminal.printable import printable
from local_runner.terminal.verbosity import is_quiet

FORGET_TIME_S = 30.0

EXAMPLES = """\b
Examples:
  drive-upload retry                         what is due
  drive-upload retry --reason permission_denied --all
  drive-upload retry --failed --dry-run      only shown
  drive-upload retry --forget Data/tpyo.txt  is closed

Exit codes: 0 done, or nothing is due, 64 wrong usage, 65 something failed for good, 75 the same call can succeed later,
78 the settings are wrong.
"""


@click.command(epilog=EXAMPLES)
@run_uploads.paths_argument(required=False)
@click.option("--all", "at_once", is_flag=True, help="Also what isn't due yet.")
@click.option("--failed", is_flag=True, help="Also what failed for good.")
@click.option("--reason", "reasons", multiple=True, type=click.Choice(sorted(ADVICE)), metavar="REASON",
              help="Only what failed for this reason (repeatable), for good too.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only show what would be tried.")
@click.option("--forget", is_flag=True, help="Close it instead: PATHs, a --reason, or --failed must say what.")
@if_exists_option
@run_uploads.where_options
def retry(
    paths: tuple[str, ...], at_once: bool, failed: bool, reasons: tuple[str, ...], dry_run: bool, forget: bool,
    if_exists: str | None, **where: Any,
) -> None:  # fmt: skip
    """Try again what failed and is due: each path only for the account that failed, as it was called for.

    A PATH, a file or a folder, is tried whether it is due or not.
    """
    if forget and not (paths or reasons or failed):
        raise click.UsageError(
            "--forget: say what to close: a PATH, --reason, or --failed for all that failed for good."
        )
    home = settings()
    open_ = _open(home)
    meant = [each for each in open_ if _is_meant(each, home.home, paths, reasons)]
    is_unknown = _tell_unknown(paths, open_, home.home)
    if forget:
        closed = [each for each in meant if paths or reasons or each.due is None]
        _forget(home, closed, dry_run=dry_run, as_json=where["as_json"])
        sys.exit(EX_DATAERR if is_unknown or (paths and not closed) else 0)
    if not (failed or paths or reasons):
        meant = [each for each in meant if each.due]
    now = datetime.now(UTC)
    waiting = [each.due for each in meant if each.due and each.due > now and not (at_once or paths)]
    due = [each for each in meant if each.due not in waiting]
    _tell_waiting(waiting)
    if not (due or paths or where["as_json"]):
        _tell_nothing(sum(each.due is None for each in open_))
    elif dry_run:
        open_table.show(due, as_json=where["as_json"])
    else:
        _try(home, due, {"if_exists": if_exists} if if_exists else {}, **where)


def _try(home: Settings, due: Sequence[OpenFailure], policy: Request, *, as_json: bool, **where: Any) -> NoReturn:
    known, left_out = _possible(due, {each.name for each in home.accounts})
    with run_uploads.function(**where) as (call, _):
        sys.exit(run_uploads.run(call, [each.request | policy for each in known], left_out, home, as_json=as_json))


def _open(home: Settings) -> list[OpenFailure]:
    try:
        return open_failures(reader.entries(home.log), home.home)
    except reader.NotALog as error:
        raise NoLog(str(error)) from error


def _is_meant(failure: OpenFailure, home: Path, paths: Sequence[str], reasons: Sequence[str]) -> bool:
    if reasons and failure.entry.get("reason") not in reasons:
        return False
    if not paths:
        return True
    path = spelled(failure.entry["path"], home)
    named = {spelling for each in paths for spelling in (spelled(each, home), os.path.relpath(each, home))}
    return any(path == each or path.startswith(f"{each}/") for each in named)


def _tell_unknown(paths: Sequence[str], open_: Sequence[OpenFailure], home: Path) -> bool:
    """Say which of the paths name nothing that is open, what arrived or what was mistyped; whether any does."""
    unknown = [path for path in paths if not any(_is_meant(each, home, [path], ()) for each in open_)]
    for path in unknown:
        near = difflib.get_close_matches(path, [spelled(each.entry["path"], home) for each in open_], 1, cutoff=0.7)
        hint = f"; did you mean {near[0]}?" if near else ""
        click.echo(printable(f"{path}: nothing of that name is open{hint}"), err=True)
    return bool(unknown)


def _possible(due: Sequence[OpenFailure], accounts: Collection[str]) -> tuple[list[OpenFailure], list[LeftOut]]:
    """What the function would take, and why it wouldn't take the rest."""
    why = [(each, _why_not(each, accounts)) for each in due]
    left_out = [LeftOut(each.entry["path"], reason, HTTP_CODE["source_missing"]) for each, reason in why if reason]
    return [each for each, reason in why if not reason], left_out


def _why_not(failure: OpenFailure, accounts: Collection[str]) -> str | None:
    if failure.entry["account"] not in accounts:
        return f"the settings have no account {failure.entry['account']!r} any more (close it with retry --forget)"
    return failure.refusal


def _tell_waiting(waiting: Sequence[datetime]) -> None:
    if waiting:
        first = min(waiting).astimezone()
        click.echo(
            f"{len(waiting)} not due yet, the first at {first:%Y-%m-%d %H:%M:%S}; --all tries them now.", err=True
        )


def _tell_nothing(final: int) -> None:
    rest = f"; {final} failed for good, which `drive-upload retry --failed` tries once more" if final else ""
    if final or not is_quiet():
        click.echo(f"Nothing is due{rest}.")


def _forget(home: Settings, closed: Sequence[OpenFailure], *, dry_run: bool, as_json: bool) -> None:
    if dry_run or as_json:
        open_table.show(closed, as_json=as_json)
    if not dry_run:
        try:
            closing.close(home, closed, Deadline.after(FORGET_TIME_S))
        except UploadError as error:
            raise NoLog(error.message) from error
    if not as_json:
        for each in closed:
            click.echo(printable(f"{'would be closed' if dry_run else 'closed'}: {each.entry['path']}"))
        click.echo(f"{len(closed)} {'would be ' if dry_run else ''}closed.")
