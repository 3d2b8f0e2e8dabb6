"""What is durable about each destination: one small JSON file, read by anyone, replaced only by compare-and-swap.

Writing one is three steps on the disk, each of them safe to die after:

    1. the new receipt, whole and synced, under a name of its own
    2. an exclusive hard link `<receipt>.<generation>`: of two that replace the same generation, one wins
    3. a rename over the receipt, and a sync of the folder

Who finds a left-over link of step 2 finishes step 3 for the one that died. The first receipt of a destination is linked
to its name at once.

Receipts are sharded by one hex digit: 60,000 in a folder of a million are as quick as a hundred, whereas each new
folder costs more than a receipt.
"""

import contextlib
import os
import time
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from function.core.errors import VolumeUnavailable
from function.core.receipt import VERSION, Claim, CompletedUpload, FolderReceipt, LoseTo, Receipt, RemoteRef
from function.core.types import FileId, Fingerprint
from function.state import files
from function.state.files import UnexpectedFile

MAX_BYTES = 16 * 1024 * 1024
"""A longer file is no receipt: the longest that can be written has some tens of kilobytes."""

DONE_MAX = 64
"""Contents remembered per destination; an older one is found again on Drive."""

R = TypeVar("R", Receipt, FolderReceipt)


class Superseded(Exception):
    """Someone else replaced the receipt first: read it again."""


class Receipts(Generic[R], msgspec.Struct, frozen=True):
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

    def swap(self, name: str, old: R | None, new: R) -> R:
        """Put `new` in the place of `old` and return it with its generation.

        It is on the disk before this returns.
        Raises Superseded when `old` is no longer the receipt, VolumeUnavailable when nothing can be written.
        """
        path = self._path(name)
        new = replace(new, generation=(old.generation if old else 0) + 1)
        try:
            if old is None:
                self._claim(name, new)
            else:
                self._replace(name, old, new)
            files.sync_folder(os.path.dirname(path))
        except OSError as error:
            raise _unavailable(path, error) from error
        return new

    def _claim(self, name: str, first: R) -> None:
        try:
            files.publish(self._path(name), _encoded(first))
        except FileExistsError as error:
            self.read(name)  # what is damaged is set aside, what is newer said
            raise Superseded(name) from error

    def _replace(self, name: str, old: R, new: R) -> None:
        path = self._path(name)
        marker = f"{path}.{new.generation}"
        try:
            files.publish(marker, _encoded(new))
        except FileExistsError as error:
            self._finish(name, marker)
            raise Superseded(name) from error
        if self.read(name) != old:  # not by its generation alone: what was deleted and begun anew counts from 1 again
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
            old = self.read(name)
            if old and old.generation == new.generation - 1:
                os.replace(marker, self._path(name))
            else:
                os.unlink(marker)
            files.sync_folder(os.path.dirname(marker))
        except FileNotFoundError:
            return

    def _load(self, path: str) -> R | None:
        """What the file says; None where there is none, or a damaged one, which is set aside."""
        try:
            receipt = msgspec.json.decode(files.read(path, MAX_BYTES), type=self.kind)
        except FileNotFoundError:
            return None
        except (UnexpectedFile, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            receipt = None
        if receipt and receipt.version > VERSION:
            raise VolumeUnavailable(f"{path}: was written by a newer version of this job; update this one.")
        if receipt and receipt.generation:
            return receipt
        with contextlib.suppress(FileNotFoundError):
            files.set_aside(path)
        return None

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name[0]}/{name[1:]}.json"


def _encoded(receipt: Receipt | FolderReceipt) -> bytes:
    return msgspec.json.format(msgspec.json.encode(receipt), indent=1)


def _unavailable(path: str, error: OSError) -> VolumeUnavailable:
    return VolumeUnavailable(f"{path}: can't be read or written ({error.strerror}); mend the volume and call again.")


class ReceiptWriter(msgspec.Struct):
    """The receipt as this invocation knows it. Writing raises Superseded when another wrote first."""

    receipts: Receipts[Receipt]
    name: str
    current: Receipt
    """What was last read or written; a blank one where there is none."""
    is_counted: bool = False
    """This invocation's attempt is in the receipt."""

    def reread(self) -> bool:
        """Learn what the receipt is now; whether somebody else has written or removed it meanwhile."""
        before, self.current = self.current, self._now()
        return self.current != before

    def check(self) -> None:
        """Raise Superseded when another has written since. Raises VolumeUnavailable."""
        if self._now() != self.current:
            raise Superseded(self.name)

    def claim(self, claim: Claim | None) -> None:
        """Write a claim down, which counts the attempt; or take it out."""
        content = None if claim is None or isinstance(claim, LoseTo) else claim.content
        self._swap(replace(self._counted(content), claim=claim))

    def correct(self, done: tuple[CompletedUpload, ...], strays: tuple[FileId, ...]) -> None:
        """Correct what is done, and which files were sent by invocations whose claim was overtaken."""
        self._swap(replace(self.current, done=done, strays=strays))

    def finish(self, file: RemoteRef, content: Fingerprint, metadata: str, properties: tuple[str, ...]) -> None:
        """Record a content as done under that file, and drop the claim."""
        counted = self._counted(content)
        done = CompletedUpload(
            file.id, file.name, content, counted.attempt, time.time_ns(), file.link, metadata, properties
        )
        self._swap(finished(counted, done))

    def count_attempt(self, content: Fingerprint) -> int:
        """Write this invocation's attempt down, where it was made in vain; its number."""
        if not self.is_counted:
            self.reread()
            self._swap(self._counted(content))
        return self.current.attempt

    def _now(self) -> Receipt:
        return self.receipts.read(self.name) or Receipt(self.current.account, self.current.destination)

    def _counted(self, content: Fingerprint | None) -> Receipt:
        if self.is_counted or content is None:
            return self.current
        return trying(self.current, content)

    def _swap(self, receipt: Receipt) -> None:
        old = self.current if self.current.generation else None
        is_counted = self.is_counted or receipt.attempted is not self.current.attempted  # `trying` puts in another one
        self.current = self.receipts.swap(self.name, old, receipt)
        self.is_counted = is_counted


def finished(receipt: Receipt, done: CompletedUpload) -> Receipt:
    """The receipt with one more content done and no claim."""
    others = tuple(each for each in receipt.done if each.id != done.id)
    return replace(receipt, claim=None, done=(*others, done)[-DONE_MAX:])


def trying(receipt: Receipt, content: Fingerprint) -> Receipt:
    """The receipt with one more attempt counted for that content."""
    again = receipt.attempted is not None and receipt.attempted.same_content(content)
    return replace(receipt, attempt=receipt.attempt + 1 if again else 1, attempted=content)
