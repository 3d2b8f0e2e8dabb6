"""Processes with a `Pacer` each against the kinds of rate limit that Drive may have, in simulated time.

Discrete events: nothing sleeps, minutes take a fraction of a second, and a seed repeats a run exactly.
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from function.pacing import LOOK_EVERY_S, Pacer

START = 1_800_000_000.0


class Limit(Protocol):
    """One rule by which Drive may count."""

    def admits(self, now: float) -> bool:
        """Whether a request that arrives now is let in."""

    def wait_s(self, now: float) -> float:
        """How long until it lets in again, having just refused."""


@dataclass(slots=True)
class FixedMinute:
    """So many requests from one full minute to the next, which begins `phase_s` after the clock's."""

    allowed: int
    phase_s: float = 0.0
    minute: int = 0
    used: int = 0

    def admits(self, now: float) -> bool:
        minute = int((now - self.phase_s) // 60)
        if minute != self.minute:
            self.minute, self.used = minute, 0
        self.used += self.used < self.allowed + 1
        return self.used <= self.allowed

    def wait_s(self, now: float) -> float:
        return 60 - (now - self.phase_s) % 60


@dataclass(slots=True)
class SlidingMinute:
    """So many requests in any sixty seconds; those it refuses may count too."""

    allowed: int
    counts_refused: bool = False
    times: deque[float] = field(default_factory=deque)

    def admits(self, now: float) -> bool:
        while self.times and self.times[0] <= now - 60:
            self.times.popleft()
        admitted = len(self.times) < self.allowed
        if admitted or self.counts_refused:
            self.times.append(now)
        return admitted

    def wait_s(self, now: float) -> float:
        return self.times[-min(self.allowed, len(self.times))] + 60 - now


@dataclass(slots=True)
class TokenBucket:
    """Refills steadily and holds `burst` requests."""

    per_s: float
    burst: float
    level: float = -1.0
    at: float = START

    def admits(self, now: float) -> bool:
        level = self.burst if self.level < 0 else min(self.burst, self.level + (now - self.at) * self.per_s)
        self.at, self.level = now, max(0.0, level - 1 if level >= 1 else level)
        return level >= 1

    def wait_s(self, now: float) -> float:
        return (1 - self.level) / self.per_s


@dataclass(frozen=True, slots=True)
class Load:
    """Processes that always have more to send; each thread sends `pattern` over and over ("w" a write, "r" a read)."""

    processes: int = 4
    threads: int = 8
    pattern: str = "w"
    latency_s: float = 0.1
    minutes: float = 3.0


@dataclass(slots=True)
class Outcome:
    """What became of the requests, by process."""

    sent_at: list[list[float]]
    refused: list[int]

    @property
    def through(self) -> int:
        return sum(map(len, self.sent_at))

    @property
    def refused_share(self) -> float:
        return sum(self.refused) / max(1, self.through + sum(self.refused))

    @property
    def least_share(self) -> float:
        """What the worst-off process got, as a part of an equal share."""
        return min(map(len, self.sent_at)) * len(self.sent_at) / max(1, self.through)

    def between(self, start_s: float, end_s: float) -> int:
        """Requests that went through in that part of the run."""
        return sum(START + start_s <= at < START + end_s for times in self.sent_at for at in times)


class Simulation:
    """Runs a load against limits (on everything, or on writes alone) and reports the outcome."""

    def __init__(
        self,
        load: Load,
        *,
        state: Path | None,
        limit: Limit | None = None,
        write_limit: Limit | None = None,
        retry_after: Callable[[float], float] | None = None,
        seed: int = 0,
    ) -> None:
        self.load, self.limit, self.write_limit, self.retry_after = load, limit, write_limit, retry_after
        self.now = START
        self.dice = random.Random(seed)
        self.pacers = [
            Pacer(state, clock=lambda: self.now, sleep=self._never, dice=self.dice.random)
            for _ in range(load.processes)
        ]
        self.outcome = Outcome([[] for _ in self.pacers], [0] * load.processes)
        self.idle: list[dict[bool, list[int]]] = [{False: [], True: []} for _ in self.pacers]
        self.asking: set[tuple[int, bool]] = set()
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()

    def run(self) -> Outcome:
        """Play the whole load."""
        for process in range(self.load.processes):
            for _ in range(self.load.threads):
                self._at(self.now + self.dice.random() / 10, partial(self._next, process, 0))
        end = START + self.load.minutes * 60
        while self.events and self.events[0][0] < end:
            self.now, _, event = heapq.heappop(self.events)
            event()
        return self.outcome

    def _at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self.events, (when, next(self.order), event))

    def _next(self, process: int, step: int) -> None:
        write = self.load.pattern[step % len(self.load.pattern)] == "w"
        self.idle[process][write].append(step)
        if (process, write) not in self.asking:
            self._ask(process, write)

    def _ask(self, process: int, write: bool) -> None:
        self.asking.discard((process, write))
        while self.idle[process][write]:
            wait_s = self.pacers[process].ask(write=write)
            if wait_s > 0:
                self.asking.add((process, write))
                late_s = self.dice.expovariate(2000)
                self._at(self.now + min(wait_s, LOOK_EVERY_S) + late_s, lambda: self._ask(process, write))
                return
            self._send(process, write, self.idle[process][write].pop(0))

    def _send(self, process: int, write: bool, step: int) -> None:
        way_s = self.load.latency_s * self.dice.uniform(0.35, 0.65)
        self._at(self.now + way_s, lambda: self._arrive(process, write, step, way_s))

    def _arrive(self, process: int, write: bool, step: int, way_s: float) -> None:
        limits = [limit for limit in (self.limit, self.write_limit if write else None) if limit is not None]
        refuser = next((limit for limit in limits if not limit.admits(self.now)), None)
        tell = self.retry_after(refuser.wait_s(self.now)) if refuser and self.retry_after else None
        self._at(self.now + way_s, lambda: self._answer(process, write, step, refuser is None, tell))

    def _answer(self, process: int, write: bool, step: int, admitted: bool, retry_after_s: float | None) -> None:
        if admitted:
            self.outcome.sent_at[process].append(self.now)
            self.pacers[process].succeeded(write=write)
        else:
            self.outcome.refused[process] += 1
            self.pacers[process].refused(write=write, retry_after_s=retry_after_s)
        self._next(process, step + 1 if admitted else step)

    @staticmethod
    def _never(seconds: float) -> None:
        raise AssertionError(f"simulated time is not slept through, not even {seconds} s")
