"""The command `retry`: tries again what the log says is retryable and due."""

import sys
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

import click

from function.command_line import if_exists_option
from local_runner.client.find_files import LeftOut
from local_runner.client.home import NoLog, settings
from local_runner.commands import upload
from local_runner.log import reader
from local_runner.log.open_failures import OpenFailure, open_failures


@click.command()
@click.option("--all", "at_once", is_flag=True, help="Also what isn't due yet.")
@if_exists_option
@upload.where_options
def retry(
    at_once: bool, if_exists: str | None, url: str | None, header: Mapping[str, str], emulator: bool, as_json: bool
) -> None:
    """Try again what failed and is due: each path only for the account that failed, as it was called for."""
    home = settings()
    try:
        found = open_failures(reader.entries(home.log), home.home)
    except reader.NotALog as error:
        raise NoLog(str(error)) from error
    accounts = {each.name for each in home.accounts}
    known: list[OpenFailure] = []
    left_out: list[LeftOut] = []
    for each in found:
        why = _why_not(each, accounts)
        if why:
            left_out.append(LeftOut(each.entry["path"], why, True))
        else:
            known.append(each)
    now = datetime.now(UTC)
    due = [each for each in known if at_once or each.due <= now]
    _tell_waiting([] if at_once else [each for each in known if each.due > now])
    policy = {"if_exists": if_exists} if if_exists else {}
    with upload.function(url, header, emulator=emulator) as (call, _):
        sys.exit(upload.run(call, [each.request | policy for each in due], left_out, as_json=as_json))


def _why_not(failure: OpenFailure, accounts: Collection[str]) -> str | None:
    if failure.entry["account"] not in accounts:
        return f"the settings have no account {failure.entry['account']!r} any more"
    return failure.refusal


def _tell_waiting(waiting: list[OpenFailure]) -> None:
    if waiting:
        first = min(each.due for each in waiting).astimezone()
        click.echo(
            f"{len(waiting)} not due yet, the first at {first:%Y-%m-%d %H:%M:%S}; --all tries them now.", err=True
        )
