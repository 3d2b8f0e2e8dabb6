"""paths.json and the environment -> Settings: read once for an invocation, frozen."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from function.core.errors import SettingsError, field_first
from function.core.types import Policy

ENVIRONMENT_PREFIX = "DRIVE_UPLOAD_"


class Root(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where on Drive the mirror hangs: a path from My Drive's root, a folder id, or a path in a shared drive."""

    path: str = ""
    folder_id: str | None = None
    drive_id: str | None = None

    @property
    def base(self) -> str:
        """The id the path starts from; `root` is Drive's alias of My Drive's root."""
        return self.folder_id or self.drive_id or "root"

    @property
    def folders(self) -> tuple[str, ...]:
        """The folder names below the base."""
        return tuple(name for name in self.path.split("/") if name)

    @property
    def label(self) -> str:
        """How destinations below it are shown."""
        return "/".join((self.base, *self.folders) if self.base != "root" else self.folders)


class AccountSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One account: its token file and, where it differs, its drive root."""

    token: str
    drive_root: str | Root | None = None


class _PathsJson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    drive_root: str | Root
    data_root: str = "Data"
    state_root: str = "."
    accounts: dict[str, AccountSettings] = msgspec.field(
        default_factory=lambda: {"default": AccountSettings("drive_token.json")}
    )
    if_exists: Policy = Policy.KEEP_BOTH
    lock: Annotated[str, msgspec.Meta(pattern="^(native|lease)$")] = "native"
    deadline_s: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 300


_SCALARS = ("drive_root", "data_root", "state_root", "if_exists", "lock", "deadline_s")


class Account(msgspec.Struct, frozen=True):
    """A resolved account."""

    name: str
    token: Path
    root: Root


class Settings(msgspec.Struct, frozen=True):
    """Resolved settings: absolute paths, one root per account."""

    home: Path
    data_root: Path
    state_root: Path
    accounts: tuple[Account, ...]
    if_exists: Policy
    lock: str
    deadline_s: float
    emulator: str | None
    """Base URL of an emulator (`DRIVE_EMULATOR_HOST`), or None for Google."""

    @property
    def state(self) -> Path:
        """The job's own durable state; what was done on an emulator is kept apart from what was done on Google."""
        endpoint = self.emulator.split("//", 1)[1].replace("/", "_") if self.emulator else "google"
        return self.state_root / ".drive_upload" / endpoint

    @property
    def log(self) -> Path:
        """upload_log.json."""
        return self.state_root / "upload_log.json"


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process.

    Raises SettingsError naming the file, the key's path and what is expected.
    """
    path = Path(environ.get(ENVIRONMENT_PREFIX + "PATHS") or "paths.json").absolute()
    return resolve(_read(path, environ), path.parent, environ)


def _read(path: Path, environ: Mapping[str, str]) -> _PathsJson:
    try:
        document = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError as error:
        raise SettingsError(
            f'{path}: no such settings file; write {{"drive_root": "MemoryVDB"}} into it or set DRIVE_UPLOAD_PATHS.'
        ) from error
    except OSError as error:
        raise SettingsError(f"{path}: the settings file can't be read ({error.strerror}).") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"{path}: not valid JSON ({error}).") from error
    if not isinstance(document, dict):
        raise SettingsError(f'{path}: must hold a JSON object such as {{"drive_root": "MemoryVDB"}}.')
    return _convert(path, document, environ)


def _convert(path: Path, document: dict[str, Any], environ: Mapping[str, str]) -> _PathsJson:
    for key in _SCALARS:
        value = environ.get(ENVIRONMENT_PREFIX + key.upper())
        if value is not None:
            document[key] = _number(key, value) if key == "deadline_s" else value
    try:
        return msgspec.convert(document, _PathsJson)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {field_first(error)}") from error


def _number(key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise SettingsError(f"{ENVIRONMENT_PREFIX}{key.upper()}: {value!r} is not a number of seconds.") from error


def resolve(document: _PathsJson, home: Path, environ: Mapping[str, str]) -> Settings:
    """Settings with every path absolute and every root whole; raises SettingsError."""
    if not document.accounts:
        raise SettingsError("paths.json: accounts: name at least one account.")
    accounts = tuple(_account(name, account, document, home) for name, account in document.accounts.items())
    return Settings(
        home=home,
        data_root=home / document.data_root,
        state_root=home / document.state_root,
        accounts=accounts,
        if_exists=document.if_exists,
        lock=document.lock,
        deadline_s=document.deadline_s,
        emulator=_emulator(environ.get("DRIVE_EMULATOR_HOST")),
    )


def _account(name: str, account: AccountSettings, document: _PathsJson, home: Path) -> Account:
    if not name or "/" in name or name.startswith("."):
        raise SettingsError(f"paths.json: accounts: {name!r} can't be an account's name; use letters and digits.")
    root = account.drive_root if account.drive_root is not None else document.drive_root
    return Account(name, home / account.token, _root(root, f"accounts.{name}" if account.drive_root else "drive_root"))


def _root(value: str | Root, where: str) -> Root:
    root = Root(path=value) if isinstance(value, str) else value
    if root.folder_id and root.drive_id:
        raise SettingsError(f"paths.json: {where}: give folder_id or drive_id, not both.")
    if not isinstance(value, str) and not (root.folder_id or root.drive_id):
        raise SettingsError(f"paths.json: {where}: an object needs folder_id, or drive_id with path.")
    if any(name in (".", "..") or "\0" in name for name in root.folders):
        raise SettingsError(f"paths.json: {where}: {root.path!r} must be plain folder names joined by '/'.")
    return root


def _emulator(host: str | None) -> str | None:
    if not host:
        return None
    return (host if "://" in host else f"http://{host}").rstrip("/")
