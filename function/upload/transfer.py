"""A content on its way to Drive: claimed, sent under the claim's id, and verified by what Drive says stands there."""

import time
from dataclasses import dataclass

from msgspec.structs import replace

from function.core.errors import BadRequest, IntegrityError, NotFound, SourceError
from function.core.receipt import Claim
from function.core.types import MULTIPART_MAX_BYTES, Digests, FileId, Fingerprint, Policy, RemoteFile
from function.home.source import Source
from function.state.ledger import Ledger
from function.state.locks import HeldLock
from function.upload.destination import Destination
from function.upload.finishing import Sent
from function.upload.send import Sending

LATE_S = 3.0
"""A create that took so long may have waited for its turn and be younger than the look begun beside it."""


class StartOver(Exception):
    """What was known no longer holds: read the receipt again."""


@dataclass(slots=True)
class Transfer:
    """What brings one source to one destination, under the destination's lock."""

    to: Destination
    source: Source
    ledger: Ledger
    unused: Claim | None = None
    """A claim under whose id nothing came to stand: the next one takes it over."""
    _new_id: FileId | None = None
    """The last id taken from the pool: nobody sent anything under it before."""
    _has_new_ids: bool = False
    _sends_metadata: bool = True

    @property
    def is_small(self) -> bool:
        """Whether the content goes in one request."""
        return self.source.stat.size <= MULTIPART_MAX_BYTES

    def digests(self) -> Digests:
        """The content's."""
        return self.source.digests(self.to.means.deadline.check)

    def create(self, name: str, hold: HeldLock, early: Claim | None) -> Sent:
        """Send it as a new file of that name; under the claim that was made `early`, if one was."""
        if early is None:
            return self.send(self.ledger.claim(self.new_claim(name)), hold)
        claim = replace(early, name=name, folder=self.to.visit.ready().leaf)
        return self.send(early if claim == early else self.ledger.claim(claim), hold)

    def revise(self, file: RemoteFile, hold: HeldLock) -> Sent:
        """Send it as that file's new revision."""
        claim = replace(self.new_claim(file.name), id=file.id, revises=True, settled=True)
        return self.send(self.ledger.claim(claim), hold)

    def mend(self, claim: Claim, hold: HeldLock) -> Sent:
        """Send it into the file of that claim, which is ours and was never recorded as done."""
        mending = replace(claim, content=self.source.fingerprint, revises=True, mends=True, session=None)
        return self.send(self.ledger.claim(mending), hold)

    def new_claim(self, name: str) -> Claim:
        """A claim to a new file of that name, still to be written down."""
        if self.is_small:
            self.digests()
        unused = self.unused
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

    def send(self, claim: Claim, hold: HeldLock, *, look_first: bool = False) -> Sent:
        """The content under the claim's id, verified. Raises UploadError, or StartOver when the id is no use."""
        sending = self._sending(claim, hold)
        since = time.monotonic()
        if self.is_small:
            self.to.visit.goes(self.to.receipt_name, is_unsettled=not claim.settled)
        try:
            file = sending.run(claim.session, look_first=look_first)
        except BadRequest as error:
            return self._without_what_was_refused(claim, hold, error)
        except NotFound:
            if not claim.revises:
                self.to.visit.distrust()
                self.unused = claim
            self.ledger.drop_claim()
            raise StartOver from None
        if file is None or (file.key != self.to.key and not claim.revises):
            raise self._give_up_ids()
        if not self.is_small or time.monotonic() - since > LATE_S:
            since = time.monotonic()  # names and folders had time to change
        sent = self._verified(claim, file, since)
        if sent:
            return sent
        if not claim.revises and sending.was_taken and claim.id == self._new_id:
            raise self._give_up_ids()
        if not claim.revises and look_first and file.was_edited:  # it is its owner's by now
            self.ledger.drop_claim()
            raise StartOver
        return self.mend(claim, hold)

    def _sending(self, claim: Claim, hold: HeldLock) -> Sending:
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

    def _without_what_was_refused(self, claim: Claim, hold: HeldLock, error: BadRequest) -> Sent:
        """Metadata must not make an upload fail, and a reserved id may go stale: try without one, then the other."""
        if self._sends_metadata and self.to.metadata:
            self._sends_metadata = False
            return self.send(claim, hold)
        if claim.revises or self._has_new_ids:
            raise error
        self._has_new_ids = True
        raise self._give_up_ids() from None

    def _give_up_ids(self) -> StartOver:
        """Drive refuses the id, or another upload stands there: the pool is old."""
        self.unused = None
        self.to.means.discard_ids()
        self.ledger.drop_claim()
        return StartOver()

    def _verified(self, claim: Claim, file: RemoteFile, since: float) -> Sent | None:
        """What stands there, when it is the source's content."""
        claim = self.ledger.current.claim or claim
        try:
            digests = self.source.digests_shown_by(file, self.to.means.deadline.check)
            self.source.check_unchanged()
        except SourceError:  # what stands there was promised to nobody: the next invocation mends it
            self.ledger.claim(replace(claim, content=Fingerprint(self.source.stat), session=None))
            raise
        if file.holds(self.source.stat.size, digests):
            if not claim.revises:
                self.to.visit.made.add(file.id)
            return Sent(claim, file, digests, since=since)
        if claim.mends:
            raise IntegrityError(
                f"{self.to.label()}: Drive stored {file.size} bytes with MD5 {file.md5}, the source has "
                f"{self.source.stat.size} with {digests.md5}; call again."
            )
        return None
