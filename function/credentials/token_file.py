"""drive_token.json as it lies on disk: which kind it is, what it holds, and a clear sentence where it is no use.

Beside it: an access token, when it is due for renewal, and the cache that keeps one beside a read-only mount.

What a kind looks like is one row of `_KINDS`; what people mistake for a token is one row of `_MISTAKES`; what its
values may be stands in token_checks.py. Getting new access tokens is the work of renewal.py, writing the file that of
token_save.py. `"application-default"` in the place of a path is what Google's libraries look for by themselves.
Source of the formats: `to_json` of google-auth and of oauth2client, google-auth `_default`, rclone `lib/oauthutil`.
"""

import errno
import hashlib
import json
import logging
import math
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from function.core.errors import CredentialsError
from function.credentials import token_checks
from function.home.settings import APPLICATION_DEFAULT, default_credentials
from function.state import files

METADATA: Final = "metadata"
"""The kind of a machine of Google's that has its own identity, and no file."""

GOOGLE_TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105

AUTHORIZE: Final = "run 'drive-upload authorize'"
"""What a person does to get a working token file."""

AUTHORIZE_DRIVE: Final = (
    "run 'drive-upload authorize --scope drive': the scope drive.file doesn't see what is on Drive already"
)
"""What a person does who comes from another program, and whose files are on Drive already."""

DRIVE_FILE_SCOPE: Final = "https://www.googleapis.com/auth/drive.file"
"""Sees only the files and folders that the same OAuth client made or was shown."""

DRIVE_SCOPE: Final = "https://www.googleapis.com/auth/drive"
"""Sees everything, so it finds what rclone, PyDrive2 or a person put there."""

WRITE_SCOPES: Final = (DRIVE_FILE_SCOPE, DRIVE_SCOPE)
"""The scopes that let a program create files a person sees. Source: Drive v3 discovery, `files.create`."""

_LIMIT_BYTES = 1024 * 1024
"""More than any token file: a few kilobytes."""

_OBJECTS_MAX = 200
"""Objects and lists, more than in any token file; it bounds how deep they lie in each other, too."""

_REWRITE_S = 0.3
"""How long a file that was just written may hold broken JSON: oauth2client rewrites in place, not atomically."""

_Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A token file that was read and recognised. `fields` is its whole JSON object, secrets included: never shown."""

    path: Path
    kind: str
    identity: str
    """A hash of whom access tokens of this file act for: 32 hex digits that give no secret away.

    A renewal leaves it, unless it brings another refresh token. Access tokens are kept under it, in memory and on disk.
    """
    fields: dict[str, Any] = field(repr=False)
    subject: str | None = None
    """The user that a service account acts for: of the settings, else of the file itself."""
    is_default: bool = False
    """Whether it is the machine's, found as Application Default Credentials: never written to."""
    scope: str = DRIVE_SCOPE
    """What access tokens are wanted for."""

    @property
    def acts_for_another(self) -> bool:
        """Whether its tokens are a subject's: the access token in the file then is somebody else's."""
        return self.subject is not None

    def holding(self, changes: Mapping[str, Any]) -> "TokenFile":
        """The same file with some fields changed, as a renewal changes them."""
        fields = {**self.fields, **changes}
        kind = next((each for each in _KINDS if each.name == self.kind), None)
        return replace(self, fields=fields, identity=_identity(kind, fields, self.subject) if kind else self.identity)


def read(source: Path, subject: str | None = None, scope: str = DRIVE_SCOPE) -> TokenFile:
    """The token file, followed where it is a link, used for `subject`; `source` may be APPLICATION_DEFAULT.

    Raises CredentialsError: credentials_missing where there is no file, credentials_invalid where it is of no use.
    """
    path = locate(source)
    if path is None:
        machine = [METADATA, os.environ.get("GCE_METADATA_HOST"), subject]
        return TokenFile(source, METADATA, _hash(machine), {}, subject, is_default=True, scope=scope)
    return replace(_read(path, subject, scope), is_default=_is_default(source))


def _is_default(source: Path) -> bool:
    return source == Path(APPLICATION_DEFAULT)


def locate(source: Path) -> Path | None:
    """The path of a token file; for APPLICATION_DEFAULT where google-auth would look, None for the metadata server.

    Source: AIP-4110.
    """
    if not _is_default(source):
        return source
    first = default_credentials()[0]
    return first if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS") or os.path.exists(first) else None


def _read(path: Path, subject: str | None, scope: str) -> TokenFile:
    patience = time.monotonic() + _REWRITE_S
    while True:
        content, age_s = _content(path)
        try:
            fields = _parse(path, content)
        except CredentialsError:
            if age_s > 1 or time.monotonic() > patience:
                raise
            time.sleep(0.02)
            continue
        kind = _recognise(path, fields)
        if scope == DRIVE_SCOPE:
            require_write_scope(path, recorded_scopes(fields))
        subject = _subject(path, kind, fields, subject)
        return TokenFile(path, kind.name, _identity(kind, fields, subject), fields, subject, scope=scope)


def _subject(path: Path, kind: "_Kind", fields: _Fields, subject: str | None) -> str | None:
    if kind.can_act_for_others:
        return subject or fields.get("subject")
    if subject is not None:
        raise CredentialsError(
            f"{path}: the account's subject is {subject}, but {kind.name} credentials act for their own user only; "
            "remove subject from the settings, or use a service account's key."
        )
    return None


def _identity(kind: "_Kind", fields: _Fields, subject: str | None) -> str:
    # Of `a|b` the first that the file holds: without a refresh token an access token stands for itself.
    who = {
        names: next((fields[name] for name in names.split("|") if fields.get(name)), None)
        for names in (*kind.who, *_WHERE)
    }
    return _hash([who, subject])


def _hash(who: object) -> str:
    return hashlib.sha256(json.dumps(who, sort_keys=True).encode()).hexdigest()[:32]


def _content(path: Path) -> tuple[bytes, float]:
    """The bytes of the file and its age in seconds. Non-blocking, since a FIFO would wait for its writer for ever."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            what = "is a folder, as Docker makes one where the file to mount is missing"
            raise CredentialsError(f"{path}: {what}; put the token file there.", reason="credentials_missing")
        if not stat.S_ISREG(status.st_mode):
            raise CredentialsError(f"{path}: is not a regular file; put the token file there.")
        # In one call: a reader that comes back for more would meet the tail of another writing.
        return os.read(fd, _LIMIT_BYTES + 1), time.time() - status.st_mtime
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(fd)


def _unreadable(path: Path, error: OSError) -> CredentialsError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        what = "is a link to a missing file" if path.is_symlink() else "no such token file"
        return CredentialsError(f"{path}: {what}; {AUTHORIZE} or mount the file there.", reason="credentials_missing")
    mend = f"; make it readable for user id {os.geteuid()}" if isinstance(error, PermissionError) else ""
    return CredentialsError(f"{path}: the token file can't be read ({error.strerror}){mend}.")


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    if not content.strip():
        raise CredentialsError(f"{path}: the token file is empty; {AUTHORIZE}.")
    if len(content) > _LIMIT_BYTES:
        raise CredentialsError(f"{path}: is over {_LIMIT_BYTES} bytes long, so it is no token file; {AUTHORIZE}.")
    try:
        fields = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise CredentialsError(f"{path}: the token file is not UTF-8 text; {AUTHORIZE}.") from None
    except json.JSONDecodeError as error:
        where = f"{error.msg}, line {error.lineno}, column {error.colno}"
        # The cause carries the whole document, secrets included.
        raise CredentialsError(f"{path}: the token file is not valid JSON ({where}); {AUTHORIZE}.") from None
    except (RecursionError, ValueError) as error:
        raise CredentialsError(f"{path}: the token file is not valid JSON; {AUTHORIZE}.") from error
    if content.count(b"{") + content.count(b"[") > _OBJECTS_MAX:
        raise CredentialsError(f"{path}: holds too many objects to be a token file; {AUTHORIZE}.")
    if not isinstance(fields, dict):
        raise CredentialsError(f"{path}: the token file must hold a JSON object; {AUTHORIZE}.")
    return fields


class _Kind(msgspec.Struct, frozen=True):
    """What a file of the kind looks like; `a|b` is one of the two fields."""

    name: str
    matches: Callable[[_Fields], bool]
    needs: tuple[str, ...]
    """The fields it can't do without."""
    who: tuple[str, ...]
    """The fields that say whom its access tokens act for."""
    can_act_for_others: bool = False
    """Whether a `subject` means something. Source: Google, domain-wide delegation of service accounts."""
    mend: str = AUTHORIZE
    """What gets a whole one."""


_DOWNLOAD: Final = "put its JSON there whole, as it was downloaded, or make a new one in the Google Cloud console"

_WHERE: Final = ("token_uri", "token_url")
"""Where the access tokens of any kind come from: an emulator's user is nobody at Google."""


def _has_type(name: str) -> Callable[[_Fields], bool]:
    return lambda fields: fields.get("type") == name


def _has_class(module: str, name: str) -> Callable[[_Fields], bool]:
    return lambda fields: (fields.get("_module"), fields.get("_class")) == (module, name)


def _is_authorized_user(fields: _Fields) -> bool:
    # google-auth saves no type; one with no refresh token still serves until its access token expires.
    return fields.get("type", "authorized_user") == "authorized_user" and (
        "type" in fields
        or ("client_id" in fields and ("refresh_token" in fields or isinstance(fields.get("token"), str)))
    )


_KINDS: Final = (
    _Kind(
        "pydrive2",
        _has_class("oauth2client.client", "OAuth2Credentials"),
        needs=("client_id", "token_uri", "access_token|refresh_token"),
        who=("client_id", "refresh_token|access_token"),
    ),
    _Kind(
        "pydrive2_service_account",
        _has_class("oauth2client.service_account", "ServiceAccountCredentials"),
        needs=("_service_account_email", "token_uri", "_private_key_pkcs8_pem|_private_key_pkcs12"),
        who=("_service_account_email", "_scopes", "_kwargs"),
        can_act_for_others=True,
        mend=_DOWNLOAD,
    ),
    _Kind(
        "service_account",
        _has_type("service_account"),
        needs=("client_email", "private_key"),
        who=("client_email",),
        can_act_for_others=True,
        mend=_DOWNLOAD,
    ),
    _Kind(
        "external_account",
        _has_type("external_account"),
        needs=("audience", "subject_token_type", "token_url", "credential_source"),
        who=("audience", "service_account_impersonation_url", "credential_source"),
        can_act_for_others=True,
        mend=_DOWNLOAD,
    ),
    _Kind(
        "external_account_authorized_user",
        _has_type("external_account_authorized_user"),
        needs=("token_url", "refresh_token", "client_id", "client_secret"),
        who=("audience", "client_id", "refresh_token"),
        mend=_DOWNLOAD,
    ),
    _Kind(
        "impersonated_service_account",
        _has_type("impersonated_service_account"),
        needs=("source_credentials", "service_account_impersonation_url"),
        who=("source_credentials", "service_account_impersonation_url", "delegates"),
        can_act_for_others=True,
        mend=_DOWNLOAD,
    ),
    _Kind(
        "authorized_user",
        _is_authorized_user,
        needs=("client_id", "client_secret", "refresh_token|token"),
        who=("client_id", "refresh_token|token"),
    ),
)

_MISTAKES: Final[tuple[tuple[Callable[[_Fields], bool], str], ...]] = (
    (
        lambda fields: "installed" in fields or "web" in fields,
        "is an OAuth client secret, not a token; run 'drive-upload authorize --client-secret FILE' with it",
    ),
    (
        lambda fields: "_module" in fields or "_class" in fields,
        f"was saved by oauth2client as a class that can't be renewed; {AUTHORIZE}",
    ),
    (
        lambda fields: "end_point" in fields and isinstance(fields.get("token"), Mapping),
        f"is duplicacy's token, which only duplicacy's server can renew; {AUTHORIZE}",
    ),
    (
        lambda fields: "access_token" in fields and "expiry" in fields,
        "is rclone's token, which can't be renewed without rclone's client id; " + AUTHORIZE_DRIVE,
    ),
    (
        lambda fields: "access_token" in fields,
        f"is a bare OAuth answer, which can't be renewed without its client id; {AUTHORIZE}",
    ),
    (
        lambda fields: "type" in fields,
        f"holds credentials of a type that Drive uploads can't use; {AUTHORIZE} or use a service-account key",
    ),
)


def _recognise(path: Path, fields: dict[str, Any]) -> _Kind:
    for kind in _KINDS:
        if kind.matches(fields):
            _require(path, kind, fields)
            return kind
    for matches, sentence in _MISTAKES:
        if matches(fields):
            raise CredentialsError(f"{path}: {sentence}.")
    raise CredentialsError(f"{path}: is JSON, but holds no credentials of a known kind; {AUTHORIZE}.")


def _require(path: Path, kind: _Kind, fields: _Fields) -> None:
    for need in kind.needs:
        names = need.split("|")
        if not any(fields.get(name) for name in names):
            raise CredentialsError(f"{path}: {kind.name} credentials without {' or '.join(names)}; {kind.mend}.")
    token_checks.check(path, fields)


def recorded_scopes(fields: _Fields) -> list[str]:
    """The scopes that a token file says it has; empty where it doesn't say."""
    recorded = fields.get("scopes") or fields.get("_scopes") or fields.get("scope") or []
    return recorded.split() if isinstance(recorded, str) else list(recorded)


def require_write_scope(path: Path, scopes: object) -> None:
    """Raise CredentialsError where scopes are known and none of them lets files be created."""
    if isinstance(scopes, list) and scopes and not set(WRITE_SCOPES).intersection(map(str, scopes)):
        raise CredentialsError(
            f"{path}: the token has no scope to create files; authorize again with {DRIVE_SCOPE}, or with drive.file, "
            "which sees only what this program makes."
        )


_log = logging.getLogger(__name__)

RENEW_BEFORE_S = 300.0
"""Seconds before expiry at which a token is renewed.

Above google-auth's 225 s, so that a client library that is handed the token never begins a renewal of its own, and
enough for a clock four minutes off to leave the minute that is promised.
"""

USABLE_S = 60.0
"""Seconds that a token handed out has left at least: longer than it takes to send one request."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A bearer token. `expires_at` is in Unix seconds, infinite where nobody said; it was issued for `lifetime_s`."""

    value: str = field(repr=False)
    expires_at: float = math.inf
    lifetime_s: float = 3600.0

    def is_due(self) -> bool:
        """Whether it is time to renew it; a token issued for minutes is kept for three quarters of them."""
        return self.expires_at - time.time() < min(RENEW_BEFORE_S, self.lifetime_s / 4)

    def is_usable(self) -> bool:
        """Whether a request can still be sent with it."""
        return self.expires_at - time.time() >= min(USABLE_S, self.lifetime_s / 4)


def issued(value: str, expiry: datetime | None) -> AccessToken:
    """A token that an endpoint just issued; `expiry` is naive UTC, as google-auth and oauth2client have it."""
    expires_at = unix_seconds(expiry) if expiry else math.inf
    return AccessToken(value, expires_at, max(1.0, expires_at - time.time()))


def unix_seconds(moment: datetime) -> float:
    """Seconds since 1970; a moment without zone is UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_time(text: object) -> float:
    """Unix seconds of an ISO 8601 time with or without fraction and zone; long past where it is none."""
    try:
        return unix_seconds(datetime.fromisoformat(str(text)))
    except (ValueError, OverflowError):
        return 0.0


def read_cache(path: Path, identity: str) -> AccessToken | None:
    """The token that another process kept for the same grant, or None."""
    try:
        kept = json.loads(path.read_bytes())
        if kept["identity"] == identity and kept["token"] and token_checks.is_word(kept["token"]):
            return AccessToken(str(kept["token"]), float(kept["expires_at"]), float(kept["lifetime_s"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        # A cache that is missing or damaged costs one renewal, and that mends it.
        _log.debug("No cached access token in %s (%s).", path, type(error).__name__)
    return None


def write_cache(path: Path, identity: str, token: AccessToken) -> None:
    """Keep the token for other processes, mode 0600; where that fails, each of them renews for itself."""
    kept = {"identity": identity, "token": token.value, "expires_at": token.expires_at, "lifetime_s": token.lifetime_s}
    try:
        files.replace(path, json.dumps(kept).encode())
    except OSError as error:
        _log.warning("%s: the access token can't be cached (%s); it is kept in memory.", path, error.strerror)
