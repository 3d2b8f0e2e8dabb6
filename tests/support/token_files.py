"""Token files as other programs save them, for the embedded Drive."""

import json
from typing import Any

from oauth2client.client import OAuth2Credentials
from oauth2client.service_account import ServiceAccountCredentials

from local_runner.drive_emulator import DriveEmulator

DRIVE = "https://www.googleapis.com/auth/drive"
PAST = "2020-01-01T00:00:00Z"


def by_pydrive2(drive: DriveEmulator, **more: Any) -> dict[str, Any]:
    """What PyDrive2 itself saves for a person, its access token long past."""
    granted = drive.authorized_user()
    saved = OAuth2Credentials(
        "ya29.old",
        granted["client_id"],
        granted["client_secret"],
        granted["refresh_token"],
        None,
        granted["token_uri"],
        None,
        scopes=DRIVE,
    )
    fields: dict[str, Any] = json.loads(saved.to_json())
    return {**fields, "token_expiry": PAST, "note": "keep", **more}


def key_by_pydrive2(drive: DriveEmulator, scope: str = DRIVE) -> dict[str, Any]:
    """What PyDrive2 saves for a service account that never had a token."""
    key = ServiceAccountCredentials.from_json_keyfile_dict(drive.service_account(), scopes=scope)
    key.token_uri = f"{drive.url}/token"
    fields: dict[str, Any] = json.loads(key.to_json())
    return {**fields, "token_expiry": PAST}
