"""The wiring: settings -> adapters, kept between invocations; a request's body and headers -> an answer."""

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import msgspec

from function.core.deadline import Deadline
from function.core.errors import HTTP_CODE, RETRY_AFTER_S, InvalidPayload, UploadError
from function.core.request import FileRequest, Job
from function.core.types import LogEntry, Status
from function.home.settings import Settings, load
from function.home.source import Source, Zone, find_source
from function.serving import payload, shutdown
from function.state.locks import Locks
from function.state.log import UploadLog
from function.state.log_index import LogMemory
from function.upload import batch
from function.upload.account import Account
from function.upload.batch import Batch
from function.upload.item import Item, log_items, now

GRACE_S = 3.0
"""Time after the deadline in which failures are still logged; the answer comes at most 5 s after the deadline."""

CODES_WORST_FIRST = (503, 422, 409, 404, 403, 400, 200)

Told = Callable[[str, int, int], None]
"""Told a path, the bytes of it that were sent, and its bytes in all."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets."""

    code: int
    status: str
    results: Sequence[LogEntry]
    retry_after_s: int | None = None

    def document(self) -> dict[str, Any]:
        """The answer's JSON."""
        return {"status": self.status, "results": msgspec.to_builtins(self.results)}


@dataclass(slots=True)
class App:
    """One home's adapters. Safe for threads."""

    settings: Settings
    locks: Locks
    log: UploadLog
    accounts: dict[str, Account]

    def handle(self, body: bytes, headers: Mapping[str, str], progress: Told | None = None) -> Answer:
        """Do what a request asks, within its deadline. Never raises UploadError."""
        invocation_id = uuid.uuid4().hex
        try:
            asked = payload.parse(body, headers)
            items = self._items(invocation_id, asked, progress or _no_progress)
        except InvalidPayload as error:
            return self._refused(invocation_id, error, from_queue=payload.is_from_queue(headers, body))
        self._run_in_time(items)
        return _answer(items, from_queue=asked.from_queue)

    def _items(self, invocation_id: str, asked: Job, progress: Told) -> list[Item]:
        several = len(asked.files) > 1
        zone = Zone(self.settings.home, self.settings.data_root)
        return [
            item
            for index, request in enumerate(asked.files)
            for item in self._items_of(zone, invocation_id, request, f"files[{index}]." if several else "", progress)
        ]

    def _items_of(self, zone: Zone, invocation_id: str, request: FileRequest, field: str, progress: Told) -> list[Item]:
        accounts = self._accounts_of(request, field)
        relative, shown = "", request.path
        source: Source | UploadError
        try:
            location = zone.locate(request.path)
            relative = location.relative
            shown = zone.below_home(relative)
            source = find_source(location)
        except UploadError as error:
            source = error
        return [
            Item(
                invocation_id=invocation_id,
                request=request,
                account=account,
                path=shown,
                relative=relative,
                source=source,
                policy=request.if_exists or self.settings.if_exists,
                progress=partial(progress, shown),
            )
            for account in accounts
        ]

    def _accounts_of(self, request: FileRequest, field: str) -> Sequence[Account]:
        if request.account is None:
            return list(self.accounts.values())
        if request.account not in self.accounts:
            known = ", ".join(self.accounts)
            raise InvalidPayload(f"{field}account: there is no account {request.account!r}; the settings have {known}.")
        return [self.accounts[request.account]]

    def _run_in_time(self, items: list[Item]) -> None:
        """Run, and fail what has not ended when the deadline is past: a read that hangs can't be interrupted."""
        with shutdown.deadline(self.settings.deadline_s) as deadline:
            running = threading.Thread(target=self._run, args=(items, deadline), daemon=True)
            running.start()
            while running.is_alive() and time.monotonic() < deadline.at_s + GRACE_S:
                running.join(min(1.0, max(0.01, deadline.at_s + GRACE_S - time.monotonic())))
        is_over = not running.is_alive()
        late = [each for each in items if each.entry is None or not (is_over or each.is_logged)]
        for item in late:
            item.give_up(deadline.exceeded())
        self._log(late, Deadline.after(1.0))

    def _run(self, items: list[Item], deadline: Deadline) -> None:
        by_account: dict[str, list[Item]] = {}
        for item in items:
            by_account.setdefault(item.account.name, []).append(item)
        side_by_side = [
            threading.Thread(target=self._run_account, args=(name, part, deadline), daemon=True)
            for name, part in list(by_account.items())[1:]
        ]
        for thread in side_by_side:
            thread.start()
        name, part = next(iter(by_account.items()))
        self._run_account(name, part, deadline)
        for thread in side_by_side:
            thread.join()

    def _run_account(self, name: str, items: list[Item], deadline: Deadline) -> None:
        log_deadline = Deadline(deadline.at_s + GRACE_S - 1)
        try:
            due = [each for each in items if not batch.glance(each)]
            if due:
                Batch(self.accounts[name], due, self.log, deadline, log_deadline).run()
        except UploadError as error:
            for item in items:
                item.fail(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, each item gets its answer
            _log.exception("internal error")
            for item in items:
                item.fail(UploadError(f"An internal error ({type(error).__name__}) stopped the upload; call again."))
        self._log(items, log_deadline)

    def _log(self, items: list[Item], deadline: Deadline) -> None:
        """Log what ended; what can't be logged can't be called done, so its item fails with the volume's error."""
        try:
            log_items(items, self.log, deadline)
        except UploadError as error:
            _log.error("upload_log.json: %s", error.message)
            for item in items:
                if item.entry and not item.is_logged:
                    item.unlogged(error)
        for item in items:
            if item.entry:
                _tell(item.entry)

    def _refused(self, invocation_id: str, error: InvalidPayload, *, from_queue: bool) -> Answer:
        answer = refusal(invocation_id, error, from_queue=from_queue)
        try:
            self.log.append(answer.results, Deadline.after(GRACE_S))
        except UploadError as failure:
            _log.error("upload_log.json: %s", failure.message)
        _tell(answer.results[0])
        return answer


def refusal(invocation_id: str, error: UploadError, *, from_queue: bool) -> Answer:
    """The answer to a request that was refused before any file was met: one entry, without the payload."""
    code = HTTP_CODE[error.reason]
    retry_after_s = math.ceil(error.retry_after_s or RETRY_AFTER_S[error.reason]) if code == 503 else None
    return Answer(
        200 if from_queue and code != 503 else code, Status.FAILED, [refused_entry(invocation_id, error)], retry_after_s
    )


def refused_entry(invocation_id: str, error: UploadError) -> LogEntry:
    """The entry of a request that was refused before any file was met."""
    return LogEntry(
        time=now(),
        invocation_id=invocation_id,
        account=None,
        path=None,
        destination=None,
        status=Status.FAILED,
        reason=error.reason,
        message=error.message,
        retryable=error.is_retryable,
        attempt=None,
        file_id=None,
        link=None,
        size=None,
        sha256=None,
        md5=None,
        duration_s=0.0,
        requests=0,
        units=0,
        metadata=None,
        if_exists=None,
    )


def _answer(items: Sequence[Item], *, from_queue: bool) -> Answer:
    entries = [each.entry for each in items if each.entry]
    statuses = {each.status for each in entries}
    code = min((HTTP_CODE.get(each.reason or "", 200) for each in entries), key=CODES_WORST_FIRST.index)
    if from_queue and code != 503:
        code = 200
    status = statuses.pop() if len(statuses) == 1 else "partial"
    return Answer(code, status, entries, _retry_after_s(items) if code == 503 else None)


def _retry_after_s(items: Sequence[Item]) -> int:
    """When the first of the items can succeed: what a person must mend doesn't keep the others of a batch waiting."""
    reasons = [(each, each.entry.reason) for each in items if each.entry and each.entry.reason]
    waits = [
        RETRY_AFTER_S[reason] if each.retry_after_s is None else each.retry_after_s
        for each, reason in reasons
        if reason in RETRY_AFTER_S
    ]
    return math.ceil(min(waits))


def _tell(entry: LogEntry) -> None:
    """The entry in the process's own log, for those who watch it."""
    level = logging.DEBUG if entry.status is Status.UNCHANGED else logging.INFO
    if entry.reason:
        level = logging.WARNING if entry.retryable else logging.ERROR
    text = f"{entry.status} {entry.path or 'request'} -> {entry.destination or 'nowhere'}"
    _log.log(level, "%s%s", text, f": {entry.message}" if entry.message else "", extra={"entry": entry})


def _no_progress(path: str, sent: int, size: int) -> None:
    """Nobody watches."""


@lru_cache(maxsize=8)
def open_app(settings: Settings) -> App:
    """The App of those settings, kept between invocations."""
    locks = Locks(settings.state_root, settings.state_root / ".drive_upload" / "locks", settings.lock)
    log = UploadLog(settings.log, locks.shared, _log.warning)
    memory = LogMemory(settings.log)
    accounts = {each.name: Account(settings, each, locks, memory) for each in settings.accounts}
    return App(settings, locks, log, accounts)


def current() -> App:
    """The App of the settings as they are now. Raises SettingsError."""
    return open_app(load())
