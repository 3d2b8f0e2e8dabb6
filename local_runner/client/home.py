"""The home that a command is about."""

import os
from pathlib import Path

import click

from function.core.errors import SettingsError, SourceError
from function.home.data_root import Location, OwnFiles
from function.home.settings import AccountConfig, Settings, load
from local_runner.client.invoke import WrongSettings

FOLDER = ".drive_emulator"
"""Where a home keeps its embedded Drive."""


def settings() -> Settings:
    """The settings of DRIVE_UPLOAD_PATHS, or of ./paths.json. Raises WrongSettings."""
    try:
        return load()
    except SettingsError as error:
        raise WrongSettings(error.message) from error


def account_named(home: Settings, name: str) -> AccountConfig:
    """The account of that name. Raises UsageError."""
    for each in home.accounts:
        if each.name == name:
            return each
    names = ", ".join(each.name for each in home.accounts)
    raise click.UsageError(f"--account: there is no account {name!r}; the settings have {names}.")


def is_source(path: Path, home: Settings) -> bool:
    """Whether it lies in data_root, links followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(home.data_root))


def is_own(path: Path, home: Settings) -> bool:
    """Whether it is one of the home's own files, or would be one if it were written. Raises VolumeUnavailable."""
    real = os.path.realpath(path)
    try:
        status = os.stat(real if os.path.exists(real) else os.path.dirname(real))
        OwnFiles(home).check(Location(real, path.name, path.name), status)
    except OSError:  # no folder: nothing can be written there
        return False
    except SourceError:
        return True
    return False


class NoLog(click.ClickException):
    """The log can't be read."""

    exit_code = 65
