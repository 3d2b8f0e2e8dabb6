"""The protocol keeps the promise in every schedule of small worlds: steps, kills, lost answers, racers and owners.

`pytest -m chaos -s tests/protocol` goes through every state of `SCENARIOS` and says how many they are, and through the
first `CAMPAIGN_AT_MOST` schedules of those in `LARGER`. The suite goes through the smaller scenarios whole, and through
as many schedules of the others as `SCHEDULES_AT_MOST` and `SAMPLED` say.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator

import pytest

from function.core.errors import DestinationExists, UploadError
from function.core.types import Policy, RemoteFile, Status
from tests.protocol.explore import Explored, explore, sample
from tests.protocol.model import EDITED, KEY, Call, Scenario, World, finish

SCHEDULES_AT_MOST = 100

SAMPLED = 300

CAMPAIGN_AT_MOST = 5_000

REVISIONS = Policy.NEW_REVISION

SCENARIOS = [
    Scenario("two kills, a late request", kills=2, late=1),
    Scenario("lost requests and answers", lost=1, never=1, kills=1),
    Scenario("a folder that is not known", is_known=False, kills=1, lost=1, late=1),
    Scenario("an edited source", edits_source=True, kills=1, late=1, lost=1),
    Scenario("a session", is_large=True, kills=1, lost=1, never=1),
    Scenario("a session of an edited source", is_large=True, kills=1, late=1, edits_source=True),
    Scenario("damage, three times", damaged=3),
    Scenario("damage and a kill", damaged=1, kills=1),
    Scenario("damage in a session", damaged=2, is_large=True),
    Scenario("damage, and an owner who bins", damaged=1, kills=1, others=("trash",)),
    Scenario("damage, and an owner who renames", damaged=1, kills=1, others=("rename",)),
    Scenario(
        "a session that mends, and an owner who edits", is_large=True, damaged=1, never=1, kills=1, others=("edit",)
    ),
    Scenario(
        "a session that mends, and an owner who bins", is_large=True, damaged=1, never=1, kills=1, others=("trash",)
    ),
    Scenario("an owner who edits", kills=1, others=("edit",), lost=1),
    Scenario("an owner who bins", kills=1, others=("trash",)),
    Scenario("an owner who renames", kills=1, others=("rename",)),
    Scenario("an owner who deletes", kills=1, others=("delete",)),
    Scenario("a foreign file of that name", kills=1, others=("foreign",)),
    Scenario("a foreign file, and an owner who edits", kills=1, others=("foreign", "edit")),
    Scenario("a folder that goes into the bin", kills=1, others=("trash_folder",)),
    Scenario("a state that is deleted", others=("lose_state",), kills=1),
    Scenario("a state that is deleted, behind listings", others=("lose_state",), lease=True, hides=True),
    Scenario("a state that is deleted, locks and all", others=("lose_state",), lease=True),
    Scenario("leases that overlap", lease=True, kills=1),
    Scenario("a state from a backup", others=("backup",), calls=3, edits_source=True, lost=1),
    Scenario("a home that is copied", homes=2, calls=1, contents=2, kills=1, others=("copy",)),
    Scenario(
        "a home that is copied, with a session",
        homes=2,
        contents=2,
        is_large=True,
        kills=1,
        others=("copy",),
        rounds=3,
    ),
    Scenario("racers of equal content", homes=2, calls=1),
    Scenario("racers of other contents", homes=2, calls=1, contents=2),
    Scenario("racers with sessions", homes=2, calls=1, is_large=True),
    Scenario("racers with sessions, one of which dies", homes=2, calls=1, is_large=True, kills=1),
    Scenario("racers with sessions of other contents", homes=2, calls=1, contents=2, is_large=True),
    Scenario("racers with sessions that skip", homes=2, calls=1, contents=2, is_large=True, policy=Policy.SKIP),
    Scenario("racers with sessions that fail", homes=2, calls=1, contents=2, is_large=True, policy=Policy.FAIL),
    Scenario("racers with sessions that revise", homes=2, calls=1, contents=2, is_large=True, policy=REVISIONS),
    Scenario("racers that may bin nothing", homes=2, calls=2, may_bin=False, kills=1),
    Scenario("racers of other contents that may bin nothing", homes=2, calls=1, contents=2, may_bin=False),
    Scenario("racers that skip and may bin nothing", homes=2, contents=2, policy=Policy.SKIP, may_bin=False),
    Scenario("racers that fail and may bin nothing", homes=2, contents=2, policy=Policy.FAIL, may_bin=False),
    Scenario("racers, one of which dies", homes=2, calls=1, contents=2, kills=1),
    Scenario("three racers", homes=3, calls=1, contents=3),
    Scenario("racers beside a foreign file", homes=2, calls=1, contents=2, others=("foreign",)),
    Scenario(
        "racers in a new folder, one of which dies", homes=2, calls=1, is_known=False, kills=1, others=("foreign",)
    ),
    Scenario("racers whose contents change", homes=2, edits_source=True, kills=1, lost=1, rounds=4),
    Scenario("racers that die twice", homes=2, is_known=False, contents=2, kills=2, rounds=4),
    Scenario("racers that skip", homes=2, calls=1, contents=2, policy=Policy.SKIP),
    Scenario("racers that skip, and know nothing", homes=2, contents=2, policy=Policy.SKIP, is_known=False),
    Scenario("racers that skip, and a foreign file", homes=2, calls=1, policy=Policy.SKIP, others=("foreign",)),
    Scenario("racers that fail", homes=2, calls=1, contents=2, policy=Policy.FAIL, kills=1),
    Scenario(
        "racers that fail, whose contents change",
        homes=2,
        edits_source=True,
        policy=Policy.FAIL,
        is_known=False,
        kills=1,
        never=1,
    ),
    Scenario(
        "three racers that fail, one of which dies",
        homes=3,
        calls=1,
        contents=3,
        policy=Policy.FAIL,
        is_known=False,
        kills=1,
        never=1,
        rounds=3,
    ),
    Scenario("racers that revise", homes=2, calls=1, contents=2, policy=REVISIONS),
    Scenario("racers that revise, one of which dies", homes=2, calls=1, contents=2, policy=REVISIONS, kills=1),
    Scenario("three racers that revise", homes=3, calls=1, contents=2, policy=REVISIONS, rounds=3),
    Scenario("revisions, a kill, a lost answer", policy=REVISIONS, edits_source=True, kills=1, lost=1),
    Scenario("revisions beside an owner", policy=REVISIONS, edits_source=True, kills=1, others=("edit",)),
    Scenario("revisions beside an owner who bins", policy=REVISIONS, edits_source=True, kills=1, others=("trash",)),
    Scenario("revisions beside an owner who renames", policy=REVISIONS, edits_source=True, kills=1, others=("rename",)),
    Scenario("revisions that come back", policy=REVISIONS, calls=4, versions=(0, 1, 2, 1), kills=1),
    Scenario("revisions in a folder that goes", policy=REVISIONS, edits_source=True, others=("trash_folder",)),
    Scenario("damaged revisions", policy=REVISIONS, edits_source=True, damaged=2),
]

LARGER = [
    Scenario("three racers with two contents, two of which die", homes=3, is_known=False, contents=2, kills=2),
    Scenario("three racers that revise, one of which dies", homes=3, calls=1, contents=2, policy=REVISIONS, kills=1),
    Scenario(
        "three racers that fail, whose contents change",
        homes=3,
        edits_source=True,
        policy=Policy.FAIL,
        is_known=False,
        kills=1,
        never=1,
    ),
]
"""They have too many states."""


def broken(world: World) -> Iterator[str]:
    """What is wrong in the end; nothing, where the promise was kept."""
    last, may_bin = finish(world), world.scenario.may_bin
    files, contents = world.drive.store.files, world.drive.store.contents
    for file_id, content in world.theirs.items():
        is_kept = file_id not in files or (contents[file_id] == content and not files[file_id].explicitly_trashed)
        if world.scenario.policy is not REVISIONS and not is_kept:
            yield f"{file_id}, which somebody wrote, was written over or binned"
    live = [each for each in files.values() if each.size is not None and not world.drive._is_trashed(each)]
    ours = [each for each in live if each.key == KEY and each.id not in world.theirs]
    names = Counter(each.name for each in ours if each.id not in world.put_away)
    yield from (f"{count} files of ours are called {name}" for name, count in names.items() if count > 1 and may_bin)
    unwanted = (each for each in ours if contents[each.id] not in world.contents and each.id not in world.put_away)
    yield from (f"{each.id} holds what nobody wanted" for each in unwanted)
    if world.scenario.policy is not REVISIONS and not world.put_away and not world.theirs:
        arrived = {each for file in ours for each in world.drive.store.revisions[file.id]} & {*world.contents}
        yield from (f"{each!r} was written over" for each in arrived - {contents[each.id] for each in ours})
    for call in last:
        yield from _wrong_with(call, ours)
    for home in world.homes:
        yield from _logged(world, home.log, ours)


def _wrong_with(call: Call, ours: list[RemoteFile]) -> Iterator[str]:
    """What is wrong with a home's last call, which nothing disturbed."""
    world = call.world
    if isinstance(call.outcome, DestinationExists) and world.scenario.policy is Policy.FAIL:
        return
    if isinstance(call.outcome, UploadError) or call.outcome is None:
        yield f"the last call ended as {call.outcome}"
        return
    if world.scenario.policy is REVISIONS:  # what its owner has put away has another purpose now
        ours = [each for each in ours if each.id not in world.put_away]
    copies = [each for each in ours if world.drive.store.contents[each.id] == call.source.content]
    is_put_away = call.source.content in world.put_away_with
    others_may_have_it = is_put_away or EDITED in world.theirs.values() or world.scenario.policy is REVISIONS
    is_doubled = len(copies) > 1 and world.scenario.may_bin
    if is_doubled or (not copies and not others_may_have_it and call.outcome.status is not Status.SKIPPED):
        yield f"{call.source.content!r} is there {len(copies)} times"
    is_kept = any(call.source.content in world.drive.store.revisions[each.id] for each in ours)
    if world.scenario.policy is REVISIONS and not is_kept and not (is_put_away or world.theirs):
        yield f"{call.source.content!r} is in no revision of a live file"
    receipt = call.home.receipts.read("receipt")
    if receipt and (receipt.claim or receipt.strays) and call.outcome.status is not Status.SKIPPED:
        yield f"the receipt still says {receipt.claim or receipt.strays}"


def _logged(world: World, log: list[tuple[str, bytes]], ours: list[RemoteFile]) -> Iterator[str]:
    for entry, count in Counter(log).items():
        if count > 1 and world.scenario.policy is not REVISIONS:
            yield f"{entry} is logged {count} times"
    is_simple = len(world.homes) == 1 and not world.scenario.hides and "backup" not in world.scenario.others
    if is_simple and log and world.scenario.policy is REVISIONS and not (world.put_away or world.theirs):
        held = {world.drive.store.contents[each.id] for each in ours}
        yield from (
            f"the log ends with {content!r}, and {held} is there" for _, content in log[-1:] if content not in held
        )
    has_answered = not any(each.is_dead or isinstance(each.outcome, UploadError) for each in world.calls)
    if is_simple and has_answered and not (world.put_away or world.theirs):
        unlogged = {world.drive.store.contents[each.id] for each in ours} - {content for _, content in log}
        yield from (f"{content!r} went up, and nobody logged it" for content in unlogged)
    lost = "lose_state" in world.scenario.others and world.scenario.lease
    if world.scenario.policy is REVISIONS or world.put_away or world.theirs or lost:
        return  # a content may go up again, or two overlapping calls know nothing of each other
    for content, count in Counter(content for _, content in log).items():
        if count > 1:
            yield f"{content!r} is logged as uploaded {count} times"


@pytest.mark.parametrize("scenario", [*SCENARIOS, *LARGER], ids=lambda each: each.name)
def test_the_promise_in_many_schedules(scenario: Scenario) -> None:
    """All schedules where there are few; else the first ones, from the one that nothing disturbs, and some by dice."""
    explored = explore(scenario, broken, SCHEDULES_AT_MOST)
    sampled = Explored() if explored.is_whole else sample(scenario, broken, SAMPLED)

    assert explored.broken == sampled.broken == []
    assert explored.schedules > 1


@pytest.mark.chaos
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_the_promise_in_every_schedule(scenario: Scenario) -> None:
    """Every state that the scenario's budgets allow."""
    explored = explore(scenario, broken)

    print(f"{scenario.name}: all {explored.states} states, {explored.schedules} schedules")
    assert explored.broken == []


@pytest.mark.chaos
@pytest.mark.parametrize("scenario", LARGER, ids=lambda each: each.name)
def test_the_promise_in_the_first_schedules(scenario: Scenario) -> None:
    """As many as there is time for."""
    explored = explore(scenario, broken, CAMPAIGN_AT_MOST)

    print(f"{scenario.name}: {explored.states} states, {explored.schedules} schedules, whole: {explored.is_whole}")
    assert explored.broken == []


def test_the_judge_sees_what_is_wrong() -> None:
    """Without the look after the create racers leave two files of one name, and the model says so."""
    scenario = Scenario("racers", homes=2, calls=1, contents=2)

    def blind(world: World) -> Iterator[str]:
        world.drive.put("zones.txt", world.contents[0], world.leaf, key=KEY)
        yield from broken(world)

    assert explore(dataclasses.replace(scenario), blind, 3).broken != []
