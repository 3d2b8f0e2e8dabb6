"""Token endpoints behind a proxy: one way out for every kind of token, and for signing in."""

import json
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
from oauth2client.client import OAuth2Credentials
from oauth2client.service_account import ServiceAccountCredentials

from function.core.errors import UploadError
from function.core.retry import Deadline
from function.credentials import token_endpoint
from function.credentials.account_credentials import Credentials
from local_runner.client import sign_in
from local_runner.drive_emulator import DriveEmulator
from tests.support.tls_front import TlsFront

DRIVE = "https://www.googleapis.com/auth/drive"
GOOGLE = "https://oauth2.googleapis.com/token"
PAST = "2020-01-01T00:00:00Z"


def token(drive: DriveEmulator, form: str) -> dict[str, Any]:
    """An expired token of that form, whose endpoint is Google's."""
    person = drive.authorized_user() | {"token": "ya29.old", "expiry": PAST, "token_uri": GOOGLE}
    key = drive.service_account() | {"token_uri": GOOGLE}
    match form:
        case "person":
            return person
        case "key":
            return key
        case "pydrive2":
            client = (person["client_id"], person["client_secret"], person["refresh_token"])
            saved = OAuth2Credentials("ya29.old", *client, None, GOOGLE, None, scopes=DRIVE)
        case _:
            saved = ServiceAccountCredentials.from_json_keyfile_dict(key, scopes=DRIVE)
    fields: dict[str, Any] = json.loads(saved.to_json())
    return fields | {"token_expiry": PAST}


@pytest.fixture
def front(drive: DriveEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsFront]:
    """A proxy in front of the embedded Drive, which answers as Google; this process has only that way out."""
    with TlsFront(drive.url, tmp_path) as running:
        for name, value in running.environ.items():
            monkeypatch.setenv(name, value)
        yield running


def credentials(path: Path, fields: dict[str, Any]) -> Credentials:
    """The credentials of a token file, with Google as their endpoint."""
    path.write_text(json.dumps(fields))
    return Credentials(path, refresh_lock=lambda _: nullcontext(), token_uri_override=None, cache_path=None)


@pytest.mark.parametrize("form", ["person", "key", "pydrive2", "pydrive2 key"])
@pytest.mark.usefixtures("front")
def test_every_kind_is_renewed_behind_a_proxy(drive: DriveEmulator, token_path: Path, form: str) -> None:
    """HTTPS_PROXY and REQUESTS_CA_BUNDLE count for google-auth's and for PyDrive2's tokens alike."""
    renewed = credentials(token_path, token(drive, form)).access_token(Deadline.after(20))

    headers = {"Authorization": f"Bearer {renewed}"}
    assert urllib3.request("GET", f"{drive.url}/drive/v3/about?fields=user", headers=headers).status == 200


@pytest.mark.parametrize("form", ["person", "key", "pydrive2", "pydrive2 key"])
@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("http://user:Canary0Secret@127.0.0.1:9", "The proxy http://127.0.0.1:9 (HTTPS_PROXY)"),
        ("socks5://user:Canary0Secret@127.0.0.1:9", "HTTPS_PROXY: socks5 proxies are not supported"),
        ("http://user:Canary0Secret@127.0.0.1:nowhere", "HTTPS_PROXY: "),
    ],
)
def test_a_proxy_that_doesnt_work_is_named_without_its_password(
    drive: DriveEmulator, token_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, proxy: str, words: str
) -> None:
    """The variable is named in one sentence, for all kinds of tokens the same; it is no fault of the credentials."""
    monkeypatch.setattr(token_endpoint, "_TRIES", 1)
    for name in ("https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)

    with pytest.raises(UploadError) as failure:
        credentials(token_path, token(drive, form)).access_token(Deadline.after(20))

    assert failure.value.reason in ("network", "settings_invalid")
    assert words in failure.value.message
    assert "Canary0Secret" not in failure.value.message


@pytest.mark.usefixtures("front")
def test_signing_in_works_behind_a_proxy(drive: DriveEmulator) -> None:
    """The code is exchanged on the same way out: what the endpoint says of a made-up one arrives."""
    client = sign_in.Client("id", "secret", auth_uri=f"{drive.url}/o/oauth2/v2/auth", token_uri=GOOGLE)

    def visit(url: str) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        urllib3.request("GET", f"{asked['redirect_uri']}?state={asked['state']}&code=made-up", retries=False)

    def show(url: str) -> None:
        threading.Thread(target=visit, args=(url,)).start()

    with pytest.raises(sign_in.AuthorizationFailed, match="the code was used before or is too old"):
        sign_in.sign_in(client, "drive", show=show, save=lambda _: None, timeout_s=20)

    assert drive.requests.count("oauth.token") == 1
