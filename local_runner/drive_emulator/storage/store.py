"""What the emulator knows: tables of frozen records, their indexes, and the journal that keeps them.

No HTTP, no rules about who may do what. Writers hold a `transaction` for as long as they look and change, never while
bytes move; readers take records without a lock, since a record is replaced and never altered.
"""

from __future__ import annotations

import gc
import sys
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ..model.records import (
    AccessToken,
    Account,
    Change,
    Comment,
    FileRecord,
    RefreshToken,
    Revision,
    SharedDrive,
    UploadSession,
)
from ..query.terms import name_key
from .journal import Journal, Line
from .sharing import Sharing

Undo = Callable[[], object]
Key = TypeVar("Key")
Value = TypeVar("Value")


class OfFile(Protocol):
    """What belongs to a file, and has an id of its own there."""

    @property
    def id(self) -> str: ...
    @property
    def file_id(self) -> str: ...


Part = TypeVar("Part", bound=OfFile)


@dataclass(slots=True)
class Transaction:
    """Changes that are kept together: their journal lines, how to take them back, what to do once they are kept."""

    lines: list[Line] = field(default_factory=list)
    undo: list[Undo] = field(default_factory=list)
    afterwards: list[Callable[[], object]] = field(default_factory=list)


@dataclass(slots=True)
class _Folder:
    """What lies directly in a folder: ids, oldest first, and ids by name (compared without case)."""

    ids: dict[str, None] = field(default_factory=dict)
    by_name: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Store:
    """All state of one emulator but the bytes of files."""

    def __init__(self, folder: Path | None) -> None:
        self.lock = threading.RLock()
        self.accounts: dict[str, Account] = {}
        self.files: dict[str, FileRecord] = {}
        self.drives: dict[str, SharedDrive] = {}
        self.revisions: dict[str, tuple[Revision, ...]] = {}
        """By file, oldest first; so are the comments."""
        self.comments: dict[str, tuple[Comment, ...]] = {}
        self.tokens: dict[str, AccessToken] = {}
        self.refresh_tokens: dict[str, RefreshToken] = {}
        self.sessions: dict[str, UploadSession] = {}
        self.reserved: dict[str, tuple[str, str, str]] = {}
        """Ids given out and not used yet -> (e-mail, space, type)."""
        self.deleted_ids: set[str] = set()
        """Ids of files that are gone."""
        self.changes: list[Change] = []
        self.usage: dict[str, int] = {}
        """Bytes per owner."""
        self.starts = 0
        """How many times this state was opened."""
        self._folders: dict[str, _Folder] = {}
        """Those with something in them."""
        self._latest_changes: dict[str, int] = {}
        self._transaction: Transaction | None = None
        self._journal = Journal(folder / "journal.jsonl" if folder else None)
        self._appliers = self._line_kinds()
        self._load()
        self._journal.start(self._state, self._line_count())
        self.starts += 1
        self._owed: list[Line] = [("starts", self.starts)]
        """Lines that have to stand before the next."""
        self._begin()

    # ------------------------------------------------------------------ reading

    def children(self, folder_id: str) -> list[FileRecord]:
        """What lies directly in a folder, oldest first."""
        folder = self._folders.get(folder_id)
        return self._records(folder.ids) if folder else []

    def child_count(self, folder_id: str) -> int:
        folder = self._folders.get(folder_id)
        return len(folder.ids) if folder else 0

    def named(self, folder_id: str, folded_name: str) -> list[FileRecord]:
        """What lies in a folder under a name, compared without case."""
        folder = self._folders.get(folder_id)
        return self._records(folder.by_name.get(folded_name, ())) if folder else []

    def revision(self, file_id: str, revision_id: str | None) -> Revision | None:
        """A content that a file has or had."""
        return next((one for one in self.revisions.get(file_id, ()) if one.id == revision_id), None)

    def is_used(self, file_id: str) -> bool:
        """Whether a file has or had this id: an id is never used twice."""
        return file_id in self.files or file_id in self.deleted_ids

    def is_latest(self, change: Change) -> bool:
        """Whether nothing has happened to the file since."""
        return self._latest_changes.get(change.file_id) == change.number

    def _records(self, ids: Iterable[str]) -> list[FileRecord]:
        found = (self.files.get(file_id) for file_id in list(ids))
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

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Changes that are all kept or none, whatever happens: they are one line of the journal.

        The lock is held meanwhile. An exception takes back what was changed inside; so does a journal that can't be
        written (OSError). A transaction inside another is part of that one.
        """
        with self.lock:
            if self._transaction is not None:
                yield self._transaction
                return
            self._transaction = current = Transaction()
            try:
                yield current
                if current.lines:
                    self._journal.append([*self._owed, *current.lines])
                    self._owed.clear()
            except BaseException:
                for undo in reversed(current.undo):
                    undo()
                raise
            finally:
                self._transaction = None
            for act in current.afterwards:
                act()

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

    def put_comment(self, comment: Comment) -> None:
        """Keep a comment, new or changed, with its replies."""
        self._save("comment", comment)

    def put_file(self, record: FileRecord, *, now_ms: int) -> None:
        """Create or replace a file and note it in the change feed. Call with `lock` held."""
        before = self.files.get(record.id)
        lost = self._audience(before) if before is not None else frozenset()
        self._save("file", record)
        self._note_change(record, now_ms, lost, removed=False)

    def put_silently(self, record: FileRecord) -> None:
        """Replace a file without a change of its own: what happened to an ancestor shows on it."""
        self._save("file", record)

    def delete_file(self, file_id: str, *, now_ms: int) -> None:
        """Remove a record and its comments for good. Its revisions must be gone; its children aren't looked at."""
        record = self.files[file_id]
        if file_id in self.comments:
            self._save("-comments", file_id)
        self._note_change(record, now_ms, frozenset(), removed=True)
        self._save("-file", file_id)

    def _note_change(self, record: FileRecord, now_ms: int, lost: frozenset[str], *, removed: bool) -> None:
        """One more entry of the feed, for those who see the file now, and for those who did (`lost`, or earlier).

        Only the newest entry of a file is shown, so whoever has to hear that it is gone from their sight is in it, too.
        """
        number = self.changes[-1].number + 1 if self.changes else 1
        viewers = self._audience(record) | lost
        if (latest := self._latest_changes.get(record.id)) is not None:
            viewers |= self.changes[bisect_left(self.changes, latest, key=attrgetter("number"))].viewers
        self._save("change", Change(number, record.id, now_ms, removed, viewers, record.drive_id, record.space))

    def _audience(self, record: FileRecord) -> frozenset[str]:
        """Who sees a file, by e-mail address: owners, and those it or what it lies in is shared with."""
        places = (record, *self.ancestors(record))
        drive = self.drives.get(record.drive_id or "")
        grants = chain(*(place.permissions for place in places), drive.members if drive else ())
        return frozenset({place.owner for place in places} | {grant.email for grant in grants}) - {""}

    def _save(self, kind: str, value: Any) -> None:
        with self.transaction() as current:
            current.undo.append(self._appliers[kind](value))
            current.lines.append((kind, value))

    def save(self, folder: Path) -> None:
        """Write this state as a journal into another folder, from which an emulator can start."""
        with self.lock:
            Journal(folder / "journal.jsonl").write(self._state())

    def close(self) -> None:
        self._journal.close()

    # ------------------------------------------------------------------ the journal

    def _load(self) -> None:
        """Read the state, with the collector of cycles at rest: hundreds of thousands of records come at once."""
        sharing = Sharing(self.files, self.revisions)
        collects = gc.isenabled()
        gc.disable()
        try:
            for kind, value in self._journal.load():
                sharing.by_kind.get(kind, _nothing)(value)
                self._appliers[kind](value)
        finally:
            if collects:
                gc.enable()

    def _begin(self) -> None:
        """Note the start; where the disk is too full even for that, serve what is there."""
        try:
            self._journal.append(self._owed)
            self._owed.clear()
        except OSError as error:
            print(f"Nothing can be changed until there is room for the journal: {error.strerror}", file=sys.stderr)

    def _line_kinds(self) -> dict[str, Callable[[Any], Undo]]:
        """What each kind of journal line does to the tables; each answers with how to take it back."""
        return {
            "file": self._index,
            "-file": self._unindex,
            "revision": lambda one: _put_part(self.revisions, one),
            "-revision": lambda ids: _remove_part(self.revisions, *ids),
            "comment": lambda one: _put_part(self.comments, one),
            "-comments": lambda file_id: _put(self.comments, file_id, None),
            "change": self._append_change,
            "account": lambda one: _put(self.accounts, one.email, one),
            "drive": lambda one: _put(self.drives, one.id, one),
            "-drive": lambda drive_id: _put(self.drives, drive_id, None),
            "token": lambda one: _put(self.tokens, one.token, one),
            "-token": lambda token: _put(self.tokens, token, None),
            "refresh": lambda one: _put(self.refresh_tokens, one.token, one),
            "session": lambda one: _put(self.sessions, one.id, one),
            "-session": lambda session_id: _put(self.sessions, session_id, None),
            "reserved": self._reserve,
            "used": self._use,
            "starts": self._count_starts,
        }

    def _reserve(self, value: tuple[list[str], str, str, str]) -> Undo:
        ids, email, space, kind = value
        self.reserved.update(dict.fromkeys(ids, (email, space, kind)))
        return lambda: [self.reserved.pop(file_id, None) for file_id in ids]

    def _use(self, ids: list[str]) -> Undo:
        """Only read back from a journal, so never taken back."""
        self.deleted_ids.update(ids)
        return _nothing

    def _count_starts(self, value: int) -> Undo:
        self.starts = value
        return _nothing

    def _append_change(self, change: Change) -> Undo:
        before = self._latest_changes.get(change.file_id)
        self.changes.append(change)
        self._latest_changes[change.file_id] = change.number

        def undo() -> None:
            self.changes.pop()
            _put(self._latest_changes, change.file_id, before)

        return undo

    def _index(self, record: FileRecord) -> Undo:
        """Put a record in its place. New places come before old ones go, so that no reader finds it nowhere."""
        before = self.files.get(record.id)
        reserved = self.reserved.pop(record.id, None)
        self.files[record.id] = record
        self._weigh(record, 1)
        if before is not None:
            self._weigh(before, -1)
        if before is None or before.parents != record.parents or before.name != record.name:
            self._enter(record)
            if before is not None:
                self._leave(before, now=record)

        def undo() -> None:
            if before is not None:
                self._index(before)
                return
            self._remove(record)
            if reserved is not None:
                self.reserved[record.id] = reserved

        return undo

    def _unindex(self, file_id: str) -> Undo:
        self.deleted_ids.add(file_id)
        record = self.files.get(file_id)
        if record is None:  # its own line was unreadable
            return _nothing
        self._remove(record)

        def undo() -> None:
            self._index(record)
            self.deleted_ids.discard(file_id)

        return undo

    def _remove(self, record: FileRecord) -> None:
        del self.files[record.id]
        self._weigh(record, -1)
        self._leave(record, now=None)

    def _enter(self, record: FileRecord) -> None:
        """Note a record in the places where it lies."""
        folded = _folded(record.name)
        for parent in record.parents:
            folder = self._folders.get(parent) or self._folders.setdefault(parent, _Folder())
            folder.ids[record.id] = None
            named = folder.by_name.get(folded, ())
            if record.id not in named:
                folder.by_name[folded] = (*named, record.id)

    def _leave(self, before: FileRecord, *, now: FileRecord | None) -> None:
        """Take a record out of the places of `before` that are not places of `now`."""
        for parent in before.parents:
            folder = self._folders[parent]
            stays = now is not None and parent in now.parents
            if not (stays and now is not None and name_key(now.name) == name_key(before.name)):
                folded = name_key(before.name)
                left = tuple(file_id for file_id in folder.by_name[folded] if file_id != before.id)
                _put(folder.by_name, folded, left or None)
            if not stays:
                folder.ids.pop(before.id, None)
                if not folder.ids:
                    del self._folders[parent]

    def _weigh(self, record: FileRecord, sign: int) -> None:
        if record.content is not None and record.owner:
            self.usage[record.owner] = self.usage.get(record.owner, 0) + sign * record.content.size

    def _line_count(self) -> int:
        """About how many lines `_state` has."""
        return 100 + 2 * len(self.files) + len(self._latest_changes) + len(self.tokens) + len(self.reserved)

    def _state(self) -> Iterator[Line]:
        """The journal lines that make this state."""
        yield "starts", self.starts
        yield "used", sorted(self.deleted_ids)
        for file_id, (email, space, kind) in self.reserved.items():
            yield "reserved", [[file_id], email, space, kind]
        tables: tuple[tuple[str, Iterable[Any]], ...] = (
            ("account", self.accounts.values()),
            ("drive", self.drives.values()),
            ("file", self.files.values()),
            ("revision", chain.from_iterable(self.revisions.values())),
            ("comment", chain.from_iterable(self.comments.values())),
            ("change", filter(self.is_latest, self.changes)),
            ("token", self.tokens.values()),
            ("refresh", self.refresh_tokens.values()),
            ("session", self.sessions.values()),
        )
        for kind, values in tables:
            for value in values:
                yield kind, value


def _folded(name: str) -> str:
    """The name as the index has it; the very name where it is folded already, to hold it once."""
    folded = name_key(name)
    return name if folded == name else folded


def _nothing(*_: object) -> None:
    """There is nothing to do, or to take back."""


def _put(table: dict[Key, Value], key: Key, value: Value | None) -> Undo:
    """Set an entry of a table, or remove it (None)."""
    before = table.get(key)
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
    return lambda: _put(table, key, before)


def _put_part(table: dict[str, tuple[Part, ...]], part: Part) -> Undo:
    """Set what belongs to a file: in the place that it had, or behind the others."""
    before = table.get(part.file_id, ())
    if any(one.id == part.id for one in before):
        return _put(table, part.file_id, tuple(part if one.id == part.id else one for one in before))
    return _put(table, part.file_id, (*before, part))


def _remove_part(table: dict[str, tuple[Part, ...]], file_id: str, part_id: str) -> Undo:
    """Remove what belongs to a file; the file's entry goes with the last of them."""
    return _put(table, file_id, tuple(one for one in table.get(file_id, ()) if one.id != part_id) or None)
