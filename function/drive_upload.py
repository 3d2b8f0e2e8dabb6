"""One source to one destination, start to finish: the controller.

It asks `function.protocol` for the next step, and takes it: learns what the step needs to know, or does what it
says. Before what touches Drive or the log the lock and the receipt are checked, in one place; writing the receipt is a
check of its own (compare-and-swap). What contradicts the facts makes it forget them and ask again.

    receipt -> claim -> send -> look -> settle -> log -> receipt

The order, and what follows after a crash, a lost answer or a race, is the protocol's matter: docs/protocol.md.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, assert_never
from uuid import uuid4

import msgspec
from msgspec.structs import replace

from function import telemetry
from function.core import errors, retry
from function.core.cached import cached_property
from function.core.errors import DriveError, UploadError
from function.core.naming import metadata_digest
from function.core.receipt import Claim, CompletedUpload, Create, LoseTo, Mend, Receipt, RemoteRef, Sending
from function.core.types import (
    FILE_MAX_BYTES,
    MULTIPART_MAX_BYTES,
    Digests,
    FileId,
    Fingerprint,
    NewFile,
    Outcome,
    Policy,
    ProgressCallback,
    RemoteFile,
    Status,
)
from function.drive.move import move
from function.drive.port import Drive
from function.home.source import Source
from function.protocol import steps
from function.protocol.next_step import next_step, put_away
from function.protocol.plan import count_numbered, outcome_done
from function.protocol.steps import Facts, Step, Wanted
from function.state.locks import HeldLock
from function.state.receipts import ReceiptWriter, Superseded
from function.upload.item import Destination, is_new


class ContentUpload(msgspec.Struct):
    """One source's content on its way to Drive."""

    source: Source
    check: Callable[[], None]
    """Called between blocks; may raise (the deadline)."""
    progress: ProgressCallback
    wait_for_bytes: Callable[[int], None]
    """Waits until so many bytes may be sent; may raise (the deadline)."""
    has_progressed: bool = False
    """Drive has kept more of the content than before, in the last call."""

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self.source.stat.size

    @property
    def is_small(self) -> bool:
        """Whether the content goes in one request."""
        return self.size <= MULTIPART_MAX_BYTES

    @telemetry.span("transfer")
    def create(self, drive: Drive, file: NewFile) -> RemoteFile:
        """A new file, in one request. Raises what `drive.create` raises, SourceError, and what `check` raises."""
        content = self.source.read(self.check)
        self.wait_for_bytes(self.size)
        created = drive.create(file, content)
        self.progress(self.size, self.size)
        return created

    def resume(self, drive: Drive, uri: str, before_end: Callable[[], None]) -> tuple[RemoteFile, bool]:
        """Go on where the session stands; the file, and whether any of its bytes were sent now.

        A session is asked first: repeating bytes where it has a gap is answered 503 for ever.
        """
        threading.Thread(target=self._hash_ahead, daemon=True).start()
        progress = drive.session_status(uri, self.size)
        if isinstance(progress, RemoteFile):
            return progress, False
        return self.send(drive, uri, before_end, progress), True

    @telemetry.span("transfer")
    def send(self, drive: Drive, uri: str, before_end: Callable[[], None], offset: int = 0) -> RemoteFile:
        """Send the content from `offset` to the end. Raises TransientDriveError where Drive keeps nothing of it.

        `before_end` is called before the last block; it may raise.
        """
        self.has_progressed = False
        while True:
            progress = drive.send(uri, self.size, offset, self._blocks(offset, before_end))
            if isinstance(progress, RemoteFile):
                return progress
            if progress <= offset:
                raise errors.TransientDriveError("Drive keeps nothing of what is sent; call again later.")
            offset, self.has_progressed = progress, True

    def _hash_ahead(self) -> None:
        """Hash what an earlier invocation has sent, beside the sending of the rest."""
        try:
            self.source.sha256(self.check)
        except UploadError:
            return  # the sender meets the same and says so

    def _blocks(self, offset: int, before_end: Callable[[], None]) -> Iterator[memoryview]:
        for block in self.source.blocks(offset, self.check):
            self.wait_for_bytes(len(block))
            if offset + len(block) == self.size:
                before_end()
            yield block
            offset += len(block)
            self.progress(offset, self.size)


STEPS_MAX = 400
"""Steps of one round before it says that everything keeps changing under it: a first upload takes a dozen."""

SESSIONS_MAX = 4
"""Sessions that Drive may lose in one invocation."""


class Upload(msgspec.Struct, dict=True):
    """One source on its way to one destination."""

    to: Destination
    source: Source
    facts: Facts = msgspec.field(default_factory=lambda: Facts(nonce=uuid4().hex))
    _failures: int = 0
    """Sends that failed in a row, for the pause before the next one."""
    _sessions_lost: int = 0
    _sends_metadata: bool = True
    _message: str | None = None
    """What the outcome is to say besides."""
    _has_new_ids: bool = False
    _refusal: DriveError | None = None
    """Drive's answer to the last send: before it counts, a look tells whether it was done all the same."""

    @cached_property
    def wanted(self) -> Wanted:
        """What is to be brought about, as the protocol takes it."""
        to, told = self.to, metadata_digest(self.to.metadata)
        return Wanted(to.label(), to.name, to.key, self.source.stat, to.policy, self.content.is_small, told)

    @cached_property
    def receipt(self) -> ReceiptWriter:
        """The destination's receipt."""
        blank = Receipt(self.to.context.account, self.to.label())
        return ReceiptWriter(self.to.context.receipts, self.to.receipt_name, blank)

    @cached_property
    def content(self) -> ContentUpload:
        """The source's content. It knows nothing of this upload: a cycle would keep the payload."""
        context = self.to.context
        return ContentUpload(self.source, context.deadline.check, self.to.progress, context.wait_for_bytes)

    def advance(self, round_began: float) -> Outcome | None:
        """Go as far as this round of the batch allows; None where a listing is needed that begins in the next one.

        A listing that must be younger than an answer of this round serves all files of the folder: it is made when
        all of them have been sent. Raises UploadError.
        """
        if self.source.stat.size > FILE_MAX_BYTES:
            raise DriveError(f"{self.to.label()} is larger than Drive's 5 TiB.", reason="file_too_large")
        with self.to.context.lock(self.to.receipt_name, self.to.context.deadline) as lock, self.source.in_use():
            self.start_round()
            for _ in range(STEPS_MAX):
                self.to.context.deadline.check()
                step = self.next_step()
                if isinstance(step, steps.NeedListing) and step.begun_after >= round_began:
                    return None
                try:
                    outcome = self.take(step, lock)
                except Superseded:
                    self.start_round()
                    continue
                if outcome:
                    return outcome
        raise errors.Locked(f"{self.to.label()}: its receipt or its folder keeps changing; call again.")

    def count_attempt(self) -> int | None:
        """Count this invocation's attempt, made in vain; its number, or None where the receipt isn't ours to write.

        Every write of a receipt is made under the destination's lock. Where another has it now, it is left to that one.
        """
        receipt = self.receipt
        with suppress(Superseded, errors.Locked, errors.VolumeUnavailable):
            if not receipt.is_counted:
                with self.to.context.lock(self.to.receipt_name, retry.Deadline.after(0)):
                    receipt.count_attempt(self.source.fingerprint)
        return receipt.current.attempt if receipt.is_counted else None

    def start_round(self) -> None:
        """Read the receipt; what another wrote meanwhile makes this invocation forget its facts."""
        # The first time a receipt is no contradiction: nothing was believed yet.
        had_read = self.receipt.current.generation or self.facts.last_sent
        if self.receipt.reread() and had_read:
            self.facts.forget()
        if self.receipt.current.claim is None:
            self.facts.log_position = self.to.context.log_position()

    def next_step(self) -> Step:
        """The next step, by what is known now."""
        facts, folder = self.facts, self.to.folder
        facts.now_ns = time.time_ns()
        facts.leaf = folder.leaf
        facts.may_create_unseen = folder.may_create_unseen
        if not facts.logged_before:
            uploads = self.to.context.logged_uploads()
            facts.logged_before = [each for each in uploads if each.folder == self.to.path]
        return next_step(self.wanted, self.receipt.current, facts)

    def take(self, step: Step, lock: HeldLock) -> Outcome | None:
        """Answer a question, do an effect, or end. Raises Superseded where somebody else has written the receipt."""
        match step:
            case steps.Done(upload):
                status = Status.UPLOADED if self.facts.entry_written else Status.UNCHANGED
                return outcome_done(self.to.path, upload, status, self._message)
            case steps.Skip(file):
                return self._skipped(file)
            case steps.WriteClaim(claim, discards_ids):
                self._write_claim(claim, discards_ids=discards_ids)
            case steps.WriteDone(done, strays):
                self.receipt.correct(done, strays)
            case steps.Finish(file, content, has_our_metadata):
                self._finish(file, content, has_our_metadata=has_our_metadata)
            case steps.Send() | steps.Move() | steps.Rename() | steps.Trash() | steps.UpdateMetadata() | steps.Log():
                lock.check()
                self.receipt.check()
                self._act(step)
            case _:
                self._learn(step)
        return None

    # --- questions

    def _learn(self, step: steps.Question) -> None:
        facts, context = self.facts, self.to.context
        match step:
            case steps.NeedDigests(shown_by):
                facts.digests = self.source.digests(context.deadline.check, shown_by)
            case steps.NeedFolder():
                self.to.folder.ready()
            case steps.NeedId():
                facts.fresh_id, facts.nonce = context.take_id(), uuid4().hex
            case steps.NeedListing(names, begun_after):
                facts.listing = self.to.folder.look(names, begun_after).about(names, self.to.key)
                numbered = count_numbered(self.wanted, self.receipt.current.done, names)
                facts.names_asked = max(facts.names_asked, numbered)
                facts.looks_at_name += 1
            case steps.NeedFile(file_id):
                facts.files[file_id] = context.drive.get(file_id)
                claim = self.receipt.current.claim
                if claim and claim.id == file_id:
                    facts.answered_at = time.monotonic()
            case steps.NeedRevisions(file_id):
                facts.revisions[file_id] = context.drive.count_revisions(file_id)
            case steps.NeedLogEntry(file_id, since):
                facts.logged[file_id] = context.logged_upload(file_id, since)
            case _:
                assert_never(step)

    # --- effects

    def _act(self, step: Step) -> None:
        facts, drive = self.facts, self.to.context.drive
        match step:
            case steps.Send(claim):
                self._send(claim)
            case steps.Move(file, folder):
                self._answered(move(file, folder, drive))
            case steps.Rename(file, name):
                self._answered(drive.update(file, name=name))
            case steps.Trash(file):
                self._trash(file)
            case steps.UpdateMetadata(done):
                self._update_metadata(done)
            case steps.Log(file, content, since):
                facts.entry_written = self._log(file, content, since)

    def _trash(self, file: RemoteFile) -> None:
        try:
            self.facts.files[file.id] = self.to.context.drive.trash(file)
        except DriveError as error:
            if error.reason != "permission_denied":
                raise
            self.facts.cannot_bin.add(file.id)
            self._message = f"A second copy stays, file {file.id}: this account may not put it into the bin."

    def _answered(self, file: RemoteFile) -> None:
        """Drive has made or changed our file: what a listing shows of it must be younger."""
        self.facts.files[file.id] = file
        self.facts.answered_at = time.monotonic()
        self.facts.looks_at_name = 0

    def _write_claim(self, claim: Claim | None, *, discards_ids: bool) -> None:
        facts, before = self.facts, self.receipt.current.claim
        if discards_ids:
            self.to.context.discard_ids()
        self.receipt.claim(claim)
        facts.is_own_claim, facts.entry_written, facts.fresh_id = claim is not None, None, None
        if claim is None and before:
            self._forget_file(before.id)
            facts.log_position = self.to.context.log_position()
        if isinstance(claim, LoseTo):
            facts.files.clear()  # both are looked at anew before one of them goes to the bin

    def _forget_file(self, file_id: FileId) -> None:
        facts = self.facts
        facts.last_sent = None
        facts.in_use.discard(file_id)
        for known in (facts.files, facts.arrived, facts.revisions, facts.logged):
            known.pop(file_id, None)

    def _send(self, claim: Sending) -> None:
        """Send the content under the claim's id, once; what an error leaves open is what the next step asks for."""
        facts = self.facts
        if self._refusal and self._is_dropped_after(self._refusal, claim):
            return
        facts.was_mended |= claim.id in facts.arrived
        try:
            file, was_sent = self._sent(claim)
        except errors.TransientDriveError as error:
            self._pause(error)
        except errors.AlreadyExists as error:
            facts.in_use.add(claim.id)
            self._pause_if_repeated(error)
        except errors.SessionLost as error:
            self._lose_session(error)
        except errors.NotFound as error:
            self._lose_folder(claim)
            self._pause_if_repeated(error)
        except DriveError as error:
            self._take_refusal(error)
        else:
            self._take_answer(claim, file, was_sent=was_sent)

    def _take_answer(self, claim: Sending, file: RemoteFile, *, was_sent: bool) -> None:
        self._failures = 0
        if was_sent:
            self.facts.arrived[file.id] = file.head_revision_id
        if not is_new(claim) or file.nonce == claim.nonce:  # an answer without our marks tells nothing: look at the id
            self._answered(file)
        if is_new(claim):
            self.to.folder.made.add(file.id)
        self._check_source(claim, file)

    def _check_source(self, claim: Sending, file: RemoteFile) -> None:
        """What was sent of a source that has changed is wanted by nobody: the next call gives its file the new content.

        Raises SourceError (source_changed).
        """
        try:
            self.source.check_unchanged()
        except errors.SourceError:
            if is_new(claim):
                content, at, wrong = Fingerprint(self.source.stat), claim.log_position, file.head_revision_id
                self.receipt.claim(Mend(claim.id, claim.nonce, claim.name, claim.folder, content, at, wrong=wrong))
            raise

    def _sent(self, claim: Sending) -> tuple[RemoteFile, bool]:
        drive, content = self.to.context.drive, self.content
        before = next((each for each in self.receipt.current.done if each.id == claim.id), None)
        listed = self.facts.listing.files if self.facts.listing else ()
        shown = next((each for each in listed if each.id == claim.id), None)
        standing = self.facts.files.pop(claim.id, None) or shown  # what is known of it will change
        file = self.to.new_file(
            claim, self.source.stat, with_metadata=self._sends_metadata, before=before, standing=standing
        )
        self.facts.last_sent = claim
        if claim.session:  # also of a small content, which an earlier version may have begun so
            return content.resume(drive, claim.session, self._before_end)
        if content.is_small and is_new(claim):
            return content.create(drive, file), True
        uri = drive.start(file, content.size, revises=not is_new(claim))
        self._amend(claim, session=uri)  # durable before a byte is sent
        return content.send(drive, uri, self._before_end), True

    def _amend(self, claim: Sending, **changes: Any) -> None:
        self.receipt.claim(replace(claim, **changes))
        self.facts.last_sent = self._current_claim()

    def _before_end(self) -> None:
        """Before the last block. What is mended is looked at once more: its owner may have written to it meanwhile."""
        self.keep_digest()
        claim = self.receipt.current.claim
        if isinstance(claim, Mend):
            file = self.to.context.drive.get(claim.id)
            if not file or file.head_revision_id != claim.wrong or put_away(claim, file, self.facts):
                raise errors.TransientDriveError(f"{self.to.label()}: somebody writes to it on Drive; call again.")

    def keep_digest(self) -> None:
        """Say in the claim what a large content is, before all of it can have arrived.

        Killed then, with another source meanwhile, the next invocation has nothing else to know by that what stands
        there is whole, and no damage to be mended: it would write over the only copy.
        """
        claim, sha256 = self._current_claim(), self.source.sha256_by_now
        if claim and claim.session and claim.content.digests is None and sha256:
            self._amend(claim, content=replace(claim.content, digests=Digests("", sha256)))

    def _current_claim(self) -> Sending | None:
        claim = self.receipt.current.claim
        return None if isinstance(claim, LoseTo) else claim

    def _pause(self, error: errors.TransientDriveError) -> None:
        self._failures = 0 if self.content.has_progressed else self._failures
        retry.pause(self._failures, error, self.to.context.deadline)
        self._failures += 1

    def _pause_if_repeated(self, error: DriveError) -> None:
        """The first such answer leads to a look at once; where that doesn't help, Drive isn't asked in a rush."""
        if self._failures:
            retry.pause(self._failures - 1, errors.TransientDriveError(error.message), self.to.context.deadline)
        self._failures += 1

    def _lose_session(self, error: errors.SessionLost) -> None:
        self._sessions_lost += 1
        if self._sessions_lost >= SESSIONS_MAX:
            raise errors.TransientDriveError("Drive keeps losing the upload's session; call again later.") from error
        claim = self._current_claim()
        assert claim
        self._amend(claim, session=None)

    def _lose_folder(self, claim: Sending) -> None:
        """Drive knows no such parent, or no such file to revise: the folder is looked for, and nothing stands there."""
        self.to.folder.distrust()
        self.facts.listing = None
        self.facts.files[claim.id] = None

    def _take_refusal(self, refusal: DriveError) -> None:
        """Let the next step look at the id where the refusal would be final. Raises one that another call gets past."""
        if refusal.is_retryable and not isinstance(refusal, errors.BadRequest):
            raise refusal
        self._refusal = refusal
        claim = self._current_claim()
        if claim and claim.session:  # else asking the session would be the look, and it was refused
            self._amend(claim, session=None)

    def _is_dropped_after(self, refusal: DriveError, claim: Sending) -> bool:
        """Drive has refused the request, and nothing stands under the id: whether the claim is dropped for it.

        An id may go stale, and metadata stops no upload: another id, then no metadata; first, where Drive names it.
        """
        self._refusal = None
        may_be_id = isinstance(claim, Create) and not self._has_new_ids
        if not isinstance(refusal, errors.BadRequest) or not (may_be_id or self._sends_metadata):
            raise refusal
        if self._sends_metadata and (isinstance(refusal, errors.MetadataRefused) or not may_be_id):
            self._sends_metadata = False
            return False
        self._has_new_ids = True
        self._write_claim(None, discards_ids=True)
        return True

    def _update_metadata(self, done: CompletedUpload) -> None:
        """Tell Drive this call's metadata. What it doesn't take of it makes no upload fail.

        Raises TransientDriveError: a queue calls again, and the next call tells it.
        """
        self.facts.was_told = True
        drive = self.to.context.drive
        try:
            file = drive.get(done.id)
            if file is None or file.trashed:
                return
            if file.key != self.to.key and self.to.policy is not Policy.NEW_REVISION:
                self._message = "Its metadata was not changed: the file is not this job's."
                return
            properties, description = self.to.told(done, file)
            drive.update(file, properties=properties, description=description)
            self._message = "Its metadata on Drive was updated."
        except errors.BadRequest:
            self._message = "Drive doesn't take its metadata."
        except errors.TransientDriveError:
            raise
        except DriveError as error:
            self._message = f"Its metadata on Drive was not updated; the next call tries again. {error.message}"
            return
        told = replace(done, metadata=self.wanted.metadata, properties=tuple(self.to.metadata_for_drive[0]))
        current = self.receipt.current
        self.receipt.correct(tuple(told if each.id == done.id else each for each in current.done), current.strays)

    def _log(self, file: RemoteFile, content: Fingerprint, since: int) -> bool:
        assert content.digests
        attempt = self.receipt.current.attempt
        done = CompletedUpload(file.id, file.name, content, attempt, self.facts.now_ns, file.link)
        outcome = outcome_done(self.to.path, done, Status.UPLOADED)
        return self.to.context.record(outcome, content.digests, since)

    def _finish(self, file: RemoteRef, content: Fingerprint, *, has_our_metadata: bool) -> None:
        facts, claim = self.facts, self.receipt.current.claim
        told = (self.wanted.metadata, tuple(self.to.metadata_for_drive[0])) if has_our_metadata else ()
        self.receipt.finish(file, content, *told)
        if claim is None:  # a content that no receipt knew
            self.to.folder.has_unknown_files()
        else:
            self._forget_file(claim.id)
        facts.is_own_claim = False
        if content.digests != facts.digests:  # an earlier invocation's: the source's own comes next
            facts.entry_written, facts.log_position = None, self.to.context.log_position()

    # --- the end

    def _skipped(self, file: RemoteFile) -> Outcome:
        message = f"{self.to.label()} holds other content (file {file.id}); it was left as it is."
        there = CompletedUpload(file.id, self.to.name, self.source.fingerprint, 0, self.facts.now_ns, file.link)
        return replace(outcome_done(self.to.path, there, Status.SKIPPED, message), attempt=self.count_attempt())
