"""One source to one destination, start to finish: the story of the project.

    receipt -> (unchanged) -> lock -> receipt -> claim left by another? -> look -> plan -> claim -> transfer
            -> verify -> look and settle -> log -> receipt

`begin` goes as far as the verified transfer, `finish` does the rest. Between the two, a look is shared with the other
files of the folder: begun after all of them were sent, it shows the later one of two racers what the other did.
"""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec.structs import replace

from function.core import plan, recovery
from function.core.errors import DestinationExists, DriveError, Locked, VolumeUnavailable
from function.core.plan import Look
from function.core.receipt import Claim, Done, Receipt
from function.core.recovery import Recovery
from function.core.types import FILE_MAX_BYTES, FileStat, Fingerprint, Outcome, Policy, RemoteFile, Status
from function.folders.listing import NEVER
from function.home.source import Source
from function.state.ledger import Ledger
from function.state.locks import HeldLock
from function.state.log_index import LoggedUpload
from function.state.receipts import Superseded
from function.upload.destination import Destination
from function.upload.finishing import Finishing, Sent, known
from function.upload.transfer import StartOver, Transfer

ROUNDS_MAX = 8
"""Times that one invocation starts over because receipts or Drive changed under it."""

LISTING_LAG_NS = 3600 * 10**9
"""How long a listing may not show what we created: rclone's manual says to wait an hour."""


@dataclass(slots=True)
class Upload:
    """One source on its way to one destination."""

    to: Destination
    source: Source
    ledger: Ledger = field(init=False)
    transfer: Transfer = field(init=False)
    _sent: Sent | None = None
    """What this invocation has sent, and verified."""
    _written: int = 0
    """The receipt's generation then."""
    _since: float = NEVER
    """When it was last noticed that what was known no longer holds: earlier looks don't count."""

    def __post_init__(self) -> None:
        blank = Receipt(self.to.means.account, self.to.label())
        self.ledger = Ledger(self.to.means.receipts, self.to.receipt_name, blank, blank)
        self.transfer = Transfer(self.to, self.source, self.ledger)

    @property
    def size(self) -> int:
        """Bytes of the source."""
        return self.source.stat.size

    def begin(self) -> Outcome | Sent:
        """Ended; or sent and verified, where the look that settles it is still to come. Raises UploadError."""
        if self.size > FILE_MAX_BYTES:
            raise DriveError(f"{self.to.label()} is larger than Drive's 5 TiB.", reason="file_too_large")
        with self.to.means.hold(self.to.receipt_name) as hold, self.source.in_use():
            return self._rounds(hold, self._is_looked_for)

    def finish(self, sent: Sent) -> Outcome:
        """Settle and record what `begin` sent. Raises UploadError."""
        self.to.visit.look((), since=sent.since)  # may take long: not under the lock
        with self.to.means.hold(self.to.receipt_name) as hold, self.source.in_use():
            result = self._rounds(hold, lambda sent: True)
        assert isinstance(result, Outcome)
        return result

    def _rounds(self, hold: HeldLock, may_finish: Callable[[Sent], bool]) -> Outcome | Sent:
        for _ in range(ROUNDS_MAX):
            self.to.means.deadline.check()
            try:
                receipt = self.ledger.reread()
                result = self._continued(self._sent, receipt, hold) if self._sent else self._attempted(receipt, hold)
                if isinstance(result, Outcome):
                    return result
                self._sent, self._written = result, self.ledger.current.generation
                return self._finished(result, hold) if may_finish(result) else result
            except (StartOver, Superseded):
                self._since = time.monotonic()
        raise VolumeUnavailable(f"{self.to.label()}: its receipt or its folder keeps changing; call again.")

    def _is_looked_for(self, sent: Sent) -> bool:
        return sent.claim.settled or self.to.visit.shown_since(sent.since) is not None

    def _attempted(self, receipt: Receipt, hold: HeldLock) -> Outcome | Sent:
        if receipt.claim:
            return self._recover(receipt.claim, hold)
        return self._unchanged() or self._planned(hold)

    def _continued(self, sent: Sent, receipt: Receipt, hold: HeldLock) -> Outcome | Sent:
        """Go on with what this invocation has sent, whatever became of the receipt meanwhile."""
        if receipt.claim and receipt.claim.id == sent.claim.id:
            # Who wrote meanwhile took it up, and may have been killed when it was in the log already.
            was_found = sent.was_found or receipt.generation != self._written
            return dataclasses.replace(sent, claim=receipt.claim, was_found=was_found)
        if receipt.claim:
            raise Locked(f"{self.to.label()}: another invocation took it over; call again.")
        done = plan.known(receipt, self.source.stat, sent.digests, self.to.policy)
        if done is None:  # the receipt was removed
            return dataclasses.replace(sent, claim=self.ledger.claim(sent.claim), was_found=True)
        if done.id != sent.file.id:  # by an invocation that didn't know of this one
            look = self.to.look(since=self._since)
            Finishing(self.to, self.ledger, hold).bin_twins(look)
        return known(self.to.folder, done)

    def _finished(self, sent: Sent, hold: HeldLock) -> Outcome:
        look = None if sent.claim.settled else self.to.look(also=sent.claim.name, since=sent.since)
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
        """The outcome when the receipt knows the content; when by its digest, the receipt learns the new stat."""
        receipt, stat, policy = self.ledger.current, self.source.stat, self.to.policy
        done = plan.unchanged(receipt, stat, policy)
        if done is None and plan.may_be_known(receipt, stat, policy):
            done = plan.known(receipt, stat, self.transfer.digests(), policy)
            if done:
                fresh = replace(done, content=self.source.fingerprint, at_ns=time.time_ns())
                self.ledger.write(
                    replace(receipt, done=tuple(fresh if each is done else each for each in receipt.done))
                )
        return known(self.to.folder, done) if done else None

    def _planned(self, hold: HeldLock) -> Outcome | Sent:
        logged, early = self._logged_before(), None
        if not logged and self._is_expected_to_be_new():
            if self._may_look_later():
                return self.transfer.create(self.to.name, hold, None)
            if self.to.visit.look_ahead():  # mostly the name turns out to be free: the claim needn't wait for it
                early = self.ledger.claim(self.transfer.new_claim(self.to.name))
        look, action = self._decided()
        Finishing(self.to, self.ledger, hold).bin_twins(look)
        if logged and not isinstance(action, plan.Adopt):
            action = self._standing(logged) or action
        return self._acted(action, early, hold)

    def _acted(self, action: plan.Action, early: Claim | None, hold: HeldLock) -> Outcome | Sent:
        unused = self.transfer.unused
        match action:
            case plan.Adopt(file) if unused and file.id == unused.id:  # its request came through after all
                return Sent(self.ledger.claim(unused), file, self.transfer.digests(), was_found=True)
            case plan.Adopt(file):
                self.to.visit.expect_more()
                return Finishing(self.to, self.ledger, hold).adopt(file, self.source.fingerprint)
            case plan.Skip(file):
                return self._skipped(file)
            case plan.Fail(file):
                raise DestinationExists(
                    f"{self.to.label()} holds other content (file {file.id}) and if_exists is 'fail': "
                    "rename the source, or choose keep_both, skip or new_revision."
                )
            case plan.Revise(file):
                return self.transfer.revise(file, hold)
            case plan.Create(name):
                return self.transfer.create(name or self.to.name, hold, early)

    def _logged_before(self) -> LoggedUpload | None:
        """What the log tells of this content where no receipt does: the state was lost, or is old."""
        uploads = [each for each in self.to.means.logged_uploads() if each.folder == self.to.folder]
        if self.to.policy is Policy.NEW_REVISION:  # only what was put there last counts
            uploads = [] if self.ledger.current.done else uploads[-1:]
        of_size = [each for each in uploads if each.size == self.size]
        return next((each for each in reversed(of_size) if each.digests == self.transfer.digests()), None)

    def _standing(self, logged: LoggedUpload) -> plan.Adopt | None:
        """The file that the log tells of, wherever it is on this Drive: ours still, or as it was."""
        file = self.to.means.drive.get(logged.file_id)
        if file and (file.key == self.to.key or file.holds(self.size, logged.digests)):
            return plan.Adopt(dataclasses.replace(file, name=logged.name))
        return None

    def _is_expected_to_be_new(self) -> bool:
        """A small content of which nothing is done: to go beside what has its name, whatever that is."""
        is_known = bool(self.ledger.current.done)
        return self.to.policy is Policy.KEEP_BOTH and self.transfer.is_small and self._since == NEVER and not is_known

    def _may_look_later(self) -> bool:
        """A create never overwrites: a clash may be found afterwards, and is settled by a rename."""
        visit = self.to.visit
        return visit.may_look_later and not (visit.shown and visit.shown.tells(self.to.name))

    def _decided(self) -> tuple[Look, plan.Action]:
        count = plan.names_due(len(self.ledger.current.done), self.to.policy)
        # A small content is hashed before others' look is waited for, a large one when something of its size is there.
        digests = self.transfer.digests() if self.transfer.is_small else None
        while True:
            look = self._look(count)
            if digests is None and any(each.size == self.size for each in (*look.files, *look.away)):
                digests = self.transfer.digests()
            action = plan.decide(self.to.name, self.to.key, self.size, digests, look, self.to.policy)
            if not isinstance(action, plan.Create) or action.name is not None:
                return look, action
            count += plan.EXTRA_NAMES

    def _look(self, count: int) -> Look:
        """What Drive shows of the first `count` names, and what a listing may not show yet of what we made."""
        look = self.to.look(count, since=self._since)
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

    # --- what another invocation left

    def _recover(self, claim: Claim, hold: HeldLock) -> Outcome | Sent:
        """Go on with a claim that a killed or failed invocation left: what it did may be in the log already."""
        if not self.to.visit.is_warm:
            self.to.look()
        result = self._recovered(claim, hold)
        return dataclasses.replace(result, was_found=True) if isinstance(result, Sent) else result

    def _recovered(self, claim: Claim, hold: HeldLock) -> Outcome | Sent:
        finishing = Finishing(self.to, self.ledger, hold)
        if claim.yields_to and claim.content.digests:
            finishing.give_way(claim, claim.yields_to, claim.content.digests)
            raise StartOver
        logged = self.to.means.logged_upload(claim.id, claim.log_size)
        if logged:
            self.ledger.finish(_done_as_logged(claim, logged))
            raise StartOver
        if claim.session and claim.content.same_content(self.source.fingerprint) and not self._is_taken(claim):
            return self.transfer.send(self.ledger.claim(replace(claim, settled=claim.revises)), hold, look_first=True)
        remote = self.to.means.drive.get(claim.id)
        if recovery.needs_digests(claim, remote, self.size):
            self.transfer.digests()
        match recovery.decide(claim, self.source.fingerprint, remote, self.to.key):
            case Recovery.SEND:
                renewed = replace(claim, folder=self.to.visit.ready().leaf, content=self.source.fingerprint)
                return self.transfer.send(self.ledger.claim(renewed), hold)
            case Recovery.FINISH if remote:
                claim = self.ledger.claim(replace(claim, content=self.source.fingerprint))
                return Sent(claim, remote, self.transfer.digests())
            case Recovery.FINISH_OLDER if remote and claim.content.digests:
                look = None if claim.settled else self.to.look(also=claim.name)
                self.ledger.claim(claim)
                finishing.run(Sent(claim, remote, claim.content.digests, was_found=True), look)
                raise StartOver
            case Recovery.MEND:
                return self.transfer.mend(claim, hold)
            case Recovery.PLAN:
                self.transfer.unused = claim
                return self._unchanged_after_all() or self._planned(hold)
        self.ledger.drop_claim()
        raise StartOver

    def _is_taken(self, claim: Claim) -> bool:
        """Whether a name that was free when the session began holds a file now that the policy wants respected."""
        if claim.revises or self.to.policy not in (Policy.SKIP, Policy.FAIL):
            return False
        return any(each.id != claim.id for each in self.to.look().named(self.to.name))

    def _unchanged_after_all(self) -> Outcome | None:
        """The outcome when the source is again what was done before the claim, which is forgotten then."""
        unchanged = self._unchanged()
        if unchanged:
            self.ledger.drop_claim()
        return unchanged


def _done_as_logged(claim: Claim, logged: LoggedUpload) -> Done:
    """What the log says of a claim whose upload didn't live to say it in the receipt."""
    is_claimed = claim.content.digests == logged.digests
    content = claim.content if is_claimed else Fingerprint(FileStat(logged.size, 0, 0), logged.digests)
    return Done(claim.id, logged.name, content, logged.attempt or 1, time.time_ns(), logged.link)
