"""Many files to one account: one walk over the folders, transfers side by side, one listing a folder.

The batch goes in rounds. In each one every upload goes as far as it can; what then waits for a listing that is younger
than its own answer shares it, in the next round, with all others of the folder. A single file is a batch of one. One
failure never hides the others: each item ends in an outcome of its own.
"""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import chain, zip_longest

import msgspec

from function import telemetry
from function.core.cached import cached_property
from function.core.errors import Locked, UploadError
from function.core.naming import metadata_digest, ownership_mark, same
from function.core.receipt import Receipt
from function.core.retry import Deadline
from function.core.types import Digests, FileId, Outcome, Status, Usage
from function.drive_upload import Upload
from function.folders.listing import FolderView
from function.home.source import Source
from function.pacing import shared_bandwidth
from function.protocol.plan import has_other_metadata, names_to_ask, outcome_done, unchanged_by_stat
from function.protocol.steps import Wanted
from function.state.log import UploadLog
from function.state.log_index import LogPosition
from function.state.receipts import Receipts
from function.upload.account import AccountSession, DriveSession
from function.upload.item import Destination, Item, UploadContext, receipt_name
from function.upload.one_processor import SMALL_MAX_BYTES, one_processor

PARALLEL_MAX = 30
"""Transfers side by side; the pacer holds them back when Drive does. With more, two accounts keep the processor busy
instead of waiting at the same time."""

SETTLING_MAX = 60
"""Uploads that go on side by side in later rounds: they wait for the same listing, and are logged together."""

ROUNDS_MAX = 40
"""Rounds before a batch gives up for now: each lost race for a name takes one, and a plain upload takes two."""

SETTLING_SHARE = 0.1
"""Share of the time budget in which nothing new is begun: what was sent is to be settled and logged by its end."""

_log = logging.getLogger(__name__)


class Batch(msgspec.Struct, dict=True):
    """The items of one account."""

    account: AccountSession
    items: Sequence[Item]
    log: UploadLog
    deadline: Deadline
    log_deadline: Deadline
    shared: Usage = msgspec.field(default_factory=Usage)
    """What was asked of Drive for several items at once; whoever is logged next carries it."""
    _folders: dict[str, FolderView] = msgspec.field(default_factory=dict)
    """By path: spellings that look alike are one folder."""
    _ids_taken: int = 0
    _has_warned: bool = False
    _lock: threading.Lock = msgspec.field(default_factory=threading.Lock)

    def run(self) -> None:
        """Bring every item to its end; those that were uploaded are logged, the others told."""
        items = [each for each in self.items if not _is_refused(each)]
        if not items:  # nothing to ask Drive for
            return
        try:
            receipts = self.session.receipts
            due = [each for each in items if not self._is_unchanged(each, receipts)]
            if due:
                self._prepare(due)
        except UploadError as error:
            for item in items:
                item.fail(error, shared=self.shared)
            return
        if due:
            are_small = all(_source(item).stat.size <= SMALL_MAX_BYTES for item in due)
            with one_processor() if are_small and len(due) > 1 else nullcontext():
                self._run_rounds([(item, Upload(self._destination(item), _source(item))) for item in _in_turns(due)])

    @cached_property
    def session(self) -> DriveSession:
        """The Drive that the account's token leads to."""
        return self.account.open(self.shared, self.deadline)

    def _run_rounds(self, pending: list[tuple[Item, Upload]]) -> None:
        reserve_s = SETTLING_SHARE * self.deadline.remaining_s() if len(pending) > 1 else 0.0
        for number in range(ROUNDS_MAX):
            began = time.monotonic()
            spare_s = 0.0 if number else reserve_s
            threads = min(SETTLING_MAX if number else PARALLEL_MAX, len(pending))
            with telemetry.span("settle") if number else nullcontext(), telemetry.Threads(threads, "upload") as pool:
                waits = list(pool.map(partial(self._advance, began, spare_s), *zip(*pending, strict=True)))
            pending = [each for each, is_waiting in zip(pending, waits, strict=True) if is_waiting]
            if not pending:
                return
        for item, upload in pending:
            error = Locked(f"{item.destination}: others keep taking its name; call again.")
            self._fail(item, upload, error)

    def _advance(self, round_began: float, spare_s: float, item: Item, upload: Upload) -> bool:
        """Let an upload go on; whether it waits for the next round."""
        try:
            if self.deadline.remaining_s() < spare_s:
                raise self.deadline.exceeded()
            outcome = upload.advance(round_began)
        except Exception as error:  # noqa: BLE001 - one failure never hides the others
            self._fail(item, upload, error)
            return False
        if outcome:
            item.tell(self._warned(item, outcome), self.shared)
        return outcome is None

    def _is_unchanged(self, item: Item, receipts: Receipts[Receipt]) -> bool:
        """Whether a stat and the receipt alone show that nothing changed; no lock, no request. Tells the outcome."""
        receipt = receipts.read(self._receipt_name(item))
        item.contents_done = receipt.done if receipt else ()
        if receipt is None or receipt.claim or receipt.strays:
            return False
        wanted = _wanted(item)
        done = unchanged_by_stat(receipt, wanted)
        if done is None or has_other_metadata(done, wanted):
            return False
        item.tell(outcome_done(item.folder, done, Status.UNCHANGED))
        return True

    def _prepare(self, items: Sequence[Item]) -> None:
        """A view for each folder, all names known; every folder that is unknown ensured in one walk."""
        self.account.memory.read_on()
        for item in items:
            is_first = same(item.folder_path) not in self._folders
            folder = self._folder(item.folder_path)
            if is_first:
                folder.chain = self.session.folders.known(item.folder_path)
            folder.files_due += 1
            folder.keys.add(ownership_mark(item.destination))
            folder.names.update(names_to_ask(_wanted(item), item.contents_done))
        unknown = {folder.path: folder for folder in self._folders.values() if folder.chain is None}
        if len(unknown) > 1:
            drive = self.session.drive(self.shared, self.deadline)
            for path, found in self.session.folders.ensure(unknown, drive, self.deadline).items():
                unknown[path].chain = found

    def _folder(self, path: str) -> FolderView:
        if same(path) not in self._folders:
            # No method of this batch: it and its folders would be a cycle, which keeps the payload.
            drive = partial(self.session.drive, self.shared, self.deadline)
            self._folders[same(path)] = FolderView(path, self.session.folders, drive, self.deadline)
        return self._folders[same(path)]

    def _fail(self, item: Item, upload: Upload, error: Exception) -> None:
        if not isinstance(error, UploadError):
            _log.error("%s: internal error", item.path, exc_info=error)
            error = UploadError(f"An internal error ({type(error).__name__}) stopped the upload; call again.")
        item.fail(error, upload.count_attempt(), self.shared)

    def _destination(self, item: Item) -> Destination:
        context = UploadContext(
            account=self.account.name,
            open_drive=partial(self.session.drive, item.usage, self.deadline),
            receipts=self.session.receipts,
            lock=self.account.locks.of,
            take_id=self._take_id,
            discard_ids=self.session.ids.discard,
            log_position=self.log.position,
            logged_upload=self.account.memory.upload_of,
            logged_uploads=lambda: self.account.memory.uploads_from(self.account.name, item.path),
            record=partial(self._record, item),
            deadline=self.deadline,
            wait_for_bytes=partial(
                shared_bandwidth(self.account.settings.bandwidth_limit).take, check=self.deadline.check
            ),
        )
        return Destination(
            context,
            self._folder(item.folder_path),
            item.folder,
            item.local_name,
            self._receipt_name(item),
            item.policy,
            item.request.metadata or {},
            item.progress,
        )

    def _receipt_name(self, item: Item) -> str:
        return receipt_name(self.session.key, item.folder, item.local_name)

    def _take_id(self) -> FileId:
        """A reserved id; the pool is asked at once for as many as the batch may need."""
        with self._lock:
            self._ids_taken += 1
            needed = len(self.items) - self._ids_taken
        drive = self.session.drive(self.shared, self.deadline)
        (taken,) = self.session.ids.take(1, drive, self.deadline, ahead=max(0, needed))
        return taken

    def _record(self, item: Item, outcome: Outcome, digests: Digests, since: LogPosition) -> bool:
        """Log an upload, before its receipt says that it is done, unless the log tells of it behind `since`."""
        if digests == _source(item).fingerprint.digests:
            return item.record(self._warned(item, outcome), self.shared, self.log, self.log_deadline, since)
        # An older content, which an earlier invocation brought to Drive and didn't live to log.
        entry = item.entry_of(outcome, None)
        return self.log.append([entry], self.log_deadline, unless_logged={entry.file_id or "": since})[0]

    def _warned(self, item: Item, outcome: Outcome) -> Outcome:
        """The outcome, with what a person should be told of the folders: the first of the batch carries it."""
        folder = self._folder(item.folder_path)
        with self._lock:
            if self._has_warned or folder.chain is None or folder.chain.warning is None:
                return outcome
            self._has_warned = True
        message = " ".join(filter(None, (outcome.message, folder.chain.warning)))
        return msgspec.structs.replace(outcome, message=message)


def _is_refused(item: Item) -> bool:
    """Whether the source is no good, which is told."""
    if isinstance(item.source, UploadError):
        item.fail(item.source)
        return True
    return False


def _in_turns(items: Sequence[Item]) -> Iterable[Item]:
    """The items, one folder after the other in turn, so that the looks at all folders begin at once."""
    by_folder: dict[str, list[Item]] = {}
    for item in items:
        by_folder.setdefault(item.folder_path, []).append(item)
    return filter(None, chain.from_iterable(zip_longest(*by_folder.values())))


def _wanted(item: Item) -> Wanted:
    """What a stat of the source can be compared by."""
    stat = _source(item).stat
    digest = metadata_digest(item.request.metadata or {})
    return Wanted(item.destination, item.drive_name, "", stat, item.policy, metadata=digest)


def _source(item: Item) -> Source:
    assert isinstance(item.source, Source)
    return item.source
