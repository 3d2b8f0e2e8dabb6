"""What happens where the destination's name is taken: four policies, and never an overwrite nobody asked for."""

import json
import shutil
from typing import Any

import pytest

from tests.support.home import Home, Post
from tests.support.owner import DOCUMENT, FOLDER, Owner

FILE_SCOPE = "https://www.googleapis.com/auth/drive.file"
NAME = "MemoryVDB/Meta/note.txt"
SECOND = "MemoryVDB/Meta/note (2).txt"
POLICIES = ["keep_both", "skip", "fail", "new_revision"]

RESULTS: dict[str, tuple[int, str, dict[str, bytes]]] = {
    "keep_both": (200, "uploaded", {NAME: b"theirs", SECOND: b"ours"}),
    "skip": (200, "skipped", {NAME: b"theirs"}),
    "fail": (409, "failed", {NAME: b"theirs"}),
    "new_revision": (200, "uploaded", {NAME: b"ours"}),
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("where", ["payload", "paths.json", "environment"])
def test_a_name_that_holds_other_content(home: Home, post: Post, policy: str, where: str) -> None:
    """Each policy, given in each place."""
    theirs = Owner(home.drive).make(NAME)
    payload: dict[str, Any] = {"path": home.put(content="ours")}
    if where == "payload":
        payload["if_exists"] = policy
    elif where == "paths.json":
        home.settings(if_exists=policy)
    else:
        home.environ["DRIVE_UPLOAD_IF_EXISTS"] = policy

    answer = post(home, payload)

    code, status, stored = RESULTS[policy]
    assert (answer.code, answer.body["status"]) == (code, status)
    assert home.stored() == stored
    assert answer.entry["destination"] == (SECOND if policy == "keep_both" else NAME)
    if policy in ("skip", "new_revision"):
        assert answer.entry["file_id"] == theirs
    if policy in ("skip", "fail"):
        assert NAME in answer.entry["message"]
    assert next(each for each in home.drive.files() if each["id"] == theirs)["revisions"] >= 1


def test_a_new_revision_keeps_the_old_one(home: Home, post: Post) -> None:
    """Drive has one revision more than before."""
    theirs = Owner(home.drive).make(NAME)
    before = next(each for each in home.drive.files() if each["id"] == theirs)["revisions"]

    post(home, {"path": home.put(content="ours"), "if_exists": "new_revision"})

    assert next(each for each in home.drive.files() if each["id"] == theirs)["revisions"] == before + 1


@pytest.mark.parametrize("policy", POLICIES)
def test_equal_content_is_adopted(home: Home, post: Post, policy: str) -> None:
    """A name that holds the very content is what was wanted, whoever put it there: unchanged, nothing is sent."""
    theirs = Owner(home.drive).make(NAME, b"the same")

    answer = post(home, {"path": home.put(content="the same"), "if_exists": policy})

    assert (answer.code, answer.body["status"], answer.entry["file_id"]) == (200, "unchanged", theirs)
    assert home.stored() == {NAME: b"the same"}
    assert home.drive.requests.count("files.create") == 2 + 1  # the owner's two folders and file


@pytest.mark.parametrize("policy", POLICIES)
def test_our_own_older_state_counts_as_other_content(home: Home, post: Post, policy: str) -> None:
    """The file was uploaded, then changed here: the policy decides, as for anybody's file."""
    post(home, {"path": home.put(content="older")})

    answer = post(home, {"path": home.put(content="newer"), "if_exists": policy})

    code, status, _ = RESULTS[policy]
    assert (answer.code, answer.body["status"]) == (code, status)
    assert home.stored() == {
        "keep_both": {NAME: b"older", SECOND: b"newer"},
        "skip": {NAME: b"older"},
        "fail": {NAME: b"older"},
        "new_revision": {NAME: b"newer"},
    }[policy]  # fmt: skip


@pytest.mark.parametrize("mime_type", [FOLDER, DOCUMENT])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_folder_or_document_of_that_name_is_other_content(
    home: Home, post: Post, policy: str, mime_type: str
) -> None:
    """Neither can take a revision of ours; neither is touched."""
    Owner(home.drive).make(NAME, None, mime_type)

    answer = post(home, {"path": home.put(content="ours"), "if_exists": policy})

    expected = {"keep_both": (200, "uploaded"), "skip": (200, "skipped")}.get(policy, (409, "failed"))
    assert (answer.code, answer.body["status"]) == expected
    assert home.stored() == ({SECOND: b"ours"} if policy == "keep_both" else {})


@pytest.mark.parametrize("is_aged", [False, True], ids=["written just now", "an hour old"])
def test_there_and_back_again_makes_no_third_file(home: Home, post: Post, is_aged: bool) -> None:
    """A, then B, then A again: A is on Drive already, and is found there."""
    path = home.put(content="AAA")
    results = []
    for content in ("AAA", "BBB", "AAA", "BBB"):
        home.put(content=content)
        if is_aged:
            home.age(path)
        answer = post(home, {"path": path})
        results.append((answer.body["status"], answer.entry["destination"]))

    assert results == [("uploaded", NAME), ("uploaded", SECOND), ("unchanged", NAME), ("unchanged", SECOND)]
    assert home.stored() == {NAME: b"AAA", SECOND: b"BBB"}


def test_there_and_back_again_by_revisions(home: Home, post: Post) -> None:
    """With new_revision the name holds what the source holds, each time."""
    held = []
    for content in ("AAA", "BBB", "AAA"):
        answer = post(home, {"path": home.put(content=content), "if_exists": "new_revision"})
        held.append((answer.body["status"], home.stored()))

    assert held == [("uploaded", {NAME: b"AAA"}), ("uploaded", {NAME: b"BBB"}), ("uploaded", {NAME: b"AAA"})]


def test_names_are_numbered_on(home: Home, post: Post) -> None:
    """Every taken number is passed over; the extension stays at the end."""
    owner = Owner(home.drive)
    for number in ("", " (2)", " (3)", " (4)", " (5)", " (6)", " (7)", " (8)", " (9)"):
        owner.make(f"MemoryVDB/Meta/note{number}.txt")

    answer = post(home, {"path": home.put(content="ours")})

    assert answer.entry["destination"] == "MemoryVDB/Meta/note (10).txt"
    assert len(home.stored()) == 10


def test_a_trashed_file_does_not_hold_its_name(home: Home, post: Post) -> None:
    """What is in the bin is gone for people."""
    owner = Owner(home.drive)
    owner.change(owner.make(NAME), trashed=True)

    answer = post(home, {"path": home.put(content="ours"), "if_exists": "fail"})

    assert (answer.code, answer.entry["destination"]) == (200, NAME)
    assert home.stored() == {NAME: b"ours"}


def test_the_owners_twins_are_nobodys_business(home: Home, post: Post) -> None:
    """Two files of theirs with our name: ours is the third, and both stay."""
    owner = Owner(home.drive)
    ids = {owner.make(NAME, b"one"), owner.make(NAME, b"two")}

    answer = post(home, {"path": home.put(content="ours")})

    assert answer.entry["destination"] == SECOND
    assert ids <= {each["id"] for each in home.drive.files() if not each["trashed"]}


@pytest.mark.parametrize("is_known", [True, False])
def test_a_copy_that_its_owner_made_of_our_file_is_theirs(home: Home, post: Post, is_known: bool) -> None:
    """A copy under the same name has the content and our mark, but isn't ours to put away: nor without our state."""
    ours = post(home, {"path": home.put(content="one")}).entry["file_id"]
    copy = Owner(home.drive).copy(ours, "note.txt")
    if not is_known:
        shutil.rmtree(home.folder / ".drive_upload")

    answer = post(home, {"path": home.put(content="two")})

    live = {each["id"]: each["path"] for each in home.drive.files() if each["size"] is not None and not each["trashed"]}
    assert answer.entry["destination"] == SECOND
    assert live == {ours: NAME, copy: NAME, answer.entry["file_id"]: SECOND}


def test_what_we_make_names_itself_and_what_we_revise_does_not(home: Home, post: Post) -> None:
    """Our file and its folders carry their own ids; another's file keeps its properties."""
    theirs = Owner(home.drive).make(NAME)

    ours = post(home, {"path": home.put("Data/Notes/note.txt")}).entry["file_id"]
    post(home, {"path": home.put(content="ours"), "if_exists": "new_revision"})

    marked = {each["id"]: each["appProperties"] for each in home.drive.files() if each["appProperties"]}
    assert {file_id: each["drive_upload_id"] for file_id, each in marked.items()} == {each: each for each in marked}
    assert ours in marked
    assert theirs not in marked


@pytest.mark.parametrize("is_known", [True, False], ids=["the token file names the scope", "the answer names it"])
def test_a_second_root_is_told_of(home: Home, post: Post, *, is_known: bool) -> None:
    """With drive.file a MemoryVDB that somebody else made can't be seen: the first entry says that another was made."""
    token = home.folder / "drive_token.json"
    fields = json.loads(token.read_bytes())
    grant = home.drive.drive.oauth.grant_refresh_token("user@example.com", fields["client_id"], frozenset({FILE_SCOPE}))
    fields |= {"refresh_token": grant.token, "token": None, "scopes": [FILE_SCOPE] if is_known else None}
    token.write_text(json.dumps(fields))

    first = post(home, {"files": [{"path": home.put(f"Data/Meta/{number}.txt")} for number in range(3)]})
    second = post(home, {"path": home.put("Data/Notes/other.txt")})

    told = [each["message"] for each in home.log() if each["message"]]
    assert (first.code, second.code) == (200, 200)
    assert [each["message"] for each in first.entries if each["message"]] == told
    assert len(told) == 1
    assert "MemoryVDB was made new" in told[0]
    assert "--scope drive" in told[0]


def test_a_root_that_is_seen_to_be_missing_is_made_without_a_word(home: Home, post: Post) -> None:
    """With the whole Drive in view there is nothing to warn of."""
    assert post(home, {"path": home.put()}).entry["message"] is None


@pytest.mark.parametrize("policy", ["keep_both", "skip", "fail", "new_revision"])
@pytest.mark.parametrize("done_first", [False, True], ids=["not there yet", "there already"])
def test_a_revision_that_was_left_is_finished_under_any_policy(
    home: Home, post: Post, policy: str, done_first: bool
) -> None:
    """Of a file that its owner had renamed: whatever the next call says of taken names, it ends."""
    home.settings(deadline_s=1, if_exists="new_revision")
    (first,) = post(home, {"path": home.put()}).entries
    Owner(home.drive).change(first["file_id"], name="renamed.txt")
    path = home.put(content=b"newer")
    home.drive.faults.add(
        {
            "on": "upload.send",
            "do": "status",
            "status": 503,
            "done_first": done_first,
            "times": 1 if done_first else 99,
        },
        {"on": "files.get", "do": "status", "status": 503, "times": 99},
    )
    assert post(home, {"path": path}).code == 503
    home.drive.faults.clear()
    home.settings(deadline_s=20)

    answer = post(home, {"path": path, "if_exists": policy})

    assert answer.code == 200, answer.entry["message"]
    assert b"newer" in home.stored().values()
    assert post(home, {"path": path, "if_exists": policy}).body["status"] == "unchanged"


@pytest.mark.parametrize("policy", ["keep_both", "skip", "fail"])
def test_a_call_does_not_carry_out_the_policy_of_an_earlier_one(home: Home, post: Post, policy: str) -> None:
    """`new_revision` was asked for once, and not done: nobody asks for it now."""
    Owner(home.drive).make(NAME)
    home.settings(deadline_s=3)
    path = home.put(content="ours")
    home.drive.faults.add({"on": "upload.start", "do": "status", "status": 503, "times": 99})
    assert post(home, {"path": path, "if_exists": "new_revision"}).code == 503
    home.drive.faults.clear()

    answer = post(home, {"path": path, "if_exists": policy})

    code, status, stored = RESULTS[policy]
    assert (answer.code, answer.body["status"]) == (code, status)
    assert home.stored() == stored


@pytest.mark.parametrize("policy", POLICIES)
def test_a_content_that_was_replaced_is_not_there(home: Home, post: Post, policy: str) -> None:
    """The log tells that it was uploaded, and also that the same file holds something else since."""
    home.put(content="first")
    path = {"path": "Data/Meta/note.txt"}
    post(home, path)
    home.put(content="ours, too")
    post(home, path | {"if_exists": "new_revision"})
    home.put(content="first")

    answer = post(home, path | {"if_exists": policy})

    stored = {
        "keep_both": {NAME: b"ours, too", SECOND: b"first"},
        "skip": {NAME: b"ours, too"},
        "fail": {NAME: b"ours, too"},
        "new_revision": {NAME: b"first"},
    }
    assert answer.body["status"] == RESULTS[policy][1]
    assert home.stored() == stored[policy]


@pytest.mark.parametrize("policy", POLICIES)
def test_without_its_state_a_home_knows_by_its_log_what_a_listing_hides(home: Home, post: Post, policy: str) -> None:
    """The state is safe to delete, also within the hour that a listing may lag."""
    home.drive.set_weather(list_lag_s=3600)
    path = {"path": home.put(content="theirs")}
    post(home, path)
    shutil.rmtree(home.folder / ".drive_upload")
    home.put(content="ours")

    answer = post(home, path | {"if_exists": policy})

    code, status, stored = RESULTS[policy]
    assert (answer.code, answer.body["status"]) == (code, status)
    assert home.stored() == stored
