"""What comes next: nothing is claimed, or what stands under the claim's id decides."""

from collections.abc import Iterable

from msgspec.structs import replace

from function.core.errors import IntegrityError
from function.core.receipt import Create, LoseTo, Mend, Receipt, RemoteRef, Revise, Sending
from function.core.types import (
    FileStat,
    Fingerprint,
    LoggedUpload,
    Policy,
    RemoteFile,
)
from function.protocol.evidence import content_of, stale_listing
from function.protocol.plan import plan
from function.protocol.settle import lose, settle, stray
from function.protocol.steps import (
    Facts,
    Finish,
    NeedDigests,
    NeedFile,
    NeedLogEntry,
    NeedRevisions,
    Send,
    Step,
    Wanted,
    WriteClaim,
)


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
            return NeedLogEntry(claim.id, claim.log_position)
        if logged := facts.logged[claim.id]:
            return _finish_as_logged(claim, logged)
    is_source = claim.content.same_content(content_of(wanted, facts))
    if claim.id not in facts.files:
        if claim.session and is_source:  # asking the session is the look
            return _resume(wanted, claim, facts)
        return Send(claim) if is_own and facts.last_sent != claim else NeedFile(claim.id)
    file = facts.files[claim.id]
    if file is not None and facts.digests is None and file.size == wanted.stat.size:
        return NeedDigests(shown_by=file)
    match claim:
        case Create():
            return _created(wanted, receipt, claim, file, facts)
        case Revise():
            return _revised(wanted, receipt, claim, file, facts)
        case Mend():
            return _mended(wanted, receipt, claim, file, facts)


def _finish_as_logged(claim: Sending, logged: LoggedUpload) -> Step:
    """It was logged, and not recorded: what its owner did to the file since is the owner's business."""
    is_claimed = claim.content.digests == logged.digests
    content = claim.content if is_claimed else Fingerprint(FileStat(logged.size, 0, 0), logged.digests)
    return Finish(RemoteRef(claim.id, logged.name, logged.link), content, has_our_metadata=True)


def _resume(wanted: Wanted, claim: Sending, facts: Facts) -> Step:
    """Go on with a session, unless the policy wants a name respected that was free when it began."""
    if isinstance(claim, Create) and wanted.policy in (Policy.SKIP, Policy.FAIL):
        if step := stale_listing((claim.name,), facts):
            return step
        assert facts.listing
        if facts.listing.without(claim.id).named(claim.name):
            return NeedFile(claim.id)
    return Send(claim)


def _created(wanted: Wanted, receipt: Receipt, claim: Create, file: RemoteFile | None, facts: Facts) -> Step:
    if file is None and claim.id in facts.in_use:  # it stood there, and was deleted for good
        return WriteClaim(None)
    if file is None:
        return plan(wanted, receipt, facts, claim)
    if file.key != wanted.key or file.nonce != claim.nonce:
        return WriteClaim(None, discards_ids=True)
    if content := _standing(wanted, file, (claim.content, *claim.earlier), facts):
        return settle(wanted, receipt, claim, file, content, facts)
    if file.id not in facts.arrived:  # is it ours to mend, or has somebody written to it since its create?
        if file.id not in facts.revisions:
            return NeedRevisions(file.id)
        if facts.revisions[file.id] != 1:
            return WriteClaim(None)
    return WriteClaim(_mend(claim, file, wanted, facts))


def _mend(claim: Sending, file: RemoteFile, wanted: Wanted, facts: Facts) -> Mend:
    content, wrong = content_of(wanted, facts), file.head_revision_id
    return Mend(claim.id, claim.nonce, claim.name, claim.folder, content, claim.log_position, wrong=wrong)


def _mended(wanted: Wanted, receipt: Receipt, claim: Mend, file: RemoteFile | None, facts: Facts) -> Step:
    if file is None or file.nonce != claim.nonce:
        return WriteClaim(None)
    if file.head_revision_id == claim.wrong:
        if facts.was_mended and file.id in facts.arrived:
            raise _damaged(wanted, file)
        return _send_into(wanted, claim, facts)
    if content := _standing(wanted, file, (claim.content,), facts):
        return settle(wanted, receipt, claim, file, content, facts)
    if file.id in facts.arrived:  # damaged once more
        return WriteClaim(_mend(claim, file, wanted, facts))
    return WriteClaim(None)


def _revised(wanted: Wanted, receipt: Receipt, claim: Revise, file: RemoteFile | None, facts: Facts) -> Step:
    if file is None:
        return WriteClaim(None)
    if file.head_revision_id == claim.base:
        if facts.was_mended and file.id in facts.arrived:
            raise _damaged(wanted, file)
        is_source = claim.content.same_content(content_of(wanted, facts))
        return _send_into(wanted, claim, facts) if is_source else WriteClaim(None)
    if content := _standing(wanted, file, (claim.content,), facts):
        return settle(wanted, receipt, claim, file, content, facts)
    if file.id in facts.arrived:  # damaged on the way: what was revised before is kept by Drive
        return WriteClaim(replace(claim, base=file.head_revision_id, session=None))
    return WriteClaim(None)


def _send_into(wanted: Wanted, claim: Mend | Revise, facts: Facts) -> Step:
    """Send the source's content into an existing file; a session that brought something else is of no use."""
    renewed = replace(claim, content=content_of(wanted, facts), session=None)
    return Send(claim) if renewed == claim else WriteClaim(renewed)


def _damaged(wanted: Wanted, file: RemoteFile) -> IntegrityError:
    return IntegrityError(
        f"{wanted.label}: Drive stored {file.size} bytes with MD5 {file.md5}, twice not what was sent; call again."
    )


def _standing(wanted: Wanted, file: RemoteFile, claimed: Iterable[Fingerprint], facts: Facts) -> Fingerprint | None:
    """The content that the file holds, where it is the source's or a claimed one."""
    for each in (content_of(wanted, facts), *claimed):
        if each.digests and file.holds(each.stat.size, each.digests):
            return each
    return None
