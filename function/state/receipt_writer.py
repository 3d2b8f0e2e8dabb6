"""One destination's receipt in the hands of one invocation: what it last read or wrote, and its attempt."""

import time

import msgspec
from msgspec.structs import replace

from function.core.receipt import Claim, CompletedUpload, LoseTo, Receipt, RemoteRef
from function.core.types import FileId, Fingerprint
from function.state.receipts import Receipts, Superseded


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
        now = self.receipts.read(self.name)
        is_other = (now.generation if now else 0) != self.current.generation
        if is_other or now:
            self.current = now or Receipt(self.current.account, self.current.destination)
        return is_other

    def check(self) -> None:
        """Raise Superseded when another has written since. Raises VolumeUnavailable."""
        now = self.receipts.read(self.name)
        if (now.generation if now else 0) != self.current.generation:
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
        self._swap(counted.finished(done))

    def count_attempt(self, content: Fingerprint) -> int:
        """Write this invocation's attempt down, where it was made in vain; its number."""
        if not self.is_counted:
            self.reread()
            self._swap(self._counted(content))
        return self.current.attempt

    def _counted(self, content: Fingerprint | None) -> Receipt:
        if self.is_counted or content is None:
            return self.current
        return self.current.trying(content)

    def _swap(self, receipt: Receipt) -> None:
        old = self.current if self.current.generation else None
        is_counted = self.is_counted or receipt.attempted is not self.current.attempted
        self.current = self.receipts.swap(self.name, old, receipt)
        self.is_counted = is_counted
