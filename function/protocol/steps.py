"""The words of the protocol: what is wanted, what is known, and the steps. All values."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from function.core.receipt import Claim, CompletedUpload, RemoteRef, Sending
from function.core.types import (
    NEVER,
    Digests,
    FileId,
    FileStat,
    Fingerprint,
    FolderListing,
    LoggedUpload,
    Policy,
    RemoteFile,
)


class Wanted(msgspec.Struct, frozen=True):
    """What the invocation is to bring about."""

    label: str
    """The destination as it is shown."""
    name: str
    """The file's name on Drive."""
    key: str
    """Our ownership mark for the destination."""
    stat: FileStat
    policy: Policy
    is_small: bool = True
    """The content goes in one request, and is read before it."""
    metadata: str = ""
    """The digest of the caller's metadata; empty where there is none."""


class Facts(msgspec.Struct):
    """What this invocation knows, and will forget as soon as something contradicts it."""

    nonce: str
    """The mark of the next claim: a new one with each id, which an old pool may hand out a second time."""
    now_ns: int = 0
    """The time, in ns since the epoch."""
    digests: Digests | None = None
    """The source's."""
    log_position: int = 0
    """Where the log ended before anything was claimed: an opaque `LogPosition` of state/log_index.py."""
    logged_before: Sequence[LoggedUpload] = ()
    """What the log tells of uploads to this destination, oldest first."""
    leaf: FileId | None = None
    """The destination's folder."""
    may_create_unseen: bool = False
    """The folder is known, and receipts know what we put there: a clash may be found after the create."""
    fresh_id: FileId | None = None
    """A reserved id that no claim speaks of yet."""
    was_superseded: bool = False
    """Somebody else wrote the receipt meanwhile, or removed it."""
    is_own_claim: bool = False
    """This invocation wrote the receipt's claim."""
    last_sent: Sending | None = None
    """The claim under which this invocation last sent something, until it has dropped it."""
    listing: FolderListing | None = None
    names_asked: int = 0
    """How many names `Name (n)` the listing was asked for."""
    looks_at_name: int = 0
    """Listings since our file has its present name."""
    answered_at: float = NEVER
    """When Drive last answered a write, or a look by id, of this upload: only a listing begun later counts."""
    files: dict[FileId, RemoteFile | None] = msgspec.field(default_factory=dict)
    """Looked at by id, or told by Drive's answer to a write of this invocation."""
    arrived: dict[FileId, str | None] = msgspec.field(default_factory=dict)
    """Id -> the head revision with which Drive answered this invocation's own bytes, to the last one."""
    in_use: set[FileId] = msgspec.field(default_factory=set)
    """Ids of which Drive has said that they are in use: where nothing stands under one, it is used up."""
    revisions: dict[FileId, int] = msgspec.field(default_factory=dict)
    logged: dict[FileId, LoggedUpload | None] = msgspec.field(default_factory=dict)
    """What the log tells of an id since its claim."""
    cannot_bin: set[FileId] = msgspec.field(default_factory=set)
    """Files that Drive doesn't let this account put into the bin: another user's, or a shared drive's."""
    was_told: bool = False
    """This invocation has tried to update the metadata of what is done."""
    was_mended: bool = False
    entry_written: bool | None = None
    """Whether the log's entry for the claim was written now (True) or stood there (False)."""

    def is_as_sent(self, file: RemoteFile) -> bool:
        """Whether nobody has written to the file since this invocation did: what is wrong with it came on the way."""
        return file.id in self.arrived and file.head_revision_id == self.arrived[file.id]

    def forget(self) -> None:
        """Drop what Drive, the receipt and the log may contradict by now."""
        self.was_superseded, self.is_own_claim = True, False
        self.listing, self.entry_written = None, None
        for known in (self.files, self.revisions, self.logged, self.arrived, self.in_use):
            known.clear()


class NeedDigests(msgspec.Struct, frozen=True):
    """Read the source; a file that shows its digests may save the slower half of the work."""

    shown_by: RemoteFile | None = None


class NeedFolder(msgspec.Struct, frozen=True):
    """Find or make the destination's folder."""


class NeedId(msgspec.Struct, frozen=True):
    """Take an id from the pool."""


class NeedListing(msgspec.Struct, frozen=True):
    """Look at these names in the folder, by a look that begins after that moment."""

    names: tuple[str, ...]
    begun_after: float


class NeedFile(msgspec.Struct, frozen=True):
    """Look at an id."""

    id: FileId


class NeedRevisions(msgspec.Struct, frozen=True):
    """Ask how many contents the file has had."""

    id: FileId


class NeedLogEntry(msgspec.Struct, frozen=True):
    """Ask the log whether it tells of the claim's id."""

    id: FileId
    since: int


class WriteClaim(msgspec.Struct, frozen=True):
    """Write the claim into the receipt, or take it out."""

    claim: Claim | None
    discards_ids: bool = False
    """The pool is old: it has handed out an id that is in use."""


class WriteDone(msgspec.Struct, frozen=True):
    """Write what is done, and which other files of ours are still to be settled; the claim stays."""

    done: tuple[CompletedUpload, ...]
    strays: tuple[FileId, ...]


class Send(msgspec.Struct, frozen=True):
    """Bring the source's content under the claim's id."""

    claim: Sending


class Move(msgspec.Struct, frozen=True):
    """Move the file into the destination's folder."""

    file: RemoteFile
    folder: FileId


class Rename(msgspec.Struct, frozen=True):
    """Give the file that name."""

    file: RemoteFile
    name: str


class Trash(msgspec.Struct, frozen=True):
    """Put the file into the bin."""

    file: RemoteFile


class UpdateMetadata(msgspec.Struct, frozen=True):
    """Tell Drive the caller's metadata for a file whose content is done; the receipt learns it then."""

    done: CompletedUpload


class Log(msgspec.Struct, frozen=True):
    """Append the entry `uploaded`, unless one of this content stands behind the claim's position already."""

    file: RemoteFile
    content: Fingerprint
    since: int


class Finish(msgspec.Struct, frozen=True):
    """Record the file as done and drop the claim."""

    file: RemoteRef
    content: Fingerprint
    has_our_metadata: bool = False
    """Drive was told this call's metadata with the content."""


class Done(msgspec.Struct, frozen=True):
    """The content is on Drive: `uploaded` where this invocation has logged it so, else `unchanged`."""

    upload: CompletedUpload


class Skip(msgspec.Struct, frozen=True):
    """Leave Drive as it is: the name holds that file."""

    file: RemoteFile


Question: TypeAlias = NeedDigests | NeedFolder | NeedId | NeedListing | NeedFile | NeedRevisions | NeedLogEntry
Effect: TypeAlias = WriteClaim | WriteDone | Send | Move | Rename | Trash | UpdateMetadata | Log | Finish
End: TypeAlias = Done | Skip
Step: TypeAlias = Question | Effect | End
