"""A refusal comes back, and Drive has done the work all the same: it counts only after a look at what stands there."""

from typing import Any

import pytest

from function.core.types import MULTIPART_MAX_BYTES
from tests.support.home import Home, Post

LARGE = bytes(MULTIPART_MAX_BYTES + 1)

REFUSALS: list[tuple[int, str]] = [
    (400, "badRequest"),
    (400, "invalid"),
    (403, "fileTooLarge"),
    (403, "insufficientFilePermissions"),
    (403, "insufficientParentPermissions"),
    (403, "propertiesLimitExceeded"),
    (403, "storageQuotaExceeded"),
    (403, "dailyLimitExceeded"),
    (403, "appNotAuthorizedToFile"),
    (403, "domainPolicy"),
    (403, "somethingNew"),
    (404, "notFound"),
    (409, "fileIdInUse"),
    (410, "gone"),
    (412, "conditionNotMet"),
    (413, "uploadTooLarge"),
    (422, "unprocessable"),
]


def refuse(home: Home, on: str, refusal: tuple[int, str], **more: Any) -> None:
    """Let the next request of that kind be done, and be refused."""
    status, reason = refusal
    home.drive.faults.add({"on": on, "do": "status", "status": status, "reason": reason, "done_first": True, **more})


def check_uploaded_once(home: Home, post: Post, payload: dict[str, Any], failed: Any) -> None:
    """At once, or by the same call again where the refusal may pass; it was never final, and is logged once."""
    answer = failed if failed.body["status"] == "uploaded" else post(home, payload)
    assert failed.code in (200, 503), failed.entry["message"]
    assert answer.body["status"] == "uploaded", (failed.entry["message"], answer.entry["message"])
    again = post(home, payload)
    assert again.body["status"] == "unchanged"
    assert [each["status"] for each in home.log()].count("uploaded") == 1


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
@pytest.mark.parametrize("metadata", [None, {"tags": ["a"]}], ids=["plain", "metadata"])
def test_a_create_that_was_done(
    home: Home, post: Post, refusal: tuple[int, str], metadata: dict[str, Any] | None
) -> None:
    """Whatever it is refused with, the file is there once."""
    payload = {"path": home.put(), "metadata": metadata}
    refuse(home, "files.create", refusal, path="/upload/drive/v3/files")

    check_uploaded_once(home, post, payload, post(home, payload))

    assert home.stored() == {"MemoryVDB/Meta/note.txt": b"remember me\n"}


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_a_session_whose_bytes_were_taken(home: Home, post: Post, refusal: tuple[int, str]) -> None:
    """The same for a large file, whose last bytes are refused when Drive has them."""
    payload = {"path": home.put(content=LARGE)}
    refuse(home, "upload.send", refusal)

    check_uploaded_once(home, post, payload, post(home, payload))

    assert home.stored() == {"MemoryVDB/Meta/note.txt": LARGE}


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
@pytest.mark.parametrize("content", [b"more\n", LARGE], ids=["small", "large"])
def test_a_revision_that_was_done(home: Home, post: Post, refusal: tuple[int, str], content: bytes) -> None:
    """One more revision, not two."""
    payload = {"path": home.put(), "if_exists": "new_revision"}
    (first,) = post(home, payload).entries
    home.put(content=content)
    (home.folder / "upload_log.json").unlink()
    refuse(home, "upload.send", refusal)

    check_uploaded_once(home, post, payload, post(home, payload))

    assert home.stored() == {"MemoryVDB/Meta/note.txt": content}
    assert next(each for each in home.drive.files() if each["id"] == first["file_id"])["revisions"] == 2
