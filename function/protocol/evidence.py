"""What the facts allow to be said: whether a listing counts, which names are free, which file is a duplicate. Pure."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from function.core.listing import NEVER, FolderListing, duplicates, replace_files
from function.core.naming import number_of, numbered, same
from function.core.receipt import CompletedUpload, Create, Receipt, RemoteRef, Sending
from function.core.types import (
    FileId,
    Fingerprint,
    Policy,
    RemoteFile,
)
from function.protocol.steps import (
    Facts,
    NeedFile,
    NeedListing,
    Step,
    Trash,
    Wanted,
    WriteDone,
)

LISTING_LAG_NS = 3600 * 10**9
"""How long a listing may not show what we made: rclone's manual says to wait an hour."""


NAMES_AT_ONCE = 6
"""Names `Name (n)` asked for at first when a free one is searched; twice as many each time that all are taken."""


def content_of(wanted: Wanted, facts: Facts) -> Fingerprint:
    """The source's content, as far as it is known."""
    return Fingerprint(wanted.stat, facts.digests)


def reference(file: RemoteFile) -> RemoteRef:
    """What a receipt keeps of a file."""
    return RemoteRef(file.id, file.name, file.link)


def as_create(claim: Sending) -> Create:
    """The create that the claim stands for."""
    return Create(claim.id, claim.nonce, claim.name, claim.folder, claim.content, claim.log_position)


def stale_listing(names: Iterable[str], facts: Facts) -> Step | None:
    """A question, unless there is a listing of these names that began after Drive's last answer."""
    names = tuple(dict.fromkeys(names))
    if facts.listing and facts.listing.covers(names) and _is_later(facts.listing, facts):
        return None
    return NeedListing(names, facts.answered_at)


def _is_later(listing: FolderListing, facts: Facts) -> bool:
    return facts.answered_at == NEVER or listing.began > facts.answered_at


def hidden_ids(receipt: Receipt, facts: Facts) -> list[FileId]:
    """Files of ours that a listing may hide, and doesn't show: made in the last hour, or sent by others meanwhile."""
    listing = facts.listing
    assert listing
    since = facts.now_ns - LISTING_LAG_NS
    recent = [each.id for each in receipt.done if each.at_ns > since and listing.covers((each.name,))]
    shown = {each.id for each in listing.files}
    return [each for each in (*recent, *receipt.strays) if each not in shown]


def listing_with_hidden(receipt: Receipt, facts: Facts) -> FolderListing:
    """The listing, and what it hides of ours in the folder, by looks at the ids."""
    listing = facts.listing
    assert listing
    hidden = (facts.files.get(each) for each in hidden_ids(receipt, facts))
    live = (each for each in hidden if each and not each.trashed)
    here = tuple(each for each in live if facts.leaf == "root" or facts.leaf in each.parents)
    return replace_files(listing, (*listing.files, *here))


def names_to_ask(wanted: Wanted, done: Sequence[CompletedUpload], count: int = 0) -> tuple[str, ...]:
    """The destination's name, and with keep_both `count` numbered ones, more where some of ours are there already.

    Our own have the highest numbers, so the search for a free one begins behind them: of a name that is edited daily,
    a year's versions are not looked for one by one.
    """
    if wanted.policy is not Policy.KEEP_BOTH:
        return (wanted.name,)
    highest = max((number_of(each.name, wanted.name) for each in done), default=1)
    count = max(count, NAMES_AT_ONCE) if done else count
    return (wanted.name, *(numbered(wanted.name, highest + more) for more in range(1, count + 1)))


def count_numbered(wanted: Wanted, done: Sequence[CompletedUpload], names: Sequence[str]) -> int:
    """How many of the names are those that `names_to_ask` asks for besides the destination's own."""
    return sum(each in names for each in names_to_ask(wanted, done, len(names))[1:])


def free_names(wanted: Wanted, receipt: Receipt, listing: FolderListing, facts: Facts) -> list[str]:
    """The numbered names that were looked for and are free, in order."""
    taken = {same(each.name) for each in listing.files}
    asked = names_to_ask(wanted, receipt.done, facts.names_asked)[1:]
    return [each for each in asked if same(each) not in taken and listing.covers((each,))]


def ask_for_more_names(wanted: Wanted, receipt: Receipt, facts: Facts) -> Step:
    """The question for names beyond those that are taken."""
    more = max(NAMES_AT_ONCE, 2 * facts.names_asked)
    return NeedListing(names_to_ask(wanted, receipt.done, more), facts.answered_at)


def trash_duplicate(
    wanted: Wanted, receipt: Receipt, listing: FolderListing, facts: Facts, *, kept: FileId | None = None
) -> Step | None:
    """The step that puts a younger file of ours into the bin, of those that racers made of one content.

    The file that is `kept` for now is not put there.
    """
    for younger, oldest in duplicates(wanted.key, listing):
        if younger.id == kept:
            continue
        for file_id in (oldest.id, younger.id):
            if file_id not in facts.files:
                return NeedFile(file_id)
        ours = facts.files[younger.id]
        if ours and (step := trash_younger(ours, oldest.id, receipt, facts)):
            return step
    return None


def trash_younger(one: RemoteFile, other_id: FileId, receipt: Receipt, facts: Facts) -> Step | None:
    """Trash the younger of two files of ours; None unless both were looked at, are live and hold one content."""
    if other_id not in facts.files:
        return NeedFile(other_id)
    other = facts.files[other_id]
    if other is None or other.id == one.id or one.trashed or other.trashed or one.key != other.key:
        return None
    if one.md5 is None or (one.size, one.md5) != (other.size, other.md5):
        return None
    oldest, younger = sorted((one, other), key=lambda each: each.seniority)
    if any(each.id == younger.id for each in receipt.done):  # written before it is done
        stays = tuple(
            replace(each, id=oldest.id, link=oldest.link, name=oldest.name) if each.id == younger.id else each
            for each in receipt.done
            if each.id != oldest.id
        )
        kept = (each for each in receipt.strays if each not in (oldest.id, younger.id))
        return WriteDone(stays, (*kept, younger.id))
    return Trash(younger)
