"""paths.json and the environment -> Settings: read once for an invocation, frozen.

`PathsJson` is the one place where a setting is written: its name, type, default and line of documentation. Its
environment variable follows from its name, and the README's table is tested against it.
"""

import difflib
import json
import os
import re
import shlex
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import msgspec

from function.core.errors import SettingsError
from function.core.misfit import misfit
from function.core.naming import quoted
from function.core.types import Policy, Root
from function.home.network import EMULATOR_HOST, PLAIN_HTTP, emulator_url

PREFIX = "DRIVE_UPLOAD_"
PATHS = PREFIX + "PATHS"
HOME = PREFIX + "HOME"

APPLICATION_DEFAULT = "application-default"
"""In a token's place: Google's Application Default Credentials."""

EXCLUDE = (
    # version control
    ".git/", ".hg/", ".svn/",
    # what systems leave in folders
    ".DS_Store", "._*", ".Spotlight-V100/", ".Trashes/", ".fseventsd/", ".Trash-*/", "lost+found/",
    "Thumbs.db", "ehthumbs.db", "desktop.ini", "$RECYCLE.BIN/", ".directory", ".nfs*", ".fuse_hidden*",
    # what editors leave beside a file
    "*~", ".*.sw[a-p]", ".#*", "\\#*#", ".~lock.*#", "~$*", "*.tmp",
    # downloads under way
    "*.part", "*.partial", "*.crdownload", "*.download",
)  # fmt: skip
"""What a walk over a folder leaves out, in the patterns of gitignore."""

_FILE_MAX_BYTES = 1024 * 1024

_NO_FILE = "it is no file of less than 1 MB"

_RATE = re.compile(r"(?P<number>\d{1,15}(?:\.\d{1,9})?)\s*(?P<unit>[BKMGT])(?:i?B)?", re.IGNORECASE)

_TOKEN_ITSELF = re.compile(r"\s*(?:[{\[]|-----BEGIN|ya29\.|1//|GOCSPX-)")
"""How a token, a key or their JSON begins, where the path of its file is wanted."""

_FOLDER_ADDRESS = re.compile(
    r"(?:https?://)?drive\.google\.com/drive/(?:[^?#\s]*/)?folders/(?P<id>[A-Za-z0-9_-]+)/?(?:[?#]\S*)?"
)
"""As the browser shows it: /drive/folders/ID, /drive/u/1/folders/ID, /drive/mobile/folders/ID?usp=sharing."""

_ID = re.compile(r"(?P<id>[A-Za-z0-9_-]+)(?:\?\S*)?")
"""An id, with what is copied along from an address."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|(?:www|drive|docs)\.google\.", re.IGNORECASE)

_NOT_DRIVES = re.compile(r"""(["']).*\1$|~(/|$)|\$[{A-Za-z_]|[a-z][a-z0-9+.-]*:/""", re.IGNORECASE)
"""Of a shell, an env file or another system: none of them means a folder's name."""

_Path = Annotated[str, msgspec.Meta(min_length=1, title="a path")]

_Email = Annotated[str, msgspec.Meta(pattern=r"^[^@\s]+@[^@\s]+$", max_length=320, title="an e-mail address")]

_Pattern = Annotated[str, msgspec.Meta(min_length=1, title="a pattern of gitignore")]


class AccountEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of `accounts`, as it is written."""

    token: _Path
    drive_root: str | Root | None = None
    subject: _Email | None = None


def _says(line: str, wanted: str | None = None) -> msgspec.Meta:
    """A setting's line of documentation and, where its type doesn't say it, what it accepts."""
    return msgspec.Meta(description=line, title=wanted)


class PathsJson(msgspec.Struct, frozen=True, kw_only=True):
    """The settings as they are written."""

    drive_root: Annotated[
        str | Root,
        _says(
            "folder path from My Drive's root, a folder's address as the browser shows it, "
            '`{"folder_id": "…"}`, or `{"drive_id": "…", "path": "…"}` for a shared drive'
        ),
    ]
    data_root: Annotated[_Path, _says("where files come from; nothing outside is ever read for upload")] = "Data"
    state_root: Annotated[_Path, _says("where the log, the locks and `.drive_upload/` live")] = "."
    accounts: Annotated[
        dict[str, AccountEntry],
        _says(
            'name → `{"token": path, "drive_root"?: …, "subject"?: e-mail}`; more than one: the file goes to every '
            'account. `"token": "application-default"` takes Google\'s Application Default Credentials; `subject` is '
            "the user that a service account acts for"
        ),
    ] = msgspec.field(default_factory=lambda: {"default": AccountEntry("drive_token.json")})
    if_exists: Annotated[
        Policy,
        _says("what to do where the name holds other content: `keep_both`, `skip`, `fail` or `new_revision`"),
    ] = Policy.KEEP_BOTH
    lock: Annotated[
        Literal["native", "lease"], _says("`lease` for volumes without kernel locks, such as Cloud Run's NFS mounts")
    ] = "native"
    deadline_s: Annotated[
        float,
        msgspec.Meta(gt=0, le=86400),
        _says(
            "seconds for one invocation; the answer comes at most 5 s later",
            "a number of seconds, above 0 and up to 86400",
        ),
    ] = 300
    exclude: Annotated[
        list[_Pattern],
        _says(
            "gitignore patterns of what a walk over a folder leaves out; a file that is named itself is never left out",
            "a list of patterns",
        ),
    ] = msgspec.field(default_factory=lambda: list(EXCLUDE))
    bandwidth_limit: Annotated[
        str | None,
        _says(
            'bytes a second for all transfers of a process, as rclone writes it: `"4M"`, `"512K"`',
            'a text such as "4M", or null',
        ),
    ] = None
    log_max_mb: Annotated[
        float,
        msgspec.Meta(gt=0, le=1_000_000),
        _says(
            "a longer log is closed, kept as `upload_log-<time>.json`, and a new one begun",
            "a number of megabytes, above 0 and up to 1000000",
        ),
    ] = 256


_FIELDS = msgspec.structs.fields(PathsJson)

_STRUCTURED = ("accounts", "exclude")
"""Settings whose variable holds JSON; `drive_root` may."""

VARIABLES = {field.name: PREFIX + field.name.upper() for field in _FIELDS}
"""Setting -> environment variable."""


class AccountConfig(msgspec.Struct, frozen=True):
    """An account of the settings, resolved."""

    name: str
    token: Path
    """Absolute, except where it is APPLICATION_DEFAULT."""
    root: Root
    subject: str | None = None
    """The user that a service account acts for."""

    @property
    def is_application_default(self) -> bool:
        """Whether Google's Application Default Credentials are to be used, instead of a token file."""
        return self.token == Path(APPLICATION_DEFAULT)


class Settings(msgspec.Struct, frozen=True):
    """Resolved settings: absolute paths, one root per account."""

    home: Path
    paths_json: Path
    """The settings file, which may be absent."""
    data_root: Path
    state_root: Path
    accounts: tuple[AccountConfig, ...]
    if_exists: Policy
    lock: str
    deadline_s: float
    exclude: tuple[str, ...]
    """Gitignore patterns."""
    bandwidth_limit: int | None
    """Bytes a second."""
    log_max_mb: float
    emulator: str | None
    """Base URL of an emulator (`DRIVE_EMULATOR_HOST`), or None for Google."""

    @property
    def state(self) -> Path:
        """The job's own durable state; what was done on an emulator is kept apart from what was done on Google."""
        endpoint = self.emulator.split("//", 1)[1].replace("/", "_") if self.emulator else "google"
        return self.state_folder / endpoint

    @property
    def state_folder(self) -> Path:
        """`.drive_upload/`, of all endpoints."""
        return self.state_root / ".drive_upload"

    @property
    def log(self) -> Path:
        """upload_log.json."""
        return self.state_root / "upload_log.json"


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process.

    Raises SettingsError naming the file or variable, the key's path and what is expected.
    """
    if sys.getfilesystemencoding() != "utf-8":
        raise SettingsError(f"The locale's names of files are {sys.getfilesystemencoding()}; set PYTHONUTF8=1.")
    given = {name: value for name, value in environ.items() if name.startswith(PREFIX) and value}
    _refuse_unknown(given)
    path = Path(given.get(PATHS) or Path(given.get(HOME, "."), "paths.json")).absolute()
    home = Path(given[HOME]).absolute() if HOME in given else path.parent
    document, where = _document(path, given)
    return _resolved(_converted(document, where), where, home, path, environ)


def emulator(environ: Mapping[str, str] = os.environ) -> str | None:
    """The base URL of the emulator that the environment names, or None for Google. Raises SettingsError."""
    return emulator_url(environ.get(EMULATOR_HOST), environ.get(PLAIN_HTTP))


def check_drive_root(text: str, where: str) -> None:
    """Raise SettingsError where the text can't be the setting drive_root; `where` it stands is named."""
    kind = next(each.type for each in _FIELDS if each.name == "drive_root")
    _root(_checked(kind, text, where), where)


def default_credentials() -> list[Path]:
    """Where Google's Application Default Credentials may lie, the first that counts first.

    Source: AIP-4110; `gcloud topic configurations` (CLOUDSDK_CONFIG).
    """
    named, folder = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"), os.environ.get("CLOUDSDK_CONFIG")
    folders = [*([folder] if folder else []), os.path.expanduser("~/.config/gcloud")]
    gclouds = [Path(each, "application_default_credentials.json") for each in folders]
    return [*([Path(named)] if named else []), *gclouds]


def documentation() -> list[str]:
    """The rows of the README's table of settings."""
    rows = []
    for field in _FIELDS:
        default = "required" if field.required else f"`{msgspec.json.encode(_default(field)).decode()}`"
        if field.name == "accounts":
            default = '`{"default": {"token": "drive_token.json"}}`'
        rows.append(f"| `{field.name}` | {default if len(default) < 60 else 'below'} | {_description(field.type)} |")
    return rows


def _default(field: msgspec.structs.FieldInfo) -> object:
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


def _description(annotated: Any) -> str:
    return str(next(each.description for each in annotated.__metadata__ if each.description))


def _refuse_unknown(given: Mapping[str, str]) -> None:
    known = [PATHS, HOME, *VARIABLES.values()]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, cutoff=0.85)
            hint = f"write {near[0]} if that was meant" if near else f"there are {', '.join(known)}"
            raise SettingsError(f"{quoted(name)[1:-1]}: there is no such variable; {hint}.")


def _document(path: Path, given: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings as they are written, and for each where it is written: the variable wins over the file."""
    document = _file(path, may_be_absent=VARIABLES["drive_root"] in given)
    for name in document:
        if name not in VARIABLES:
            raise SettingsError(
                f"{path}: {quoted(name)[1:-1]}: there is no such setting; there are {', '.join(VARIABLES)}."
            )
    where = {name: f"{path}: {name}" for name in VARIABLES}
    for field in _FIELDS:
        variable = VARIABLES[field.name]
        if variable in given:
            document[field.name] = _value(field, given[variable], variable)
            where[field.name] = variable
    return document, where


def _file(path: Path, *, may_be_absent: bool) -> dict[str, Any]:
    try:
        document = _loads(_content(path).removeprefix(b"\xef\xbb\xbf"))
    except FileNotFoundError as error:
        if may_be_absent:
            return {}
        if above := next((each for each in path.parents[1:] if os.path.isfile(each / path.name)), None):
            raise SettingsError(
                f"{path}: no such settings file, but {above} is a home: call with --home {shlex.quote(str(above))}"
                f" (or {HOME})."
            ) from None
        raise SettingsError(
            f"{path}: no such settings file{'' if path.parent.is_dir() else ', nor its folder'};"
            ' run \'drive-upload init\' there, write {"drive_root": "MemoryVDB"} into it, '
            f"name another one with {PATHS}, or set {VARIABLES['drive_root']}."
        ) from error
    except OSError as error:
        raise SettingsError(f"{path}: the settings file can't be read ({error.strerror}).") from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: not valid JSON ({str(error)[:100]}).") from error
    if not isinstance(document, dict):
        raise SettingsError(f'{path}: must hold a JSON object such as {{"drive_root": "MemoryVDB"}}.')
    return document


def _loads(content: bytes) -> Any:
    """The JSON document. Raises ValueError, msgspec.DecodeError, RecursionError."""
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        try:  # of half a character msgspec says that the data was cut short
            json.dumps(json.loads(content), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a \\u escape is half a character; write the character itself") from None
        except ValueError:
            raise error from None
        raise


def _content(path: Path) -> bytes:
    """What a file of settings holds. Raises OSError, ValueError."""
    with regular_file(path) as file:
        if os.fstat(file.fileno()).st_size > _FILE_MAX_BYTES:
            raise ValueError(_NO_FILE)
        return file.read(_FILE_MAX_BYTES)


@contextmanager
def regular_file(path: Path) -> Iterator[BinaryIO]:
    """A regular file, open to be read: a FIFO in its place would never end. Raises OSError, ValueError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError(_NO_FILE)
        yield file


def _value(field: msgspec.structs.FieldInfo, text: str, variable: str) -> object:
    """What a variable says: text and numbers as they are, objects and lists as JSON."""
    if field.name in _STRUCTURED or (field.name == "drive_root" and text.lstrip().startswith("{")):
        try:
            return _loads(text.encode("utf-8", "surrogateescape"))
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise SettingsError(f"{variable}: not valid JSON ({str(error)[:100]}).") from error
    try:
        return msgspec.convert(text, field.type, strict=False)
    except (msgspec.ValidationError, UnicodeError):
        return text  # to be refused as in the file


def _converted(document: Mapping[str, Any], where: Mapping[str, str]) -> PathsJson:
    values = {}
    for field in _FIELDS:
        if field.name in document:
            values[field.name] = _checked(field.type, document[field.name], where[field.name])
        elif field.required:
            raise SettingsError(f'{where[field.name]}: is missing; write for example {{"{field.name}": "MemoryVDB"}}.')
    return PathsJson(**values)


def _checked(kind: Any, value: object, where: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise SettingsError(misfit(value, kind, where)) from error


def _resolved(
    document: PathsJson, where: Mapping[str, str], home: Path, path: Path, environ: Mapping[str, str]
) -> Settings:
    """Settings with every path absolute and every root whole. Raises SettingsError."""
    if not document.accounts:
        raise SettingsError(f"{where['accounts']}: name at least one account.")
    root = _root(document.drive_root, where["drive_root"])
    return Settings(
        home=home,
        paths_json=path,
        data_root=home / _path(document.data_root, where["data_root"]),
        state_root=home / _path(document.state_root, where["state_root"]),
        accounts=tuple(
            _account(name, entry, root, home, where["accounts"]) for name, entry in document.accounts.items()
        ),
        if_exists=document.if_exists,
        lock=document.lock,
        deadline_s=document.deadline_s,
        exclude=tuple(document.exclude),
        bandwidth_limit=_rate(document.bandwidth_limit, where["bandwidth_limit"]),
        log_max_mb=document.log_max_mb,
        emulator=emulator(environ),
    )


def _account(name: str, entry: AccountEntry, root: Root, home: Path, where: str) -> AccountConfig:
    is_name = name.isprintable() and name.strip() == name and 0 < len(name.encode("utf-8", "replace")) <= 100
    if not is_name or "/" in name or name.startswith("."):
        raise SettingsError(f"{where}: {quoted(name)} can't be an account's name; use letters and digits.")
    at = f"{where}.{name}"
    if _TOKEN_ITSELF.match(entry.token):
        raise SettingsError(f"{at}.token: is the token itself; write it to a file and give the file's path.")
    token = Path(entry.token) if entry.token == APPLICATION_DEFAULT else home / _path(entry.token, f"{at}.token")
    own = root if entry.drive_root is None else _root(entry.drive_root, f"{at}.drive_root")
    return AccountConfig(name, token, own, entry.subject)


def _path(text: str, where: str) -> str:
    if "\0" in text or not text.strip():
        raise SettingsError(f"{where}: {quoted(text)} is no path.")
    try:
        os.fsencode(text)
    except UnicodeError as error:
        raise SettingsError(f"{where}: {quoted(text)} is no path of this system.") from error
    return text


def _rate(text: str | None, where: str) -> int | None:
    """Bytes a second. K, M, G, T count in steps of 1024, as rclone's do."""
    if text is None or text == "off":
        return None
    found = _RATE.fullmatch(text.strip())
    rate = int(float(found["number"]) * 1024 ** "BKMGT".index(found["unit"].upper())) if found else 0
    if not rate:
        raise SettingsError(
            f'{where}: {quoted(text)} is no rate; write bytes a second with their unit, such as "4M" or "512K".'
        )
    return rate


def _root(value: str | Root, where: str) -> Root:
    """The root that a setting names; `where` it stands is named in the SettingsError."""
    if isinstance(value, Root):
        return _root_object(value, where)
    address = _FOLDER_ADDRESS.fullmatch(value.strip())
    if address:
        return Root(folder_id=address["id"])
    _check_drive_path(value, where)
    if not Root(path=value).folders:
        raise SettingsError(
            f'{where}: names no folder; write a path such as "MemoryVDB",'
            ' or {"folder_id": "root"} for My Drive itself.'
        )
    return Root(path=value)


def _root_object(root: Root, where: str) -> Root:
    if root.folder_id is not None and root.drive_id is not None:
        raise SettingsError(f"{where}: give folder_id or drive_id, not both.")
    if root.folder_id is None and root.drive_id is None:
        raise SettingsError(f"{where}: an object needs folder_id, or drive_id with path.")
    _check_drive_path(root.path, where)
    return msgspec.structs.replace(
        root,
        folder_id=None if root.folder_id is None else _drive_id(root.folder_id, f"{where}.folder_id"),
        drive_id=None if root.drive_id is None else _drive_id(root.drive_id, f"{where}.drive_id"),
    )


def _drive_id(value: str, where: str) -> str:
    found = _FOLDER_ADDRESS.fullmatch(value.strip()) or _ID.fullmatch(value.strip())
    if not found:
        raise SettingsError(f"{where}: {quoted(value)} is no id; copy what stands behind folders/ in its address.")
    return found["id"]


def _check_drive_path(path: str, where: str) -> None:
    """Raise SettingsError for what can't be meant as a path of folders on Drive."""
    names = path.strip("/").split("/") if path.strip("/") else []
    if _ADDRESS.match(path.strip()):
        wanted = "a folder's address is https://drive.google.com/drive/folders/ID"
        raise SettingsError(f"{where}: {quoted(path)} is an address, but not a folder's; {wanted}.")
    if "\\" in path:
        raise SettingsError(f"{where}: {quoted(path)} holds a backslash; join the folders' names by '/'.")
    if path.lstrip().startswith(("{", "[")):
        raise SettingsError(f"{where}: {quoted(path)} is JSON inside a text; write the object itself, without quotes.")
    if _NOT_DRIVES.match(path.strip()):
        raise SettingsError(
            f"{where}: {quoted(path)} is no path on Drive (quotes, a variable, '~' or a disk stand in it);"
            " write folder names joined by '/', such as MemoryVDB or Backups/Memory."
        )
    if any(name in (".", "..") or not name.isprintable() or name != name.strip() for name in names):
        raise SettingsError(
            f"{where}: {quoted(path)} must be plain folder names joined by '/',"
            " without '.', '..', control characters and spaces at their ends."
        )
