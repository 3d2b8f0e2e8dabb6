"""An access token, when it is due for renewal, and the file that keeps one beside a read-only token mount."""

import json
import logging
import math
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from function.state import files

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
        if kept["identity"] == identity:
            return AccessToken(str(kept["token"]), float(kept["expires_at"]), float(kept["lifetime_s"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
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
