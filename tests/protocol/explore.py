"""Going through the schedules of a scenario: all of them, the first ones, or some by dice."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from tests.protocol.model import Chooser, Clock, Pruned, Scenario, World, small_world


@dataclass(slots=True)
class Explored:
    """What an exploration came to."""

    states: int = 0
    schedules: int = 0
    broken: list[str] = field(default_factory=list)
    is_whole: bool = False

    def add(self, broken: list[str]) -> None:
        """One more schedule, and what is wrong after it."""
        self.schedules += 1
        self.broken += broken


def explore(scenario: Scenario, judge: Callable[[World], Iterable[str]], most: int | None = None) -> Explored:
    """Go through all schedules of a scenario, or the first `most`; `judge` says what is wrong with a finished world.

    A schedule that comes to a state which was seen before ends there, and isn't counted.
    """
    found, seen, schedule, runs = Explored(), set[str](), list[int](), 0
    with small_world(scenario) as clock:
        while True:
            chooser = Chooser(schedule)
            with suppress(Pruned):
                found.add(_played(scenario, chooser, clock, judge, seen))
            runs, following = runs + 1, _next(chooser)
            if following is None or runs == most or len(found.broken) > 5:
                break
            schedule = following
    found.states, found.is_whole = len(seen), following is None
    return found


def sample(scenario: Scenario, judge: Callable[[World], Iterable[str]], count: int) -> Explored:
    """So many schedules by dice, always the same ones."""
    found, dice = Explored(), Random(scenario.name)
    with small_world(scenario) as clock:
        for _ in range(count):
            found.add(_played(scenario, Chooser([], dice), clock, judge))
    return found


def _played(
    scenario: Scenario,
    chooser: Chooser,
    clock: Clock,
    judge: Callable[[World], Iterable[str]],
    seen: set[str] | None = None,
) -> list[str]:
    """What is wrong after a schedule."""
    world = World(scenario, chooser)
    clock.now, world.clock = 0, clock
    world.run(seen)
    return [f"{scenario.name} {chooser.schedule[: len(chooser.counts)]}: {each}" for each in judge(world)]


def _next(chooser: Chooser) -> list[int] | None:
    """The schedule that differs from this one in its last choice that has an option left."""
    schedule = chooser.schedule[: len(chooser.counts)]
    while schedule:
        if schedule[-1] + 1 < chooser.counts[len(schedule) - 1]:
            return [*schedule[:-1], schedule[-1] + 1]
        schedule.pop()
    return None
