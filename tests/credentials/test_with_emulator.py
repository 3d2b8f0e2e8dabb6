"""Renewals against the embedded Drive's OAuth: each kind, once for all, saved whole, refused with a reason."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import urllib3
from google.oauth2.credentials import Credentials as GoogleCredentials
from oauth2client.service_account import ServiceAccountCredentials
from pydrive2.auth import GoogleAuth

from function.core.errors import CredentialsError, TransientDriveError, UploadError
from function.core.retry import Deadline
from function.credentials import renewal, token_save
from function.credentials.account_credentials import Credentials
from local_runner.drive_emulator import DriveEmulator
from tests.support.token_files import DRIVE, PAST, by_pydrive2, key_by_pydrive2

Source = Callable[..., Credentials]


def works(drive: DriveEmulator, token: str) -> bool:
    """Whether the drive takes the access token."""
    headers = {"Authorization": f"Bearer {token}"}
    return urllib3.request("GET", f"{drive.url}/drive/v3/about?fields=user", headers=headers).status == 200


def renewals(drive: DriveEmulator) -> int:
    """How often a token was asked for."""
    return drive.requests.count("oauth.token")


def expired(drive: DriveEmulator, **more: Any) -> dict[str, Any]:
    """google-auth's form, its access token long past."""
    return {**drive.authorized_user(), "token": "ya29.old", "expiry": PAST, "note": "keep", **more}


def loaded_by_pydrive2(path: Path) -> GoogleAuth:
    """The file in an unmodified PyDrive2."""
    settings = {
        "client_config_backend": "settings",
        "client_config": {"client_id": "x", "client_secret": "x"},
        "save_credentials": True,
        "save_credentials_backend": "file",
        "save_credentials_file": str(path),
        "oauth_scope": [DRIVE],
    }
    auth = GoogleAuth(settings=settings)
    auth.LoadCredentials()
    return auth


def test_an_authorized_user_is_renewed_and_saved(drive: DriveEmulator, source: Source, token_path: Path) -> None:
    """A renewed token is good, in the file beside all that was there, and needs no second renewal."""
    before = expired(drive)

    token = source(before).access_token(Deadline.after(10))

    assert works(drive, token)
    saved = json.loads(token_path.read_text())
    assert saved == {**before, "token": token, "expiry": saved["expiry"]}
    assert not GoogleCredentials.from_authorized_user_file(str(token_path)).expired  # type: ignore[no-untyped-call]
    assert token_path.stat().st_mode & 0o777 == 0o600
    assert source().access_token(Deadline.after(10)) == token
    assert renewals(drive) == 1


def test_gclouds_file_without_token_is_renewed(drive: DriveEmulator, source: Source) -> None:
    """Application default credentials have neither token nor expiry."""
    granted = drive.authorized_user()
    fields = {name: granted[name] for name in ("type", "client_id", "client_secret", "refresh_token", "token_uri")}

    assert works(drive, source(fields).access_token(Deadline.after(10)))


def test_what_pydrive2_saved_is_renewed_and_stays_loadable(
    drive: DriveEmulator, source: Source, token_path: Path
) -> None:
    """PyDrive2 itself, unmodified, goes on with the file after us; its token endpoint is the same."""
    token = source(by_pydrive2(drive)).access_token(Deadline.after(10))

    assert works(drive, token)
    auth = loaded_by_pydrive2(token_path)
    assert auth.credentials.access_token == token
    assert not auth.access_token_expired
    saved = json.loads(token_path.read_text())
    assert (saved["note"], saved["token_uri"], saved["invalid"]) == ("keep", f"{drive.url}/token", False)
    assert token_path.stat().st_mode & 0o777 == 0o600
    assert source().access_token(Deadline.after(10)) == token
    assert renewals(drive) == 1


def test_what_pydrive2_marked_invalid_is_tried_again(drive: DriveEmulator, source: Source) -> None:
    """oauth2client marks a file invalid for any refusal, a passing one included."""
    fields = by_pydrive2(drive, token_expiry="2099-01-01T00:00:00Z", invalid=True)

    assert works(drive, source(fields).access_token(Deadline.after(10)))


def test_a_good_token_of_pydrive2_is_used_as_it_is(drive: DriveEmulator, source: Source, token_path: Path) -> None:
    """Nothing is renewed or written while PyDrive2's token is good."""
    fields = by_pydrive2(drive, access_token="ya29.good", token_expiry="2099-01-01T00:00:00Z")

    assert source(fields).access_token(Deadline.after(10)) == "ya29.good"
    assert (renewals(drive), json.loads(token_path.read_text())) == (0, fields)


def test_a_service_account_of_pydrive2_signs_with_todays_cryptography(
    drive: DriveEmulator, source: Source, token_path: Path
) -> None:
    """oauth2client's signer is gone from pyOpenSSL; the assertion is signed all the same, the file stays its own."""
    token = source(key_by_pydrive2(drive)).access_token(Deadline.after(10))

    assert works(drive, token)
    saved = ServiceAccountCredentials.from_json(token_path.read_text())
    assert (saved.access_token, saved.access_token_expired) == (token, False)
    assert renewals(drive) == 1


def test_a_service_account_key_is_traded_and_left_alone(drive: DriveEmulator, source: Source, token_path: Path) -> None:
    """A key file is never written to; the token is kept in memory, and in the cache where there is one."""
    key = drive.service_account()
    credentials = source(key, cached=True)

    token = credentials.access_token(Deadline.after(10))

    assert works(drive, token)
    assert credentials.access_token(Deadline.after(10)) == token
    assert source(cached=True).access_token(Deadline.after(10)) == token
    assert json.loads(token_path.read_text()) == key
    assert renewals(drive) == 1


@pytest.mark.parametrize("kept", ["ya29.a\nb", "ya29.…", "", ["x"], None])
def test_a_damaged_cache_costs_a_renewal(drive: DriveEmulator, source: Source, token_path: Path, kept: object) -> None:
    """What is no token never goes into a header."""
    source(drive.service_account(), cached=True).access_token(Deadline.after(10))
    cache = token_path.parent / "state" / "access_token.json"
    cache.write_text(json.dumps(json.loads(cache.read_text()) | {"token": kept}))

    assert works(drive, source(cached=True).access_token(Deadline.after(10)))


@pytest.mark.parametrize("form", [expired, by_pydrive2])
@pytest.mark.parametrize("how", ["link", "mode"])
def test_a_read_only_token_is_kept_in_memory_and_cache(
    drive: DriveEmulator, source: Source, token_path: Path, form: Callable[..., dict[str, Any]], how: str
) -> None:
    """A secret mount stays as it is; this process and the next one know the new token."""
    fields = form(drive)
    credentials = source(fields, cached=True)
    if how == "link":
        token_path.rename(token_path.with_name("..data"))
        token_path.symlink_to("..data")
    else:
        token_path.chmod(0o400)

    token = credentials.access_token(Deadline.after(10))

    assert works(drive, token)
    assert json.loads(token_path.read_text()) == fields
    assert token_path.is_symlink() == (how == "link")
    assert source(cached=True).access_token(Deadline.after(10)) == token
    assert renewals(drive) == 1
    cache = token_path.parent / "state" / "access_token.json"
    assert cache.stat().st_mode & 0o777 == 0o600
    assert fields["refresh_token"] not in cache.read_text()


def test_a_token_of_another_is_not_given_out_for_the_one_that_was_there(
    drive: DriveEmulator, source: Source, token_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is replaced while its token is renewed, and lies there afterwards."""
    drive.add_account("other@example.com")
    credentials, other = source(expired(drive)), drive.authorized_user("other@example.com")
    identity, renew = credentials.identity_hint(Deadline.after(10)), renewal.renew

    def meanwhile(*arguments: Any) -> Any:
        token_path.write_text(json.dumps(other))
        return renew(*arguments)

    monkeypatch.setattr(renewal, "renew", meanwhile)
    for _ in ("while it is renewed", "at rest"):
        with pytest.raises(CredentialsError, match="replaced by another one"):
            credentials.access_token(Deadline.after(10), identity)
    assert works(drive, credentials.access_token(Deadline.after(10)))


def test_a_refused_token_is_replaced_once(drive: DriveEmulator, source: Source) -> None:
    """However many threads meet the 401, one renewal follows, for other processes too."""
    credentials, other = source({**expired(drive), "token": "ya29.dead", "expiry": "2099-01-01T00:00:00Z"}), source()
    first = credentials.access_token(Deadline.after(10))

    def on_401(of: Credentials) -> str:
        of.refused(first, Deadline.after(10))
        return of.access_token(Deadline.after(10))

    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(on_401, [credentials, other] * 8))

    assert first == "ya29.dead"
    assert len(tokens) == 1
    assert works(drive, tokens.pop())
    assert renewals(drive) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"refresh_token": "revoked"}, "credentials_expired"),
        ({"client_secret": "unknown"}, "credentials_invalid"),
    ],
)
@pytest.mark.parametrize("form", [expired, by_pydrive2])
def test_refusals_leave_the_file_and_are_not_repeated(
    drive: DriveEmulator,
    source: Source,
    token_path: Path,
    form: Callable[..., dict[str, Any]],
    change: dict[str, str],
    reason: str,
) -> None:
    """A revoked grant or a wrong client is told by its reason, asked for once, and heals with a new file."""
    fields = form(drive) | change
    credentials = source(fields)

    for _ in range(5):
        with pytest.raises(CredentialsError) as refusal:
            credentials.access_token(Deadline.after(10))
        assert refusal.value.reason == reason
        assert str(token_path) in refusal.value.message

    assert json.loads(token_path.read_text()) == fields
    assert renewals(drive) == 1
    token_path.write_text(json.dumps(form(drive)))
    assert works(drive, credentials.access_token(Deadline.after(10)))


def test_a_key_of_another_account_is_refused(drive: DriveEmulator, source: Source) -> None:
    """A service account that was deleted is told so, and not as a person's, by google-auth and by PyDrive2."""
    key = drive.service_account()
    saved = key_by_pydrive2(drive)
    strange = {**key, "client_email": "nobody@project.iam.gserviceaccount.com"}
    for fields in (strange, {**saved, "_service_account_email": "nobody@project.iam.gserviceaccount.com"}):
        with pytest.raises(CredentialsError) as refusal:
            source(fields).access_token(Deadline.after(10))
        assert refusal.value.reason == "credentials_invalid"
        assert "knows no service account nobody@project" in refusal.value.message


@pytest.mark.parametrize("damage", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_damaged_keys_are_invalid_and_stay_secret(drive: DriveEmulator, source: Source, damage: str) -> None:
    """A broken private key is one sentence, without the key, through google-auth and through PyDrive2."""
    for fields in (
        {**drive.service_account(), "private_key": damage},
        {**key_by_pydrive2(drive), "_private_key_pkcs8_pem": damage},
    ):
        with pytest.raises(CredentialsError) as refusal:
            source(fields).access_token(Deadline.after(10))
        assert refusal.value.reason == "credentials_invalid"
        assert "AAAA" not in refusal.value.message


def test_too_narrow_a_grant_is_told_with_the_scope_needed(drive: DriveEmulator, source: Source) -> None:
    """What the endpoint grants counts where the file records no scope, as with gcloud's."""
    granted = drive.authorized_user()
    drive.drive.oauth.store.put_refresh_token(
        drive.drive.oauth.grant_refresh_token(
            "user@example.com", granted["client_id"], frozenset({DRIVE + ".readonly"})
        )
    )
    narrow = list(drive.drive.store.refresh_tokens)[-1]
    fields = {**expired(drive), "refresh_token": narrow}
    del fields["scopes"]

    with pytest.raises(CredentialsError, match=r"drive\.file") as refusal:
        source(fields).access_token(Deadline.after(10))

    assert refusal.value.reason == "credentials_invalid"


@pytest.mark.parametrize("form", [expired, by_pydrive2])
@pytest.mark.parametrize(
    "trouble",
    [
        {"do": "status", "status": 503, "reason": "backendError"},
        {"do": "status", "status": 429, "reason": "rateLimitExceeded"},
        {"do": "reset_before"},
        {"do": "lose_answer"},
        {"do": "truncate_answer"},
    ],
)
def test_one_fault_of_the_endpoint_goes_unnoticed(
    drive: DriveEmulator,
    source: Source,
    form: Callable[..., dict[str, Any]],
    trouble: dict[str, Any],
) -> None:
    """A single server error, throttling or dropped connection is tried again within the same call."""
    drive.faults.add({"on": "oauth.token", **trouble})

    assert works(drive, source(form(drive)).access_token(Deadline.after(10)))


@pytest.mark.parametrize("form", [expired, by_pydrive2])
def test_an_endpoint_that_stays_ill_is_transient(
    drive: DriveEmulator,
    source: Source,
    token_path: Path,
    form: Callable[..., dict[str, Any]],
) -> None:
    """Four tries, then the failure is the endpoint's, not the credentials'; the file is as it was."""
    drive.faults.add({"on": "oauth.token", "do": "status", "status": 503, "reason": "backendError", "times": 99})
    fields = form(drive)

    with pytest.raises(TransientDriveError) as failure:
        source(fields).access_token(Deadline.after(10))

    assert failure.value.reason == "drive_unavailable"
    assert json.loads(token_path.read_text()) == fields
    assert renewals(drive) == 4


@pytest.mark.parametrize("form", [expired, by_pydrive2])
@pytest.mark.parametrize(
    ("answer", "reason", "tries"),
    [
        ({"status": 503}, "drive_unavailable", 4),
        ({"status": 503, "retry_after": 100}, "drive_unavailable", 1),
        ({"status": 429, "retry_after": formatdate(time.time() + 80_000, usegmt=True)}, "rate_limited", 1),
    ],
)
def test_an_endpoint_in_trouble_is_asked_once_for_many(
    drive: DriveEmulator,
    source: Source,
    token_path: Path,
    form: Callable[..., dict[str, Any]],
    answer: dict[str, Any],
    reason: str,
    tries: int,
) -> None:
    """Who comes while it rests is told the same, and when to come back; a file that was mended is taken at once."""
    drive.faults.add({"on": "oauth.token", "do": "status", "times": 999} | answer)
    credentials = source(form(drive))

    def failure(_: int) -> UploadError:
        with pytest.raises(TransientDriveError) as raised:
            credentials.access_token(Deadline.after(20))
        return raised.value

    with ThreadPoolExecutor(8) as pool:
        failures = list(pool.map(failure, range(40)))

    assert {each.reason for each in failures} == {reason}
    assert renewals(drive) == tries
    assert all(each.retry_after_s for each in failures[8:])
    drive.faults.clear()
    token_path.write_text(json.dumps(form(drive)))
    assert works(drive, credentials.access_token(Deadline.after(10)))


def test_after_its_rest_the_endpoint_is_asked_again(
    drive: DriveEmulator, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage heals by itself."""
    monkeypatch.setattr("function.credentials.account_credentials._REST_S", 0.0)
    drive.faults.add({"on": "oauth.token", "do": "status", "status": 503, "times": 4})
    credentials = source(expired(drive))
    with pytest.raises(TransientDriveError):
        credentials.access_token(Deadline.after(10))

    assert works(drive, credentials.access_token(Deadline.after(10)))


@pytest.mark.parametrize("form", [expired, by_pydrive2])
def test_a_file_that_came_meanwhile_is_not_overwritten(
    drive: DriveEmulator, source: Source, token_path: Path, form: Callable[..., dict[str, Any]]
) -> None:
    """Who authorizes anew while the old grant is being renewed finds their file untouched, and used."""
    drive.faults.add({"on": "oauth.token", "do": "delay", "ms": 300})
    credentials = source(form(drive))
    newer = json.dumps(
        {**expired(drive), "refresh_token": "1//newer", "token": "ya29.new", "expiry": "2099-01-01T00:00:00Z"}
    )
    tokens: list[str] = []
    renewing = threading.Thread(target=lambda: tokens.append(credentials.access_token(Deadline.after(10))))

    renewing.start()
    while renewing.is_alive() and not renewals(drive):
        renewing.join(0.005)
    token_path.write_text(newer)
    renewing.join()

    assert tokens == ["ya29.new"]
    assert token_path.read_text() == newer


PROCESS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from filelock import FileLock
from function.credentials import token_save
from function.credentials.account_credentials import Credentials
from function.core.retry import Deadline

home, uri, cache = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]) if sys.argv[3] else None
lock = lambda deadline: FileLock(home / "lock", timeout=deadline.remaining_s())
source = Credentials(home / "drive_token.json", refresh_lock=lock, token_uri_override=uri, cache_path=cache)
input()
with ThreadPoolExecutor(10) as pool:
    print(*set(pool.map(lambda _: source.access_token(Deadline.after(60)), range(50))))
"""


@pytest.mark.parametrize("form", [expired, by_pydrive2])
@pytest.mark.parametrize("read_only", [False, True])
def test_processes_and_threads_renew_once(
    drive: DriveEmulator,
    source: Source,
    token_path: Path,
    tmp_path: Path,
    form: Callable[..., dict[str, Any]],
    read_only: bool,
) -> None:
    """Four processes of ten threads each, two hundred calls at one moment with an expired token: one renewal in all."""
    source(form(drive))
    if read_only:
        token_path.chmod(0o400)
    arguments = [str(tmp_path), f"{drive.url}/token", str(tmp_path / "state/cache") if read_only else ""]
    processes = [
        subprocess.Popen([sys.executable, "-c", PROCESS, *arguments], stdin=-1, stdout=-1, text=True) for _ in range(4)
    ]

    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0] for process in processes]

    assert {process.returncode for process in processes} == {0}
    assert len({token for output in outputs for token in output.split()}) == 1
    assert renewals(drive) == 1


def test_a_file_that_comes_just_after_a_renewal_was_saved_is_used(
    drive: DriveEmulator, source: Source, token_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever authorizes another user in that moment: the token that was renewed for the old one isn't given out."""
    other = {**expired(drive), "refresh_token": "1//other", "token": "ya29.other", "expiry": "2099-01-01T00:00:00Z"}

    def save(path: Path, fields: dict[str, Any]) -> bool:
        assert real(path, fields)
        path.write_text(json.dumps(other))
        return True

    real = token_save.save
    monkeypatch.setattr(token_save, "save", save)
    credentials = source(expired(drive))

    assert [credentials.access_token(Deadline.after(10)) for _ in range(2)] == ["ya29.other"] * 2
