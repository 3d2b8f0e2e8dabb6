"""Many files to one account: one walk over the folders, one look a folder, transfers side by side.

One failure never hides the others: each item ends in an outcome of its own.
"""

import logging
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice, zip_longest

from function.core import plan
from function.core.deadline import Deadline
from function.core.errors import UploadError
from function.core.types import FileId, Outcome
from function.drive.port import Drive, Usage
from function.drive_upload import Upload
from function.folders.listing import Visit
from function.home.source import Source
from function.state.log import UploadLog
from function.upload.account import Account
from function.upload.destination import Destination, Means
from function.upload.finishing import Sent, known
from function.upload.item import Item

PARALLEL_MAX = 30
"""Transfers side by side; the pacer holds them back when Drive does. With more, two accounts keep the processor busy
instead of waiting at the same time."""

_log = logging.getLogger(__name__)


def glance(item: Item) -> bool:
    """Whether a stat and the receipt alone show that nothing changed; no lock, no request. Tells the outcome."""
    if isinstance(item.source, UploadError):
        item.fail(item.source)
        return True
    receipt = item.account.receipts.read(item.receipt_name)
    item.contents_done = len(receipt.done) if receipt else 0
    done = plan.unchanged(receipt, item.source.stat, item.policy) if receipt and not receipt.claim else None
    if done:
        item.tell(known(item.folder, done))
    return done is not None


@dataclass(slots=True)
class Batch:
    """The items of one account that need more than a glance."""

    account: Account
    items: Sequence[Item]
    log: UploadLog
    deadline: Deadline
    log_deadline: Deadline
    shared: Usage = field(default_factory=Usage)
    """What was asked of Drive for several items at once; whoever is logged next carries it."""
    _visits: dict[str, Visit] = field(default_factory=dict)
    _ids: list[FileId] = field(default_factory=list)
    _taken: int = 0
    _taking: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Bring every item to its end; those that were uploaded are logged, the others told."""
        try:
            self._prepare()
        except UploadError as error:
            for item in self.items:
                self._fail(item, None, error)
            return
        with ThreadPoolExecutor(min(PARALLEL_MAX, len(self.items)), "upload") as pool:
            sent = [each for each in pool.map(self._begin, self._in_turns()) if each]
            list(pool.map(self._finish, *zip(*sent, strict=True))) if sent else None

    def _prepare(self) -> None:
        """A visit for each folder, all names known; every folder that is unknown ensured in one walk."""
        self.account.memory.read_on()
        for item in self.items:
            is_first = item.folder_path not in self._visits
            visit = self._visit(item.folder_path)
            if is_first:
                visit.chain = self.account.folders.known(item.folder_path)
            count = plan.names_due(item.contents_done, item.policy)
            visit.coming.add(item.receipt_name)
            visit.keys.add(plan.key(item.destination))
            visit.names.update(islice(plan.candidates(plan.drive_name(item.local_name)), count))
        unknown = [path for path, visit in self._visits.items() if visit.chain is None]
        if len(unknown) > 1:
            for path, found in self.account.folders.ensure(unknown, self._drive(), self.deadline).items():
                self._visits[path].chain = found

    def _visit(self, path: str) -> Visit:
        if path not in self._visits:
            self._visits[path] = Visit(path, self.account.folders, self._drive, self.deadline)
        return self._visits[path]

    def _drive(self) -> Drive:
        return self.account.drive.bound(self.shared, self.deadline)

    def _in_turns(self) -> Iterable[Item]:
        """The items, one folder after the other in turn, so that the looks at all folders begin at once."""
        by_folder: dict[str, list[Item]] = {}
        for item in self.items:
            by_folder.setdefault(item.folder_path, []).append(item)
        return filter(None, chain.from_iterable(zip_longest(*by_folder.values())))

    def _begin(self, item: Item) -> tuple[Item, Upload, Sent] | None:
        upload = Upload(self._destination(item), _source(item))
        try:
            result = upload.begin()
            if isinstance(result, Outcome):
                item.tell(result, self.shared)
            else:
                return item, upload, result
        except Exception as error:  # noqa: BLE001 - one failure never hides the others
            self._fail(item, upload, error)
        finally:
            self._visit(item.folder_path).goes(item.receipt_name)
        return None

    def _finish(self, item: Item, upload: Upload, sent: Sent) -> None:
        try:
            item.tell(upload.finish(sent), self.shared)
        except Exception as error:  # noqa: BLE001 - one failure never hides the others
            self._fail(item, upload, error)

    def _fail(self, item: Item, upload: Upload | None, error: Exception) -> None:
        if not isinstance(error, UploadError):
            _log.error("%s: internal error", item.path, exc_info=error)
            error = UploadError(f"An internal error ({type(error).__name__}) stopped the upload; call again.")
        upload = upload or Upload(self._destination(item), _source(item))
        item.fail(error, upload.count_attempt(), self.shared)

    def _destination(self, item: Item) -> Destination:
        means = Means(
            account=self.account.name,
            open_drive=lambda: self.account.drive.bound(item.usage, self.deadline),
            receipts=self.account.receipts,
            hold=lambda name: self.account.locks.of(name, self.deadline),
            take_id=self._take_id,
            discard_ids=self._discard_ids,
            log_size=self.log.position,
            logged_upload=self.account.memory.upload_of,
            logged_uploads=lambda: self.account.memory.uploads_from(self.account.name, item.path),
            deadline=self.deadline,
        )
        visit = self._visit(item.folder_path)
        record = partial(self._record, item)
        return Destination(
            means, visit, item.folder, item.local_name, item.policy, item.request.metadata, record, item.progress
        )

    def _take_id(self) -> FileId:
        """A reserved id: the batch takes as many as it may need, at the first need."""
        with self._taking:
            if not self._ids:
                count = max(1, len(self.items) - self._taken)
                self._ids = self.account.take_ids(count, self._drive(), self.deadline)
            self._taken += 1
            return self._ids.pop()

    def _discard_ids(self) -> None:
        with self._taking:
            self._ids = []
            self.account.ids.discard()

    def _record(self, item: Item, outcome: Outcome) -> None:
        """Log an upload, before its receipt says that it is done."""
        if outcome.digests == _source(item).fingerprint.digests:
            item.record(outcome, self.shared, self.log, self.log_deadline)
        else:  # an older content, which an earlier invocation brought to Drive and didn't live to log
            self.log.append([item.entry_of(outcome, None)], self.log_deadline)


def _source(item: Item) -> Source:
    assert isinstance(item.source, Source)
    return item.source
