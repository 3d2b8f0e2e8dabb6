"""Where one source goes in one account, and the means to bring it there."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from function.core.deadline import Deadline
from function.core.metadata import marks, mime_type
from function.core.plan import Look, candidates, drive_name, key
from function.core.receipt import Claim, Receipt
from function.core.types import FileId, NewFile, Outcome, Policy
from function.drive.port import Drive
from function.folders.listing import NEVER, Visit
from function.state.locks import HeldLock
from function.state.log_index import LoggedUpload
from function.state.receipts import Receipts
from function.upload.send import Progress


@dataclass(frozen=True)
class Means:
    """What the uploads of one account share in one invocation."""

    account: str
    open_drive: Callable[[], Drive]
    receipts: Receipts[Receipt]
    hold: Callable[[str], AbstractContextManager[HeldLock]]
    """The lock of a destination, by the name of its receipt."""
    take_id: Callable[[], FileId]
    discard_ids: Callable[[], None]
    log_size: Callable[[], int]
    logged_upload: Callable[[str, int], LoggedUpload | None]
    """What the log tells of an upload: file id, byte of the log to look behind."""
    logged_uploads: Callable[[], Sequence[LoggedUpload]]
    """What the log tells of the source's uploads, oldest first."""
    deadline: Deadline

    @cached_property
    def drive(self) -> Drive:
        """The account's Drive: opened when it is first needed, since what is unchanged needs none."""
        return self.open_drive()


@dataclass(frozen=True)
class Destination:
    """One destination. `folder` and `local_name` say it as paths; `label` is how it is shown."""

    means: Means
    visit: Visit
    folder: str
    local_name: str
    policy: Policy
    metadata: Mapping[str, Any]
    record: Callable[[Outcome], None]
    """Makes an outcome durable in the log."""
    progress: Progress

    @cached_property
    def name(self) -> str:
        """The file's name on Drive."""
        return drive_name(self.local_name)

    @cached_property
    def key(self) -> str:
        """Our mark on files made for this destination."""
        return key(self.label())

    @cached_property
    def receipt_name(self) -> str:
        """The name of the receipt, and of the lock: a hash that is also the source's, not only its name's on Drive."""
        return receipt_name(self.means.account, self.folder, self.local_name)

    def label(self, name: str | None = None) -> str:
        """The destination as shown, `MemoryVDB/Meta/AI_Architecture.txt`, or under another name."""
        return f"{self.folder}/{name or self.name}".lstrip("/")

    def look(self, count: int = 1, *, also: str | None = None, since: float = NEVER) -> Look:
        """What Drive shows of the first `count` names that the file may get, by a look that began after `since`."""
        names = [*islice(candidates(self.name), count), *([also] if also else [])]
        return self.visit.look(names, since=since).about(names, self.key)

    def new_file(self, claim: Claim, *, with_metadata: bool) -> NewFile:
        """What Drive is told of the file that the claim makes."""
        properties, description = marks(self.metadata) if with_metadata else ({}, None)
        mark = None if claim.revises and not claim.mends else self.key  # a revised file stays its owner's
        return NewFile(claim.id, claim.name, claim.folder, mime_type(self.name), mark, properties, description)


def receipt_name(account: str, folder: str, local_name: str) -> str:
    """The hash that a receipt is filed under."""
    return key(f"{account}\0{folder}\0{local_name}")
