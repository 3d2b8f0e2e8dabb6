"""Access tokens that need no endpoint: from the file, from memory, from the cache; and endpoints that don't answer."""

import errno
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from function.core.errors import CredentialsError, DeadlineExceeded, TransientDriveError, UploadError
from function.core.retry import Deadline
from function.credentials import token_endpoint, token_file
from function.credentials.account_credentials import Credentials
from function.credentials.token_file import AccessToken

LOOPBACK = "http://127.0.0.1:9/token"
AUTHORIZED = {"refresh_token": "1//0-secret", "client_id": "id", "client_secret": "cs", "token_uri": LOOPBACK}
BARE = {"client_id": "id", "client_secret": "cs", "token_uri": LOOPBACK}


def in_seconds(seconds: float) -> str:
    """An expiry as google-auth writes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat() + "Z"


@pytest.fixture
def token_path(tmp_path: Path) -> Path:
    """Where the token file of a test is."""
    return tmp_path / "drive_token.json"


@pytest.fixture
def closed_port() -> str:
    """A token endpoint at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/token"


@pytest.fixture
def credentials(token_path: Path, tmp_path: Path, closed_port: str) -> Callable[..., Credentials]:
    """Makes the credentials of the token file; their endpoint is dead unless told otherwise."""

    def make(
        fields: dict[str, Any], *, lock: Any = lambda deadline: nullcontext(), cached: bool = False
    ) -> Credentials:
        token_path.write_text(json.dumps(fields))
        cache = tmp_path / "cache.json" if cached else None
        return Credentials(token_path, refresh_lock=lock, token_uri_override=closed_port, cache_path=cache)

    return make


def never(deadline: Deadline) -> AbstractContextManager[None]:
    """A lock that nobody should need."""
    raise AssertionError("nothing had to be renewed")


def test_a_good_token_is_given_without_lock_or_library(credentials: Callable[..., Credentials]) -> None:
    """A token with time left is taken from the file as it is."""
    source = credentials({**AUTHORIZED, "token": "ya29.good", "expiry": in_seconds(1000)}, lock=never)

    assert source.access_token(Deadline.after(5)) == "ya29.good"
    assert source.file.kind == "authorized_user"


def test_a_good_token_imports_no_google_auth(token_path: Path) -> None:
    """The cold one-off pays for JSON and the clock only."""
    token_path.write_text(json.dumps({**AUTHORIZED, "token": "ya29.good", "expiry": in_seconds(1000)}))
    program = (
        "import sys, contextlib, pathlib\n"
        "from function.credentials.account_credentials import Credentials\n"
        "from function.core.retry import Deadline\n"
        "lock = lambda deadline: contextlib.nullcontext()\n"
        "source = Credentials(pathlib.Path(sys.argv[1]), refresh_lock=lock, token_uri_override=None, cache_path=None)\n"
        "print(source.access_token(Deadline.after(5)))\n"
        "heavy = ('google.auth', 'google.oauth2', 'pydrive2', 'oauth2client', 'urllib3', 'httplib2', 'requests')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )

    run = subprocess.run([sys.executable, "-c", program, str(token_path)], capture_output=True, text=True, check=True)

    assert run.stdout.split() == ["ya29.good", "[]"]


@pytest.mark.parametrize(
    ("expiry", "seconds"),
    [
        ("2026-11-22T16:31:32Z", 0.0),
        ("2026-11-22T16:31:32.123456Z", 0.123456),
        ("2026-11-22T16:31:32", 0.0),
        ("2026-11-22T16:31:32.123456789Z", 0.123456),
        ("2026-11-22T17:31:32+01:00", 0.0),
    ],
)
def test_expiries_are_read_as_utc_in_every_spelling(expiry: str, seconds: float) -> None:
    """google-auth, oauth2client, Go and people write times differently."""
    moment = datetime(2026, 11, 22, 16, 31, 32, tzinfo=UTC).timestamp() + seconds

    assert token_file.parse_time(expiry) == pytest.approx(moment, abs=1e-5)


@pytest.mark.parametrize("nonsense", ["soon", "", 17, {}, "9999-99-99T00:00:00Z"])
def test_an_expiry_that_is_no_time_counts_as_past(nonsense: object) -> None:
    """A token whose expiry can't be read is renewed."""
    assert token_file.parse_time(nonsense) == 0.0


@pytest.mark.parametrize(
    ("left_s", "lifetime_s", "due", "usable"),
    [
        (3000, 3600, False, True),
        (299, 3600, True, True),
        (59, 3600, True, False),
        (30, 40, False, True),
        (5, 40, True, False),
    ],
)
def test_when_a_token_is_due(left_s: float, lifetime_s: float, due: bool, usable: bool) -> None:
    """Five minutes before its end, or in the last quarter of a short life; the last minute isn't handed out."""
    token = AccessToken("ya29.x", time.time() + left_s, lifetime_s)

    assert (token.is_due(), token.is_usable()) == (due, usable)


def test_an_old_token_serves_while_the_endpoint_is_down(
    credentials: Callable[..., Credentials], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two minutes left, a renewal that fails is no failure, and isn't tried again at once."""
    monkeypatch.setattr(token_endpoint, "_TRIES", 1)
    turns: list[Deadline] = []

    def lock(deadline: Deadline) -> Any:
        turns.append(deadline)
        return nullcontext()

    source = credentials({**AUTHORIZED, "token": "ya29.old", "expiry": in_seconds(120)}, lock=lock)

    assert [source.access_token(Deadline.after(5)) for _ in range(3)] == ["ya29.old"] * 3
    assert len(turns) == 1


def test_an_endpoint_that_is_down_is_transient(credentials: Callable[..., Credentials], token_path: Path) -> None:
    """An expired token and no connection: try again later, the file as it was."""
    source = credentials({**AUTHORIZED, "token": "ya29.old", "expiry": in_seconds(-1)})
    before = token_path.read_bytes()

    with pytest.raises(TransientDriveError) as failure:
        source.access_token(Deadline.after(5))

    assert failure.value.reason == "network"
    assert token_path.read_bytes() == before


def test_no_more_than_the_deadline_is_spent(credentials: Callable[..., Credentials]) -> None:
    """A spent budget ends the tries at once."""
    source = credentials({**AUTHORIZED, "token": "ya29.old", "expiry": in_seconds(-1)})

    with pytest.raises(DeadlineExceeded):
        source.access_token(Deadline.after(0))


@pytest.mark.parametrize(
    "fields",
    [
        {"token": "ya29.x", "expiry": "2020-01-01T00:00:00Z", **BARE},
        {
            "_module": "oauth2client.client",
            "_class": "OAuth2Credentials",
            "access_token": "ya29.x",
            "client_id": "id",
            "client_secret": "cs",
            "refresh_token": None,
            "token_expiry": "2020-01-01T00:00:00Z",
            "token_uri": LOOPBACK,
            "user_agent": None,
            "invalid": False,
        },
    ],
)
def test_expired_without_refresh_token(credentials: Callable[..., Credentials], fields: dict[str, Any]) -> None:
    """What can't be renewed says so by its own reason, and opens no browser."""
    source = credentials(fields)

    with pytest.raises(CredentialsError, match="no refresh token") as refusal:
        source.access_token(Deadline.after(5))

    assert refusal.value.reason == "credentials_expired"


def test_without_expiry_and_refresh_token_drive_may_judge(credentials: Callable[..., Credentials]) -> None:
    """A bare access token is used until Drive refuses it; then a person is needed."""
    source = credentials({"token": "ya29.x", **BARE})

    assert source.access_token(Deadline.after(5)) == "ya29.x"
    source.refused("ya29.x", Deadline.after(5))
    with pytest.raises(CredentialsError, match="no refresh token"):
        source.access_token(Deadline.after(5))


def test_a_file_that_was_replaced_counts_at_once(credentials: Callable[..., Credentials], token_path: Path) -> None:
    """Who authorizes another account needn't restart the service; and a file that is gone is missing."""
    source = credentials({**AUTHORIZED, "token": "ya29.one", "expiry": in_seconds(3000)}, lock=never)
    assert source.access_token(Deadline.after(5)) == "ya29.one"

    other = {**AUTHORIZED, "refresh_token": "1//0-other", "token": "ya29.two", "expiry": in_seconds(1000)}
    token_path.write_text(json.dumps(other))
    assert source.access_token(Deadline.after(5)) == "ya29.two"

    token_path.unlink()
    with pytest.raises(CredentialsError) as refusal:
        source.access_token(Deadline.after(5))
    assert refusal.value.reason == "credentials_missing"


OTHER_USER = {**AUTHORIZED, "refresh_token": "1//0-other"}
BARE_PYDRIVE2 = {
    "_module": "oauth2client.client",
    "_class": "OAuth2Credentials",
    "client_id": "id",
    "client_secret": "cs",
    "refresh_token": None,
    "token_uri": LOOPBACK,
    "token_expiry": "2099-01-01T00:00:00Z",
}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({**AUTHORIZED, "token": "ya29.one"}, {**OTHER_USER, "token": "ya29.two"}),
        ({**BARE, "token": "ya29.one"}, {**BARE, "token": "ya29.two"}),
        ({**BARE_PYDRIVE2, "access_token": "ya29.one"}, {**BARE_PYDRIVE2, "access_token": "ya29.two"}),
    ],
)
def test_a_token_of_the_old_user_is_never_used_for_the_new_one(
    credentials: Callable[..., Credentials], token_path: Path, old: dict[str, Any], new: dict[str, Any]
) -> None:
    """A file rewritten in place, same size, same time, under a running server: the next call acts for the new user."""
    source = credentials({**old, "expiry": "2099-01-01T00:00:00Z"}, lock=never, cached=True)
    assert source.access_token(Deadline.after(5)) == "ya29.one"
    before, time_of_old = source.identity_hint(Deadline.after(5)), token_path.stat().st_mtime_ns

    token_path.write_text(json.dumps({**new, "expiry": "2099-01-01T00:00:00Z"}))
    os.utime(token_path, ns=(time_of_old, time_of_old))

    assert source.access_token(Deadline.after(5)) == "ya29.two"
    assert source.identity_hint(Deadline.after(5)) != before


def test_a_file_written_within_a_tick_of_the_clock_is_read_again(
    credentials: Callable[..., Credentials], token_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a volume's clock is coarse, two writes can look the same: a young file is never trusted to be unchanged."""
    looks_the_same = (1, 2, 3, 4, time.time_ns())
    monkeypatch.setattr(Credentials, "_signature", lambda _: looks_the_same)
    source = credentials({**AUTHORIZED, "token": "ya29.one", "expiry": "2099-01-01T00:00:00Z"}, lock=never)
    assert source.access_token(Deadline.after(5)) == "ya29.one"

    token_path.write_text(json.dumps({**OTHER_USER, "token": "ya29.two", "expiry": "2099-01-01T00:00:00Z"}))

    assert source.access_token(Deadline.after(5)) == "ya29.two"


def test_a_cached_token_is_never_used_for_another_subject(token_path: Path, tmp_path: Path, closed_port: str) -> None:
    """The user that a service account acts for is changed in the settings: tokens kept for the old one are no good."""
    key = {
        "type": "service_account",
        "client_email": "a@b.iam.gserviceaccount.com",
        "private_key": "x",
        "token_uri": LOOPBACK,
    }
    token_path.write_text(json.dumps(key))

    def acting_for(subject: str | None) -> Credentials:
        return Credentials(
            token_path,
            refresh_lock=lambda _: nullcontext(),
            token_uri_override=closed_port,
            cache_path=tmp_path / "cache.json",
            subject=subject,
        )

    old = acting_for("old@example.com")
    token = AccessToken("ya29.old", time.time() + 3000, 3600)
    token_file.write_cache(tmp_path / "cache.json", old._bound(old.file), token)
    assert old.access_token(Deadline.after(5)) == "ya29.old"
    assert acting_for("old@example.com").identity_hint(Deadline.after(5)) == old.identity_hint(Deadline.after(5))

    for subject in ("new@example.com", None):
        new = acting_for(subject)
        assert new.identity_hint(Deadline.after(5)) != old.identity_hint(Deadline.after(5))
        with pytest.raises(UploadError):
            new.access_token(Deadline.after(5))


def test_a_refused_token_gives_way_to_the_one_in_the_file(
    credentials: Callable[..., Credentials], token_path: Path
) -> None:
    """After a 401 somebody else's renewal is used before one is asked for."""
    source = credentials({**AUTHORIZED, "token": "ya29.one", "expiry": in_seconds(3000)}, lock=never)
    first = source.access_token(Deadline.after(5))
    token_path.write_text(json.dumps({**AUTHORIZED, "token": "ya29.two", "expiry": in_seconds(3000)}))

    source.refused(first, Deadline.after(5))

    assert source.access_token(Deadline.after(5)) == "ya29.two"


def test_the_cache_is_bound_to_the_grant(
    credentials: Callable[..., Credentials], tmp_path: Path, closed_port: str
) -> None:
    """A cached token serves the grant it came from and no other, and holds no refresh token."""
    source = credentials(AUTHORIZED, cached=True, lock=never)
    token = AccessToken("ya29.cached", time.time() + 3000, 3600)
    token_file.write_cache(tmp_path / "cache.json", source._bound(source.file), token)

    assert source.access_token(Deadline.after(5)) == "ya29.cached"
    assert (tmp_path / "cache.json").stat().st_mode & 0o777 == 0o600
    assert "1//0-secret" not in (tmp_path / "cache.json").read_text()

    other = credentials({**AUTHORIZED, "refresh_token": "1//0-other"}, cached=True)
    with pytest.raises(DeadlineExceeded):
        other.access_token(Deadline.after(0))


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"identity": 1}', b"\xff", b"[" * 100_000])
def test_a_damaged_cache_is_ignored(tmp_path: Path, damage: bytes) -> None:
    """The worst that a broken cache costs is a renewal."""
    (tmp_path / "cache.json").write_bytes(damage)

    assert token_file.read_cache(tmp_path / "cache.json", "x") is None


def test_no_secret_is_shown(credentials: Callable[..., Credentials]) -> None:
    """Neither credentials nor tokens give anything away when they are printed."""
    source = credentials({**AUTHORIZED, "token": "ya29.good", "expiry": in_seconds(1000)})
    source.access_token(Deadline.after(5))

    shown = repr(source) + repr(source._state) + repr(AccessToken("ya29.good"))

    assert not any(secret in shown for secret in ("ya29.good", "1//0-secret", "'cs'"))


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (503, b"<html>", "drive_unavailable"),
        (500, b"{}", "drive_unavailable"),
        (429, b"", "rate_limited"),
        (400, b'{"error": "temporarily_unavailable"}', "drive_unavailable"),
        (200, b"<html>Sign in to the hotel", "network"),
        (200, b"{}", "network"),
        (200, b'{"access_token": "ya29.a\\r\\nX-Evil: 1"}', "network"),
        (302, b"", "network"),
        (403, b"<html>Forbidden by your company", "network"),
        (407, b"", "network"),
        (404, b"[]", "network"),
    ],
)
def test_answers_that_say_nothing_about_the_credentials(status: int, body: bytes, reason: str) -> None:
    """Server errors, throttling and strangers' pages are worth another try."""
    with pytest.raises(TransientDriveError) as failure:
        token_endpoint.check_answer("host", status, body, {"retry-after": "7"})

    assert (failure.value.reason, failure.value.retry_after_s) == (reason, 7 if reason != "network" else None)


def test_tries_are_few_and_obey_retry_after() -> None:
    """A transient failure is tried again, unless the endpoint asks for more time than there is."""
    tries: list[float] = []

    def busy(timeout_s: float) -> str:
        tries.append(timeout_s)
        raise TransientDriveError("busy", retry_after_s=60)

    with pytest.raises(TransientDriveError, match="busy"):
        token_endpoint.persistently(busy, Deadline.after(2))

    assert len(tries) == 1
    assert tries[0] <= 2


def test_an_unreadable_file_says_for_whom(token_path: Path) -> None:
    """A wrong owner or mode names the user id that needs to read it."""
    refusal = token_file._unreadable(token_path, PermissionError(errno.EACCES, "Permission denied"))

    assert refusal.reason == "credentials_invalid"
    assert f"user id {os.geteuid()}" in refusal.message
