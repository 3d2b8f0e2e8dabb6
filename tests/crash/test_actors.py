"""Actors that the protocol must bear: racers, another user's token, a restored state, owners, a frozen process, a
middlebox that damages bytes. Each was once able to break the promise; docs/protocol.md names the rule against it.
"""

import json
import shutil
import threading

import pytest

from tests.crash import promise
from tests.crash.scenarios import LARGE, Wanted
from tests.crash.strike import Strike
from tests.crash.world import Home, Remote, Station, World
from tests.support.between import Before, between

ZONES = {"path": "Data/Meta/zones.txt"}


def live(world: World, account: str = "default") -> list[Remote]:
    """The files that are not in the bin."""
    return [each for each in world.files(account) if each["size"] is not None and not each["trashed"]]


def named(world: World, account: str = "default") -> dict[str, bytes]:
    """Path -> content of the files that are not in the bin; fails where two have one path."""
    files = live(world, account)
    found = {each["path"]: world.content(each["id"]) for each in files}
    assert len(found) == len(files), files
    return found


def upload(world: World, content: bytes, home: Home | None = None, **options: object) -> str:
    """The status, or the reason, of an upload of zones.txt with that content."""
    (home or world.home).put("Meta/zones.txt", content)
    ended = world.run(ZONES | options, home=home)
    (entry,) = ended.document["results"]
    return str(entry["reason"] or entry["status"])


# --- racers without shared state


@pytest.mark.parametrize("delay_ms", [0, 30, 500])
@pytest.mark.parametrize("racers", [2, 4])
@pytest.mark.parametrize("way", ["one file", "batch", "new folders"])
@pytest.mark.parametrize("is_equal", [True, False], ids=["equal content", "other contents"])
def test_racers_settle_however_long_a_create_takes(
    station: Station, delay_ms: int, racers: int, way: str, is_equal: bool
) -> None:
    """Of equal contents one file stays, other contents get names of their own, in one chain of folders."""
    names = ["zones", "plans", "ids"] if way == "batch" else ["zones"]
    with station.world(homes=racers) as world:
        for number, home in enumerate(world.homes):
            if way != "new folders":
                home.put("Meta/earlier.txt", b"earlier")
                world.run({"path": "Data/Meta/earlier.txt"}, home=home)
            for name in names:
                home.put(f"Meta/{name}.txt", b"equal" if is_equal else b"of %d" % number)
        world.drive.faults.add({"on": "files.create", "do": "delay", "ms": delay_ms, "times": 100})
        files = [{"path": f"Data/Meta/{name}.txt"} for name in names]
        payload = {"files": files} if way == "batch" else files[0]

        ended = world.at_once([world.invocation(payload, home=home) for home in world.homes])

        assert {each.code for each in ended} == {200}
        raced = [path for path in named(world) if "earlier" not in path]
        assert len(raced) == len(names) * (1 if is_equal else racers)
        assert list(promise.twin_folders(world.files())) == []


@pytest.mark.parametrize("policy", ["skip", "fail", "new_revision"])
def test_racers_with_large_contents_keep_one_file(station: Station, policy: str) -> None:
    """A large content's digests are known only when it was sent: the loser's file goes to the bin all the same."""
    with station.world(homes=2) as world:
        for number, home in enumerate(world.homes):
            home.put("Meta/zones.txt", bytes([number]) + LARGE)
        world.drive.faults.add({"on": "upload.send", "do": "delay", "ms": 200, "times": 2})

        world.at_once([world.invocation(ZONES | {"if_exists": policy}, home=home) for home in world.homes])

        assert list(named(world)) == ["MemoryVDB/Meta/zones.txt"]


# --- the state is bound to the Drive it speaks of


@pytest.mark.parametrize("policy", ["keep_both", "new_revision"])
@pytest.mark.parametrize("shared_with", ["user", "anyone"])
def test_a_drive_that_is_shared_with_the_next_user_is_not_theirs(
    station: Station, policy: str, shared_with: str
) -> None:
    """The log tells of a file that the next token can see, too; it lies in the first user's Drive all the same."""
    with station.world(("default", "archive")) as world:
        payload = ZONES | {"account": "default", "if_exists": policy}
        world.home.put("Meta/zones.txt", b"zones")
        world.run(payload)
        top = next(each["id"] for each in world.files() if each["path"] == "MemoryVDB")
        reader = {"type": shared_with, "role": "reader"}
        reader |= {"emailAddress": world.emails["archive"]} if shared_with == "user" else {}
        world.call("POST", f"files/{top}/permissions", reader)
        shutil.copy(world.home.folder / "archive.json", world.home.folder / "default.json")

        assert world.run(payload).statuses == ["uploaded"]
        assert named(world, "archive") == {"MemoryVDB/Meta/zones.txt": b"zones"}


def test_another_users_token_starts_with_a_state_of_its_own(station: Station) -> None:
    """Swapped, the token leads to another Drive, which gets the file; swapped back, the old state is found."""
    with station.world(("default", "archive")) as world:
        home = world.home
        home.put("Meta/zones.txt", b"zones")
        payload = ZONES | {"account": "default"}
        assert world.run(payload).statuses == ["uploaded"]
        token, other = (home.folder / f"{name}.json" for name in ("default", "archive"))
        first, second = token.read_bytes(), other.read_bytes()

        token.write_bytes(second)
        swapped = world.run(payload).statuses
        again = world.run(payload).statuses
        token.write_bytes(first)
        asked = len(world.drive.requests)
        back = world.run(payload).statuses

        assert (swapped, again, back) == (["uploaded"], ["unchanged"], ["unchanged"])
        assert len(world.drive.requests) == asked
        assert [list(named(world, account)) for account in world.emails] == [["MemoryVDB/Meta/zones.txt"]] * 2


def test_a_session_is_never_continued_with_another_users_token(station: Station) -> None:
    """Begun for one Drive and left half sent, it stays there: the other Drive gets the whole file."""
    with station.world(("default", "archive")) as world:
        home = world.home
        home.put("Meta/zones.txt", LARGE)
        payload = ZONES | {"account": "default"}
        world.run(payload, strike=Strike(4, "before", only="block of PUT"))
        assert named(world) == {}
        (home.folder / "default.json").write_bytes((home.folder / "archive.json").read_bytes())

        assert world.run(payload).statuses == ["uploaded"]

        assert named(world, "archive") == {"MemoryVDB/Meta/zones.txt": LARGE}
        assert named(world) == {}


@pytest.mark.parametrize("content", [b"zones", LARGE], ids=["in one request", "in a session"])
def test_a_token_that_comes_during_an_upload_is_not_used_for_it(station: Station, content: bytes) -> None:
    """What is sent, looked at and settled stays with one user's Drive; the other one isn't even asked."""
    with station.world(("default", "archive")) as world:
        token = world.home.folder / "default.json"
        first, second = token.read_bytes(), (world.home.folder / "archive.json").read_bytes()

        def swap(method: str, path: str, body: bytes) -> None:
            if "/upload/" in path and not world.home.log():
                token.write_bytes(second)

        world.home.put("Meta/zones.txt", content)
        payload = ZONES | {"account": "default"}
        with between(world.drive.url, swap) as url:
            ended = world.run(payload, environ={"DRIVE_EMULATOR_HOST": url})
            users = {each.user for each in world.drive.requests if each.user}
            token.write_bytes(first)
            again = world.run(payload, environ={"DRIVE_EMULATOR_HOST": url})

        assert (ended.code, ended.document["results"][0]["reason"]) == (503, "credentials_invalid")
        assert users == {world.emails["default"]}
        assert again.statuses == ["uploaded"]
        assert (named(world), named(world, "archive")) == ({"MemoryVDB/Meta/zones.txt": content}, {})


# --- an id proves nothing


@pytest.mark.parametrize(
    "fault", [{"do": "status", "status": 503}, {"do": "reset_before"}, {"do": "lose_answer"}, None]
)
@pytest.mark.parametrize("way", ["restored", "copied"])
def test_an_old_pool_overwrites_nothing(station: Station, fault: dict[str, object] | None, way: str) -> None:
    """The state comes back from a backup, or lives in a copied home: an id handed out before isn't ours to write to."""
    with station.world() as world:
        home = world.home
        home.put("Meta/earlier.txt", b"earlier")
        world.run({"path": "Data/Meta/earlier.txt"})
        backup = home.folder / "backup"
        shutil.copytree(home.state, backup)
        assert upload(world, b"first") == "uploaded"
        if way == "copied":
            home = world.new_home()
        shutil.rmtree(home.state, ignore_errors=True)
        backup.rename(home.state)
        if fault:
            world.drive.faults.add({"on": "files.create"} | fault)
        else:
            home.put("Meta/zones.txt", b"second")
            world.run(ZONES, home=home, strike=Strike(0, "before", only="request POST /upload"))

        assert upload(world, b"second", home) == "uploaded"

        contents = sorted(named(world).values())
        assert contents == [b"earlier", b"first", b"second"]


@pytest.mark.parametrize("content", [b"one", LARGE], ids=["in one request", "in a session"])
def test_a_home_copied_with_an_open_claim_writes_over_nothing(station: Station, content: bytes) -> None:
    """Killed before its create, copied, and edited there: what the copy brought to Drive is no damage of the first."""
    with station.world() as world:
        world.home.put("Meta/earlier.txt", b"earlier")
        world.run({"path": "Data/Meta/earlier.txt"})
        world.home.put("Meta/zones.txt", content)
        world.run(ZONES, strike=Strike(0, "before", only="request POST /upload"))
        copy = world.new_home()
        shutil.rmtree(copy.folder)
        shutil.copytree(world.home.folder, copy.folder)

        assert upload(world, content + b", edited", copy) == "uploaded"
        assert upload(world, content) == "uploaded"

        assert sorted(named(world).values()) == sorted([b"earlier", content, content + b", edited"])


# --- what its owner does


@pytest.mark.parametrize("modified", [None, "2001-01-01T00:00:00Z"], ids=["at once", "with an old date"])
@pytest.mark.parametrize("content", [b"zones", LARGE], ids=["in one request", "in a session"])
def test_an_edit_between_the_create_and_the_log_stays(world: World, content: bytes, modified: str | None) -> None:
    """Killed before it was logged; somebody gives the file other content: it is theirs, and ours goes beside it."""
    upload(world, b"earlier")
    world.home.put("Meta/zones.txt", content)
    world.run(ZONES, strike=Strike(0, "before", only="pwrite upload_log.json"))
    (ours,) = [each for each in live(world) if each["size"] == len(content)]
    world.overwrite(ours["id"], b"the owner's own")
    if modified:
        world.call("PATCH", f"files/{ours['id']}", {"modifiedTime": modified})

    assert upload(world, content) == "uploaded"

    assert world.content(ours["id"]) == b"the owner's own"
    assert content in named(world).values()


def test_the_only_copy_is_not_its_own_duplicate(world: World) -> None:
    """Renamed by its owner, the folders' receipts deleted, the source edited: the file stays where it is."""
    upload(world, b"zones")
    (ours,) = live(world)
    world.call("PATCH", f"files/{ours['id']}", {"name": "renamed.txt"})
    for folder in world.home.state.glob("*/drives/*/folders"):
        shutil.rmtree(folder)

    assert upload(world, b"zones, edited") == "uploaded"

    assert named(world) == {
        "MemoryVDB/Meta/renamed.txt": b"zones",
        "MemoryVDB/Meta/zones.txt": b"zones, edited",
    }


@pytest.mark.parametrize("policy", ["new_revision", "keep_both"])
def test_no_content_ends_in_the_bin_with_its_folder(world: World, policy: str) -> None:
    """The folder is put into the bin while a large file is on its way: its content ends in the folder made anew."""
    upload(world, b"first")
    folder = next(each for each in world.files() if each["path"] == "MemoryVDB/Meta")

    def trash_the_folder(method: str, path: str, body: bytes) -> None:
        if "upload_id=" in path and len(body) > 1000:
            world.call("PATCH", f"files/{folder['id']}", {"trashed": True})

    with between(world.drive.url, trash_the_folder) as url:
        world.home.put("Meta/zones.txt", LARGE)
        ended = world.run(ZONES | {"if_exists": policy}, environ={"DRIVE_EMULATOR_HOST": url})

    assert ended.code == 200, ended.document
    assert LARGE in named(world).values()


def test_an_owners_rename_during_the_call_stays(world: World) -> None:
    """Ours is about to be renamed for a clash, when its owner renames it: the owner's name stays."""
    upload(world, b"earlier")
    shutil.rmtree(world.home.state)
    world.home.put("Meta/warm.txt", b"warm")
    world.run({"path": "Data/Meta/warm.txt"})
    for folder in world.home.state.glob("*/drives/*/receipts"):
        shutil.rmtree(folder)
    (world.home.folder / "upload_log.json").unlink()
    made: list[str] = []

    def rename_ours(method: str, path: str, body: bytes) -> bytes:
        if "uploadType=multipart" in path:
            made.append(json.loads(body)["id"])
            world.call("PATCH", f"files/{made[0]}", {"name": "the owner's.txt"})
        return body

    with between(world.drive.url, after=rename_ours) as url:
        world.home.put("Meta/zones.txt", b"zones")
        world.run(ZONES, environ={"DRIVE_EMULATOR_HOST": url})

    if made:
        (ours,) = [each for each in live(world) if each["id"] == made[0]]
        assert ours["name"] == "the owner's.txt"


# --- state that is deleted, processes that freeze, bytes that are damaged


@pytest.mark.parametrize("lag_s", [0, 30])
def test_a_state_deleted_under_way_leaves_one_file(world: World, lag_s: int) -> None:
    """While a create waits, the state goes and another call uploads the same file: one of the two gives way."""
    world.home.put("Meta/earlier.txt", b"earlier")
    world.run({"path": "Data/Meta/earlier.txt"})
    world.drive.set_weather(list_lag_s=lag_s)
    world.home.put("Meta/zones.txt", b"zones")
    world.drive.faults.add({"on": "files.create", "do": "delay", "ms": 1500})
    creates = world.drive.requests.count("files.create")

    def meanwhile() -> None:
        while world.drive.requests.count("files.create") == creates:
            threading.Event().wait(0.005)
        shutil.rmtree(world.home.state)

    removing = threading.Thread(target=meanwhile)
    removing.start()
    ended = world.at_once([world.invocation(ZONES), world.invocation(ZONES, after_s=0.8)])
    removing.join()
    world.drive.set_weather(list_lag_s=0)
    last = world.run(ZONES)

    assert {each.code for each in [*ended, last]} == {200}
    assert len([each for each in live(world) if each["name"].startswith("zones")]) == 1
    assert promise.times_logged(world.home, Wanted("Meta/zones.txt", b"zones")) == 1


FREEZES = ["pwrite upload_log.json", "request PATCH", "request POST /upload", "link .drive_upload"]


@pytest.mark.parametrize("event", FREEZES)
@pytest.mark.parametrize("policy", ["keep_both", "new_revision"])
def test_a_frozen_process_wakes_up_after_another_took_over(station: Station, event: str, policy: str) -> None:
    """Its lease has run out, another one has finished the upload: it is on Drive once, and logged once."""
    with station.world(lease_s=0.3, if_exists=policy) as world:
        upload(world, b"earlier")
        world.home.put("Meta/zones.txt", b"zones")
        frozen = world.invocation(ZONES, strike=Strike(0, "frozen", only=event))

        ended = world.at_once([frozen, world.invocation(ZONES, after_s=0.5)])
        last = world.run(ZONES)

        assert ended[1].code == last.code == 200
        assert list(named(world).values()).count(b"zones") == 1
        assert len(named(world)) == (1 if policy == "new_revision" else 2)
        assert promise.times_logged(world.home, Wanted("Meta/zones.txt", b"zones")) == 1


def test_a_revision_that_was_never_sent_is_not_logged_again(station: Station) -> None:
    """new_revision: B, then C killed before anything is sent, then back to B: B was uploaded once."""
    with station.world(if_exists="new_revision") as world:
        upload(world, b"A")
        upload(world, b"B")
        world.home.put("Meta/zones.txt", b"C")
        world.run(ZONES, strike=Strike(0, "before", only="request PATCH"))

        assert upload(world, b"B") == "unchanged"

        assert named(world) == {"MemoryVDB/Meta/zones.txt": b"B"}
        assert promise.times_logged(world.home, Wanted("Meta/zones.txt", b"B")) == 1


def test_a_revision_behind_one_that_was_killed_is_logged(station: Station) -> None:
    """new_revision: A, B, then C killed before its entry, then back to B: the log ends with what Drive holds."""
    with station.world(if_exists="new_revision") as world:
        for content in (b"A", b"B"):
            upload(world, content)
        world.home.put("Meta/zones.txt", b"C")
        world.run(ZONES, strike=Strike(0, "after", only="request PUT"))

        assert upload(world, b"B") == "uploaded"

        assert named(world) == {"MemoryVDB/Meta/zones.txt": b"B"}
        assert promise.times_logged(world.home, Wanted("Meta/zones.txt", b"B")) == 2
        shutil.rmtree(world.home.state)
        assert upload(world, b"C") == "uploaded"
        assert named(world) == {"MemoryVDB/Meta/zones.txt": b"C"}


PUT_AWAY = {"binned": {"trashed": True}, "renamed": {"name": "archive.txt"}, "moved": {}}


@pytest.mark.parametrize("how", PUT_AWAY)
@pytest.mark.parametrize("content", [b"zones", LARGE], ids=["in one request", "in a session"])
@pytest.mark.parametrize("is_killed", [True, False], ids=["before a killed call goes on", "while it is sent"])
def test_what_its_owner_put_away_gets_no_revision(world: World, how: str, content: bytes, *, is_killed: bool) -> None:
    """The content is at its destination; only what was on its way already is also where the owner put the file."""
    upload(world, b"earlier")
    file, aside = live(world)[0], world.foreign_folder("Archive", "root", "default")
    moved = f"?addParents={aside}&removeParents={file['parents'][0]}" if how == "moved" else ""
    revise = ZONES | {"if_exists": "new_revision"}
    done: list[object] = []

    def put_away(method: str, path: str, body: bytes) -> None:
        if "/upload/" in path and method in ("PATCH", "PUT") and not done:
            done.append(world.call("PATCH", f"files/{file['id']}{moved}", PUT_AWAY[how]))

    world.home.put("Meta/zones.txt", content)
    if is_killed:
        world.run(revise, strike=Strike(0, "before", only="request PATCH"))
        put_away("PATCH", "/upload/", b"")
    with between(world.drive.url, put_away) as url:
        ended = world.run(revise, environ={} if is_killed else {"DRIVE_EMULATOR_HOST": url})

    assert (done != [], ended.statuses) == (True, ["uploaded"])
    assert named(world)["MemoryVDB/Meta/zones.txt"] == content
    if is_killed:
        assert world.content(file["id"]) == b"earlier"


def damaging(times: int) -> Before:
    """A middlebox that changes one bit of a content on its way, so many times."""
    left = [times]

    def damage(method: str, path: str, body: bytes) -> bytes | None:
        if left[0] and len(body) > 1500 and "upload" in path:
            left[0] -= 1
            return body[:-1000] + bytes([body[-1000] ^ 1]) + body[-999:]
        return None

    return damage


@pytest.mark.parametrize("how", ["binned", "renamed"])
def test_what_is_damaged_and_put_away_is_not_mended_there(world: World, how: str) -> None:
    """Killed after a middlebox damaged it: its owner threw damage away, never our content."""
    with between(world.drive.url, damaging(1)) as url:
        environ = {"DRIVE_EMULATOR_HOST": url}
        world.home.put("Meta/zones.txt", b"zones" * 400)
        world.run(ZONES, environ=environ, strike=Strike(0, "after", only="request POST /upload"))
        world.call("PATCH", f"files/{live(world)[0]['id']}", PUT_AWAY[how])
        ended = world.run(ZONES, environ=environ)

    assert ended.statuses == ["uploaded"]
    assert named(world)["MemoryVDB/Meta/zones.txt"] == b"zones" * 400


@pytest.mark.parametrize("times", [1, 2, 3, 5])
@pytest.mark.parametrize("content", [b"zones" * 400, LARGE], ids=["in one request", "in a session"])
@pytest.mark.parametrize("policy", ["keep_both", "new_revision"])
def test_what_was_damaged_on_the_way_is_sent_anew(world: World, policy: str, content: bytes, times: int) -> None:
    """A middlebox changes bytes on the way, once or some times: the call mends it, or says so, and a later one does."""
    with between(world.drive.url, damaging(times)) as url:
        environ = {"DRIVE_EMULATOR_HOST": url}
        world.home.put("Meta/zones.txt", b"earlier")
        world.run(ZONES, environ=environ)
        world.home.put("Meta/zones.txt", content)
        ended = [world.run(ZONES | {"if_exists": policy}, environ=environ) for _ in range(4)]

    reasons = [each["reason"] for run in ended for each in run.document["results"]]
    assert set(reasons) <= {None, "checksum_mismatch"}
    assert reasons[-1] is None
    assert times > 2 or reasons[times - 1 :] == [None] * (5 - times)
    assert content in named(world).values()
    assert len(named(world)) == (1 if policy == "new_revision" else 2)
    assert promise.times_logged(world.home, Wanted("Meta/zones.txt", content)) == 1
