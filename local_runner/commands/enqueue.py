"""The command `enqueue`: one Cloud Tasks task a file, instead of uploading from here."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from function.command_line import job_options
from function.core.errors import SettingsError, UploadError
from function.home.network import is_http
from local_runner.client import cloud_tasks
from local_runner.client.cloud_tasks import GOOGLE, QUEUE, Enqueued, Queue
from local_runner.client.digests import Digests
from local_runner.client.find_files import LeftOut
from local_runner.client.home import settings
from local_runner.client.invoke import CallFailed, WrongSettings
from local_runner.client.tally import exit_code_of
from local_runner.commands.run_uploads import paths_argument, url_option
from local_runner.commands.upload import find_paths
from local_runner.terminal.printable import printable
from local_runner.terminal.verbosity import is_quiet

EMULATOR_HOST = "CLOUD_TASKS_EMULATOR_HOST"

FAILURES_SHOWN = 5

EXAMPLES = """\b
Example:
  drive-upload enqueue Data \\
    --queue projects/mine/locations/LOCATION/queues/Q \\
    --url https://drive-upload-….run.app

Each task names its file as it lies in the home, so the function must have the same Data/ below its own home. A file
that is queued already, with the same content and the same options, --url among them, is not queued again.

Exit codes: 0 done, 64 wrong usage, 65 a file can't be read, 75 not all could be queued: run it again, 78 the settings
are wrong.
"""


def _queue(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not QUEUE.fullmatch(value):
        raise click.BadParameter("must be projects/PROJECT/locations/LOCATION/queues/QUEUE.")
    return value


def _address(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if not value:
        return None
    address = (value if "://" in value else f"http://{value}").rstrip("/")
    if not is_http(address):
        raise click.BadParameter(
            "must be host:port or a URL such as http://127.0.0.1:8123.", param_hint=f"--endpoint or {EMULATOR_HOST}"
        )
    return address


@click.command(epilog=EXAMPLES)
@paths_argument(required=True)
@click.option("--queue", required=True, callback=_queue, metavar="QUEUE", help="projects/P/locations/L/queues/Q.")
@url_option(required=True, help="The function that the tasks call.")
@click.option("--service-account", metavar="EMAIL", help="Whose token the tasks carry; it needs roles/run.invoker "
              "(default: drive-upload-tasks of the queue's project).")  # fmt: skip
@click.option("--dispatch-deadline", type=click.IntRange(15, 1800), default=600, show_default=True, metavar="S",
              help="Seconds that Cloud Tasks waits for an answer; more than deadline_s.")  # fmt: skip
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave these out, as upload does.")
@job_options
@click.option("--json/--no-json", "as_json", help="Print the tasks as JSON, for programs.")
@click.option("--endpoint", envvar=EMULATOR_HOST, hidden=True, callback=_address)
def enqueue(
    paths: tuple[str, ...], exclude: tuple[str, ...], url: str, as_json: bool, endpoint: str | None, **options: Any
) -> None:
    """Make a Cloud Tasks task for each file: the queue calls the function, at its own pace, until it is done."""
    home = settings()
    name, account = options.pop("queue"), options.pop("service_account")
    queue = Queue(name, url, account or _default_account(name), options.pop("dispatch_deadline"))
    if queue.dispatch_deadline_s <= home.deadline_s:
        raise click.UsageError(
            f"--dispatch-deadline: {queue.dispatch_deadline_s} s is no more than deadline_s ({home.deadline_s:g} s): "
            "the queue would call again while the first call is still at work."
        )
    given = {name: value for name, value in options.items() if value is not None}
    found = find_paths(paths, home, exclude)
    requests = [{"path": path, **given} for path in found.files]
    try:
        authorize = cloud_tasks.nobody if endpoint else cloud_tasks.default_credentials()
        with click.progressbar(
            length=len(requests), file=sys.stderr, hidden=is_quiet() or not sys.stderr.isatty()
        ) as bar:
            tasks = cloud_tasks.enqueue(
                queue, requests, endpoint or GOOGLE, authorize, Digests(home).of, lambda: bar.update(1)
            )
    except SettingsError as error:
        raise WrongSettings(error.message) from error
    except UploadError as error:
        raise CallFailed(f"Cloud Tasks can't be asked: {error.message}") from error
    _show(tasks, found.left_out, as_json=as_json)
    sys.exit(_exit_code(tasks, found.left_out))


def _default_account(queue: str) -> str:
    return f"drive-upload-tasks@{queue.split('/')[1]}.iam.gserviceaccount.com"


def _show(tasks: Sequence[Enqueued], left_out: Sequence[LeftOut], *, as_json: bool) -> None:
    if as_json:
        left = [{"path": each.path, "why": each.why} for each in left_out]
        click.echo(json.dumps({"tasks": [asdict(each) for each in tasks], "left_out": left}, indent=1))
        return
    failed = [_failure(each) for each in tasks if each.outcome == "failed"]
    failed += [f"{each.path}: {each.why}" for each in left_out if each.is_failure]
    for line in failed[:FAILURES_SHOWN]:
        click.secho(printable(line), fg="red", err=True)
    if len(failed) > FAILURES_SHOWN:
        click.secho(f"and {len(failed) - FAILURES_SHOWN} more.", fg="red", err=True)
    if not is_quiet():
        counts = Counter(each.outcome for each in tasks)
        click.echo(
            f"{counts['queued']} queued, {counts['already_queued']} queued already, {counts['failed']} failed, "
            f"{len(left_out)} left out."
        )


def _failure(task: Enqueued) -> str:
    """The sentence, which names the file itself where it is about it."""
    said = task.message or ""
    return said if task.path in said else f"{task.path}: {said}"


def _exit_code(tasks: Sequence[Enqueued], left_out: Sequence[LeftOut]) -> int:
    failed = {503 if each.retryable else 404 for each in tasks if each.outcome == "failed"}
    return exit_code_of(failed | {each.code for each in left_out})
