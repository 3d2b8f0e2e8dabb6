"""One invocation's dealings with one folder on Drive: its chain of folders, and what a look shows of its files.

A visit is shared by all files of a batch that go into the folder: one listing serves them all.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from itertools import islice
from operator import or_

from function.core.deadline import Deadline
from function.core.errors import BadRequest, DriveError, UploadError
from function.core.plan import EXTRA_NAMES, Look, candidates
from function.core.types import FOLDER_MIME_TYPE, FileId, RemoteFile
from function.drive.port import Drive
from function.drive.query import LIVE, Query, inside, marked, named
from function.folders import merge
from function.folders.search import NAMES_PER_QUERY
from function.folders.tree import REPAIRS_MAX, Chain, Folders

KEYS_PER_QUERY = 8
"""Marks asked for in one query: each makes it dearer for Drive."""

HEAD_START_S = 0.01
"""How much sooner than the look beside them creates are sent: of two racers, the later one's look shows the other's."""

NEVER = float("-inf")


@dataclass(slots=True)
class Visit:
    """A folder, asked for names. Safe for threads."""

    path: str
    folders: Folders
    open_drive: Callable[[], Drive]
    deadline: Deadline
    names: set[str] = field(default_factory=set)
    """Names of the batch's files, and those that they may get instead: looked for all at once."""
    keys: set[str] = field(default_factory=set)
    """Our marks on the batch's files."""
    chain: Chain | None = None
    shown: Look | None = None
    """The last look, if there was one."""
    made: set[str] = field(default_factory=set)
    """Ids of the files that this visit made: a listing that hides them lags."""
    coming: set[str] = field(default_factory=set)
    """The batch's files, by their receipts, that are neither sent nor ended yet."""
    _is_ahead: bool = False
    """Whether a first look was begun ahead of its need."""
    _is_unsettled: bool = False
    """Whether a file was sent that only a later look settles."""
    _folded: set[str] = field(default_factory=set)
    """Younger twin folders that were folded, or couldn't be emptied."""
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _starting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def drive(self) -> Drive:
        """The account's Drive."""
        return self.open_drive()

    @property
    def is_cold(self) -> bool:
        """The chain was unknown before this invocation: another without our state may be at work there just now."""
        return self.chain is None or self.chain.is_new

    @property
    def is_warm(self) -> bool:
        """A look in the last minute found the chain in its place."""
        return self.chain is not None and not self.chain.is_new and self.folders.is_fresh(self.chain)

    @property
    def is_for_one(self) -> bool:
        """Whether a single file is meant to go there."""
        return len(self.names) == 1

    @property
    def may_look_later(self) -> bool:
        """A create needs no look before it: of one file, or in a warm folder, where receipts know what is there."""
        if self.chain is None or self.chain.is_new or self.chain.leaf in self.folders.surprising:
            return False
        return self.is_warm or self.is_for_one

    def ready(self) -> Chain:
        """The chain of folders; made where it is missing."""
        if self.chain is not None:
            return self.chain
        with self._lock:
            if self.chain is None:
                self.chain = self.folders.ensure([self.path], self.drive, self.deadline)[self.path]
            return self.chain

    def look(self, names: Collection[str], *, since: float = NEVER) -> Look:
        """What Drive shows of the names, by a look that began after `since`; one serves all files of the batch.

        On the way the chain is held against what Drive shows, and mended.
        """
        shown = self.shown_since(since)
        if shown and all(map(shown.tells, names)):
            return shown  # without waiting for another's look
        with self._lock:
            shown = self.shown_since(since)
            if shown is None:
                self.names.update(names)
                is_empty = since == NEVER and self.ready().is_made
                self.shown = shown = Look(frozenset(self.names), ()) if is_empty else self._looked()
            missing = [each for each in names if not shown.tells(each)]
            if missing:
                self.names.update(missing, *map(_instead, {each.name for each in shown.files} & self.names))
                self.shown = shown = self._looked()
            return shown

    def shown_since(self, since: float = NEVER) -> Look | None:
        """The last look, if it began after that."""
        shown = self.shown
        return shown if shown and (since == NEVER or shown.began > since) else None

    def look_ahead(self) -> bool:
        """Begin the first look at a chain that is known, without waiting for it; whether one is under way."""
        if self.chain is None or self.chain.is_new or self.shown is not None:
            return False
        with self._starting:
            if not self._is_ahead:
                self._is_ahead = True
                self._begin_look(0, NEVER)
        return True

    def goes(self, receipt_name: str, *, is_unsettled: bool = False) -> None:
        """Note that a file is just being sent, or has ended.

        Beside the last one to be sent begins the look that settles all of them, where the folder is warm.
        """
        with self._starting:
            is_last = self.coming == {receipt_name}
            self.coming.discard(receipt_name)
            self._is_unsettled |= is_unsettled
        if is_last and self._is_unsettled and self.is_warm:
            self._begin_look(HEAD_START_S, time.monotonic())

    def _begin_look(self, after_s: float, since: float) -> None:
        timer = threading.Timer(after_s, self._look_quietly, [since])
        timer.daemon = True
        timer.start()

    def _look_quietly(self, since: float) -> None:
        try:
            self.look((), since=since)
        except UploadError:
            return  # whoever needs the look asks again, and is told

    def expect_more(self) -> None:
        """The folder holds what no receipt knows: from now on a create there waits for a look."""
        self.folders.surprising.add(self.ready().leaf)

    def distrust(self) -> None:
        """Drive says that a folder of the chain is gone: the next look asks for each."""
        with self._lock:
            self.shown = None
            if self.chain:
                self.folders.doubt(self.chain)
                self._mend(self.folders.astray(self.chain, {}, {}, self.drive))

    def _looked(self) -> Look:
        for _ in range(REPAIRS_MAX):
            chain = self.ready()
            began = time.monotonic()
            with ThreadPoolExecutor(1) as beside:
                leaf = (
                    None
                    if chain.is_new or chain.leaf == "root" or self.folders.is_fresh(chain)
                    else beside.submit(self.drive.get, chain.leaf)
                )
                listed, is_whole = self._list(chain)
                fetched = leaf.result() if leaf else None
            shown: dict[str, RemoteFile] = {each.id: each for each in listed if each.mime_type == FOLDER_MIME_TYPE}
            astray = self.folders.astray(chain, shown, {str(fetched.id): fetched} if fetched else {}, self.drive)
            twins = self._twins(chain, listed, shown)
            if not astray and not twins:
                named = None if is_whole else frozenset(self.names)
                inside = [each for each in listed if self._is_in(each, chain) and not each.trashed]
                files = tuple(each for each in inside if named is None or each.name in named)
                shown_ids = {each.id for each in files}
                away = tuple(each for each in listed if self._is_away(each, shown_ids))
                return Look(named, files, away, began)
            self._mend(astray | {each.younger.id for each in twins} & {each.id for each in chain.folders})
            for each in twins:
                self._folded.add(each.younger.id)
                merge.fold(each, self.drive)
        raise DriveError(
            f"The folders of {self.path} are being moved about on Drive; call again.", reason="drive_unavailable"
        )

    def _twins(self, chain: Chain, listed: Iterable[RemoteFile], shown: dict[str, RemoteFile]) -> Iterable[merge.Twins]:
        """Twin folders to be folded: none while listings hide what we made, since they may hide what is in those."""
        if not self.made <= {each.id for each in listed}:
            return []
        return [each for each in merge.shown_in(chain, shown) if each.younger.id not in self._folded]

    def _mend(self, astray: set[str]) -> None:
        if astray and self.chain:
            self.chain = self.folders.ensure([self.path], self.drive, self.deadline, frozenset(astray))[self.path]

    def _is_in(self, remote: RemoteFile, chain: Chain) -> bool:
        return chain.leaf == "root" or chain.leaf in remote.parents

    def _is_away(self, remote: RemoteFile, shown: set[FileId]) -> bool:
        is_put_away = remote.explicitly_trashed or not (remote.trashed or remote.id in shown)
        return remote.key in self.keys and is_put_away

    def _list(self, chain: Chain) -> tuple[list[RemoteFile], bool]:
        """What is shown of the chain and of our names; or of the whole folder (True), where one request shows that.

        In a chain that was unknown so far, state may have been lost: what has our mark is asked for wherever it is.
        """
        folders = self.folders.clause(chain)
        marks = [marked(key) for key in sorted(self.keys)] if chain.is_new and len(self.keys) <= KEYS_PER_QUERY else []
        names = sorted(self.names)
        try:
            if chain.is_made or len(names) > NAMES_PER_QUERY:
                page, is_all = self.drive.first_page(_live(inside(chain.leaf), folders, marks))
                if is_all:
                    return page, True
            found: dict[str, RemoteFile] = {}
            for start in range(0, max(1, len(names)), NAMES_PER_QUERY):
                part = names[start : start + NAMES_PER_QUERY]
                here = inside(chain.leaf) & named(part) if part else None
                if here or folders:
                    found |= {each.id: each for each in self.drive.list(_live(here, folders, marks))}
            return list(found.values()), False
        except BadRequest:  # too long or too complex a query: the whole folder says it too
            return self.drive.list(LIVE & inside(chain.leaf)), True


def _live(files: Query | None, folders: Query | None, marks: Iterable[Query]) -> Query:
    """The query for those files and folders, where they aren't in the bin, or for what carries one of our marks."""
    return reduce(or_, [LIVE & reduce(or_, filter(None, (files, folders))), *marks])


def _instead(name: str) -> Iterable[str]:
    """The names that a file gets where its own is taken."""
    return islice(candidates(name), EXTRA_NAMES + 1)
