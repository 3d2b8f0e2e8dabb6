"""What the log leaves to be tried again, and when each is due. Pure: entries in, failures out."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from function.core.errors import InvalidPayload
from function.core.retry import due_at
from function.serving.payload import parse
from local_runner.client.invoke import Entry, Request, encode


@dataclass(frozen=True, slots=True)
class OpenFailure:
    """A path that failed for an account, and nothing newer of it in the log; trying again can help."""

    entry: Entry
    failures: int
    """In a row, this one included."""
    due: datetime

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


def open_failures(entries: Iterable[Entry], home: Path) -> list[OpenFailure]:
    """Per account and path the last entry counts. What failed less often comes first: no poison is in the way."""
    open_: dict[tuple[str, str], tuple[Entry, int]] = {}
    for entry in entries:
        account, path = entry.get("account"), entry.get("path")
        if not isinstance(account, str) or not isinstance(path, str):
            continue  # a request that was refused before any file was met
        path = _spelled(path, home)
        if entry.get("status") == "failed":
            open_[account, path] = entry, open_.get((account, path), (entry, 0))[1] + 1
        else:
            open_.pop((account, path), None)
    found = [_failure(entry, count) for entry, count in open_.values() if entry.get("retryable") is True]
    return sorted(found, key=lambda each: (each.failures, each.due))


def _spelled(path: str, home: Path) -> str:
    """The path as the job logs it, relative to the home; `..` behind a link leads elsewhere than it seems."""
    if ".." in path.split("/"):
        return path
    return os.path.relpath(path, home) if os.path.isabs(path) else os.path.normpath(path)


def _failure(entry: Entry, count: int) -> OpenFailure:
    attempt = entry.get("attempt")
    failures = max(count, attempt) if isinstance(attempt, int) else count
    return OpenFailure(entry, failures, due_at(_time(entry), failures, str(entry.get("invocation_id"))))


def _time(entry: Entry) -> datetime:
    """When the entry was written; what doesn't say so is long past."""
    try:
        time = datetime.fromisoformat(str(entry.get("time")))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
