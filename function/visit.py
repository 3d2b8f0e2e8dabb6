"""One invocation's dealings with one folder on Drive: its chain of folders, and what a look shows of its files.

A visit is shared by all files of a batch that go into the folder: one listing serves them all.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from function import folding
from function.deadline import Deadline
from function.drive import Drive, files_named
from function.errors import BadRequest, DriveError, NotFound, UploadError
from function.folders import NAMES_PER_QUERY, REPAIRS_MAX, Chain, Folders
from function.model import FOLDER_MIME_TYPE, RemoteFile
from function.plan import Look


@dataclass(slots=True)
class Visit:
    """A folder, asked for names. Safe for threads."""

    path: str
    folders: Folders
    open_drive: Callable[[], Drive]
    deadline: Deadline
    names: set[str] = field(default_factory=set)
    """Names of the batch's files, looked for all at once."""
    chain: Chain | None = None
    shown: Look | None = None
    """The last look, if there was one."""
    _beside: threading.Thread | None = None
    _is_settled: bool = False
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
        """A look in the last minute found the chain in its place: a create needs no look before it."""
        return self.chain is not None and not self.chain.is_new and self.folders.is_fresh(self.chain)

    def ready(self) -> Chain:
        """The chain of folders; made where it is missing."""
        if self.chain is not None:
            return self.chain
        with self._lock:
            if self.chain is None:
                self.chain = self.folders.ensure([self.path], self.drive, self.deadline)[self.path]
            return self.chain

    def look(self, names: Iterable[str]) -> Look:
        """What Drive shows of the names; asked once for all files of the batch, again only for further names.

        On the way the chain is held against what Drive shows, and mended.
        """
        with self._lock:
            asked = self.shown.names if self.shown else frozenset()
            missing = set(names) - asked if self.shown else self.names.union(names)
            if self.shown is None and self.ready().is_made:
                self.shown = Look(frozenset(missing), ())
            elif missing or self.shown is None:
                look = self._looked(missing)
                self.shown = Look(asked | look.names, (self.shown.files if self.shown else ()) + look.files)
            return self.shown

    def look_beside(self) -> None:
        """Begin the look, if nobody has, without waiting for it."""
        with self._starting:
            if self._beside is None and self.shown is None:
                self._beside = threading.Thread(target=self._look_quietly, daemon=True)
                self._beside.start()

    def _look_quietly(self) -> None:
        try:
            self.look(())
        except UploadError:
            return  # whoever needs the look asks again, and is told

    def settling_look(self, names: Iterable[str]) -> Look:
        """The look that shows what else has the names of files just made: in a cold folder one after all were made."""
        with self._lock:
            if not self.is_cold:
                return self.look(names)
            if not self._is_settled or self.shown is None:
                self.shown = self._looked(self.names.union(names))
                self._is_settled = True
            return self.look(names)

    @property
    def can_settle(self) -> bool:
        """Whether `settling_look` is there already."""
        return self.shown is not None and (self._is_settled or not self.is_cold)

    def distrust(self) -> None:
        """Drive says that a folder of the chain is gone: the next look asks for each."""
        with self._lock:
            self.shown = None
            if self.chain:
                self._mend(self.folders.astray(self.chain, {}, {}, self.drive))

    def _looked(self, names: set[str]) -> Look:
        for _ in range(REPAIRS_MAX):
            chain = self.ready()
            with ThreadPoolExecutor(1) as beside:
                leaf = (
                    None
                    if chain.is_new or chain.leaf == "root" or self.folders.is_fresh(chain)
                    else beside.submit(self.drive.get, chain.leaf)
                )
                listed = self._list(chain, sorted(names))
                fetched = leaf.result() if leaf else None
            shown: dict[str, RemoteFile] = {each.id: each for each in listed if each.mime_type == FOLDER_MIME_TYPE}
            astray = self.folders.astray(chain, shown, {str(fetched.id): fetched} if fetched else {}, self.drive)
            twins = [each for each in folding.shown_in(chain, shown) if each.younger.id not in self._folded]
            if not astray and not twins:
                return Look(
                    frozenset(names), tuple(each for each in listed if self._is_in(each, chain) and each.name in names)
                )
            self._mend(astray | {each.younger.id for each in twins} & {each.id for each in chain.folders})
            for each in twins:
                self._folded.add(each.younger.id)
                folding.fold(each, self.drive)
        raise DriveError(
            f"The folders of {self.path} are being moved about on Drive; call again.", reason="drive_unavailable"
        )

    def _mend(self, astray: set[str]) -> None:
        if astray and self.chain:
            self.chain = self.folders.ensure([self.path], self.drive, self.deadline, frozenset(astray))[self.path]

    def _is_in(self, remote: RemoteFile, chain: Chain) -> bool:
        return chain.leaf == "root" or chain.leaf in remote.parents

    def _list(self, chain: Chain, names: list[str]) -> list[RemoteFile]:
        found: dict[str, RemoteFile] = {}
        for start in range(0, max(1, len(names)), NAMES_PER_QUERY):
            part = names[start : start + NAMES_PER_QUERY]
            clauses = [files_named(chain.leaf, part)] if part else []
            clauses += filter(None, [self.folders.clause(chain)])
            try:
                listed = self.drive.list(f"trashed = false and ({' or '.join(clauses)})") if clauses else []
            except BadRequest:  # too long or too complex a query: the whole folder says it too
                listed = self.drive.list(f"trashed = false and '{chain.leaf}' in parents")
            except NotFound:  # a parent is gone, which the look at the chain will show
                listed = []
            found |= {each.id: each for each in listed}
        return list(found.values())
