"""Many at once: on one destination, in one new chain of folders, with locks, leases and without anything shared."""

import pytest

from function.core import naming
from tests.crash import promise
from tests.crash.scenarios import Wanted
from tests.crash.world import Station

RACERS = 6

LOCKS = pytest.mark.parametrize("lease_s", [None, 0.5], ids=["native", "lease"])


@LOCKS
def test_racers_for_one_destination_make_one_file(station: Station, lease_s: float | None) -> None:
    """However many processes upload one file at once, it is on Drive once and logged as uploaded once."""
    wanted = [Wanted("Meta/zones.txt", b"zones")]
    with station.world(lease_s=lease_s) as world:
        world.home.put("Meta/zones.txt", b"zones")

        ended = world.at_once([world.invocation({"path": "Data/Meta/zones.txt"})] * RACERS)

        assert sorted(each.statuses[0] for each in ended) == ["unchanged"] * (RACERS - 1) + ["uploaded"]
        assert promise.broken(world, wanted) == []
        assert world.drive.requests.count("files.create") == 3


@LOCKS
def test_racers_in_one_new_chain_make_one_chain(station: Station, lease_s: float | None) -> None:
    """Processes that upload different files into one new chain of folders make each folder once."""
    wanted = [Wanted(f"Chats/2026/11/{number}.md", b"chat %d" % number) for number in range(RACERS)]
    with station.world(lease_s=lease_s) as world:
        for each in wanted:
            world.home.put(each.source, each.content)

        ended = world.at_once([world.invocation({"path": f"Data/{each.source}"}) for each in wanted])

        assert {each.code for each in ended} == {200}
        assert promise.broken(world, wanted) == []
        assert world.drive.requests.count("files.create") == 4 + RACERS


@pytest.mark.parametrize("lag_s", [0, 30])
def test_racers_that_share_nothing_but_drive_leave_one_file_after_a_look(station: Station, lag_s: int) -> None:
    """Each with a state of its own, they may make twins; who looks later, knowing nothing, finds one or makes it so."""
    with station.world(homes=RACERS) as world:
        world.drive.set_weather(list_lag_s=lag_s)
        for home in world.homes:
            home.put("Meta/zones.txt", b"zones")
        payload = {"path": "Data/Meta/zones.txt"}

        ended = world.at_once([world.invocation(payload, home=home) for home in world.homes])
        world.drive.set_weather(list_lag_s=0)
        later = world.new_home()
        later.put("Meta/zones.txt", b"zones")
        looked = world.run(payload, home=later)

        live = [each for each in world.files() if each["path"] == "MemoryVDB/Meta/zones.txt" and not each["trashed"]]
        assert {each.code for each in [*ended, looked]} == {200}
        assert len(live) == 1
        assert list(promise.twin_folders(world.files())) == []


def test_racers_that_share_nothing_know_the_folder(station: Station) -> None:
    """Also where each knows the chain from before, and so creates at once, one file is left, and logged by one."""
    with station.world(homes=RACERS) as world:
        for home in world.homes:
            home.put("Meta/earlier.txt", b"earlier")
            world.run({"path": "Data/Meta/earlier.txt"}, home=home)
            home.put("Meta/zones.txt", b"zones")

        ended = world.at_once([world.invocation({"path": "Data/Meta/zones.txt"}, home=home) for home in world.homes])

        live = [each for each in world.files() if each["path"] == "MemoryVDB/Meta/zones.txt" and not each["trashed"]]
        assert {each.code for each in ended} == {200}
        assert len(live) == 1


def test_who_gives_way_leaves_no_twins_of_others_behind(station: Station) -> None:
    """Two racers left twins, and a third, which saw them only after its create, puts away its own and the younger."""
    with station.world() as world:
        world.home.put("Meta/earlier.txt", b"earlier")
        world.run({"path": "Data/Meta/earlier.txt"})
        mark = {"appProperties": {promise.KEY_PROPERTY: naming.ownership_mark("MemoryVDB/Meta/zones.txt")}}
        oldest, younger = (world.foreign_file("MemoryVDB/Meta/zones.txt", b"zones") for _ in range(2))
        for each in (oldest, younger):
            world.call("PATCH", f"files/{each}", mark)
        world.home.put("Meta/zones.txt", b"zones")

        ended = world.run({"path": "Data/Meta/zones.txt"})

        live = [each["id"] for each in world.files() if each["name"] == "zones.txt" and not each["trashed"]]
        assert ended.statuses == ["unchanged"]
        assert live == [oldest]


def test_a_file_that_a_listing_hides_is_not_put_away_with_its_folder(station: Station) -> None:
    """Of two twin folders the younger holds a file that is too new to be listed: it doesn't end in the bin."""
    with station.world(homes=2) as world:
        world.drive.set_weather(list_lag_s=30)
        for home in world.homes:
            home.put("Meta/zones.txt", home.folder.name.encode())
            world.run({"path": "Data/Meta/zones.txt"}, home=home)
        world.advance(20)
        world.homes[1].put("Meta/late.txt", b"late")
        world.run({"path": "Data/Meta/late.txt"}, home=world.homes[1])
        world.advance(11)

        world.homes[0].put("Meta/plans.txt", b"plans")
        world.run({"path": "Data/Meta/plans.txt"}, home=world.homes[0])

        late = [each for each in world.files() if each["name"] == "late.txt"]
        assert [each["trashed"] for each in late] == [False]


def test_a_lagging_list_makes_nobody_create_again(station: Station) -> None:
    """With listings 30 seconds behind, calls one after the other, killed or not, still make one file and one chain."""
    wanted = [Wanted("Meta/zones.txt", b"zones"), Wanted("Meta/plans.txt", b"plans")]
    with station.world() as world:
        world.drive.set_weather(list_lag_s=30)
        for each in wanted:
            world.home.put(each.source, each.content)

        world.run({"path": "Data/Meta/zones.txt"}, kill_after_s=0.06)
        for each in [*wanted, *wanted]:
            assert world.run({"path": f"Data/{each.source}"}).code == 200

        assert promise.broken(world, wanted) == []


def test_the_folder_is_remembered_when_nothing_else_is(station: Station) -> None:
    """Without any state of ours, what was uploaded is found by a look, and neither file nor folder is made again."""
    wanted = [Wanted("Meta/zones.txt", b"zones")]
    with station.world() as world:
        world.home.put("Meta/zones.txt", b"zones")
        world.run({"path": "Data/Meta/zones.txt"})
        later = world.new_home()
        later.put("Meta/zones.txt", b"zones")
        before = world.files()

        ended = world.run({"path": "Data/Meta/zones.txt"}, home=later)

        assert ended.statuses == ["unchanged"]
        assert world.files() == before
        assert promise.broken(world, wanted, homes=[world.home]) == []
