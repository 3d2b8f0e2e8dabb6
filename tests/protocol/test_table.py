"""docs/protocol.md: the table of what becomes of a claim is what the code does; the tests that it names are there."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from function.core.errors import DestinationExists, UploadError
from function.core.receipt import Claim, CompletedUpload, Create, LoseTo, Mend, Receipt, RemoteRef, Revise
from function.core.types import FileId, FileStat, Fingerprint, FolderListing, LoggedUpload, Policy, RemoteFile
from function.protocol.next_step import next_step
from function.protocol.steps import Facts, Finish, Log, Send, Trash, Wanted, WriteClaim, WriteDone
from tests.support.digests import digests_of

PROJECT = Path(__file__).parents[2]

PAGE = PROJECT / "docs/protocol.md"

NAMED = re.compile(r"`(?P<test>test_\w+)(?P<more>…?)`(?: \(`(?P<file>tests/[^`]+)`\))?")
"""A test that the page names, cut short or not; the file where it isn't the one with the actors."""

ID, FOLDER, NAME, KEY = FileId("id"), FileId("folder"), "zones.txt", "key"


def content(text: str) -> Fingerprint:
    """A content with its digests."""
    return Fingerprint(FileStat(len(text), 1, 1), digests_of(text.encode()))


SOURCE, CLAIMED = content("the source's"), content("the claimed")

CLAIMS: dict[str, Claim] = {
    "Create": Create(ID, "nonce", NAME, FOLDER, CLAIMED),
    "Mend": Mend(ID, "nonce", NAME, FOLDER, CLAIMED, wrong="revision-wrong"),
    "Revise, of the source": Revise(ID, "nonce", NAME, FOLDER, SOURCE, base="revision-base"),
    "Revise, of the source, and the call has another policy": Revise(
        ID, "nonce", NAME, FOLDER, SOURCE, base="revision-base"
    ),
    "Revise, of another content": Revise(ID, "nonce", NAME, FOLDER, CLAIMED, base="revision-base"),
}

STANDS: dict[str, tuple[str | None, dict[str, object], int]] = {
    "nothing": (None, {}, 0),
    "not ours": ("other", {"nonce": "another"}, 1),
    "the source's content": ("the source's", {}, 2),
    "the claimed content": ("the claimed", {}, 2),
    "other, only its create's revision": ("other", {}, 1),
    "other, written to since": ("other", {}, 2),
    "what stood there when it was claimed": ("other", {"head_revision_id": None}, 2),
}
"""What stands under the id: its content, fields that differ, and its revisions."""


def stands(claim: Claim, text: str | None, fields: dict[str, object]) -> RemoteFile | None:
    """The file under the claim's id."""
    if text is None:
        return None
    held = content(text)
    assert held.digests
    head = "revision-new"
    if "head_revision_id" in fields:
        head = getattr(claim, "wrong", None) or getattr(claim, "base", None) or "revision-1"
    return RemoteFile(
        ID, NAME, parents=(FOLDER,), size=held.stat.size, md5=held.digests.md5, sha256=held.digests.sha256,
        created_time="2026", key=KEY, nonce=str(fields.get("nonce", "nonce")), head_revision_id=head,
    )  # fmt: skip


def cell(claim: Claim, policy: Policy, text: str | None, fields: dict[str, object], revisions: int) -> str:
    """The next step for a claim that another invocation left, in the words of the page."""
    file = stands(claim, text, fields)
    shown = (file,) if file else ()
    facts = Facts(
        "mine", digests=SOURCE.digests, leaf=FOLDER, fresh_id=FileId("fresh"), files={ID: file}, logged={ID: None},
        listing=FolderListing(None, shown, began=9.0), revisions={ID: revisions}, answered_at=1.0,
    )  # fmt: skip
    wanted = Wanted("MemoryVDB/zones.txt", NAME, KEY, SOURCE.stat, policy)
    try:
        step = next_step(wanted, Receipt("default", "MemoryVDB/zones.txt", claim=claim, generation=1), facts)
    except UploadError as error:
        return error.reason
    match step:
        case Send():
            return "send"
        case Log(content=logged):
            return "log, record" if logged == SOURCE else "log and record that one, go on"
        case WriteClaim(None, discards_ids):
            return "drop it and the pool" if discards_ids else "drop it"
        case WriteClaim(Mend()):
            return "mend"
        case WriteClaim(Create()):
            return "plan, same id"
        case _:
            return type(step).__name__


def table() -> str:
    """The table, as Markdown."""
    lines = ["| claim \\ under its id stands | " + " | ".join(STANDS) + " |", "|---" * (len(STANDS) + 1) + "|"]
    for name, claim in CLAIMS.items():
        policy = Policy.NEW_REVISION if name == "Revise, of the source" else Policy.KEEP_BOTH
        lines.append(f"| {name} | " + " | ".join(cell(claim, policy, *each) for each in STANDS.values()) + " |")
    return "\n".join(lines)


def test_the_page_shows_what_the_code_does() -> None:
    """Each cell of the table is a step that `next_step` gives."""
    assert table() in PAGE.read_text(encoding="utf-8"), f"docs/protocol.md should have this table:\n\n{table()}"


def test_the_tests_that_the_page_names_are_there() -> None:
    """Each is in the file that the page says, one of that name."""
    missing = []
    for each in NAMED.finditer(PAGE.read_text(encoding="utf-8")):
        text = (PROJECT / (each["file"] or "tests/crash/test_actors.py")).read_text(encoding="utf-8")
        if text.count(f"\ndef {each['test']}{'' if each['more'] else '('}") != 1:
            missing.append(each[0])

    assert missing == []


LOSING = LoseTo(Create(ID, "nonce", NAME, FOLDER, SOURCE), RemoteRef(FileId("winner"), NAME))


@pytest.mark.parametrize(
    ("ours", "winner", "expected"),
    [
        ("live", "live", "Trash"),
        ("live", "binned", "WriteClaim"),
        ("live", "gone", "WriteClaim"),
        ("live", "edited", "WriteClaim"),
        ("binned", "live", "Finish"),
        ("gone", "live", "Finish"),
        ("edited", "live", "Finish"),
        ("another's", "live", "Finish"),
    ],
)
def test_only_a_second_copy_goes_to_the_bin(ours: str, winner: str, expected: str) -> None:
    """Ours is put there only beside a live file of the same content, both looked at by their ids."""

    def file(file_id: str, state: str) -> RemoteFile | None:
        found = stands(CLAIMS["Create"], "other" if state == "edited" else "the source's", {})
        assert found
        trashed, nonce = state == "binned", "another" if state == "another's" else "nonce"
        return None if state == "gone" else replace(found, id=FileId(file_id), trashed=trashed, nonce=nonce)

    facts = Facts(
        "mine", digests=SOURCE.digests, files={ID: file("id", ours), FileId("winner"): file("winner", winner)}
    )
    wanted = Wanted("MemoryVDB/zones.txt", NAME, KEY, SOURCE.stat, Policy.KEEP_BOTH)

    step = next_step(wanted, Receipt("default", "zones", claim=LOSING, generation=1), facts)

    assert type(step).__name__ == expected


def test_a_logged_claim_is_finished_whatever_its_owner_did() -> None:
    """What the log tells of a claim's id is done: nothing is looked at, nothing is written over."""
    digests = SOURCE.digests
    assert digests
    size, label = SOURCE.stat.size, "MemoryVDB/zones.txt"
    told = LoggedUpload("uploaded", "default", "zones", label, ID, size, digests.sha256, digests.md5)
    facts = Facts("mine", digests=digests, logged={ID: told})
    wanted = Wanted("MemoryVDB/zones.txt", NAME, KEY, SOURCE.stat, Policy.KEEP_BOTH)
    claim = Create(ID, "nonce", NAME, FOLDER, SOURCE)

    step = next_step(wanted, Receipt("default", "zones", claim=claim, generation=1), facts)

    assert type(step).__name__ == "Finish"


def test_the_receipt_names_the_older_file_before_the_younger_one_goes_to_the_bin() -> None:
    """Racers left two files of one content. A kill between the two steps must not leave a receipt that leads there."""
    made = stands(CLAIMS["Create"], "the claimed", {})
    assert made
    older = replace(made, id=FileId("older"), created_time="2025")
    younger = replace(made, id=FileId("younger"), created_time="2026")
    facts = Facts(
        "mine", digests=SOURCE.digests, leaf=FOLDER, fresh_id=FileId("fresh"), answered_at=1.0,
        files={older.id: older, younger.id: younger}, listing=FolderListing(None, (older, younger), began=9.0),
    )  # fmt: skip
    wanted = Wanted("MemoryVDB/zones.txt", NAME, KEY, SOURCE.stat, Policy.KEEP_BOTH)
    done = CompletedUpload(younger.id, NAME, CLAIMED, attempt=1, at_ns=1)
    receipt = Receipt("default", "zones", done=(done,), generation=1)

    first = next_step(wanted, receipt, facts)

    assert isinstance(first, WriteDone)
    assert ([each.id for each in first.done], first.strays) == ([older.id], (younger.id,))
    assert next_step(wanted, replace(receipt, done=first.done, strays=first.strays), facts) == Trash(younger)


@pytest.mark.parametrize(
    ("folder", "trashed", "expected"),
    [
        ("its own", False, "Move"),
        ("its own", True, "Move"),
        ("its owner's", False, "Log"),
        ("the new one", False, "Log"),
    ],
)
def test_a_file_follows_its_folder_and_stays_where_its_owner_put_it(folder: str, trashed: bool, expected: str) -> None:
    """Its upload is not recorded yet, and the destination's folder is another one by now."""
    made = stands(CLAIMS["Create"], "the source's", {})
    assert made
    parents = {"its own": FOLDER, "its owner's": FileId("elsewhere"), "the new one": FileId("leaf")}
    file = replace(made, parents=(parents[folder],), trashed=trashed)
    facts = Facts(
        "mine", digests=SOURCE.digests, leaf=FileId("leaf"), files={ID: file}, logged={ID: None}, answered_at=1.0,
        listing=FolderListing(None, (), began=9.0),
    )  # fmt: skip
    wanted = Wanted("MemoryVDB/zones.txt", NAME, KEY, SOURCE.stat, Policy.KEEP_BOTH)

    step = next_step(wanted, Receipt("default", "zones", claim=CLAIMS["Create"], generation=1), facts)

    assert type(step).__name__ == expected


@pytest.mark.parametrize(("other", "expected"), [("live", "Finish"), ("binned", "Log"), ("of other content", "Log")])
def test_a_file_that_a_racer_binned_is_replaced_by_the_racers_equal_one(other: str, expected: str) -> None:
    """And one that its owner binned stays in the bin, and is logged: there is no other of its content."""
    made = stands(CLAIMS["Create"], "the source's", {})
    held = stands(CLAIMS["Create"], "other" if other == "of other content" else "the source's", {})
    assert made
    assert held
    binned = replace(made, trashed=True, explicitly_trashed=True)
    racers = replace(held, id=FileId("racer's"), created_time="2025", trashed=other == "binned")
    elsewhere = replace(racers, id=FileId("racer's, elsewhere"), trashed=other == "binned")
    for listing in (
        FolderListing(None, (racers,), began=9.0),
        FolderListing(None, (), (elsewhere,), began=9.0),
    ):
        facts = Facts(
            "mine", digests=SOURCE.digests, leaf=FOLDER, files={ID: binned}, logged={ID: None}, listing=listing
        )
        wanted = Wanted("MemoryVDB/zones.txt", NAME, KEY, SOURCE.stat, Policy.KEEP_BOTH)

        step = next_step(wanted, Receipt("default", "zones", claim=CLAIMS["Create"], generation=1), facts)

        assert type(step).__name__ == expected
        if isinstance(step, Finish):
            assert step.file.id.startswith("racer's")


@pytest.mark.parametrize("key", [KEY, "another's"])
def test_ours_is_known_by_its_mark_under_another_name(key: str) -> None:
    """Its owner has renamed it, and no receipt tells of it: an equal file without our mark is another's."""
    made = stands(CLAIMS["Create"], "the source's", {})
    assert made
    renamed = replace(made, name="renamed by its owner.txt", key=key)
    facts = Facts(
        "mine", digests=SOURCE.digests, leaf=FOLDER, fresh_id=FileId("fresh"),
        listing=FolderListing(None, (renamed,), began=9.0),
    )  # fmt: skip
    wanted = Wanted("MemoryVDB/zones.txt", NAME, KEY, SOURCE.stat, Policy.KEEP_BOTH)

    step = next_step(wanted, Receipt("default", "zones", generation=1), facts)

    adopts = isinstance(step, Finish) and step.file.id == ID
    assert adopts if key == KEY else isinstance(step, WriteClaim)


@pytest.mark.parametrize("policy", list(Policy))
def test_a_file_that_is_about_to_give_way_is_not_adopted(policy: Policy) -> None:
    """A racer that doesn't share our state has made it beside older content, and bins it next, unless it keeps both."""
    racers = stands(CLAIMS["Create"], "the source's", {})
    first = stands(CLAIMS["Create"], "other", {})
    assert racers
    assert first
    first = replace(first, id=FileId("first"), created_time="2025")
    racers = replace(racers, created_time="2026")
    facts = Facts(
        "mine", digests=SOURCE.digests, leaf=FOLDER, fresh_id=FileId("fresh"),
        listing=FolderListing(None, (first, racers), began=9.0),
    )  # fmt: skip
    wanted = Wanted("MemoryVDB/zones.txt", NAME, KEY, SOURCE.stat, policy)

    if policy is Policy.FAIL:
        with pytest.raises(DestinationExists):
            next_step(wanted, Receipt("default", "zones", generation=1), facts)
        return
    step = next_step(wanted, Receipt("default", "zones", generation=1), facts)

    expected = {Policy.KEEP_BOTH: "Finish", Policy.SKIP: "Skip", Policy.NEW_REVISION: "WriteClaim"}
    assert type(step).__name__ == expected[policy]
    if isinstance(step, WriteClaim):
        assert step.claim
        assert step.claim.id == first.id
