"""Where one source goes in one account, and what the uploads of an account share."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec

from function.core import metadata
from function.core.deadline import Deadline
from function.core.naming import drive_name, ownership_mark, state_key
from function.core.receipt import CompletedUpload, Create, Mend, Receipt, Revise, Sending
from function.core.types import Digests, FileId, FileStat, LoggedUpload, NewFile, Outcome, Policy
from function.drive.port import Drive
from function.folders.listing import FolderView
from function.state.locks import HeldLock
from function.state.receipts import Receipts
from function.upload.send import ProgressCallback


class UploadContext(msgspec.Struct, frozen=True, dict=True):
    """What the uploads of one account share in one invocation."""

    account: str
    open_drive: Callable[[], Drive]
    receipts: Receipts[Receipt]
    lock: Callable[[str], AbstractContextManager[HeldLock]]
    """The lock of a destination, by the name of its receipt."""
    take_id: Callable[[], FileId]
    discard_ids: Callable[[], None]
    log_position: Callable[[], int]
    logged_upload: Callable[[str, int], LoggedUpload | None]
    """What the log tells of an upload: its file id, the position of the log to look behind."""
    logged_uploads: Callable[[], Sequence[LoggedUpload]]
    """What the log tells of the source's uploads, oldest first."""
    record: Callable[[Outcome, Digests, int], bool]
    """Makes `uploaded` durable in the log, unless an entry behind that position says so of the file and content;
    whether it was written."""
    deadline: Deadline
    pace: Callable[[int], None]
    """Waits until so many bytes may be sent (`bandwidth_limit`); may raise (the deadline)."""

    @cached_property
    def drive(self) -> Drive:
        """The account's Drive: opened when it is first needed, since what is unchanged needs none."""
        return self.open_drive()


class Destination(msgspec.Struct, frozen=True, dict=True):
    """One destination. `path` is its folder as it is shown."""

    context: UploadContext
    folder: FolderView
    path: str
    local_name: str
    receipt_name: str
    """The name of the receipt, and of the lock."""
    policy: Policy
    metadata: Mapping[str, Any]
    progress: ProgressCallback

    @cached_property
    def name(self) -> str:
        """The file's name on Drive."""
        return drive_name(self.local_name)

    @cached_property
    def key(self) -> str:
        """Our ownership mark on files made for this destination."""
        return ownership_mark(self.label())

    def label(self, name: str | None = None) -> str:
        """The destination as shown, `MemoryVDB/Meta/AI_Architecture.txt`, or under another name."""
        return f"{self.path}/{name or self.name}".lstrip("/")

    @cached_property
    def marks(self) -> tuple[dict[str, str], str | None]:
        """The caller's metadata as Drive takes it: public properties and a description."""
        return metadata.marks(self.metadata)

    def new_file(
        self, claim: Sending, stat: FileStat, *, with_metadata: bool, before: CompletedUpload | None = None
    ) -> NewFile:
        """What Drive is told of the file besides its content. A revised file of others stays its owner's.

        Of what was told with the content `before` a revision clears what this call doesn't say.
        """
        told, description = self.marks if with_metadata else ({}, None)
        properties: dict[str, str | None] = dict(told)
        if before and with_metadata:
            properties = dict.fromkeys(before.properties) | properties
            description = description or ("" if before.metadata else None)
        is_ours = isinstance(claim, Create | Mend)
        return NewFile(
            claim.id,
            claim.name,
            claim.folder,
            metadata.mime_type(self.name),
            self.key if is_ours else None,
            properties,
            description,
            nonce=claim.nonce if is_ours else None,
            modified_time=rfc3339(stat.mtime_ns),
        )


def is_new(claim: Sending) -> bool:
    """Whether the claim's content makes a file, instead of a revision of one."""
    return not isinstance(claim, Revise | Mend)


def rfc3339(time_ns: int) -> str | None:
    """A time in ns since the epoch as Drive takes it, to the millisecond; None where no calendar has it."""
    try:
        moment = datetime.fromtimestamp(time_ns / 1e9, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def receipt_name(drive: str, path: str, local_name: str) -> str:
    """The hash that a receipt is filed under: of the Drive, the folder and the source's own name."""
    return state_key(f"{drive}\0{path}\0{local_name}")
