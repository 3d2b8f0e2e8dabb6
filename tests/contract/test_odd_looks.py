"""Looks that tell half the truth, requests answered the same for ever: nothing is binned, doubled or rushed."""

from typing import Any

import pytest

from function.drive import google
from tests.support.home import Home, Post
from tests.support.owner import Owner

DESTINATION = "MemoryVDB/Meta/note.txt"


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("on", ["files.list", "files.get"])
@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("drop", [["files.parents", "parents"], ["files.trashed", "trashed"], ["files.name", "name"]])
def test_one_look_without_a_field_bins_nothing(
    home: Home, post: Post, warm: bool, on: str, nth: int, drop: list[str]
) -> None:
    """Whatever a look leaves out: no file and no folder goes to the bin, or is made a second time."""
    if warm:
        post(home, {"path": home.put("Data/Meta/first.txt", b"first")})
    check_that_nothing_is_doubled(home, post, 1 + warm, {"on": on, "nth": nth, "do": "edit_answer", "drop": drop})


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize(
    "edit",
    [{"drop": ["parents"]}, {"drop": ["name"]}, {"drop": ["id"]}, {"set": {"parents": []}}, {"set": {"name": "x"}}],
)
def test_one_odd_answer_to_a_create_makes_no_second_folder(
    home: Home, post: Post, nth: int, edit: dict[str, Any]
) -> None:
    """What stands under the id counts: the answer may say another name, or not where it is."""
    check_that_nothing_is_doubled(home, post, 1, {"on": "files.create", "nth": nth, "do": "edit_answer", **edit})


@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize("field", ["parents", "name"])
def test_odd_answers_to_creates_that_stay_make_no_second_folder(home: Home, post: Post, field: str) -> None:
    """However long they last."""
    fault = {"on": "files.create", "path": "/drive/v3/files", "times": 99, "do": "edit_answer", "drop": [field]}
    check_that_nothing_is_doubled(home, post, 1, fault)


def check_that_nothing_is_doubled(home: Home, post: Post, files: int, fault: dict[str, Any]) -> None:
    """Upload beside that fault, twice."""
    home.drive.faults.add(fault)
    path = home.put()

    first = post(home, {"path": path})
    second = post(home, {"path": path})

    assert {first.code, second.code} <= {200, 503}
    assert second.body["status"] in ("uploaded", "unchanged"), second.entry["message"]
    assert home.stored(trashed=True) == {}
    assert home.stored()[DESTINATION] == b"remember me\n"
    assert len(home.stored()) == files
    assert home.folders() == ["MemoryVDB", "MemoryVDB/Meta"]
    assert not [each for each in home.drive.files() if each["trashed"]]


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "status", "status": 404, "reason": "notFound"},
        {"do": "status", "status": 400, "reason": "invalid"},
        {"do": "status", "status": 404, "body": ""},
        {"do": "truncate_answer", "after_bytes": 40},
        {"do": "edit_answer", "set": {"incompleteSearch": True}},
        {"do": "edit_answer", "drop": ["files"]},
        {"do": "edit_answer", "set": {"nextPageToken": ""}},
    ],
    ids=["404", "400", "404 of a gateway", "cut", "incomplete", "no files", "no token"],
)
@pytest.mark.parametrize("policy", ["skip", "keep_both"])
def test_a_page_that_is_missing_is_asked_for_again(
    home: Home, post: Post, monkeypatch: pytest.MonkeyPatch, policy: str, fault: dict[str, Any]
) -> None:
    """A name whose page didn't come is not free."""
    monkeypatch.setattr(google, "PAGE_SIZE", 1)
    names = ["a.txt", "b.txt", "c.txt"]
    post(home, {"path": home.put("Data/Meta/first.txt", b"first")})
    for name in names:
        Owner(home.drive).make(f"MemoryVDB/Meta/{name}")
    before = len(home.drive.requests.of("files.list"))
    home.drive.faults.add({"on": "files.list", "nth": before + 2, **fault})

    answer = post(home, {"files": [{"path": home.put(f"Data/Meta/{name}"), "if_exists": policy} for name in names]})

    assert {each["status"] for each in answer.entries} == {"skipped" if policy == "skip" else "uploaded"}, answer.body
    assert all(home.stored()[f"MemoryVDB/Meta/{name}"] == b"theirs" for name in names)
    assert len(home.stored()) == 1 + len(names) * (1 if policy == "skip" else 2)


@pytest.mark.parametrize("fault", [{"reason": "notFound"}, {"body": ""}], ids=["Google's", "a gateway's"])
def test_one_404_on_the_drive_root_is_no_verdict(home: Home, post: Post, fault: dict[str, Any]) -> None:
    """The first look at a root that is given by its id: asked again, not told as drive_root_not_found."""
    owner = Owner(home.drive)
    owner.make("Elsewhere/x.txt")
    (root,) = (each["id"] for each in home.drive.files() if each["path"] == "Elsewhere")
    home.settings(drive_root={"folder_id": root})
    home.drive.faults.add({"on": "files.get", "nth": 1, "do": "status", "status": 404, **fault})

    answer = post(home, {"path": home.put()})

    assert answer.body["status"] == "uploaded", answer.entry["message"]
    assert "Elsewhere/Meta/note.txt" in home.stored()


def test_a_drive_root_that_is_not_there_waits_for_whoever_mends_it(home: Home, post: Post) -> None:
    """A wrong id, or a folder that isn't shared yet: 503, an hour, also to a queue; the same call then succeeds."""
    home.settings(drive_root={"folder_id": "1AbCdEfGhIjKlMnOpQrStUvWxYz012345"})
    path = home.put()

    failed = post(home, {"path": path}, {"X-CloudTasks-TaskName": "task"})
    home.settings()
    done = post(home, {"path": path})

    assert (failed.code, failed.entry["reason"], failed.headers["Retry-After"]) == (503, "drive_root_not_found", "3600")
    assert done.body["status"] == "uploaded"


@pytest.mark.parametrize("reason", ["RESOURCE_EXHAUSTED", "accessNotConfigured", "insufficientFilePermissions"])
@pytest.mark.parametrize("on", ["files.create", "files.list", "files.generateIds", "about.get"])
def test_a_403_that_can_be_mended_waits(home: Home, post: Post, on: str, reason: str) -> None:
    """Whichever request it meets: 503, also to a queue, and the same call succeeds when it is mended."""
    home.settings(deadline_s=1)
    home.drive.faults.add({"on": on, "do": "status", "status": 403, "reason": reason, "times": 99})
    path = home.put()

    failed = post(home, {"path": path}, {"X-CloudTasks-TaskName": "task"})
    home.drive.faults.clear()
    home.settings()
    (home.folder / ".drive_upload" / "pace" / "default.json").unlink(missing_ok=True)
    done = post(home, {"path": path})

    wanted = "rate_limited" if reason == "RESOURCE_EXHAUSTED" else "permission_denied"
    assert (failed.code, failed.entry["reason"]) == (503, wanted), failed.entry["message"]
    assert done.body["status"] == "uploaded", done.entry["message"]
    assert list(home.stored()) == [DESTINATION]


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("size", [12, 6_000_000], ids=["small", "large"])
@pytest.mark.parametrize("policy", ["keep_both", "new_revision"])
@pytest.mark.parametrize("on", ["files.create", "files.update", "upload.send", "files.get", "files.list"])
@pytest.mark.parametrize("status", [404, 409, 410])
def test_an_answer_that_stays_names_drive_and_is_not_asked_for_in_a_rush(
    home: Home, post: Post, warm: bool, size: int, policy: str, on: str, status: int
) -> None:
    """In Google's envelope, as long as it lasts: 503 for Drive's sake, few requests; then the same call succeeds."""
    if warm:
        post(home, {"path": home.put(content=b"first")})
    home.settings(deadline_s=2, if_exists=policy)
    path = home.put(content=bytes(size))
    home.drive.requests.clear()
    reason = {404: "notFound", 409: "fileIdInUse", 410: "gone"}[status]
    home.drive.faults.add({"on": on, "do": "status", "status": status, "reason": reason, "times": 9999})

    failed = post(home, {"path": path}, {"X-CloudTasks-TaskName": "task"})
    asked = len(home.drive.requests)
    home.drive.faults.clear()
    home.settings(deadline_s=30, if_exists=policy)
    done = post(home, {"path": path})

    assert failed.code == 200 or failed.entry["reason"] in ("drive_unavailable", "deadline_exceeded"), failed.entry
    assert failed.code in (200, 503)
    assert asked < 60
    assert done.body["status"] in ("uploaded", "unchanged"), done.entry["message"]
    assert bytes(size) in home.stored().values()
    assert len(home.folders()) == 2
    assert [each["status"] for each in home.log()].count("uploaded") == 1 + warm


def test_folders_that_are_refused_for_ever_are_not_asked_for_in_a_rush(home: Home, post: Post) -> None:
    """Drive says that each id is taken, and shows nothing under it: a pause before each further try."""
    home.settings(deadline_s=2)
    taken = {"do": "status", "status": 409, "reason": "fileIdInUse", "times": 9999}
    home.drive.faults.add({"on": "files.create", "path": "/drive/v3/files", **taken})

    answer = post(home, {"path": home.put()})

    assert (answer.code, answer.entry["reason"]) == (503, "drive_unavailable")
    assert len(home.drive.requests.of("files.create")) < 20
    assert home.folders() == []


@pytest.mark.parametrize("on", ["files.create", "files.list", "upload.send"])
def test_an_answer_that_drips_keeps_the_destination_no_longer_than_the_deadline(
    home: Home, post: Post, on: str
) -> None:
    """The call after it finds the destination free, and goes on."""
    home.settings(deadline_s=2)
    content = bytes(6_000_000) if on == "upload.send" else b"remember me\n"
    path = home.put(content=content)
    home.drive.faults.add({"on": on, "nth": 1, "do": "slow_body", "ms": 60_000})

    dripping = post(home, {"path": path})
    home.settings(deadline_s=30)
    done = post(home, {"path": path})

    assert dripping.code in (200, 503)
    assert done.body["status"] in ("uploaded", "unchanged"), done.entry["message"]
    assert home.stored() == {DESTINATION: content}
    assert [each["status"] for each in home.log()].count("uploaded") == 1


def test_an_answer_that_leaves_our_marks_out_is_looked_behind(home: Home, post: Post) -> None:
    """A create whose answer doesn't show whose file it is: a look by id does, and the upload is logged."""
    home.drive.faults.add(
        {"on": "files.create", "do": "edit_answer", "drop": ["appProperties"], "times": 1, "path": "/upload/"}
    )

    answer = post(home, {"path": home.put()})

    assert answer.entry["status"] == "uploaded"
    assert [each["status"] for each in home.log()] == ["uploaded"]
    assert list(home.stored()) == ["MemoryVDB/Meta/note.txt"]


def test_a_wrong_md5_in_one_answer_doubles_nothing(home: Home, post: Post) -> None:
    """Of a large content the MD5 is what Drive answers beside the right SHA-256: the next call knows the content."""
    post(home, {"path": home.put("Data/Meta/large.bin", b"what was there before")})
    path = home.put("Data/Meta/large.bin", bytes(range(256)) * 40_000)
    home.drive.faults.add({"on": "upload.send", "do": "edit_answer", "set": {"md5Checksum": "0" * 32}, "times": 1})

    statuses = [post(home, {"path": path}).entry["status"] for _ in range(3)]

    assert statuses == ["uploaded", "unchanged", "unchanged"]
    assert sorted(home.stored()) == ["MemoryVDB/Meta/large (2).bin", "MemoryVDB/Meta/large.bin"]
