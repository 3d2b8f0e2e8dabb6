"""What is durable about a destination and about a folder, as values: claims, what is done, and the receipts of both."""

from typing import Annotated, TypeAlias

import msgspec

from function.core.types import FileId, Fingerprint

VERSION = 1

DONE_MAX = 64
"""Contents remembered per destination; an older one is found again on Drive."""

_AN_ID = msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]+\Z")
"""An id as Drive gives them; anything else in its place is damage."""

Id: TypeAlias = Annotated[FileId, _AN_ID]

Generation: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class RemoteRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file on Drive."""

    id: Id
    name: str
    link: str | None = None


class Claim(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an upload is about to do, under an id that is its own."""

    id: Id
    name: str
    folder: Id
    content: Fingerprint
    revises: bool = False
    """New content for an existing file, instead of a new file."""
    mends: bool = False
    """It revises a file of our own that was never recorded as done: a mixture, of contents or of sends."""
    yields_to: RemoteRef | None = None
    """A file of equal content was there first: ours goes to the bin, and that one is recorded."""
    session: str | None = None
    """URI of the resumable session: a secret that permits to finish the upload."""
    settled: bool = True
    """False while a look for other files of that name is still due."""
    log_size: int = 0
    """Bytes of the log when the claim was made: what this id did can only be logged behind."""


class Done(msgspec.Struct, frozen=True, omit_defaults=True):
    """A content that was uploaded, verified and logged."""

    id: Id
    name: str
    content: Fingerprint
    attempt: int
    at_ns: int
    """When it was recorded, in ns: a source modified later than that can't be judged by its mtime alone."""
    link: str | None = None


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
    done: tuple[Done, ...] = ()
    """Oldest first; no file id twice."""
    ended: Done | None = None
    """In the file only: what the claim came to, one generation later."""

    def finished(self, done: Done) -> "Receipt":
        """This receipt with one more content done and no claim."""
        others = tuple(each for each in self.done if each.id != done.id)
        return msgspec.structs.replace(self, claim=None, done=(*others, done)[-DONE_MAX:])

    def resolved(self) -> "Receipt":
        """What a file says that was written in two steps."""
        if self.ended is None:
            return self
        return msgspec.structs.replace(self.finished(self.ended), generation=self.generation + 1, ended=None)

    def trying(self, content: Fingerprint) -> "Receipt":
        """This receipt with one more attempt counted for that content."""
        again = self.attempted is not None and self.attempted.same_content(content)
        return msgspec.structs.replace(self, attempt=self.attempt + 1 if again else 1, attempted=content)


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

    def resolved(self) -> "FolderReceipt":
        """Itself: these are written in one step."""
        return self
