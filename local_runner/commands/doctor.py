"""The command `doctor`: looks at settings, token, Drive, volume, lock, log and clock, and says what to mend."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import asdict
from typing import TypeVar

import click

from function.command_line import EX_CONFIG, EX_DATAERR
from function.core.errors import SettingsError
from function.home.settings import load
from function.serving.app import open_app
from local_runner.client.find_files import excluded
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

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


HANGS = fail(
    volume.AREA,
    "the home's volume, or the one that data_root or state_root is on, doesn't answer",
    "mount it again, or let its server answer; nothing else could be checked",
)

T = TypeVar("T")

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
        settings = _in_time(load)
    except TimeoutError:
        yield HANGS
        return
    except SettingsError as error:
        yield fail(SETTINGS, error.message, "mend the settings: the rest can't be checked without them")
        return
    where = f"the emulator at {settings.emulator}" if settings.emulator else "Google Drive"
    names = ", ".join(each.name for each in settings.accounts)
    yield ok(SETTINGS, f"home {settings.home}, accounts {names}, lock {settings.lock}, uploads go to {where}")
    try:
        excluded(settings)
    except SettingsError as error:
        yield fail(SETTINGS, error.message, "mend the pattern: upload and enqueue of a folder end with it")
    try:
        yield from _in_time(lambda: [check_home.check_data(settings), *volume.check(settings)])
    except TimeoutError:
        yield HANGS
        return
    yield from check_home.check_log(settings, lambda: None)
    for account in open_app(settings).accounts.values():
        yield from check_account.check(account, settings.emulator)


def _in_time(look: Callable[[], T]) -> T:
    """What the look finds. Raises TimeoutError where a volume doesn't answer: such a call can't be interrupted."""
    found: Future[T] = Future()

    def run() -> None:
        try:
            found.set_result(look())
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            found.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return found.result(HANG_S)
