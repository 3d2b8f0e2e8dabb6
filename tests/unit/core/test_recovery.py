"""What is done about a claim that another invocation left: every case of what may stand under its id."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from function.core import recovery
from function.core.receipt import Claim
from function.core.recovery import Recovery
from function.core.types import Digests, FileId, FileStat, Fingerprint, RemoteFile

KEY = "ours"
A, B, C = (Digests(each * 32, each * 64) for each in "abc")
NOW = Fingerprint(FileStat(3, 100, 1), A)
BEFORE = Fingerprint(FileStat(3, 50, 1), B)
CLAIM = Claim(FileId("id"), "note.txt", FileId("folder"), NOW)


def remote(digests: Digests, *, key: str | None = KEY, edited: bool = False) -> RemoteFile:
    """A file under the claim's id."""
    return RemoteFile(
        FileId("id"), "note.txt", "text/plain", ("folder",), size=3, md5=digests.md5, sha256=digests.sha256, key=key,
        created_time="2026-01-01T00:00:00Z", modified_time=f"2026-01-01T00:0{5 if edited else 0}:01Z",
    )  # fmt: skip


CASES: dict[str, tuple[Claim, RemoteFile | None, Recovery]] = {
    "nothing there, same content": (CLAIM, None, Recovery.PLAN),
    "nothing there, other content": (changed(CLAIM, content=BEFORE), None, Recovery.PLAN),
    "ours with the content": (CLAIM, remote(A), Recovery.FINISH),
    "ours with the content, edited since": (CLAIM, remote(A, edited=True), Recovery.FINISH),
    "ours with the claimed older content": (changed(CLAIM, content=BEFORE), remote(B), Recovery.FINISH_OLDER),
    "ours with a mixture": (CLAIM, remote(C), Recovery.MEND),
    "ours, edited by its owner": (CLAIM, remote(C, edited=True), Recovery.DROP),
    "not ours": (CLAIM, remote(A, key="another"), Recovery.DROP),
    "a revision that is done": (changed(CLAIM, revises=True), remote(A, key=None), Recovery.FINISH),
    "a revision not begun": (changed(CLAIM, revises=True), remote(C, key=None), Recovery.SEND),
    "a revision of an older source": (changed(CLAIM, revises=True, content=BEFORE), remote(C), Recovery.DROP),
    "a revision of what is gone": (changed(CLAIM, revises=True), None, Recovery.DROP),
    "a mend not done": (changed(CLAIM, revises=True, mends=True), remote(C, edited=True), Recovery.MEND),
    "a mend of what is gone": (changed(CLAIM, revises=True, mends=True), None, Recovery.PLAN),
}


@pytest.mark.parametrize(("claim", "found", "step"), CASES.values(), ids=list(CASES))
def test_the_step_for_a_claim(claim: Claim, found: RemoteFile | None, step: Recovery) -> None:
    """One step a case."""
    assert recovery.decide(claim, NOW, found, KEY) is step


@given(
    claim=st.builds(
        Claim, st.just("id"), st.just("n"), st.just("f"), st.sampled_from([NOW, BEFORE]), st.booleans(), st.booleans()
    ),
    found=st.none() | st.builds(
        remote, st.sampled_from([A, B, C]), key=st.sampled_from([KEY, None, "x"]), edited=st.booleans()
    ),
)  # fmt: skip
def test_nothing_of_somebody_elses_is_mended(claim: Claim, found: RemoteFile | None) -> None:
    """Content is written over only in a file of ours that was never recorded, or in the revision that was asked for;
    and what holds the source's content is never sent again."""
    step = recovery.decide(claim, NOW, found, KEY)

    if step is Recovery.MEND:
        assert found
        assert claim.mends or (found.key == KEY and not claim.revises)
    if found and found.holds(3, A) and (found.key == KEY or claim.revises):
        assert step is Recovery.FINISH
    if step in (Recovery.FINISH, Recovery.FINISH_OLDER):
        assert found


def test_the_source_is_read_only_when_it_decides() -> None:
    """A large file isn't hashed for nothing."""
    other = replace(remote(A), size=4)

    assert recovery.needs_digests(CLAIM, remote(A), 3)
    assert not recovery.needs_digests(changed(CLAIM, content=Fingerprint(FileStat(9, 1, 1))), other, 3)
    assert not recovery.needs_digests(changed(CLAIM, content=Fingerprint(FileStat(3, 1, 1))), None, 3)
