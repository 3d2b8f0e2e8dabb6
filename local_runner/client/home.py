"""The home that a command is about."""

import click

from function.core.errors import SettingsError
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


class NoLog(click.ClickException):
    """The log can't be read."""

    exit_code = 65
