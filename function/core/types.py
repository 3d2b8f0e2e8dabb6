"""The vocabulary, as values.

home          the folder of paths.json; what invocations share
source        a local file below `data_root`
file stat     what stat(2) says of the source: size, mtime, inode, ctime; enough to see that nothing changed
fingerprint   file stat plus digests: what identifies the content
account       a name in the settings, with credentials and a Drive of its own
destination   account and path on Drive that mirror the source
key           our mark in a file's appProperties: which destination the file was made for
claim         what an upload is about to do under an id, written down before it is done
receipt       the durable record of one destination: its claim, and what is done
look          what Drive shows: a listing, which may lag, or a file by its id, which doesn't
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from threading import Lock
from typing import Any, Literal, NewType, TypeVar

import msgspec

from function.core.cached import cached_property
from function.core.naming import same

FileId = NewType("FileId", str)

KEY_PROPERTY = "drive_upload_key"
"""The entry of appProperties that holds our key."""

ID_PROPERTY = "drive_upload_id"
"""The entry of appProperties that holds the file's own id: an owner's copy takes both along, under another id."""

CLAIM_PROPERTY = "drive_upload_claim"
"""The entry of appProperties that holds the nonce of the claim under which we last sent the content."""

FOLDER_MIME_TYPE = "application/vnd.google-apps.folder"
GOOGLE_MIME_PREFIX = "application/vnd.google-apps"

MULTIPART_MAX_BYTES = 5 * 1000 * 1000
"""Largest content for one multipart request. Source: Drive guide, 'Upload file data' (5 MB)."""

FILE_MAX_BYTES = 5_497_558_138_880
"""Drive's limit for one file, 5 TiB. Source: Drive's discovery document, files.create maxSize."""


class Policy(StrEnum):
    """What to do where the destination's name holds other content (`if_exists`)."""

    KEEP_BOTH = "keep_both"
    SKIP = "skip"
    FAIL = "fail"
    NEW_REVISION = "new_revision"


class Status(StrEnum):
    """How an attempt ended."""

    UPLOADED = "uploaded"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    FAILED = "failed"


class Digests(msgspec.Struct, frozen=True, eq=False):
    """Hex digests of a content, lower case. SHA-256 decides: of a large content the MD5 may be what Drive answered.

    While a large content is on its way the MD5 isn't known, and empty.
    """

    md5: str
    sha256: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digests) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)


class FileStat(msgspec.Struct, frozen=True):
    """What stat(2) says of a file. Two that are equal speak of one content."""

    size: int
    """Bytes."""
    mtime_ns: int
    inode: int
    ctime_ns: int = 0
    """The kernel's own time of the last change, which nobody can put back as they can the mtime.

    A chmod or a new hard link changes it too, and so costs a reading of the content. 0 in receipts of before.
    """


class Fingerprint(msgspec.Struct, frozen=True):
    """What identifies a content; the digests are filled in as soon as they are known."""

    stat: FileStat = msgspec.field(name="stamp")
    digests: Digests | None = None

    def same_content(self, other: "Fingerprint") -> bool:
        """Whether both name one content, by digest where both have one, else by size and mtime."""
        if self.digests and other.digests:
            return self.digests == other.digests
        return (self.stat.size, self.stat.mtime_ns) == (other.stat.size, other.stat.mtime_ns)


class RemoteFile(msgspec.Struct, frozen=True):
    """A file or folder as Drive reports it; `size` in bytes, None for folders and Google's own types."""

    id: FileId
    name: str
    mime_type: str = ""
    parents: tuple[str, ...] = ()
    trashed: bool = False
    explicitly_trashed: bool = False
    size: int | None = None
    md5: str | None = None
    sha256: str | None = None
    created_time: str = ""
    modified_time: str = ""
    key: str | None = None
    nonce: str | None = None
    """The mark of the one claim under which we last sent it."""
    head_revision_id: str | None = None
    """Changes with the content, and with nothing else."""
    version: str | None = None
    """Grows with every change of any kind."""
    properties: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The public ones."""
    description: str | None = None
    link: str | None = None
    is_mine: bool = True
    """It isn't another user's; what lies in a shared drive belongs to all its members."""
    target: str | None = None
    """Of a shortcut: the id of what it leads to, which never changes."""

    def __hash__(self) -> int:
        return hash(self.id)

    def holds(self, content: Fingerprint) -> bool:
        """Whether the stored content is known to be that one: size and MD5, and SHA-256 where Drive knows it."""
        digests = content.digests
        if digests is None or self.size != content.stat.size:
            return False
        if not digests.md5:
            return self.sha256 == digests.sha256
        return self.md5 == digests.md5 and self.sha256 in (None, digests.sha256)

    def is_equal_to(self, other: "RemoteFile") -> bool:
        """Whether both are known to hold one content: size and MD5."""
        return self.md5 is not None and (self.size, self.md5) == (other.size, other.md5)

    def may_be_from(self, folder: str | None) -> bool:
        """Whether an upload into that folder can have made it. Our mark doesn't tell: another account's has it, too."""
        return self.is_mine or folder in self.parents

    @property
    def gave_way(self) -> bool:
        """Whether an upload has put it into the bin, as one too many: an owner leaves our mark on it."""
        return self.trashed and self.key is None and self.nonce is not None

    @property
    def seniority(self) -> tuple[str, str]:
        """Sorts twins: the oldest, then the smallest id, is the one that stays, for every observer."""
        return (self.created_time, self.id)


class NewFile(msgspec.Struct, frozen=True):
    """What a send tells Drive of a file, besides its content."""

    id: FileId
    name: str
    folder: FileId
    mime_type: str | None
    """None where the name doesn't tell: Drive looks at the content."""
    key: str | None
    properties: Mapping[str, str | None]
    """Public ones; None clears what an earlier upload of ours has set."""
    description: str | None
    nonce: str | None = None
    modified_time: str | None = None
    """RFC 3339, UTC, with milliseconds, which is all that Drive keeps."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one file ended at one destination; the log makes an entry of it."""

    status: Status
    reason: str | None = None
    message: str | None = None
    destination: str | None = None
    attempt: int | None = None
    file_id: str | None = None
    link: str | None = None
    size: int | None = None
    digests: Digests | None = None
    retry_after_s: float | None = None


class LoggedUpload(msgspec.Struct, frozen=True):
    """An entry of the log that says `uploaded`."""

    status: Literal["uploaded"]
    account: str
    path: str
    destination: str
    file_id: FileId
    size: int
    sha256: str
    md5: str
    attempt: int | None = None
    link: str | None = None

    @property
    def content(self) -> Fingerprint:
        """What was uploaded; of its source's stat only the size is known."""
        return Fingerprint(FileStat(self.size, 0, 0), Digests(self.md5, self.sha256))

    @property
    def folder(self) -> str:
        """The destination's folder as it is shown."""
        return self.destination.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The file's name on Drive."""
        return self.destination.rpartition("/")[2]


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, as upload_log.json and the answer tell it. Every field is always present."""

    time: str
    """RFC 3339, UTC."""
    invocation_id: str
    account: str | None
    path: str | None
    """Relative to the home."""
    destination: str | None
    """Where the content is on Drive, or was to go."""
    status: Status
    reason: str | None
    message: str | None
    retryable: bool
    attempt: int | None
    """1, 2, … for this content at this destination."""
    file_id: str | None
    link: str | None
    size: int | None
    """Bytes."""
    sha256: str | None
    md5: str | None
    duration_s: float
    requests: int
    """Drive calls used."""
    units: int
    """Drive quota units used: get 5, create and update 50, list 100."""
    metadata: dict[str, Any] | None
    if_exists: Policy | None
    """As the caller asked; None where the settings were to decide."""


T = TypeVar("T")

NEVER = float("-inf")


class FolderListing(msgspec.Struct, frozen=True, dict=True):
    """The files of the names that were asked for, or of all names (None)."""

    names: frozenset[str] | None
    files: tuple[RemoteFile, ...]
    elsewhere: tuple[RemoteFile, ...] = ()
    """Files with our mark that are in another folder, or that somebody put into the bin: asked for where our state may
    be lost."""
    began: float = NEVER
    """When the look began, on the monotonic clock: it may hide what was done later."""

    def covers(self, names: Iterable[str]) -> bool:
        """Whether the listing says of each of these names if there is a file of it."""
        return self.names is None or self.names.issuperset(names)

    def serves(self, names: Iterable[str], begun_after: float) -> bool:
        """Whether it says of these names what Drive showed after that moment; NEVER asks for no moment."""
        return self.covers(names) and (begun_after == NEVER or self.began > begun_after)

    def about(self, names: Collection[str], key: str) -> "FolderListing":
        """What it shows of those names and of the files with that mark: of a folder's files, one destination's."""
        found = {each.id: each for name in names for each in self._by_name.get(same(name), ())}
        found |= {each.id: each for each in self._by_key.get(key, ())}
        elsewhere = tuple(each for each in self.elsewhere if each.key == key)
        return FolderListing(frozenset(names), tuple(found.values()), elsewhere, self.began)

    @cached_property
    def _by_name(self) -> Mapping[str, Sequence[RemoteFile]]:
        return _grouped(self.files, lambda each: same(each.name))

    @cached_property
    def _by_key(self) -> Mapping[str | None, Sequence[RemoteFile]]:
        return _grouped(self.files, lambda each: each.key)

    def without(self, file_id: str) -> "FolderListing":
        """The listing of everything but that file."""
        elsewhere = tuple(each for each in self.elsewhere if each.id != file_id)
        return FolderListing(
            self.names, tuple(each for each in self.files if each.id != file_id), elsewhere, self.began
        )

    def named(self, name: str) -> list[RemoteFile]:
        """The files of that name, spelled in any way that looks alike, oldest first."""
        return sorted((each for each in self.files if same(each.name) == same(name)), key=lambda each: each.seniority)

    def holding(self, content: Fingerprint, names: Collection[str], key: str) -> list[RemoteFile]:
        """The files of the folder that hold the content under one of the names or with our mark, oldest first."""
        alike = {same(name) for name in names}
        found = (each for each in self.files if each.holds(content) and (each.key == key or same(each.name) in alike))
        return sorted(found, key=lambda each: each.seniority)

    def holding_elsewhere(self, content: Fingerprint, key: str) -> list[RemoteFile]:
        """The files of ours that hold the content elsewhere, those in the bin last."""
        found = (each for each in self.elsewhere if each.key == key and each.holds(content))
        return sorted(found, key=lambda each: (each.trashed, each.seniority))


def replace_files(listing: FolderListing, files: tuple[RemoteFile, ...]) -> FolderListing:
    """The listing with other files in the folder."""
    return FolderListing(listing.names, files, listing.elsewhere, listing.began)


def duplicates(key: str, listing: FolderListing) -> list[tuple[RemoteFile, RemoteFile]]:
    """Pairs (younger, oldest) of files of ours that hold one content under one name in one place."""
    oldest: dict[object, RemoteFile] = {}
    found = []
    live = [each for each in (*listing.files, *listing.elsewhere) if each.key == key and each.md5 and not each.trashed]
    for each in sorted(live, key=lambda each: each.seniority):
        senior = oldest.setdefault((each.name, each.parents, each.size, each.md5), each)
        if senior.id != each.id:
            found.append((each, senior))
    return found


def _grouped(files: Iterable[RemoteFile], by: Callable[[RemoteFile], T]) -> Mapping[T, Sequence[RemoteFile]]:
    groups: dict[T, list[RemoteFile]] = {}
    for each in files:
        groups.setdefault(by(each), []).append(each)
    return groups


class Usage(msgspec.Struct):
    """What a part of an invocation asked of Drive."""

    requests: int = 0
    units: int = 0
    _lock: Lock = msgspec.field(default_factory=Lock)

    def count(self, units: int) -> None:
        """One more request, of that many quota units."""
        self.add(1, units)

    def add(self, requests: int, units: int) -> None:
        """That many more."""
        with self._lock:
            self.requests += requests
            self.units += units

    def drain(self) -> tuple[int, int]:
        """Requests and units counted since the last drain."""
        with self._lock:
            counted, self.requests, self.units = (self.requests, self.units), 0, 0
            return counted


class Root(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where on Drive the mirror hangs: a path from My Drive's root, a folder id, or a path in a shared drive."""

    path: str = ""
    folder_id: str | None = None
    drive_id: str | None = None

    @property
    def base(self) -> str:
        """The id the path starts from; `root` is Drive's alias of My Drive's root."""
        return self.folder_id or self.drive_id or "root"

    @property
    def folders(self) -> tuple[str, ...]:
        """The folder names below the base."""
        return tuple(name for name in self.path.split("/") if name)

    @property
    def label(self) -> str:
        """How destinations below it are shown."""
        return "/".join((self.base, *self.folders) if self.base != "root" else self.folders)


ProgressCallback = Callable[[int, int], None]
"""Told bytes sent and bytes in all."""


class Folder(msgspec.Struct, frozen=True):
    """A folder of a chain. The base has no name: it is what the settings say, wherever it stands."""

    id: FileId
    name: str | None
    parent: str | None


class FolderPath(msgspec.Struct, frozen=True):
    """The folders from the base down to the one that files go into."""

    path: str
    folders: tuple[Folder, ...]
    was_ensured: bool = False
    """Looked for and made where it was missing, in this invocation: a look by id would say nothing new."""
    is_made: bool = False
    """The last folder was made in this invocation: it is empty, but for what a racer may put there."""
    warning: str | None = None
    """What a person should be told of how it came about."""

    @property
    def leaf(self) -> FileId:
        """The folder that files go into."""
        return self.folders[-1].id
