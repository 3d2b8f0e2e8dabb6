"""The controller checks lock and receipt before each effect: nothing is sent and nothing logged without them."""

from collections.abc import Iterator
from typing import cast

import pytest
from msgspec.structs import replace

from function.core.errors import Locked
from function.protocol.steps import Log, Move, Rename, Send, Step, Trash, UpdateMetadata
from function.state.locks import HeldLock
from function.state.receipts import Superseded
from tests.protocol.model import LOCK, NAME, THEIRS, Call, Chooser, Scenario, World, small_world

EFFECTS = Send | Move | Rename | Trash | UpdateMetadata | Log


class LostLock:
    """A lease that ran out while its holder was frozen."""

    def check(self) -> None:
        raise Locked("The lease is lost.")


def effects() -> Iterator[tuple[Call, Step]]:
    """The effects of an upload that meets a foreign file of its name, one by one; each is taken afterwards."""
    scenario = Scenario("a foreign file")
    with small_world(scenario) as clock:
        world = World(scenario, Chooser([]))
        world.clock = clock
        world.drive.put(NAME, THEIRS, world.leaf)
        call = Call(world, world.homes[0], world.content_of(world.homes[0], 0), 0)
        while not call.is_over:
            if (step := call.pending()) is None:
                continue
            if isinstance(step, EFFECTS):
                yield call, step
            call.take(step)


def done(call: Call) -> object:
    """What the upload has changed so far, outside its receipt."""
    changes = {name: call.world.drive.store.calls[name] for name in ("create", "update", "start", "send")}
    return changes, list(call.home.log)


def test_nothing_is_done_under_a_lock_that_was_lost() -> None:
    """The taker-over may be at work: a holder that wakes up late has no effect any more."""
    met = []
    for call, step in effects():
        before = done(call)

        with pytest.raises(Locked):
            call.upload.take(step, cast(HeldLock, LostLock()))

        assert done(call) == before
        met.append(type(step))
    assert met == [Send, Rename, Log]


def test_nothing_is_done_under_a_receipt_that_another_has_written() -> None:
    """Whose claim was taken over, or removed, asks anew what is to be done."""
    met = []
    for call, step in effects():
        before, receipts = done(call), call.home.receipts.kept
        kept = receipts["receipt"]
        receipts["receipt"] = replace(kept, attempt=kept.attempt + 1)

        with pytest.raises(Superseded):
            call.upload.take(step, cast(HeldLock, LOCK))

        assert done(call) == before
        receipts["receipt"] = kept
        met.append(type(step))
    assert met == [Send, Rename, Log]
