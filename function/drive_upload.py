"""One source to one destination, start to finish: the story of the project.

    receipt -> (unchanged) -> lock -> receipt -> claim left by another? -> look -> plan -> claim -> transfer
            -> verify -> look and settle -> log -> receipt

`begin` goes as far as the verified transfer, `finish` does the rest. Between the two, a look is shared with the other
files of the folder: begun after all of them were made, it shows the later one of two racers what the other did.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

from msgspec.structs import replace

from function import plan, recovery
from function.destination import Destination
from function.errors import (
    BadRequest,
    DestinationExists,
    DriveError,
    IntegrityError,
    Locked,
    NotFound,
    SourceError,
    VolumeUnavailable,
)
from function.finishing import Finishing, Sent, known
from function.ledger import Ledger
from function.locks import Hold
from function.log_memory import LoggedUpload
from function.model import (
    FILE_MAX_BYTES,
    MULTIPART_MAX_BYTES,
    Digests,
    FileId,
    Fingerprint,
    Outcome,
    Policy,
    RemoteFile,
    Stamp,
    Status,
)
from function.plan import Look
from function.receipts import Claim, Done, Receipt, RemoteRef, Superseded
from function.recovery import Recovery
from function.sending import Sending
from function.source import Source
from function.visit import NEVER

ROUNDS_MAX = 8
"""Times that one invocation starts over because receipts or Drive changed under it."""

LISTING_LAG_NS = 3600 * 10**9
"""How long a listing may not show what we created: rclone's manual says to wait an hour."""


class _StartOver(Exception):
    """What was known no longer holds: read the receipt again."""


@dataclass(slots=True)
class Upload:
    """One source on its way to one destination."""

    to: Destination
    source: Source
    ledger: Ledger = field(init=False)
    _sends_metadata: bool = True
    _has_new_ids: bool = False
    _unused: Claim | None = None
    """A claim under whose id nothing came to stand: the next one takes it over."""
    _new_id: FileId | None = None
    """The last id taken from the pool: nobody sent anything under it before."""
    _sent: Sent | None = None
    """What this invocation has sent, and verified."""
    _written: int = 0
    """The receipt's generation then."""
    _since: float = NEVER
    """When it was last noticed that what was known no longer holds: earlier looks don't count."""

    def __post_init__(self) -> None:
        blank = Receipt(self.to.means.account, self.to.label())
        self.ledger = Ledger(self.to.means.receipts, self.to.receipt_name, blank, blank)

    @property
    def size(self) -> int:
        """Bytes of the source."""
        return self.source.stamp.size

    def begin(self) -> Outcome | Sent:
        """Ended; or sent and verified, where the look that settles it is still to come. Raises UploadError."""
        if self.size > FILE_MAX_BYTES:
            raise DriveError(f"{self.to.label()} is larger than Drive's 5 TiB.", reason="file_too_large")
        with self.to.means.hold(self.to.receipt_name) as hold, self._content_at_hand():
            return self._rounds(hold, self._is_looked_for)

    def finish(self, sent: Sent) -> Outcome:
        """Settle and record what `begin` sent. Raises UploadError."""
        self.to.visit.look(self._names(1), since=sent.since)  # may take long: not under the lock
        with self.to.means.hold(self.to.receipt_name) as hold, self._content_at_hand():
            result = self._rounds(hold, lambda sent: True)
        assert isinstance(result, Outcome)
        return result

    @contextmanager
    def _content_at_hand(self) -> Iterator[None]:
        """While entered, a small content stays in memory from its hashing to its sending."""
        with self.to.means.small_file(self.size), self.source.in_use():
            yield

    def _rounds(self, hold: Hold, may_finish: Callable[[Sent], bool]) -> Outcome | Sent:
        for _ in range(ROUNDS_MAX):
            self.to.means.deadline.check()
            try:
                receipt = self.ledger.reread()
                result = self._continued(self._sent, receipt, hold) if self._sent else self._attempted(receipt, hold)
                if isinstance(result, Outcome):
                    return result
                self._sent, self._written = result, self.ledger.current.generation
                return self._finished(result, hold) if may_finish(result) else result
            except (_StartOver, Superseded):
                self._since = time.monotonic()
        raise VolumeUnavailable(f"{self.to.label()}: its receipt or its folder keeps changing; call again.")

    def _is_looked_for(self, sent: Sent) -> bool:
        return sent.claim.settled or self.to.visit.has_looked(sent.since)

    def _attempted(self, receipt: Receipt, hold: Hold) -> Outcome | Sent:
        if receipt.claim:
            return self._recover(receipt.claim, hold)
        return self._unchanged() or self._planned(hold)

    def _continued(self, sent: Sent, receipt: Receipt, hold: Hold) -> Outcome | Sent:
        """Go on with what this invocation has sent, whatever became of the receipt meanwhile."""
        if receipt.claim and receipt.claim.id == sent.claim.id:
            # Who wrote meanwhile took it up, and may have been killed when it was in the log already.
            was_found = sent.was_found or receipt.generation != self._written
            return dataclasses.replace(sent, claim=receipt.claim, was_found=was_found)
        if receipt.claim:
            raise Locked(f"{self.to.label()}: another invocation took it over; call again.")
        done = plan.known(receipt, self.source.stamp, sent.digests, self.to.policy)
        if done is None:  # the receipt was removed
            return dataclasses.replace(sent, claim=self.ledger.claim(sent.claim), was_found=True)
        if done.id != sent.file.id:  # by an invocation that didn't know of this one
            look = self.to.visit.look(self._names(1), since=self._since)
            Finishing(self.to, self.ledger, hold).bin_twins(look)
        return known(self.to.folder, done)

    def _finished(self, sent: Sent, hold: Hold) -> Outcome:
        look = None if sent.claim.settled else self.to.visit.look(self._names(1), since=sent.since)
        return Finishing(self.to, self.ledger, hold).run(sent, look)

    def count_attempt(self) -> int | None:
        """Count this invocation's attempt, made in vain; its number, or None where it can't be written."""
        try:
            if not self.ledger.is_counted:
                self.ledger.reread()
                self.ledger.write(self.ledger.count(self.source.fingerprint))
        except (Superseded, VolumeUnavailable):
            return None
        return self.ledger.current.attempt

    # --- nothing to do, or a plan

    def _unchanged(self) -> Outcome | None:
        """The outcome when the receipt knows the content; when by its digest, the receipt learns the new stamp."""
        receipt, stamp, policy = self.ledger.current, self.source.stamp, self.to.policy
        done = plan.unchanged(receipt, stamp, policy)
        if done is None and plan.may_be_known(receipt, stamp, policy):
            done = plan.known(receipt, stamp, self._digests(), policy)
            if done:
                fresh = replace(done, content=self.source.fingerprint, at_ns=time.time_ns())
                self.ledger.write(
                    replace(receipt, done=tuple(fresh if each is done else each for each in receipt.done))
                )
        return known(self.to.folder, done) if done else None

    def _planned(self, hold: Hold) -> Outcome | Sent:
        logged = self._logged_before()
        if not logged and self._may_look_later():
            claim = self.ledger.claim(self._new_claim(self.to.name))
            if self.to.visit.is_for_one and self.to.visit.is_warm:
                self.to.visit.look_beside()
            return self._send(claim, hold, look_first=False)
        look, action = self._decided()
        finishing = Finishing(self.to, self.ledger, hold)
        finishing.bin_twins(look)
        match action:
            case plan.Adopt(file) if self._unused and file.id == self._unused.id:  # a request came through after all
                return Sent(self.ledger.claim(self._unused), file, self._digests(), was_found=True)
            case plan.Adopt(file):
                self.to.visit.expect_more()
                return finishing.adopt(file, self.source.fingerprint)
            case _ if logged and (standing := self._stands(logged)):
                return finishing.adopt(standing, self.source.fingerprint)
            case plan.Skip(file):
                return self._skipped(file)
            case plan.Fail(file):
                raise DestinationExists(
                    f"{self.to.label()} holds other content (file {file.id}) and if_exists is 'fail': "
                    "rename the source, or choose keep_both, skip or new_revision."
                )
            case plan.Revise(file):
                return self._claim_and_send(self._revision_claim(file), hold)
            case plan.Create(name):
                return self._claim_and_send(self._new_claim(name or self.to.name), hold)

    def _logged_before(self) -> LoggedUpload | None:
        """What the log tells of this content where no receipt does: the state was lost, or is old."""
        uploads = [each for each in self.to.means.logged_uploads() if each.folder == self.to.folder]
        if self.to.policy is Policy.NEW_REVISION:  # only what was put there last counts
            uploads = [] if self.ledger.current.done else uploads[-1:]
        of_size = [each for each in uploads if each.size == self.size]
        return next((each for each in reversed(of_size) if each.digests == self._digests()), None)

    def _stands(self, logged: LoggedUpload) -> RemoteRef | None:
        """The file that the log tells of, where it is: on this Drive, and still ours or as it was."""
        file = self.to.means.drive.get(logged.file_id)
        if file and (file.key == self.to.key or file.holds(self.size, logged.digests)):
            return RemoteRef(logged.file_id, logged.name, logged.link)
        return None

    def _may_look_later(self) -> bool:
        """A create never overwrites: with keep_both a clash may be found afterwards, and is settled by a rename.

        A large file isn't sent in vain.
        """
        visit = self.to.visit
        return (
            self.to.policy is Policy.KEEP_BOTH
            and self.size <= MULTIPART_MAX_BYTES
            and self._since == NEVER
            and not self.ledger.current.done
            and visit.may_look_later
            and not (visit.shown and visit.shown.tells(self.to.name))
        )

    def _decided(self) -> tuple[Look, plan.Action]:
        count = plan.names_due(len(self.ledger.current.done), self.to.policy)
        # A small content is hashed before others' look is waited for, a large one when something of its size is there.
        digests = self._digests() if self.size <= MULTIPART_MAX_BYTES else None
        while True:
            look = self._look(count)
            if digests is None and any(each.size == self.size for each in (*look.files, *look.away)):
                digests = self._digests()
            action = plan.decide(self.to.name, self.to.key, self.size, digests, look, self.to.policy)
            if not isinstance(action, plan.Create) or action.name is not None:
                return look, action
            count += plan.EXTRA_NAMES

    def _look(self, count: int) -> Look:
        """What Drive shows of the first `count` names, and what a listing may not show yet of what we made."""
        look = self.to.visit.look(self._names(count), since=self._since)
        shown = {each.id for each in look.files}
        now = time.time_ns()
        recent = [
            each.id for each in self.ledger.current.done if each.id not in shown and now - each.at_ns < LISTING_LAG_NS
        ]
        leaf = self.to.visit.ready().leaf
        hidden = tuple(
            each
            for each in map(self.to.means.drive.get, recent)
            if each and not each.trashed and (leaf == "root" or leaf in each.parents)
        )
        return dataclasses.replace(look, files=look.files + hidden)

    def _names(self, count: int) -> list[str]:
        return list(islice(plan.candidates(self.to.name), count))

    def _digests(self) -> Digests:
        return self.source.digests(self.to.means.deadline.check)

    def _skipped(self, file: RemoteFile) -> Outcome:
        return Outcome(
            status=Status.SKIPPED,
            message=f"{self.to.label()} holds other content (file {file.id}); it was left as it is.",
            destination=self.to.label(),
            attempt=self.count_attempt(),
            file_id=file.id,
            link=file.link,
            size=self.size,
            digests=self.source.fingerprint.digests,
        )

    # --- claims

    def _new_claim(self, name: str) -> Claim:
        if self.size <= MULTIPART_MAX_BYTES:
            self._digests()
        unused = self._unused
        file_id = unused.id if unused else self.to.means.take_id()
        self._new_id = None if unused else file_id
        return Claim(
            id=file_id,
            name=name,
            folder=self.to.visit.ready().leaf,
            content=self.source.fingerprint,
            settled=self.to.policy is not Policy.KEEP_BOTH and not self.to.visit.is_cold,
            log_size=unused.log_size if unused else self.to.means.log_size(),
        )

    def _revision_claim(self, file: RemoteFile) -> Claim:
        return replace(self._new_claim(file.name), id=file.id, revises=True, settled=True)

    def _claim_and_send(self, claim: Claim, hold: Hold) -> Sent:
        self.ledger.claim(claim)
        return self._send(claim, hold, look_first=False)

    def _recover(self, claim: Claim, hold: Hold) -> Outcome | Sent:
        """Go on with a claim that a killed or failed invocation left: what it did may be in the log already."""
        if not self.to.visit.is_warm:
            self.to.visit.look(self._names(1))
        result = self._recovered(claim, hold)
        return dataclasses.replace(result, was_found=True) if isinstance(result, Sent) else result

    def _recovered(self, claim: Claim, hold: Hold) -> Outcome | Sent:
        finishing = Finishing(self.to, self.ledger, hold)
        if claim.yields_to and claim.content.digests:
            finishing.give_way(claim, claim.yields_to, claim.content.digests)
            raise _StartOver
        logged = self.to.means.logged_upload(claim.id, claim.log_size)
        if logged:
            self.ledger.finish(_done_as_logged(claim, logged))
            raise _StartOver
        if claim.session and claim.content.same_content(self.source.fingerprint) and not self._is_taken(claim):
            return self._send(self.ledger.claim(replace(claim, settled=claim.revises)), hold, look_first=True)
        remote = self.to.means.drive.get(claim.id)
        if recovery.needs_digests(claim, remote, self.size):
            self._digests()
        match recovery.decide(claim, self.source.fingerprint, remote, self.to.key):
            case Recovery.SEND:
                renewed = replace(claim, folder=self.to.visit.ready().leaf, content=self.source.fingerprint)
                return self._claim_and_send(renewed, hold)
            case Recovery.FINISH if remote:
                claim = self.ledger.claim(replace(claim, content=self.source.fingerprint))
                return Sent(claim, remote, self._digests())
            case Recovery.FINISH_OLDER if remote and claim.content.digests:
                look = None if claim.settled else self.to.visit.look(self._names(1))
                self.ledger.claim(claim)
                finishing.run(Sent(claim, remote, claim.content.digests, was_found=True), look)
                raise _StartOver
            case Recovery.MEND:
                return self._mend(claim, hold)
            case Recovery.PLAN:
                self._unused = claim
                return self._unchanged_after_all() or self._planned(hold)
        self.ledger.drop_claim()
        raise _StartOver

    def _is_taken(self, claim: Claim) -> bool:
        """Whether a name that was free when the session began holds a file now that the policy wants respected."""
        if claim.revises or self.to.policy not in (Policy.SKIP, Policy.FAIL):
            return False
        return any(each.id != claim.id for each in self.to.visit.look(self._names(1)).named(self.to.name))

    def _unchanged_after_all(self) -> Outcome | None:
        """The outcome when the source is again what was done before the claim, which is forgotten then."""
        unchanged = self._unchanged()
        if unchanged:
            self.ledger.drop_claim()
        return unchanged

    def _mend(self, claim: Claim, hold: Hold) -> Sent:
        mending = replace(claim, content=self.source.fingerprint, revises=True, mends=True, session=None)
        return self._claim_and_send(mending, hold)

    # --- transfer

    def _send(self, claim: Claim, hold: Hold, *, look_first: bool) -> Sent:
        """The content under the claim's id, verified. Raises UploadError, or _StartOver when the id is no use."""
        sending = self._sending(claim, hold)
        since = time.monotonic()
        try:
            file = sending.run(claim.session, look_first=look_first)
        except BadRequest as error:
            return self._without_what_was_refused(claim, hold, error)
        except NotFound:
            if not claim.revises:
                self.to.visit.distrust()
                self._unused = claim
            self.ledger.drop_claim()
            raise _StartOver from None
        if file is None or (file.key != self.to.key and not claim.revises):
            self._give_up_ids()
            raise _StartOver
        if self.size > MULTIPART_MAX_BYTES:
            since = time.monotonic()  # names and folders had time to change
        sent = self._verified(claim, file, since)
        if sent:
            return sent
        if not claim.revises and sending.was_taken and claim.id == self._new_id:
            self._give_up_ids()
            raise _StartOver
        if not claim.revises and look_first and file.was_edited:  # it is its owner's by now
            self.ledger.drop_claim()
            raise _StartOver
        return self._mend(claim, hold)

    def _sending(self, claim: Claim, hold: Hold) -> Sending:
        return Sending(
            drive=self.to.means.drive,
            source=self.source,
            file=self.to.new_file(claim, with_metadata=self._sends_metadata),
            revises=claim.revises,
            deadline=self.to.means.deadline,
            check=hold.check,
            keep_session=self._keep_session,
            progress=self.to.progress,
        )

    def _keep_session(self, uri: str | None) -> None:
        current = self.ledger.current
        if current.claim:
            self.ledger.write(replace(current, claim=replace(current.claim, session=uri)))

    def _without_what_was_refused(self, claim: Claim, hold: Hold, error: BadRequest) -> Sent:
        """Metadata must not make an upload fail, and a reserved id may go stale: try without one, then the other."""
        if self._sends_metadata and self.to.metadata:
            self._sends_metadata = False
            return self._send(claim, hold, look_first=False)
        if claim.revises or self._has_new_ids:
            raise error
        self._has_new_ids = True
        self._give_up_ids()
        raise _StartOver from None

    def _give_up_ids(self) -> None:
        """Drive refuses the id, or another upload stands there: the pool is old."""
        self._unused = None
        self.to.means.discard_ids()
        self.ledger.drop_claim()

    def _verified(self, claim: Claim, file: RemoteFile, since: float) -> Sent | None:
        """What stands there, when it is the source's content."""
        claim = self.ledger.current.claim or claim
        try:
            digests = self.source.digests_shown_by(file, self.to.means.deadline.check)
            self.source.check_unchanged()
        except SourceError:  # what stands there was promised to nobody: the next invocation mends it
            self.ledger.claim(replace(claim, content=Fingerprint(self.source.stamp), session=None))
            raise
        if file.holds(self.size, digests):
            if not claim.revises:
                self.to.visit.made.add(file.id)
            return Sent(claim, file, digests, since=since)
        if claim.mends:
            raise IntegrityError(
                f"{self.to.label()}: Drive stored {file.size} bytes with MD5 {file.md5}, the source has {self.size} "
                f"with {digests.md5}; call again."
            )
        return None


def _done_as_logged(claim: Claim, logged: LoggedUpload) -> Done:
    """What the log says of a claim whose upload didn't live to say it in the receipt."""
    is_claimed = claim.content.digests == logged.digests
    content = claim.content if is_claimed else Fingerprint(Stamp(logged.size, 0, 0), logged.digests)
    return Done(claim.id, logged.name, content, logged.attempt or 1, time.time_ns(), logged.link)
