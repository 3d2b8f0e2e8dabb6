"""It must not lie: what it doesn't do it refuses as Google does, and what it says is so."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from local_runner.drive_emulator import DriveEmulator
from tests.emulator.wire import GRANULE, Api

OTHER = "other@example.com"
DAY_S = 24 * 3600


def test_full_text_finds_what_a_text_says(api: Api) -> None:
    """Words of the content of a text file; those of another type aren't looked into."""
    api.multipart({"name": "letter", "mimeType": "text/plain"}, b"the quick brown fox")
    api.multipart({"name": "picture", "mimeType": "image/png"}, b"the quick brown fox")

    found = api.get("files", q="fullText contains 'quick fox'").json()["files"]

    assert [one["name"] for one in found] == ["letter"]
    assert api.get("files", q="fullText contains 'slow'").json()["files"] == []


def test_what_a_folder_grants_shows_on_what_lies_in_it(api: Api, drive: DriveEmulator) -> None:
    """permissions.list with its details, permissionIds, shared, and `in writers`."""
    folder = api.folder()
    file_id = api.made({"name": "a", "parents": [folder]})["id"]
    alone = api.made({"name": "b"})
    grant = {"type": "user", "role": "writer", "emailAddress": OTHER}
    given = api.call("POST", f"/drive/v3/files/{folder}/permissions", json=grant).json()

    shown = api.get(f"files/{file_id}", fields="shared,permissionIds").json()
    listed = api.get(f"files/{file_id}/permissions", fields="*").json()["permissions"]
    inherited = next(one for one in listed if one["id"] == given["id"])

    assert shown["shared"] is True
    assert given["id"] in shown["permissionIds"]
    assert alone["shared"] is False
    assert (inherited["role"], inherited["emailAddress"]) == ("writer", OTHER)
    assert inherited["permissionDetails"] == [
        {"permissionType": "file", "role": "writer", "inherited": True, "inheritedFrom": folder}
    ]
    found = api.get("files", q=f"'{OTHER}' in writers").json()["files"]
    assert {one["id"] for one in found} == {folder, file_id}
    answer = api.call("DELETE", f"/drive/v3/files/{file_id}/permissions/{given['id']}")
    assert api.reason(answer) == (403, "cannotModifyInheritedPermission")


def _in(**more: float) -> str:
    return (datetime.now(UTC) + timedelta(**more)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"type": "user", "role": "reader", "emailAddress": "nobody"}, "invalidSharingRequest"),
        ({"type": "user", "role": "king", "emailAddress": OTHER}, "invalid"),
        ({"type": "user", "role": "organizer", "emailAddress": OTHER}, "invalid"),
        ({"type": "group", "role": "owner", "emailAddress": OTHER}, "invalid"),
        ({"type": "user", "role": "reader", "emailAddress": OTHER, "expirationTime": _in(days=-1)}, "invalid"),
        ({"type": "user", "role": "reader", "emailAddress": OTHER, "expirationTime": _in(days=400)}, "invalid"),
        ({"type": "anyone", "role": "reader", "expirationTime": _in(days=1)}, "invalid"),
        (
            {"type": "user", "role": "reader", "emailAddress": OTHER, "expirationTime": "2026-13-45T00:00:00Z"},
            "invalid",
        ),
    ],
)
def test_permissions_are_checked(api: Api, body: dict[str, Any], reason: str) -> None:
    """400 for an address that is none, a role that can't be had, an end that can't be set; nothing is granted."""
    file_id = api.made({})["id"]

    answer = api.call("POST", f"/drive/v3/files/{file_id}/permissions?transferOwnership=true", json=body)

    assert api.reason(answer) == (400, reason)
    assert len(api.get(f"files/{file_id}", fields="permissionIds").json()["permissionIds"]) == 1


def test_a_grant_ends_when_it_says(api: Api, drive: DriveEmulator) -> None:
    """After its expiration the file is 404 to whom it was shared with."""
    file_id = api.made({})["id"]
    other = Api(drive, OTHER)
    grant = {"type": "user", "role": "reader", "emailAddress": OTHER, "expirationTime": _in(seconds=1800)}
    assert api.call("POST", f"/drive/v3/files/{file_id}/permissions", json=grant).status_code == 200
    assert other.get(f"files/{file_id}").status_code == 200

    drive.set_weather(advance_s=1801)

    assert other.get(f"files/{file_id}").status_code == 404
    assert len(api.get(f"files/{file_id}", fields="permissionIds").json()["permissionIds"]) == 1


@pytest.mark.parametrize("flag", [True, False])
def test_a_service_account_has_no_storage(drive: DriveEmulator, flag: bool) -> None:
    """Its address tells, also where the call that made it doesn't; folders it may have."""
    email = "robot@project.iam.gserviceaccount.com"
    made = requests.post(
        f"{drive.url}/emulator/accounts", json={"email": email, "service_account": flag}, timeout=5
    ).json()
    robot = Api(drive, email)

    assert (made["service_account"], made["storage_limit"]) == (True, 0)
    assert robot.reason(robot.multipart({}, b"x")) == (403, "storageQuotaExceeded")
    assert robot.folder()
    quota = robot.get("about", fields="storageQuota").json()["storageQuota"]
    assert quota["limit"] == "0"


def test_the_bin_is_emptied_after_thirty_days(api: Api, drive: DriveEmulator) -> None:
    """What lies in it goes with all below, and leaves the disk; what was taken out again stays."""
    folder = api.folder()
    api.multipart({"name": "below", "parents": [folder]}, bytes(20_000))
    restored = api.made({"name": "restored"})["id"]
    for file_id, states in ((folder, [True]), (restored, [True, False])):
        for trashed in states:
            api.update(file_id, {"trashed": trashed})
    drive.set_weather(advance_s=29 * DAY_S, token_life_s=100 * DAY_S)
    again = Api(drive)
    assert again.get(f"files/{folder}").status_code == 200

    drive.set_weather(advance_s=30 * DAY_S + 1)

    assert again.get(f"files/{folder}").status_code == 404
    assert [one["name"] for one in drive.files()] == ["restored"]
    assert list(drive.drive.folder.glob("content/*/*")) == []


def test_expired_sessions_leave_the_disk(api: Api, drive: DriveEmulator) -> None:
    """A week after its start nothing is left of a session, whether it is asked for or not."""
    for _ in range(2):
        uri = api.session_uri({}, total=3 * GRANULE)
        api.send(uri, bytes(GRANULE), f"bytes 0-{GRANULE - 1}/{3 * GRANULE}")
    assert len(list((drive.drive.folder / "parts").iterdir())) == 2

    drive.set_weather(advance_s=7 * DAY_S + 60)

    assert api.status(uri).status_code == 404
    assert list((drive.drive.folder / "parts").iterdir()) == []


def test_a_create_may_name_its_drive(api: Api) -> None:
    """`driveId` beside `parents`, as real clients send it."""
    drive_id = api.call("POST", "/drive/v3/drives?requestId=1", json={"name": "D"}).json()["id"]

    made = api.made({"name": "a", "driveId": drive_id, "parents": [drive_id]}, supportsAllDrives=True)

    assert made["driveId"] == drive_id
    assert api.reason(api.update(made["id"], {"driveId": "x"}, supportsAllDrives=True)) == (403, "fieldNotWritable")
