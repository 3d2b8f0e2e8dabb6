"""Token files with any field damaged: an access token or one of our errors, never anything else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from function.core.errors import UploadError
from function.core.retry import Deadline
from function.credentials import token_endpoint
from function.credentials.account_credentials import Credentials
from local_runner.drive_emulator import DriveEmulator

PERSON = {
    "refresh_token": "1//0-secret",
    "client_id": "id",
    "client_secret": "cs",
    "token": "ya29.x",
    "expiry": "2020-01-01T00:00:00Z",
    "token_uri": "http://127.0.0.1:9/token",
    "scopes": ["https://www.googleapis.com/auth/drive"],
}
PYDRIVE2 = {
    "_module": "oauth2client.client",
    "_class": "OAuth2Credentials",
    "access_token": "ya29.x",
    "client_id": "id",
    "client_secret": "cs",
    "refresh_token": "1//0-secret",
    "token_expiry": "2020-01-01T00:00:00Z",
    "token_uri": "http://127.0.0.1:9/token",
    "user_agent": None,
    "revoke_uri": "https://oauth2.googleapis.com/revoke",
    "id_token": None,
    "id_token_jwt": None,
    "token_response": {"access_token": "ya29.x"},
    "scopes": ["https://www.googleapis.com/auth/drive"],
    "token_info_uri": None,
    "invalid": False,
}
IMPERSONATED = {
    "type": "impersonated_service_account",
    "source_credentials": {**PERSON, "type": "authorized_user"},
    "service_account_impersonation_url": "http://127.0.0.1:9/v1/projects/-/serviceAccounts/a@b:generateAccessToken",
    "delegates": [],
}
JUNK = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.lists(st.integers(), max_size=2)
    | st.just({"a": 1})
)


@pytest.mark.parametrize("whole", [PERSON, PYDRIVE2, IMPERSONATED])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_told_in_our_words(
    drive: DriveEmulator,
    source: Callable[..., Credentials],
    token_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: dict[str, Any],
    data: st.DataObject,
) -> None:
    """Fields replaced by anything or left out end in a token or in an error that names the file and no secret."""
    monkeypatch.setattr(token_endpoint, "_TRIES", 1)
    damage = data.draw(st.dictionaries(st.sampled_from(sorted(whole)), JUNK, max_size=3))
    absent = data.draw(st.sets(st.sampled_from(sorted(whole)), max_size=2))
    fields = {name: value for name, value in (whole | damage).items() if name not in absent}

    try:
        assert source(fields).access_token(Deadline.after(10))
    except UploadError as error:
        told = str(error)
    else:
        told = ""

    assert "1//0-secret" not in told
    assert "\n" not in told
    json.loads(token_path.read_text())
