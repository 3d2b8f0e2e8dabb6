"""Large uploads that die, stall or change on the way: the next invocation goes on from what Drive has kept."""

import random
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.crash import promise
from tests.crash.scenarios import LARGE, Wanted
from tests.crash.strike import Strike
from tests.crash.world import World

ZONES = {"path": "Data/Meta/zones.bin"}
WANTED = [Wanted("Meta/zones.bin", LARGE)]

KILLS = 5

MB = 1000 * 1000


def blocks(events: Sequence[str]) -> list[int]:
    """The events that are blocks of content on their way into the session."""
    return [at for at, label in enumerate(events) if label.startswith("block of PUT")]


def sent(world: World) -> int:
    """Bytes of content that Drive has received."""
    return sum(each.bytes_in for each in world.drive.requests.of("upload.send"))


def kill_at_block(world: World, number: int) -> None:
    """An invocation that dies before the block of that number leaves; fails when it doesn't die there."""
    ended = world.run(ZONES, strike=Strike(number - 1, only="block of PUT"))
    assert ended.code is None, ended
    assert len(blocks(ended.events)) == number
    world.settle()


@pytest.mark.parametrize("size", [40 * MB, pytest.param(1000 * MB, marks=pytest.mark.chaos)])
def test_an_upload_killed_five_times_sends_again_only_what_was_not_kept(world: World, size: int) -> None:
    """Each new process asks the session where it is, and sends the rest: hardly a byte goes twice."""
    rest = random.Random(1)
    source = world.home.folder / "Data/Meta/zones.bin"
    source.parent.mkdir(parents=True)
    with source.open("wb") as file:
        for _ in range(size // MB):
            file.write(rest.randbytes(MB))

    for _ in range(KILLS):
        kill_at_block(world, size // MB // (KILLS + 2))
    ended = world.run(ZONES)

    assert ended.statuses == ["uploaded"]
    assert world.drive.requests.count("upload.start") == 1
    assert sent(world) <= 1.01 * size + KILLS * 256 * 1024
    assert [each["sha256Checksum"] for each in world.files()][-1] == world.home.log()[-1]["sha256"]


def test_a_session_that_ran_out_starts_again(world: World) -> None:
    """After a week Drive forgets a session: the upload begins a new one under the same id."""
    world.home.put("Meta/zones.bin", LARGE)
    kill_at_block(world, 3)
    world.drive.faults.add({"on": "upload.status", "do": "lose_session"})

    assert world.run(ZONES).statuses == ["uploaded"]

    assert promise.broken(world, WANTED) == []


@pytest.mark.parametrize("keeps_stamp", [True, False])
def test_a_source_that_changed_since_is_never_mixed_with_what_was_sent(world: World, keeps_stamp: bool) -> None:
    """Other content of the same size, even with the same mtime, ends whole on Drive, and nothing else does."""
    changed = b"first" + LARGE[5:]
    world.home.put("Meta/zones.bin", LARGE)
    source = world.home.folder / "Data/Meta/zones.bin"
    stamp = source.stat()
    kill_at_block(world, 4)

    source.write_bytes(changed)
    world.home.stamp("Meta/zones.bin", stamp.st_mtime_ns + (0 if keeps_stamp else 10**9))

    assert world.run(ZONES).statuses == ["uploaded"]
    assert promise.broken(world, [Wanted("Meta/zones.bin", changed)]) == []


def test_a_source_that_changes_while_it_is_sent_is_not_recorded(world: World) -> None:
    """The call says source_changed; the next one brings the new content to Drive, once."""
    world.home.put("Meta/zones.bin", LARGE)
    changed = LARGE[::-1]
    source = world.home.folder / "Data/Meta/zones.bin"
    world.drive.faults.add({"on": "upload.send", "do": "slow_body", "ms": 400})

    def change(path: Path = source) -> None:
        while not sent_some():
            threading.Event().wait(0.005)
        path.write_bytes(changed)

    def sent_some() -> bool:
        return any(each.method_id == "upload.send" for each in world.drive.requests)

    changing = threading.Thread(target=change)
    changing.start()
    struck = world.run(ZONES)
    changing.join()

    assert [each["reason"] for each in struck.document["results"]] == ["source_changed"]
    assert world.run(ZONES).statuses == ["uploaded"]
    assert promise.broken(world, [Wanted("Meta/zones.bin", changed)]) == []


def test_a_deadline_in_the_midst_of_a_chunk_leaves_the_rest_for_the_next_call(world: World) -> None:
    """The answer is 503 deadline_exceeded; what Drive has kept is not sent again."""
    world.home.put("Meta/zones.bin", LARGE)
    world.drive.faults.add({"on": "upload.send", "do": "slow_body", "ms": 3000})

    late = world.run(ZONES, environ={"DRIVE_UPLOAD_DEADLINE_S": "0.8"})
    world.settle()
    before = sent(world)
    ended = world.run(ZONES)

    assert [each["reason"] for each in late.document["results"]] == ["deadline_exceeded"]
    assert late.code == 503
    assert ended.statuses == ["uploaded"]
    assert sent(world) - before < len(LARGE)
    assert promise.broken(world, WANTED) == []
