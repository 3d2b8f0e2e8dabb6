"""The flow for devices without a browser: the device shows a code, a person enters it elsewhere, the device polls.

    POST /device/code  client_id, scope                    -> device_code, user_code, verification_url, interval
    POST /token        grant_type=…:device_code, device_code  -> 428 authorization_pending … -> tokens

Source: Google guide "OAuth 2.0 for TV and Limited-Input Device Applications".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .assertions import GrantError

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
LIFE_S = 1800
INTERVAL_S = 5
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so that no code is a word."""


@dataclass(slots=True)
class DeviceGrant:
    """One device that waits. `email` is set when a person allowed it, `denied` when they didn't."""

    device_code: str
    user_code: str
    client_id: str
    scopes: frozenset[str]
    expires_ms: int
    email: str | None = None
    denied: bool = False
    polled_ms: int | None = None


@dataclass(slots=True)
class Devices:
    """Devices that wait for their person, by device code. `new_secret(prefix)` makes codes."""

    new_secret: Callable[[str], str]
    waiting: dict[str, DeviceGrant] = field(default_factory=dict)

    def begin(self, client_id: str, scopes: frozenset[str], *, now_ms: int) -> DeviceGrant:
        """A new device and its two codes."""
        letters = [_LETTERS[ord(letter) % len(_LETTERS)] for letter in self.new_secret("")[:8]]
        user_code = f"{''.join(letters[:4])}-{''.join(letters[4:])}"
        grant = DeviceGrant(self.new_secret("AH-1"), user_code, client_id, scopes, now_ms + LIFE_S * 1000)
        self.waiting[grant.device_code] = grant
        return grant

    def of_user(self, user_code: str, *, now_ms: int) -> DeviceGrant | None:
        """The device that shows this code; small letters and spaces do as well."""
        plain = _plain(user_code)
        live = (grant for grant in self.waiting.values() if grant.expires_ms > now_ms)
        return next((grant for grant in live if _plain(grant.user_code) == plain), None)

    def poll(self, device_code: str, client_id: str, *, now_ms: int) -> DeviceGrant:
        """The device's grant, once its person allowed it; then it is spent. Raises GrantError until then."""
        grant = self.waiting.get(device_code)
        if grant is None or grant.client_id != client_id or grant.expires_ms <= now_ms:
            raise GrantError("invalid_grant", "Malformed device code.")
        last, grant.polled_ms = grant.polled_ms, now_ms
        if grant.denied:
            raise GrantError("access_denied", "Forbidden", 403)
        if grant.email is None:
            if last is not None and now_ms - last < INTERVAL_S * 1000:
                raise GrantError("slow_down", "Forbidden", 403)
            raise GrantError("authorization_pending", "Precondition Required", 428)
        del self.waiting[device_code]
        return grant


def _plain(user_code: str) -> str:
    return "".join(letter for letter in user_code.upper() if letter.isalnum())
