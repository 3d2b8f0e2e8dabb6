"""A path of a request -> a place below `data_root` that is none of the job's own files.

Nothing outside `data_root` is ever opened for its content, and nothing in it that is the job's own: the path is
resolved, symlinks included, before anything is opened.
"""

import errno
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from function.core.cached import cached_property
from function.core.errors import SourceError, UploadError, VolumeUnavailable
from function.core.naming import quoted
from function.home.settings import Settings, default_credentials, regular_file

_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)

_FORBIDDEN = (errno.EACCES, errno.EPERM)


class Location(msgspec.Struct, frozen=True):
    """Where a source is: its resolved path, and its path relative to `data_root`, which the destination mirrors."""

    path: str
    relative: str
    shown: str
    """Relative to the home, as the log and messages have it."""
    status: os.stat_result | None = None
    """What is there, where the search for links has seen it already."""

    def look(self) -> os.stat_result:
        """What is there.

        What isn't there is looked for once more after its folder was listed: NFS remembers for up to a minute that a
        name was not there (nfs(5), lookupcache). Raises SourceError, VolumeUnavailable.
        """
        try:
            try:
                return self.status or os.stat(self.path)
            except FileNotFoundError:
                status = _look_in_folder(self.path)
        except OSError as error:
            raise unusable(self.shown, error) from error
        if stat.S_ISLNK(status.st_mode):  # it was resolved as if there were none
            raise SourceError(f"{self.shown} appeared while it was looked for; call again.", reason="source_changed")
        return status


def _look_in_folder(path: str) -> os.stat_result:
    """The status of an absolute path, not followed; what isn't there is looked for again after its folder was listed.

    Raises OSError.
    """
    at, status = "/", os.lstat("/")
    for name in path.strip("/").split("/"):
        folder, at = at, os.path.join(at, name)
        try:
            status = os.lstat(at)
        except FileNotFoundError:
            names = os.listdir(folder)
            try:
                status = os.lstat(at)
            except FileNotFoundError as error:
                if name in names:  # the volume contradicts itself
                    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), at) from error
                raise
    return status


class DataRoot(msgspec.Struct, dict=True):
    """The data root as one invocation sees it: each folder is resolved once, each file looked at once."""

    home: Path
    path: Path
    _resolved: dict[str, str] = msgspec.field(default_factory=dict)

    @cached_property
    def _name(self) -> str:
        return os.path.relpath(self.path, self.home)

    def _below_home(self, relative: str) -> str:
        """A path that is relative to `data_root`, relative to the home."""
        return os.path.normpath(f"{self._name}/{relative}")

    def locate(self, given: str) -> Location:
        """Resolve a request's path.

        Raises SourceError (path_outside_data_root, source_missing, source_not_a_file), VolumeUnavailable.
        """
        asked = os.path.join(self.home, given)
        lexical = os.path.normpath(asked)
        folder, name = os.path.split(lexical)
        try:
            if ".." in given or not name:  # `..` behind a link leads elsewhere than it seems
                return self._located(given, os.path.realpath(asked), lexical)
            real = os.path.join(self._real(folder), name)
            status = _look(real)
            if status and stat.S_ISLNK(status.st_mode):
                return self._located(given, os.path.realpath(real), lexical)
            return self._located(given, real, lexical, status, is_plain=True)
        except ValueError as error:  # NUL, lone surrogates
            raise SourceError(f"{quoted(given)} is no path of this system.", reason="source_missing") from error
        except OSError as error:
            raise unusable(quoted(given), error) from error

    def _located(
        self, given: str, real: str, lexical: str, status: os.stat_result | None = None, *, is_plain: bool = False
    ) -> Location:
        root = self._real(str(self.path))
        inside = "" if real == root else _below(real, root)
        if (status is None or not inside) and not os.path.isdir(root):  # before the path is blamed for it
            what = "is no folder" if os.path.exists(root) else "is not there"
            raise VolumeUnavailable(f"{self.path}: data_root {what}; mount it or mend the setting, and call again.")
        if inside is None:
            raise SourceError(
                f"{quoted(given)} lies outside data_root ({self.path.name}); only files in it are uploaded.",
                reason="path_outside_data_root",
            )
        if not inside:
            raise SourceError(f"{quoted(given)} is a folder; name a file in it.", reason="source_not_a_file")
        shown = _below(lexical, os.path.normpath(self.path)) or _below(lexical, root)
        if shown and (is_plain or os.path.realpath(lexical) == real):
            return Location(real, shown, self._below_home(shown), status)
        return Location(real, inside, self._below_home(inside), status)

    @cached_property
    def is_empty(self) -> bool:
        """Whether it shows nothing at all, as the mount point of a volume that is away does."""
        with suppress(OSError):
            return not _entries(str(self.path))
        return False

    def _real(self, folder: str) -> str:
        if folder not in self._resolved:
            self._resolved[folder] = os.path.realpath(folder)
        return self._resolved[folder]


def _look(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _below(path: str, folder: str) -> str | None:
    """The path relative to the folder, None outside of it."""
    inside = folder.rstrip("/") + "/"
    return path[len(inside) :] if path.startswith(inside) else None


def unusable(shown: str, error: OSError) -> UploadError:
    """What the volume's answer means for a source: only a missing file and missing rights are the file's own fault."""
    if error.errno in _MISSING:
        return SourceError(f"{shown}: no such file.", reason="source_missing")
    if error.errno == errno.ELOOP:
        return SourceError(f"{shown} is a link that leads back to itself.", reason="source_missing")
    if error.errno in _FORBIDDEN:
        return SourceError(f"{shown} can't be read ({error.strerror}).", reason="source_unreadable")
    return VolumeUnavailable(f"{shown} can't be read now ({error.strerror}); mend the volume and call again.")


Identity = tuple[int, int]
"""Device and inode: what makes two names one file."""

_MOUNTS = "/proc/self/mountinfo"

_CLIENT_SECRET = "client_secret.json"  # noqa: S105 - a name, where `authorize` looks for it

_MORE_NAMES = {
    "upload_log.json": r"upload_log-.*\.json",  # what was closed
    _CLIENT_SECRET: r"client_secrets?\b.*|client_secret_.*\.json",  # as PyDrive2 calls it, and as Google's console does
}
"""Names, as a regular expression, that an own file has besides."""

_NAMED_MAX_BYTES = 1024 * 1024
"""What is read of a file that may name others."""

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_TOKEN_OF_SETTINGS = re.compile(r'"token"\s*:\s*' + _STRING.pattern)
"""Strings of JSON, and what accounts call their tokens; also where the file is damaged, or half of it is written."""


class OwnFiles(msgspec.Struct, dict=True):
    """The own files of one home, as one invocation sees them."""

    settings: Settings
    _folders: dict[str, bool] = msgspec.field(default_factory=dict)
    """Folder -> whether it is one of the state's."""

    def check(self, location: Location, status: os.stat_result) -> None:
        """Raise SourceError (source_forbidden) where the source is one of them, VolumeUnavailable."""
        try:
            is_own = self._hold(location.path, status)
        except OSError as error:
            raise VolumeUnavailable(
                f"{error.filename or self._state}: can't be read ({error.strerror}), so that it isn't known whether"
                f" {location.shown} is one of the job's own files; mend the volume and call again."
            ) from error
        if is_own:
            raise SourceError(
                f"{location.shown} is the job's own (token, client secret, settings, log, lock or state);"
                " they are never uploaded.",
                reason="source_forbidden",
            )

    def has_name_of_one(self, path: str) -> bool:
        """Whether a path without links is one of theirs by its name alone, as it would be refused whatever it holds."""
        folder, name = os.path.split(path)
        return _leads_to(self._state, path) or any(
            folder == own_folder and _belongs_to(name, own) for own_folder, own in self._places
        )

    def _hold(self, path: str, status: os.stat_result) -> bool:
        """Raises OSError where that can't be known, as where one of the files' folders is out of reach."""
        if _identity(status) in self._identities or self.has_name_of_one(path):
            return True
        if self._is_mounted_apart(path) and self._is_folder_of_state(os.path.dirname(path)):
            return True
        return self._may_have_another_name(path, status) and _identity(status) in self._all_files

    @cached_property
    def _paths(self) -> list[Path]:
        settings = self.settings
        # Variables may name other settings, and other tokens: what stands in the home is as secret.
        written = {settings.paths_json, settings.home / "paths.json"}
        tokens = [settings.home / "drive_token.json"]
        tokens += [each.token for each in settings.accounts if not each.is_application_default]
        tokens += [each for file in written for each in _named_in(file, _TOKEN_OF_SETTINGS, str(settings.home))]
        return [
            *written,
            settings.log,
            settings.state_root / "drive_upload.lock",
            settings.home / _CLIENT_SECRET,
            *tokens,
            *self._credentials,
            *_led_to([*tokens, *self._credentials]),
        ]

    @cached_property
    def _credentials(self) -> list[Path]:
        """Google's own files, whether an account uses them or not."""
        return default_credentials()

    @cached_property
    def _identities(self) -> set[Identity | None]:
        found = {_identity_of(path) for path in self._paths if path not in self._credentials}
        for path in self._credentials:
            with suppress(PermissionError):  # in another user's home; what has one name only is no link to it
                found.add(_identity_of(path))
        return found

    @cached_property
    def _places(self) -> list[tuple[str, str]]:
        """The folder and name of each."""
        real = {folder: os.path.realpath(folder) for folder in {path.parent for path in self._paths}}
        return [(real[path.parent], path.name) for path in self._paths]

    @cached_property
    def _state(self) -> str:
        return os.path.realpath(self.settings.state_folder)

    @cached_property
    def _mounts(self) -> set[str]:
        try:
            with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as table:
                return {_unescaped(line.split(" ")[4]) for line in table}
        except FileNotFoundError:  # no Linux: no bind mounts
            return set()

    def _is_mounted_apart(self, path: str) -> bool:
        """Whether a mount leads to the path or to the state, but not to both: one can be the other's bind mount."""
        return self._mounts_above(path) != self._mounts_above_state

    def _mounts_above(self, path: str) -> set[str]:
        """The mounts that lead to the path."""
        above, found = path, set()
        while True:
            if above in self._mounts:
                found.add(above)
            if above == (above := os.path.dirname(above)):
                return found

    @cached_property
    def _mounts_above_state(self) -> set[str]:
        return self._mounts_above(self._state)

    @cached_property
    def _has_mount_in_state(self) -> bool:
        return any(_leads_to(self._state, each) for each in self._mounts)

    def _is_folder_of_state(self, folder: str) -> bool:
        """Whether the folder, or one that it lies in, is one of the state's under another path."""
        if folder not in self._folders:
            above = os.path.dirname(folder)
            is_one = _identity_of(folder) in self._state_folders
            self._folders[folder] = is_one or (above != folder and self._is_folder_of_state(above))
        return self._folders[folder]

    def _may_have_another_name(self, path: str, status: os.stat_result) -> bool:
        """Whether the file has a hard link, or it or one of the state's files is a mount of its own.

        A folder, looked at for a file that isn't there yet, has none: what it counts as links are the folders in it.
        """
        if stat.S_ISDIR(status.st_mode):
            return False
        return status.st_nlink > 1 or path in self._mounts or self._has_mount_in_state

    @cached_property
    def _state_folders(self) -> set[Identity]:
        top = _identity_of(self._state)
        below = {each for each, is_folder in _walk(self._state, with_shards=False) if is_folder}
        return below | {top} if top else below

    @cached_property
    def _all_files(self) -> set[Identity]:
        """Every file of the state, and what belongs to the own files beside it."""
        beside = {
            _identity(each.stat())
            for folder, own in self._places
            for each in _entries(folder)
            if _belongs_to(each.name, own)
        }
        return beside | {each for each, is_folder in _walk(self._state, with_shards=True) if not is_folder}


def _identity(status: os.stat_result) -> Identity:
    return (status.st_dev, status.st_ino)


def _identity_of(path: str | Path) -> Identity | None:
    try:
        return _identity(os.stat(path))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _led_to(credentials: Iterable[Path]) -> list[Path]:
    """The files that credentials lead to, and those that these lead to: tokens, keys, certificates, a command's files.

    Whatever key names them. Source: google-auth, identity_pool, pluggable and _mtls_helper.
    """
    found: dict[Path, None] = {}
    left = list(dict.fromkeys(credentials))
    try:
        here = os.getcwd()
    except FileNotFoundError:  # it was removed: what is relative leads nowhere
        here = "/"
    while left:
        named = [each for each in _named_in(left.pop(), _STRING, here) if each not in found]
        found |= dict.fromkeys(named)
        left += named
    return list(found)


def _named_in(file: Path, strings: re.Pattern[str], folder: str) -> list[Path]:
    """The files that strings of a JSON document name, alone or among other words; relative ones are in that folder."""
    texts = (_unquoted(found[1]) for found in strings.finditer(_json_text(file)))
    names = {name for text in texts if "://" not in text for name in (text, *text.split())}
    paths = (os.path.join(folder, name) for name in names if name)
    return [Path(os.path.normpath(path)) for path in paths if _may_be_file(path)]


def _json_text(file: Path) -> str:
    try:
        with regular_file(file) as opened:
            text = opened.read(_NAMED_MAX_BYTES).decode("utf-8", "surrogateescape")
    except (OSError, ValueError):  # who uses the file is told
        return ""
    return text if text.lstrip("\ufeff \t\r\n").startswith("{") else ""


def _unquoted(text: str) -> str:
    if "\\" not in text:
        return text
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text


def _may_be_file(path: str) -> bool:
    """Whether it is one, or is out of reach."""
    try:
        return not stat.S_ISDIR(os.stat(path).st_mode)
    except ValueError:  # half a character, or NUL
        return False
    except OSError as error:
        return error.errno not in (*_MISSING, errno.ELOOP)


def _belongs_to(name: str, own: str) -> bool:
    """Whether a name is that of an own file, of a temporary one, of an editor's copy, or of one set aside."""
    names = rf"[.#~$]*{re.escape(own)}(\W.*)?|{_MORE_NAMES.get(own, re.escape(own))}"
    return bool(re.fullmatch(names, name, re.DOTALL))


def _leads_to(folder: str, path: str) -> bool:
    return f"{path}/".startswith(f"{folder.rstrip('/')}/")


def _unescaped(text: str) -> str:
    r"""A path of mountinfo, where a space is written \040. Source: proc(5)."""
    return re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), text)


def _walk(folder: str, *, with_shards: bool) -> Iterator[tuple[Identity, bool]]:
    """What lies below the folder, and whether it is a folder. A shard, named by one digit, holds a lot of files."""
    for entry in _entries(folder):
        is_folder = entry.is_dir(follow_symlinks=False)
        try:
            yield _identity(entry.stat(follow_symlinks=False)), is_folder
        except FileNotFoundError:
            continue
        if is_folder and (with_shards or len(entry.name) > 1):
            yield from _walk(entry.path, with_shards=with_shards)


def _entries(folder: str) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []
