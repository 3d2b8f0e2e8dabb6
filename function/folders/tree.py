"""Folder paths -> folder ids: found before created, created under reserved ids, never twice by us.

A chain of ids that receipts remember is trusted only after a look at it: Drive accepts a create under a folder in the
bin without a word. What no longer stands where it should (trashed, renamed, moved, deleted) is forgotten and ensured
again; nothing is brought back that its owner put away.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from functools import partial

import msgspec

from function import telemetry
from function.core import retry
from function.core.errors import BadRequest, DriveError, LookFailed, NotFound, TransientDriveError
from function.core.naming import ownership_mark, same, state_key
from function.core.receipt import FolderReceipt
from function.core.retry import Deadline
from function.core.types import FOLDER_MIME_TYPE, FileId, Folder, FolderPath, LoggedUpload, RemoteFile, Root
from function.drive.port import Drive
from function.drive.query import FOLDERS, Place, Query, clause
from function.folders.search import FolderSearch, Shown
from function.state.receipts import Receipts, Superseded

FRESH_S = 60.0
"""How long a look at a folder counts, inside one process."""

PARALLEL_CREATES = 16

REPAIRS_AT_ONCE = 3
"""Times that a chain is ensured again without a pause: someone may be moving folders just now."""


def pause_between_repairs(attempt: int, why: str, deadline: Deadline) -> None:
    """Keep racers apart that would take each other's folders in step; raises TransientDriveError as `retry.pause`."""
    if attempt >= REPAIRS_AT_ONCE:
        retry.pause(attempt - REPAIRS_AT_ONCE, TransientDriveError(why), deadline)


class _Misplaced(Exception):
    """A folder that receipts trust is gone or in the bin."""

    def __init__(self, folder: FileId) -> None:
        self.folder = folder


class Folders(msgspec.Struct):
    """The folders of one account's mirror. Paths are names joined by '/', below the base of the drive root.

    Spellings that look alike (`same`) are one path: the folder that stands there keeps the name that it has.
    """

    account: str
    drive_key: str
    """Names the Drive and the base: receipts of another one are none of this one's."""
    root: Root
    base: str
    """Id of the folder that paths start from, or the alias `root`: where the drive root is a shortcut, what it leads
    to."""
    receipts: Receipts[FolderReceipt]
    take_ids: Callable[[int, Drive, Deadline], list[FileId]]
    discard_ids: Callable[[], None]
    lock: Callable[[Deadline], AbstractContextManager[object]]
    last_upload: Callable[[str], LoggedUpload | None]
    """What the log last tells of a file below a folder, which is named as it is shown."""
    sees_only_own_files: Callable[[], bool]
    """Whether the token's scope hides what others put on Drive. Raises CredentialsError."""
    with_unknown_files: set[str] = msgspec.field(default_factory=set)
    """Ids of folders that hold files of ours that no receipt knows."""
    _seen: dict[str, float] = msgspec.field(default_factory=dict)
    """Folder id -> when a look last found it where it should be, on the monotonic clock."""
    _root_id: str | None = None

    def known(self, path: str) -> FolderPath | None:
        """The chain that receipts remember, asked of no one; None unless all of it is remembered."""
        folders = [Folder(FileId(self.base), None, None)]
        for prefix in _prefixes(path):
            receipt = self.receipts.read(self._name(prefix))
            if receipt is None or not receipt.done or receipt.parent != folders[-1].id:
                return None
            folders.append(Folder(receipt.id, _leaf(prefix), receipt.parent))
        return FolderPath(path, tuple(folders))

    def is_fresh(self, chain: FolderPath) -> bool:
        """Whether a look in the last minute found the whole chain in its place."""
        return all(self._is_fresh(each) for each in chain.folders if each.id != "root")

    def _is_fresh(self, folder: Folder) -> bool:
        return time.monotonic() - self._seen.get(folder.id, -FRESH_S) < FRESH_S

    def clause(self, chain: FolderPath) -> Query | None:
        """The condition that shows the chain's folders and their twins."""
        places = [(each.parent or "", each.name) for each in chain.folders if each.name is not None]
        return FOLDERS & clause(places) if places else None

    def misplaced(
        self, chain: FolderPath, shown: Mapping[str, RemoteFile], fetched: Mapping[str, RemoteFile], drive: Drive
    ) -> set[str]:
        """Ids of the chain's folders that don't stand in their place.

        `shown` comes from a listing, which may lag or be odd, `fetched` from a look by id. Only a look by id says that
        a folder isn't there. A base, which listings don't show, stands where a folder right below it is not in the bin.
        """
        wrong: set[str] = set()
        stands_below = False
        for folder in reversed(chain.folders):
            is_base = folder.name is None
            if folder.id == "root" or (is_base and not stands_below and self._is_fresh(folder)):
                continue
            if not (is_base and stands_below):
                is_listed, known = folder.id in shown, fetched.get(folder.id) or shown.get(folder.id)
                stands_below = self._stands(folder, known, is_listed, drive)
                if not stands_below and folder.id not in fetched:  # one odd listing is no reason to make it anew
                    stands_below = self._stands(folder, _looked_at(folder.id, drive), is_listed, drive)
            if stands_below:
                self._seen[folder.id] = time.monotonic()
            else:
                wrong.add(folder.id)
                self._seen.pop(folder.id, None)
        return wrong

    def invalidate(self, chain: FolderPath) -> None:
        """Let no earlier look at these folders count."""
        for folder in chain.folders:
            self._seen.pop(folder.id, None)

    def _stands(self, folder: Folder, remote: RemoteFile | None, was_listed: bool, drive: Drive) -> bool:
        if remote is None or remote.trashed:
            return False
        if folder.name is None:
            return True
        return same(remote.name) == same(folder.name) and (
            was_listed or self._real(folder.parent, drive) in remote.parents
        )

    def _real(self, parent: str | None, drive: Drive) -> str | None:
        """The id behind the alias `root`."""
        if parent != "root":
            return parent
        if self._root_id is None:
            root = drive.get("root")
            self._root_id = root.id if root else None
        return self._root_id

    def ensure(
        self, paths: Iterable[str], drive: Drive, deadline: Deadline, distrusted: frozenset[str] = frozenset()
    ) -> dict[str, FolderPath]:
        """The chains of those paths, with every folder that was missing made; `distrusted` ids are not taken again.

        Raises DriveError (drive_root_not_found) when the base itself is gone.
        """
        paths = list(paths)
        levels = _levels(paths)
        with telemetry.span("folders"), self.lock(deadline):
            for attempt in itertools.count():
                self._check_base(drive)
                search = FolderSearch(drive, self.base, partial(self._real, self.base, drive))
                walk = _Walk(drive, deadline, distrusted, search, {"": Folder(FileId(self.base), None, None)})
                try:
                    for depth, level in enumerate(levels):
                        below = {_leaf(path) for each in levels[depth + 1 :] for path in each}
                        self._ensure_level(walk, depth, level, below)
                except _Misplaced as misplaced:
                    distrusted |= {misplaced.folder}
                    pause_between_repairs(attempt, "The folders on Drive are being moved about; call again.", deadline)
                else:
                    return {path: walk.chain(path) for path in paths}
        raise AssertionError

    def _check_base(self, drive: Drive) -> None:
        if self.base == "root":
            return
        base = _looked_at(self.base, drive)
        if base is None or base.trashed:
            raise _no_root(self.root, "is not on this Drive, or in its bin; mend paths.json or share it")
        self._seen[base.id] = time.monotonic()

    def _ensure_level(self, walk: "_Walk", depth: int, level: Sequence[str], below: Set[str]) -> None:
        unknown: list[str] = []
        for path in level:
            parent = walk.parent(path)
            receipt = self.receipts.read(self._name(path))
            if receipt and receipt.done and receipt.parent == parent and receipt.id not in walk.distrusted:
                walk.found[same(path)] = Folder(receipt.id, _leaf(path), parent)
            else:
                unknown.append(path)
        unknown = self._look_for(walk, unknown, below)
        if depth < len(self.root.folders):  # a second drive root would stay: Drive has to say twice that there is none
            unknown = self._look_for(walk, unknown)
        self._warn_of_second_root(walk, unknown)
        with telemetry.Threads(PARALLEL_CREATES) as pool:
            made = pool.map(lambda path: self._make(path, walk), unknown)
            walk.found.update(zip(map(same, unknown), made, strict=True))
        walk.fresh.update(map(same, unknown))

    def _warn_of_second_root(self, walk: "_Walk", unknown: Sequence[str]) -> None:
        """Say so where the drive root is about to be made because the token can't see whether there is one."""
        top = self.root.folders[0] if self.root.folders else ""
        if top not in unknown or not self.sees_only_own_files():
            return
        receipt = self.receipts.read(self._name(top))
        if receipt is None or not receipt.done:
            walk.warning = (
                f"{top} was made new: the token's scope (drive.file) can't see one that another program or a person"
                " made; where there is one, run 'drive-upload authorize --scope drive', put the new one into the bin,"
                " remove .drive_upload/ and upload again."
            )

    def _look_for(self, walk: "_Walk", paths: Sequence[str], below: Set[str] | None = None) -> list[str]:
        """Take over what a listing or the log shows of those folders; the paths of the others.

        With the names wanted `below` one listing may serve all levels.
        """
        places = [walk.place(each) for each in paths if not walk.is_made_above(each)]
        for attempt in itertools.count():
            try:
                of_all = None if below is None else walk.search.of_all_levels(places, below)
                listed = walk.search.listed(places) if of_all is None else of_all
                break
            except LookFailed as error:
                self._check_parents(places, walk.drive)
                retry.pause(attempt, error, walk.deadline)
        missing: list[str] = []
        for path in paths:
            place = walk.place(path)
            spot = place[0], same(place[1])
            shown = listed.get(spot) or self._logged(walk, path).get(spot) or []
            twins = [each for each in shown if each.id not in walk.distrusted]
            if twins:
                walk.found[same(path)] = self._adopt(path, min(twins, key=lambda each: each.seniority), place[0])
            else:
                missing.append(path)
        return missing

    def _check_parents(self, places: Sequence[Place], drive: Drive) -> None:
        """Raise _Misplaced where a listing failed because a parent is gone; else it is to be asked again."""
        for parent in dict.fromkeys(parent for parent, _ in places if parent != self.base):
            folder = drive.get(parent)
            if folder is None or folder.trashed:
                raise _Misplaced(FileId(parent))

    def _logged(self, walk: "_Walk", path: str) -> Shown:
        upload = self.last_upload(self._label(path))
        return walk.search.above(upload) if upload else {}

    def _adopt(self, path: str, remote: RemoteFile, parent: str) -> Folder:
        old = self.receipts.read(self._name(path))
        new = self._receipt(path, remote.id, parent, made=remote.key == self._key(path), done=True)
        if old is None or msgspec.structs.replace(old, generation=0) != new:
            self._swap(path, old, new)
        self._seen[remote.id] = time.monotonic()
        return Folder(remote.id, remote.name, parent)

    def _make(self, path: str, walk: "_Walk") -> Folder:
        drive, deadline, distrusted = walk.drive, walk.deadline, walk.distrusted
        parent, name = walk.parent(path), _leaf(path)
        has_new_ids = False
        for attempt in itertools.count():
            if attempt:  # Drive shows nothing under the id, or something else: don't ask in a rush
                retry.pause(attempt - 1, TransientDriveError("Drive makes no folder; call again later."), deadline)
            folder, was_reserved = self._reserved(path, parent, drive, deadline, distrusted)
            try:
                made = retry.create(
                    partial(drive.create_folder, folder, name, parent, self._key(path)),
                    partial(drive.get, folder),
                    deadline,
                    look_first=was_reserved,
                )
            except NotFound:
                raise _Misplaced(parent) from None
            except BadRequest:  # the reserved id went stale
                if has_new_ids:
                    raise
                has_new_ids, made = True, None
                self.discard_ids()
            if made is not None and not self._is_at(made, name, parent, drive):  # one odd answer is no second folder
                made = drive.get(folder)
            if made is not None and self._is_at(made, name, parent, drive):
                if not made.trashed:
                    return self._adopt(path, made, parent)
                if not made.explicitly_trashed:  # Drive takes a create under a folder in the bin
                    raise _Misplaced(parent)
            distrusted |= {folder}
        raise AssertionError

    def _is_at(self, made: RemoteFile, name: str, parent: FileId, drive: Drive) -> bool:
        return same(made.name) == same(name) and self._real(parent, drive) in made.parents

    def _reserved(
        self, path: str, parent: FileId, drive: Drive, deadline: Deadline, distrusted: frozenset[str]
    ) -> tuple[FileId, bool]:
        """The id reserved for the folder, and whether a receipt had it before: of a killed process, or of a racer."""
        while True:
            old = self.receipts.read(self._name(path))
            if old and old.parent == parent and old.id not in distrusted:
                return old.id, True
            new = self._receipt(path, self.take_ids(1, drive, deadline)[0], parent, made=True, done=False)
            try:
                return self.receipts.swap(self._name(path), old, new)[0].id, False
            except Superseded:
                continue

    def _swap(self, path: str, old: FolderReceipt | None, new: FolderReceipt) -> None:
        try:
            self.receipts.swap(self._name(path), old, new)
        except Superseded:
            return  # another wrote what it saw at the same time; the next look decides between them

    def _receipt(self, path: str, folder: FileId, parent: str, *, made: bool, done: bool) -> FolderReceipt:
        return FolderReceipt(self.account, self._label(path), folder, parent, made=made, done=done)

    def _label(self, path: str) -> str:
        return "/".join(filter(None, (self.root.base if self.root.base != "root" else "", path)))

    def _name(self, path: str) -> str:
        return state_key(f"{self.drive_key}\0{same(path)}")

    def _key(self, path: str) -> str:
        return ownership_mark(f"{self.base}/{same(path)}")


def base_of(root: Root, drive: Drive) -> str:
    """The id of the folder that the root's path starts from: its own, or what a shortcut leads to.

    Raises DriveError (drive_root_not_found) where that is no folder.
    """
    base = _looked_at(root.base, drive)
    if base and base.target:
        base = _looked_at(base.target, drive)
    if base is None:
        raise _no_root(root, "is not on this Drive, or leads to nothing that is; mend paths.json or share it")
    if base.mime_type != FOLDER_MIME_TYPE:
        raise _no_root(root, "is no folder, and leads to none; mend paths.json")
    return base.id


def _looked_at(file_id: str, drive: Drive) -> RemoteFile | None:
    """What stands under the id. One 404 is no proof: folders would be made a second time, or a root be called gone."""
    return drive.get(file_id) or drive.get(file_id)


def _no_root(root: Root, why: str) -> DriveError:
    return DriveError(f"drive_root: {root.base} {why}.", reason="drive_root_not_found")


class _Walk(msgspec.Struct):
    """One walk from the base down, level by level."""

    drive: Drive
    deadline: Deadline
    distrusted: frozenset[str]
    search: FolderSearch
    found: dict[str, Folder]
    """By path, in the form of `same`."""
    fresh: set[str] = msgspec.field(default_factory=set)
    """Paths of the folders that this walk made, in that form."""
    warning: str | None = None

    def parent(self, path: str) -> FileId:
        return self.found[same(path.rpartition("/")[0])].id

    def place(self, path: str) -> Place:
        return self.parent(path), _leaf(path)

    def is_made_above(self, path: str) -> bool:
        """Whether this walk made the folder above: there is nothing in it to find."""
        return same(path.rpartition("/")[0]) in self.fresh

    def chain(self, path: str) -> FolderPath:
        """The folders down to that path, all of which were found or made."""
        folders = (self.found[""], *(self.found[each] for each in _prefixes(same(path))))
        return FolderPath(path, folders, was_ensured=True, is_made=same(path) in self.fresh, warning=self.warning)


def _leaf(path: str) -> str:
    return path.rpartition("/")[2]


def _prefixes(path: str) -> list[str]:
    names = path.split("/") if path else []
    return ["/".join(names[: count + 1]) for count in range(len(names))]


def _levels(paths: Iterable[str]) -> list[list[str]]:
    """All folders of those paths, by depth; of the spellings of one path, one."""
    every = {same(prefix): prefix for path in paths for prefix in _prefixes(path)}.values()
    depth = max((each.count("/") for each in every), default=-1)
    return [sorted(each for each in every if each.count("/") == level) for level in range(depth + 1)]
