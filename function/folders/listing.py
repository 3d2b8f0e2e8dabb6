"""One invocation's view of one folder on Drive: its chain of folders, and the newest listing of its files.

A view is shared by all files of a batch that go into the folder: one listing serves them all. On the way the chain is
held against what Drive shows, and mended.

Duplicate folders were made by racers without shared state: what we made in the younger moves over to the older, one of
two equal files goes to the bin, and the younger folder itself when it is empty. What others put there stays where it
is, and keeps its folder.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import reduce
from operator import or_

import msgspec

from function import telemetry
from function.core import retry
from function.core.errors import BadRequest, DriveError, LookFailed, TransientDriveError
from function.core.naming import same
from function.core.retry import Deadline
from function.core.types import FOLDER_MIME_TYPE, NEVER, FileId, FolderListing, FolderPath, RemoteFile
from function.drive.move import move
from function.drive.port import Drive
from function.drive.query import LIVE, Query, inside, marked, spelled
from function.folders.search import NAMES_PER_QUERY
from function.folders.tree import REPAIRS_AT_ONCE, Folders, pause_between_repairs

_log = logging.getLogger(__name__)

KEYS_PER_QUERY = 8
"""Marks asked for in one query: each makes it dearer for Drive."""


class DuplicateFolders(msgspec.Struct, frozen=True):
    """Two folders of one name in one place; the younger is ours."""

    younger: RemoteFile
    older: RemoteFile


class FolderView(msgspec.Struct):
    """A folder, asked for names. Safe for threads."""

    path: str
    folders: Folders
    open_drive: Callable[[], Drive]
    deadline: Deadline
    names: set[str] = msgspec.field(default_factory=set)
    """Names of the batch's files, and those that they may get instead: looked for all at once."""
    keys: set[str] = msgspec.field(default_factory=set)
    """Our marks on the batch's files."""
    chain: FolderPath | None = None
    made: set[str] = msgspec.field(default_factory=set)
    """Ids of the files that this invocation made: a listing that hides them lags."""
    files_due: int = 0
    """Files of the batch that go there."""
    _newest: FolderListing | None = None
    _merged: set[str] = msgspec.field(default_factory=set)
    """Younger duplicate folders that were merged, or couldn't be emptied."""
    _lock: threading.RLock = msgspec.field(default_factory=threading.RLock)

    @property
    def drive(self) -> Drive:
        """The account's Drive."""
        return self.open_drive()

    @property
    def leaf(self) -> FileId | None:
        """The id of the folder, where it is known."""
        return self.chain.leaf if self.chain else None

    @property
    def may_create_unseen(self) -> bool:
        """A create needs no listing before it: receipts know the folder, and what we have put there.

        Many files are not sent into a folder that no look has found in its place lately: each would have to be moved.
        """
        if self.chain is None or self.chain.was_ensured or self.chain.leaf in self.folders.with_unknown_files:
            return False
        return self.files_due == 1 or self.folders.is_fresh(self.chain)

    def ready(self) -> FolderPath:
        """The chain of folders; made where it is missing."""
        with self._lock:
            if self.chain is None:
                self.chain = self.folders.ensure([self.path], self.drive, self.deadline)[self.path]
            return self.chain

    def look(self, names: Collection[str], begun_after: float) -> FolderListing:
        """What Drive shows of the names, by a listing that began after that moment; one serves all files of a batch.

        Raises TransientDriveError where Drive doesn't show the whole.
        """
        newest = self._newest
        if newest and newest.serves(names, begun_after):
            return newest  # without waiting for another's listing
        with self._lock:
            if self._newest is None or not self._newest.serves(names, begun_after):
                self.names.update(names)
                is_empty = begun_after == NEVER and self.ready().is_made
                self._newest = FolderListing(frozenset(self.names), ()) if is_empty else self._looked()
            return self._newest

    def has_unknown_files(self) -> None:
        """The folder holds what no receipt knew: from now on a create there waits for a listing."""
        self.folders.with_unknown_files.add(self.ready().leaf)

    def distrust(self) -> None:
        """Drive says that a folder of the chain is gone: each is asked for by its id."""
        with self._lock:
            self._newest = None
            if self.chain:
                self.folders.invalidate(self.chain)
                self._mend(self.folders.misplaced(self.chain, {}, {}, self.drive))

    def _looked(self) -> FolderListing:
        for attempt in itertools.count():
            chain = self.ready()
            began = time.monotonic()
            is_known = chain.was_ensured or chain.leaf == "root" or self.folders.is_fresh(chain)
            try:
                with telemetry.Threads(1) as beside:  # the listing, and a look at the folder itself
                    leaf_look = None if is_known else beside.submit(self.drive.get, chain.leaf)
                    listed, is_whole = self._list(chain)
                    fetched = leaf_look.result() if leaf_look else None
            except LookFailed as error:  # is a folder gone, or is it asked again?
                self.distrust()
                if self.chain is chain or attempt >= REPAIRS_AT_ONCE:
                    retry.pause(attempt, error, self.deadline)
                continue
            shown: dict[str, RemoteFile] = {each.id: each for each in listed if each.mime_type == FOLDER_MIME_TYPE}
            misplaced = self.folders.misplaced(chain, shown, {str(fetched.id): fetched} if fetched else {}, self.drive)
            duplicates = self._duplicates(chain, listed, shown)
            if not misplaced and not duplicates:
                return self._listing(chain, listed, began, is_whole=is_whole)
            self._mend(misplaced | {each.younger.id for each in duplicates} & {each.id for each in chain.folders})
            for each in duplicates:
                self._merged.add(each.younger.id)
                self._merge(each)
            why = f"Drive doesn't show the folder {self.path} as it is; call again."
            pause_between_repairs(attempt, why, self.deadline)
        raise AssertionError

    def _listing(
        self, chain: FolderPath, listed: Iterable[RemoteFile], began: float, *, is_whole: bool
    ) -> FolderListing:
        names = None if is_whole else frozenset(self.names)
        here = [each for each in listed if _is_in(each, chain) and not each.trashed]
        alike = None if names is None else {same(name) for name in names}
        files = tuple(each for each in here if alike is None or same(each.name) in alike)
        shown = {each.id for each in files}
        ours = (each for each in listed if each.key in self.keys and each.may_be_from(chain.leaf))
        elsewhere = tuple(each for each in ours if _is_put_away(each, shown))
        return FolderListing(names, files, elsewhere, began)

    def _duplicates(
        self, chain: FolderPath, listed: Iterable[RemoteFile], shown: dict[str, RemoteFile]
    ) -> Iterable[DuplicateFolders]:
        """Duplicate folders to be merged; none while listings hide what we made: they may hide what is in those."""
        found = [each for each in duplicates_shown(chain, shown) if each.younger.id not in self._merged]
        found = [each for each in found if self._are_alike(each)]
        return [] if found and self._is_behind(chain, listed) else found

    def _are_alike(self, duplicates: DuplicateFolders) -> bool:
        """Whether both still are what the listing showed, by looks at their ids: one goes to the bin."""
        younger, older = (self.drive.get(each.id) for each in (duplicates.younger, duplicates.older))
        return bool(younger and older and not (younger.trashed or older.trashed) and _place(younger) == _place(older))

    def _is_behind(self, chain: FolderPath, listed: Iterable[RemoteFile]) -> bool:
        """Whether the listing hides a file that we made.

        One that a racer has binned, as one too many, isn't hidden, nor one that it has moved: it merges our folder into
        its own, and would be the only one to see that both hold files of one name.
        """
        for file_id in sorted(self.made - {each.id for each in listed}):
            file = self.drive.get(file_id)
            if file and not file.trashed and _is_in(file, chain):
                return True
            self.made.discard(file_id)
        return False

    def _merge(self, duplicates: DuplicateFolders) -> None:
        """Merge them as far as the account may: who may only add files to a shared drive can't move them."""
        try:
            merge(duplicates, self.drive)
        except TransientDriveError:
            raise
        except DriveError as error:
            _log.warning("%s: two folders of one name can't be merged: %s", self.path, error.message)

    def _mend(self, misplaced: set[str]) -> None:
        if misplaced and self.chain:
            self.chain = self.folders.ensure([self.path], self.drive, self.deadline, frozenset(misplaced))[self.path]

    def _list(self, chain: FolderPath) -> tuple[list[RemoteFile], bool]:
        """What is shown of the chain and of our names; or of the whole folder (True), where one request shows that.

        Of a few files also what has their marks, wherever it is: the content may be there under another name, by a home
        that shares no state with this one, or where its owner has put it.
        """
        folders = self.folders.clause(chain)
        marks = [marked(key) for key in sorted(self.keys)] if len(self.keys) <= KEYS_PER_QUERY else []
        names = sorted(self.names)
        try:
            if chain.is_made or len(names) > NAMES_PER_QUERY:
                page, is_all = self.drive.first_page(_live(inside(chain.leaf), folders, marks))
                if is_all:
                    return page, True
            found: dict[str, RemoteFile] = {}
            for start in range(0, max(1, len(names)), NAMES_PER_QUERY):
                part = names[start : start + NAMES_PER_QUERY]
                here = inside(chain.leaf) & spelled(part) if part else None
                if here or folders:
                    found |= {each.id: each for each in self.drive.list(_live(here, folders, marks))}
            return list(found.values()), False
        except BadRequest:  # too long or too complex a query: the whole folder says it too
            return self.drive.list(LIVE & inside(chain.leaf)), True


def _is_in(file: RemoteFile, chain: FolderPath) -> bool:
    return chain.leaf == "root" or chain.leaf in file.parents


def _is_put_away(file: RemoteFile, shown: set[FileId]) -> bool:
    return file.explicitly_trashed or not (file.trashed or file.id in shown)


def _live(files: Query | None, folders: Query | None, marks: Iterable[Query]) -> Query:
    """The query for those files and folders, where they aren't in the bin, or for what carries one of our marks."""
    return reduce(or_, [LIVE & reduce(or_, filter(None, (files, folders))), *marks])


def duplicates_shown(chain: FolderPath, shown: Mapping[str, RemoteFile]) -> list[DuplicateFolders]:
    """The duplicates among the folders that a look at the chain shows, from the top; pure.

    The chain's own folder may be another's: ours beside it, being younger, give way to it as well.
    """
    found = []
    for folder in chain.folders[1:]:
        standing = shown.get(folder.id)
        if standing:
            ours = (each for each in shown.values() if each.key and _place(each) == _place(standing))
            oldest, *others = sorted({*ours, standing}, key=lambda each: each.seniority)
            found += [DuplicateFolders(each, oldest) for each in others if each.key]
    return found


def _place(folder: RemoteFile) -> tuple[str, tuple[str, ...]]:
    return same(folder.name), folder.parents


def merge(duplicates: DuplicateFolders, drive: Drive) -> None:
    """Bring what is ours from the younger folder into the older one; may be repeated. Raises what `drive` raises."""
    there = _children(duplicates.older, drive)
    for child in _children(duplicates.younger, drive):
        if child.key is None:
            continue
        alike = [each for each in there if (each.name, each.key) == (child.name, child.key)]
        if child.mime_type == FOLDER_MIME_TYPE and alike:
            merge(DuplicateFolders(child, alike[0]), drive)
        elif equal := [each for each in alike if each.is_equal_to(child)]:
            _keep_the_oldest(child, equal[0], duplicates.older, drive)
        else:
            move(child, duplicates.older.id, drive)
    if not _children(duplicates.younger, drive):
        drive.trash(duplicates.younger)


def _keep_the_oldest(child: RemoteFile, other: RemoteFile, folder: RemoteFile, drive: Drive) -> None:
    """Both are looked at by their ids: a listing may still show what its owner has edited or binned meanwhile."""
    ours, theirs = drive.get(child.id), drive.get(other.id)
    if ours is None or ours.trashed:
        return
    twin = theirs if theirs and not theirs.trashed and theirs.is_equal_to(ours) else None
    if twin and twin.seniority < ours.seniority:
        drive.trash(ours)
        return
    move(ours, folder.id, drive)
    if twin:
        drive.trash(twin)


def _children(folder: RemoteFile, drive: Drive) -> Iterable[RemoteFile]:
    return drive.list(inside(folder.id) & LIVE)
