"""What an account may not do: bin another user's file in a shared folder, or any file of a shared drive as Contributor.

What two of them bring at the same moment may stay twice then. No call fails for it, and each says which file it is.
"""

import shutil

import pytest

from tests.support.between import between
from tests.support.home import Home, Post, new_home
from tests.support.owner import Owner

PATH = {"path": "Data/Meta/note.txt"}


def _contributor(home: Home, drive_id: str) -> None:
    home.drive.write_token(home.folder / "drive_token.json", "two@example.com")
    home.settings(drive_root={"drive_id": drive_id, "path": "Memory"})


@pytest.mark.parametrize(
    ("policy", "theirs", "status"),
    [
        ("keep_both", "same", "unchanged"),
        ("keep_both", "other", "uploaded"),
        ("skip", "same", "unchanged"),
        ("skip", "other", "uploaded"),
        ("fail", "other", "uploaded"),
    ],
)
def test_a_contributor_who_loses_a_race_goes_on(
    home: Home, post: Post, tmp_path_factory: pytest.TempPathFactory, policy: str, theirs: str, status: str
) -> None:
    """Another home's file of the name stands there when ours arrives: it can't give way, so both are logged."""
    owner = Owner(home.drive)
    shared = owner.shared_drive("Team")
    home.drive.add_account("two@example.com")
    owner.share(shared, "two@example.com")
    other = new_home(tmp_path_factory.mktemp("other") / "home", home.drive)
    for each in (home, other):
        _contributor(each, shared)
        each.put("Data/Meta/earlier.txt", "earlier")
    post(home, {"path": "Data/Meta/earlier.txt"})
    home.put(content="same")
    other.put(content=theirs)
    raced: list[int] = []

    def race(method: str, path: str, body: bytes) -> None:
        if path.startswith("/upload") and not raced:
            raced.append(0)
            raced[0] = post(other, PATH).code

    with between(home.drive.url, race) as url:
        home.environ["DRIVE_EMULATOR_HOST"] = url
        first = post(home, PATH | {"if_exists": policy})
        again = post(home, PATH | {"if_exists": policy})

    assert raced == [200]
    assert (first.code, first.body["status"]) == (200, status)
    assert (again.code, again.body["status"]) == (200, "unchanged")
    assert again.entry["file_id"] == first.entry["file_id"]
    contents = [home.drive.content(each["id"]) for each in home.drive.files() if each["size"] is not None]
    assert sorted(contents) == sorted([b"earlier", b"same", theirs.encode()])


def test_another_users_equal_file_in_a_shared_folder_stops_nothing(home: Home, post: Post) -> None:
    """Without its state a home finds both by their mark; the younger is another user's, who alone may bin it."""
    owner = Owner(home.drive)
    shared, aside = owner.folder("Shared", "root"), owner.folder("Aside", "root")
    accounts = {name: {"token": f"{name}.json"} for name in ("two", "three")}
    for name in accounts:
        home.drive.add_account(f"{name}@example.com")
        home.drive.write_token(home.folder / f"{name}.json", f"{name}@example.com")
        for each in (shared, aside):
            owner.share(each, f"{name}@example.com")
    home.settings(drive_root={"folder_id": shared}, accounts=accounts)
    home.put()
    ours = post(home, PATH | {"account": "two"}).entry["file_id"]
    (folder,) = [each["id"] for each in home.drive.files() if each["path"] == "Shared/Meta"]
    owner.move(ours, folder, aside)
    theirs = post(home, PATH | {"account": "three"}).entry["file_id"]
    owner.move(ours, aside, folder)
    shutil.rmtree(home.folder / ".drive_upload")

    answers = [post(home, PATH | {"account": "two"}) for _ in range(2)]

    assert [each.code for each in answers] == [200, 200]
    assert [each.entry["file_id"] for each in answers] == [ours, ours]
    assert theirs in answers[0].entry["message"]
    assert {each["id"] for each in home.drive.files() if each["size"] is not None} == {ours, theirs}
    assert not any(each["trashed"] for each in home.drive.files())
