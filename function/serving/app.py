"""The wiring: settings -> adapters, kept between invocations; a request's body and headers -> a result, in time."""

import logging
import math
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import msgspec

from function import telemetry
from function.core.errors import HTTP_CODE, RETRY_AFTER_S, InvalidPayload, UploadError, VolumeUnavailable
from function.core.naming import quoted
from function.core.request import FileRequest, Job
from function.core.retry import Deadline
from function.core.types import LogEntry, Status
from function.drive.port import Drive
from function.home.data_root import DataRoot, OwnFiles
from function.home.settings import VARIABLES, Settings, load
from function.home.source import Source, find_source
from function.serving import payload, shutdown
from function.serving.shutdown import ended_in_time, seconds_from_now
from function.state.locks import Locks
from function.state.log import UploadLog
from function.state.log_index import LogIndex
from function.upload.account import AccountSession, as_it_is
from function.upload.batch import Batch
from function.upload.item import Item, log_items, now

CODES_WORST_FIRST = (503, 422, 409, 404, 403, 400, 200)


class InvocationResult(msgspec.Struct, frozen=True):
    """What the caller gets."""

    code: int
    status: str
    results: Sequence[LogEntry]
    retry_after_s: int | None = None

    def document(self) -> dict[str, Any]:
        """The answer's JSON."""
        return {"status": self.status, "results": msgspec.to_builtins(self.results)}


def result_of(items: Sequence[Item], *, from_queue: bool) -> InvocationResult:
    """The result of items that have ended."""
    waits = [(each.entry.reason, each.retry_after_s) for each in items if each.entry and each.entry.reason]
    return _result([each.entry for each in items if each.entry], waits, from_queue=from_queue)


def refusal(invocation_id: str, error: UploadError, *, from_queue: bool) -> InvocationResult:
    """The result of a request that was refused before any file was met: one entry, without the payload."""
    return failure([refused_entry(invocation_id, error)], error, from_queue=from_queue)


def failure(entries: Sequence[LogEntry], error: UploadError, *, from_queue: bool) -> InvocationResult:
    """The result where everything failed for one reason."""
    return _result(entries, [(error.reason, error.retry_after_s)], from_queue=from_queue)


def _result(
    entries: Sequence[LogEntry], waits: Sequence[tuple[str, float | None]], *, from_queue: bool
) -> InvocationResult:
    """A queue repeats whatever isn't 2xx: a failure that no repetition mends is 200 for it."""
    statuses = {each.status for each in entries}
    code = min((HTTP_CODE.get(each.reason or "", 200) for each in entries), key=CODES_WORST_FIRST.index)
    return InvocationResult(
        code=200 if from_queue and code != 503 else code,
        status=statuses.pop() if len(statuses) == 1 else "partial",
        results=entries,
        retry_after_s=_retry_after_s(waits) if code == 503 else None,
    )


def _retry_after_s(waits: Sequence[tuple[str, float | None]]) -> int:
    """When the first of the files can succeed: what a person must mend doesn't keep the others of a batch waiting."""
    return math.ceil(
        min(
            RETRY_AFTER_S[reason] if seconds is None else seconds
            for reason, seconds in waits
            if reason in RETRY_AFTER_S
        )
    )


def refused_entry(
    invocation_id: str, error: UploadError, *, account: str | None = None, request: FileRequest | None = None
) -> LogEntry:
    """The entry of what failed before a file was met."""
    return LogEntry(
        time=now(),
        invocation_id=invocation_id,
        account=account,
        path=request.path if request else None,
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
        metadata=request.metadata if request else None,
        if_exists=request.if_exists if request else None,
    )


LOGGING_S = 3.0
"""Time after the deadline in which failures are still logged; the answer comes at most 5 s after the deadline."""

LAST_LOG_S = 1.0
"""Time for the log after that, or of a request that was refused, to be had."""

LAST_WRITE_S = 0.5
"""Time for it to be written."""

LONGEST_READ_S = 300.0
"""For the settings to be read."""

SHOWN_MAX = 1000
"""Characters of a line's message in the process's own log; its entry has the whole."""

FileProgress = Callable[[str, int, int], None]
"""Called with a path, the bytes of it that were sent, and its bytes in all."""

_log = logging.getLogger(__name__)


class App(msgspec.Struct):
    """One home's adapters. Safe for threads."""

    settings: Settings
    locks: Locks
    log: UploadLog
    memory: LogIndex
    accounts: dict[str, AccountSession]

    def handle(
        self,
        body: bytes,
        headers: Mapping[str, str],
        progress: FileProgress | None = None,
        *,
        began_at: float | None = None,
    ) -> InvocationResult:
        """Do what a request asks, within its deadline. Never raises UploadError.

        The time budget began at `began_at` (`time.monotonic()`), or begins now.
        """
        invocation_id = uuid.uuid4().hex
        spent_s = 0.0 if began_at is None else time.monotonic() - began_at
        try:
            asked = payload.parse(body, headers)
            invocation = _Invocation(self, invocation_id, self._requests(asked), progress or _no_progress)
        except InvalidPayload as error:
            return self.refuse(invocation_id, error, from_queue=payload.is_from_queue(headers, body))
        with shutdown.deadline(self.settings.deadline_s - spent_s) as deadline, telemetry.span("invocation", headers):
            result = invocation.run(deadline, from_queue=asked.from_queue)
        telemetry.count(result.results)
        return result

    def refuse(self, invocation_id: str, error: UploadError, *, from_queue: bool) -> InvocationResult:
        """The result of a request that isn't acceptable: logged, without the payload."""
        result = refusal(invocation_id, error, from_queue=from_queue)
        self.log_in_time(result.results)
        _show(result.results[0])
        return result

    def log_in_time(self, entries: Sequence[LogEntry]) -> None:
        """Log what nothing depends on, where the log can be written soon."""

        def append() -> None:
            try:
                self.log.append(entries, Deadline.after(LAST_LOG_S))
            except UploadError as error:
                _log.error("upload_log.json: %s", error.message)

        if not ended_in_time(append, seconds_from_now(LAST_LOG_S + LAST_WRITE_S)):
            _log.error("upload_log.json: can't be written in time; the volume may hang.")

    def _requests(self, asked: Job) -> list[tuple[FileRequest, Sequence[AccountSession]]]:
        """Each file and the accounts it goes to. Raises InvalidPayload."""
        several = len(asked.files) > 1
        return [
            (request, self._accounts_of(request, f"files[{index}]." if several else ""))
            for index, request in enumerate(asked.files)
        ]

    def _accounts_of(self, request: FileRequest, where: str) -> Sequence[AccountSession]:
        if request.account is None:
            return list(self.accounts.values())
        if request.account not in self.accounts:
            known = ", ".join(self.accounts)
            raise InvalidPayload(
                f"{where}account: there is no account {quoted(request.account)}; the settings have {known}."
            )
        return [self.accounts[request.account]]


class _Invocation(msgspec.Struct):
    """A valid request under way. All that meets the volume or Drive happens in a thread that may hang."""

    app: App
    id: str
    requests: Sequence[tuple[FileRequest, Sequence[AccountSession]]]
    progress: FileProgress
    _items: list[Item] | None = None
    """Once every source was located."""
    _is_given_up: bool = False
    _turn: threading.Lock = msgspec.field(default_factory=threading.Lock)
    """Around the decision whether the sources were located in time."""

    def run(self, deadline: Deadline, *, from_queue: bool) -> InvocationResult:
        """Run, and fail what has not ended when the deadline is past."""
        is_over = ended_in_time(partial(self._run, deadline), lambda: deadline.at_s + LOGGING_S - time.monotonic())
        with self._turn:
            self._is_given_up = self._items is None
        if self._items is None:
            return self._never_located(deadline, from_queue=from_queue)
        late = [each for each in self._items if each.entry is None or not (is_over or each.is_logged)]
        for item in late:
            item.give_up(deadline.exceeded())
        if late:
            log = partial(self._log, late, Deadline.after(LAST_LOG_S))
            ended_in_time(log, seconds_from_now(LAST_LOG_S + LAST_WRITE_S))
        return result_of(self._items, from_queue=from_queue)

    def _never_located(self, deadline: Deadline, *, from_queue: bool) -> InvocationResult:
        error = deadline.exceeded()
        entries = [
            refused_entry(self.id, error, account=account.name, request=request)
            for request, accounts in self.requests
            for account in accounts
        ]
        self.app.log_in_time(entries)
        for entry in entries:
            _show(entry)
        return failure(entries, error, from_queue=from_queue)

    def _run(self, deadline: Deadline) -> None:
        data_root, own = DataRoot(self.app.settings.home, self.app.settings.data_root), OwnFiles(self.app.settings)
        items = [
            item for request, accounts in self.requests for item in self._items_of(request, accounts, data_root, own)
        ]
        with self._turn:
            if self._is_given_up:
                return
            self._items = items
        by_account: dict[str, list[Item]] = {}
        for item in items:
            by_account.setdefault(item.account.name, []).append(item)
        side_by_side = [
            threading.Thread(target=telemetry.in_context(partial(self._run_account, part, deadline)), daemon=True)
            for part in list(by_account.values())[1:]
        ]
        for thread in side_by_side:
            thread.start()
        self._run_account(next(iter(by_account.values())), deadline)
        for thread in side_by_side:
            thread.join()

    def _items_of(
        self, request: FileRequest, accounts: Sequence[AccountSession], data_root: DataRoot, own: OwnFiles
    ) -> list[Item]:
        relative, shown = "", request.path
        source: Source | UploadError
        try:
            location = data_root.locate(request.path)
            relative, shown = location.relative, location.shown
            source = find_source(location, own)
        except UploadError as error:
            source = self._away(data_root) or error if error.reason == "source_missing" else error
        except Exception as error:  # noqa: BLE001 - whatever it is, each item gets its answer
            source = _internal(error)
        return [
            Item(
                invocation_id=self.id,
                request=request,
                account=account,
                path=shown,
                relative=relative,
                source=source,
                policy=request.if_exists or self.app.settings.if_exists,
                progress=partial(self.progress, shown),
            )
            for account in accounts
        ]

    def _away(self, data_root: DataRoot) -> UploadError | None:
        """The error of a source that is missing with all others: an empty mount point says nothing about a file."""
        try:
            if data_root.is_empty and self.app.memory.knows_uploads():
                return VolumeUnavailable(
                    f"{data_root.path}: data_root is empty, and had files that were uploaded; mount it, and call again."
                )
        except UploadError as error:
            return error
        return None

    def _run_account(self, items: list[Item], deadline: Deadline) -> None:
        log_deadline = Deadline(deadline.at_s + LOGGING_S - 3 * LAST_WRITE_S)  # two appends may end by hanging
        try:
            items[0].account.warn_of_second_root(deadline)
            Batch(items[0].account, items, self.app.log, deadline, log_deadline).run()
        except UploadError as error:
            for item in items:
                item.fail(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, each item gets its answer
            for item in items:
                item.fail(_internal(error))
        self._log(items, log_deadline)

    def _log(self, items: list[Item], deadline: Deadline) -> None:
        """Log what ended; what can't be logged can't be called done, so its item fails with the volume's error."""
        try:
            log_items(items, self.app.log, deadline)
        except UploadError as error:
            _log.error("upload_log.json: %s", error.message)
            for item in items:
                if item.entry and not item.is_logged:
                    item.unlogged(error)
        for item in items:
            if item.entry:
                _show(item.entry)


def _internal(error: Exception) -> UploadError:
    """The error that an answer tells of one in our own code."""
    _log.error("internal error", exc_info=error)
    return UploadError(f"An internal error ({type(error).__name__}) stopped the upload; call again.")


def _show(entry: LogEntry) -> None:
    """The entry in the process's own log, for those who watch it."""
    level = logging.DEBUG if entry.status is Status.UNCHANGED else logging.INFO
    if entry.reason:
        level = logging.WARNING if entry.retryable else logging.ERROR
    text = f"{entry.status} {entry.path or 'request'} -> {entry.destination or 'nowhere'}"
    if entry.message:
        text = f"{text}: {entry.message}"
    _log.log(level, "%s", text[:SHOWN_MAX], extra={"entry": entry})


def _no_progress(path: str, sent: int, size: int) -> None:
    """Nobody watches."""


@lru_cache(maxsize=8)
def open_app(settings: Settings, around: Callable[[Drive], Drive] = as_it_is) -> App:
    """The App of those settings, kept between invocations; `around` is what the job gets to see of a Drive."""
    locks = Locks(settings.state_root, settings.state_folder / "locks", settings.lock)
    log = UploadLog(settings.log, locks.shared, _log.warning, int(settings.log_max_mb * 1024 * 1024))
    memory = LogIndex(settings.log)
    accounts = {each.name: AccountSession(settings, each, locks, memory, around) for each in settings.accounts}
    return App(settings, locks, log, memory, accounts)


def current() -> App:
    """The App of the settings as they are now. Raises SettingsError; VolumeUnavailable where their file hangs."""
    found: list[App | UploadError] = []

    def read() -> None:
        try:
            found.append(open_app(load()))
        except UploadError as error:
            found.append(error)
        except Exception as error:  # noqa: BLE001 - it is raised by who waits
            found.append(_internal(error))

    if not ended_in_time(read, seconds_from_now(_patience_s())):
        raise VolumeUnavailable("paths.json can't be read in time; mend the volume and call again.")
    if isinstance(found[0], UploadError):
        raise found[0]
    return found[0]


def _patience_s() -> float:
    """How long the settings may take to be read: as long as they would say, as far as that is known without them."""
    try:
        seconds = float(os.environ.get(VARIABLES["deadline_s"]) or LONGEST_READ_S)
    except ValueError:
        return LONGEST_READ_S
    return seconds if 0 < seconds < LONGEST_READ_S else LONGEST_READ_S
