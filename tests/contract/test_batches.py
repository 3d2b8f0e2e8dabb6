"""Many files and many accounts in one call: each item ends for itself, the answer's code is the worst."""

import json

import pytest

from function.home import source
from function.home.source import MemoryBudget
from local_runner.drive_emulator import DriveEmulator
from local_runner.drive_emulator.storage.state import DEFAULT_EMAIL
from tests.support.home import Home, Post
from tests.support.owner import Owner


def two_accounts(home: Home) -> None:
    """Settings with a second account, whose Drive hangs its mirror elsewhere."""
    home.drive.add_account("second@example.com")
    home.drive.write_token(home.folder / "second.json", "second@example.com")
    home.settings(
        accounts={
            "first": {"token": "drive_token.json"},
            "second": {"token": "second.json", "drive_root": "Backup/Memory"},
        }
    )


def test_results_come_in_the_order_asked(home: Home, post: Post) -> None:
    """Small and large, new and old, one after the other, whatever is done first."""
    home.put("Data/b/old.txt")
    post(home, {"path": "Data/b/old.txt"})
    sizes = [3, 6_000_000, 0, 10, 5_500_000, 1]
    paths = [home.put(f"Data/{index % 2}/{index}", bytes(size)) for index, size in enumerate(sizes)]

    answer = post(home, {"files": [{"path": path} for path in [*paths, "Data/b/old.txt"]]})

    assert [each["path"] for each in answer.entries] == [*paths, "Data/b/old.txt"]
    assert [each["size"] for each in answer.entries] == [*sizes, 12]
    assert (answer.code, answer.body["status"]) == (200, "partial")
    assert len({each["invocation_id"] for each in answer.entries}) == 1
    assert len(home.stored()) == 7


def test_a_batch_larger_than_memory_goes_through(home: Home, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contents wait for each other's end, also where two accounts want them."""
    monkeypatch.setattr(source, "_memory", MemoryBudget(4_000_000))
    two_accounts(home)
    paths = [home.put(f"Data/Meta/{index}", bytes([index]) * 3_000_000) for index in range(6)]

    answer = post(home, {"files": [{"path": path} for path in paths]})

    assert (answer.code, answer.body["status"], len(answer.entries)) == (200, "uploaded", 12)
    assert home.stored() == {
        f"{folder}/Meta/{index}": bytes([index]) * 3_000_000
        for folder in ("MemoryVDB", "Backup/Memory")
        for index in range(6)
    }


STATUSES = {
    "all uploaded": (["new", "newer"], 200, "uploaded"),
    "uploaded and unchanged": (["new", "old"], 200, "partial"),
    "all unchanged": (["old", "old"], 200, "unchanged"),
    "uploaded and skipped": (["new", "skip"], 200, "partial"),
    "all failed": (["missing", "missing"], 404, "failed"),
    "404 over 200": (["new", "missing"], 404, "partial"),
    "404 over 403": (["outside", "missing"], 404, "failed"),
    "403 over 200": (["old", "outside"], 403, "partial"),
    "409 over 404": (["missing", "taken", "outside"], 409, "failed"),
    "503 over all": (["changing", "taken", "missing", "outside", "new"], 503, "partial"),
}


@pytest.mark.parametrize(("kinds", "code", "status"), STATUSES.values(), ids=list(STATUSES))
def test_a_batch_answers_with_its_worst_code(home: Home, post: Post, kinds: list[str], code: int, status: str) -> None:
    """503, 422, 409, 404, 403, 200; the status is the common one, or `partial`."""
    home.put("Data/Meta/old.txt")
    post(home, {"path": "Data/Meta/old.txt"})
    for name in ("skip", "taken"):
        Owner(home.drive).make(f"MemoryVDB/Meta/{name}.txt")
        home.put(f"Data/Meta/{name}.txt")
    home.put("Data/Meta/new.txt")
    home.put("Data/Meta/newer.txt")
    if "changing" in kinds:
        home.put("Data/Meta/changing.txt", bytes(6_000_000))
        home.drive.faults.add({"on": "upload.start", "do": "full_storage"})
    more = {"skip": {"if_exists": "skip"}, "taken": {"if_exists": "fail"}}

    answer = post(
        home,
        {
            "files": [
                {"path": "secret" if kind == "outside" else f"Data/Meta/{kind}.txt"} | more.get(kind, {})
                for kind in kinds
            ]
        },
    )

    assert (answer.code, answer.body["status"]) == (code, status), [each["message"] for each in answer.entries]
    assert ("Retry-After" in answer.headers) == (code == 503)
    assert len(answer.entries) == len(kinds)
    assert sorted(map(json.dumps, answer.entries)) == sorted(map(json.dumps, home.log()[1:]))


def test_a_refusal_for_good_is_worse_than_a_taken_name(home: Home, post: Post) -> None:
    """422 over 409."""
    Owner(home.drive).make("MemoryVDB/Meta/taken.txt")
    home.drive.faults.add({"on": "files.create", "do": "status", "status": 413, "reason": "uploadTooLarge"})
    home.put("Data/Meta/new.txt")
    home.put("Data/Meta/taken.txt")

    answer = post(
        home, {"files": [{"path": "Data/Meta/taken.txt", "if_exists": "fail"}, {"path": "Data/Meta/new.txt"}]}
    )

    assert (answer.code, answer.body["status"]) == (422, "failed")


def test_one_file_named_twice_in_a_batch(home: Home, post: Post) -> None:
    """It is there once, and both entries say where."""
    path = home.put()

    answer = post(home, {"files": [{"path": path}, {"path": f"./{path}"}]})

    assert sorted(each["status"] for each in answer.entries) == ["unchanged", "uploaded"]
    assert len({each["file_id"] for each in answer.entries}) == 1
    assert list(home.stored()) == ["MemoryVDB/Meta/note.txt"]


def test_a_batch_lists_a_folder_once(home: Home, post: Post) -> None:
    """A hundred files into a known folder: one look and one create each; ids come from the pool."""
    post(home, {"path": home.put()})
    home.drive.requests.clear()
    paths = [home.put(f"Data/Meta/{index}.txt", f"{index}") for index in range(100)]

    answer = post(home, {"files": [{"path": path} for path in paths]})

    assert answer.body["status"] == "uploaded"
    assert home.drive.requests.count("files.create") == 100
    assert len(home.drive.requests) <= 104
    assert sum(each["requests"] for each in answer.entries) == len(home.drive.requests)
    assert sum(each["units"] for each in answer.entries) == home.drive.requests.units


def test_a_thousand_files_are_a_batch(home: Home, post: Post) -> None:
    """The most that one call may ask for, over fifty folders."""
    paths = [home.put(f"Data/{index % 50}/{index}.txt", f"{index}") for index in range(1000)]

    answer = post(home, {"files": [{"path": path} for path in paths]})

    assert (answer.code, answer.body["status"]) == (200, "uploaded")
    assert home.stored() == {f"MemoryVDB/{index % 50}/{index}.txt": f"{index}".encode() for index in range(1000)}
    assert len(home.folders()) == 51
    assert len(home.drive.requests) <= 1110
    assert len(home.log()) == 1000


def test_every_account_gets_the_file(home: Home, post: Post) -> None:
    """One result an account, each with its own destination."""
    two_accounts(home)

    answer = post(home, {"path": home.put(content="both")})

    assert (answer.code, answer.body["status"]) == (200, "uploaded")
    assert [(each["account"], each["destination"]) for each in answer.entries] == [
        ("first", "MemoryVDB/Meta/note.txt"),
        ("second", "Backup/Memory/Meta/note.txt"),
    ]
    assert {each["path"]: each["owner"] for each in home.drive.files() if each["size"] is not None} == {
        "MemoryVDB/Meta/note.txt": DEFAULT_EMAIL,
        "Backup/Memory/Meta/note.txt": "second@example.com",
    }
    assert len(home.log()) == 2


def test_one_account_may_be_named(home: Home, post: Post) -> None:
    """Only that one gets the file."""
    two_accounts(home)

    answer = post(home, {"path": home.put(), "account": "second"})

    assert answer.entry["account"] == "second"
    assert list(home.stored()) == ["Backup/Memory/Meta/note.txt"]


def test_one_accounts_failure_leaves_the_others_success(home: Home, post: Post) -> None:
    """503 for the caller's queue; the next call asks Drive only for the account that failed."""
    two_accounts(home)
    token = (home.folder / "second.json").read_bytes()
    (home.folder / "second.json").unlink()
    path = home.put()
    home.age(path)

    first = post(home, {"path": path})
    home.write("second.json", token)
    home.drive.requests.clear()
    second = post(home, {"path": path})

    assert (first.code, first.body["status"]) == (503, "partial")
    assert [each["reason"] for each in first.entries] == [None, "credentials_missing"]
    assert "second.json" in first.entries[1]["message"]
    assert [each["status"] for each in second.entries] == ["unchanged", "uploaded"]
    assert {each.user for each in home.drive.requests if each.user} == {"second@example.com"}
    assert [each["attempt"] for each in second.entries] == [1, 1]  # without a token nobody knows whose receipt counts


def test_attempts_are_counted(home: Home, post: Post) -> None:
    """1, 2, … for this content at this destination; other content begins anew."""
    home.drive.faults.add({"on": "files.create", "do": "full_storage", "times": 2})
    path = home.put()

    attempts = [post(home, {"path": path}).entry["attempt"] for _ in range(3)]
    attempts.append(post(home, {"path": home.put(content="other")}).entry["attempt"])

    assert attempts == [1, 2, 3, 1]
    assert [each["attempt"] for each in home.log()] == attempts


def test_a_shared_drive_as_root(home: Home, post: Post, drive: DriveEmulator) -> None:
    """The mirror hangs in the shared drive, in folders that are made once."""
    shared = Owner(drive).shared_drive("Team")
    home.settings(drive_root={"drive_id": shared, "path": "Archive/Memory"})

    answers = [post(home, {"path": home.put(f"Data/Meta/{name}")}) for name in ("a.txt", "b.txt")]

    assert [each.entry["destination"] for each in answers] == [
        f"{shared}/Archive/Memory/Meta/a.txt",
        f"{shared}/Archive/Memory/Meta/b.txt",
    ]
    assert {each["driveId"] for each in drive.files()} == {shared}
    assert len(home.folders()) == 3


def test_a_folder_id_as_root(home: Home, post: Post, drive: DriveEmulator) -> None:
    """Below that folder, wherever it stands and whatever it is called by now."""
    owner = Owner(drive)
    base = owner.make("Projects/Memory", None, "application/vnd.google-apps.folder")
    home.settings(drive_root={"folder_id": base})

    first = post(home, {"path": home.put("Data/Meta/a.txt")})
    owner.change(base, name="Renamed")
    second = post(home, {"path": home.put("Data/Meta/b.txt")})

    assert (first.code, second.code) == (200, 200)
    assert first.entry["destination"] == f"{base}/Meta/a.txt"
    assert sorted(home.stored()) == ["Projects/Renamed/Meta/a.txt", "Projects/Renamed/Meta/b.txt"]


def test_a_folder_id_with_a_path(home: Home, post: Post, drive: DriveEmulator) -> None:
    """The path goes on from that folder."""
    base = Owner(drive).make("Projects", None, "application/vnd.google-apps.folder")
    home.settings(drive_root={"folder_id": base, "path": "deep/er"})

    post(home, {"path": home.put()})

    assert list(home.stored()) == ["Projects/deep/er/Meta/note.txt"]


def test_a_long_chain(home: Home, post: Post) -> None:
    """Forty folders deep, made once, found again; a file directly in data_root needs none."""
    deep = "/".join(f"level {index}" for index in range(40))

    answers = [
        post(home, {"path": home.put(f"Data/{deep}/a.txt")}),
        post(home, {"path": home.put(f"Data/{deep}/b.txt")}),
        post(home, {"path": home.put("Data/top.txt")}),
    ]

    assert [each.code for each in answers] == [200, 200, 200]
    assert len(home.folders()) == 41
    assert answers[2].entry["destination"] == "MemoryVDB/top.txt"


def test_a_chain_that_people_made_is_used(home: Home, post: Post) -> None:
    """Folders of the right names are found, not made again; of twins the oldest."""
    owner = Owner(home.drive)
    owner.make("MemoryVDB/Meta/theirs.txt")

    post(home, {"path": home.put("Data/Meta/Deep/note.txt")})

    assert home.folders() == ["MemoryVDB", "MemoryVDB/Meta", "MemoryVDB/Meta/Deep"]


@pytest.mark.parametrize("form", ["{host}", "http://{host}", "http://{host}/"])
def test_the_emulators_host_as_url_or_host_and_port(home: Home, post: Post, form: str) -> None:
    """As with Google's other emulators."""
    home.environ["DRIVE_EMULATOR_HOST"] = form.format(host=home.drive.url.removeprefix("http://"))

    assert post(home, {"path": home.put()}).body["status"] == "uploaded"
