"""The command `serve`: the function as a service to call, alone or with an embedded Drive behind it."""

import json
import os
import shlex
import signal
import threading
from types import FrameType

import click

from function.command_line import run_server
from function.core.errors import SettingsError
from local_runner.client.embedded import Embedded, embedded_drive
from local_runner.client.find_files import find
from local_runner.client.function_process import FunctionFailed, free_port, function_process
from local_runner.client.home import settings
from local_runner.client.invoke import WrongSettings

EXAMPLES = """\b
Examples:
  drive-upload serve
  drive-upload serve --emulator --port 8081

Exit codes: 0 it was ended, 64 wrong usage, 75 it can't run now, 78 the settings are wrong.
"""


def _host(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        value.encode("idna")  # as it will be resolved
    except UnicodeError as error:
        raise click.BadParameter(f"{value!r} can't be a host's name.") from error
    return value


@click.command(epilog=EXAMPLES)
@click.option(
    "--host", envvar="HOST", default="127.0.0.1", show_default=True, callback=_host, help="Address of the function."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    envvar="PORT",
    default=8080,
    show_default=True,
    help="Its port; 0 takes a free one.",
)
@click.option("--emulator/--no-emulator", help="With an embedded Drive behind it, kept in the home's .drive_emulator/.")
def serve(host: str, port: int, emulator: bool) -> None:
    """Serve the HTTP function until Ctrl-C or SIGTERM: POST / uploads, GET / says that it is there."""
    if not emulator:
        free_port(host, port)
        os.environ.update(HOST=host, PORT=str(port))
        run_server()
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        with embedded_drive() as embedded, function_process(embedded.environment, host=host, port=port) as running:
            _explain(running.url, embedded)
            while not ended.wait(0.5):
                if not running.is_alive():
                    raise FunctionFailed("The function has ended.")
    except SettingsError as error:
        raise WrongSettings(error.message) from error


def _explain(url: str, embedded: Embedded) -> None:
    home = settings()
    files = find([str(home.data_root)], home.home, home.home, home.data_root).files
    payload = json.dumps({"path": next(iter(files), "Data/…")}, ensure_ascii=False)
    click.echo(f"Drive Upload function at {url}")
    click.echo(f"  home: {home.home}")
    click.echo(f"  embedded Google Drive: {embedded.drive.url}/ (browse it), kept in {embedded.folder}")
    click.echo(f"  curl {url} -H 'Content-Type: application/json' -d {shlex.quote(payload)}")
    click.echo("  Ctrl-C ends both.")
