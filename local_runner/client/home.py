"""The home that a command is about."""

import click

from function.core.errors import SettingsError
from function.home.settings import Settings, load


class NoHome(click.ClickException):
    """The settings are missing or wrong; the message names the file and the key."""

    exit_code = 75


def settings() -> Settings:
    """The settings of DRIVE_UPLOAD_PATHS, or of ./paths.json. Raises NoHome."""
    try:
        return load()
    except SettingsError as error:
        raise NoHome(error.message) from error


class NoLog(click.ClickException):
    """The log can't be read."""

    exit_code = 65
