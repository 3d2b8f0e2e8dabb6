"""An in-memory Drive that keeps Google's rules, for tests of what talks to the port.

Names are not unique; an id is used once; what lies in a binned folder is `trashed` too; a get by id is consistent at
once, listings are not. A test makes trouble by `before` and `after` (any action at any call), `fail`, `lose`, `cut`,
`hide_new`, and acts as somebody else by `put`, `edit`, `change` and `delete`, which no marks and no usage show.
"""

import builtins
import hashlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from function.core.errors import AlreadyExists, DriveError, NotFound, SessionLost, TransientDriveError
from function.core.retry import Deadline
from function.core.types import FOLDER_MIME_TYPE, FileId, NewFile, RemoteFile, Usage
from function.drive.query import Query

T = TypeVar("T")

UNITS = Counter(
    count_revisions=100, create=50, create_folder=50, start=50, update=50, list=100, first_page=100, get=5, identity=5
)
UNITS["reserve_ids"] = 5
"""Quota units of a call; the requests of a session, once it is begun, cost none."""


def lost() -> TransientDriveError:
    """What the caller of a call learns whose answer was lost."""
    return TransientDriveError("The connection to Drive failed; call again later.", reason="network")


class Session(msgspec.Struct):
    """A resumable upload: what it will make, and the bytes that it has kept."""

    file: NewFile
    size: int
    revises: bool
    kept: bytearray = msgspec.field(default_factory=bytearray)
    made: RemoteFile | None = None


Hook = Callable[[str, int], None]
"""Called with a method's name and the number of the call to it, from 1; what it raises, the caller gets."""


class Store(msgspec.Struct):
    """One user's Drive. Every change takes a second of a clock of its own."""

    user: str = "user-1"
    files: dict[str, RemoteFile] = msgspec.field(default_factory=dict)
    """By id, `trashed` as `explicitly_trashed`: what is above a file is looked up."""
    contents: dict[str, bytes] = msgspec.field(default_factory=dict)
    revisions: dict[str, list[bytes]] = msgspec.field(default_factory=dict)
    """By id, the contents that a file has had, oldest first."""
    sessions: dict[str, Session] = msgspec.field(default_factory=dict)
    used: set[str] = msgspec.field(default_factory=set)
    """Ids that can't be used again, those of deleted files too."""
    calls: Counter[str] = msgspec.field(default_factory=Counter)
    """Calls of each method so far."""
    hidden: set[str] | None = None
    """Ids that listings don't show yet; None where they show everything."""
    page_size: int = 1000
    before: Hook = lambda method, number: None
    after: Hook = lambda method, number: None
    errors_before: dict[tuple[str, int], Exception] = msgspec.field(default_factory=dict)
    errors_after: dict[tuple[str, int], Exception] = msgspec.field(default_factory=dict)
    cuts: dict[int, int] = msgspec.field(default_factory=dict)
    """Number of a call to `send` -> bytes that are kept of it before the connection drops."""
    lock: threading.RLock = msgspec.field(default_factory=threading.RLock)
    changes: int = 0
    numbers: Any = msgspec.field(default_factory=lambda: itertools.count(1))

    def tick(self) -> int:
        """The number of one more change, which dates it."""
        self.changes += 1
        return self.changes


class MemoryDrive(msgspec.Struct, frozen=True):
    """`Drive` on a store, which several of them may share."""

    store: Store = msgspec.field(default_factory=Store)
    usage: Usage = msgspec.field(default_factory=Usage)
    deadline: Deadline = msgspec.field(default_factory=lambda: Deadline.after(300))

    def __post_init__(self) -> None:
        if not self.store.files:
            self.store.files["root-id"] = RemoteFile(FileId("root-id"), "My Drive", FOLDER_MIME_TYPE)

    # What a test does.

    def fail(self, method: str, number: int, error: Exception | None = None) -> None:
        """Let that call (1, 2, … of the method) do nothing and raise; by default a transient error."""
        self.store.errors_before[method, number] = error or lost()

    def lose(self, method: str, number: int, error: Exception | None = None) -> None:
        """Let that call be done and its answer be lost, or another error be told in its place."""
        self.store.errors_after[method, number] = error or lost()

    def cut(self, number: int, kept: int) -> None:
        """Let that call to `send` break off after so many bytes."""
        self.store.cuts[number] = kept

    def hide_new(self) -> None:
        """From now on listings hide what is made, until `show_all`."""
        self.store.hidden = set()

    def show_all(self) -> None:
        """Let listings show everything again."""
        self.store.hidden = None

    def forget_sessions(self) -> None:
        """As Google does after a week."""
        self.store.sessions.clear()

    def put(self, name: str, content: bytes | None = None, parent: str = "root", **fields: Any) -> RemoteFile:
        """A file that somebody else makes; a folder where there is no content. `fields` are RemoteFile's."""
        file_id = FileId(f"theirs-{next(self.store.numbers)}")
        mime_type = FOLDER_MIME_TYPE if content is None else "text/plain"
        file = RemoteFile(file_id, name, mime_type, parents=(self._id(parent),))
        return self._stand(self._add(replace(file, **fields), content))

    def edit(self, file_id: str, content: bytes, **fields: Any) -> RemoteFile:
        """New content that somebody else gives a file."""
        return self._stand(self._add(replace(self.store.files[file_id], **fields), content))

    def change(self, file_id: str, **fields: Any) -> RemoteFile:
        """Something else that somebody does to a file: `name`, `parents`, `explicitly_trashed`, …"""
        return self._stand(self._add(replace(self.store.files[file_id], **fields), None))

    def delete(self, file_id: str) -> None:
        """Delete for ever, without the bin."""
        self.store.tick()
        del self.store.files[file_id]
        self.store.contents.pop(file_id, None)
        self.store.revisions.pop(file_id, None)

    def path(self, file_id: str) -> str:
        """Where a file is, by names from the root down: `MemoryVDB/Meta/note.txt`."""
        file = self.store.files[file_id]
        above = file.parents[0] if file.parents else None
        return file.name if above in (None, "root-id") else f"{self.path(str(above))}/{file.name}"

    def stored(self) -> list[tuple[str, bytes]]:
        """Path and content of each file that isn't in the bin, sorted."""
        live = [each for each in self.store.contents if not self._is_trashed(self.store.files[each])]
        return sorted((self.path(each), self.store.contents[each]) for each in live)

    # The port.

    def bound(self, usage: Usage, deadline: Deadline) -> "MemoryDrive":
        return replace(self, usage=usage, deadline=deadline)

    def identity(self) -> str:
        return self._call("identity", lambda: self.store.user)

    def reserve_ids(self, count: int) -> list[str]:
        return self._call("reserve_ids", lambda: [f"id-{next(self.store.numbers):06}" for _ in range(count)])

    def get(self, file_id: str) -> RemoteFile | None:
        return self._call("get", lambda: self._find(file_id))

    def count_revisions(self, file_id: str) -> int:
        return self._call("count_revisions", lambda: len(self.store.revisions.get(file_id, ())))

    def first_page(self, query: Query) -> tuple[list[RemoteFile], bool]:
        return self._call("first_page", lambda: self._page(query))

    def _page(self, query: Query) -> tuple[list[RemoteFile], bool]:
        found = self._listed(query)
        return found[: self.store.page_size], len(found) <= self.store.page_size

    def list(self, query: Query) -> list[RemoteFile]:
        return self._call("list", lambda: self._listed(query))

    def create_folder(self, file_id: FileId, name: str, parent: str, key: str) -> RemoteFile:
        file = RemoteFile(file_id, name, FOLDER_MIME_TYPE, key=key)
        return self._call("create_folder", lambda: self._create(file, parent, None))

    def create(self, file: NewFile, content: memoryview) -> RemoteFile:
        return self._call("create", lambda: self._create(_remote(file), file.folder, bytes(content)))

    def start(self, file: NewFile, size: int, *, revises: bool) -> str:
        return self._call("start", lambda: self._start(file, size, revises=revises))

    def session_status(self, uri: str, size: int) -> RemoteFile | int:
        return self._call("session_status", lambda: self._progress(uri))

    def send(self, uri: str, size: int, offset: int, blocks: Iterable[memoryview]) -> RemoteFile | int:
        return self._call("send", lambda: self._send(uri, offset, blocks))

    def update(
        self,
        file: RemoteFile,
        *,
        name: str | None = None,
        move_to: str | None = None,
        properties: Mapping[str, str | None] | None = None,
        description: str | None = None,
    ) -> RemoteFile:
        fields = {"name": name, "description": description}
        given = {field: value for field, value in fields.items() if value is not None}
        return self._call("update", lambda: self._update(file, given, move_to, properties or {}))

    def trash(self, file: RemoteFile) -> RemoteFile:
        return self._call("update", lambda: self._update(file, {"explicitly_trashed": True, "key": None}, None, {}))

    # What a call does.

    def _call(self, method: str, do: Callable[[], T]) -> T:
        self.deadline.check()
        self.usage.count(UNITS[method])
        with self.store.lock:
            self.store.calls[method] += 1
            call = method, self.store.calls[method]
            self.store.before(*call)
            if error := self.store.errors_before.pop(call, None):
                raise error
            answer = do()
            self.store.after(*call)
            if error := self.store.errors_after.pop(call, None):
                raise error
            return answer

    def _id(self, file_id: str) -> str:
        return "root-id" if file_id == "root" else file_id

    def _find(self, file_id: str) -> RemoteFile | None:
        file = self.store.files.get(self._id(file_id))
        return self._stand(file) if file else None

    def _stand(self, file: RemoteFile) -> RemoteFile:
        """The file as Drive reports it."""
        return replace(file, trashed=self._is_trashed(file))

    def _is_trashed(self, file: RemoteFile) -> bool:
        above = (self.store.files.get(each) for each in file.parents)
        return file.explicitly_trashed or any(self._is_trashed(each) for each in above if each)

    def _listed(self, query: Query) -> builtins.list[RemoteFile]:
        hidden = self.store.hidden or ()
        shown = [self._stand(each) for each in self.store.files.values() if each.parents and each.id not in hidden]
        return [each for each in reversed(shown) if query.matches(each, self._aliases(each))]

    def _aliases(self, file: RemoteFile) -> tuple[str, ...]:
        return (*file.parents, "root") if "root-id" in file.parents else file.parents

    def _create(self, file: RemoteFile, parent: str, content: bytes | None) -> RemoteFile:
        if file.id in self.store.used:
            raise AlreadyExists("A file already exists with the provided ID.")
        if self._id(parent) not in self.store.files:
            raise NotFound(f"File not found: {parent}.")
        return self._stand(self._add(replace(file, parents=(self._id(parent),)), content))

    def _add(self, file: RemoteFile, content: bytes | None) -> RemoteFile:
        """Put it there, changed now; with that content, where it gets one."""
        change = self.store.tick()
        now = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=change)).isoformat(timespec="milliseconds")
        now = now.replace("+00:00", "Z")
        is_new = file.id not in self.store.files
        file = replace(file, version=str(change), created_time=file.created_time or now)
        if is_new:
            self.store.used.add(file.id)
            if self.store.hidden is not None:
                self.store.hidden.add(file.id)
        if content is not None:
            self.store.contents[file.id] = content
            self.store.revisions.setdefault(file.id, []).append(content)
            file = replace(
                file,
                size=len(content),
                md5=hashlib.md5(content).hexdigest(),
                sha256=hashlib.sha256(content).hexdigest(),
                head_revision_id=f"revision-{change}",
            )
        file = replace(file, modified_time=file.modified_time if is_new and file.modified_time else now)
        self.store.files[file.id] = file
        return file

    def _revise(self, file: NewFile, content: bytes) -> RemoteFile:
        old = self.store.files.get(file.id)
        if old is None:
            raise NotFound(f"File not found: {file.id}.")
        new = replace(
            old,
            key=file.key or old.key,
            nonce=file.nonce or old.nonce,
            properties=_without_none({**old.properties, **file.properties}),
            description=old.description if file.description is None else file.description,
        )
        revised = self._add(new, content)
        if file.modified_time:
            revised = self.store.files[file.id] = replace(revised, modified_time=file.modified_time)
        return self._stand(revised)

    def _start(self, file: NewFile, size: int, *, revises: bool) -> str:
        if revises and file.id not in self.store.files:
            raise NotFound(f"File not found: {file.id}.")
        if not revises and file.id in self.store.used:
            raise AlreadyExists("A file already exists with the provided ID.")
        if not revises and self._id(file.folder) not in self.store.files:
            raise NotFound(f"File not found: {file.folder}.")
        uri = f"memory://sessions/{next(self.store.numbers)}"
        self.store.sessions[uri] = Session(file, size, revises)
        return uri

    def _session(self, uri: str) -> Session:
        if uri not in self.store.sessions:
            raise SessionLost("The session is unknown.")
        return self.store.sessions[uri]

    def _progress(self, uri: str) -> RemoteFile | int:
        session = self._session(uri)
        if session.made is None and len(session.kept) == session.size:
            self._finish(session)
        return session.made or len(session.kept)

    def _send(self, uri: str, offset: int, blocks: Iterable[memoryview]) -> RemoteFile | int:
        session = self._session(uri)
        if offset > len(session.kept):
            raise TransientDriveError(f"The upload offset is {offset}, which exceeds {len(session.kept)}.")
        cut = self.store.cuts.pop(self.store.calls["send"], None)
        del session.kept[offset:]
        for block in blocks:
            session.kept += block
            if cut is not None and len(session.kept) - offset >= cut:
                del session.kept[offset + cut :]
                raise lost()
        return self._progress(uri)

    def _finish(self, session: Session) -> None:
        content = bytes(session.kept)
        if session.revises:
            session.made = self._revise(session.file, content)
        else:
            session.made = self._create(_remote(session.file), session.file.folder, content)

    def _update(
        self, file: RemoteFile, given: Mapping[str, Any], move_to: str | None, properties: Mapping[str, str | None]
    ) -> RemoteFile:
        old = self.store.files.get(file.id)
        if old is None or (move_to and self._id(move_to) not in self.store.files):
            raise NotFound(f"File not found: {file.id if old is None else move_to}.")
        parents = old.parents
        if move_to:
            parents = (*(each for each in parents if each not in file.parents), self._id(move_to))
        if len(parents) > 1:
            raise DriveError("Increasing the number of parents is not allowed.", reason="drive_unavailable")
        kept = _without_none({**old.properties, **properties})
        return self._stand(self._add(replace(old, parents=parents, properties=kept, **given), None))


def _remote(file: NewFile) -> RemoteFile:
    return RemoteFile(
        file.id,
        file.name,
        file.mime_type or "application/octet-stream",
        key=file.key,
        nonce=file.nonce,
        properties=_without_none(file.properties),
        description=file.description,
        modified_time=file.modified_time or "",
    )


def _without_none(properties: Mapping[str, str | None]) -> dict[str, str]:
    """What stays of properties, of which None clears one."""
    return {key: value for key, value in properties.items() if value is not None}
