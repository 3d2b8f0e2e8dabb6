"""What the fields of a token file may hold, so that no value breaks a header, a log line or a library.

Access tokens end up in an HTTP header, the others in forms, URLs and signed claims: each of them is one word of visible
ASCII. A value is never quoted in an error: one that a person pasted into the wrong field may be a secret.
"""

import os
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from function.core.errors import CredentialsError
from function.home.network import PLAIN_HTTP, is_this_machine

WORD_MAX = 16 * 1024
"""Characters of one value. Google's have at most 2048. Source: Google, "Using OAuth 2.0 to Access Google APIs"."""

_WORD: Final = re.compile(r"[!-~]*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

_WORDS: Final = (
    "type",
    "token",
    "access_token",
    "refresh_token",
    "client_id",
    "client_secret",
    "client_email",
    "private_key_id",
    "quota_project_id",
    "universe_domain",
    "audience",
    "subject",
    "subject_token_type",
    "workforce_pool_user_project",
    "_service_account_email",
    "_private_key_id",
)
_URLS: Final = (
    "token_uri",
    "token_url",
    "token_info_url",
    "revoke_uri",
    "revoke_url",
    "service_account_impersonation_url",
)
_TEXTS: Final = ("private_key", "_private_key_pkcs8_pem", "_private_key_pkcs12", "_private_key_password", "user_agent")
_OBJECTS: Final = ("source_credentials", "credential_source", "service_account_impersonation", "_kwargs")
_LISTS: Final = ("scopes", "_scopes", "scope", "delegates")

ENDPOINTS: Final = ("token_uri", "token_url", "service_account_impersonation_url")
"""The addresses that secrets of a token file are sent to."""


def check(path: object, fields: Mapping[str, Any]) -> None:
    """Raise CredentialsError, naming file and field, where a value can't be what its field is for."""
    for name, value in fields.items():
        if value is None:
            continue
        wrong = _wrong(name, value)
        if wrong is not None:
            raise CredentialsError(f"{path}: {name} {wrong}; put the token there as it was downloaded or authorized.")
        if name == "source_credentials":
            check(f"{path}: source_credentials", value)


def _wrong(name: str, value: object) -> str | None:
    """What is wrong with a field's value, or None."""
    if name in _WORDS:
        return _wrong_word(value)
    if name in _URLS:
        return _wrong_word(value) or _wrong_url(str(value))
    if name in _TEXTS:
        return None if isinstance(value, str) else "must be a string"
    if name in _OBJECTS:
        return _wrong_inside(value) if isinstance(value, dict) else "must be an object"
    if name in _LISTS:
        items = value.split() if isinstance(value, str) else value
        return next(filter(None, map(_wrong_word, items)), None) if isinstance(items, list) else "must be a list"
    return None


def _wrong_inside(value: object) -> str | None:
    """Control characters anywhere below, but for keys, which have line breaks: each file of `source_credentials` is
    checked field by field besides."""
    if isinstance(value, dict):
        return next(filter(None, (_wrong_inside(each) for name, each in value.items() if name not in _TEXTS)), None)
    if isinstance(value, list):
        return next(filter(None, map(_wrong_inside, value)), None)
    if isinstance(value, str) and _CONTROL.search(value):
        return "holds a line break or another control character"
    return None


def _wrong_word(value: object) -> str | None:
    if not isinstance(value, str):
        return "must be a string"
    if len(value) > WORD_MAX:
        return f"is over {WORD_MAX} characters long"
    if "\r" in value or "\n" in value:
        return "holds a line break, as pasted text does"
    if not is_word(value):
        return "holds a space or a character that no token has"
    return None


def is_word(value: object) -> bool:
    """Whether it is a string of visible ASCII that can stand in an HTTP header."""
    return isinstance(value, str) and len(value) <= WORD_MAX and bool(_WORD.fullmatch(value))


def _wrong_url(value: str) -> str | None:
    if not value:
        return None
    url = split(value)
    if url is None or url.scheme not in ("https", "http") or not url.hostname or url.username is not None:
        return "must be an https address"
    if url.scheme == "http" and not _may_be_plain(url.hostname):
        return "must be an https address: over http a secret travels in clear"
    return None


def _may_be_plain(host: str) -> bool:
    return is_this_machine(host) or host == os.environ.get(PLAIN_HTTP)


def split(url: str) -> SplitResult | None:
    """The parts of a URL; None where it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def check_endpoint(path: object, fields: Mapping[str, Any], emulator: str, default: str) -> None:
    """Raise CredentialsError where a token isn't the emulator's, so that nothing of it is ever sent there.

    It is where each address in the file is at the emulator's host and port, or at a loopback address: Google's are
    never, and an emulator that is reached under another name than it knows writes such a one. A file that names no
    address means `default`.
    """
    named = {name: str(fields[name]) for name in ENDPOINTS if fields.get(name)}
    if not fields.get("token_uri") and not fields.get("token_url") and "source_credentials" not in fields:
        named["token_uri"] = default
    for name, address in named.items():
        url = urlsplit(address)
        if _place(url) != _place(urlsplit(emulator)) and not is_this_machine(url.hostname or ""):
            raise CredentialsError(
                f"{path}: {name} is at {url.hostname}, but DRIVE_EMULATOR_HOST names {urlsplit(emulator).netloc}: "
                "a real token is never sent to an emulator. Unset the variable, or use the emulator's own token "
                "(emulator --write-token FILE)."
            )
    source = fields.get("source_credentials")
    if isinstance(source, dict):
        check_endpoint(f"{path}: source_credentials", source, emulator, default)


def _place(url: SplitResult) -> tuple[str | None, int]:
    return url.hostname, url.port or (443 if url.scheme == "https" else 80)
