"""Ids and tokens that look like Drive's, the same for the same seed."""

from __future__ import annotations

import hashlib
import random
import threading
from base64 import urlsafe_b64encode

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class IdMaker:
    """Opaque ids from a seeded generator; `stream` keeps two runs on the same state from repeating each other."""

    def __init__(self, seed: int, stream: str = "") -> None:
        self._random = random.Random(f"{seed}/{stream}")
        self._lock = threading.Lock()

    def _letters(self, count: int) -> str:
        with self._lock:
            return "".join(self._random.choices(_ALPHABET, k=count))

    def file_id(self) -> str:
        """33 characters, as binary files and folders have."""
        return "1" + self._letters(32)

    def drive_id(self) -> str:
        """19 characters, as shared drives and roots have."""
        return "0A" + self._letters(14) + "PVA"

    def revision_id(self) -> str:
        return "0B" + self._letters(42)

    def comment_id(self) -> str:
        return "AAAA" + self._letters(7)

    def permission_id(self) -> str:
        """20 digits."""
        with self._lock:
            return str(self._random.randrange(10**19, 10**20))

    def upload_id(self) -> str:
        return "A" + self._letters(63)

    def page_token(self) -> str:
        return "~!!~" + self._letters(60)

    def secret(self, prefix: str) -> str:
        """An access token, refresh token or code, with its customary prefix."""
        return prefix + self._letters(48)

    def dice(self) -> float:
        """A number in [0, 1) for jitter and random faults."""
        with self._lock:
            return self._random.random()


def app_data_id(root_id: str, client_id: str) -> str:
    """The id of an app's hidden folder in an account: always the same, so that nothing has to remember it."""
    return "1" + urlsafe_b64encode(hashlib.sha256(f"{root_id}/{client_id}".encode()).digest())[:32].decode()
