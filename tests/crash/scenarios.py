"""The situations that the matrix strikes: how each begins, what is asked, and what must stand on Drive in the end."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.crash.world import World

SMALL = b"The zones of the memory, by name.\n"
OLDER = b"The zones of the memory, as they were.\n"
LARGE = random.Random(6).randbytes(6 * 1000 * 1000)
"""Over 5 MB: sent in a resumable session."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A content that must stand on Drive exactly once: the source below `Data/`, and where it goes."""

    source: str
    content: bytes
    account: str = "default"

    @property
    def path(self) -> str:
        """Its path on Drive, unless that is taken."""
        return f"MemoryVDB/{self.source}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One situation. `prepare` is done before; `earlier` are contents that it brought to Drive by uploads."""

    name: str
    sources: Mapping[str, bytes]
    payload: Mapping[str, Any]
    prepare: Callable[[World], None] = lambda world: None
    accounts: tuple[str, ...] = ("default",)
    earlier: tuple[Wanted, ...] = ()
    lease_s: float | None = None
    """How long a lease lasts, where the lock is one."""
    revisions: int | None = None
    """Revisions that each wanted file has in the end."""

    @property
    def wanted(self) -> list[Wanted]:
        """What must be on Drive in the end, besides what was there before."""
        return [
            Wanted(source, content, account) for source, content in self.sources.items() for account in self.accounts
        ]


def _know_the_folder(world: World) -> None:
    _upload(world, "Meta/earlier.txt", OLDER)


def _hold_the_name(world: World) -> None:
    _know_the_folder(world)
    world.foreign_file("MemoryVDB/Meta/zones.txt", b"Somebody else's zones.\n")


def _upload_an_older_state(world: World) -> None:
    _upload(world, "Meta/zones.txt", OLDER)


def _upload(world: World, source: str, content: bytes) -> None:
    world.home.put(source, content)
    ended = world.run({"path": f"Data/{source}"})
    assert ended.code == 200, ended


_EARLIER = (Wanted("Meta/earlier.txt", OLDER),)
_ONE = {"path": "Data/Meta/zones.txt"}
_BATCH = {
    "Meta/zones.txt": SMALL,
    "Chats/2026-11/ids.md": b"Why an upload needs an id first.\n",
    "Chats/2026-11/zones.md": b"Naming the zones.\n",
    "Notes/empty.txt": b"",
}

SCENARIOS = {
    each.name: each
    for each in (
        Scenario("first upload", {"Meta/zones.txt": SMALL}, _ONE, _know_the_folder, earlier=_EARLIER),
        Scenario("resumable upload", {"Meta/zones.txt": LARGE}, _ONE, _know_the_folder, earlier=_EARLIER),
        Scenario("new folder chain", {"Meta/Plans/2026/zones.txt": SMALL}, {"path": "Data/Meta/Plans/2026/zones.txt"}),
        Scenario("keep_both", {"Meta/zones.txt": SMALL}, _ONE, _hold_the_name, earlier=_EARLIER),
        Scenario(
            "new_revision",
            {"Meta/zones.txt": SMALL},
            _ONE | {"if_exists": "new_revision"},
            _upload_an_older_state,
            revisions=2,
        ),
        Scenario(
            "resumable new_revision",
            {"Meta/zones.txt": LARGE},
            _ONE | {"if_exists": "new_revision"},
            _upload_an_older_state,
            revisions=2,
        ),
        Scenario(
            "batch",
            _BATCH,
            {"files": [{"path": f"Data/{source}"} for source in _BATCH]},
            _know_the_folder,
            earlier=_EARLIER,
        ),
        Scenario("lease", {"Meta/zones.txt": SMALL}, _ONE, _know_the_folder, earlier=_EARLIER, lease_s=0.3),
        Scenario(
            "two accounts",
            {"Meta/zones.txt": SMALL},
            _ONE,
            _know_the_folder,
            accounts=("default", "archive"),
            earlier=(*_EARLIER, Wanted("Meta/earlier.txt", OLDER, "archive")),
        ),
    )
}
