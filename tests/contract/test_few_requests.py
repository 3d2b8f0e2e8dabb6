"""Requests are Drive's price: how many each situation takes, as the Drive counts them, and as the log does."""

import threading
from pathlib import Path
from typing import Any

import pytest

from function.core import retry
from function.folders import tree
from tests.support.home import Home, Post
from tests.support.owner import Owner

COUNT = 100

VERSIONS_OF_OTHERS = {50: 12, 365: 12, 3000: 110}
"""Names that others have taken -> requests of our first upload there, which doesn't know where they end."""


def batch(home: Home, *, content: str = "", **options: Any) -> dict[str, Any]:
    """A payload for a hundred files of one folder."""
    paths = [home.put(f"Data/Many/{number:03}.txt", f"{content}{number}") for number in range(COUNT)]
    for path in paths:
        home.age(path)
    return {"files": [{"path": path} | options for path in paths]}


def asked(home: Home, post: Post, payload: Any) -> int:
    """Requests that a payload takes; fails where the log's sum is another."""
    home.drive.requests.clear()
    answer = post(home, payload)
    assert answer.code == 200, answer
    assert sum(each["requests"] for each in answer.entries) == len(home.drive.requests)
    return len(home.drive.requests)


def test_a_hundred_changed_files_cost_little_more_than_their_creates(home: Home, post: Post) -> None:
    """New states of files that are there go beside them: all names are looked at together, before and after."""
    post(home, batch(home))

    assert asked(home, post, batch(home, content="new ")) <= COUNT + 3
    assert asked(home, post, batch(home, content="new ")) == 0


@pytest.mark.parametrize("policy", ["skip", "new_revision"])
def test_a_hundred_names_that_are_taken_are_looked_at_once(home: Home, post: Post, policy: str) -> None:
    """One listing tells of all, another that revisions are in their folder; each is a session of two requests."""
    post(home, batch(home))

    assert asked(home, post, batch(home, content="new ", if_exists=policy)) <= (
        2 * COUNT + 2 if policy != "skip" else 1
    )


def test_a_hundred_clashes_that_are_met_late_are_settled_together(home: Home, post: Post) -> None:
    """In a folder that is warm a clash is found after the create: each costs a rename, and all of them three looks."""
    post(home, {"path": home.put("Data/Many/first.txt")})
    for number in range(COUNT):
        Owner(home.drive).make(f"MemoryVDB/Many/{number:03}.txt", f"theirs {number}".encode())

    assert asked(home, post, batch(home)) <= 2 * COUNT + 3

    assert home.stored()["MemoryVDB/Many/007.txt"] == b"theirs 7"
    assert home.stored()["MemoryVDB/Many/007 (2).txt"] == b"7"


def test_without_receipts_nothing_is_sent_again(home: Home, post: Post) -> None:
    """One look at the folder tells what is there; from then on each create waits for a look."""
    post(home, batch(home))
    for file in (home.folder / ".drive_upload").rglob("receipts/**/*.json"):
        file.unlink()
    for file in (home.folder / ".drive_upload").rglob("folders/**/*.json"):
        file.unlink()
    sent = home.drive.requests.bytes_in

    files = batch(home)["files"]
    first = post(home, files[0])
    others = [post(home, each) for each in files[1:4]]

    assert [each.entry["status"] for each in (first, *others)] == ["unchanged"] * 4
    assert asked(home, post, {"files": files}) == 1
    assert home.drive.requests.bytes_in - sent < COUNT


def test_what_a_power_failure_takes_of_receipts_costs_no_request(home: Home, post: Post) -> None:
    """Each is left with the claim that it was when the content was sent; the log tells how that ended."""
    post(home, batch(home))
    for file in (home.folder / ".drive_upload").rglob("receipts/**/*.json"):
        claim, end = file.read_bytes().split(b"\n{")
        file.write_bytes(claim + bytes(len(end)))

    again = post(home, batch(home))

    assert {each["status"] for each in again.entries} == {"unchanged"}
    assert sum(each["requests"] for each in again.entries) == 0
    assert len(home.stored()) == COUNT


def test_one_listing_settles_a_batch_and_begins_after_its_last_create(home: Home, post: Post) -> None:
    """In a warm folder nothing is looked at before: the creates, and then one listing that shows them all."""
    post(home, {"path": home.put("Data/Many/first.txt")})
    payload = batch(home)
    home.drive.requests.clear()
    home.drive.faults.add({"on": "files.create", "do": "delay", "ms": 1000, "nth": COUNT - 20})
    posting = threading.Thread(target=post, args=(home, payload))

    posting.start()
    while posting.is_alive() and sum(bool(each.status) for each in home.drive.requests.of("files.create")) < COUNT - 1:
        posting.join(0.01)
    too_early = home.drive.requests.of("files.list")
    under_way = [each for each in home.drive.requests.of("files.create") if not each.status]
    posting.join()

    assert (len(under_way), too_early) == (1, [])
    assert len(home.drive.requests) == COUNT + 1


@pytest.mark.usefixtures("quick_retries")
def test_a_look_that_fails_beside_the_creates_is_made_again(home: Home, post: Post) -> None:
    """Another one is made, which meets the clash."""
    post(home, {"path": home.put("Data/Many/first.txt")})
    Owner(home.drive).make("MemoryVDB/Many/007.txt", b"theirs 7")
    home.drive.faults.add({"on": "files.list", "do": "status", "status": 503, "times": retry.ATTEMPTS})

    failed = [each for each in post(home, batch(home)).entries if each["status"] == "failed"]

    assert len(failed) <= 1  # whoever looked, if it wasn't the look beside
    assert post(home, batch(home)).code == 200
    assert home.stored()["MemoryVDB/Many/007.txt"] == b"theirs 7"
    assert home.stored()["MemoryVDB/Many/007 (2).txt"] == b"7"
    assert len(home.stored()) == COUNT + 2


@pytest.mark.usefixtures("quick_retries")
def test_what_an_earlier_look_showed_settles_nothing(home: Home, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a cold folder a batch looks before its creates and after them: where that look fails, another is made."""
    post(home, {"path": home.put("Data/Many/first.txt")})
    monkeypatch.setattr(tree, "FRESH_S", 0.0)
    payload = batch(home)
    home.drive.requests.clear()
    home.drive.faults.add({"on": "files.list", "do": "status", "status": 503, "nth": 2, "times": retry.ATTEMPTS})

    failed = [each for each in post(home, payload).entries if each["status"] == "failed"]

    assert len(failed) == 1  # whoever looked
    assert [each.status for each in home.drive.requests.of("files.list")] == [200, *[503] * retry.ATTEMPTS, 200]


def test_a_version_costs_the_same_however_many_there_are(home: Home, post: Post) -> None:
    """A name that is edited daily: the search for a free one begins behind our own, in a folder that grows."""
    counts = [asked(home, post, {"path": home.put(content=f"version {number}")}) for number in range(50)]

    assert max(counts[1:]) <= 3
    assert home.stored()["MemoryVDB/Meta/note (50).txt"] == b"version 49"


def test_versions_of_others_are_passed_over_in_a_few_requests(home: Home, post: Post, tmp_path: Path) -> None:
    """The first upload beside them asks for twice as many names each time, a hundred a request; the next one knows."""
    for taken in VERSIONS_OF_OTHERS:
        zone = tmp_path / "seed" / "MemoryVDB" / str(taken)
        zone.mkdir(parents=True)
        for name in ("note.txt", *(f"note ({number}).txt" for number in range(2, taken + 1))):
            (zone / name).write_text(f"theirs {name}")
    home.drive.seed_from(tmp_path / "seed")

    counts, names = {}, []
    for taken in VERSIONS_OF_OTHERS:
        path = f"Data/{taken}/note.txt"
        counts[taken] = [asked(home, post, {"path": home.put(path, f"ours {number}")}) for number in range(2)]
        names += [f"MemoryVDB/{taken}/note ({taken + number}).txt" for number in (1, 2)]

    assert all(first <= VERSIONS_OF_OTHERS[taken] and second <= 3 for taken, (first, second) in counts.items()), counts
    assert set(names) <= home.stored().keys()
