"""`fields` masks: Google's syntax, the schema as the judge of names, and the defaults."""

from __future__ import annotations

import random
from typing import Any

import pytest

from local_runner.drive_emulator.model.errors import ApiError
from local_runner.drive_emulator.render import field_mask
from local_runner.drive_emulator.schema.discovery import document

LISTING: dict[str, Any] = {
    "kind": "drive#fileList",
    "nextPageToken": "n",
    "incompleteSearch": False,
    "files": [
        {
            "kind": "drive#file",
            "id": "1",
            "name": "a",
            "mimeType": "text/plain",
            "size": "3",
            "properties": {"x": "1", "y": "2"},
            "owners": [{"emailAddress": "ann@example.com", "me": True}],
        }
    ],
}
FILE: dict[str, Any] = LISTING["files"][0]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("files/id", {"files": [{"id": "1"}]}),
        ("nextPageToken, files(id, name)", {"nextPageToken": "n", "files": [{"id": "1", "name": "a"}]}),
        ("files(owners/me,properties(x))", {"files": [{"owners": [{"me": True}], "properties": {"x": "1"}}]}),
        ("files(owners/me,owners(emailAddress))", {"files": [{"owners": FILE["owners"]}]}),
        ("files(id),files", {"files": LISTING["files"]}),
        ("files(*)", {"files": LISTING["files"]}),
        ("*", LISTING),
        ("*,kind", LISTING),
        ("kind", {"kind": "drive#fileList"}),
    ],
)
def test_a_mask_keeps_what_it_names(fields: str, expected: dict[str, Any]) -> None:
    """Lists, slashes, parentheses and stars select as Google's partial responses do, blanks or not."""
    mask = field_mask.parse(fields, version=3, schema="FileList")

    assert mask.apply(LISTING) == expected


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ("etag,name", "etag"),
        ("files(id,name,etag)", "etag"),
        ("files/id/x", "x"),
        ("files(id", "files(id"),
        ("files(id))", "files(id))"),
        ("kind,", "kind,"),
        ("files()", "files()"),
        (",", ","),
        ("fi;les", "fi;les"),
        ("files(" * 500, "files"),
    ],
)
def test_a_mask_that_names_nothing_is_refused(fields: str, named: str) -> None:
    """A field that the schema doesn't have, or broken syntax, is 400 invalidParameter at `fields`."""
    with pytest.raises(ApiError) as refusal:
        field_mask.parse(fields, version=3, schema="FileList")

    [entry] = refusal.value.body()["error"]["errors"]
    assert entry["message"].startswith("Invalid field selection ")
    assert named in entry["message"]
    expected = (400, "invalidParameter", "fields")
    assert (refusal.value.status, entry["reason"], entry["location"]) == expected


def test_version_2_knows_etag() -> None:
    """What v3 refuses is a field in v2."""
    mask = field_mask.parse("etag,labels/trashed", version=2, schema="File")

    assert mask.apply({"etag": "e", "id": "1", "labels": {"trashed": True, "starred": False}}) == {
        "etag": "e",
        "labels": {"trashed": True},
    }


def test_a_mask_tells_beforehand_what_is_wanted() -> None:
    """Whoever makes a resource can ask level by level, and leave out what nobody wants."""
    mask = field_mask.parse("files(id,owners(me))", version=3, schema="FileList")

    assert (mask.wants("files"), mask.wants("kind")) == (True, False)
    assert not mask.child("files").wants("sha1Checksum")
    assert mask.child("files").child("owners").names == frozenset({"me"})
    assert mask.child("files").child("id").wants("anything")
    assert not mask.child("kind").wants("anything")


def test_unasked_v3_gives_its_short_set_and_v2_nearly_everything() -> None:
    """Without `fields`, a v3 listing has the few default fields per file; v2 has all of a file but its permissions."""
    short = field_mask.parse(None, version=3, schema="FileList").apply(LISTING)
    file = {"title": "a", "sha256Checksum": "0", "permissions": []}
    whole = field_mask.parse("", version=2, schema="File").apply(file)
    listed = field_mask.parse("", version=2, schema="FileList").apply({"kind": "k", "items": [file]})
    asked = field_mask.parse("*", version=2, schema="File").apply(file)

    assert short["files"] == [{"kind": "drive#file", "id": "1", "name": "a", "mimeType": "text/plain"}]
    assert set(short) == {"kind", "nextPageToken", "incompleteSearch", "files"}
    assert whole == {"title": "a", "sha256Checksum": "0"}
    assert listed == {"kind": "k", "items": [whole]}
    assert asked == file


def test_every_default_names_real_fields() -> None:
    """The default masks pass the check that clients' masks pass."""
    for schema in document(3).raw["schemas"]:
        field_mask.default(3, schema)


def outcome(fields: str) -> int:
    """The HTTP status that the mask leads to; whatever else it raises is a failure of the test."""
    try:
        field_mask.parse(fields, version=3, schema="FileList").apply(LISTING)
    except ApiError as refusal:
        return refusal.status
    return 200


def test_random_masks_are_cut_or_refused() -> None:
    """Five thousand strings over the mask alphabet raise nothing but the refusal."""
    dice = random.Random(3)
    pieces = ["files", "id", "owners", "me", "properties", "*", "(", ")", ",", "/", " ", "é", "'", "kind"]
    strings = ["".join(dice.choices([*pieces, *"!#$"], k=dice.randrange(1, 9))) for _ in range(5_000)]

    statuses = [outcome(fields) for fields in strings]

    assert set(statuses) == {200, 400}
