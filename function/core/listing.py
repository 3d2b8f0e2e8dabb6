"""What a look at a folder shows, as a value. A listing is eventually consistent: what it hides may be there."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TypeVar

import msgspec

from function.core.naming import same
from function.core.types import Digests, RemoteFile

T = TypeVar("T")

NEVER = float("-inf")


class FolderListing(msgspec.Struct, frozen=True, dict=True):
    """The files of the names that were asked for, or of all names (None)."""

    names: frozenset[str] | None
    files: tuple[RemoteFile, ...]
    elsewhere: tuple[RemoteFile, ...] = ()
    """Files with our mark that are in another folder, or that somebody put into the bin: asked for where our state may
    be lost."""
    began: float = NEVER
    """When the look began, on the monotonic clock: it may hide what was done later."""

    def covers(self, names: Iterable[str]) -> bool:
        """Whether the listing says of each of these names if there is a file of it."""
        return self.names is None or self.names.issuperset(names)

    def about(self, names: Collection[str], key: str) -> "FolderListing":
        """What it shows of those names and of the files with that mark: of a folder's files, one destination's."""
        found = {each.id: each for name in names for each in self._by_name.get(same(name), ())}
        found |= {each.id: each for each in self._by_key.get(key, ())}
        elsewhere = tuple(each for each in self.elsewhere if each.key == key)
        return FolderListing(frozenset(names), tuple(found.values()), elsewhere, self.began)

    @cached_property
    def _by_name(self) -> Mapping[str, Sequence[RemoteFile]]:
        return _grouped(self.files, lambda each: same(each.name))

    @cached_property
    def _by_key(self) -> Mapping[str | None, Sequence[RemoteFile]]:
        return _grouped(self.files, lambda each: each.key)

    def without(self, file_id: str) -> "FolderListing":
        """The listing of everything but that file."""
        elsewhere = tuple(each for each in self.elsewhere if each.id != file_id)
        return FolderListing(
            self.names, tuple(each for each in self.files if each.id != file_id), elsewhere, self.began
        )

    def named(self, name: str) -> list[RemoteFile]:
        """The files of that name, spelled in any way that looks alike, oldest first."""
        return sorted((each for each in self.files if same(each.name) == same(name)), key=lambda each: each.seniority)

    def holding(self, size: int, digests: Digests, name: str, key: str) -> list[RemoteFile]:
        """The files of the folder that hold the content under the name or with our mark, oldest first."""
        found = (
            each
            for each in self.files
            if each.holds(size, digests) and (same(each.name) == same(name) or each.key == key)
        )
        return sorted(found, key=lambda each: each.seniority)

    def holding_elsewhere(self, size: int, digests: Digests, key: str) -> list[RemoteFile]:
        """The files of ours that hold the content elsewhere, those in the bin last."""
        found = (each for each in self.elsewhere if each.key == key and each.holds(size, digests))
        return sorted(found, key=lambda each: (each.trashed, each.seniority))


def replace_files(listing: FolderListing, files: tuple[RemoteFile, ...]) -> FolderListing:
    """The listing with other files in the folder."""
    return FolderListing(listing.names, files, listing.elsewhere, listing.began)


def duplicates(key: str, listing: FolderListing) -> list[tuple[RemoteFile, RemoteFile]]:
    """Pairs (younger, oldest) of files of ours that hold one content under one name in one place."""
    oldest: dict[object, RemoteFile] = {}
    found = []
    live = [each for each in (*listing.files, *listing.elsewhere) if each.key == key and each.md5 and not each.trashed]
    for each in sorted(live, key=lambda each: each.seniority):
        senior = oldest.setdefault((each.name, each.parents, each.size, each.md5), each)
        if senior.id != each.id:
            found.append((each, senior))
    return found


def _grouped(files: Iterable[RemoteFile], by: Callable[[RemoteFile], T]) -> Mapping[T, Sequence[RemoteFile]]:
    groups: dict[T, list[RemoteFile]] = {}
    for each in files:
        groups.setdefault(by(each), []).append(each)
    return groups
