"""What is durable about each destination: one small JSON file, read by anyone, replaced only by compare-and-swap.

Writing one is three steps on the disk, each of them safe to die after:

    1. the new receipt, whole and synced, under a name of its own
    2. an exclusive hard link `<receipt>.<generation>`: of two that replace the same generation, one wins
    3. a rename over the receipt, and a sync of the folder

Who finds a left-over link of step 2 finishes step 3 for the one that died. The first receipt of a destination is linked
to its name at once.

The receipt that says that a claim's file is done is appended to the claim's own file instead, as a document behind it,
and not synced: it may be lost or torn, since the log tells the same. The last whole document of a file is the receipt.
An append asks no link: it takes away the link of whoever was about to replace the claim, who then can't rename.

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
from function.state.files import UnexpectedFile, Version

MAX_BYTES = 16 * 1024 * 1024
"""A longer file is no receipt: the longest that can be written has some tens of kilobytes."""

DOCUMENTS_MAX = 8
"""Documents looked at behind a claim: it has one, and more only where the earlier ones were torn."""

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

    def version(self, name: str) -> Version | None:
        """What changes with the receipt, and costs no reading; None where there is none. Raises VolumeUnavailable."""
        path = self._path(name)
        try:
            return files.version_at(path)
        except OSError as error:
            raise _unavailable(path, error) from error

    def swap(self, name: str, old: R | None, new: R, version: Version | None = None) -> tuple[R, Version]:
        """Put `new` in the place of `old`, whose `version` spares a reading; return it with its generation and version.

        It is on the disk before this returns.
        Raises Superseded when `old` is no longer the receipt, VolumeUnavailable when nothing can be written.
        """
        path = self._path(name)
        new = replace(new, generation=(old.generation if old else 0) + 1)
        try:
            written = self._publish(name, new) if old is None else self._replace(name, old, version, new)
            files.sync_folder(os.path.dirname(path))
        except OSError as error:
            raise _unavailable(path, error) from error
        return new, written

    def append(self, name: str, old: R, new: R, version: Version) -> tuple[R, Version] | None:
        """As `swap`, for what may be lost: a crash of the machine may bring `old` back.

        None where that isn't certain to have been done, as where the receipt is no longer of that `version`.
        """
        path = self._path(name)
        new = replace(new, generation=old.generation + 1)
        try:
            written = files.append(path, b"\n" + _encoded(new), version)
            if written is None:
                return None
            _unlink(f"{path}.{new.generation}")
            return (new, written) if files.version_at(path) == written else None
        except OSError:
            return None

    def _publish(self, name: str, first: R) -> Version:
        try:
            return files.publish(self._path(name), _encoded(first))
        except FileExistsError as error:
            self.read(name)  # what is damaged is set aside, what is newer said
            raise Superseded(name) from error

    def _replace(self, name: str, old: R, version: Version | None, new: R) -> Version:
        path = self._path(name)
        marker = f"{path}.{new.generation}"
        try:
            written = files.publish(marker, _encoded(new))
        except FileExistsError as error:
            self._finish(name, marker)
            raise Superseded(name) from error
        # Whoever was stopped before the rename that made `old`, which then was appended, must not rename any more.
        _unlink(f"{path}.{old.generation}")
        # Not by its generation alone: what was deleted and begun anew counts from 1 again.
        if (version is None or files.version_at(path) != version) and self.read(name) != old:
            _unlink(marker)
            raise Superseded(name)
        try:
            os.replace(marker, path)
        except FileNotFoundError as error:  # another finished the rename for us, or appended to what we would replace
            if files.version_at(path) != written:
                raise Superseded(name) from error
        return written

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
            receipt = self._last_of(files.read(path, MAX_BYTES))
        except FileNotFoundError:
            return None
        except UnexpectedFile:
            receipt = None
        if receipt and receipt.version > VERSION:
            raise VolumeUnavailable(f"{path}: was written by a newer version of this job; update this one.")
        if receipt and receipt.generation:
            return receipt
        with contextlib.suppress(FileNotFoundError):
            files.set_aside(path)
        return None

    def _last_of(self, content: bytes) -> R | None:
        """The last whole document: no line in it begins with a brace but its first and its last one.

        Behind it may stand what a power failure left of another: a part, or zeros.
        """
        first, *others = content.rsplit(b"\n{", DOCUMENTS_MAX)
        for document in (*(b"{" + each for each in reversed(others)), first):
            whole, brace, _ = document.partition(b"\n}")
            for each in (document, whole + brace):
                with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    return msgspec.json.decode(each, type=self.kind)
        return None

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name[0]}/{name[1:]}.json"


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


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
    _version: Version | None = None
    """Of `current`, where it is known."""

    def reread(self) -> bool:
        """Learn what the receipt is now; whether somebody else has written or removed it meanwhile."""
        before = self.current
        self.current, self._version = self._now()
        return self.current != before

    def check(self) -> None:
        """Raise Superseded when another has written since. Raises VolumeUnavailable."""
        now, version = self._now()
        if now != self.current:
            raise Superseded(self.name)
        self._version = version

    def claim(self, claim: Claim | None) -> None:
        """Write a claim down, which counts the attempt; or take it out."""
        content = None if claim is None or isinstance(claim, LoseTo) else claim.content
        self._swap(replace(self._counted(content), claim=claim))

    def correct(self, done: tuple[CompletedUpload, ...], strays: tuple[FileId, ...]) -> None:
        """Correct what is done, and which files were sent by invocations whose claim was overtaken."""
        self._swap(replace(self.current, done=done, strays=strays))

    def finish(
        self,
        file: RemoteRef,
        content: Fingerprint,
        metadata: str = "",
        properties: tuple[str, ...] = (),
    ) -> None:
        """Record a content as done under that file, with what was told with it, and drop the claim."""
        counted = self._counted(content)
        done = CompletedUpload(
            file.id,
            file.name,
            content,
            counted.attempt,
            time.time_ns(),
            file.link,
            metadata,
            properties,
        )
        receipt, claim = finished(counted, done), self.current.claim
        is_logged = claim is not None and not isinstance(claim, LoseTo) and claim.id == file.id
        if is_logged and self._version:
            appended = self.receipts.append(self.name, self.current, receipt, self._version)
            if appended:
                self._keep(receipt, appended)
                return
        self._swap(receipt)

    def count_attempt(self, content: Fingerprint) -> None:
        """Write this invocation's attempt down, where it was made in vain."""
        self.reread()
        self._swap(self._counted(content))

    def _now(self) -> tuple[Receipt, Version | None]:
        """The receipt as it is, not read again where its version shows that it is the one that is known.

        The version is looked at first: a receipt that replaces this one in between only has to be read once more.
        """
        version = self.receipts.version(self.name)
        if version is not None and version == self._version:
            return self.current, version
        found = self.receipts.read(self.name) if version else None
        return found or Receipt(self.current.account, self.current.destination), version

    def _counted(self, content: Fingerprint | None) -> Receipt:
        if self.is_counted or content is None:
            return self.current
        return trying(self.current, content)

    def _swap(self, receipt: Receipt) -> None:
        old = self.current if self.current.generation else None
        self._keep(receipt, self.receipts.swap(self.name, old, receipt, self._version))

    def _keep(self, receipt: Receipt, written: tuple[Receipt, Version]) -> None:
        self.is_counted |= receipt.attempted is not self.current.attempted  # `trying` puts in another one
        self.current, self._version = written


def finished(receipt: Receipt, done: CompletedUpload) -> Receipt:
    """The receipt with one more content done and no claim."""
    others = tuple(each for each in receipt.done if each.id != done.id)
    return replace(receipt, claim=None, done=(*others, done)[-DONE_MAX:])


def trying(receipt: Receipt, content: Fingerprint) -> Receipt:
    """The receipt with one more attempt counted for that content."""
    again = receipt.attempted is not None and receipt.attempted.same_content(content)
    return replace(receipt, attempt=receipt.attempt + 1 if again else 1, attempted=content)
