"""The search for folders that no receipt knows: listings show them, and the log does, where listings lag."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeAlias

import msgspec

from function.core.naming import same, spellings
from function.core.types import FileId, LoggedUpload, RemoteFile
from function.drive.port import Drive
from function.drive.query import FOLDERS, LIVE, Place, clause, spelled

NAMES_PER_QUERY = 100
"""Names in one query: more make it slow, and at some length Drive calls it too complex."""

Shown: TypeAlias = dict[Place, list[RemoteFile]]
"""Place, its name in the form of `same` -> the folders that Drive shows there; twins are possible."""


class FolderSearch(msgspec.Struct):
    """The search of one walk from the base down, level by level. Raises what `drive` raises."""

    drive: Drive
    base: str
    real_base: Callable[[], str | None]
    """The base's id where `base` is an alias."""
    _every_level: Shown | None = None
    """Folders of all levels, where one request showed them."""
    _above: dict[FileId, Shown] = msgspec.field(default_factory=dict)
    """File that the log tells of -> the folders above it."""

    def of_all_levels(self, places: Sequence[Place], below: Collection[str]) -> Shown | None:
        """The folders at those places, and with them those of the names wanted `below`; None where it takes more."""
        names = {same(name) for _, name in places}
        fits = len(names) + len(below) <= NAMES_PER_QUERY
        if self._every_level is None and places and below and fits and names.isdisjoint(map(same, below)):
            listed, is_all = self.drive.first_page(FOLDERS & LIVE & (clause(places) | spelled(below)))
            self._every_level = _by_place(listed, places, below) if is_all else None
        return self._every_level

    def listed(self, places: Sequence[Place]) -> Shown:
        """The folders at those places, by a listing of their own."""
        shown: Shown = {}
        at_once = NAMES_PER_QUERY // max((len(spellings(name)) for _, name in places), default=1)
        for start in range(0, len(places), at_once):
            part = places[start : start + at_once]
            listed = self.drive.list(FOLDERS & LIVE & clause(part))
            for place, each in _by_place(listed, part, ()).items():
                shown.setdefault(place, []).extend(each)
        return shown

    def above(self, upload: LoggedUpload) -> Shown:
        """The folders above a file that the log tells of, asked for by id.

        Where receipts are lost, a listing that lags doesn't show what we made a moment ago.
        """
        if upload.file_id not in self._above:
            self._above[upload.file_id] = self._climb(upload)
        return self._above[upload.file_id]

    def _climb(self, upload: LoggedUpload) -> Shown:
        shown: Shown = {}
        base = self.real_base()
        remote = self.drive.get(upload.file_id)
        for _ in range(upload.destination.count("/")):
            if remote is None or not remote.parents or base in remote.parents:
                break
            remote = self.drive.get(remote.parents[0])
            if remote and not remote.trashed:
                parents = (self.base if each == base else each for each in remote.parents)
                shown |= {(parent, same(remote.name)): [remote] for parent in parents}
        return shown


def _by_place(listed: Iterable[RemoteFile], places: Iterable[Place], below: Collection[str]) -> Shown:
    asked = {parent for parent, _ in places}
    names_below = {same(name) for name in below}
    shown: Shown = {}
    for each in listed:
        parents = set(each.parents)
        if same(each.name) not in names_below:  # `root` is an alias, which no file names as its parent
            parents = asked & {*parents, "root"} if len(asked) == 1 else parents
        for parent in parents:
            shown.setdefault((parent, same(each.name)), []).append(each)
    return shown
