"""The crash matrix, a scenario a test: here the rows that can differ, all of them by `python -m tests.crash --full`."""

import json

import pytest

from tests.crash import matrix, promise
from tests.crash.scenarios import SCENARIOS, Wanted
from tests.crash.world import Station


@pytest.mark.parametrize("name", sorted(SCENARIOS, key=lambda name: name != "batch"))
def test_whatever_is_struck_the_promise_is_kept(name: str) -> None:
    """After a kill or a lost answer at any event, two plain invocations leave each content once, and logged once."""
    _, count, broken = matrix.part(name, False, "", 0, 1)

    assert count > 5
    assert broken == []


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_whatever_is_struck_in_the_full_matrix_the_promise_is_kept(name: str) -> None:
    """The same for every row: syncs, temporary files, both sides of each event, every fault of each request."""
    _, count, broken = matrix.part(name, True, "", 0, 1)

    assert count > 50
    assert broken == []


def test_a_broken_promise_is_seen() -> None:
    """The check finds what it looks for: a lost content, a twin, a twin folder, an upload that is logged twice."""
    wanted = [Wanted("Meta/zones.txt", b"zones")]
    with Station() as station, station.world() as world:
        world.home.put("Meta/zones.txt", b"zones")
        lost = promise.broken(world, wanted)
        world.run({"path": "Data/Meta/zones.txt"})
        kept = promise.broken(world, wanted)

        meta, file = world.files()[1:]
        mark = {"appProperties": file["appProperties"]}
        world.call("POST", f"files/{file['id']}/copy", {"name": "zones.txt"} | mark)
        world.call("POST", "files", {"name": "Meta", "parents": meta["parents"], "mimeType": meta["mimeType"]} | mark)
        log = world.home.folder / "upload_log.json"
        log.write_text(json.dumps(world.home.log() * 2))
        twins = promise.broken(world, wanted)

    assert lost == [
        "default: Meta/zones.txt has 0 entries 'uploaded' in the log",
        "default: MemoryVDB/Meta/zones.txt is on Drive 0 times",
    ]
    assert kept == []
    assert [each.split("(")[0] for each in twins] == [
        "default: Meta/zones.txt has 2 entries 'uploaded' in the log",
        "default: MemoryVDB/Meta/zones.txt is on Drive 2 times",
        "the folder MemoryVDB/Meta has a twin",
        "the folder MemoryVDB/Meta has a twin",
    ]
