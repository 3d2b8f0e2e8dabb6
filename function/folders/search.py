"""What Drive shows of folders: those that no receipt knows, and duplicates of ours.

They are shown by listings, and by the log, where listings lag. Duplicates were made by racers without shared state:
what we made in the younger moves over to the older, one of two equal files goes to the bin, and the younger folder
itself when it is empty. What others put there stays where it is, and keeps its folder.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import TypeAlias

import msgspec

from function.core.naming import same, spellings
from function.core.types import FOLDER_MIME_TYPE, FileId, FolderPath, LoggedUpload, RemoteFile
from function.drive.move import move
from function.drive.port import Drive
from function.drive.query import FOLDERS, LIVE, Query, inside, named

NAMES_PER_QUERY = 100
"""Names in one query: more make it slow, and at some length Drive calls it too complex."""

Place: TypeAlias = tuple[str, str]
"""Id of a parent, or an alias such as `root`, and a name in it, spelled in any way."""

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

    def listed(self, places: Sequence[Place], below: Collection[str]) -> Shown:
        """The folders at those places, and with them those of the names wanted `below` where one request tells all."""
        names = {same(name) for _, name in places}
        fits = len(names) + len(below) <= NAMES_PER_QUERY
        if self._every_level is None and places and below and fits and names.isdisjoint(map(same, below)):
            listed, is_all = self.drive.first_page(FOLDERS & LIVE & (clause(places) | spelled(below)))
            self._every_level = _by_place(listed, places, below) if is_all else None
        return self.listed_again(places) if self._every_level is None else self._every_level

    def listed_again(self, places: Sequence[Place]) -> Shown:
        """The folders at those places, by a listing of its own."""
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


def clause(places: Iterable[Place]) -> Query:
    """What has those names, spelled in any way, in those parents; there is at least one place."""
    names: dict[str, list[str]] = {}
    for parent, name in places:
        names.setdefault(parent, []).append(name)
    return reduce(or_, (inside(parent) & spelled(each) for parent, each in names.items()))


def spelled(names: Iterable[str]) -> Query:
    """What has one of these names, spelled in any way."""
    return named(sorted({each for name in names for each in spellings(name)}))


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


class DuplicateFolders(msgspec.Struct, frozen=True):
    """Two folders of one name in one place; the younger is ours."""

    younger: RemoteFile
    older: RemoteFile


def duplicates_shown(chain: FolderPath, shown: Mapping[str, RemoteFile]) -> list[DuplicateFolders]:
    """The duplicates among the folders that a look at the chain shows, from the top; pure.

    The chain's own folder may be another's: ours beside it, being younger, give way to it as well.
    """
    found = []
    for folder in chain.folders[1:]:
        standing = shown.get(folder.id)
        if standing:
            place = (same(standing.name), standing.parents)
            ours = (each for each in shown.values() if each.key and (same(each.name), each.parents) == place)
            oldest, *others = sorted({*ours, standing}, key=lambda each: each.seniority)
            found += [DuplicateFolders(each, oldest) for each in others if each.key]
    return found


def merge(duplicates: DuplicateFolders, drive: Drive) -> None:
    """Bring what is ours from the younger folder into the older one; may be repeated. Raises what `drive` raises."""
    there = _children(duplicates.older, drive)
    for child in _children(duplicates.younger, drive):
        if child.key is None:
            continue
        alike = [each for each in there if (each.name, each.key) == (child.name, child.key)]
        if child.mime_type == FOLDER_MIME_TYPE and alike:
            merge(DuplicateFolders(child, alike[0]), drive)
        elif equal := [each for each in alike if each.is_equal_to(child)]:
            _keep_the_oldest(child, equal[0], duplicates.older, drive)
        else:
            move(child, duplicates.older.id, drive)
    if not _children(duplicates.younger, drive):
        drive.trash(duplicates.younger)


def _keep_the_oldest(child: RemoteFile, other: RemoteFile, folder: RemoteFile, drive: Drive) -> None:
    """Both are looked at by their ids: a listing may still show what its owner has edited or binned meanwhile."""
    ours, theirs = drive.get(child.id), drive.get(other.id)
    if ours is None or ours.trashed:
        return
    twin = theirs if theirs and not theirs.trashed and theirs.is_equal_to(ours) else None
    if twin and twin.seniority < ours.seniority:
        drive.trash(ours)
        return
    move(ours, folder.id, drive)
    if twin:
        drive.trash(twin)


def _children(folder: RemoteFile, drive: Drive) -> Iterable[RemoteFile]:
    return drive.list(inside(folder.id) & LIVE)
