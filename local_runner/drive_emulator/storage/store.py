"""What the emulator knows: tables of frozen records, their indexes, and the journal that keeps them.

No HTTP, no rules about who may do what. Writers hold `lock` for as long as they look and change, never while bytes
move; readers take records without it, since a record is replaced and never altered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..model.records import AccessToken, Account, Change, FileRecord, RefreshToken, Revision, SharedDrive, UploadSession
from ..query.terms import name_key
from .journal import Journal


class Store:
    """All state of one emulator but the bytes of files."""

    def __init__(self, folder: Path | None) -> None:
        self.lock = threading.RLock()
        self.accounts: dict[str, Account] = {}
        self.files: dict[str, FileRecord] = {}
        self.drives: dict[str, SharedDrive] = {}
        self.revisions: dict[str, dict[str, Revision]] = {}
        self.tokens: dict[str, AccessToken] = {}
        self.refresh_tokens: dict[str, RefreshToken] = {}
        self.sessions: dict[str, UploadSession] = {}
        self.reserved: dict[str, tuple[str, str, str]] = {}
        """Ids given out and not used yet -> (e-mail, space, type)."""
        self.used_ids: set[str] = set()
        """Every id a file ever had, deleted ones too: an id is never used twice."""
        self.changes: list[Change] = []
        self.usage: dict[str, int] = {}
        """Bytes per owner."""
        self.starts = 0
        """How many times this state was opened."""
        self._children: dict[str, dict[str, None]] = {}
        self._names: dict[tuple[str, str], dict[str, None]] = {}
        self._journal = Journal(folder / "journal.jsonl" if folder else None)
        self._appliers = self._line_kinds()
        for kind, value in self._journal.load():
            self._apply(kind, value)
        self.starts += 1
        self._journal.start(self._state())

    # ------------------------------------------------------------------ reading

    def children(self, folder_id: str) -> list[FileRecord]:
        """What lies directly in a folder, oldest first."""
        return self._records(self._children.get(folder_id))

    def has_children(self, folder_id: str) -> bool:
        return bool(self._children.get(folder_id))

    def child_count(self, folder_id: str) -> int:
        return len(self._children.get(folder_id, ()))

    def named(self, folder_id: str, folded_name: str) -> list[FileRecord]:
        """What lies in a folder under a name, compared without case."""
        return self._records(self._names.get((folder_id, folded_name)))

    def _records(self, ids: dict[str, None] | None) -> list[FileRecord]:
        found = (self.files.get(file_id) for file_id in list(ids or ()))
        return [record for record in found if record is not None]

    def candidates(self, parents: frozenset[str] | None, names: frozenset[str] | None) -> list[FileRecord]:
        """A superset of the records with one of these parents and one of these names (case folded)."""
        if parents is None:
            return list(self.files.values())
        if names is None:
            return [record for parent in parents for record in self.children(parent)]
        return [record for parent in parents for name in names for record in self.named(parent, name)]

    def ancestors(self, record: FileRecord) -> Iterator[FileRecord]:
        """Parent, grandparent, ... up to the root."""
        seen = {record.id}
        while record.parents and (above := self.files.get(record.parents[0])) and above.id not in seen:
            seen.add(above.id)
            yield above
            record = above

    def subtree(self, folder_id: str) -> Iterator[FileRecord]:
        """Everything below a folder, parents before children."""
        waiting = self.children(folder_id)
        while waiting:
            record = waiting.pop()
            yield record
            waiting += self.children(record.id)

    # ------------------------------------------------------------------ writing

    def put_account(self, account: Account) -> None:
        self._save("account", account)

    def put_drive(self, drive: SharedDrive) -> None:
        self._save("drive", drive)

    def delete_drive(self, drive_id: str) -> None:
        self._save("-drive", drive_id)

    def put_token(self, token: AccessToken) -> None:
        self._save("token", token)

    def delete_token(self, token: str) -> None:
        self._save("-token", token)

    def put_refresh_token(self, token: RefreshToken) -> None:
        self._save("refresh", token)

    def put_session(self, session: UploadSession) -> None:
        self._save("session", session)

    def delete_session(self, session_id: str) -> None:
        self._save("-session", session_id)

    def reserve(self, ids: Iterable[str], *, email: str, space: str, kind: str) -> None:
        """Ids that `email` may use once; `kind` is files or shortcuts."""
        self._save("reserved", [list(ids), email, space, kind])

    def put_revision(self, revision: Revision) -> None:
        self._save("revision", revision)

    def delete_revision(self, file_id: str, revision_id: str) -> None:
        self._save("-revision", [file_id, revision_id])

    def put_file(self, record: FileRecord, *, now_ms: int) -> None:
        """Create or replace a file and note it in the change feed. Call with `lock` held."""
        self._save("file", record)
        self._note_change(record, now_ms, removed=False)

    def put_silently(self, record: FileRecord) -> None:
        """Replace a file without a change of its own: what happened to an ancestor shows on it."""
        self._save("file", record)

    def delete_file(self, file_id: str, *, now_ms: int) -> None:
        """Remove a record for good. Its revisions must be gone; its children are the caller's business."""
        record = self.files[file_id]
        self._note_change(record, now_ms, removed=True)
        self._save("-file", file_id)

    def _note_change(self, record: FileRecord, now_ms: int, *, removed: bool) -> None:
        number = self.changes[-1].number + 1 if self.changes else 1
        viewers = frozenset({record.owner, *(grant.email for grant in record.permissions)} - {""})
        self._save("change", Change(number, record.id, now_ms, removed, viewers, record.drive_id))

    def _save(self, kind: str, value: Any) -> None:
        with self.lock:
            self._apply(kind, value)
            self._journal.append(kind, value)

    def save(self, folder: Path) -> None:
        """Write this state as a journal into another folder, from which an emulator can start."""
        with self.lock:
            journal = Journal(folder / "journal.jsonl")
            journal.start(self._state())
            journal.close()

    def close(self) -> None:
        self._journal.close()

    # ------------------------------------------------------------------ one line of the journal

    def _apply(self, kind: str, value: Any) -> None:
        self._appliers[kind](value)

    def _line_kinds(self) -> dict[str, Callable[[Any], object]]:
        """What each kind of journal line does to the tables."""
        return {
            "file": self._index,
            "-file": lambda file_id: self._unindex(self.files.pop(file_id)),
            "revision": lambda one: self.revisions.setdefault(one.file_id, {}).__setitem__(one.id, one),
            "-revision": lambda ids: self._forget_revision(*ids),
            "change": self.changes.append,
            "account": lambda one: self.accounts.__setitem__(one.email, one),
            "drive": lambda one: self.drives.__setitem__(one.id, one),
            "-drive": lambda drive_id: self.drives.pop(drive_id, None),
            "token": lambda one: self.tokens.__setitem__(one.token, one),
            "-token": lambda token: self.tokens.pop(token, None),
            "refresh": lambda one: self.refresh_tokens.__setitem__(one.token, one),
            "session": lambda one: self.sessions.__setitem__(one.id, one),
            "-session": lambda session_id: self.sessions.pop(session_id, None),
            "reserved": self._reserve,
            "used": self.used_ids.update,
            "starts": self._count_starts,
        }

    def _reserve(self, value: tuple[list[str], str, str, str]) -> None:
        ids, email, space, kind = value
        self.reserved.update(dict.fromkeys(ids, (email, space, kind)))

    def _count_starts(self, value: int) -> None:
        self.starts = value

    def _index(self, record: FileRecord) -> None:
        """Put a record in its place. New places come before old ones go, so that no reader finds it nowhere."""
        before = self.files.get(record.id)
        self.files[record.id] = record
        self.used_ids.add(record.id)
        self.reserved.pop(record.id, None)
        self._weigh(record, 1)
        if before is not None:
            self._weigh(before, -1)
            if before.parents == record.parents and before.name == record.name:
                return
        folded = name_key(record.name)
        for parent in record.parents:
            self._children.setdefault(parent, {})[record.id] = None
            self._names.setdefault((parent, folded), {})[record.id] = None
        if before is not None:
            self._leave(before, now=record)

    def _unindex(self, record: FileRecord) -> None:
        self._weigh(record, -1)
        self._leave(record, now=None)

    def _leave(self, before: FileRecord, *, now: FileRecord | None) -> None:
        """Take a record out of the places of `before` that are not places of `now`."""
        for parent in before.parents:
            stays = now is not None and parent in now.parents
            if not stays:
                _drop(self._children, parent, before.id)
            if not (stays and now is not None and name_key(now.name) == name_key(before.name)):
                _drop(self._names, (parent, name_key(before.name)), before.id)

    def _weigh(self, record: FileRecord, sign: int) -> None:
        if record.content is not None and record.owner:
            self.usage[record.owner] = self.usage.get(record.owner, 0) + sign * record.content.size

    def _forget_revision(self, file_id: str, revision_id: str) -> None:
        of_file = self.revisions.get(file_id, {})
        of_file.pop(revision_id, None)
        if not of_file:
            self.revisions.pop(file_id, None)

    def _state(self) -> Iterator[tuple[str, Any]]:
        """The journal lines that make this state."""
        yield "starts", self.starts
        yield "used", sorted(self.used_ids)
        for file_id, (email, space, kind) in self.reserved.items():
            yield "reserved", [[file_id], email, space, kind]
        tables: tuple[tuple[str, Iterable[Any]], ...] = (
            ("account", self.accounts.values()),
            ("drive", self.drives.values()),
            ("file", self.files.values()),
            ("revision", [revision for of_file in self.revisions.values() for revision in of_file.values()]),
            ("change", self.changes),
            ("token", self.tokens.values()),
            ("refresh", self.refresh_tokens.values()),
            ("session", self.sessions.values()),
        )
        for kind, values in tables:
            for value in values:
                yield kind, value


def _drop(index: dict[Any, dict[str, None]], key: Any, file_id: str) -> None:
    ids = index[key]
    ids.pop(file_id, None)
    if not ids:
        del index[key]
