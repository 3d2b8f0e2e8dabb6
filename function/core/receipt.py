"""What is durable about a destination and about a folder, as values.

A **claim** is an intent, written down before the first request that it speaks of. It is one of

    Create   a new file will stand under a reserved id
    Revise   a file that stands there gets one more revision
    Mend     our own new file, known to hold something wrong, gets the right content
    LoseTo   our own new file goes to the bin, since another one was there first

A **receipt** holds the claim of a destination, if there is one, and what is done. docs/protocol.md has the whole.
"""

from typing import Annotated, TypeAlias

import msgspec

from function.core.types import FileId, Fingerprint

VERSION = 2

_AN_ID = msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]+\Z")
"""An id as Drive gives them; anything else in its place is damage."""

Id: TypeAlias = Annotated[FileId, _AN_ID]

Generation: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class RemoteRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file on Drive."""

    id: Id
    name: str
    link: str | None = None


class _Claim(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind"):
    id: Id
    nonce: str
    """The claim's own mark, which the file carries in its appProperties: an id proves nothing, since a pool that comes
    back from a backup hands it out again."""
    name: str
    folder: Id
    """The folder that the file is made in, or was in when it was to be revised."""
    content: Fingerprint
    log_position: int = 0
    """Where the log ended when the claim was made, an opaque `LogPosition` of state/log_index.py: what the claim came
    to can only be logged behind."""
    session: str | None = None
    """URI of the resumable session: a secret that permits to finish the upload."""
    renaming: str | None = None
    """The name that the file has until it is renamed to `name`: under any other one its owner has renamed it."""


class Create(_Claim, frozen=True, omit_defaults=True, tag="create"):
    """A new file."""

    earlier: tuple[Fingerprint, ...] = ()
    """Contents claimed under this id before: a request of a killed process may still bring one of them."""
    earlier_nonces: tuple[str, ...] = ()
    """Their nonces, in the same order: in a copy of this home the claim may have become another content's, and that is
    no damage of this one's."""


class Revise(_Claim, frozen=True, omit_defaults=True, tag="revise"):
    """One more revision of a file, whoever made it."""

    base: str | None = None
    """The file's head revision when it was claimed: while it is the head, nothing of this claim has arrived."""


class Mend(_Claim, frozen=True, omit_defaults=True, tag="mend"):
    """The right content for a file of our own that holds something wrong and was never recorded as done."""

    wrong: str | None = None
    """The head revision that is known to be wrong and ours. Another one was written by someone, and stays."""


class LoseTo(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="lose_to"):
    """Our new file goes to the bin."""

    create: Create
    winner: RemoteRef
    adopts: bool = True
    """The winner holds the same content, and is recorded. Otherwise the policy decides anew."""

    @property
    def id(self) -> FileId:
        """Our file's id."""
        return self.create.id


Sending: TypeAlias = Create | Revise | Mend
"""Claims that bring a content to Drive."""

Claim: TypeAlias = Create | Revise | Mend | LoseTo


class CompletedUpload(msgspec.Struct, frozen=True, omit_defaults=True):
    """A content that was uploaded, verified and logged, or found on Drive."""

    id: Id
    name: str
    content: Fingerprint
    attempt: int
    at_ns: int
    """When it was recorded, in ns: a source modified later than that can't be judged by its mtime alone."""
    link: str | None = None
    metadata: str = ""
    """The digest of the metadata that Drive was told."""
    properties: tuple[str, ...] = ()
    """Names of the public properties that were set with it."""


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of one destination."""

    account: str
    destination: str
    generation: Generation = 0
    version: int = VERSION
    attempt: int = 0
    """Attempts made for the content `attempted`."""
    attempted: Fingerprint | None = None
    claim: Claim | None = None
    done: tuple[CompletedUpload, ...] = ()
    """Oldest first; no file id twice."""
    strays: tuple[Id, ...] = ()
    """Files that invocations sent whose claim was removed or overtaken: listings may hide them."""


class FolderReceipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of one folder of the mirror."""

    account: str
    destination: str
    id: Id
    parent: Annotated[str, _AN_ID]
    generation: Generation = 0
    version: int = VERSION
    made: bool = False
    """We created it (or are about to); otherwise it was found."""
    done: bool = False
