"""What travels with a file: metadata, its type, its name; and contents of every size."""

import json
import os
from typing import Any

import pytest
import requests

from tests.support.home import Home, Post
from tests.support.owner import Owner

METADATA: dict[str, dict[str, Any]] = {
    "nothing": {},
    "text": {"chat_name": "Design"},
    "every kind of value": {"a": 1, "b": 1.5, "c": True, "d": None, "e": [1, "x"], "f": {"g": {}}},
    "unicode": {"Überschrift": "naïve 日本語 🎈", "מפתח": "ערך"},
    "exactly 124 bytes": {"k" * 24: "v" * 100},
    "125 bytes": {"k" * 24: "v" * 101},
    "124 bytes in fewer letters": {"k": "é" * 61 + "x"},
    "125 bytes in fewer letters": {"k": "é" * 62},
    "an empty key": {"": "x"},
    "an empty value": {"x": ""},
    "30 entries": {f"key {index}": index for index in range(30)},
    "31 entries": {f"key {index}": index for index in range(31)},
    "500 entries": {f"key {index}": "v" * index for index in range(500)},
    "a megabyte": {"text": "x" * 1_000_000},
    "a huge number": {"n": 10**400},
    "control characters": {"a\tb\n": "\r\x1b\x7f\u2028"},
    "quotes": {"'\"\\": "' or '1'='1"},
    "our own key": {"drive_upload_key": "mine"},
    "Drive's fields": {"id": "x", "parents": ["y"], "mimeType": "text/html"},
}


@pytest.mark.parametrize("metadata", METADATA.values(), ids=list(METADATA))
def test_metadata_travels(home: Home, post: Post, metadata: dict[str, Any]) -> None:
    """What fits is in the properties, within Drive's limits; what doesn't is in the description; all is in the log."""
    answer = post(home, {"path": home.put(), "metadata": metadata})

    (remote,) = [each for each in home.drive.files() if each["size"] is not None]
    properties = remote["properties"]
    assert (answer.code, answer.body["status"]) == (200, "uploaded")
    assert answer.entry["metadata"] == home.log()[0]["metadata"] == metadata
    assert len(properties) <= 30
    for key, value in properties.items():
        assert len(key.encode()) + len(value.encode()) <= 124
        assert value == (metadata[key] if isinstance(metadata[key], str) else json.dumps(metadata[key]))
    if properties.keys() != metadata.keys():
        assert json.loads(remote["description"]) == metadata
    assert remote["appProperties"].keys() == {"drive_upload_key", "drive_upload_id", "drive_upload_claim"}
    assert (remote["mimeType"], remote["path"]) == ("text/plain", "MemoryVDB/Meta/note.txt")


@pytest.mark.parametrize(
    "refusal",
    [
        {"status": 400, "reason": "invalid", "message": "Invalid value for: properties"},
        {"status": 400, "reason": "invalid", "message": "Invalid value for: modifiedTime"},
        {"status": 400, "reason": "invalid", "message": "Invalid MIME type"},
        {"status": 400, "reason": "invalid", "times": 2},
        {"status": 403, "reason": "propertyLengthLimitExceeded"},
        {"status": 403, "reason": "propertiesLimitExceeded"},
    ],
)
@pytest.mark.parametrize("content", [b"small", bytes(6_000_000)], ids=["small", "large"])
def test_metadata_that_drive_refuses_does_not_stop_the_file(
    home: Home, post: Post, content: bytes, refusal: dict[str, Any]
) -> None:
    """Drive refuses a create with it: the file goes up without, and the log still has all of it."""
    home.drive.faults.add({"on": "files.create", "nth": 3, "do": "status", **refusal})

    answer = post(home, {"path": home.put(content=content), "metadata": {"colour": "octarine"}})

    (remote,) = [each for each in home.drive.files() if each["size"] is not None]
    assert (answer.code, answer.body["status"]) == (200, "uploaded")
    assert (answer.entry["metadata"], remote["properties"]) == ({"colour": "octarine"}, {})


@pytest.mark.parametrize("name", ["modifiedTime", "mimeType"])
def test_what_drive_can_do_without_does_not_stop_a_file_without_metadata(home: Home, post: Post, name: str) -> None:
    """Drive refuses the source's time, or the type that its name has: the file goes up all the same."""
    refusal = {"status": 400, "reason": "invalid", "message": f"Invalid value for: {name}"}
    home.drive.faults.add({"on": "files.create", "nth": 3, "do": "status", **refusal})

    path = home.put()
    home.age(path)

    answer = post(home, {"path": path}, {"X-CloudTasks-TaskName": "task"})

    (remote,) = [each for each in home.drive.files() if each["size"] is not None]
    assert answer.body["status"] == "uploaded", answer.entry["message"]
    assert remote["modifiedTime"] >= remote["createdTime"]
    assert home.drive.requests.count("files.generateIds") == 1


def test_an_id_that_drive_no_longer_takes_is_replaced(home: Home, post: Post) -> None:
    """A reserved id may go stale: 400 to the create, with metadata or without, and a new id it is."""
    post(home, {"path": home.put("Data/Meta/first.txt")})
    home.drive.faults.add({"on": "files.create", "do": "status", "status": 400, "reason": "invalid"})

    answer = post(home, {"path": home.put(), "metadata": {"colour": "octarine"}})

    (remote,) = [each for each in home.drive.files() if each["path"].endswith("note.txt")]
    assert (answer.code, answer.body["status"]) == (200, "uploaded")
    assert remote["properties"] == {"colour": "octarine"}
    assert home.drive.requests.count("files.generateIds") == 2


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [
        ("note.txt", "text/plain"),
        ("page.html", "text/html"),
        ("data.json", "application/json"),
        ("picture.PNG", "image/png"),
        ("archive.tar.gz", "application/gzip"),
        ("without", "application/octet-stream"),
        ("unknown.qqq", "application/octet-stream"),
        ("doc.gdoc", "application/octet-stream"),
        (".hidden", "application/octet-stream"),
    ],
)
def test_the_mime_type_is_guessed(home: Home, post: Post, name: str, mime_type: str) -> None:
    """From the name; never a type that makes Drive convert the file."""
    post(home, {"path": home.put(f"Data/Meta/{name}", b"{}")})

    (remote,) = [each for each in home.drive.files() if each["size"] is not None]
    assert remote["mimeType"] == mime_type


@pytest.mark.parametrize("size", [0, 1, 5_000_000, 5_000_001, 5 * 1024 * 1024, 8 * 1024 * 1024 + 1])
def test_every_size_arrives(home: Home, post: Post, size: int) -> None:
    """Nothing, a byte, and both sides of the border between one request and a session."""
    content = (bytes(range(251)) * (size // 251 + 1))[:size]

    answer = post(home, {"path": home.put(content=content)})

    assert (answer.code, answer.entry["size"]) == (200, size)
    assert home.stored() == {"MemoryVDB/Meta/note.txt": content}


HOSTILE = [
    "it's.txt",
    "back\\slash.txt",
    "\\'.txt",
    'double"quote.txt',
    "' or name = 'x",
    " spaces at the ends ",
    "new\nline.txt",
    "tab\t.txt",
    "emoji 🎈👩‍👩‍👧.txt",
    "e\u0301 decomposed.txt",
    "\u00e9 composed.txt",
    "rtl \u202e txt.exe",
    "x" * 251 + ".txt",
    "é" * 127,
    "%41.txt",
    "..txt",
    "...",
    "-rf",
    "~",
    "CON",
    "a:b*c?d<e>f|g.txt",
    "name (2).txt",
    ".hidden",
    "null",
    "\x7f\x01.txt",
]


def test_hostile_names_arrive_as_they_are(home: Home, post: Post) -> None:
    """Every name that Linux allows, as file and as folder, twice over: found again, never made twice."""
    paths = [home.put(f"Data/{name}/{name}", name) for name in HOSTILE]

    first = post(home, {"files": [{"path": path} for path in paths]})
    for path in paths:
        home.put(path, f"changed {path}")
    second = post(home, {"files": [{"path": path, "if_exists": "new_revision"} for path in paths]})

    assert (first.body["status"], second.body["status"]) == ("uploaded", "uploaded"), second.body
    assert home.stored() == {f"MemoryVDB/{name}/{name}": f"changed Data/{name}/{name}".encode() for name in HOSTILE}
    assert home.folders() == sorted(["MemoryVDB", *(f"MemoryVDB/{name}" for name in HOSTILE)])


@pytest.mark.usefixtures("unreported")
def test_names_that_are_no_text_arrive_readable(home: Home, post: Post) -> None:
    """Bytes that aren't UTF-8 are written as %XX on Drive, whose names are text."""
    (home.folder / "Data/Meta").mkdir()
    with open(bytes(home.folder / "Data/Meta") + b"/caf\xe9.txt", "wb") as file:
        file.write(b"x")

    answer = post(home, b'{"path": "Data/Meta/caf\\udce9.txt"}')

    assert (answer.code, answer.body["status"]) == (200, "uploaded")
    assert home.stored() == {"MemoryVDB/Meta/caf%E9.txt": b"x"}
    assert home.log() == [answer.entry]


def test_the_link_opens_the_file(home: Home, post: Post) -> None:
    """What the entry calls link is Drive's own webViewLink."""
    answer = post(home, {"path": home.put()})

    token = home.drive.authorized_user()["token"]
    url = f"{home.drive.url}/drive/v3/files/{answer.entry['file_id']}?fields=webViewLink"
    said = requests.get(url, headers={"authorization": f"Bearer {token}"}, timeout=30).json()
    assert answer.entry["link"] == said["webViewLink"]


def test_a_revision_has_the_metadata_of_its_call(home: Home, post: Post) -> None:
    """What an earlier call set and this one doesn't say is cleared; many calls pile nothing up."""
    for number in range(34):
        path = home.put(content=f"version {number}")
        payload = {"path": path, "metadata": {f"key {number}": "x", "same": str(number)}, "if_exists": "new_revision"}
        assert post(home, payload).body["status"] == "uploaded"
        (remote,) = [each for each in home.drive.files() if each["size"] is not None]
        assert remote["properties"] == {f"key {number}": "x", "same": str(number)}


def test_the_same_content_with_other_metadata_updates_drive(home: Home, post: Post) -> None:
    """Nothing is sent again: the properties are told, the entry says so, and the third call asks for nothing."""
    path = home.put()
    home.age(path)
    post(home, {"path": path, "metadata": {"a": "1", "b": "2"}})

    changed = post(home, {"path": path, "metadata": {"b": "3"}})
    home.drive.requests.clear()
    again = post(home, {"path": path, "metadata": {"b": "3"}})
    without = post(home, {"path": path})

    (remote,) = [each for each in home.drive.files() if each["size"] is not None]
    assert (changed.body["status"], remote["properties"]) == ("unchanged", {"b": "3"})
    assert "metadata" in changed.entry["message"]
    assert [each.body["status"] for each in (again, without)] == ["unchanged"] * 2
    assert len(home.drive.requests) == 0


def test_the_sources_time_travels(home: Home, post: Post) -> None:
    """The file's own modification time is Drive's, on create and on a revision."""
    path = home.put()
    for seconds, policy in ((1_600_000_000, "keep_both"), (1_700_000_000, "new_revision")):
        home.put(content=f"at {seconds}")
        os.utime(home.folder / path, (seconds, seconds))
        post(home, {"path": path, "if_exists": policy})
        (remote,) = [each for each in home.drive.files() if each["size"] is not None]
        assert remote["modifiedTime"].startswith({1_600_000_000: "2020-09-13", 1_700_000_000: "2023-11-14"}[seconds])


@pytest.mark.parametrize("policy", ["keep_both", "skip", "fail"])
def test_what_others_say_of_their_file_stays(home: Home, post: Post, policy: str) -> None:
    """A file of the same content that somebody else has put there is taken for done, and not written to."""
    owner = Owner(home.drive)
    theirs = owner.make("MemoryVDB/Meta/note.txt", b"same")
    owner.change(theirs, description="theirs", properties={"k": "theirs"})

    answer = post(home, {"path": home.put(content="same"), "metadata": {"k": "ours"}, "if_exists": policy})

    (remote,) = [each for each in home.drive.files() if each["size"] is not None]
    assert (answer.body["status"], answer.entry["file_id"]) == ("unchanged", theirs)
    assert (remote["description"], remote["properties"]) == ("theirs", {"k": "theirs"})


@pytest.mark.parametrize("policy", ["keep_both", "new_revision"])
def test_a_description_that_its_owner_rewrote_stays(home: Home, post: Post, policy: str) -> None:
    """Ours was there, and is gone: what stands there now is theirs, whatever this call brings."""
    long = {"long": "y" * 500}
    payload = {"path": home.put(content="one"), "if_exists": policy}
    file_id = post(home, payload | {"metadata": long}).entry["file_id"]
    owner = Owner(home.drive)
    for metadata in ({"k": "short"}, {"longer": "z" * 500}):
        owner.change(file_id, description='{"the": "owner\'s"}')
        if policy == "new_revision":
            home.put(content=str(metadata))

        told = post(home, payload | {"metadata": metadata})

        (remote,) = [each for each in home.drive.files() if each["size"] is not None]
        assert (told.code, remote["id"], remote["description"]) == (200, file_id, '{"the": "owner\'s"}')


def test_a_property_that_its_owner_rewrote_stays(home: Home, post: Post) -> None:
    """A revision clears what this job told before, and only that."""
    payload = {"path": home.put(content="one"), "if_exists": "new_revision"}
    file_id = post(home, payload | {"metadata": {"status": "draft"}}).entry["file_id"]
    Owner(home.drive).change(file_id, properties={"status": "approved"})
    home.put(content="two")

    post(home, payload | {"metadata": {"tag": "x"}})

    (remote,) = [each for each in home.drive.files() if each["size"] is not None]
    assert remote["properties"] == {"status": "approved", "tag": "x"}


def test_what_was_not_told_of_anothers_file_is_told_when_it_may_be(home: Home, post: Post) -> None:
    """keep_both leaves a file of somebody else as it is; new_revision is asked to change it."""
    theirs = Owner(home.drive).make("MemoryVDB/Meta/note.txt", b"same")
    payload = {"path": home.put(content="same"), "metadata": {"k": "ours"}}

    left = [post(home, payload).entry["message"] for _ in range(2)]
    told = post(home, payload | {"if_exists": "new_revision"})

    (remote,) = [each for each in home.drive.files() if each["size"] is not None]
    assert left == ["Its metadata was not changed: the file is not this job's."] * 2
    assert (told.body["status"], told.entry["message"]) == ("unchanged", "Its metadata on Drive was updated.")
    assert (remote["id"], remote["properties"]) == (theirs, {"k": "ours"})


@pytest.mark.parametrize("policy", ["keep_both", "new_revision"])
def test_a_description_of_ours_gives_way_to_the_next_call(home: Home, post: Post, policy: str) -> None:
    """What this job told is replaced by what it tells now, and cleared where it tells none."""
    payload = {"path": home.put(content="one"), "if_exists": policy}
    descriptions = []
    for number, metadata in enumerate([{"a": "y" * 500, "é": [1, 1e300, None]}, {"b": "z" * 500}, {"k": "short"}]):
        if policy == "new_revision":
            home.put(content=f"content {number}")
        post(home, payload | {"metadata": metadata})
        (remote,) = [each for each in home.drive.files() if each["size"] is not None]
        descriptions.append(json.loads(remote.get("description") or "null"))

    assert descriptions == [{"a": "y" * 500, "é": [1, 1e300, None]}, {"b": "z" * 500}, None]


def test_a_description_that_others_wrote_stays(home: Home, post: Post) -> None:
    """On our own file, too: we have never told one, so there is none of ours to clear."""
    path = {"path": home.put()}
    file_id = post(home, path | {"metadata": {"k": "1"}}).entry["file_id"]
    Owner(home.drive).change(file_id, description="theirs")

    post(home, path | {"metadata": {"k": "2"}})
    home.put(content="edited")
    post(home, path | {"metadata": {"k": "3"}, "if_exists": "new_revision"})

    (remote,) = [each for each in home.drive.files() if each["size"] is not None]
    assert (remote["description"], remote["properties"]) == ("theirs", {"k": "3"})


@pytest.mark.parametrize(
    ("status", "code", "says"), [(403, 200, "not updated"), (404, 200, "not updated"), (500, 503, "")]
)
def test_metadata_that_drive_does_not_take_now_is_told_by_the_next_call(
    home: Home, post: Post, status: int, code: int, says: str
) -> None:
    """The content is there: what a person must mend fails no upload; what passes is for a queue to try again."""
    home.settings(deadline_s=5)
    path = {"path": home.put()}
    post(home, path)
    fault = {"on": "files.update", "do": "status", "status": status, "times": 99}
    home.drive.faults.add(fault | ({"reason": "insufficientFilePermissions"} if status == 403 else {}))

    failed = post(home, path | {"metadata": {"k": "1"}})
    home.drive.faults.clear()
    told = post(home, path | {"metadata": {"k": "1"}})

    (remote,) = [each for each in home.drive.files() if each["size"] is not None]
    assert (failed.code, told.body["status"]) == (code, "unchanged")
    assert says in failed.entry["message"]
    assert remote["properties"] == {"k": "1"}
