"""The command `init`: a home to begin with."""

import json
import os
from pathlib import Path

import click

from function.command_line import if_exists_option
from function.core.errors import SettingsError
from function.home.settings import EXCLUDE, check_drive_root, documentation, load
from function.state import files
from local_runner.client.invoke import WrongSettings

EXAMPLES = """\b
Examples:
  drive-upload init
  drive-upload --home ~/memory init
  drive-upload init --drive-root 'Archive/MemoryVDB'

Exit codes: 0 done, 64 wrong usage, 65 the home can't be written, 78 the settings that are there are wrong.
"""

SETTINGS_MD = """# The settings of this folder

`paths.json` holds them; this file only explains them, and nothing reads it. `{{"drive_root": "MemoryVDB"}}` is
complete: what is not there has its default. Each can be set by the environment as well, as `DRIVE_UPLOAD_<KEY>`.

| key | default | meaning |
|---|---|---|
{rows}

By default `exclude` leaves out: {exclude}

## Choices that people make

A folder that is there already, by its address in the browser:

    {{"drive_root": "https://drive.google.com/drive/folders/…"}}

A shared drive, where service accounts have space:

    {{"drive_root": {{"drive_id": "…", "path": "MemoryVDB"}}}}

A file that you edit: by default its next upload becomes `Name (2).ext` beside the first. To keep one file on Drive,
with its old contents as revisions:

    {{"drive_root": "MemoryVDB", "if_exists": "new_revision"}}

Every file to two accounts:

    {{"drive_root": "MemoryVDB", "accounts": {{"me": {{"token": "me.json"}}, "team": {{"token": "team.json"}}}}}}

This folder on a network volume without kernel locks:

    {{"drive_root": "MemoryVDB", "lock": "lease"}}
"""


class CannotWrite(click.ClickException):
    """The home can't be made; the message says why."""

    exit_code = 65


def _drive_root(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Before anything is written: what is there already stays as it is, a mistake too."""
    try:
        if value is not None:
            check_drive_root(value, "--drive-root")
    except SettingsError as error:
        raise click.UsageError(error.message) from error
    return value


@click.command(epilog=EXAMPLES)
@click.option("--drive-root", callback=_drive_root, help="Folder on Drive, from My Drive's root (default: MemoryVDB).")
@if_exists_option
def init(**options: str | None) -> None:
    """Make a home, here or in --home DIR: paths.json, SETTINGS.md that explains it, and Data/.

    What is there already stays as it is.
    """
    home = Path(os.environ.get("DRIVE_UPLOAD_HOME") or ".").absolute()
    given = {name: value for name, value in options.items() if value is not None}
    settings = {"drive_root": "MemoryVDB"} | given
    try:
        home.mkdir(parents=True, exist_ok=True)
        _write(home / "paths.json", json.dumps(settings, ensure_ascii=False, indent=2) + "\n")
        _write(home / "SETTINGS.md", _explained())
        (home / "Data").mkdir(exist_ok=True)
        load({"DRIVE_UPLOAD_PATHS": str(home / "paths.json")})
        _tell_unapplied(home / "paths.json", given)
    except OSError as error:
        raise _cannot(Path(error.filename or home), error) from error
    except SettingsError as error:
        raise WrongSettings(error.message) from error
    _explain(home)


def _explained() -> str:
    return SETTINGS_MD.format(rows="\n".join(documentation()), exclude=" ".join(f"`{each}`" for each in EXCLUDE))


def _write(path: Path, text: str) -> None:
    """Write the whole file or none, as readable as its folder is: the job may run as another user."""
    try:
        files.create(path, text.encode())
        path.chmod(path.parent.stat().st_mode & 0o644)
        click.echo(f"wrote {path}")
    except FileExistsError:
        click.echo(f"kept  {path}, which is there already")
    except OSError as error:
        raise _cannot(path, error) from error


def _cannot(path: Path, error: OSError) -> CannotWrite:
    return CannotWrite(f"{path}: can't be written ({error.strerror}).")


def _tell_unapplied(path: Path, given: dict[str, str]) -> None:
    """Say which options a paths.json that was kept says otherwise."""
    kept = json.loads(path.read_text(encoding="utf-8-sig"))
    for name, value in given.items():
        if kept.get(name) != value:
            option = f"--{name.replace('_', '-')}"
            click.echo(f"{option} was not applied, since {path} is kept: write {name} into it yourself.", err=True)


def _explain(home: Path) -> None:
    command = "drive-upload" if home == Path.cwd() else f"drive-upload --home {home}"
    click.echo(f"""
Put files below {home / "Data"}, then try it without a Google account:
  {command} upload Data --emulator
or with yours:
  {command} authorize      a token for your Google Drive
  {command} doctor         is everything there?
  {command} upload Data""")
