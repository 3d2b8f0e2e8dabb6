"""One destination's receipt in the hands of one invocation: what it last read or wrote, and its attempt."""

import time
from dataclasses import dataclass

from msgspec.structs import replace

from function.core.receipt import Claim, Done, Receipt
from function.core.types import Fingerprint
from function.state.receipts import Receipts, Superseded

INSTANT_S = 0.005
"""No longer than the append to the log that follows a check: between those two another could write, too."""


@dataclass(slots=True)
class Ledger:
    """The receipt as this invocation knows it. Writing raises Superseded when another wrote first."""

    receipts: Receipts[Receipt]
    name: str
    blank: Receipt
    """What stands for a receipt where there is none."""
    current: Receipt
    is_counted: bool = False
    _known_at: float = float("-inf")
    """When `current` was last seen to be the receipt, on the monotonic clock."""

    def reread(self) -> Receipt:
        """The receipt as it is now."""
        self._known_at = time.monotonic()
        self.current = self.receipts.read(self.name) or self.blank
        return self.current

    def write(self, receipt: Receipt) -> None:
        """Make that the receipt."""
        old = self.current if self.current.generation else None
        self.current = self.receipts.swap(self.name, old, receipt)

    def check(self) -> None:
        """Raise Superseded when another has written since; what was read this instant needn't be read again."""
        if time.monotonic() - self._known_at < INSTANT_S:
            return
        now = self.receipts.read(self.name)
        if (now.generation if now else 0) != self.current.generation:
            raise Superseded(self.name)

    def count(self, content: Fingerprint) -> Receipt:
        """The receipt with this invocation's attempt at the content counted, once; still to be written."""
        if self.is_counted:
            return self.current
        self.is_counted = True
        return self.current.trying(content)

    def claim(self, claim: Claim) -> Claim:
        """Write a claim down, before the first request it speaks of."""
        self.write(replace(self.count(claim.content), claim=claim))
        return claim

    def drop_claim(self) -> None:
        """Forget the claim: its id is no use."""
        self.write(replace(self.current, claim=None))

    def finish(self, done: Done) -> None:
        """Record a content as done. Undone by a power failure, its claim leads to the same file and log entry."""
        self.current = self.receipts.finish(self.name, self.current, done)
