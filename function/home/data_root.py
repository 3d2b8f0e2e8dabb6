"""A path of a request -> a place below `data_root`.

Nothing outside `data_root` is ever opened for its content, and nothing in it that is the job's own: the path is
resolved, symlinks included, before anything is opened.
"""

import errno
import os
import stat
from functools import cached_property
from pathlib import Path

import msgspec

from function.core.errors import SourceError, UploadError, VolumeUnavailable
from function.core.naming import quoted

_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)

_FORBIDDEN = (errno.EACCES, errno.EPERM)


class Location(msgspec.Struct, frozen=True):
    """Where a source is: its resolved path, and its path relative to `data_root`, which the destination mirrors."""

    path: str
    relative: str
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
            raise unusable(self.relative, error) from error
        if stat.S_ISLNK(status.st_mode):  # it was resolved as if there were none
            raise SourceError(f"{self.relative} appeared while it was looked for; call again.", reason="source_changed")
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
    """The local zone as one invocation sees it: each folder is resolved once, each file looked at once."""

    home: Path
    path: Path
    _resolved: dict[str, str] = msgspec.field(default_factory=dict)

    @cached_property
    def _below_home(self) -> str:
        return os.path.relpath(self.path, self.home)

    def below_home(self, relative: str) -> str:
        """A path that is relative to `data_root`, relative to the home."""
        return os.path.normpath(f"{self._below_home}/{relative}")

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
        if inside is None:
            raise SourceError(
                f"{quoted(given)} lies outside data_root ({self.path.name}); only files in it are uploaded.",
                reason="path_outside_data_root",
            )
        if status is None and not os.path.exists(root):
            raise VolumeUnavailable(
                f"{self.path}: data_root is not there; mount it or mend the setting, and call again."
            )
        if not inside:
            raise SourceError(f"{quoted(given)} is a folder; name a file in it.", reason="source_not_a_file")
        shown = _below(lexical, os.path.normpath(self.path)) or _below(lexical, root)
        if shown and (is_plain or os.path.realpath(lexical) == real):
            return Location(real, shown, status)
        return Location(real, inside, status)

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
