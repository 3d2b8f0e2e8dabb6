"""The crash matrix: every event of a run, in every scenario, with every way to strike it. Its rows count themselves.

A first run, which nothing strikes, lists the events: each request, each block of a body, each write to the volume.
From them come the rows:

    kill        SIGKILL before, after, and for writes that carry bytes, in the midst of the event
    orphan      the process is killed while Drive is still busy with its request
    lose        Drive does the work and the connection drops instead of an answer
    reset       the connection drops before anything is done
    cut         the answer is cut short
    late        the answer comes after the deadline

After each, at most two plain invocations must leave the promise kept.
"""

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.crash import promise
from tests.crash.runs import Ended
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.strike import Strike
from tests.crash.world import Station, World

INVOCATIONS_AFTER = 2

DELAY_MS = 300
"""How long a late answer takes; the struck invocation's deadline is half of it."""

FAULTS: dict[str, dict[str, Any]] = {
    "lose": {"do": "lose_answer"},
    "reset": {"do": "reset_before"},
    "cut": {"do": "truncate_answer"},
    "late": {"do": "delay", "ms": DELAY_MS},
}


@dataclass(frozen=True, slots=True)
class Row:
    """One way to strike one event; `event` counts the run's events for kills, its requests for faults."""

    how: str
    event: int
    label: str

    def __str__(self) -> str:
        return f"{self.how} {self.event}: {self.label}"


def rows(events: Iterable[str]) -> Iterator[Row]:
    """All rows that the events of a run give."""
    requests = itertools.count(1)
    for at, label in enumerate(events):
        yield Row("before", at, label)
        yield Row("after", at, label)
        if label.startswith(("pwrite", "write")):
            yield Row("torn", at, label)
        if label.startswith("request"):
            number = next(requests)
            for how in ("orphan", *FAULTS):
                yield Row(how, number, label)


def essential(scenario: Scenario, row: Row) -> bool:
    """Whether a row can end otherwise than its neighbours, as far as a killed process goes.

    A sync shows only when the machine dies, nobody looks for a file under a temporary name, and what stands after one
    event stands before the next one.
    """
    if row.label.startswith("fsync") or row.label.endswith(".tmp") or "/pace/" in row.label:
        return False
    if scenario.lease_s is not None and ".lock" not in row.label:
        return False  # the other rows are those of the first upload, but for the wait
    if row.how == "late" and row.label.startswith("request GET"):
        return False
    return row.how not in ("after", "cut", "reset")


def part(name: str, full: bool, wanted: str, at: int, parts: int) -> tuple[str, int, list[str]]:
    """Strike every `parts`-th row of a scenario: its name, how many there were, and what broke."""
    scenario, count = SCENARIOS[name], 0
    broken: list[str] = []
    with Station() as station:
        chosen = [each for each in rows(events_of(station, scenario)) if full or essential(scenario, each)]
        for row in chosen[at::parts]:
            if wanted not in str(row):
                continue
            count += 1
            broken += [f"{row}: {each}" for each in strike(station, scenario, row)]
    return name, count, broken


def events_of(station: Station, scenario: Scenario) -> list[str]:
    """The events of a run that nothing strikes."""
    with _world(station, scenario) as world:
        ended = world.run(scenario.payload)
        assert ended.code == 200, ended
        return list(ended.events)


def strike(station: Station, scenario: Scenario, row: Row) -> list[str]:
    """What is wrong after the row's strike and the invocations that follow; empty when all is well."""
    with _world(station, scenario) as world:
        before = promise.foreign(world)
        _struck(world, scenario, row)
        for _ in range(INVOCATIONS_AFTER):
            ended = world.run(scenario.payload)
            if ended.code == 200:
                break
        found = promise.broken(world, scenario.wanted, earlier=scenario.earlier, foreign=before)
        if ended.code != 200:
            found.append(f"the last invocation answered {ended.code}: {ended.document}")
        return [*found, *_revisions(world, scenario)]


@contextmanager
def _world(station: Station, scenario: Scenario) -> Iterator[World]:
    with station.world(scenario.accounts, lease_s=scenario.lease_s) as world:
        scenario.prepare(world)
        for source, content in scenario.sources.items():
            world.home.put(source, content)
        yield world


def _struck(world: World, scenario: Scenario, row: Row) -> Ended:
    if row.how in ("before", "after", "torn"):
        return world.run(scenario.payload, strike=Strike(row.event, row.how))
    if row.how == "orphan":
        world.drive.faults.add({"nth": row.event, "do": "delay", "ms": DELAY_MS})
        return world.run(scenario.payload, kill_after_s=DELAY_MS / 2000)
    world.drive.faults.add({"nth": row.event} | FAULTS[row.how])
    environ = {"DRIVE_UPLOAD_DEADLINE_S": str(DELAY_MS / 2000)} if row.how == "late" else {}
    return world.run(scenario.payload, environ=environ)


def _revisions(world: World, scenario: Scenario) -> Iterator[str]:
    if scenario.revisions is None:
        return
    for wanted in scenario.wanted:
        for each in world.files(wanted.account):
            if promise.stands_at(each, wanted) and each["revisions"] != scenario.revisions:
                yield f"{each['path']} has {each['revisions']} revisions instead of {scenario.revisions}"
