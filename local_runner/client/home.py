"""The home that a command is about."""

import click

from function.core.errors import SettingsError
from function.home.settings import Settings, load
from local_runner.client.invoke import WrongSettings

FOLDER = ".drive_emulator"
"""Where a home keeps its embedded Drive."""

PATHS = ".drive_emulator.json"
"""The home's settings while its embedded Drive is up."""


def settings() -> Settings:
    """The settings of DRIVE_UPLOAD_PATHS, or of ./paths.json. Raises WrongSettings."""
    try:
        return load()
    except SettingsError as error:
        raise WrongSettings(error.message) from error


class NoLog(click.ClickException):
    """The log can't be read."""

    exit_code = 65
