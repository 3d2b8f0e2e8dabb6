"""drive_token.json as it lies on disk: recognised, refused with a sentence, written back."""

import json
import os
import re
import stat
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from function.core.errors import CredentialsError
from function.credentials import token_file, token_save

SECRET = "1//0-very-secret"
DRIVE = "https://www.googleapis.com/auth/drive"

AUTHORIZED = {"refresh_token": SECRET, "client_id": "id", "client_secret": "cs", "token": "ya29.x"}
PYDRIVE2 = {
    "_module": "oauth2client.client",
    "_class": "OAuth2Credentials",
    "access_token": "ya29.x",
    "client_id": "id",
    "client_secret": "cs",
    "refresh_token": SECRET,
    "token_uri": "https://oauth2.googleapis.com/token",
    "scopes": [DRIVE],
}
KEY = {"type": "service_account", "client_email": "a@b.iam.gserviceaccount.com", "private_key": SECRET}


def written(folder: Path, content: object) -> Path:
    """A token file holding the content, encoded unless it is bytes."""
    path = folder / "drive_token.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    os.utime(path, (1, 1))
    return path


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        (AUTHORIZED, "authorized_user"),
        ({**AUTHORIZED, "type": "authorized_user", "quota_project_id": "p"}, "authorized_user"),
        (
            {"token": "ya29.x", "client_id": "id", "client_secret": "cs", "expiry": "2030-01-01T00:00:00Z"},
            "authorized_user",
        ),
        (PYDRIVE2, "pydrive2"),
        (
            {
                "_module": "oauth2client.service_account",
                "_class": "ServiceAccountCredentials",
                "_service_account_email": "a@b",
                "_private_key_pkcs8_pem": SECRET,
                "_scopes": DRIVE,
                "token_uri": "https://oauth2.googleapis.com/token",
            },
            "pydrive2_service_account",
        ),
        (KEY, "service_account"),
        (
            {
                "type": "external_account",
                "audience": "//iam",
                "subject_token_type": "urn:x",
                "token_url": "https://sts",
                "credential_source": {"file": "/x"},
            },
            "external_account",
        ),
        (
            {
                "type": "impersonated_service_account",
                "source_credentials": AUTHORIZED,
                "service_account_impersonation_url": "https://x/y:generateAccessToken",
            },
            "impersonated_service_account",
        ),
    ],
)
def test_each_kind_is_recognised(tmp_path: Path, fields: dict[str, Any], kind: str) -> None:
    """The accepted formats are told apart by what they look like."""
    file = token_file.read(written(tmp_path, fields))

    assert (file.kind, file.fields) == (kind, fields)
    assert SECRET not in repr(file)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b'{"refresh_token": "1//0-very-secret", ', "not valid JSON"),
        (b"\xff\xfe1//0", "not UTF-8"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "JSON object"),
        (
            b'{"type": "external_account", "credential_source": ' + b'{"a":' * 800 + b"1" + b"}" * 801,
            "too many objects",
        ),
        (b"9" * 5000, "not valid JSON"),
        (b'{"a": "' + b"x" * 2_000_000 + b'"}', "no token file"),
        ({}, "no credentials of a known kind"),
        ({"installed": {"client_id": "id", "client_secret": SECRET}}, "client secret"),
        ({"web": {"client_id": "id"}}, "client secret"),
        (
            {"access_token": SECRET, "token_type": "Bearer", "refresh_token": SECRET, "expiry": "2026-01-01T00:00:00Z"},
            "rclone",
        ),
        ({"access_token": SECRET, "expires_in": 3599, "token_type": "Bearer"}, "bare OAuth answer"),
        (
            {"client_id": "a", "client_secret": SECRET, "end_point": "https://x", "token": {"access_token": "x"}},
            "duplicacy",
        ),
        (
            {"_module": "oauth2client.client", "_class": "AccessTokenCredentials", "access_token": SECRET},
            "oauth2client",
        ),
        ({"_module": "os", "_class": "system", "access_token": SECRET}, "oauth2client"),
        ({"type": "gdch_service_account"}, "type"),
        ({"type": "authorized_user", "client_id": "id", "client_secret": "x"}, "without refresh_token or token"),
        ({**AUTHORIZED, "client_secret": None}, "without client_secret"),
        ({**AUTHORIZED, "refresh_token": {"a": SECRET}}, "refresh_token must be a string"),
        ({**KEY, "private_key": ""}, "without private_key"),
        ({**AUTHORIZED, "token_uri": "file:///etc/passwd"}, "token_uri must be"),
        ({**AUTHORIZED, "scopes": [DRIVE + ".readonly"]}, "drive.file"),
        ({**PYDRIVE2, "scopes": [DRIVE + ".metadata"]}, "drive.file"),
        ({**AUTHORIZED, "scopes": "openid email"}, "drive.file"),
    ],
)
def test_what_is_no_token_is_refused_by_name(tmp_path: Path, content: object, words: str) -> None:
    """Each mistake gets one sentence that names the file and what it is, without a secret."""
    path = written(tmp_path, content)

    with pytest.raises(CredentialsError) as refusal:
        token_file.read(path)

    assert refusal.value.reason == "credentials_invalid"
    assert str(path) in refusal.value.message
    assert words in refusal.value.message
    assert SECRET not in refusal.value.message
    assert "\n" not in refusal.value.message


def test_missing_files_and_folders_in_their_place(tmp_path: Path) -> None:
    """No file, a link to none, and the folder that Docker makes for a missing mount are all missing credentials."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "file").write_text("{}")

    for name in ("absent", "folder", "link", "file/below"):
        with pytest.raises(CredentialsError, match=name.partition("/")[0]) as refusal:
            token_file.read(tmp_path / name)
        assert refusal.value.reason == "credentials_missing"


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    """A FIFO in the token's place doesn't hang the job."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(CredentialsError, match="not a regular file"):
        token_file.read(tmp_path / "pipe")


def test_a_byte_order_mark_and_links_are_accepted(tmp_path: Path) -> None:
    """A file saved by a Windows editor, mounted as Kubernetes mounts secrets, is read."""
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "token").write_bytes(b"\xef\xbb\xbf" + json.dumps(AUTHORIZED).encode())
    (tmp_path / "token").symlink_to("..data/token")

    assert token_file.read(tmp_path / "token").kind == "authorized_user"


def test_a_file_that_is_being_rewritten_in_place_is_read_when_it_is_whole(tmp_path: Path) -> None:
    """oauth2client truncates before it writes; who reads in between waits a moment."""
    path = tmp_path / "drive_token.json"
    path.write_text("")
    writer = threading.Timer(0.1, lambda: path.write_text(json.dumps(PYDRIVE2)))
    writer.start()

    file = token_file.read(path)

    writer.join()
    assert file.kind == "pydrive2"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from([*AUTHORIZED, *PYDRIVE2, *KEY, "installed", "expiry", "end_point", "_scopes"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers()) | st.just({"a": 1}),
    )
)
def test_any_object_is_recognised_or_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Whatever an object holds, the only error is a CredentialsError."""
    path = written(tmp_path, fields)

    with suppress(CredentialsError):
        token_file.read(path)


IMPERSONATED = {
    "type": "impersonated_service_account",
    "source_credentials": {**AUTHORIZED, "type": "authorized_user"},
    "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/x:generateAccessToken",
}
WORKLOAD = {
    "type": "external_account",
    "audience": "//iam",
    "subject_token_type": "urn:x",
    "token_url": "https://sts.googleapis.com/v1/token",
    "credential_source": {"file": "/x"},
    "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/x:generateAccessToken",
}
BARE = {"token": "ya29.bare", "client_id": "id", "client_secret": "cs"}
BARE_PYDRIVE2 = {**PYDRIVE2, "refresh_token": None}


@pytest.mark.parametrize(
    ("fields", "renewed"),
    [
        (AUTHORIZED, {"token": "ya29.new", "expiry": "2030-01-01T00:00:00Z", "note": "x"}),
        (PYDRIVE2, {"access_token": "ya29.new", "token_expiry": "2030-01-01T00:00:00Z", "token_response": {"a": 1}}),
        (KEY, {"private_key": "-----BEGIN", "private_key_id": "newer"}),
    ],
)
def test_a_renewal_leaves_the_identity(tmp_path: Path, fields: dict[str, Any], renewed: dict[str, Any]) -> None:
    """An access token, its expiry, or another key of the same service account say nothing about who acts."""
    identity = token_file.read(written(tmp_path, fields)).identity

    assert re.fullmatch("[0-9a-f]{32}", identity)
    assert token_file.read(written(tmp_path, {**fields, **renewed})).identity == identity


@pytest.mark.parametrize(
    ("fields", "other"),
    [
        (AUTHORIZED, {"refresh_token": "1//other"}),
        (AUTHORIZED, {"client_id": "other"}),
        (AUTHORIZED, {"token_uri": "http://127.0.0.1:9099/token"}),
        (BARE, {"token": "ya29.other"}),
        (PYDRIVE2, {"refresh_token": "1//other"}),
        (PYDRIVE2, {"client_id": "other"}),
        (BARE_PYDRIVE2, {"access_token": "ya29.other"}),
        (KEY, {"client_email": "other@b.iam.gserviceaccount.com"}),
        (WORKLOAD, {"audience": "//other"}),
        (WORKLOAD, {"credential_source": {"file": "/other"}}),
        (WORKLOAD, {"service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/y:generate"}),
        (IMPERSONATED, {"source_credentials": {**AUTHORIZED, "type": "authorized_user", "refresh_token": "1//other"}}),
        (IMPERSONATED, {"service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/y:generate"}),
        (IMPERSONATED, {"delegates": ["projects/-/serviceAccounts/z"]}),
    ],
)
def test_whoever_else_acts_has_another_identity(tmp_path: Path, fields: dict[str, Any], other: dict[str, Any]) -> None:
    """Each field that says who acts tells two files apart."""
    identity = token_file.read(written(tmp_path, fields)).identity

    assert token_file.read(written(tmp_path, {**fields, **other})).identity != identity


def test_each_subject_is_an_identity_of_its_own(tmp_path: Path) -> None:
    """One service account that acts for two users, or for itself, is three."""
    path = written(tmp_path, KEY)

    assert len({token_file.read(path, subject).identity for subject in (None, "a@example.com", "b@example.com")}) == 3


def test_save_replaces_whole_with_0600_and_keeps_nothing_beside_it(tmp_path: Path) -> None:
    """The saved file is a new one, private, and no temporary file stays."""
    path = written(tmp_path, AUTHORIZED)
    path.chmod(0o644)
    before = path.stat().st_ino

    assert token_save.save(path, {**AUTHORIZED, "token": "ya29.new"})

    assert json.loads(path.read_bytes())["token"] == "ya29.new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_ino != before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("mode", [0o400, 0o444])
def test_a_file_without_write_bits_stays_as_it_is(tmp_path: Path, mode: int) -> None:
    """Who takes the write permission away means it, whoever the job runs as."""
    path = written(tmp_path, AUTHORIZED)
    path.chmod(mode)

    assert not token_save.save(path, {**AUTHORIZED, "token": "ya29.new"})

    assert json.loads(path.read_bytes()) == AUTHORIZED


def test_a_link_is_read_only(tmp_path: Path) -> None:
    """A linked secret is neither replaced by a file nor written through."""
    target = written(tmp_path, AUTHORIZED)
    link = tmp_path / "link"
    link.symlink_to(target)

    assert not token_save.save(link, {**AUTHORIZED, "token": "ya29.new"})

    assert link.is_symlink()
    assert json.loads(target.read_bytes()) == AUTHORIZED


@pytest.mark.parametrize("long", [True, False])
def test_in_place_writing_is_json_at_every_moment(tmp_path: Path, long: bool) -> None:
    """Readers of a file that can't be replaced never meet an empty or broken one, growing or shrinking."""
    path = written(tmp_path, {**AUTHORIZED, "note": "" if long else "x" * 3000})
    stop = threading.Event()
    seen: list[bytes] = []

    def watch() -> None:
        while not stop.is_set():
            fd = os.open(path, os.O_RDONLY)
            seen.append(os.read(fd, 10_000))
            os.close(fd)

    watcher = threading.Thread(target=watch)
    watcher.start()
    while not seen:
        time.sleep(0)
    token_save._write_in_place(path, json.dumps({**AUTHORIZED, "note": "y" * 3000 if long else ""}).encode())
    stop.set()
    watcher.join()

    assert {json.loads(content)["refresh_token"] for content in seen} == {SECRET}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


MOUNTS = """
mount --bind {file} {file} && mount -o remount,bind{options} {file} && exec {python} -c '
import sys
from contextlib import suppress
from pathlib import Path
from function.credentials import token_save
print(token_save.save(Path(sys.argv[1]), {{"token": "new"}}))' {file}
"""


@pytest.mark.parametrize(("options", "saved"), [("", True), (",ro", False)])
def test_a_mounted_file_is_written_in_place_or_left(tmp_path: Path, options: str, saved: bool) -> None:
    """A single-file bind mount can't be replaced: it is overwritten where it is writable, kept where it isn't."""
    import sys

    path = written(tmp_path, {"token": "old"})
    script = MOUNTS.format(file=path, options=options, python=sys.executable)
    unshare = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no mount namespace to try bind mounts in")

    run = subprocess.run([*unshare, "sh", "-c", script], capture_output=True, text=True, check=True, cwd=os.getcwd())

    assert run.stdout.strip() == str(saved)
    assert json.loads(path.read_bytes()) == {"token": "new" if saved else "old"}
    assert os.listdir(tmp_path) == [path.name]
