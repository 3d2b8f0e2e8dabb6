"""Google's discovery documents as the judge of parameters, bodies and answers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from googleapiclient.discovery import build_from_document

from local_runner.drive_emulator.model.errors import ApiError
from local_runner.drive_emulator.schema import conformance, discovery


def test_every_method_is_known_with_its_path_and_verb() -> None:
    """v3 and v2 methods come with what routing needs."""
    create, insert = discovery.document(3).methods["files.create"], discovery.document(2).methods["files.insert"]

    assert (create.http_method, create.path, create.takes_media) == ("POST", "files", True)
    assert (create.request, create.response) == ("File", "File")
    assert "https://www.googleapis.com/auth/drive.file" in create.scopes
    assert (insert.http_method, insert.path) == ("POST", "files")
    assert discovery.document(3).methods["files.get"].gives_media


def test_parameters_become_values_with_their_defaults() -> None:
    """Types, bounds and defaults are the document's; a page of changes beyond 1000 is lowered, as it says."""
    values = conformance.check_parameters(3, "files.list", {"pageSize": "1000", "supportsAllDrives": "TRUE", "q": "x"})

    assert values["pageSize"] == 1000
    assert values["supportsAllDrives"] is True
    assert values["includeItemsFromAllDrives"] is False
    assert (values["q"], values["spaces"]) == ("x", "drive")
    assert "pageToken" not in values
    assert conformance.check_parameters(3, "changes.list", {"pageToken": "1", "pageSize": "5000"})["pageSize"] == 1000


@pytest.mark.parametrize(
    ("method_id", "query", "reason", "message"),
    [
        ("files.list", {"pageSize": "many"}, "invalidParameter", "Invalid value at 'page_size' (TYPE_INT32)"),
        ("files.list", {"pageSize": "0"}, "invalidParameter", "within the range: [1, 1000]"),
        ("files.list", {"supportsAllDrives": "maybe"}, "invalidParameter", "Invalid boolean value"),
        ("files.list", {"alt": "xml"}, "invalidParameter", "Allowed values: [json, media, proto]"),
        (
            "files.list",
            {"alt": "media"},
            "invalidParameter",
            'Unsupported alt type "media" for non byte stream request.',
        ),
        ("files.generateIds", {"count": "1001"}, "invalidParameter", "within the range: [1, 1000]"),
        ("drives.create", {}, "required", "Required parameter: requestId"),
        ("changes.list", {}, "required", "Required parameter: pageToken"),
    ],
)
def test_wrong_parameters_are_refused(method_id: str, query: dict[str, str], reason: str, message: str) -> None:
    """A missing, ill-typed or out-of-bounds parameter is 400 with a message that names it."""
    with pytest.raises(ApiError) as refusal:
        conformance.check_parameters(3, method_id, query)

    assert (refusal.value.status, refusal.value.reason) == (400, reason)
    assert message in refusal.value.message


def test_unknown_parameters_are_disregarded() -> None:
    """Real clients send some, such as rclone's `setModifiedDate`, and work at Google."""
    values = conformance.check_parameters(
        3, "files.update", {"nosuch": "1", "setModifiedDate": "true", "uploadType": "resumable"}
    )

    assert values["uploadType"] == "resumable"
    assert not {"nosuch", "setModifiedDate"} & values.keys()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "a", "parents": ["p"], "appProperties": {"k": "v", "gone": None}, "modifiedTime": None},
        {"createdTime": "2020-02-03T04:05:06.789+01:00", "size": 12, "starred": False},
    ],
)
def test_a_body_that_fits_passes(body: dict[str, Any]) -> None:
    """Nulls clear, maps are free, and int64 may come as a number."""
    conformance.check_body(3, "File", body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"title": "a"}, 'Unknown name "title": Cannot find field.'),
        ({"contentHints": {"nosuch": 1}}, "Unknown name \"nosuch\" at 'contentHints': Cannot find field."),
        ({"name": 3}, "Invalid value at 'name'"),
        ({"starred": "true"}, "Invalid value at 'starred'"),
        ({"parents": "p"}, "Invalid value at 'parents'"),
        ({"parents": [1]}, "Invalid value at 'parents[0]'"),
        ({"parents": [None]}, "null is no item of a list"),
        ({"modifiedTime": "yesterday"}, "Invalid value at 'modifiedTime'"),
        ([], "an object is expected"),
        (None, "an object is expected"),
    ],
)
def test_a_body_that_does_not_fit_is_refused(body: object, message: str) -> None:
    """Unknown names and wrong types are 400 with the field named."""
    with pytest.raises(ApiError) as refusal:
        conformance.check_body(3, "File", body)

    assert refusal.value.status == 400
    assert message in refusal.value.message


def test_answers_are_held_against_their_schema() -> None:
    """A good answer has no fault; each fault of a bad one is named with its place."""
    good = {"kind": "drive#file", "id": "1", "size": "3", "exportLinks": {"text/plain": "x"}, "capabilities": {}}
    bad = {"size": 3, "trashed": "no", "createdTime": "x", "etag": "e", "owners": [{"me": 1}], "parents": None}

    assert conformance.validate(3, "File", good) == []
    places = [fault.split(":")[0] for fault in conformance.validate(3, "File", bad)]
    assert places == ["size", "trashed", "createdTime", "etag", "owners[0].me", "parents"]


@pytest.mark.parametrize("version", [2, 3])
def test_a_client_built_from_the_served_document_stays_at_the_emulator(version: discovery.Version) -> None:
    """Google's own client, built from what the emulator serves, addresses files, uploads and batches to it."""
    published = copy.deepcopy(discovery.document(version).raw)
    served = discovery.served(version, "http://127.0.0.1:9099")

    drive = build_from_document(served, developerKey="k")

    assert drive.files().list().uri.startswith(f"http://127.0.0.1:9099/drive/v{version}/files")
    assert drive.new_batch_http_request()._batch_uri == f"http://127.0.0.1:9099/batch/drive/v{version}"
    assert discovery.document(version).raw == published
