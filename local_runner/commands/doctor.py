"""The command `doctor`: looks at settings, token, Drive, volume, lock, log and clock, and says what to mend."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial

import click

from function.command_line import EX_CONFIG, EX_DATAERR
from function.core.errors import SettingsError, VolumeUnavailable
from function.home.settings import Settings
from function.serving.app import current
from function.upload.account import AccountSession
from local_runner.client.find_files import excluded
from local_runner.client.in_time import Moved, in_time
from local_runner.doctor import account as check_account
from local_runner.doctor import home as check_home
from local_runner.doctor import volume
from local_runner.doctor.findings import Finding, fail, has_failed, ok
from local_runner.terminal import warnings_shown
from local_runner.terminal.printable import printable
from local_runner.terminal.screen import cell, output, table

SETTINGS = "settings"
"""The area of what paths.json and the environment say."""

HANG_S = 40.0
"""Longer than any look at the home or trial of its volume takes, unless the volume is gone."""

SLACK_S = 5.0
"""Where an upload would end sooner, a look takes no longer than that, and so much."""

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}

Check = Callable[[Moved], Iterable[Finding]]

EXAMPLES = """\b
Examples:
  drive-upload doctor
  drive-upload --home ~/memory doctor --json

Exit codes: 0 uploads can work, warnings or not, 64 wrong usage, 65 something fails, 78 it is the settings.
"""


@click.command(epilog=EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON, for programs.")
def doctor(as_json: bool) -> None:
    """Check whether uploads can work from here, and say what to mend."""
    with warnings_shown.on():
        findings = list(_findings())
    if as_json:
        click.echo(json.dumps({"findings": [asdict(each) for each in findings]}, indent=1))
    else:
        rows = table("", "about", "finding", fold=("finding",))
        for each in findings:
            told = (
                cell(each.what).append(f"\nwhat to do: {printable(each.mend)}", "bold")
                if each.mend
                else cell(each.what)
            )
            rows.add_row(cell(each.level, STYLES[each.level]), cell(each.area), told)
        output().print(rows)
    if any(each.area == SETTINGS and each.level == "fail" for each in findings):
        sys.exit(EX_CONFIG)
    sys.exit(EX_DATAERR if has_failed(findings) else 0)


def _findings() -> Iterator[Finding]:
    try:
        app = in_time(lambda _: current(), HANG_S)
    except SettingsError as error:
        yield fail(SETTINGS, error.message, "mend the settings: the rest can't be checked without them")
        return
    except (VolumeUnavailable, TimeoutError):
        yield _silent(volume.AREA, "paths.json, without which nothing else can be checked,")
        return
    settings = app.settings
    yield _told(settings)
    try:
        excluded(settings)
    except SettingsError as error:
        yield fail(SETTINGS, error.message, "mend the pattern: upload and enqueue of a folder end with it")
    yield from _looked(settings, list(app.accounts.values()), min(settings.deadline_s + SLACK_S, HANG_S))


def _told(settings: Settings) -> Finding:
    where = f"the emulator at {settings.emulator}" if settings.emulator else "Google Drive"
    names = ", ".join(each.name for each in settings.accounts)
    return ok(SETTINGS, f"home {settings.home}, accounts {names}, lock {settings.lock}, uploads go to {where}")


def _looked(settings: Settings, accounts: Sequence[AccountSession], patience_s: float) -> Iterator[Finding]:
    """What volumes show, looked at side by side: where one look takes all its patience, others may; then accounts."""
    state_is_silent = _silent(volume.AREA, f"state_root ({settings.state_root})")
    looks: list[tuple[Check, Finding]] = [
        (
            lambda _: [check_home.check_data(settings)],
            _silent("data", f"{settings.data_root}, or of one of the job's own files,"),
        ),
        (lambda _: volume.check(settings), state_is_silent),
        (partial(check_home.check_log, settings), _silent("log", str(settings.log))),
        *((partial(_token_file, each), _silent(check_account.area(each), "its token file")) for each in accounts),
    ]
    with ThreadPoolExecutor(len(looks)) as pool:
        data, state, log, *files = pool.map(lambda look: _in_time(look[0], look[1], patience_s), looks)
    yield from (*data, *state, *log)
    for account, file in zip(accounts, files, strict=True):
        yield from file
        if not has_failed(file) and state_is_silent not in state:  # where tokens are renewed under a lock
            check = partial(check_account.check_access, account, settings.emulator)
            silent = _silent(check_account.area(account), "its token file, or of state_root,")
            yield from _in_time(check, silent, patience_s + check_account.TIME_S)


def _token_file(account: AccountSession, _: Moved) -> Iterator[Finding]:
    return check_account.check_file(account)


def _in_time(check: Check, silent: Finding, patience_s: float) -> list[Finding]:
    """What the check finds; where a volume keeps it waiting, what it had found, and that."""
    found: list[Finding] = []

    def look(moved: Moved) -> None:
        for each in check(moved):
            found.append(each)
            moved()

    try:
        in_time(look, patience_s)
    except TimeoutError:
        return [*found, silent]
    return found


def _silent(area: str, of_what: str) -> Finding:
    return fail(area, f"the volume of {of_what} doesn't answer", "mount it again, or let its server answer")
