"""What comes next: nothing is claimed, or what stands under the claim's id decides. Pure.

Once our content stands there, it is settled with what else is there: keep | lose to an older file of equal content |
give way to another content; then log, and record.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from function.core.errors import IntegrityError, Locked
from function.core.receipt import CompletedUpload, Create, LoseTo, Mend, Receipt, RemoteRef, Revise, Sending
from function.core.types import (
    Digests,
    Fingerprint,
    FolderListing,
    LoggedUpload,
    Policy,
    RemoteFile,
    replace_files,
)
from function.protocol import steps
from function.protocol.plan import (
    as_create,
    ask_for_more_names,
    by_nonce,
    content_of,
    free_names,
    gives_way,
    listing_with_hidden,
    look_at,
    names_to_ask,
    plan,
    reference,
    stale_listing,
    trash_duplicate,
    trash_younger,
)
from function.protocol.steps import Facts, Step, Wanted


def next_step(wanted: Wanted, receipt: Receipt, facts: Facts) -> Step:
    """The next step. Raises UploadError where the destination can't be reached as the policy wants it."""
    if step := stray(wanted, receipt, facts):
        return step
    match receipt.claim:
        case None:
            return plan(wanted, receipt, facts, None)
        case LoseTo() as claim:
            return lose(claim, facts)
        case claim:
            return _claimed(wanted, receipt, claim, facts)


def _claimed(wanted: Wanted, receipt: Receipt, claim: Sending, facts: Facts) -> Step:
    is_own = facts.is_own_claim and not facts.was_superseded
    if not is_own:
        if claim.id not in facts.logged:
            return steps.NeedLogEntry(claim.id, claim.log_position)
        if logged := facts.logged[claim.id]:
            return _finish_as_logged(claim, logged)
    is_source = claim.content.same_content(content_of(wanted, facts))
    if claim.id not in facts.files:
        if claim.session and is_source and isinstance(claim, Create):  # asking the session is the look
            return _resume(wanted, claim, facts)
        return steps.Send(claim) if is_own and facts.last_sent != claim else steps.NeedFile(claim.id)
    file = facts.files[claim.id]
    if file is not None and facts.digests is None and file.size == wanted.stat.size:
        return steps.NeedDigests(shown_by=file)
    match claim:
        case Create():
            return _created(wanted, receipt, claim, file, facts)
        case Revise():
            return _revised(wanted, receipt, claim, file, facts)
        case Mend():
            return _mended(wanted, receipt, claim, file, facts)


def _finish_as_logged(claim: Sending, logged: LoggedUpload) -> Step:
    """It was logged, and not recorded: what its owner did to the file since is the owner's business. Rule 10."""
    is_claimed = claim.content.digests == logged.content.digests
    content = Fingerprint(claim.content.stat, logged.content.digests) if is_claimed else logged.content
    return steps.Finish(RemoteRef(claim.id, logged.name, logged.link), content)  # this call's metadata may be another


def _resume(wanted: Wanted, claim: Create, facts: Facts) -> Step:
    """Go on with a session, unless this call's policy doesn't want what the call did that began it."""
    if claim.name != wanted.name and wanted.policy is not Policy.KEEP_BOTH:
        return steps.NeedFile(claim.id)
    if wanted.policy in (Policy.SKIP, Policy.FAIL):
        if step := stale_listing((claim.name,), facts):
            return step
        assert facts.listing
        if facts.listing.without(claim.id).named(claim.name):
            return steps.NeedFile(claim.id)
    return steps.Send(claim)


def _created(wanted: Wanted, receipt: Receipt, claim: Create, file: RemoteFile | None, facts: Facts) -> Step:
    """Rules 3 and 4: `test_an_old_pool_overwrites_nothing`, `test_an_edit_between_the_create_and_the_log_stays`."""
    if file is None and claim.id in facts.in_use:  # it stood there, and was deleted for good
        return steps.WriteClaim(None)
    if file is None:
        return plan(wanted, receipt, facts, claim)
    if file.nonce not in by_nonce(claim) or (file.key != wanted.key and not file.gave_way):
        return steps.WriteClaim(None, discards_ids=True)
    if content := _standing(wanted, file, (claim.content, *claim.earlier), facts):
        return settle(wanted, receipt, claim, file, content, facts)
    if not facts.is_as_sent(file):  # is it ours to mend, or has somebody written to it since its create?
        sent = by_nonce(claim)[file.nonce]
        if sent.digests and file.id not in facts.revisions:
            return steps.NeedRevisions(file.id)
        if sent.digests is None or facts.revisions[file.id] != 1:
            return steps.WriteClaim(None)
    return steps.WriteClaim(_mend(claim, file, wanted, facts))


def _mend(claim: Sending, file: RemoteFile, wanted: Wanted, facts: Facts) -> Mend:
    content, wrong = content_of(wanted, facts), file.head_revision_id
    nonce = file.nonce or claim.nonce
    return Mend(claim.id, nonce, claim.name, claim.folder, content, claim.log_position, wrong=wrong)


def _mended(wanted: Wanted, receipt: Receipt, claim: Mend, file: RemoteFile | None, facts: Facts) -> Step:
    """Rule 4: `test_what_was_damaged_on_the_way_is_sent_anew`."""
    if file is None or file.nonce != claim.nonce:
        return steps.WriteClaim(None)
    if file.head_revision_id == claim.wrong:
        if facts.was_mended and facts.is_as_sent(file):
            raise _damaged(wanted, file)
        return _send_into(wanted, claim, file, facts)
    if content := _standing(wanted, file, (claim.content,), facts):
        return settle(wanted, receipt, claim, file, content, facts)
    if facts.is_as_sent(file):  # damaged once more
        return steps.WriteClaim(_mend(claim, file, wanted, facts))
    return steps.WriteClaim(None)


def _revised(wanted: Wanted, receipt: Receipt, claim: Revise, file: RemoteFile | None, facts: Facts) -> Step:
    """Rule 4: `test_what_its_owner_put_away_gets_no_revision`, `test_a_call_does_not_carry_out_the_policy_of_…`."""
    if file is None or file.gave_way:
        return steps.WriteClaim(None)
    if file.head_revision_id == claim.base:
        if facts.was_mended and facts.is_as_sent(file):
            raise _damaged(wanted, file)
        # The claim may be of a call with another policy, which is over: only this one's permits to change a file.
        is_wanted = wanted.policy is Policy.NEW_REVISION and claim.content.same_content(content_of(wanted, facts))
        return _send_into(wanted, claim, file, facts) if is_wanted else steps.WriteClaim(None)
    if content := _standing(wanted, file, (claim.content,), facts):
        return settle(wanted, receipt, claim, file, content, facts)
    if facts.is_as_sent(file):  # damaged on the way: what was revised before is kept by Drive
        return steps.WriteClaim(replace(claim, base=file.head_revision_id, session=None))
    return steps.WriteClaim(None)


def put_away(claim: Sending, file: RemoteFile, facts: Facts) -> bool:
    """Whether its owner has binned, renamed or moved the file since it was claimed: nothing more goes into it."""
    is_there = "root" in (claim.folder, facts.leaf) or not {claim.folder, facts.leaf}.isdisjoint(file.parents)
    return file.explicitly_trashed or file.name not in (claim.name, claim.renaming) or not is_there


def _send_into(wanted: Wanted, claim: Mend | Revise, file: RemoteFile, facts: Facts) -> Step:
    """Send the source's content into an existing file; a session that brought something else is of no use."""
    if put_away(claim, file, facts):
        return steps.WriteClaim(None)
    content = content_of(wanted, facts)
    if claim.content.same_content(content) and (claim.session or claim.content == content):
        return steps.Send(claim)
    return steps.WriteClaim(replace(claim, content=content, session=None))


def _damaged(wanted: Wanted, file: RemoteFile) -> IntegrityError:
    return IntegrityError(
        f"{wanted.label}: Drive stored {file.size} bytes with MD5 {file.md5}, twice not what was sent; call again."
    )


def _standing(wanted: Wanted, file: RemoteFile, claimed: Iterable[Fingerprint], facts: Facts) -> Fingerprint | None:
    """The content that the file holds, where it is the source's or a claimed one."""
    held = next((each for each in (content_of(wanted, facts), *claimed) if file.holds(each)), None)
    if held and held.digests and file.md5:  # a large content was claimed without
        return replace(held, digests=Digests(file.md5, held.digests.sha256))
    return held


def settle(
    wanted: Wanted, receipt: Receipt, claim: Sending, file: RemoteFile, content: Fingerprint, facts: Facts
) -> Step:
    """The content stands in `file`, under the claim's id. Rule 5: `test_racers_settle_however_long_a_create_takes`."""
    if facts.entry_written is not None:
        # What an earlier invocation sent went with its own metadata.
        was_sent = facts.is_own_claim and facts.last_sent is not None and facts.last_sent.id == claim.id
        return steps.Finish(reference(file), content, has_our_metadata=was_sent and content.digests == facts.digests)
    is_revised = isinstance(claim, Revise) or (isinstance(claim, Mend) and facts.is_as_sent(file))
    if is_revised and put_away(claim, file, facts):
        return steps.WriteClaim(None)  # its owner did so before this content was there, as far as is known
    # A racer's older file may have a number behind ours, which an invocation that finishes this claim never looked at.
    beside = () if claim.name == wanted.name else names_to_ask(wanted, [claim])
    names = (claim.name, *names_to_ask(wanted, receipt.done, facts.names_asked), *beside)
    if step := stale_listing(names, facts):
        return step
    assert facts.listing
    if step := look_at(receipt.strays, facts):
        return step
    shown = next((each for each in facts.listing.files if each.id == file.id), None)
    others = listing_with_hidden(receipt, facts).without(file.id)
    if isinstance(claim, Revise):
        step = _misplaced(claim, file, facts)
    elif file.explicitly_trashed:
        step = _binned(wanted, file, content, others)
    else:
        file = replace(file, name=shown.name) if shown else file  # its owner may have renamed it since
        equal = _live_with(wanted, file.name, content, others)
        older = next((each for each in equal if each.seniority < file.seniority), None)
        step = (
            _misplaced(claim, file, facts)
            or trash_duplicate(wanted, receipt, replace_files(others, (*others.files, file)), facts, kept=file.id)
            or (_lose_to(older, claim, content) if older else None)
            or _named(wanted, receipt, claim, file, content, facts)
        )
    return step or steps.Log(file, content, claim.log_position)


def _binned(wanted: Wanted, file: RemoteFile, content: Fingerprint, others: FolderListing) -> Step | None:
    """By a racer, whose equal file is adopted where it stands; or by its owner, who decides."""
    if winner := next(iter(_live_with(wanted, file.name, content, others)), None):
        return steps.Finish(reference(winner), content)
    return steps.WriteClaim(None) if file.gave_way else None


def _lose_to(winner: RemoteFile, claim: Create | Mend, content: Fingerprint, *, adopts: bool = True) -> Step:
    """With the digests, which a large content has only now: they tell whether ours, and the winner, still hold it."""
    return steps.WriteClaim(LoseTo(replace(as_create(claim), content=content), reference(winner), adopts=adopts))


def _named(
    wanted: Wanted, receipt: Receipt, claim: Create | Mend, file: RemoteFile, content: Fingerprint, facts: Facts
) -> Step | None:
    """Give the file its name, or another one. Under a name that no claim says its owner has renamed it: that stays.

    Where other content has its name, the younger file gives way at once: it came, or was renamed, later. The oldest
    can't know whether the other has seen it, or was done before: a file that was renamed has an old creation time. So
    it looks once more, and gives way to what still stands there. Rule 6: model, racers of other contents.
    """
    assert facts.listing
    if claim.renaming == file.name:
        return steps.Rename(file, claim.name)
    rivals = [each for each in facts.listing.without(file.id).named(file.name) if not each.holds(content)]
    if file.name != claim.name or not rivals:
        return None
    is_oldest = all(file.seniority < each.seniority for each in rivals)
    if is_oldest and facts.looks_at_name < 2:
        return steps.NeedListing(tuple(sorted(facts.listing.names or ())) or (file.name,), facts.listing.began)
    if wanted.policy is not Policy.KEEP_BOTH:
        return None if is_oldest or file.id in facts.cannot_bin else _lose_to(rivals[0], claim, content, adopts=False)
    ahead = sum(each.key == wanted.key and each.seniority < file.seniority for each in rivals[1:])
    free = free_names(wanted, receipt, facts.listing, facts)
    if len(free) <= ahead:
        return ask_for_more_names(wanted, receipt, facts)
    return steps.WriteClaim(replace(claim, name=free[ahead], renaming=file.name))


def _misplaced(claim: Sending, file: RemoteFile, facts: Facts) -> Step | None:
    """Move it from a folder that is the destination's no more: `test_no_content_ends_in_the_bin_with_its_folder`."""
    assert facts.listing
    assert facts.leaf
    leaf = facts.leaf
    is_there = leaf in file.parents or (leaf == "root" and not file.trashed)
    if is_there or file.explicitly_trashed or any(each.id == file.id for each in facts.listing.files):
        return None
    return steps.Move(file, leaf) if file.trashed or claim.folder in file.parents else None


def lose(claim: LoseTo, facts: Facts) -> Step:
    """Trash ours, after a look at both by their ids. Rule 7: `test_the_only_copy_is_not_its_own_duplicate`."""
    if step := look_at((claim.id, claim.winner.id), facts):
        return step
    ours, winner = facts.files[claim.id], facts.files[claim.winner.id]
    content, nonces = claim.create.content, by_nonce(claim.create)
    if ours is None or ours.nonce not in nonces or not _holds(ours, content):  # binned, or written to since
        is_there = claim.adopts and winner and winner.holds(content) and not winner.gave_way
        return steps.Finish(claim.winner, content) if is_there else steps.WriteClaim(None)
    if winner is None or winner.trashed or (claim.adopts and not _holds(winner, content)):  # ours is the only one
        return steps.WriteClaim(claim.create)
    if ours.id in facts.cannot_bin:  # both stay
        return steps.Finish(claim.winner, content) if claim.adopts else steps.WriteClaim(claim.create)
    return steps.Trash(ours)


def _holds(file: RemoteFile, content: Fingerprint) -> bool:
    return not file.trashed and file.holds(content)


def stray(wanted: Wanted, receipt: Receipt, facts: Facts) -> Step | None:
    """What this invocation has sent, where the receipt no longer says so: it was removed, or another one wrote it.

    Without this rule a state that is deleted while a create is under way leaves two files (another invocation finds
    no receipt, and listings may hide the first file). Rule 9: `test_a_state_deleted_under_way_leaves_one_file`.
    """
    sent = facts.last_sent
    if sent is None or not facts.was_superseded or (receipt.claim and receipt.claim.id == sent.id):
        return None
    if done := next((each for each in receipt.done if each.id == sent.id), None):
        return _log_as_found(sent, done, facts)
    if not isinstance(sent, Create):
        return None
    if sent.id not in facts.files:
        return steps.NeedFile(sent.id)
    ours = facts.files[sent.id]
    if ours is None or ours.trashed or ours.nonce not in by_nonce(sent):
        return None
    if receipt.claim is None:
        done = next((each for each in receipt.done if each.content.same_content(sent.content)), None)
        return trash_younger(ours, done.id, receipt, facts) if done else steps.WriteClaim(sent)
    step = trash_younger(ours, receipt.claim.id, receipt, facts)
    if step is None and sent.id not in receipt.strays:
        return steps.WriteDone(receipt.done, (*receipt.strays, sent.id))
    if step is None:
        raise Locked(f"{wanted.label}: another invocation took it over; call again.")
    return step


def _log_as_found(sent: Sending, done: CompletedUpload, facts: Facts) -> Step | None:
    """Log what this invocation has sent, where another one without a receipt found it on Drive: to that one it was old.

    Without this rule a state that is deleted while an upload waits for its listing leaves a file that nobody logged.
    """
    if facts.entry_written is not None or not (done.content.digests and done.content.same_content(sent.content)):
        return None
    if step := look_at((sent.id,), facts):
        return step
    file = facts.files[sent.id]
    return steps.Log(file, done.content, sent.log_position) if file and file.holds(done.content) else None


def _live_with(wanted: Wanted, name: str, content: Fingerprint, others: FolderListing) -> list[RemoteFile]:
    """The other files that hold the content, of this name or ours, and stay; oldest first."""
    if wanted.policy is Policy.NEW_REVISION:  # only what the name itself holds counts
        found = [each for each in others.named(wanted.name) if each.holds(content)]
    else:
        names = (wanted.name, name)
        found = [*others.holding(content, names, wanted.key), *others.holding_elsewhere(content, wanted.key)]
    live = (each for each in found if not each.trashed and not gives_way(wanted, each, others))
    return sorted(live, key=lambda each: each.seniority)
