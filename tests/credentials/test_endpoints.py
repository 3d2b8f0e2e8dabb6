"""Where a token may be sent: to the endpoint that it is for, in clear only on this machine."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from function.core.errors import CredentialsError
from function.credentials import token_file
from local_runner.drive_emulator import DriveEmulator
from tests.support.home import Home

GOOGLE = "https://oauth2.googleapis.com/token"
IAM = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b.c:generateAccessToken"


def of_google(drive: DriveEmulator, form: str) -> dict[str, Any]:
    """A token that is good for Google's endpoint; its access token has an hour left."""
    person = {**drive.authorized_user(), "expiry": "2099-01-01T00:00:00Z"}
    match form:
        case "person":
            return person | {"token_uri": GOOGLE}
        case "gcloud":
            return {name: person[name] for name in ("type", "client_id", "client_secret", "refresh_token", "token")}
        case "pydrive2":
            kind = {"_module": "oauth2client.client", "_class": "OAuth2Credentials"}
            return kind | {**person, "access_token": person["token"], "token_uri": GOOGLE}
        case "impersonated":
            return {
                "type": "impersonated_service_account",
                "source_credentials": person,
                "service_account_impersonation_url": IAM,
            }
        case "source":
            return {
                "type": "impersonated_service_account",
                "source_credentials": person | {"token_uri": GOOGLE},
                "service_account_impersonation_url": f"{drive.url}/v1/serviceAccounts/a@b.c:generateAccessToken",
            }
        case _:
            return drive.service_account() | {"token_uri": GOOGLE}


@pytest.mark.parametrize("form", ["person", "gcloud", "pydrive2", "impersonated", "source", "key"])
def test_a_real_token_is_never_sent_to_an_emulator(tmp_path: Path, form: str) -> None:
    """DRIVE_EMULATOR_HOST set by mistake: one sentence, no request at all, and the token file as it was."""
    with DriveEmulator() as drive:
        home = Home(tmp_path, drive, {"DRIVE_EMULATOR_HOST": drive.url, "DRIVE_UPLOAD_HOME": str(tmp_path)})
        home.settings()
        home.put()
        token = home.write("drive_token.json", json.dumps(of_google(drive, form)))
        before = token.read_bytes()

        run = home.one_off("Data/Meta/note.txt", environ={"DRIVE_UPLOAD_PATHS": str(tmp_path / "paths.json")})

        [entry] = json.loads(run.stdout)["results"]
        assert (run.returncode, entry["reason"]) == (75, "credentials_invalid")
        assert "a real token is never sent to an emulator" in entry["message"]
        assert list(drive.requests) == []
        assert token.read_bytes() == before
        assert json.loads(before).get("refresh_token", "1//") not in run.stdout + run.stderr


@pytest.mark.parametrize("name", ["token_uri", "service_account_impersonation_url"])
def test_a_secret_travels_in_clear_only_on_this_machine(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """http:// to another machine is refused when the file is read, unless that host is asked for by name."""
    path = tmp_path / "drive_token.json"
    person = {"type": "authorized_user", "refresh_token": "1//0", "client_id": "id", "client_secret": "cs"}
    fields = {**person, name: "http://tokens.example.com/x"}
    path.write_text(json.dumps(fields))
    os.utime(path, (1, 1))

    with pytest.raises(CredentialsError, match=f"{name} must be an https address"):
        token_file.read(path)

    monkeypatch.setenv("DRIVE_EMULATOR_PLAIN_HTTP", "tokens.example.com")
    assert token_file.read(path).kind == "authorized_user"
    for address in ("https://tokens.example.com/x", "http://localhost:9099/x", "http://[::1]:9099/x"):
        path.write_text(json.dumps({**fields, name: address}))
        assert token_file.read(path).kind == "authorized_user"
