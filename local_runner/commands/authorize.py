"""The command `authorize`: gets the token file of an account, by the browser. How that goes is in client/sign_in.py."""

import json
import os
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Any, TextIO

import click

from function.core.errors import CredentialsError, SettingsError, UploadError
from function.credentials import token_checks, token_file
from function.credentials.token_file import GOOGLE_TOKEN_URI
from function.home.settings import HOME, PATHS, AccountConfig, emulator, load
from function.state import files
from local_runner.client.home import account_named, is_own, is_source
from local_runner.client.invoke import WrongSettings
from local_runner.client.sign_in import SCOPES, AuthorizationFailed, read_client, sign_in

WHICH_SCOPE = """\
What may uploads see of your Drive?

  drive       everything. Takes up a MemoryVDB that is there already, whoever made
              it: rclone, PyDrive2, another app, you by hand. For one who comes from
              another program, shares folders, or uses a shared drive.
  drive.file  only what this app makes itself. Safer, should the token be stolen. For
              one who starts fresh: a MemoryVDB that exists can't be seen, and a
              second one will be made beside it.
"""


EXAMPLES = """\b
Examples:
  drive-upload authorize
  drive-upload authorize --account team --scope drive
  drive-upload authorize --no-browser --scope drive.file

Exit codes: 0 done, 64 wrong usage, 65 no token was got, 78 the settings are wrong.
"""


@click.command("authorize", epilog=EXAMPLES)
@click.option("--account", metavar="NAME", help="Write where the settings want this account's token.")
@click.option(
    "--client-secret",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The OAuth client's JSON from the Google Cloud console (default: client_secret.json in the home, else here).",
)
@click.option(
    "--token",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the token is written (default: where the settings want it, else drive_token.json).",
)
@click.option(
    "--scope",
    type=click.Choice(list(SCOPES)),
    help="drive sees everything, an existing MemoryVDB included; drive.file only what this app made. Asked for at a "
    "terminal.",
)
@click.option("--browser/--no-browser", default=True, help="Whether to open the consent page here.")
def command(
    account: str | None, client_secret: Path | None, token: Path | None, scope: str | None, browser: bool
) -> None:
    """Get a drive_token.json: allow access to a Google Drive in the browser."""
    try:
        _authorize(account, client_secret, token, scope, browser=browser)
    except SettingsError as error:
        raise WrongSettings(error.message) from error
    except UploadError as error:
        raise AuthorizationFailed(error.message) from error


def _authorize(
    account: str | None, client_secret: Path | None, token: Path | None, scope: str | None, *, browser: bool
) -> None:
    """Raises ClickException, UploadError."""
    host, path = _where(account, token)
    try:
        is_wanted = token is None or _check_named(token)
        secret = client_secret or _client_secret()
        client = read_client(secret, host)
        _check_place(path, secret, host, may_be_damaged=is_wanted)
    except OSError as error:  # a name too long, a folder that is closed
        raise AuthorizationFailed(
            f"{error.filename}: can't be looked at ({error.strerror}); name another file by --token or --client-secret."
        ) from error
    chosen = scope or _ask_scope()

    def show(url: str) -> None:
        click.echo(f"Open this page and allow access:\n\n  {url}\n", err=True)
        click.echo("On another machine's browser: paste the address it ends on here (it won't load).", err=True)
        if browser:
            webbrowser.open(url)

    def save(content: dict[str, Any]) -> None:
        try:
            files.replace(path, json.dumps(content, indent=2).encode() + b"\n")
        except OSError as error:
            raise AuthorizationFailed(f"{path}: the token can't be written ({error.strerror}).") from error

    sign_in(client, chosen, show=show, save=save, typed=_terminal())
    click.echo(f"Wrote {path}: keep it secret.")
    if chosen == "drive.file":
        click.echo("It sees only what this app makes: a MemoryVDB that was made otherwise stays unseen.")


def _where(account: str | None, token: Path | None) -> tuple[str | None, Path]:
    """The emulator's base URL, if one is named, and the path of the token file. Raises SettingsError."""
    try:
        if token is not None:
            return emulator(), token
        settings = load()
    except SettingsError as error:
        if account is None and isinstance(error.__cause__, FileNotFoundError):  # nobody has written settings yet
            return emulator(), Path(os.environ.get(HOME, ""), "drive_token.json")
        raise
    if account is None and len(settings.accounts) > 1:
        names = ", ".join(each.name for each in settings.accounts)
        raise click.UsageError(f"--account: say for which of the settings' accounts: {names}.")
    return settings.emulator, _token_of(settings.accounts[0] if account is None else account_named(settings, account))


def _check_named(token: Path) -> bool:
    """Whether the settings want a token in the place that --token names. Raises UsageError, UploadError."""
    try:
        home = load()
    except SettingsError:  # it goes without settings
        return False
    if os.path.realpath(token) in {os.path.realpath(each.token) for each in home.accounts}:
        return True
    if is_own(token, home):
        raise click.UsageError(f"--token: {token} is one of the home's own files; name another one.")
    if is_source(token, home):
        raise click.UsageError(f"--token: {token} lies in data_root, so it would be uploaded; name another place.")
    return False


def _client_secret() -> Path:
    """Where the OAuth client's file is, if nobody says it: in the home, as the documents have it, or in this folder."""
    home = os.environ.get(HOME) or Path(os.environ.get(PATHS) or "paths.json").parent
    in_home, here = Path(home, "client_secret.json"), Path("client_secret.json")
    return here if here.exists() and not in_home.exists() else in_home


def _token_of(account: AccountConfig) -> Path:
    if account.is_application_default:
        raise AuthorizationFailed(
            f"The account {account.name} takes application-default, which needs no token file; on your own machine run "
            "'gcloud auth application-default login'."
        )
    if account.subject is not None:
        raise AuthorizationFailed(
            f"The account {account.name} acts for {account.subject}, which needs a service account's key; remove "
            "subject from the settings to use a person's token."
        )
    return account.token


def _check_place(path: Path, client_secret: Path, emulator_host: str | None, *, may_be_damaged: bool) -> None:
    """Raise AuthorizationFailed where the token couldn't be written, or would destroy what is there: before consent."""
    if path.is_symlink():
        raise AuthorizationFailed(f"{path}: is a link, as mounted secrets are; name the file itself by --token.")
    if path.exists() and client_secret.exists() and path.samefile(client_secret):
        raise AuthorizationFailed(f"{path}: is the client secret; name another file by --token.")
    if path.exists() and not path.is_file():
        raise AuthorizationFailed(f"{path}: is no file; move it away, or name another file by --token.")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise AuthorizationFailed(f"{path}: nothing can be written there ({error.strerror}).") from None
    try:
        there = token_file.read(path)
    except CredentialsError:
        if may_be_damaged or not path.exists() or not path.stat().st_size:
            return
        raise AuthorizationFailed(
            f"{path}: holds something else than a token; move it away, or name another file by --token."
        ) from None
    if there.kind not in ("authorized_user", "pydrive2"):
        raise AuthorizationFailed(f"{path}: holds {there.kind} credentials; move them away, or name another file.")
    if emulator_host is not None:
        try:
            token_checks.check_endpoint(path, there.fields, emulator_host, GOOGLE_TOKEN_URI)
        except CredentialsError as error:
            raise AuthorizationFailed(error.message) from None


def _ask_scope() -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(
            "--scope: say drive (sees everything, an existing MemoryVDB included) or drive.file (only what this app "
            "made); it is asked for at a terminal only."
        )
    click.echo(WHICH_SCOPE, err=True)
    chosen: str = click.prompt("Scope", type=click.Choice(list(SCOPES)), err=True)
    return chosen


def _terminal() -> TextIO | None:
    """Standard input where it can be waited for, on a terminal or through a pipe."""
    try:
        sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return sys.stdin
