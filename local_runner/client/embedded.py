"""The embedded Drive of a home: kept in `.drive_emulator/` beside its settings, so that it is the same one next time.

    .drive_emulator/drive/      what the Drive holds
    .drive_emulator/port        where it answered last; taken again when it is free
    .drive_emulator/*.json      tokens for it, one per account: the home's own tokens are never sent to an emulator

The job keeps what it knows of a Drive under the Drive's address. When the address changes, that knowledge moves along;
when the Drive is new, what another one left behind under the same address goes.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import msgspec

from function.core.types import Root
from function.home.network import EMULATOR_HOST
from function.home.settings import VARIABLES, AccountConfig, Settings, load
from function.state import files
from local_runner.client.home import FOLDER
from local_runner.drive_emulator import DriveEmulator


@dataclass(frozen=True, slots=True)
class Embedded:
    """An embedded Drive that is up."""

    drive: DriveEmulator
    folder: Path
    environment: dict[str, str]
    """What points the function at it."""


class EmbeddedFailed(click.ClickException):
    """The embedded Drive can't be started; the message says why."""

    exit_code = 75


@contextmanager
def embedded_drive(environ: Mapping[str, str] = os.environ) -> Iterator[Embedded]:
    """The embedded Drive of the home that the environment names, until the block ends.

    Raises SettingsError, EmbeddedFailed.
    """
    settings = load({**environ, EMULATOR_HOST: ""})
    folder = settings.home / FOLDER
    with ExitStack() as up:
        try:
            folder.mkdir(exist_ok=True, mode=0o700)
            up.enter_context(_alone(folder / "lock"))
            drive = up.enter_context(_started(folder, settings))
            accounts = _accounts(settings, drive)
        except OSError as error:
            where, why = error.filename or folder, error.strerror or error
            raise EmbeddedFailed(f"{where}: the embedded Drive can't be kept there ({why}).") from error
        yield Embedded(drive, folder, {VARIABLES["accounts"]: json.dumps(accounts), EMULATOR_HOST: drive.url})


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with open(path, "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EmbeddedFailed(
                f"{path.parent}: another command has this home's embedded Drive up; end it first."
            ) from error
        yield


@contextmanager
def _started(folder: Path, settings: Settings) -> Iterator[DriveEmulator]:
    kept, remembered = folder / "drive", folder / "port"
    is_new = not kept.exists()
    old_port = _port(remembered)
    emails = [f"{quote(each.name, safe='')}@example.com" for each in settings.accounts]
    try:
        drive = DriveEmulator(kept, port=old_port, emails=emails)
    except OSError:  # someone else has the port now
        drive = DriveEmulator(kept, port=0, emails=emails)
    with drive:
        _move_state(settings, old_port if old_port != drive.port else None, drive.port, is_new=is_new)
        files.replace(remembered, str(drive.port).encode())
        yield drive


def _port(remembered: Path) -> int:
    """The port of last time; 0 where it isn't known."""
    try:
        port = int(remembered.read_text())
    except (FileNotFoundError, ValueError):
        return 0
    return port if 0 < port < 2**16 else 0


def _move_state(settings: Settings, old_port: int | None, port: int, *, is_new: bool) -> None:
    new = _state(settings, port)
    old = _state(settings, old_port) if old_port else None
    if is_new or old is not None:
        shutil.rmtree(new, ignore_errors=True)
    if old is not None and is_new:
        shutil.rmtree(old, ignore_errors=True)
    elif old is not None and old.exists():
        old.rename(new)


def _state(settings: Settings, port: int) -> Path:
    return msgspec.structs.replace(settings, emulator=f"http://127.0.0.1:{port}").state


def _accounts(settings: Settings, drive: DriveEmulator) -> dict[str, Any]:
    """The home's accounts, each with a token for that Drive."""
    accounts = {}
    for each in settings.accounts:
        email, root = quote(each.name, safe=""), each.root
        _write_token(drive, settings.home / FOLDER / f"{email}.json", f"{email}@example.com", each)
        accounts[each.name] = {
            "token": f"{FOLDER}/{email}.json",
            "drive_root": _without_none(root) if root.folder_id or root.drive_id else root.path,
        }
    return accounts


def _without_none(root: Root) -> dict[str, str]:
    return {name: value for name, value in msgspec.to_builtins(root).items() if value is not None}


def _write_token(drive: DriveEmulator, path: Path, email: str, account: AccountConfig) -> None:
    """A token for that account; the grant stays what it was, so that the job need not ask anew whose token it is.

    It names the token that it stands for: a file that a token leads to is never a source, and the settings name the
    real one no more while the Drive is up.
    """
    before: dict[str, Any] = {}
    with suppress(OSError, ValueError, RecursionError, TypeError):
        before = dict(json.loads(path.read_bytes()))
    drive.write_token(path, email)
    token = json.loads(path.read_bytes())
    if not account.is_application_default:
        token["stands_for"] = str(account.token)
    if "refresh_token" in before:
        token["refresh_token"] = before["refresh_token"]
    files.replace(path, json.dumps(token, indent=2).encode())
