"""What others do on Drive between two of our calls, and what becomes of it: their doings are respected, nothing ends
in the bin, nothing of theirs is touched."""

import hashlib
import threading
from collections.abc import Callable

import pytest

from tests.crash import promise
from tests.crash.scenarios import LARGE, Wanted
from tests.crash.strike import Strike
from tests.crash.world import FOLDER_TYPE, Remote, World
from tests.support.between import between

ZONES = {"path": "Data/Meta/zones.txt"}


def upload(world: World, source: str = "Meta/zones.txt", content: bytes = b"zones") -> list[str]:
    """Upload a source with that content; the statuses, or the answer where it failed."""
    world.home.put(source, content)
    ended = world.run({"path": f"Data/{source}"})
    return ended.statuses if ended.code == 200 else [str(ended.document)]


def only(world: World, path: str) -> Remote:
    """The one thing at a path that is not in the bin."""
    (found,) = [each for each in world.files() if each["path"] == path and not each["trashed"]]
    return found


def live(world: World) -> list[str]:
    """The paths of all files that are not in the bin."""
    return sorted(each["path"] for each in world.files() if each["mimeType"] != FOLDER_TYPE and not each["trashed"])


def trash(world: World, path: str) -> None:
    """The owner puts it into the bin."""
    world.call("PATCH", f"files/{only(world, path)['id']}", {"trashed": True})


def delete(world: World, path: str) -> None:
    """The owner deletes it for good."""
    world.call("DELETE", f"files/{only(world, path)['id']}")


def rename(world: World, path: str) -> None:
    """The owner gives it another name."""
    world.call("PATCH", f"files/{only(world, path)['id']}", {"name": "renamed"})


def move(world: World, path: str) -> None:
    """The owner moves it to the top."""
    there = only(world, path)
    world.call("PATCH", f"files/{there['id']}?addParents=root&removeParents={there['parents'][0]}", {})


AWAY = pytest.mark.parametrize("put_away", [trash, delete, rename, move])


@AWAY
@pytest.mark.parametrize("folder", ["MemoryVDB", "MemoryVDB/Meta"])
def test_a_folder_that_its_owner_put_away_is_made_anew(
    world: World, put_away: Callable[[World, str], None], folder: str
) -> None:
    """A new upload goes to the destination as it is named, in folders made anew; what went away stays where it is."""
    upload(world, "Meta/earlier.txt")
    put_away(world, folder)

    assert upload(world) == ["uploaded"]

    assert only(world, "MemoryVDB/Meta/zones.txt")["size"] == 5
    assert upload(world, "Meta/third.txt") == ["uploaded"]
    assert only(world, "MemoryVDB/Meta/third.txt")["parents"] == only(world, "MemoryVDB/Meta/zones.txt")["parents"]


@AWAY
def test_a_chain_is_made_anew_below_a_folder_that_its_owner_put_away(
    world: World, put_away: Callable[[World, str], None]
) -> None:
    """A new folder in a folder that is known, but gone by now, ends below the destination's, not with the old one."""
    upload(world, "Meta/earlier.txt")
    put_away(world, "MemoryVDB/Meta")

    assert upload(world, "Meta/2026/11/zones.txt") == ["uploaded"]

    assert only(world, "MemoryVDB/Meta/2026/11/zones.txt")["size"] == 5


@AWAY
def test_a_folder_goes_while_its_upload_is_dead(world: World, put_away: Callable[[World, str], None]) -> None:
    """An upload that was killed when its file was made is brought to the destination by the next call."""
    upload(world, "Meta/earlier.txt")
    world.home.put("Meta/zones.txt", b"zones")
    world.drive.faults.add({"on": "files.create", "do": "delay", "ms": 150})
    world.run(ZONES, kill_after_s=0.12)
    world.settle()
    put_away(world, "MemoryVDB/Meta")

    assert upload(world) == ["uploaded"]

    assert only(world, "MemoryVDB/Meta/zones.txt")["size"] == 5


def test_a_folder_that_goes_at_the_moment_of_the_create_is_noticed(world: World) -> None:
    """Drive takes a create under a folder in the bin without a word: the file is moved to where it belongs."""
    upload(world, "Meta/earlier.txt")
    world.drive.faults.add({"on": "files.create", "do": "trash_parent"})

    assert upload(world) == ["uploaded"]

    assert only(world, "MemoryVDB/Meta/zones.txt")["size"] == 5


@pytest.mark.parametrize("put_away", [trash, delete, rename, move])
def test_an_owner_may_do_with_the_file_what_they_like(world: World, put_away: Callable[[World, str], None]) -> None:
    """A file that its owner put away is not brought back; other content of the source is uploaded beside."""
    upload(world)
    put_away(world, "MemoryVDB/Meta/zones.txt")
    before = world.files()

    assert upload(world) == ["unchanged"]
    assert world.files() == before
    assert upload(world, content=b"new zones") == ["uploaded"]
    assert only(world, "MemoryVDB/Meta/zones.txt")["size"] == 9


def test_an_edited_file_is_left_as_it_is(world: World) -> None:
    """What the owner wrote into our file stays; the next state of the source goes beside it."""
    upload(world)
    edited = only(world, "MemoryVDB/Meta/zones.txt")
    world.overwrite(edited["id"], b"the owner's own zones")

    assert upload(world) == ["unchanged"]
    assert upload(world, content=b"new zones") == ["uploaded"]

    assert world.content(edited["id"]) == b"the owner's own zones"
    assert live(world) == ["MemoryVDB/Meta/zones (2).txt", "MemoryVDB/Meta/zones.txt"]


def edit(world: World, path: str) -> None:
    """The owner gives it other content, some time after it was made."""
    file_id = only(world, path)["id"]
    world.overwrite(file_id, b"the owner's own")
    world.call("PATCH", f"files/{file_id}", {"modifiedTime": "2100-01-01T00:00:00Z"})


@pytest.mark.parametrize("act", [trash, delete, rename, move, edit])
@pytest.mark.parametrize("content", [b"zones", LARGE], ids=["in one request", "in a session"])
def test_what_was_logged_before_the_death_is_its_owners(
    world: World, content: bytes, act: Callable[[World, str], None]
) -> None:
    """Killed between the log's entry and the receipt's: whatever the owner does then stays, and nothing comes again."""
    upload(world, "Meta/earlier.txt")
    world.home.put("Meta/zones.txt", content)
    dead = world.run(ZONES, strike=Strike(0, "after", only="pwrite upload_log.json"))
    act(world, "MemoryVDB/Meta/zones.txt")
    before = world.files()

    assert dead.code is None
    assert upload(world, content=content) == ["unchanged"]
    assert world.home.log()[-1]["md5"] == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert world.files() == before
    assert promise.times_logged(world.home, Wanted("Meta/zones.txt", content)) == 1


def test_an_edit_behind_a_lost_answer_is_kept(world: World) -> None:
    """A large file was complete when its sender died, and its owner wrote into it: ours goes beside it, once."""
    upload(world, "Meta/earlier.txt")
    world.home.put("Meta/zones.txt", LARGE)
    world.run(ZONES, strike=Strike(0, "after", only="request PUT"))
    world.settle()
    edit(world, "MemoryVDB/Meta/zones.txt")
    theirs = only(world, "MemoryVDB/Meta/zones.txt")["id"]

    assert upload(world, content=LARGE) == ["uploaded"]

    assert world.content(theirs) == b"the owner's own"
    assert only(world, "MemoryVDB/Meta/zones (2).txt")["size"] == len(LARGE)


@pytest.mark.parametrize("content", [b"zones", LARGE], ids=["in one request", "in a session"])
def test_a_content_that_arrived_is_kept_although_its_source_is_another(world: World, content: bytes) -> None:
    """Killed before the log's entry, edited since: both contents are there, under names of their own, and logged."""
    upload(world, "Meta/earlier.txt")
    world.home.put("Meta/zones.txt", content)
    request = "request PUT" if content is LARGE else "request POST /upload"
    world.run(ZONES, strike=Strike(0, "after", only=request))
    world.settle()

    assert upload(world, content=b"edited") == ["uploaded"]

    assert world.content(only(world, "MemoryVDB/Meta/zones.txt")["id"]) == content
    assert world.content(only(world, "MemoryVDB/Meta/zones (2).txt")["id"]) == b"edited"
    for each in (content, b"edited"):
        assert promise.times_logged(world.home, Wanted("Meta/zones.txt", each)) == 1


@pytest.mark.parametrize("put_away", [rename, move, trash])
def test_a_folder_that_goes_during_a_long_transfer_is_noticed(
    world: World, put_away: Callable[[World, str], None]
) -> None:
    """The file ends where its entry in the log says, whatever its owner did to the folder meanwhile."""
    upload(world, "Meta/earlier.txt")
    world.home.put("Meta/zones.txt", LARGE)
    world.drive.faults.add({"on": "upload.send", "do": "slow_body", "ms": 300})

    def interfere() -> None:
        while not world.drive.requests.count("upload.start"):
            threading.Event().wait(0.005)
        put_away(world, "MemoryVDB/Meta")

    interfering = threading.Thread(target=interfere)
    interfering.start()
    ended = world.run(ZONES)
    interfering.join()

    assert ended.statuses == ["uploaded"]
    assert only(world, ended.document["results"][0]["destination"])["size"] == len(LARGE)


def test_a_foreign_file_of_the_name_is_not_touched(world: World) -> None:
    """Somebody put a file of the same name there: ours goes beside it, and theirs stays as it was."""
    upload(world, "Meta/earlier.txt")
    theirs = world.foreign_file("MemoryVDB/Meta/zones.txt", b"theirs")

    assert upload(world) == ["uploaded"]

    assert world.content(theirs) == b"theirs"
    assert live(world) == ["MemoryVDB/Meta/earlier.txt", "MemoryVDB/Meta/zones (2).txt", "MemoryVDB/Meta/zones.txt"]


@pytest.mark.parametrize(
    ("policy", "status", "there"),
    [
        ("keep_both", "uploaded", ["MemoryVDB/Meta/zones (2).txt", "MemoryVDB/Meta/zones.txt"]),
        ("skip", "skipped", ["MemoryVDB/Meta/zones.txt"]),
        ("fail", "failed", ["MemoryVDB/Meta/zones.txt"]),
    ],
)
@pytest.mark.parametrize("content", [b"zones", LARGE], ids=["in one request", "in a session"])
def test_a_name_that_was_free_before_the_death_is_looked_at_again(
    world: World, content: bytes, policy: str, status: str, there: list[str]
) -> None:
    """An upload dies before its content arrives, and somebody takes its name: the policy counts as it stands now."""
    upload(world, "Meta/earlier.txt")
    delete(world, "MemoryVDB/Meta/earlier.txt")
    world.home.put("Meta/zones.txt", content)
    payload = ZONES | {"if_exists": policy}
    dead = world.run(payload, strike=Strike(0, only="request PUT" if content is LARGE else "request POST /upload"))
    theirs = world.foreign_file("MemoryVDB/Meta/zones.txt", b"theirs")

    ended = world.run(payload)

    assert dead.code is None
    assert ended.statuses == [status]
    assert live(world) == there
    assert world.content(theirs) == b"theirs"


@pytest.mark.parametrize("knows_the_folder", [True, False])
def test_a_create_that_came_through_though_its_answer_denied_it_is_logged(world: World, knows_the_folder: bool) -> None:
    """Something between us and Drive says 404 to a create that Drive did: found then, it is our upload, logged once."""
    denied: list[str] = []

    def deny(method: str, path: str, body: bytes) -> bytes | None:
        if path.startswith("/upload") and not denied:
            denied.append(path)
            return None
        return body

    with between(world.drive.url, after=deny) as url:
        world.home.environ["DRIVE_EMULATOR_HOST"] = url
        if knows_the_folder:
            denied.append("not yet")
            upload(world, "Meta/earlier.txt")
            denied.clear()
        statuses = upload(world)

    assert denied
    assert statuses == ["uploaded"]
    assert promise.times_logged(world.home, Wanted("Meta/zones.txt", b"zones")) == 1


def put_in_its_place(world: World, path: str) -> None:
    """Somebody puts a file of their own where one of the batch is to go."""
    world.foreign_file(f"{path}/b.txt", b"theirs")


@pytest.mark.parametrize("act", [trash, delete, put_in_its_place])
def test_a_batch_that_claims_its_names_early_goes_by_what_the_look_shows(
    world: World, act: Callable[[World, str], None]
) -> None:
    """In a folder that is known the claims don't wait for the look: what it shows counts all the same."""
    upload(world, "Meta/earlier.txt")
    act(world, "MemoryVDB/Meta")
    wanted = [Wanted(f"Meta/{name}.txt", name.encode()) for name in "abc"]
    for each in wanted:
        world.home.put(each.source, each.content)

    ended = world.run({"files": [{"path": f"Data/{each.source}"} for each in wanted]})

    assert ended.statuses == ["uploaded"] * 3
    names = {each["name"] for each in world.files() if not each["trashed"]}
    assert ("b (2).txt" in names) == (act is put_in_its_place)
    assert [len(promise.copies(world.files(), each)) for each in wanted] == [1, 1, 1]
    assert not [each for each in world.files() if each["trashed"] and each["name"] in ("a.txt", "b.txt", "c.txt")]


def test_a_foreign_file_with_the_content_is_adopted(world: World) -> None:
    """The content is at its destination already, by whomever: nothing is uploaded, and so it is said."""
    theirs = world.foreign_file("MemoryVDB/Meta/zones.txt", b"zones")

    assert upload(world) == ["unchanged"]

    assert [each["id"] for each in world.files() if each["size"] is not None] == [theirs]


@pytest.mark.parametrize("put_away", [trash, delete])
def test_a_root_that_is_gone_is_named(world: World, put_away: Callable[[World, str], None]) -> None:
    """A drive root given by its id can't be made anew: the call says which one, and uploads nothing anywhere."""
    root = world.foreign_folder("Root", "root")
    home = world.new_home(drive_root={"folder_id": root})
    put_away(world, "Root")
    home.put("Meta/zones.txt", b"zones")

    ended = world.run(ZONES, home=home)

    assert ended.code == 503
    assert ended.document["results"][0]["reason"] == "drive_root_not_found"
    assert root in ended.document["results"][0]["message"]
    assert live(world) == []
