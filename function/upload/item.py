"""One file for one account: where it goes, what its upload shares with others, and its entry in the log."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import msgspec

from function.core.cached import cached_property
from function.core.errors import DriveError, Locked, UploadError
from function.core.naming import (
    are_as_told,
    description_to_tell,
    drive_name,
    metadata_for_drive,
    mime_type,
    ownership_mark,
    state_key,
)
from function.core.receipt import CompletedUpload, Create, Mend, Receipt, Sending
from function.core.request import FileRequest
from function.core.retry import Deadline
from function.core.types import (
    Digests,
    FileId,
    FileStat,
    LogEntry,
    LoggedUpload,
    NewFile,
    Outcome,
    Policy,
    ProgressCallback,
    RemoteFile,
    Status,
    Usage,
)
from function.drive.port import Drive
from function.folders.listing import FolderView
from function.home.source import Source
from function.state.locks import HeldLock
from function.state.log import UploadLog
from function.state.log_index import LogPosition
from function.state.receipts import Receipts
from function.upload.account import AccountSession


class UploadContext(msgspec.Struct, frozen=True, dict=True):
    """What the uploads of one account share in one invocation."""

    account: str
    open_drive: Callable[[], Drive]
    receipts: Receipts[Receipt]
    lock: Callable[[str, Deadline], AbstractContextManager[HeldLock]]
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
    wait_for_bytes: Callable[[int], None]
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
    def metadata_for_drive(self) -> tuple[dict[str, str], str | None]:
        """The caller's metadata as Drive takes it: public properties and a description."""
        return metadata_for_drive(self.metadata)

    def told(
        self, before: CompletedUpload | None, standing: RemoteFile | None
    ) -> tuple[dict[str, str | None], str | None]:
        """Properties and description for a file that stands there, None for what is cleared or left as it is.

        Cleared is what was told with the content `before`, where it stands there unchanged: what people wrote stays.
        """
        properties, description = self.metadata_for_drive
        if before is None or standing is None:
            return {**properties}, description_to_tell(description, standing.description if standing else None, "")
        ours = {name: standing.properties.get(name) for name in before.properties}
        cleared = dict.fromkeys(ours) if are_as_told(ours, standing.description, before.metadata) else {}
        return {**cleared, **properties}, description_to_tell(description, standing.description, before.metadata)

    def new_file(
        self,
        claim: Sending,
        stat: FileStat,
        *,
        with_metadata: bool,
        before: CompletedUpload | None = None,
        standing: RemoteFile | None = None,
    ) -> NewFile:
        """What Drive is told of the file besides its content. A revised file of others stays its owner's.

        Of what was told with the content `before` a revision clears what this call doesn't say. Without metadata it is
        the least: what Drive can do without stays out.
        """
        properties, description = self.told(before, standing) if with_metadata else ({}, None)
        is_ours = isinstance(claim, Create | Mend)
        return NewFile(
            claim.id,
            claim.name,
            claim.folder,
            mime_type(self.name) if with_metadata else None,
            self.key if is_ours else None,
            properties,
            description,
            nonce=claim.nonce if is_ours else None,
            modified_time=rfc3339(stat.mtime_ns) if with_metadata else None,
        )


def is_new(claim: Sending) -> bool:
    """Whether the claim's content makes a file, instead of a revision of one."""
    return isinstance(claim, Create)


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


class Item(msgspec.Struct, dict=True):
    """A located source and its account. Ends in exactly one entry; the first outcome told counts."""

    invocation_id: str
    request: FileRequest
    account: AccountSession
    path: str
    """Relative to the home, for the log."""
    relative: str
    """Relative to `data_root`: what the destination mirrors."""
    source: Source | UploadError
    policy: Policy
    progress: ProgressCallback
    usage: Usage = msgspec.field(default_factory=Usage)
    entry: LogEntry | None = None
    retry_after_s: float | None = None
    is_logged: bool = False
    contents_done: tuple[CompletedUpload, ...] = ()
    """Contents of this source that its receipt knows to be done."""
    _started: float = msgspec.field(default_factory=time.monotonic)
    _telling: threading.Lock = msgspec.field(default_factory=threading.Lock)

    @cached_property
    def folder(self) -> str:
        """The destination's folder as it is shown."""
        return "/".join(filter(None, (self.account.account.root.label, *self._drive_folders())))

    @cached_property
    def folder_path(self) -> str:
        """The destination's folder below the base of the drive root."""
        return "/".join((*self.account.account.root.folders, *self._drive_folders()))

    @cached_property
    def destination(self) -> str:
        """The destination as it is shown."""
        return f"{self.folder}/{self.drive_name}".lstrip("/")

    @cached_property
    def drive_name(self) -> str:
        """The name of the file on Drive."""
        return drive_name(self.local_name)

    @property
    def local_name(self) -> str:
        """The source's file name."""
        return self.relative.rpartition("/")[2]

    def _drive_folders(self) -> list[str]:
        return [drive_name(each) for each in self.relative.split("/")[:-1]]

    def tell(self, outcome: Outcome, shared: Usage | None = None) -> LogEntry:
        """The entry for the item's outcome: of this one, or of one that was told before."""
        with self._telling:
            if self.entry is None:
                self.entry = self.entry_of(outcome, shared)
                self.retry_after_s = outcome.retry_after_s
            return self.entry

    def fail(self, error: UploadError, attempt: int | None = None, shared: Usage | None = None) -> None:
        """Tell that the item failed."""
        source = self.source if isinstance(self.source, Source) else None
        destination = self.destination if self.relative else None
        message = error.message
        if isinstance(error, DriveError | Locked) and destination and destination not in message:
            message = f"{destination}: {message}"
        self.tell(
            Outcome(
                status=Status.FAILED,
                reason=error.reason,
                message=message,
                attempt=attempt,
                size=source.stat.size if source else None,
                digests=source.fingerprint.digests if source else None,
                destination=destination,
                retry_after_s=error.retry_after_s,
            ),
            shared,
        )

    def record(self, outcome: Outcome, shared: Usage, log: UploadLog, deadline: Deadline, since: LogPosition) -> bool:
        """Log an upload, also one that came about when the item was given up, unless it is logged behind `since`.

        Whether it was written. Raises VolumeUnavailable, Locked.
        """
        entry = self.entry_of(outcome, shared)
        (is_written,) = log.append([entry], deadline, unless_logged={entry.file_id or "": since})
        if is_written:
            with self._telling:
                self.entry = self.entry or entry
            self.is_logged = True
        else:  # what it took is told with the entry that is still to come
            self.usage.add(entry.requests, entry.units)
        return is_written

    def give_up(self, error: UploadError) -> None:
        """Tell that the item failed, unless it has ended; an upload that isn't logged has not."""
        self.fail(error)
        if not self.is_logged and self.entry and self.entry.status is Status.UPLOADED:
            self.unlogged(error)

    def unlogged(self, error: UploadError) -> None:
        """Turn the entry into a failure: the log couldn't be written."""
        if self.entry:
            self.entry = msgspec.structs.replace(
                self.entry,
                status=Status.FAILED,
                reason=error.reason,
                message=error.message,
                retryable=error.is_retryable,
            )

    def entry_of(self, outcome: Outcome, shared: Usage | None) -> LogEntry:
        """An entry for the outcome, with what was asked of Drive so far for this item, and of what is `shared`."""
        requests, units = self.usage.drain()
        if shared:
            others, more = shared.drain()
            requests, units = requests + others, units + more
        return LogEntry(
            time=now(),
            invocation_id=self.invocation_id,
            account=self.account.name,
            path=self.path,
            destination=outcome.destination,
            status=outcome.status,
            reason=outcome.reason,
            message=outcome.message,
            retryable=outcome.reason is not None and UploadError("", reason=outcome.reason).is_retryable,
            attempt=outcome.attempt,
            file_id=outcome.file_id,
            link=outcome.link,
            size=outcome.size,
            sha256=outcome.digests.sha256 if outcome.digests else None,
            md5=outcome.digests.md5 if outcome.digests else None,
            duration_s=round(time.monotonic() - self._started, 4),
            requests=requests,
            units=units,
            metadata=self.request.metadata,
            if_exists=self.request.if_exists,
        )


def log_items(items: list[Item], log: UploadLog, deadline: Deadline) -> None:
    """Append the entries of those items that aren't in the log yet, together. Raises VolumeUnavailable, Locked."""
    due = [each for each in items if each.entry and not each.is_logged]
    if due:
        log.append([each.entry for each in due if each.entry], deadline)
        for each in due:
            each.is_logged = True


def now() -> str:
    """The time as the log writes it: RFC 3339, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
