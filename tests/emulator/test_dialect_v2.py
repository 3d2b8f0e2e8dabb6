"""v2's spelling of files and of what belongs to them, held against Google's v2 document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from local_runner.drive_emulator.faults.network_conditions import Conditions
from local_runner.drive_emulator.model.errors import ApiError
from local_runner.drive_emulator.model.records import FOLDER, SHORTCUT, FileRecord, Viewer
from local_runner.drive_emulator.render import field_mask
from local_runner.drive_emulator.render import file_v2 as v2
from local_runner.drive_emulator.render import others_v2 as others
from local_runner.drive_emulator.render.field_mask import EVERYTHING, FieldMask
from local_runner.drive_emulator.render.file_v3 import View, file_resource
from local_runner.drive_emulator.rules import operations
from local_runner.drive_emulator.rules.new_content import Upload
from local_runner.drive_emulator.schema.conformance import validate
from local_runner.drive_emulator.storage.state import Drive, account, open_drive

SCOPES = frozenset({"https://www.googleapis.com/auth/drive"})


@pytest.fixture
def drive() -> Iterator[Drive]:
    """An empty Drive in a folder that goes away."""
    opened = open_drive(None, seed=1, conditions=Conditions())
    yield opened
    opened.close()


@pytest.fixture
def view(drive: Drive) -> View:
    """Ann's eyes."""
    ann = account(drive, "ann@example.com")
    return View(drive, Viewer(ann.email, ann.permission_id, ann.root_id, "app-1", SCOPES))


@pytest.fixture
def site(view: View) -> v2.Site:
    """The emulator at a fixed address."""
    return v2.Site("http://127.0.0.1:9099", view.viewer.root_id)


def a_file(view: View, body: dict[str, Any], content: bytes | None = b"abc") -> FileRecord:
    """A new file of Ann's."""
    upload = None
    if content is not None:
        part = view.drive.blobs.part("new", len(content))
        part.append(content)
        upload = Upload(view.drive.blobs.adopt(part))
    return operations.create(view.drive, view.viewer, body, upload, all_drives=True)


def as_v2(record: FileRecord, view: View, site: v2.Site, mask: FieldMask = EVERYTHING) -> dict[str, Any]:
    """The v2 resource by way of v3, as the emulator makes it."""
    return v2.file_resource(file_resource(record, view, v2.v3_mask(mask)), site, mask)


def test_a_file_in_v2_is_as_google_documents_it(view: View, site: v2.Site) -> None:
    """The names of v2 carry what v3 calls otherwise, links lead to the emulator, and the schema finds no fault."""
    record = a_file(
        view, {"name": "a.txt", "mimeType": "text/plain", "properties": {"p": "1"}, "appProperties": {"q": "2"}}
    )

    resource = as_v2(record, view, site)

    assert validate(2, "File", resource) == []
    assert (resource["title"], resource["fileSize"], resource["kind"]) == ("a.txt", "3", "drive#file")
    assert resource["md5Checksum"] == "900150983cd24fb0d6963f7d28e17f72"
    assert resource["labels"]["trashed"] is False
    assert resource["selfLink"] == f"http://127.0.0.1:9099/drive/v2/files/{record.id}"
    assert resource["downloadUrl"] == resource["selfLink"] + "?alt=media"
    assert [parent["isRoot"] for parent in resource["parents"]] == [True]
    assert {(item["key"], item["visibility"]) for item in resource["properties"]} == {("p", "PUBLIC"), ("q", "PRIVATE")}
    assert (resource["userPermission"]["role"], resource["ownerNames"]) == ("owner", ["Ann"])
    assert (resource["editable"], resource["copyable"], resource["owners"][0]["isAuthenticatedUser"]) == (True,) * 3


@pytest.mark.parametrize("kind", [FOLDER, SHORTCUT])
def test_folders_and_shortcuts_have_no_content_in_v2(view: View, site: v2.Site, kind: str) -> None:
    """What has no bytes has no size, checksum or download link."""
    target = a_file(view, {"name": "target"})
    body: dict[str, Any] = {"name": "x", "mimeType": kind}
    body |= {"shortcutDetails": {"targetId": target.id}} if kind == SHORTCUT else {}

    resource = as_v2(a_file(view, body, None), view, site)

    assert validate(2, "File", resource) == []
    assert not {"fileSize", "md5Checksum", "downloadUrl"} & resource.keys()


def test_an_etag_changes_with_every_change(view: View, site: v2.Site) -> None:
    """The version is in it, so that If-Match tells."""
    record = a_file(view, {"name": "a"})
    changed = operations.update(view.drive, view.viewer, record.id, {"name": "b"}, None, all_drives=True)

    assert as_v2(record, view, site)["etag"] != as_v2(changed, view, site)["etag"]


def test_a_v2_mask_asks_v3_for_no_more_than_it_needs(view: View, site: v2.Site) -> None:
    """`title,labels/trashed` needs a few v3 fields and no checksum, and gives exactly what was asked for."""
    mask = field_mask.parse("title,labels/trashed", version=2, schema="File")

    resource = as_v2(a_file(view, {"name": "a"}), view, site, mask)

    assert v2.v3_mask(mask).names == frozenset(
        {"name", "starred", "trashed", "copyRequiresWriterPermission", "viewedByMe"}
    )
    assert resource == {"title": "a", "labels": {"trashed": False}}


def test_a_v2_body_says_the_same_in_v3() -> None:
    """Titles, labels, dates, references and properties are translated; what only Drive sets is left out."""
    body = {
        "title": "a",
        "id": "X",
        "etag": "old",
        "fileSize": "3",
        "labels": {"starred": True, "restricted": False, "viewed": True},
        "modifiedDate": "2020-01-01T00:00:00Z",
        "parents": [{"kind": "drive#parentReference", "id": "P"}],
        "properties": [{"key": "k", "value": "v"}, {"key": "gone", "value": None, "visibility": "PUBLIC"}],
        "indexableText": {"text": "words"},
    }

    assert v2.file_body(body) == {
        "name": "a",
        "id": "X",
        "starred": True,
        "copyRequiresWriterPermission": False,
        "modifiedTime": "2020-01-01T00:00:00Z",
        "parents": ["P"],
        "appProperties": {"k": "v"},
        "properties": {"gone": None},
        "contentHints": {"indexableText": {"text": "words"}},
    }


@pytest.mark.parametrize("given", [{"value": "v"}, {"key": "k", "visibility": "SECRET"}])
def test_a_property_that_v2_does_not_have_is_refused(given: dict[str, str]) -> None:
    """A property needs a key, and its visibility is PRIVATE or PUBLIC."""
    with pytest.raises(ApiError) as refusal:
        v2.file_body({"properties": [given]})

    assert refusal.value.status == 400


def test_parents_in_a_body_become_a_move() -> None:
    """Only what differs is added and removed."""
    assert v2.moves(["B"], ["A"]) == ("B", "A")
    assert v2.moves(["A"], ["A"]) == ("", "")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"type": "anyone", "value": "anyone", "role": "reader", "withLink": True},
            {"type": "anyone", "role": "reader", "allowFileDiscovery": False},
        ),
        (
            {"type": "user", "value": "bob@example.com", "role": "reader", "additionalRoles": ["commenter"]},
            {"type": "user", "role": "commenter", "emailAddress": "bob@example.com"},
        ),
        (
            {"type": "domain", "value": "example.com", "role": "writer"},
            {"type": "domain", "role": "writer", "domain": "example.com", "allowFileDiscovery": True},
        ),
    ],
)
def test_a_v2_grant_says_the_same_in_v3(body: dict[str, Any], expected: dict[str, Any]) -> None:
    """Values become addresses or domains, withLink its opposite, and the additional role a role."""
    assert others.permission_body(body) == expected


def test_grants_come_back_in_v2s_words(site: v2.Site) -> None:
    """A commenter is a reader with an additional role, and a link grant has withLink."""
    comment = v2.permission_resource(
        {"id": "1", "type": "user", "role": "commenter", "emailAddress": "b@example.com", "displayName": "B"}, "F", site
    )
    link = v2.permission_resource(
        {"id": "2", "type": "anyone", "role": "reader", "allowFileDiscovery": False}, "F", site
    )

    assert validate(2, "Permission", comment) == validate(2, "Permission", link) == []
    assert (comment["role"], comment["additionalRoles"], comment["name"]) == ("reader", ["commenter"], "B")
    assert link["withLink"] is True


def test_lists_revisions_changes_and_the_account_fit_their_schemas(view: View, site: v2.Site) -> None:
    """Each of v2's other resources is as documented."""
    record = a_file(view, {"name": "a"})
    file = as_v2(record, view, site)
    person = {"kind": "drive#user", "displayName": "Ann", "me": True, "permissionId": "1", "emailAddress": "a@b.c"}
    revision = {"id": "R", "mimeType": "a/b", "modifiedTime": "2020-01-01T00:00:00Z", "keepForever": False}
    revision |= {"published": False, "size": "3", "md5Checksum": "0", "lastModifyingUser": person}
    change = {"fileId": record.id, "removed": False, "time": "2020-01-01T00:00:00Z"}
    quota = {"limit": "9", "usage": "3", "usageInDrive": "3", "usageInDriveTrash": "0"}
    account_v3 = {"user": person, "storageQuota": quota, "maxUploadSize": "5", "exportFormats": {"a/b": ["c/d"]}}
    link = site.link("files")

    made = {
        "FileList": others.listing("fileList", [file], link, nextPageToken="t", nextLink=others.next_link(link, "t")),
        "ChildList": others.listing("childList", [others.child_reference("D", "F", site)], link),
        "ParentList": others.listing("parentList", file["parents"], link),
        "Revision": others.revision_resource(revision, "F", site),
        "Change": others.change_resource(change, 7, file, site),
        "ChangeList": others.listing("changeList", [], link, largestChangeId="7"),
        "About": others.about_resource(account_v3, site, 7),
    }

    assert {name: validate(2, name, resource) for name, resource in made.items()} == {name: [] for name in made}
    assert made["Revision"]["pinned"] is False
    assert others.revision_body({"pinned": True, "etag": "x"}) == {"keepForever": True}
