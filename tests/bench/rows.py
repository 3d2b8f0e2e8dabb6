"""What is measured: each row brings the same work to several contenders, in turns, and holds ours against a bar."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

from tests.bench.stage import Figures, Room, Stage


class Player(Protocol):
    """A contender, or our server."""

    @property
    def name(self) -> str: ...

    def play(self, stage: Stage, room: Room, folder: str, files: Sequence[str]) -> Figures: ...


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise: `value` is at most `limit`, or at least where `at_least`."""

    what: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """One workload: medians by contender, and the bars judged by them. `note` says how it was run."""

    title: str
    note: str
    medians: Mapping[str, Figures]
    bars: Sequence[Bar]
    runs: int = 1


def medians(samples: Mapping[str, Sequence[Figures]]) -> dict[str, Figures]:
    """The median of each figure, by contender."""
    return {name: _median(taken) for name, taken in samples.items() if taken}


def _median(taken: Sequence[Figures]) -> Figures:
    columns = {each.name: [getattr(one, each.name) for one in taken] for each in fields(Figures)}
    return Figures(**{name: statistics.median(column) for name, column in columns.items() if None not in column})
