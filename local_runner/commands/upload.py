"""The command `upload`: the function's invocation, emulated here for any number of files."""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from function.command_line import job_options
from function.core.errors import SettingsError
from function.home.data_root import OwnFiles
from function.home.settings import EXCLUDE, Settings
from local_runner.client.find_files import Found, excluded, find, patterns
from local_runner.client.home import FOLDER, account_named
from local_runner.client.invoke import WrongSettings
from local_runner.commands.run_uploads import function, paths_argument, run, where_options

EXAMPLES = """\b
Examples:
  drive-upload upload Data
  drive-upload upload 'Data/*.md' --if-exists new_revision
  drive-upload upload Data --dry-run        only shown
  drive-upload upload Data --emulator       without Google
  drive-upload upload Data --url https://…  runs there

Exit codes: 0 done, 64 wrong usage, 65 something failed for good, 75 the same call can succeed later, 78 the settings
are wrong.
"""


@click.command(epilog=EXAMPLES)
@paths_argument(required=True)
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave these out of folders and globs, as a line of "
              ".gitignore, besides the setting `exclude`; !PATTERN lets them in.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what would be done; nothing is changed, here or on Drive.")
@job_options
@where_options
def upload(
    paths: tuple[str, ...], exclude: tuple[str, ...], dry_run: bool, metadata: dict[str, Any] | None,
    if_exists: str | None, account: str | None, as_json: bool, **where: Any,
) -> None:  # fmt: skip
    """Upload files, whole folders, or globs.

    A relative PATH means what it names here; if nothing has that name here, it is relative to the home, the folder of
    paths.json (DRIVE_UPLOAD_PATHS). Folders are walked, hidden files included; links to folders are not followed, and
    what the setting `exclude` matches is left out (editors' and systems' litter, unfinished downloads, .git/). A file
    that you name yourself is never left out.
    """
    common = {"metadata": metadata, "if_exists": if_exists, "account": account}
    given = {name: value for name, value in common.items() if value is not None}
    with function(**where, dry_run=dry_run) as (call, settings):
        if account is not None and settings and not where["url"]:  # elsewhere there are other settings
            account_named(settings, account)
        found = find_paths(paths, settings, exclude, is_elsewhere=bool(where["url"]))
        requests = [{"path": path, **given} for path in found.files]
        sys.exit(run(call, requests, found.left_out, settings, as_json=as_json, dry_run=dry_run))


def _embedded_drive(settings: Settings) -> Iterator[str]:
    """Patterns of what a home keeps for its embedded Drive."""
    own = settings.home / FOLDER
    if own.is_relative_to(settings.data_root):
        yield "/" + re.sub(r"([\\*?\[\]!# ])", r"\\\1", own.relative_to(settings.data_root).as_posix())


def find_paths(
    paths: Sequence[str], settings: Settings | None, exclude: Sequence[str], *, is_elsewhere: bool = False
) -> Found:
    """The files that the arguments mean. Raises UsageError and WrongSettings where a pattern is none."""
    try:
        before, more = excluded(settings) if settings else patterns(EXCLUDE), patterns(exclude)
    except SettingsError as error:
        raise WrongSettings(error.message) from error
    except ValueError as error:
        raise click.UsageError(f"--exclude: {error}") from error
    cwd = Path.cwd()
    if settings is None:
        return find(paths, cwd, cwd, None, before + more)
    all_ = before + more + patterns(_embedded_drive(settings))
    return find(paths, cwd, settings.home, settings.data_root, all_, OwnFiles(settings), is_elsewhere=is_elsewhere)
