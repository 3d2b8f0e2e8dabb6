"""What to do about a claim that another invocation left, by looking at what stands under its id: pure."""

from enum import Enum, auto

from function.core.receipt import Claim
from function.core.types import Fingerprint, RemoteFile


class Recovery(Enum):
    """The next step for a claim."""

    PLAN = auto()
    """Nothing stands there: plan anew, since the name may be taken by now, and claim the same id. A request of the dead
    may still be on its way; under the same id it can't make a second file."""
    SEND = auto()
    """The revision isn't there: send it under this claim."""
    FINISH = auto()
    """The source's content stands there."""
    FINISH_OLDER = auto()
    """The claimed content stands there, which the source no longer has."""
    MEND = auto()
    """A file of ours with neither stands there, never recorded as done: give it the source's content."""
    DROP = auto()
    """The id is no use: its file is gone, not ours, or its owner's by now."""


def decide(claim: Claim, content: Fingerprint, remote: RemoteFile | None, key: str) -> Recovery:
    """The step for a claim, given the source's content and what stands under the claim's id."""
    same = claim.content.same_content(content)
    if remote is None:
        return Recovery.DROP if claim.revises and not claim.mends else Recovery.PLAN
    if remote.key != key and not claim.revises:
        return Recovery.DROP
    if content.digests and remote.holds(content.stat.size, content.digests):
        return Recovery.FINISH
    if claim.content.digests and remote.holds(claim.content.stat.size, claim.content.digests):
        return Recovery.FINISH_OLDER
    if claim.revises and not claim.mends:
        return Recovery.SEND if same else Recovery.DROP
    if not claim.mends and remote.was_edited:
        return Recovery.DROP
    return Recovery.MEND


def needs_digests(claim: Claim, remote: RemoteFile | None, size: int) -> bool:
    """Whether the source must be read to decide."""
    return (remote is not None and remote.size == size) or (
        claim.content.digests is not None and claim.content.stat.size == size
    )
