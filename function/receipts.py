"""What is durable about each destination: one small JSON file, read by anyone, replaced only by compare-and-swap.

Writing one is three steps on the disk, each of them safe to die after:

    1. the new receipt, whole and synced, under a name of its own
    2. an exclusive hard link `<receipt>.<generation>`: of two that replace the same generation, one wins
    3. a rename over the receipt, and a sync of the folder

Who finds a left-over link of step 2 finishes step 3 for the one that died. The first receipt of a destination is linked
to its name at once. Receipts are sharded by one hex digit: 60,000 in a folder of a million are as quick as a hundred,
whereas each new folder costs more than a receipt.
"""

import contextlib
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, TypeAlias, TypeVar

import msgspec

from function.errors import VolumeUnavailable
from function.model import FileId, Fingerprint

VERSION = 1

DONE_MAX = 64
"""Contents remembered per destination; an older one is found again on Drive."""

USUAL_BYTES = 64 * 1024
"""What a receipt is read in; a longer one takes another read."""


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

    def finished(self, done: Done) -> "Receipt":
        """This receipt with one more content done and no claim."""
        others = tuple(each for each in self.done if each.id != done.id)
        return msgspec.structs.replace(self, claim=None, done=(*others, done)[-DONE_MAX:])

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


R = TypeVar("R", Receipt, FolderReceipt)


class Superseded(Exception):
    """Someone else replaced the receipt first: read it again."""


@dataclass(frozen=True, slots=True)
class Receipts(Generic[R]):
    """The receipts of one kind below one folder."""

    folder: Path
    kind: type[R]

    def read(self, name: str) -> R | None:
        """The receipt of that name (a hex hash), or None. A damaged one is set aside. Raises VolumeUnavailable."""
        path = self._path(name)
        try:
            return self._load(path)
        except OSError as error:
            raise _unavailable(path, error) from error

    def swap(self, name: str, old: R | None, new: R, *, durably: bool = True) -> R:
        """Put `new` in the place of `old` and return it with its generation.

        It is on the disk before this returns, unless `durably` is False: then a power failure may undo it.
        Raises Superseded when `old` is no longer the receipt, VolumeUnavailable when nothing can be written.
        """
        path = self._path(name)
        new = msgspec.structs.replace(new, generation=(old.generation if old else 0) + 1)
        try:
            if old is None:
                self._claim(name, new, durably=durably)
            else:
                self._replace(name, new, durably=durably)
            if durably:
                _sync_folder(os.path.dirname(path))
        except OSError as error:
            raise _unavailable(path, error) from error
        return new

    def _claim(self, name: str, first: R, *, durably: bool) -> None:
        try:
            _publish(first, self._path(name), durably=durably)
        except FileExistsError as error:
            self.read(name)  # what is damaged is set aside, what is newer said
            raise Superseded(name) from error

    def _replace(self, name: str, new: R, *, durably: bool) -> None:
        path = self._path(name)
        marker = f"{path}.{new.generation}"
        try:
            _publish(new, marker, durably=durably)
        except FileExistsError as error:
            self._finish(name, marker)
            raise Superseded(name) from error
        if self._generation(name) != new.generation - 1:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(marker)
            raise Superseded(name)
        with contextlib.suppress(FileNotFoundError):  # another finished the rename for us
            os.replace(marker, path)

    def _finish(self, name: str, marker: str) -> None:
        """Do the rename of a writer that died, or was overtaken, between its link and its rename."""
        try:
            new = self._load(marker)
            if new is None:
                return  # its writer was alive and did it
            if self._generation(name) == new.generation - 1:
                os.replace(marker, self._path(name))
            else:
                os.unlink(marker)
            _sync_folder(os.path.dirname(marker))
        except FileNotFoundError:
            return

    def _load(self, path: str) -> R | None:
        """What the file says; None where there is none, or a damaged one, which is set aside."""
        receipt = None
        try:
            receipt = msgspec.json.decode(_content(path), type=self.kind)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IsADirectoryError):
            pass
        if receipt and receipt.version > VERSION:
            raise VolumeUnavailable(f"{path}: was written by a newer version of this job; update this one.")
        if receipt and receipt.generation:
            return receipt
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, f"{path}.damaged-{time.time_ns()}")
        return None

    def _generation(self, name: str) -> int:
        receipt = self.read(name)
        return receipt.generation if receipt else 0

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name[0]}/{name[1:]}.json"


def _publish(receipt: Receipt | FolderReceipt, path: str, *, durably: bool) -> None:
    """Let a whole receipt appear under that name. Raises FileExistsError."""
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    fd = _create(temporary)
    try:
        try:
            _write(fd, msgspec.json.format(msgspec.json.encode(receipt), indent=1))
            if durably:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.link(temporary, path)
    finally:
        os.unlink(temporary)


def _create(path: str) -> int:
    """A new file, in a folder that is made where it is missing."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        _make_folder(os.path.dirname(path))
        return os.open(path, flags, 0o600)


def _make_folder(folder: str) -> None:
    """The folder, and those that it lies in, each on the disk before what is in it."""
    with contextlib.suppress(FileExistsError):  # another makes it just now
        try:
            os.mkdir(folder, 0o700)
        except FileNotFoundError:
            _make_folder(os.path.dirname(folder))
            os.mkdir(folder, 0o700)
    _sync_folder(os.path.dirname(folder))


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write(fd: int, content: bytes) -> None:
    while content:
        content = content[os.write(fd, content) :]


def _content(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.read(fd, USUAL_BYTES)
        if len(content) == USUAL_BYTES:
            content += os.read(fd, os.fstat(fd).st_size)
        return content
    finally:
        os.close(fd)


def _unavailable(path: str, error: OSError) -> VolumeUnavailable:
    return VolumeUnavailable(f"{path}: can't be read or written ({error.strerror}); mend the volume and call again.")
