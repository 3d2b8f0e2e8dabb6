"""One file for one account in an invocation: from its request to its entry in the log."""

import threading
import time
from datetime import UTC, datetime
from functools import cached_property

import msgspec

from function.core.deadline import Deadline
from function.core.errors import DriveError, Locked, UploadError
from function.core.naming import drive_name
from function.core.receipt import CompletedUpload
from function.core.request import FileRequest
from function.core.types import LogEntry, Outcome, Policy, Status
from function.drive.port import Usage
from function.home.source import Source
from function.state.log import UploadLog
from function.state.log_files import LogPosition
from function.upload.account import AccountSession
from function.upload.send import ProgressCallback


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
