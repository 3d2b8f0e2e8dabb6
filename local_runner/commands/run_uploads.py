"""What `upload` and `retry` share: the function that is called, the run, and what is shown of it."""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import click

from function.command_line import EX_TEMPFAIL
from function.core.errors import SettingsError
from function.home.network import is_http
from function.home.settings import Settings, load
from function.serving import shutdown
from local_runner.client import invoke
from local_runner.client.find_files import LeftOut
from local_runner.client.invoke import Call, CallFailed, Entry, Request, WrongSettings
from local_runner.client.over_http import over_http
from local_runner.client.tally import Tally
from local_runner.log import reader
from local_runner.terminal import warnings_shown
from local_runner.terminal.progress import Bars
from local_runner.terminal.verbosity import is_quiet

F = TypeVar("F", bound=Callable[..., Any])

_HEADER = re.compile(r"\s*(?P<name>[\w!#$%&'*+.^`|~-]+)\s*:\s*(?P<value>[\t -~\xa0-\xff]*?)\s*", re.ASCII)
"""Source: RFC 9110, 5.1 and 5.5."""


def _header(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found = [_HEADER.fullmatch(value) for value in values]
    if not all(found):  # not repeated: it may hold a token
        raise click.BadParameter("must be NAME: VALUE on one line, of characters that a header can have (Latin-1).")
    return {each["name"]: each["value"] for each in found if each}


def paths_argument(*, required: bool) -> Callable[[F], F]:
    """The argument PATH, any number of times. An empty one is a shell's unset variable, and would mean all there is."""

    def check(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
        if "" in value:
            raise click.BadParameter("is empty; name a file or a folder.")
        return value

    metavar = "PATH…" if required else "[PATH]…"
    return click.argument("paths", nargs=-1, required=required, type=click.UNPROCESSED, metavar=metavar, callback=check)


def url_option(**more: Any) -> Callable[[F], F]:
    """The option --url, with what its command says of it."""

    def check(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        if value is not None and not is_http(value):  # not repeated: it may hold a password
            raise click.BadParameter("must be the function's address, as https://host/path or http://127.0.0.1:8080.")
        return value

    return click.option("--url", metavar="URL", callback=check, **more)


def where_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which function is called."""
    for option in (
        url_option(help="Call the function that runs there, instead of in this process."),
        click.option("--header", multiple=True, callback=_header, metavar="H: V", help="Send this too, with --url."),
        click.option(
            "--emulator", is_flag=True, help="Against an embedded Drive, kept in the home's .drive_emulator/."
        ),
        click.option("--json/--no-json", "as_json", help="Print the answer's JSON, for programs."),
    ):
        command = option(command)
    return command


@contextmanager
def function(
    url: str | None, header: Mapping[str, str], emulator: bool, *, dry_run: bool = False
) -> Iterator[tuple[Call, Settings | None]]:
    """The function to call, and the settings as far as this machine has them. Raises ClickException."""
    if header and not url:
        raise click.UsageError("--header: goes to a function elsewhere; say which with --url.")
    if url and dry_run:
        raise click.UsageError("--dry-run: a function elsewhere can't be asked what it would do; leave out --url.")
    if url and emulator:
        raise click.UsageError("--url and --emulator exclude each other: the function at the URL has a Drive already.")
    with ExitStack() as stack:
        try:
            if emulator:
                from local_runner.client.embedded import embedded_drive

                stack.enter_context(_environment(stack.enter_context(embedded_drive()).environment))
            settings = load()
        except SettingsError as error:
            if not url:
                raise WrongSettings(error.message) from error
            settings = None
        if settings and dry_run:
            from local_runner.client.rehearsal import rehearsing

            call = stack.enter_context(rehearsing(settings))
        else:
            call = _elsewhere(url, header, settings) if url else invoke.in_process()
        stack.enter_context(warnings_shown.on())
        yield call, settings


def _elsewhere(url: str, header: Mapping[str, str], settings: Settings | None) -> Call:
    if settings is None:
        return over_http(url, header, Path.cwd())
    return over_http(url, header, settings.home, settings.deadline_s)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Those variables set while the block lasts: the function in this process reads them at each invocation."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run(
    call: Call,
    requests: Sequence[Request],
    left_out: Sequence[LeftOut],
    settings: Settings | None,
    *,
    as_json: bool,
    dry_run: bool = False,
) -> int:
    """Upload and show; the exit code."""
    started = time.monotonic()
    told = Tally(expected=_entries_expected(requests, settings))
    bars = Bars(requests, told, settings.home if settings else None)
    failure: CallFailed | None = None

    def progress(path: str, sent: int, size: int) -> None:
        told.sent(path, sent, size)
        bars.sent(path, sent, size)

    with (
        bars.showing(),
        _stopping() as is_stopped,
        _json_written(told, left_out, wanted=as_json, dry_run=dry_run) as write,
    ):
        try:
            for entry in invoke.upload_all(call, requests, progress, is_stopped):
                told.add(entry)
                bars.ended(entry)
                write(entry)
        except CallFailed as error:
            failure = error
    if not as_json:
        from local_runner.terminal import result_table
        from local_runner.terminal.screen import output

        duration_s = time.monotonic() - started
        how = result_table.How(
            is_stopped(),
            only_failures=is_quiet(),
            dry_run=dry_run,
            call_failed=failure is not None,
            logged=_logged(told, settings),
        )
        result_table.show(told, left_out, output(), duration_s, how)
    if failure:
        failure.show()
        return max(failure.exit_code, told.exit_code(left_out))
    return EX_TEMPFAIL if is_stopped() else told.exit_code(left_out)


def _logged(told: Tally, settings: Settings | None) -> set[object]:
    """The invocations that the end of this home's log tells of: not those elsewhere, rehearsed, or of a full volume."""
    if not (told.failures and settings):
        return set()
    try:
        return {each.get("invocation_id") for each in islice(reader.newest_first(settings.log), told.count)}
    except reader.NotALog:
        return set()


def _entries_expected(requests: Sequence[Request], settings: Settings | None) -> int:
    """One for each file and account."""
    accounts = len(settings.accounts) if settings else 1
    return sum(1 if "account" in each else accounts for each in requests)


@contextmanager
def _json_written(
    told: Tally, left_out: Iterable[LeftOut], *, wanted: bool, dry_run: bool
) -> Iterator[Callable[[Entry], None]]:
    """Writes entries as they come, so that any number of them needs no memory; the rest of the answer at the end."""
    separator = ['{"results": [\n']

    def write(entry: Entry) -> None:
        if wanted:
            print(separator[0] + json.dumps(entry), end="")
            separator[0] = ",\n"

    yield write
    if wanted:
        rest = {
            "left_out": [{"path": each.path, "why": each.why} for each in left_out],
            "status": told.status,
            "totals": told.totals(),
            **({"dry_run": True} if dry_run else {}),
        }
        opening = separator[0] if not told.count else ""
        print(f"{opening}\n], {json.dumps(rest)[1:]}", flush=True)


SETTLING_S = 2.0
"""Time after an interruption in which nothing new is begun, and what was sent is settled and logged."""


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM came: what is under way stops so that the next run goes on; a second one kills."""
    signals: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        shutdown.stop("Interrupted; call again to go on.", SETTLING_S)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(signals)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
