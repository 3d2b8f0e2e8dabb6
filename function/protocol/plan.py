"""What to do where nothing is claimed: by what is done, what the log tells and what Drive shows. Pure.

-> unchanged | adopt | create | revise | skip | fail

First stands what the facts allow to be said (whether a listing counts, which names are free, which file is a
duplicate), which next_step.py asks, too.
"""

from collections.abc import Iterable, Sequence
from itertools import takewhile

from msgspec.structs import replace

from function.core.errors import DestinationExists
from function.core.naming import number_of, numbered, same
from function.core.receipt import CompletedUpload, Create, Receipt, RemoteRef, Revise, Sending
from function.core.types import (
    GOOGLE_MIME_PREFIX,
    Digests,
    FileId,
    Fingerprint,
    FolderListing,
    LoggedUpload,
    Outcome,
    Policy,
    RemoteFile,
    Status,
    duplicates,
    replace_files,
)
from function.protocol import steps
from function.protocol.steps import Facts, Step, Wanted

LISTING_LAG_NS = 3600 * 10**9
"""How long a listing may not show what we made: rclone's manual says to wait an hour."""

LOOKED_AT_MAX = 8
"""Files that are looked at by their ids where the log alone tells of them: the newest."""

NAMES_AT_ONCE = 6
"""Names `Name (n)` asked for at first when a free one is searched; twice as many each time that all are taken."""

NAMES_BEHIND = 20
"""Lower numbers than our highest one that are asked for, where they aren't ours."""


def content_of(wanted: Wanted, facts: Facts) -> Fingerprint:
    """The source's content, as far as it is known."""
    return Fingerprint(wanted.stat, facts.digests)


def reference(file: RemoteFile) -> RemoteRef:
    """What a receipt keeps of a file."""
    return RemoteRef(file.id, file.name, file.link)


def by_nonce(claim: Create) -> dict[str, Fingerprint]:
    """Nonce -> the content that was claimed under it."""
    return dict(zip((claim.nonce, *claim.earlier_nonces), (claim.content, *claim.earlier), strict=False))


def as_create(claim: Sending) -> Create:
    """The create that the claim stands for."""
    if isinstance(claim, Create):
        return replace(claim, session=None, renaming=None)
    return Create(claim.id, claim.nonce, claim.name, claim.folder, claim.content, claim.log_position)


def stale_listing(names: Iterable[str], facts: Facts) -> Step | None:
    """A question, unless there is a listing of these names that began after Drive's last answer."""
    if facts.leaf is None:
        return steps.NeedFolder()
    names = tuple(dict.fromkeys(names))
    if facts.listing and facts.listing.serves(names, facts.answered_at):
        return None
    return steps.NeedListing(names, facts.answered_at)


def look_at(ids: Iterable[FileId], facts: Facts) -> Step | None:
    """A question, unless all of these ids were looked at."""
    return next((steps.NeedFile(each) for each in ids if each not in facts.files), None)


def hidden_ids(receipt: Receipt, facts: Facts) -> list[FileId]:
    """Files of ours that a listing may hide, and doesn't show: made in the last hour, or sent by others meanwhile.

    Without a receipt the log tells which they are.
    """
    listing = facts.listing
    assert listing
    made_after_ns = facts.now_ns - LISTING_LAG_NS
    recent = [each.id for each in receipt.done if each.at_ns > made_after_ns and listing.covers((each.name,))]
    shown = {each.id for each in listing.files}
    logged = [] if receipt.done else [each.file_id for each in facts.logged_before[-LOOKED_AT_MAX:]]
    return [each for each in dict.fromkeys((*recent, *receipt.strays, *logged)) if each not in shown]


def listing_with_hidden(receipt: Receipt, facts: Facts) -> FolderListing:
    """The listing, and what it hides of ours in the folder, by looks at the ids."""
    listing = facts.listing
    assert listing
    hidden = (facts.files.get(each) for each in hidden_ids(receipt, facts))
    live = (each for each in hidden if each and not each.trashed)
    here = tuple(each for each in live if facts.leaf == "root" or facts.leaf in each.parents)
    return replace_files(listing, (*listing.files, *here))


def gives_way(wanted: Wanted, file: RemoteFile, listing: FolderListing) -> bool:
    """Whether a racer is about to bin its file, beside older content of the name: it must not be adopted."""
    if wanted.policy is Policy.KEEP_BOTH or file.key != wanted.key:
        return False
    namesakes = (each for each in listing.named(file.name) if each.md5 != file.md5)
    return any(each.seniority < file.seniority for each in namesakes)


def names_to_ask(wanted: Wanted, done: Sequence[CompletedUpload | Sending], count: int = 0) -> tuple[str, ...]:
    """The destination's name, and with keep_both `count` numbered ones, more where some of ours are there already."""
    if wanted.policy is not Policy.KEEP_BOTH:
        return (wanted.name,)
    return (wanted.name, *_numbered_ahead(wanted, done, count), *_numbered_behind(wanted, done))


def _numbered_ahead(wanted: Wanted, done: Sequence[CompletedUpload | Sending], count: int) -> list[str]:
    """The names among which a free one is searched.

    Our own have the highest numbers, so the search begins behind them: of a name that is edited daily, a year's
    versions are not looked for one by one.
    """
    highest = _highest_number(wanted, done)
    count = max(count, NAMES_AT_ONCE) if done else count
    return [numbered(wanted.name, highest + more) for more in range(1, count + 1)]


def _numbered_behind(wanted: Wanted, done: Sequence[CompletedUpload | Sending]) -> list[str]:
    """Lower numbers that aren't ours: a home that shares no state with this one may have put the content there."""
    highest, ours = _highest_number(wanted, done), {each.name for each in done}
    names = (numbered(wanted.name, number) for number in range(max(2, highest - NAMES_BEHIND), highest))
    return [each for each in names if each not in ours]


def _highest_number(wanted: Wanted, done: Sequence[CompletedUpload | Sending]) -> int:
    return max((number_of(each.name, wanted.name) for each in done), default=1)


def count_numbered(wanted: Wanted, done: Sequence[CompletedUpload], names: Sequence[str]) -> int:
    """How many of the first names among which `names_to_ask` searches a free one are among these."""
    return sum(1 for _ in takewhile(names.__contains__, _numbered_ahead(wanted, done, len(names))))


def free_names(wanted: Wanted, receipt: Receipt, listing: FolderListing, facts: Facts) -> list[str]:
    """The numbered names that were looked for and are free, in order."""
    taken = {same(each.name) for each in listing.files}
    asked = _numbered_ahead(wanted, receipt.done, facts.names_asked)
    return [each for each in asked if same(each) not in taken and listing.covers((each,))]


def ask_for_more_names(wanted: Wanted, receipt: Receipt, facts: Facts) -> Step:
    """The question for names beyond those that are taken."""
    more = max(NAMES_AT_ONCE, 2 * facts.names_asked)
    return steps.NeedListing(names_to_ask(wanted, receipt.done, more), facts.answered_at)


def trash_duplicate(
    wanted: Wanted, receipt: Receipt, listing: FolderListing, facts: Facts, *, kept: FileId | None = None
) -> Step | None:
    """The step that puts a younger file of ours into the bin, of those that racers made of one content.

    The file that is `kept` for now is not put there.
    """
    for younger, oldest in duplicates(wanted.key, listing):
        if younger.id == kept:
            continue
        if step := look_at((oldest.id, younger.id), facts):
            return step
        ours = facts.files[younger.id]
        if ours and (step := trash_younger(ours, oldest.id, receipt, facts)):
            return step
    return None


def trash_younger(one: RemoteFile, other_id: FileId, receipt: Receipt, facts: Facts) -> Step | None:
    """Trash the younger of two files of ours; None unless both were looked at, are live and hold one content."""
    if other_id not in facts.files:
        return steps.NeedFile(other_id)
    other = facts.files[other_id]
    if other is None or other.id == one.id or one.trashed or other.trashed or one.key != other.key:
        return None
    if not one.is_equal_to(other):
        return None
    oldest, younger = sorted((one, other), key=lambda each: each.seniority)
    if younger.id in facts.cannot_bin:
        return None
    if any(each.id == younger.id for each in receipt.done):  # written before it is done
        stays = tuple(
            replace(each, id=oldest.id, link=oldest.link, name=oldest.name) if each.id == younger.id else each
            for each in receipt.done
            if each.id != oldest.id
        )
        kept = (each for each in receipt.strays if each not in (oldest.id, younger.id))
        return steps.WriteDone(stays, (*kept, younger.id))
    return steps.Trash(younger)


RACY_NS = 2_000_000_000
"""A file written within this time of being recorded may have changed again under the same mtime: 2 s, FAT's step."""


def unchanged_by_stat(receipt: Receipt, wanted: Wanted) -> CompletedUpload | None:
    """The content that is done and that a stat alone shows to be the source's."""
    stat, counting = wanted.stat, _counting(receipt, wanted.policy)
    alike = (each for each in counting if each.content.stat == stat and stat.mtime_ns + RACY_NS < each.at_ns)
    return next(alike, None)


def outcome_done(folder: str, done: CompletedUpload, status: Status, message: str | None = None) -> Outcome:
    """The outcome, `uploaded` or `unchanged`: a content that is on Drive; `folder` is the destination's, as shown."""
    return Outcome(
        status=status,
        message=message,
        destination=f"{folder}/{done.name}".lstrip("/"),
        attempt=done.attempt,
        file_id=done.id,
        link=done.link,
        size=done.content.stat.size,
        digests=done.content.digests,
    )


def has_other_metadata(done: CompletedUpload, wanted: Wanted) -> bool:
    """Whether the caller names metadata that Drive wasn't told with that content."""
    return bool(wanted.metadata) and wanted.metadata != done.metadata


def plan(wanted: Wanted, receipt: Receipt, facts: Facts, unused: Create | None) -> Step:
    """`unused`: the claim in the receipt, under whose id nothing stands; its id is used again."""
    if receipt.strays and unused is None:
        return _stray_settled(receipt, facts)
    done = unchanged_by_stat(receipt, wanted) or _done_with(wanted, receipt, facts.digests)
    if done:
        return _unchanged(wanted, receipt, done, facts)
    logged = [each for each in _logged_before(wanted, receipt, facts) if each.size == wanted.stat.size]
    may_be_done = any(each.content.stat.size == wanted.stat.size for each in _counting(receipt, wanted.policy))
    if facts.digests is None and (logged or may_be_done):
        return steps.NeedDigests()
    known = next((each for each in reversed(logged) if each.content.digests == facts.digests), None)
    if known is None and _may_create_unseen(wanted, receipt, facts):
        return _create(wanted, receipt, wanted.name, facts, unused)
    if step := stale_listing(names_to_ask(wanted, receipt.done, facts.names_asked), facts):
        return step
    if step := look_at(hidden_ids(receipt, facts), facts):
        return step
    return _by_listing(wanted, receipt, known, facts, unused)


def _stray_settled(receipt: Receipt, facts: Facts) -> Step:
    """A file whose claim was overtaken: where its content is done under another id, the younger one goes to the bin."""
    stray, *others = receipt.strays
    if stray not in facts.files:
        return steps.NeedFile(stray)
    file = facts.files[stray]
    for each in receipt.done if file and not file.trashed else ():
        is_same = file and each.id != stray and file.holds(each.content)
        if is_same and file and (step := trash_younger(file, each.id, receipt, facts)):
            return step
    return steps.WriteDone(receipt.done, tuple(others))


def _by_listing(
    wanted: Wanted, receipt: Receipt, known: LoggedUpload | None, facts: Facts, unused: Create | None
) -> Step:
    """What Drive shows decides, and where listings hide it, or its owner has put it elsewhere, what the log tells."""
    listing = listing_with_hidden(receipt, facts)
    if step := trash_duplicate(wanted, receipt, listing, facts):
        return step
    shows_size = any(each.size == wanted.stat.size for each in (*listing.files, *listing.elsewhere))
    if facts.digests is None and (wanted.is_small or shows_size):
        return steps.NeedDigests()
    if same := _same_content(wanted, content_of(wanted, facts), listing):
        return steps.NeedFile(same.id) if unused and same.id == unused.id else _adopt(wanted, same, same.name, facts)
    if known and known.file_id not in facts.files:
        return steps.NeedFile(known.file_id)
    file = facts.files[known.file_id] if known else None
    # The log doesn't know of which Drive it speaks: it may be another account's, which this one is shared with.
    if known and file and file.may_be_from(facts.leaf) and (file.key == wanted.key or file.holds(known.content)):
        return _adopt(wanted, file, known.name, facts)
    return _by_policy(wanted, receipt, listing, facts, unused)


def _by_policy(wanted: Wanted, receipt: Receipt, listing: FolderListing, facts: Facts, unused: Create | None) -> Step:
    """The content is not there: what to do where the name is free, and where it holds other content."""
    held = listing.named(wanted.name)
    if not held:
        return _create(wanted, receipt, wanted.name, facts, unused)
    if wanted.policy is Policy.SKIP:
        return steps.Skip(held[0])
    if wanted.policy is Policy.KEEP_BOTH:
        free = free_names(wanted, receipt, listing, facts)
        if not free:
            return ask_for_more_names(wanted, receipt, facts)
        return _create(wanted, receipt, free[0], facts, unused)
    revisable = [each for each in held if not each.mime_type.startswith(GOOGLE_MIME_PREFIX)]
    if wanted.policy is Policy.FAIL or not revisable:
        raise DestinationExists(
            f"{wanted.label} holds other content (file {held[0].id}) and if_exists is '{wanted.policy}': "
            "rename the source, or choose keep_both, skip or new_revision."
        )
    return _revise(wanted, next((each for each in revisable if each.key == wanted.key), revisable[0]), facts)


def _create(wanted: Wanted, receipt: Receipt, name: str, facts: Facts, unused: Create | None) -> Step:
    if wanted.is_small and facts.digests is None:
        return steps.NeedDigests()
    assert facts.leaf
    content = content_of(wanted, facts)
    if unused:  # a request of a killed process may still be on its way: under the same id it makes no second file
        claim = replace(unused, name=name, folder=facts.leaf, content=content, session=None, renaming=None)
        if not content.same_content(unused.content):
            nonces, earlier = zip(*by_nonce(unused).items(), strict=True)
            claim = replace(claim, nonce=facts.nonce, earlier=earlier, earlier_nonces=nonces)
    elif facts.fresh_id is None:
        return steps.NeedId()
    else:
        claim = Create(facts.fresh_id, facts.nonce, name, facts.leaf, content, facts.log_position)
    return steps.Send(claim) if claim == receipt.claim else steps.WriteClaim(claim)


def _revise(wanted: Wanted, file: RemoteFile, facts: Facts) -> Step:
    if wanted.is_small and facts.digests is None:
        return steps.NeedDigests()
    assert facts.leaf
    content, position = content_of(wanted, facts), facts.log_position
    claim = Revise(file.id, facts.nonce, file.name, facts.leaf, content, position, base=file.head_revision_id)
    return steps.WriteClaim(claim)


def _adopt(wanted: Wanted, file: RemoteFile, name: str, facts: Facts) -> Step:
    return steps.Finish(RemoteRef(file.id, name, file.link), content_of(wanted, facts))


def _unchanged(wanted: Wanted, receipt: Receipt, done: CompletedUpload, facts: Facts) -> Step:
    if receipt.claim is not None:  # the source is again what was done before the claim
        return steps.WriteClaim(None)
    if has_other_metadata(done, wanted) and not facts.was_told:
        return steps.UpdateMetadata(done)
    if facts.digests and done.content != content_of(wanted, facts):  # known by its digests: learn the new stat
        fresh = replace(done, content=content_of(wanted, facts), at_ns=facts.now_ns)
        return steps.WriteDone(tuple(fresh if each.id == done.id else each for each in receipt.done), receipt.strays)
    return steps.Done(done)


def _counting(receipt: Receipt, policy: Policy) -> Sequence[CompletedUpload]:
    """The contents that still count: with new_revision only what was put there last."""
    return receipt.done[-1:] if policy is Policy.NEW_REVISION else receipt.done


def _done_with(wanted: Wanted, receipt: Receipt, digests: Digests | None) -> CompletedUpload | None:
    counting = _counting(receipt, wanted.policy)
    return next((each for each in counting if digests and each.content.digests == digests), None)


def _logged_before(wanted: Wanted, receipt: Receipt, facts: Facts) -> Sequence[LoggedUpload]:
    """What the log tells where no receipt does: the state was lost, or is old."""
    last = {each.file_id: each for each in facts.logged_before}  # what a file held before that, we have replaced
    counting = [each for each in facts.logged_before if last[each.file_id] is each]
    if wanted.policy is not Policy.NEW_REVISION:
        return counting
    return () if receipt.done else counting[-1:]  # only what was put there last counts


def _may_create_unseen(wanted: Wanted, receipt: Receipt, facts: Facts) -> bool:
    """A create never overwrites: a small content may go first, and a clash is settled by a rename."""
    is_expected_to_be_new = wanted.policy is Policy.KEEP_BOTH and wanted.is_small and not receipt.done
    return is_expected_to_be_new and facts.may_create_unseen and facts.listing is None and not facts.was_superseded


def _same_content(wanted: Wanted, content: Fingerprint, listing: FolderListing) -> RemoteFile | None:
    found = listing.holding(content, (wanted.name,), wanted.key)
    equal = [each for each in found if not gives_way(wanted, each, listing)]
    if wanted.policy is Policy.NEW_REVISION:  # only what the name itself holds now counts
        return next((each for each in equal if same(each.name) == same(wanted.name)), None)
    return next(iter((*equal, *listing.holding_elsewhere(content, wanted.key))), None)
