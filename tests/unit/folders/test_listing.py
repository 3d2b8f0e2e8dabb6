"""The listing that the files of a batch share: it counts only for what was over before it began."""

import time
from typing import Any, cast
from unittest import mock

import pytest

from function.core.retry import Deadline
from function.core.types import NEVER, FileId, Folder, FolderPath
from function.folders.listing import FolderView
from function.folders.tree import Folders
from tests.support.memory_drive import MemoryDrive

NAMES = ("zones.txt",)


def view_of(drive: MemoryDrive) -> FolderView:
    """The top of a Drive, where nothing has to be found first."""
    nothing = cast(Any, None)
    folders = Folders("default", "key", nothing, "root", nothing, nothing, nothing, nothing, nothing, nothing)
    chain = FolderPath("", (Folder(FileId("root"), None, None),))
    return FolderView("", folders, lambda: drive, Deadline.after(60), chain=chain)


def test_a_listing_is_shared_by_all_that_were_answered_before_it_began() -> None:
    """One request for a folder of the batch."""
    drive = MemoryDrive()
    view = view_of(drive)
    answered = time.monotonic()

    first, second = view.look(NAMES, answered), view.look(NAMES, answered)

    assert second is first
    assert first.began > answered
    assert drive.store.calls["list"] == 1


def test_a_listing_that_began_before_an_answer_does_not_count_for_it_although_it_ended_later() -> None:
    """Two files of a batch look at the same folder, and a third one is answered while the listing is under way."""
    drive = MemoryDrive()
    view = view_of(drive)
    answered: list[float] = []
    drive.store.after = lambda method, number: answered.append(time.monotonic()) if method == "list" else None

    view.look(NAMES, NEVER)
    newer = view.look(NAMES, answered[0])

    assert drive.store.calls["list"] == 2
    assert newer.began > answered[0]


def test_what_another_account_owns_is_not_what_an_upload_made() -> None:
    """A Drive that is shared with this one shows files with the same mark; in the folder itself they count."""
    drive = MemoryDrive()
    view = view_of(drive)
    view.chain = FolderPath("here", (Folder(drive.put("here").id, "here", "root"),))
    view.keys.add("key")
    drive.put("zones.txt", b"theirs", drive.put("elsewhere").id, key="key", is_mine=False)
    ours = drive.put("renamed.txt", b"ours", drive.put("elsewhere").id, key="key")

    assert view.look(NAMES, NEVER).elsewhere == (ours,)


def test_a_file_that_a_racer_moved_is_not_hidden_by_a_lagging_listing() -> None:
    """It merges our folder into its own, and leaves the younger one empty: the duplicate counts."""
    drive = MemoryDrive()
    older, younger = (drive.put("here", key="folder") for _ in range(2))
    view = view_of(drive)
    view.chain = FolderPath("here", (Folder(FileId("root"), None, None), Folder(younger.id, "here", "root")))
    view.made.add(drive.put("zones.txt", b"ours", older.id, key="key").id)
    found = FolderPath("here", (Folder(FileId("root"), None, None), Folder(older.id, "here", "root")))

    with mock.patch.object(Folders, "ensure", return_value={"": found}):
        listing = view.look(NAMES, NEVER)

    assert [each.name for each in listing.files] == ["zones.txt"]
    assert view.leaf == older.id


def test_a_folder_is_looked_at_until_no_more_racers_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of seven racers makes the folder anew while we look; each is merged, and those in step are kept apart."""
    drive = MemoryDrive()
    ours = drive.put("here", key="folder")
    view = view_of(drive)
    view.chain = FolderPath("here", (Folder(FileId("root"), None, None), Folder(ours.id, "here", "root")))
    racers: list[FileId] = []
    pauses: list[int] = []

    def come(method: str, number: int) -> None:
        is_merged = all(drive.store.files[each].explicitly_trashed for each in racers)
        if method == "list" and is_merged and len(racers) < 7:
            racers.append(drive.put("here", key="folder").id)

    drive.store.before = come
    monkeypatch.setattr("function.core.retry.pause", lambda attempt, error, deadline: pauses.append(attempt))

    view.look(NAMES, NEVER)

    assert all(drive.store.files[each].explicitly_trashed for each in racers)
    assert len(racers) == 7
    assert pauses == [*range(len(pauses))] != []
