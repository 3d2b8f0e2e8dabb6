"""The same job from a command line: `serve` the HTTP function, or `upload` one path and exit.

Exit codes follow sysexits.h: 0 done, 64 usage, 65 failed for good, 75 try again later, 78 settings.
They tell what was done; a standard output that takes no more, as on a full disk, makes a 0 a 75.
"""

import json
import os
import signal
import sys
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from function.core.types import Policy
from function.startup import lost_output

if TYPE_CHECKING:
    from function.serving.app import InvocationResult

EX_OK, EX_USAGE, EX_DATAERR, EX_TEMPFAIL, EX_CONFIG = 0, 64, 65, 75, 78

F = TypeVar("F", bound=Callable[..., Any])


def _object(context: click.Context, parameter: click.Parameter, value: str | None) -> dict[str, Any] | None:
    from function.serving.payload import loads

    if value is None:
        return None
    try:
        document = loads(value, "the text")
    except Exception as error:
        raise click.BadParameter(str(error)) from error
    if not isinstance(document, dict):
        raise click.BadParameter('must be a JSON object such as {"tags": ["architecture"]}.')
    return document


if_exists_option = click.option(
    "--if-exists",
    type=click.Choice([each.value for each in Policy]),
    help="What to do where the name on Drive holds other content.",
)


def job_options(command: F) -> F:
    """What a caller may say about an upload besides its path."""
    for option in (
        click.option("--account", help="Only this account of the settings."),
        if_exists_option,
        click.option("--metadata", callback=_object, metavar="JSON", help="A JSON object that travels with each file."),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Upload files of the data root to Google Drive."""


@cli.command()
def serve() -> None:
    """Serve the HTTP function on $PORT (default 8080), until SIGTERM."""
    run_server()


def run_server() -> NoReturn:
    """Replace this process by the server, so that signals reach it. It reads HOST and PORT."""
    root = str(Path(__file__).resolve().parent.parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    code = "from function.command_line import leave; from function.serving.server import serve; leave(serve())"
    # -P: a module in the working folder, which may be a home, is never imported. utf8: names of files are UTF-8.
    command = [sys.executable, "-P", "-X", "utf8", "-c", code]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, command)  # noqa: S606 - no shell is wanted


@cli.command()
@click.argument("path", type=click.UNPROCESSED)
@job_options
def upload(path: str, **given: Any) -> int:
    """Upload one file and print the answer's JSON. PATH is absolute, or relative to the folder of paths.json."""
    from function import telemetry
    from function.core.errors import SettingsError, UploadError
    from function.serving import shutdown
    from function.serving.app import current, refusal

    telemetry.log_to_stderr()
    payload = {"path": path} | {name: value for name, value in given.items() if value is not None}
    try:
        app = current()
    except UploadError as error:
        refused = refusal(uuid.uuid4().hex, error, from_queue=False)
        _print(refused)
        return EX_CONFIG if isinstance(error, SettingsError) else exit_code(refused.code)
    shutdown.on_sigterm()
    signal.signal(signal.SIGINT, lambda *_: shutdown.stop("Interrupted; call again to go on.", 0))
    answer = app.handle(json.dumps(payload).encode(), {})
    _print(answer)
    return exit_code(answer.code)


def _print(answer: "InvocationResult") -> None:
    json.dump(answer.document(), sys.stdout, ensure_ascii=True, indent=2)
    print(flush=True)


def exit_code(http_code: int) -> int:
    """The exit code for an answer's HTTP code."""
    if http_code == 200:
        return EX_OK
    if http_code == 400:
        return EX_USAGE
    return EX_TEMPFAIL if http_code == 503 else EX_DATAERR


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    try:
        return cli.main(arguments, prog_name="python -m function", standalone_mode=False) or EX_OK
    except click.UsageError as error:
        error.show()
        return EX_USAGE


def leave(code: int) -> NoReturn:
    """End the process at once.

    A read that hangs must not keep it, and to free what the kernel frees anyway takes as long as half a request.
    """
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    lost = lost_output()
    if lost and not isinstance(lost, BrokenPipeError) and code == EX_OK:  # who reads no further has had enough
        code = EX_TEMPFAIL
    if "opentelemetry.sdk" in sys.modules:  # else its module isn't even loaded
        from function import telemetry

        telemetry.flush()
    os._exit(code)
