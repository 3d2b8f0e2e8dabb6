"""Twin folders of ours, made by racers without shared state: the younger is folded into the older.

What we made in the younger moves over, one of two equal files goes to the bin, and the younger folder itself when it
is empty. What others put there stays where it is, and keeps its folder.
"""

from collections.abc import Iterable, Mapping

import msgspec

from function.core.naming import same
from function.core.types import FOLDER_MIME_TYPE, RemoteFile
from function.drive.move import move
from function.drive.port import Drive
from function.drive.query import LIVE, inside
from function.folders.tree import FolderPath


class DuplicateFolders(msgspec.Struct, frozen=True):
    """Two folders of one name in one place; the younger is ours."""

    younger: RemoteFile
    older: RemoteFile


def shown_in(chain: FolderPath, shown: Mapping[str, RemoteFile]) -> list[DuplicateFolders]:
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
        elif equal := [each for each in alike if each.md5 and (each.md5, each.size) == (child.md5, child.size)]:
            _keep_the_oldest(child, equal[0], duplicates.older, drive)
        else:
            move(child, duplicates.older.id, drive)
    if not _children(duplicates.younger, drive):
        drive.update(duplicates.younger, trashed=True)


def _keep_the_oldest(child: RemoteFile, other: RemoteFile, folder: RemoteFile, drive: Drive) -> None:
    if child.seniority < other.seniority:
        move(child, folder.id, drive)
        drive.update(other, trashed=True)
    else:
        drive.update(child, trashed=True)


def _children(folder: RemoteFile, drive: Drive) -> Iterable[RemoteFile]:
    return drive.list(inside(folder.id) & LIVE)
