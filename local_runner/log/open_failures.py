"""What the log leaves open: what can be tried again and when, and what a person must decide. Pure."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from function.core.errors import InvalidPayload
from function.core.retry import due_at
from function.serving.payload import parse
from local_runner.client.invoke import Entry, Request, encode
from local_runner.log import advice


@dataclass(frozen=True, slots=True)
class OpenFailure:
    """A path that failed for an account, and nothing newer of it in the log."""

    entry: Entry
    failures: int
    """In a row, this one included."""
    first_failed: datetime
    """When the row began."""
    due: datetime | None
    """When it is tried again; None where the same call can't succeed."""

    @property
    def request(self) -> Request:
        """The same upload once more: for the account that failed, with what its caller gave."""
        given = (("metadata", dict), ("if_exists", str))
        kept = {name: self.entry[name] for name, kind in given if isinstance(self.entry.get(name), kind)}
        return {"path": self.entry["path"], "account": self.entry["account"], **kept}

    @property
    def refusal(self) -> str | None:
        """Why the job would refuse the request whenever it came; None where it would not."""
        try:
            parse(encode([self.request]), {})
        except InvalidPayload as error:
            return error.message
        return None

    @property
    def document(self) -> dict[str, object]:
        """What programs are told of it."""
        told = {name: self.entry.get(name) for name in ("path", "account", "destination", "reason", "message")}
        return {
            **told,
            "attempts": self.failures,
            "first_failed": _shown(self.first_failed),
            "next_try": None if self.due is None else _shown(self.due),
            "advice": advice.for_reason(self.entry.get("reason")),
        }


def open_failures(entries: Iterable[Entry], home: Path) -> list[OpenFailure]:
    """Per account and path the last entry counts. What failed less often comes first: no poison is in the way."""
    open_: dict[tuple[str, str], tuple[Entry, int, datetime]] = {}
    for entry in entries:
        account, path = entry.get("account"), entry.get("path")
        if not isinstance(account, str) or not isinstance(path, str):
            continue  # a request that was refused before any file was met
        key = account, spelled(path, home)
        if entry.get("status") == "failed":
            _, count, first = open_.get(key, (entry, 0, _time(entry)))
            open_[key] = entry, count + 1, first
        else:
            open_.pop(key, None)
    found = [_failure(*each) for each in open_.values()]
    return sorted(found, key=lambda each: (each.failures, each.due or each.first_failed))


def spelled(path: str, home: Path) -> str:
    """The path as the job logs it, relative to the home; `..` behind a link leads elsewhere than it seems."""
    if ".." in path.split("/"):
        return path
    return os.path.relpath(path, home) if os.path.isabs(path) else os.path.normpath(path)


def _failure(entry: Entry, count: int, first_failed: datetime) -> OpenFailure:
    attempt = entry.get("attempt")
    failures = max(count, attempt) if isinstance(attempt, int) else count
    is_retryable = entry.get("retryable") is True
    reason = entry.get("reason") if isinstance(entry.get("reason"), str) else None
    due = due_at(_time(entry), failures, str(entry.get("invocation_id")), reason) if is_retryable else None
    return OpenFailure(entry, failures, first_failed, due)


def _shown(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _time(entry: Entry) -> datetime:
    """When the entry was written; what doesn't say so is long past."""
    try:
        time = datetime.fromisoformat(str(entry.get("time")))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
