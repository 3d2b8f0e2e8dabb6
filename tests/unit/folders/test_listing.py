"""The listing that the files of a batch share: it counts only for what was over before it began."""

import time
from typing import Any, cast

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
