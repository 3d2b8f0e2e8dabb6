"""Receipts on disk: of racers one wins, the dead leave nothing half done, damage is set aside."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from function.core.errors import VolumeUnavailable
from function.core.receipt import VERSION, CompletedUpload, Create, Receipt, RemoteRef
from function.core.types import Digests, FileId, FileStat, Fingerprint
from function.state.receipts import DONE_MAX, Receipts, ReceiptWriter, Superseded, finished, trying
from tests.unit.state.conftest import without_temporaries

NAME = "ab" * 16
BLANK = Receipt("default", "MemoryVDB/Meta/note.txt")
CONTENT = Fingerprint(FileStat(3, 10**18, 7), Digests("a" * 32, "b" * 64))
BARE = b'{"account": "default", "destination": "MemoryVDB/Meta/note.txt"}'
"""A receipt of no generation."""
PROJECT = Path(__file__).parents[3]


def of(folder: Path) -> Receipts[Receipt]:
    """The receipts below that folder."""
    return Receipts(folder, Receipt)


def file_of(folder: Path) -> Path:
    """Where the receipt lies."""
    return folder / NAME[0] / f"{NAME[1:]}.json"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Everything a receipt can say comes back; people can read the file, strangers can't."""
    claim = Create(FileId("id"), "nonce", "note.txt", FileId("folder"), CONTENT, session="https://secret")
    done = CompletedUpload(FileId("id"), "note.txt", CONTENT, 3, 5, "link")
    whole = replace(BLANK, claim=claim, attempt=3, attempted=CONTENT, done=(done,))

    written, _ = of(tmp_path).swap(NAME, None, whole)

    assert of(tmp_path).read(NAME) == written == replace(whole, generation=1)
    assert json.loads(file_of(tmp_path).read_text())["destination"] == "MemoryVDB/Meta/note.txt"
    assert file_of(tmp_path).stat().st_mode & 0o777 == 0o600
    assert os.listdir(file_of(tmp_path).parent) == [file_of(tmp_path).name]


def test_a_receipt_and_its_name_are_on_the_disk_when_it_is_written(tmp_path: Path, calls: list[str]) -> None:
    """What a power failure after `swap` leaves is the receipt that the request, sent next, speaks of."""
    first, _ = of(tmp_path).swap(NAME, None, BLANK)
    of_first, name, shard = list(calls), file_of(tmp_path).name, NAME[0]
    calls.clear()
    of(tmp_path).swap(NAME, first, replace(BLANK, attempt=2))

    written = ["fsync temporary", f"link {name}", "unlink temporary", f"fsync {shard}"]
    assert without_temporaries(of_first) == [f"mkdir {shard}", f"fsync {tmp_path.name}", *written]
    assert without_temporaries(calls) == [
        "fsync temporary", f"link {name}.2", "unlink temporary", f"unlink {name}.1", f"replace {name}", f"fsync {shard}"
    ]  # fmt: skip


def test_of_racing_first_claims_one_wins(tmp_path: Path) -> None:
    """Sixteen threads claim one destination: one id is agreed on."""
    won: list[str] = []
    start = threading.Barrier(16)

    def claim(number: int) -> None:
        start.wait()
        with contextlib.suppress(Superseded):
            won.append(of(tmp_path).swap(NAME, None, replace(BLANK, destination=str(number)))[0].destination)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = of(tmp_path).read(NAME)
    assert found
    assert found.generation == 1
    assert len(won) <= 1
    assert won in ([], [found.destination])


COUNTING = """
import sys
from pathlib import Path
from msgspec.structs import replace
from tests.unit.state.test_receipts import BLANK, NAME, Superseded, of
receipts = of(Path(sys.argv[1]))
for _ in range(40):
    while True:
        old = receipts.read(NAME)
        try:
            receipts.swap(NAME, old, replace(old or BLANK, attempt=(old or BLANK).attempt + 1))
        except Superseded:
            continue
        break
"""


def test_no_swap_of_racing_processes_is_lost(tmp_path: Path) -> None:
    """Each replaces what it read, or is told that it didn't: a counter in the receipt misses none."""
    racers = [subprocess.Popen([sys.executable, "-c", COUNTING, tmp_path], cwd=PROJECT) for _ in range(4)]

    codes = [racer.wait(timeout=60) for racer in racers]

    found = of(tmp_path).read(NAME)
    assert codes == [0] * 4
    assert found
    assert found.attempt == found.generation >= 160
    assert os.listdir(file_of(tmp_path).parent) == [file_of(tmp_path).name]


KILLED = """
import os, signal, sys
from pathlib import Path
from msgspec.structs import replace
from tests.unit.state.test_receipts import BLANK, NAME, of
receipts = of(Path(sys.argv[1]))
step, moment = sys.argv[2:]
real = getattr(os, step)
def fatal(*arguments):
    if moment == "after":
        real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
old = receipts.read(NAME)
setattr(os, step, fatal)
receipts.swap(NAME, old, replace(old or BLANK, attempt=(old or BLANK).attempt + 1))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", ["fsync", "link", "unlink", "replace"])
def test_a_writer_killed_at_any_step(tmp_path: Path, step: str, moment: str) -> None:
    """The receipt is the old one or the new one; who comes next gets through after at most one `Superseded`."""
    receipts = of(tmp_path)
    receipts.swap(NAME, None, BLANK)

    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path, step, moment], cwd=PROJECT, check=False)
    before = receipts.read(NAME)
    tries = 0
    while True:
        tries += 1
        old = receipts.read(NAME)
        assert old
        with contextlib.suppress(Superseded):
            new, _ = receipts.swap(NAME, old, replace(old, attempt=old.attempt + 1))
            break

    assert killed.returncode == -signal.SIGKILL
    assert before in (replace(BLANK, generation=1), replace(BLANK, generation=2, attempt=1))
    assert new.attempt == new.generation - 1
    assert tries <= 2
    assert receipts.read(NAME) == new


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", ["mkdir", "pwrite", "fsync", "link", "unlink"])
def test_a_first_claim_killed_at_any_step(tmp_path: Path, step: str, moment: str) -> None:
    """There is no receipt, or a whole one; who comes next writes without hindrance."""
    receipts = of(tmp_path)

    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path, step, moment], cwd=PROJECT, check=False)
    found = receipts.read(NAME)
    new, _ = receipts.swap(NAME, found, replace(found or BLANK, attempt=5))

    assert killed.returncode == -signal.SIGKILL
    assert found in (None, replace(BLANK, generation=1, attempt=1))
    assert receipts.read(NAME) == new
    assert not list(tmp_path.glob("*/*damaged*"))


def test_an_outdated_swap_is_refused(tmp_path: Path) -> None:
    """What was read is no longer there."""
    receipts = of(tmp_path)
    first, _ = receipts.swap(NAME, None, BLANK)
    receipts.swap(NAME, first, BLANK)

    for outdated in (None, first):
        with pytest.raises(Superseded):
            receipts.swap(NAME, outdated, BLANK)


def test_a_dead_writers_link_takes_nothing_back(tmp_path: Path) -> None:
    """One that came back from a backup, beside a receipt that has gone on: who meets it finishes nothing with it."""
    receipts = of(tmp_path)
    first, _ = receipts.swap(NAME, None, BLANK)
    second, _ = receipts.swap(NAME, first, replace(BLANK, attempt=2))
    left_over = Path(f"{file_of(tmp_path)}.2")
    left_over.write_bytes(file_of(tmp_path).read_bytes())
    third, _ = receipts.swap(NAME, second, replace(BLANK, attempt=3))

    with pytest.raises(Superseded):
        receipts.swap(NAME, first, replace(BLANK, attempt=4))

    assert receipts.read(NAME) == third
    assert not left_over.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b'{"account": 1}', BARE, b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_receipt_is_set_aside(tmp_path: Path, content: bytes) -> None:
    """It counts as none, is kept for people, and a new one can be written."""
    file = file_of(tmp_path)
    file.parent.mkdir(parents=True)
    file.write_bytes(content)

    found = of(tmp_path).read(NAME)
    written, _ = of(tmp_path).swap(NAME, None, BLANK)

    (aside,) = file.parent.glob("*damaged*")
    assert found is None
    assert aside.read_bytes() == content
    assert of(tmp_path).read(NAME) == written


def test_a_folder_in_a_receipts_place_is_set_aside(tmp_path: Path) -> None:
    """Like any other damage, with all that is in it."""
    (file_of(tmp_path) / "inside").mkdir(parents=True)

    with pytest.raises(Superseded):
        of(tmp_path).swap(NAME, None, BLANK)
    written, _ = of(tmp_path).swap(NAME, None, BLANK)

    (aside,) = file_of(tmp_path).parent.glob("*damaged*")
    assert (aside / "inside").is_dir()
    assert of(tmp_path).read(NAME) == written


@pytest.mark.parametrize("content", [None, b"", b'"\xff"', b"{}", b"[" * 100_000])
def test_a_damaged_marker_is_set_aside(tmp_path: Path, content: bytes | None) -> None:
    """Left by a dead writer and damaged since, or a folder: it hinders nobody twice."""
    receipts = of(tmp_path)
    first, _ = receipts.swap(NAME, None, BLANK)
    marker = file_of(tmp_path).with_name(f"{file_of(tmp_path).name}.2")
    marker.mkdir() if content is None else marker.write_bytes(content)

    with pytest.raises(Superseded):
        receipts.swap(NAME, first, BLANK)
    second, _ = receipts.swap(NAME, first, BLANK)

    assert receipts.read(NAME) == second
    assert len(list(marker.parent.glob("*.json.2.damaged-*"))) == 1


@pytest.mark.parametrize("file_id", ["", " ", "a/b", "a\n"])
def test_an_id_that_is_none_is_damage(tmp_path: Path, file_id: str) -> None:
    """Neither of a claim nor of what is done: Drive would be asked for something else."""
    claim = Create(FileId("id"), "nonce", "note.txt", FileId("folder"), CONTENT)
    done = CompletedUpload(FileId("id"), "note.txt", CONTENT, 1, 5)

    for each in (
        replace(BLANK, claim=replace(claim, id=FileId(file_id))),
        replace(BLANK, claim=replace(claim, folder=FileId(file_id))),
        finished(BLANK, replace(done, id=FileId(file_id))),
    ):
        of(tmp_path).swap(NAME, None, each)
        assert of(tmp_path).read(NAME) is None


def test_a_newer_versions_receipt_is_left_alone(tmp_path: Path) -> None:
    """An older job can't know what it means: it stops, with a sentence, and changes nothing."""
    file = file_of(tmp_path)
    file.parent.mkdir(parents=True)
    content = json.dumps({"account": "a", "destination": "d", "version": VERSION + 1, "news": True})
    file.write_text(content)

    with pytest.raises(VolumeUnavailable, match="newer version"):
        of(tmp_path).read(NAME)
    with pytest.raises(VolumeUnavailable, match="newer version"):
        of(tmp_path).swap(NAME, None, BLANK)

    assert file.read_text() == content


def test_what_is_remembered_is_bounded() -> None:
    """The oldest content gives way; no file id is there twice."""
    receipt = BLANK
    for number in range(DONE_MAX + 10):
        receipt = finished(receipt, CompletedUpload(FileId(f"id{number % (DONE_MAX + 5)}"), "n", CONTENT, 1, number))

    ids = [each.id for each in receipt.done]
    assert len(ids) == DONE_MAX == len(set(ids))
    assert receipt.done[-1].at_ns == DONE_MAX + 9


def test_attempts_are_counted_by_content() -> None:
    """One more for the same content, one for another."""
    other = Fingerprint(FileStat(4, 1, 1), None)

    twice = trying(trying(BLANK, CONTENT), CONTENT)

    assert [twice.attempt, trying(twice, other).attempt, trying(trying(twice, other), CONTENT).attempt] == [2, 1, 1]


def test_a_receipt_begun_anew_is_another_one(tmp_path: Path) -> None:
    """The state is deleted, and another invocation's first receipt has the generation that ours had."""
    receipts = of(tmp_path)
    ours = ReceiptWriter(receipts, NAME, BLANK)
    ours.claim(Create(FileId("ours"), "nonce", "note.txt", FileId("folder"), CONTENT))
    file_of(tmp_path).unlink()
    theirs = ReceiptWriter(receipts, NAME, BLANK)
    theirs.claim(Create(FileId("theirs"), "other", "note.txt", FileId("folder"), CONTENT))

    assert theirs.current.generation == ours.current.generation
    with pytest.raises(Superseded):
        ours.check()
    with pytest.raises(Superseded):
        ours.claim(None)
    assert receipts.read(NAME) == theirs.current
    assert ours.reread()


def finishing(folder: Path) -> ReceiptWriter:
    """A receipt whose claim is done."""
    writer = ReceiptWriter(of(folder), NAME, BLANK)
    writer.claim(Create(FileId("ours"), "nonce", "note.txt", FileId("folder"), CONTENT))
    return writer


def reading(folder: Path) -> ReceiptWriter:
    """Another invocation, which has read it."""
    writer = ReceiptWriter(of(folder), NAME, BLANK)
    writer.reread()
    return writer


def finish(writer: ReceiptWriter) -> None:
    """Say that it is done."""
    writer.finish(RemoteRef(FileId("ours"), "note.txt"), CONTENT, "", ())


def test_a_claims_end_is_added_to_its_file_and_may_be_torn(tmp_path: Path, calls: list[str]) -> None:
    """What was written of it before a death is passed over, at whatever byte; the next one stands behind it."""
    writer = finishing(tmp_path)
    claimed, before = writer.current, file_of(tmp_path).read_bytes()
    inode = file_of(tmp_path).stat().st_ino
    calls.clear()
    finish(writer)
    whole = file_of(tmp_path).read_bytes()

    assert (file_of(tmp_path).stat().st_ino, whole[: len(before)]) == (inode, before)
    assert not [each for each in calls if "fsync" in each]
    assert of(tmp_path).read(NAME) == writer.current
    assert (writer.current.claim, writer.current.generation) == (None, claimed.generation + 1)
    added = len(whole) - len(before)
    parts = [whole[: len(before) + part] for part in range(added)]
    zeros = [before + bytes(part) + whole[len(before) + part :] for part in range(1, added + 1)]
    for left in (*parts, *zeros, *(part + bytes(len(whole) - len(part)) for part in parts)):
        file_of(tmp_path).write_bytes(left)
        again = reading(tmp_path)
        assert again.current in (claimed, writer.current), left
        if again.current.claim:
            finish(again)
        assert of(tmp_path).read(NAME) == again.current
        assert again.current.claim is None


@pytest.mark.parametrize("meanwhile", ["taken over", "deleted", "a folder"])
def test_a_claims_end_is_added_to_no_other_receipt(tmp_path: Path, meanwhile: str) -> None:
    """Another invocation has taken the claim over, or the state was deleted."""
    late = finishing(tmp_path)
    if meanwhile == "taken over":
        reading(tmp_path).claim(None)
    else:
        file_of(tmp_path).unlink()
    if meanwhile == "a folder":
        file_of(tmp_path).mkdir()

    with pytest.raises(Superseded):
        finish(late)

    left = of(tmp_path).read(NAME)
    assert (left and (left.claim, left.done)) == ((None, ()) if meanwhile == "taken over" else None)


def test_what_no_claim_led_to_is_on_the_disk(tmp_path: Path, calls: list[str]) -> None:
    """Nothing else tells that content was found and adopted, or that a claim came to its end in another's file."""
    writer = finishing(tmp_path)
    calls.clear()
    writer.finish(RemoteRef(FileId("theirs"), "note.txt"), CONTENT, "", ())
    first = len([each for each in calls if "fsync" in each])

    writer.finish(RemoteRef(FileId("anothers"), "note.txt"), CONTENT, "", ())

    assert (first, len([each for each in calls if "fsync" in each])) == (2, 4)
    assert of(tmp_path).read(NAME) == writer.current


def test_an_invocation_counts_once_however_it_writes(tmp_path: Path) -> None:
    """It ends the claim of another, which died, and fails afterwards."""
    finishing(tmp_path)
    heir = reading(tmp_path)
    finish(heir)

    assert (heir.is_counted, heir.current.attempt) == (True, 2)


def test_who_was_about_to_replace_an_ended_claim_takes_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease is over: it counts its attempt, and stands still in front of its rename."""
    ended = finishing(tmp_path)
    late, real = reading(tmp_path), os.replace

    def frozen(source: str, target: str) -> None:
        monkeypatch.setattr(os, "replace", real)
        finish(ended)
        reading(tmp_path).claim(Create(FileId("next"), "nonce", "note (2).txt", FileId("folder"), CONTENT))
        real(source, target)

    monkeypatch.setattr(os, "replace", frozen)
    with pytest.raises(Superseded):
        late.count_attempt(CONTENT)

    now = of(tmp_path).read(NAME)
    assert now
    assert (isinstance(now.claim, Create) and now.claim.id, [each.id for each in now.done]) == ("next", ["ours"])
    assert os.listdir(file_of(tmp_path).parent) == [file_of(tmp_path).name]


def test_a_link_left_in_front_of_an_ended_claim_is_taken_away(tmp_path: Path) -> None:
    """Both died: one before its rename, the other between what it appended and the link that it would take away."""
    finish(finishing(tmp_path))
    left = file_of(tmp_path).with_name(f"{file_of(tmp_path).name}.2")
    left.write_bytes(file_of(tmp_path).read_bytes())

    reading(tmp_path).count_attempt(replace(CONTENT, digests=None))

    assert os.listdir(file_of(tmp_path).parent) == [file_of(tmp_path).name]


@pytest.mark.parametrize("trouble", [OSError(errno.ENOSPC, "full"), PermissionError(errno.EACCES, "read-only")])
def test_an_end_that_cant_be_added_is_written_as_any_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: OSError
) -> None:
    """A part of it may stand behind the claim by then."""
    writer = finishing(tmp_path)
    real = os.write

    def write(fd: int, content: bytes) -> int:
        real(fd, content[:20])
        raise trouble

    monkeypatch.setattr(os, "write", write)
    finish(writer)

    assert of(tmp_path).read(NAME) == writer.current
    assert writer.current.claim is None


def test_a_short_write_is_gone_on_with_and_no_file_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel may take less than it was given."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, content: real(fd, content[:7]))
    before = len(os.listdir("/proc/self/fd"))
    writer = finishing(tmp_path)
    finish(writer)
    writer.check()

    assert of(tmp_path).read(NAME) == writer.current
    assert b"\n{" in file_of(tmp_path).read_bytes()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_receipt_that_changes_while_it_is_read_is_not_taken_for_the_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another replaces it when its content has just been read."""
    finishing(tmp_path)
    slow, real = ReceiptWriter(of(tmp_path), NAME, BLANK), Receipts.read

    def read(self: Receipts[Receipt], name: str) -> Receipt | None:
        found = real(self, name)
        monkeypatch.setattr(Receipts, "read", real)
        reading(tmp_path).claim(None)
        return found

    monkeypatch.setattr(Receipts, "read", read)
    slow.reread()

    with pytest.raises(Superseded):
        slow.check()


def test_a_volume_that_cant_be_looked_at_is_the_volumes_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an internal error."""
    writer = finishing(tmp_path)

    def fails(*_: object) -> int:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "open", fails)

    with pytest.raises(VolumeUnavailable, match="broken"):
        writer.check()


@pytest.mark.parametrize("indent", [None, 0, 1, 4])
def test_a_receipt_that_a_person_wrote_is_read(tmp_path: Path, indent: int | None) -> None:
    """In whatever form their program gives it."""
    written, _ = of(tmp_path).swap(NAME, None, replace(BLANK, attempt=3, attempted=CONTENT))
    document = json.loads(file_of(tmp_path).read_bytes())
    file_of(tmp_path).write_text(json.dumps(document, indent=indent))

    assert of(tmp_path).read(NAME) == written
