"""What may be taken over from the answer of a token endpoint: the one gate between an answer and credentials or a file.

google-auth and oauth2client believe an answer: they save a refresh token that no one could read back, and fail on a
lifetime that is no number. They are given only what passes here. A field that isn't as it must be counts as absent, so
the old one stays; what no one asks for isn't taken over at all.
"""

import base64
import json
import math
import re
import time
from collections.abc import Mapping
from typing import Any, Final

from function.credentials import token_checks, token_file

TOKENS: Final = ("access_token", "accessToken", "signedJwt")
"""What a token endpoint, IAM's generateAccessToken and its signJwt answer with; one of them goes into a header."""

_WORDS: Final = (*TOKENS, "refresh_token", "token_type", "issued_token_type", "keyId")

_LIFE_MAX_S = 12 * 3600.0
"""Google's longest. Source: IAM Credentials API, generateAccessToken."""

_LIFE_S = 600
"""Of a token whose answer names no lifetime that can be: it is used now, and renewed soon."""

_CLAIMS_MAX = 50
"""Objects and lists in an ID token: a token file with many of them isn't read."""

_JWT: Final = re.compile(r"[\w-]+\.([\w-]+)\.[\w-]*=*", re.ASCII)


def parsed(body: bytes | str) -> dict[str, Any]:
    """The JSON object of an answer; empty where it is none."""
    try:
        # As `int`, a number of thousands of digits would be an error.
        document = json.loads(body, parse_int=float)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def cleaned(document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a good answer that are as they must be; with an access token there always is a lifetime."""
    kept = {name: document[name] for name in _WORDS if _is_word(document.get(name))}
    scope, id_token = document.get("scope"), document.get("id_token")
    if isinstance(scope, str) and 0 < len(scope) <= token_checks.WORD_MAX and all(map(_is_word, scope.split())):
        kept["scope"] = scope
    if _is_id_token(id_token):
        kept["id_token"] = id_token
    if "access_token" in kept:
        kept["expires_in"] = _lifetime_s(document.get("expires_in"))
    if "accessToken" in kept:
        now = time.time()
        ends = now + _lifetime_s(token_file.parse_time(document.get("expireTime")) - now)
        kept["expireTime"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
    return kept


def _is_word(value: object) -> bool:
    """Whether a token file can hold it and still be read: the check of its depth counts brackets, wherever they are."""
    return token_checks.is_word(value) and bool(value) and not re.search(r"[\[{]", str(value))


def _is_id_token(value: object) -> bool:
    """Whether its claims can be read; PyDrive2 saves them, too."""
    found = _JWT.fullmatch(str(value)) if _is_word(value) else None
    if found is None:
        return False
    try:
        claims = json.loads(base64.urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4)))
        shown = json.dumps(claims, allow_nan=False)
    except (ValueError, RecursionError):
        return False
    return isinstance(claims, dict) and shown.count("{") + shown.count("[") <= _CLAIMS_MAX


def _lifetime_s(value: object) -> int:
    """Whole seconds, of a number or, as some services send it, of its digits."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    return max(1, int(seconds)) if 0 < seconds <= _LIFE_MAX_S else _LIFE_S
