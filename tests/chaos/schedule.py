"""A schedule: what happens to homes and Drive in some rounds, as plain data. The same seed gives the same schedule."""

import json
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

SOURCES = ("Meta/zones.txt", "Meta/plans.txt", "Chats/2026-11/ids.md", "Chats/2026-11/names.md")

LARGE_SOURCE = "Diagrams/large.bin"

POLICIES = ("keep_both",) * 7 + ("new_revision", "skip", "fail")

LAG_S = 30

LEASE_S = 0.3

DEEDS: tuple[dict[str, Any], ...] = (
    {"do": "lose_answer"},
    {"do": "lose_answer", "times": 2},
    {"do": "reset_before"},
    {"do": "reset_in_body", "after_bytes": 100},
    {"do": "truncate_answer"},
    {"do": "status", "status": 503},
    {"do": "status", "status": 500, "times": 3},
    {"do": "status", "status": 403, "reason": "userRateLimitExceeded"},
    {"do": "status", "status": 429, "retry_after": 0.01},
    {"do": "delay", "ms": 60},
    {"do": "expire_token"},
    {"do": "status", "status": 403, "body": "<html>automated queries</html>", "content_type": "text/html"},
    {"do": "status", "status": 302, "headers": {"location": "http://127.0.0.1:1/login"}, "body": ""},
    {"do": "status", "status": 407, "body": ""},
    {"do": "status", "status": 423, "body": ""},
    {"do": "status", "status": 499, "body": ""},
    {"do": "status", "status": 404, "body": "", "on": "files.list"},
    {"do": "status", "status": 403, "body": '{"error": {"code": 403, "status": "RESOURCE_EXHAUSTED"}}'},
    {"do": "status", "status": 400, "body": "", "done_first": True, "on": "files.create"},
    {"do": "shorten_answer"},
    {"do": "edit_answer", "set": {"incompleteSearch": True}, "on": "files.list"},
)
"""Faults of Drive, of the network, and the odd answers of what stands between."""

SLOW_CREATES_MS = (40, 120, 500)
"""How long creates take in the rounds where they are slow: longer than any look beside them."""

METHODS = ("*",) * 4 + ("files.create", "files.create", "files.list", "files.get", "upload.send", "upload.start")


@dataclass(frozen=True, slots=True)
class Call:
    """One invocation of a round: in which home, for which sources, and how it dies, if it does."""

    home: int
    sources: tuple[str, ...]
    after_s: float
    deadline_s: float | None
    kill: tuple[int, str] | None
    """The event that is struck, and when."""
    kill_after_s: float | None


@dataclass(frozen=True, slots=True)
class Round:
    """What others do first, the faults in force, and the invocations that are made at one time."""

    deed: str | None
    """`edit SOURCE`, `foreign SOURCE`, `trash FOLDER`, or of a home's state: `lose HOME`, `restore HOME`."""
    faults: tuple[dict[str, Any], ...]
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """All that happens in one world."""

    policy: str
    sources: tuple[str, ...]
    homes: int
    """Homes with a state of their own that hold the same sources and share the Drive."""
    lag_s: int
    lease_s: float | None
    rounds: tuple[Round, ...]

    def __str__(self) -> str:
        return json.dumps(asdict(self), indent=1)


def schedule(seed: int, number: int) -> Schedule:
    """The schedule of that number in the campaign of that seed."""
    dice = Random(f"{seed}/{number}")
    sources = tuple(dice.sample(SOURCES, dice.choice((1, 1, 2, 3))))
    if dice.random() < 0.08:
        sources = (LARGE_SOURCE,)
    homes = dice.choice((1, 1, 1, 2, 3))
    lease_s = LEASE_S if dice.random() < 0.15 else None
    lag_s = LAG_S if dice.random() < 0.3 else 0
    rounds = tuple(_round(dice, at, sources, homes) for at in range(dice.choice((1, 1, 2, 3))))
    return Schedule(dice.choice(POLICIES), sources, homes, lag_s, lease_s, rounds)


def _round(dice: Random, number: int, sources: tuple[str, ...], homes: int) -> Round:
    faults = tuple(_fault(dice) for _ in range(dice.choice((0, 1, 1, 2, 3))))
    if dice.random() < 0.15:
        faults += ({"on": "files.create", "do": "delay", "ms": dice.choice(SLOW_CREATES_MS), "times": 20},)
    calls = tuple(_call(dice, sources, homes) for _ in range(dice.choice((1, 1, 2, 3)) + homes - 1))
    return Round(_deed(dice, number, sources, homes), faults, calls)


def _deed(dice: Random, number: int, sources: tuple[str, ...], homes: int) -> str | None:
    source = dice.choice(sources)
    if dice.random() < 0.1:
        return f"foreign {source}"
    if number and homes == 1 and dice.random() < 0.3:
        return dice.choice((f"edit {source}", f"edit {source}", f"trash {source.split('/')[0]}"))
    if number and dice.random() < 0.25:
        return f"{dice.choice(('lose', 'restore'))} {dice.randrange(homes)}"
    return None


def _fault(dice: Random) -> dict[str, Any]:
    return {"on": dice.choice(METHODS), "nth": dice.randint(1, 8)} | dice.choice(DEEDS)


def _call(dice: Random, sources: tuple[str, ...], homes: int) -> Call:
    some = sources if dice.random() < 0.6 else (dice.choice(sources),)
    way = dice.random()
    return Call(
        home=dice.randrange(homes),
        sources=some,
        after_s=round(dice.choice((0, 0, dice.uniform(0, 0.03))), 4),
        deadline_s=0.2 if dice.random() < 0.05 else None,
        kill=(dice.randint(0, 90), dice.choice(("before", "after", "torn"))) if way < 0.5 else None,
        kill_after_s=round(dice.uniform(0.005, 0.12), 4) if way > 0.85 else None,
    )
