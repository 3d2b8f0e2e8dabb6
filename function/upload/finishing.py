"""From "sent" to "uploaded": verify what Drive has, settle with what else has the name, log, record.

A content is recorded only when Drive's size and checksums are the source's and the file is in its folder. The log's
entry comes before the receipt's: found in the log, an upload isn't logged again; found in the receipt, it needs none.
"""

import time
from dataclasses import dataclass

from msgspec.structs import replace

from function.core import plan
from function.core.plan import Look
from function.core.receipt import Claim, Done, RemoteRef
from function.core.types import Digests, Fingerprint, Outcome, RemoteFile, Status
from function.drive.move import move
from function.folders.listing import NEVER
from function.state.ledger import Ledger
from function.state.locks import HeldLock
from function.upload.destination import Destination


@dataclass(frozen=True, slots=True)
class Sent:
    """A content that stands on Drive under our claim; not yet settled or recorded."""

    claim: Claim
    file: RemoteFile
    digests: Digests
    was_found: bool = False
    """By a look, instead of having been sent just now: it may be in the log already."""
    since: float = NEVER
    """On the monotonic clock: the look that settles it began later."""


@dataclass(slots=True)
class Finishing:
    """The last steps of one upload, under the destination's lock."""

    to: Destination
    ledger: Ledger
    hold: HeldLock

    def run(self, sent: Sent, look: Look | None) -> Outcome:
        """Settle and record. `look` shows the destination's names; None where none is due."""
        if sent.file.explicitly_trashed:
            return self._trashed(sent, look)
        file = self._in_its_folder(sent)
        return self._record(sent, file) if look is None else self._settled(sent, file, look)

    def _trashed(self, sent: Sent, look: Look | None) -> Outcome:
        """Binned before it was recorded: by a racer, whose equal file stands, or by its owner, who decides."""
        content = replace(sent.claim.content, digests=sent.digests)
        same = plan.equal(self.to.name, self.to.key, content.stat.size, sent.digests, look) if look else []
        return self.adopt(same[0], content) if same else self._record(sent, sent.file)

    def _in_its_folder(self, sent: Sent) -> RemoteFile:
        """The file, moved when the folder it was made in is no longer the destination's."""
        file = sent.file
        if file.trashed:  # a create under a binned folder: what a listing still shows of it isn't to be believed
            self.to.visit.distrust()
        leaf = self.to.visit.ready().leaf
        is_ours_to_move = sent.claim.folder in file.parents or file.trashed
        if sent.claim.revises and not sent.claim.mends:
            return file
        if leaf == "root" or (leaf in file.parents and not file.trashed) or not is_ours_to_move:
            return file
        self.hold.check()
        return move(file, leaf, self.to.means.drive)

    def _settled(self, sent: Sent, file: RemoteFile, look: Look) -> Outcome:
        size, digests = sent.claim.content.stat.size, sent.digests
        verdict = plan.settle(file, self.to.name, self.to.key, size, digests, look, self.to.policy)
        count = 1
        while isinstance(verdict, plan.Rename) and verdict.name is None:
            count += plan.EXTRA_NAMES
            look = self.to.look(count, also=file.name)
            verdict = plan.settle(file, self.to.name, self.to.key, size, digests, look, self.to.policy)
        if isinstance(verdict, plan.Yield):
            self.bin_twins(look.without(file.id))
            self.to.visit.expect_more()
            return self.give_way(sent.claim, verdict.to, sent.digests)
        self.bin_twins(look.without(file.id, instead=file))
        if isinstance(verdict, plan.Rename):
            name = verdict.name or file.name
            self.ledger.write(replace(self.ledger.current, claim=replace(sent.claim, name=name)))
            self.hold.check()
            file = self.to.means.drive.update(file, name=name)
        return self._record(sent, file)

    def give_way(self, claim: Claim, to: RemoteFile | RemoteRef, digests: Digests) -> Outcome:
        """Put our twin into the bin, and adopt the file that was first. Written down before it is done."""
        winner = RemoteRef(to.id, to.name, to.link)
        if claim.yields_to is None:
            claim = replace(claim, yields_to=winner, content=replace(claim.content, digests=digests))
            self.ledger.claim(claim)
        self.hold.check()
        mine = self.to.means.drive.get(claim.id)
        if mine and not mine.trashed:
            self.to.means.drive.update(mine, trashed=True)
        return self.adopt(winner, replace(claim.content, digests=digests))

    def bin_twins(self, look: Look) -> None:
        """Put files into the bin that racers without our state made of one content; receipts learn which one stays."""
        for twin, senior in plan.twins(self.to.key, look):
            self.hold.check()
            self.to.means.drive.update(twin, trashed=True)
            current = self.ledger.current
            if any(each.id == twin.id for each in current.done):
                done = tuple(
                    replace(each, id=senior.id, link=senior.link) if each.id == twin.id else each
                    for each in current.done
                )
                self.ledger.write(replace(current, done=done))

    def adopt(self, file: RemoteFile | RemoteRef, content: Fingerprint) -> Outcome:
        """Record a file that holds the content already."""
        current = self.ledger.count(content)
        done = Done(file.id, file.name, content, current.attempt, time.time_ns(), file.link)
        self.ledger.write(current.finished(done))
        return known(self.to.folder, done)

    def _record(self, sent: Sent, file: RemoteFile) -> Outcome:
        content = replace(sent.claim.content, digests=sent.digests)
        done = Done(file.id, file.name, content, self.ledger.current.attempt, time.time_ns(), file.link)
        outcome = known(self.to.folder, done)
        means = self.to.means
        self.hold.check()
        self.ledger.check()
        logged = means.logged_upload(file.id, sent.claim.log_size) if sent.was_found else None
        if logged is None or logged.digests != sent.digests:
            outcome = replace(outcome, status=Status.UPLOADED)
            self.to.record(outcome)
        self.ledger.finish(done)
        return outcome


def known(folder: str, done: Done) -> Outcome:
    """The outcome for a content that is on Drive: unchanged."""
    return Outcome(
        status=Status.UNCHANGED,
        destination=f"{folder}/{done.name}".lstrip("/"),
        attempt=done.attempt,
        file_id=done.id,
        link=done.link,
        size=done.content.stat.size,
        digests=done.content.digests,
    )
