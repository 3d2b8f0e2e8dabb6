"""Younger duplicate folders of ours are merged into the older one, and no content ends in the bin only."""

from collections.abc import Callable

import pytest

from function.core.types import RemoteFile
from function.folders.listing import DuplicateFolders, merge
from tests.support.memory_drive import MemoryDrive

NAME, CONTENT = "zones.txt", b"A memory.\n"


def twins(drive: MemoryDrive) -> tuple[DuplicateFolders, RemoteFile, RemoteFile]:
    """Two folders of ours of one name, each with a file of ours of one name and content."""
    older, younger = drive.put("Meta", key="folder"), drive.put("Meta", key="folder")
    kept, spare = (drive.put(NAME, CONTENT, each.id, key="file") for each in (older, younger))
    return DuplicateFolders(younger, older), kept, spare


def bin_it(drive: MemoryDrive, file: RemoteFile) -> None:
    """Its owner puts it into the bin."""
    drive.change(file.id, explicitly_trashed=True)


def edit_it(drive: MemoryDrive, file: RemoteFile) -> None:
    """Its owner writes to it."""
    drive.edit(file.id, b"The owner's own.\n")


def test_of_two_equal_files_the_oldest_stays() -> None:
    """In the older folder; the other file and the empty folder go to the bin."""
    drive = MemoryDrive()
    duplicates, kept, spare = twins(drive)

    merge(duplicates, drive)

    files = drive.store.files
    assert (files[kept.id].trashed, files[spare.id].explicitly_trashed) == (False, True)
    assert files[duplicates.younger.id].explicitly_trashed


@pytest.mark.parametrize("owner", [bin_it, edit_it])
def test_a_file_whose_equal_one_its_owner_changed_after_the_listing_stays(
    owner: Callable[[MemoryDrive, RemoteFile], None],
) -> None:
    """A listing may be seconds old: both are looked at before one of them goes to the bin."""
    drive = MemoryDrive()
    duplicates, kept, spare = twins(drive)
    drive.store.after = lambda method, number: owner(drive, kept) if (method, number) == ("list", 2) else None

    merge(duplicates, drive)

    stays = drive.store.files[spare.id]
    assert (stays.explicitly_trashed, stays.parents) == (False, (duplicates.older.id,))
    assert drive.store.contents[spare.id] == CONTENT
