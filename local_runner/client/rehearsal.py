"""A dry run: the job itself, on a copy of its state, with a Drive that is asked and never changed.

    the job ─▶ Rehearsal: what this run would have written ─▶ the real Drive, for reads only

So what a dry run says is what the run would do: the same protocol, receipts, names and policies.
"""

import builtins
import hashlib
import itertools
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from function import telemetry
from function.core.errors import NotFound, SessionLost
from function.core.retry import Deadline
from function.core.types import FOLDER_MIME_TYPE, FileId, NewFile, RemoteFile, Usage
from function.drive.port import Drive
from function.drive.query import Query
from function.home.settings import Settings
from function.serving.app import open_app
from local_runner.client.invoke import Call, CallFailed, Progress, Reply

NEVER = "mimeType = 'application/x-never'"
"""A condition that holds for no file."""


class Written(msgspec.Struct):
    """What this run would have written so far. Shared by all that rehearse on one account."""

    files: dict[str, RemoteFile] = msgspec.field(default_factory=dict)
    """By id, as they would be now: new ones, and real ones that would be changed."""
    new: set[str] = msgspec.field(default_factory=set)
    root: RemoteFile | None = None
    """What the alias `root` stands for, once it was asked."""
    sessions: dict[str, tuple[NewFile, bool]] = msgspec.field(default_factory=dict)
    numbers: Iterator[int] = msgspec.field(default_factory=lambda: itertools.count(1))
    lock: threading.RLock = msgspec.field(default_factory=threading.RLock)


class Rehearsal(msgspec.Struct, frozen=True):
    """`Drive` whose reads are the real one's and whose writes stay here."""

    real: Drive
    written: Written = msgspec.field(default_factory=Written)

    def bound(self, usage: Usage, deadline: Deadline) -> "Rehearsal":
        return replace(self, real=self.real.bound(usage, deadline))

    def identity(self) -> str:
        return self.real.identity()

    def reserve_ids(self, count: int) -> list[str]:
        return [f"dry-run-{next(self.written.numbers)}" for _ in range(count)]

    def get(self, file_id: str) -> RemoteFile | None:
        with self.written.lock:
            found = self.written.files.get(file_id)
        return found or self.real.get(file_id)

    def count_revisions(self, file_id: str) -> int:
        return 1 if file_id in self.written.new else self.real.count_revisions(file_id)

    def first_page(self, query: Query) -> tuple[list[RemoteFile], bool]:
        found, is_all = self.real.first_page(self._known_to_drive(query))
        return self._merged(found, query), is_all

    def list(self, query: Query) -> list[RemoteFile]:
        return self._merged(self.real.list(self._known_to_drive(query)), query)

    def _known_to_drive(self, query: Query) -> Query:
        """The query without the folders that would only be made: Drive refuses a parent that it doesn't know."""
        text = query.q
        for each in self.written.new.copy():
            text = text.replace(f"'{each}' in parents", NEVER)
        return replace(query, q=text)

    def _merged(self, found: Iterable[RemoteFile], query: Query) -> builtins.list[RemoteFile]:
        with self.written.lock:
            ours = [each for each in self.written.files.values() if query.matches(each, self._parents(each))]
            return [each for each in found if each.id not in self.written.files] + ours

    def _parents(self, file: RemoteFile) -> tuple[str, ...]:
        root = self.written.root
        return (*file.parents, "root") if root is not None and root.id in file.parents else file.parents

    def create_folder(self, file_id: FileId, name: str, parent: str, key: str) -> RemoteFile:
        return self._create(RemoteFile(file_id, name, FOLDER_MIME_TYPE, key=key), parent)

    def create(self, file: NewFile, content: memoryview) -> RemoteFile:
        return self._sent(file, [content], revises=False)

    def start(self, file: NewFile, size: int, *, revises: bool) -> str:  # noqa: ARG002 - the port's
        uri = f"dry-run:{next(self.written.numbers)}"
        self.written.sessions[uri] = file, revises
        return uri

    def session_status(self, uri: str, size: int) -> RemoteFile | int:  # noqa: ARG002 - the port's
        if uri not in self.written.sessions:
            raise SessionLost("A dry run sends nothing to a session that is open.")
        return 0

    def send(  # the port's signature
        self,
        uri: str,
        size: int,  # noqa: ARG002
        offset: int,  # noqa: ARG002
        blocks: Iterable[memoryview],
    ) -> RemoteFile | int:
        file, revises = self.written.sessions[uri]
        return self._sent(file, blocks, revises=revises)

    def update(
        self,
        file: RemoteFile,
        *,
        name: str | None = None,
        move_to: str | None = None,
        properties: Mapping[str, str | None] | None = None,
        description: str | None = None,
    ) -> RemoteFile:
        fields = {
            "name": name,
            "description": description,
            "parents": (self._id(move_to),) if move_to else None,
            "properties": {k: v for k, v in {**file.properties, **(properties or {})}.items() if v is not None},
        }
        return self._change(file, {field: value for field, value in fields.items() if value is not None})

    def trash(self, file: RemoteFile) -> RemoteFile:
        return self._change(file, {"trashed": True, "explicitly_trashed": True, "key": None})

    def _change(self, file: RemoteFile, given: dict[str, Any]) -> RemoteFile:
        with self.written.lock:
            changed = self.written.files[file.id] = replace(self.written.files.get(file.id, file), **given)
            return changed

    def _id(self, folder: str) -> str:
        """The id behind the alias `root`."""
        if folder != "root":
            return folder
        root = self.written.root = self.written.root or self.real.get("root")
        if root is None:
            raise NotFound("My Drive has no root.")
        return root.id

    def _create(self, file: RemoteFile, parent: str) -> RemoteFile:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with self.written.lock:
            made = replace(
                file,
                parents=(self._id(parent),),
                created_time=now,
                modified_time=file.modified_time or now,
                version="1",
            )
            self.written.new.add(made.id)
            self.written.files[made.id] = made
            return made

    def _sent(self, file: NewFile, blocks: Iterable[memoryview], *, revises: bool) -> RemoteFile:
        md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
        for block in blocks:
            md5.update(block)
            sha256.update(block)
            size += len(block)
        stored: dict[str, Any] = {
            "size": size,
            "md5": md5.hexdigest(),
            "sha256": sha256.hexdigest(),
            "nonce": file.nonce,
            "key": file.key,
            "head_revision_id": f"dry-run-{next(self.written.numbers)}",
            "properties": dict(file.properties),
            "description": file.description,
        }
        if revises:
            old = self.get(file.id)
            assert old is not None
            with self.written.lock:
                revised = self.written.files[file.id] = replace(old, **stored, version="dry-run")
                return revised
        made = RemoteFile(file.id, file.name, file.mime_type or "", modified_time=file.modified_time or "", **stored)
        return self._create(made, file.folder)


@contextmanager
def rehearsing(settings: Settings) -> Iterator[Call]:
    """The function in this process, on a copy of the state that is gone afterwards, for calls that change nothing.

    Raises CallFailed.
    """
    telemetry.log_to_stderr()
    with _copied(settings) as folder:
        copied = open_app(replace(settings, state_root=folder), Rehearsal)
        app = replace(copied, settings=settings)  # what is an own file is told by where the state really is

        def call(body: bytes, progress: Progress) -> Reply:
            result = app.handle(body, {}, lambda path, sent, size: None)
            return Reply(result.code, [_as_planned(each) for each in result.document()["results"]])

        yield call
        open_app.cache_clear()


@contextmanager
def _copied(settings: Settings) -> Iterator[Path]:
    """A copy of the state, until the block ends."""
    with ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="drive-upload-dry-run-")))
            _copy_state(settings, folder)
        except OSError as error:
            where, why = error.filename or settings.state_root, error.strerror or error
            if isinstance(error, shutil.Error):  # it lists all that went wrong
                why = error.args[0][0][2]
            raise CallFailed(f"{where}: can't be copied for the dry run ({why}); mend that and call again.") from error
        yield folder


def _copy_state(settings: Settings, folder: Path) -> None:
    if settings.state_folder.is_dir():
        shutil.copytree(settings.state_folder, folder / settings.state_folder.name, ignore_dangling_symlinks=True)
    if settings.log.is_file():
        shutil.copyfile(settings.log, folder / settings.log.name)


def _as_planned(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry without the id and the link of a file that was not made."""
    if entry["status"] != "uploaded":
        return entry
    return {**entry, "file_id": None, "link": None}
