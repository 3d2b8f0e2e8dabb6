"""The state is lost, old or unwritable: the upload is right all the same, nothing is destroyed, the reason is clear."""

import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import promise
from tests.crash.scenarios import Wanted
from tests.crash.strike import Strike
from tests.crash.world import Home, Station, World

ZONES = {"path": "Data/Meta/zones.txt"}
WANTED = [Wanted("Meta/zones.txt", b"zones")]


def upload(world: World, source: str, content: bytes, home: Home | None = None) -> list[str]:
    """Upload a source with that content; the statuses, or the reasons where it failed."""
    (home or world.home).put(source, content)
    ended = world.run({"path": f"Data/{source}"}, home=home)
    return [each["reason"] or each["status"] for each in ended.document["results"]]


def paths(world: World) -> list[str]:
    """The paths of everything on Drive that is not in the bin."""
    return sorted(each["path"] for each in world.files() if not each["trashed"])


def test_without_its_state_an_upload_finds_what_is_there(world: World) -> None:
    """`.drive_upload/` may be deleted at any time: the next call looks, and makes nothing twice."""
    upload(world, "Meta/zones.txt", b"zones")
    before = paths(world)
    shutil.rmtree(world.home.state)

    assert upload(world, "Meta/zones.txt", b"zones") == ["unchanged"]
    assert upload(world, "Meta/plans.txt", b"plans") == ["uploaded"]

    assert paths(world) == sorted([*before, "MemoryVDB/Meta/plans.txt"])
    assert promise.broken(world, [*WANTED, Wanted("Meta/plans.txt", b"plans")]) == []


def test_a_state_from_a_backup_hands_out_no_id_twice(world: World) -> None:
    """Restored, receipts are old and the pool holds ids that were used since: each file still gets one of its own."""
    upload(world, "Meta/zones.txt", b"zones")
    backup = world.home.folder / "backup"
    shutil.copytree(world.home.state, backup)
    later = [Wanted(f"{folder}/{number}.txt", b"%d" % number) for folder in ("Meta", "New") for number in range(3)]
    for each in later:
        upload(world, each.source, each.content)
    shutil.rmtree(world.home.state)
    backup.rename(world.home.state)
    newest = [Wanted(f"{folder}/new.txt", b"%d" % number) for number, folder in enumerate(("Meta", "New", "Newer"))]

    for each in [*newest, *later, *WANTED]:
        assert upload(world, each.source, each.content)[0] in ("uploaded", "unchanged")

    assert promise.broken(world, [*newest, *later, *WANTED]) == []


@pytest.mark.parametrize(
    "changes", [{"trashed": True}, {"name": "renamed"}, {"moved": True}], ids=["binned", "renamed", "moved"]
)
def test_without_its_state_an_upload_respects_what_its_owner_did(world: World, changes: dict[str, object]) -> None:
    """A file that its owner put away or elsewhere is known by our mark: it is not brought back."""
    upload(world, "Meta/zones.txt", b"zones")
    upload(world, "Meta/plans.txt", b"plans")
    (file,) = [each for each in world.files() if each["name"] == "zones.txt"]
    if changes.pop("moved", False):
        world.call("PATCH", f"files/{file['id']}?addParents=root&removeParents={file['parents'][0]}", {})
    else:
        world.call("PATCH", f"files/{file['id']}", changes)
    before = world.files()
    shutil.rmtree(world.home.state)

    assert upload(world, "Meta/zones.txt", b"zones") == ["unchanged"]

    assert world.files() == before


@pytest.mark.parametrize("what", ["edited", "deleted for good"])
def test_without_its_state_an_upload_knows_from_the_log_what_its_owner_edited(world: World, what: str) -> None:
    """The log says which file it was: edited, it is the owner's and stays; gone for good, the content goes up again."""
    upload(world, "Meta/zones.txt", b"zones")
    (file,) = [each for each in world.files() if each["name"] == "zones.txt"]
    if what == "edited":
        world.overwrite(file["id"], b"The owner's own.")
    else:
        world.call("DELETE", f"files/{file['id']}")
    shutil.rmtree(world.home.state)
    before = world.files()

    statuses = upload(world, "Meta/zones.txt", b"zones")

    if what == "edited":
        assert statuses == ["unchanged"]
        assert world.files() == before
    else:
        assert statuses == ["uploaded"]
        assert len(promise.copies(world.files(), WANTED[0])) == 1


LAG_S = 30
FILES = [
    Wanted(f"{folder}/{name}.txt", f"{folder} {name}".encode()) for folder in ("Meta", "New/2026") for name in "ab"
]


@pytest.mark.parametrize("policy", ["keep_both", "new_revision", "skip", "fail"])
@pytest.mark.parametrize("root", ["MemoryVDB", "Up/Memory VDB", "folder_id"])
@pytest.mark.parametrize("in_a_batch", [False, True], ids=["one by one", "batch"])
def test_without_its_state_and_with_listings_behind_nothing_is_made_twice(
    station: Station, policy: str, root: str, in_a_batch: bool
) -> None:
    """What listings don't show yet, the log knows: each file is known, and new ones go into the same folders."""
    with station.world() as world:
        place = {"folder_id": world.foreign_folder("Base", "root")} if root == "folder_id" else root
        home = world.new_home(if_exists=policy, drive_root=place)
        world.drive.set_weather(list_lag_s=LAG_S)
        for each in FILES:
            assert upload(world, each.source, each.content, home) == ["uploaded"]
        shutil.rmtree(home.state)
        newest = [Wanted(source, b"newest") for source in ("Meta/new.txt", "New/2026/new.txt", "New/new.txt")]
        before = world.files()

        if in_a_batch:
            for each in newest:
                home.put(each.source, each.content)
            sources = [each.source for each in [*newest, *FILES]]
            ended = world.run({"files": [{"path": f"Data/{source}"} for source in sources]}, home=home)
            statuses = ended.statuses
        else:
            statuses = [upload(world, each.source, each.content, home)[0] for each in [*newest, *FILES]]

        assert statuses == ["uploaded"] * 3 + ["unchanged"] * len(FILES)
        assert len(world.files()) == len(before) + 3
        assert [each for each in world.files() if each["id"] in {one["id"] for one in before}] == before
        assert not list(promise.twin_folders(world.files()))
        assert [promise.times_logged(home, each) for each in [*newest, *FILES]] == [1] * 7


def test_with_a_state_from_a_backup_and_listings_behind_nothing_is_made_twice(world: World) -> None:
    """Receipts that are old know nothing of what the log tells; of several contents of a name each is known."""
    upload(world, "Meta/earlier.txt", b"earlier")
    backup = world.home.folder / "backup"
    shutil.copytree(world.home.state, backup)
    world.drive.set_weather(list_lag_s=LAG_S)
    versions = [b"first", b"second", b"third"]
    for content in versions:
        assert upload(world, "Meta/zones.txt", content) == ["uploaded"]
    assert upload(world, "New/zones.txt", b"zones") == ["uploaded"]
    before = world.files()
    shutil.rmtree(world.home.state)
    backup.rename(world.home.state)

    for content in versions:
        assert upload(world, "Meta/zones.txt", content) == ["unchanged"]
    assert upload(world, "New/zones.txt", b"zones") == ["unchanged"]

    assert world.files() == before


def test_with_new_revision_only_the_last_content_that_the_log_tells_of_counts(station: Station) -> None:
    """With the state lost, a source that went back to an earlier content is revised again."""
    with station.world(if_exists="new_revision") as world:
        upload(world, "Meta/zones.txt", b"first")
        upload(world, "Meta/zones.txt", b"second")
        shutil.rmtree(world.home.state)

        assert upload(world, "Meta/zones.txt", b"first") == ["uploaded"]

        (file,) = [each for each in world.files() if each["name"] == "zones.txt"]
        assert world.content(file["id"]) == b"first"


@pytest.mark.parametrize("size", [5, 5_500_000], ids=["small", "large"])
def test_a_state_from_a_backup_overwrites_no_earlier_upload(world: World, size: int) -> None:
    """Restored, the pool gives the next state of a source the id of the last one, whose file stays as it is."""
    upload(world, "Meta/earlier.txt", b"earlier")
    backup = world.home.folder / "backup"
    shutil.copytree(world.home.state, backup)
    first, second = (Wanted("Meta/zones.txt", each * size) for each in (b"1", b"2"))
    upload(world, first.source, first.content)
    shutil.rmtree(world.home.state)
    backup.rename(world.home.state)

    assert upload(world, second.source, second.content) == ["uploaded"]

    assert [len(promise.copies(world.files(), each)) for each in (first, second)] == [1, 1]
    assert [promise.times_logged(world.home, each) for each in (first, second)] == [1, 1]


@pytest.mark.parametrize("knows_the_folder", [True, False])
def test_a_state_that_is_removed_while_an_upload_runs(world: World, knows_the_folder: bool) -> None:
    """The upload ends as if nothing had happened: its file is there once, and logged once."""
    if knows_the_folder:
        upload(world, "Meta/earlier.txt", b"earlier")
    world.home.put("Meta/zones.txt", b"zones")
    creates = world.drive.requests.count("files.create")
    due = creates + (1 if knows_the_folder else 3)
    world.drive.faults.add({"on": "files.create", "nth": due - creates, "do": "delay", "ms": 300})

    def remove() -> None:
        while world.drive.requests.count("files.create") < due:
            threading.Event().wait(0.005)
        shutil.rmtree(world.home.state)

    removing = threading.Thread(target=remove)
    removing.start()
    ended = world.run(ZONES)
    removing.join()

    assert ended.statuses == ["uploaded"]
    assert world.run(ZONES).statuses == ["unchanged"]
    assert promise.times_logged(world.home, WANTED[0]) == 1
    assert len(promise.copies(world.files(), WANTED[0])) == 1


@pytest.mark.parametrize("lost", ["the entry", "the claim's end"])
def test_metadata_of_a_call_is_not_taken_for_that_of_an_earlier_one(world: World, lost: str) -> None:
    """An invocation is killed between Drive's answer and the log, or a power failure takes what was not synced."""
    world.home.put("Meta/zones.txt", b"zones")
    earlier, later = ({"metadata": {"chat_name": each}} for each in ("earlier", "later"))
    if lost == "the entry":
        killed = world.run(ZONES | earlier, strike=Strike(0, "after", only="request POST /upload"))
        assert killed.code is None
    else:
        world.run(ZONES | earlier)
        for file, _ in world.home.receipts():
            file.write_bytes(file.read_bytes().partition(b"\n{")[0])

    assert world.run(ZONES | later).code == 200

    (file_id,) = [each["id"] for each in world.files() if each["name"] == "zones.txt"]
    told = world.call("GET", f"files/{file_id}?fields=properties")
    assert told["properties"]["chat_name"] == "later"


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00" * 300, b'{"generation": 7}', b"not json", b"[" * 5000])
def test_a_damaged_receipt_is_set_aside(world: World, content: bytes) -> None:
    """What can't be read is kept under another name, and the truth is taken from Drive."""
    upload(world, "Meta/zones.txt", b"zones")
    ((file, _),) = world.home.receipts()
    file.write_bytes(content)
    for folder, _ in list(world.home.receipts("folders")):
        folder.write_bytes(content)

    assert upload(world, "Meta/zones.txt", b"zones") == ["unchanged"]

    assert [each.read_bytes() for each in file.parent.glob("*.damaged-*")] == [content]
    assert paths(world) == ["MemoryVDB", "MemoryVDB/Meta", "MemoryVDB/Meta/zones.txt"]


def test_a_receipt_of_a_newer_version_is_left_alone(world: World) -> None:
    """Two versions of the job may share a home: the older one says so and changes nothing."""
    upload(world, "Meta/zones.txt", b"zones")
    ((file, receipt),) = world.home.receipts()
    newer = json.dumps(receipt | {"version": 99}).encode()
    file.write_bytes(newer)

    assert upload(world, "Meta/zones.txt", b"other zones") == ["volume_unavailable"]

    assert file.read_bytes() == newer
    assert "newer version" in world.home.log()[-1]["message"]


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b'[\n{"time":"2026"', b"{}\n", b"\xff\xfe\x00"])
def test_without_its_log_an_upload_is_right_and_the_old_one_is_kept(world: World, content: bytes | None) -> None:
    """Deleted, cut off or nonsense: the log begins anew, and what stood there is not destroyed."""
    upload(world, "Meta/earlier.txt", b"earlier")
    log = world.home.folder / "upload_log.json"
    log.unlink() if content is None else log.write_bytes(content)

    assert upload(world, "Meta/zones.txt", b"zones") == ["uploaded"]

    assert promise.times_logged(world.home, WANTED[0]) == 1
    assert len(promise.copies(world.files(), WANTED[0])) == 1
    if content in (b"nonsense", b"{}\n", b"\xff\xfe\x00"):
        assert [each.read_bytes() for each in world.home.folder.glob("upload_log.json.damaged-*")] == [content]


@pytest.fixture
def full_volume(tmp_path: Path) -> Iterator[Path]:
    """A volume of 256 KiB, where one can be mounted."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no volume can be mounted here: {made.stderr.decode().strip()}")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def _fill(volume: Path) -> Path:
    filler = volume / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            continue
    return filler


def test_a_full_volume_is_named_and_costs_nothing(station: Station, full_volume: Path) -> None:
    """With no room for receipt or log the call fails with a clear reason; with room again, all is as if nothing was."""
    with station.world() as world:
        home = world.new_home(state_root=str(full_volume))
        assert upload(world, "Meta/earlier.txt", b"earlier", home) == ["uploaded"]
        log = full_volume / "upload_log.json"
        before = log.read_bytes()
        filler = _fill(full_volume)

        failed = upload(world, "Meta/zones.txt", b"zones", home)
        kept = log.read_bytes()
        filler.unlink()
        again = upload(world, "Meta/zones.txt", b"zones", home)

        assert failed == ["volume_unavailable"]
        assert json.loads(kept)[0] == json.loads(before)[0]
        assert again == ["uploaded"]
        assert paths(world) == ["MemoryVDB", "MemoryVDB/Meta", "MemoryVDB/Meta/earlier.txt", "MemoryVDB/Meta/zones.txt"]
        entries = [each["status"] for each in json.loads(log.read_bytes()) if each["path"] == "Data/Meta/zones.txt"]
        assert entries in (["uploaded"], ["failed", "uploaded"])  # the log's last page may have had room for a failure


def test_a_log_that_cannot_grow_fails_the_call_and_is_mended_by_the_next(world: World) -> None:
    """The file went up and only the log is full: the call can't be called done, the next one logs it once."""
    upload(world, "Meta/earlier.txt", b"earlier" * 300)
    log = world.home.folder / "upload_log.json"
    for number in range(40):
        upload(world, "Meta/earlier.txt", b"earlier %d" % number * 10)
    limit = log.stat().st_size + 100
    earlier = world.files()

    world.home.put("Meta/zones.txt", b"zones")
    failed = world.run(ZONES, file_limit=limit)
    mended = world.run(ZONES)

    assert [failed.code, mended.code] == [503, 200]
    assert failed.document["results"][0]["reason"] == "volume_unavailable"
    assert promise.times_logged(world.home, WANTED[0]) == 1
    assert len(world.files()) == len(earlier) + 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a volume read-only")
def test_a_read_only_volume_is_named(station: Station, tmp_path: Path) -> None:
    """Nothing can be promised where nothing can be written: 503, nothing sent, and all is well once it is mended."""
    with station.world() as world:
        home = world.new_home(state_root=str(tmp_path / "state"))
        upload(world, "Meta/earlier.txt", b"earlier", home)
        state = str(tmp_path / "state")
        bound = subprocess.run(["mount", "--bind", "-o", "ro", state, state], capture_output=True, check=False)
        if bound.returncode:
            pytest.skip(f"no volume can be mounted here: {bound.stderr.decode().strip()}")
        subprocess.run(["mount", "-o", "remount,ro,bind", state], check=True)
        writes = world.drive.requests.writes

        try:
            failed = upload(world, "Meta/zones.txt", b"zones", home)
        finally:
            subprocess.run(["umount", state], check=True)

        assert failed == ["volume_unavailable"]
        assert world.drive.requests.writes == writes
        assert upload(world, "Meta/zones.txt", b"zones", home) == ["uploaded"]
        assert len([each for each in world.files() if each["size"] is not None]) == 2
