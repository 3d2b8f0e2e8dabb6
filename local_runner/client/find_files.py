"""What was typed -> the files meant: folders are walked, globs expanded, and what is left out is said.

A relative path means what it names where it was typed; where nothing of data_root has that name, it is relative to the
home, as in a request. What is missing in data_root is passed on, so that the job logs it; what is missing elsewhere was
mistyped, and is said to be, as is a glob that matches nothing. Walks and globs leave out what the setting `exclude`
matches; a file that is named itself is never left out.
"""

import difflib
import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from function.core.errors import HTTP_CODE, SettingsError
from function.core.naming import quoted
from function.home.data_root import OwnFiles, unusable
from function.home.settings import VARIABLES, Settings

if TYPE_CHECKING:
    from pathspec import PathSpec

EXCLUDED: Final = "excluded"

NAMES_COMPARED = 1000
"""Names of a folder, at most, among which what was meant is looked for."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A thing in a folder that isn't uploaded."""

    path: str
    why: str
    code: int = 200
    """The HTTP code that an answer about it would have."""

    @property
    def is_failure(self) -> bool:
        """Whether it should have been uploaded."""
        return self.code != 200


@dataclass(slots=True)
class Found:
    """Paths as they go into requests, each once, and what was left out."""

    home: str
    data_root: str | None
    """None where the function runs elsewhere and this machine has no settings."""
    exclude: "PathSpec[Any]"
    own: OwnFiles | None = None
    """The job's own files, which it refuses, so that a walk doesn't offer them."""
    is_elsewhere: bool = False
    """Whether the function has another home, in which there may be what isn't there here."""
    files: dict[str, None] = field(default_factory=dict)
    _left_out: dict[str, LeftOut] = field(default_factory=dict)

    @property
    def left_out(self) -> list[LeftOut]:
        """Each path once, whichever arguments met it."""
        return list(self._left_out.values())

    def add(self, path: str) -> None:
        """A file, or whatever the job shall judge."""
        if ".." not in path.split(os.sep):
            path = os.path.normpath(path)
        self.files[self._shown(path)] = None

    def is_excluded(self, path: str, *, is_folder: bool = False) -> bool:
        """Whether a walk leaves it out: the patterns see its path below data_root. It is then told as left out."""
        shown = os.path.relpath(path, self.data_root or self.home) + ("/" if is_folder else "")
        if self.exclude.match_file(shown) or (self.own and self.own.has_name_of_one(_without_links(path))):
            self.leave_out(path, EXCLUDED)
            return True
        return False

    def leave_out(self, path: str, why: str, reason: str | None = None) -> None:
        """Something that isn't uploaded; for the reason, where it should have been."""
        self._left_out.setdefault(path, LeftOut(self._shown(path), why, HTTP_CODE[reason] if reason else 200))

    def leave_out_unread(self, folder: str, error: OSError) -> None:
        """A folder whose files can't be told, for good or only now."""
        refused = unusable("", error)
        self.leave_out(folder, refused.message.strip(" :."), refused.reason)

    def _shown(self, path: str) -> str:
        return path.removeprefix(self.home.rstrip(os.sep) + os.sep)


def patterns(lines: Iterable[str]) -> "PathSpec[Any]":
    """The patterns of gitignore. Raises ValueError, which names one that is none."""
    from pathspec import PathSpec

    found: list[Any] = []
    for line in lines:
        try:
            found += PathSpec.from_lines("gitignore", [line]).patterns
        except (ValueError, re.error) as error:
            raise ValueError(
                f"{quoted(line)} is no pattern of gitignore ({error}); mend it or leave it out."
            ) from error
    return PathSpec(found)


def excluded(settings: Settings) -> "PathSpec[Any]":
    """The setting `exclude`. Raises SettingsError."""
    try:
        return patterns(settings.exclude)
    except ValueError as error:
        variable = VARIABLES["exclude"]
        where = variable if os.environ.get(variable) else f"{settings.paths_json}: exclude"
        raise SettingsError(f"{where}: {error}") from error


def find(
    arguments: Iterable[str],
    cwd: Path,
    home: Path,
    data_root: Path | None,
    exclude: "PathSpec[Any] | None" = None,
    own: OwnFiles | None = None,
    *,
    is_elsewhere: bool = False,
) -> Found:
    """The files that the arguments mean, in their order; a folder's own files come before those of its subfolders."""
    found = Found(str(home), str(data_root) if data_root else None, exclude or patterns(()), own, is_elsewhere)
    for argument in arguments:
        paths, is_named = _meant(argument, str(cwd), found)
        for path in paths:
            if os.path.isdir(path):
                _add_folder(path, found)
            elif is_named or not found.is_excluded(path):
                found.add(path)
    return found


def _without_links(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(_real_folder(folder), name)


_real_folder = lru_cache(os.path.realpath)


def _meant(argument: str, cwd: str, found: Found) -> tuple[list[str], bool]:
    """The paths of an argument, and whether it names them itself or is a glob that matches them."""
    places = [os.path.join(base, argument) for base in (cwd, found.home)]
    existing = [path for path in places if os.path.lexists(path)]
    if existing:
        return [next((path for path in existing if _touches(path, found.data_root)), existing[0])], True
    if glob.has_magic(argument):
        for base in (cwd, found.home):
            matches = glob.glob(argument, root_dir=base, recursive=True, include_hidden=True)
            if matches:
                return [os.path.join(base, each) for each in sorted(matches)], False
        if found.data_root and os.path.isdir(found.data_root) and not found.is_elsewhere:
            return _missing(argument, cwd, found), False
    return [path for path in places if _touches(path, found.data_root)][:1] or _missing(argument, cwd, found), True


def _missing(argument: str, cwd: str, found: Found) -> list[str]:
    """What is neither there nor in data_root: only a function elsewhere can know it; here it was mistyped."""
    if found.is_elsewhere:
        return [os.path.join(found.home, argument)]
    meant = _near(argument, cwd) or _near(argument, found.home)
    hint = f"; did you mean {meant}?" if meant else ""
    what = "matches nothing" if glob.has_magic(argument) else "no such file or folder"
    found.leave_out(argument, f"{what}{hint}", "source_missing")
    return []


def _near(argument: str, base: str) -> Path | None:
    """What is there and is spelled almost so, as far as the first name that is wrong or, if it is there, the whole."""
    good, parts = Path(), Path(argument).parts
    for at, name in enumerate(parts):
        if os.path.lexists(Path(base, good, name)):
            good /= name
            continue
        try:
            with os.scandir(Path(base, good)) as entries:
                names = [each.name for each in islice(entries, NAMES_COMPARED)]
        except OSError:
            return None
        for near in difflib.get_close_matches(name, names, 1, cutoff=0.7):
            whole = Path(good, near, *parts[at + 1 :])
            return whole if os.path.lexists(Path(base, whole)) else good / near
        return None
    return None


def _touches(path: str, data_root: str | None) -> bool:
    """Whether data_root holds the path, or lies in it."""
    if data_root is None:
        return True
    real, root = os.path.realpath(path), os.path.realpath(data_root)
    return os.path.commonpath((real, root)) in (real, root)


def _add_folder(path: str, found: Found) -> None:
    """Its files; a folder outside data_root is refused by the job, one around it stands for data_root."""
    if found.data_root is None:
        _walk(path, found)
        return
    real, root = os.path.realpath(path), os.path.realpath(found.data_root)
    if os.path.commonpath((real, root)) == root:
        _walk(path, found)
    elif os.path.commonpath((real, root)) == real:
        found.leave_out(path, f"only what is in {found.data_root} is uploaded")
        _walk(found.data_root, found)
    else:
        found.add(path)


def _walk(folder: str, found: Found) -> None:
    pending = [folder]
    while pending:
        current = pending.pop()
        try:
            entries = sorted(os.scandir(current), key=lambda each: each.name)
        except OSError as error:
            found.leave_out_unread(current, error)
            continue
        pending += reversed(list(_add_entries(entries, found)))


def _add_entries(entries: Iterable[os.DirEntry[str]], found: Found) -> Iterator[str]:
    """Add the files; give the folders. Costs no stat but for symbolic links."""
    for entry in entries:
        try:
            is_folder, is_file = entry.is_dir(follow_symlinks=False), entry.is_file()
        except OSError:  # a link that leads to itself or into a closed folder: the job says what is wrong with it
            is_folder, is_file = False, True
        if is_folder:
            if not found.is_excluded(entry.path, is_folder=True):
                yield entry.path
        elif is_file:
            if not found.is_excluded(entry.path):
                found.add(entry.path)
        else:
            found.leave_out(entry.path, _kind(entry))


def _kind(entry: os.DirEntry[str]) -> str:
    if not entry.is_symlink():
        return "neither a file nor a folder"
    if os.path.isdir(entry.path):
        return "a link to a folder, which is not followed"
    return "a link to nothing" if not os.path.exists(entry.path) else "a link to what is no file"
