"""Access tokens for one account: from memory, from its token file, from the cache, or renewed, in that order.

    access_token ─▶ one at hand, not due? ─▶ its turn among the threads ─▶ the lock among the processes
                 ─▶ look again: somebody renewed? ─▶ renew (google-auth or PyDrive2) ─▶ save ─▶ token

What the file may look like is in token_file.py. google-auth and PyDrive2 are imported when they are needed: a token
that is still good costs a read and a look at the clock.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from function.core.deadline import Deadline
from function.core.errors import (
    CredentialsError,
    DeadlineExceeded,
    Locked,
    TransientDriveError,
    UploadError,
    VolumeUnavailable,
)
from function.credentials import access_token as tokens
from function.credentials import token_file, token_save
from function.credentials.access_token import AccessToken
from function.credentials.token_file import AUTHORIZE, TokenFile

_log = logging.getLogger(__name__)

_REST_S = 20.0
"""After a renewal that failed: how long the old token, while it lasts, or the failure is given out without asking."""

_LONGEST_REST_S = 3600.0
"""However much later the endpoint wants to be asked again."""

_TICK_S = 2.0
"""The coarsest clock of a volume that tokens lie on: FAT's."""

Signature = tuple[int, ...]
_CTIME_NS = -1


class Credentials:
    """The access tokens of one account, safe for threads, to be kept between invocations.

    `refresh_lock` excludes other processes; `cache_path`, on the state volume, keeps tokens that the token file can't
    hold, so that processes beside a read-only mount share them. With `token_uri_override` all OAuth traffic goes there.
    `subject` is the user that a service account acts for.
    """

    def __init__(
        self,
        token_path: Path,
        *,
        refresh_lock: Callable[[Deadline], AbstractContextManager[object]],
        token_uri_override: str | None,
        cache_path: Path | None,
        subject: str | None = None,
    ) -> None:
        self._path = token_path
        self._subject = subject
        self._lock = refresh_lock
        self._override = token_uri_override
        self._cache = cache_path
        self._turn = threading.Lock()
        self._memory = threading.Lock()
        self._read: tuple[Signature, TokenFile] | None = None
        self._kept: tuple[str, AccessToken, dict[str, Any]] | None = None
        self._refused: tuple[str, ...] = ()
        self._rest_until = 0.0
        self._failure: tuple[Signature, float, CredentialsError | TransientDriveError] | None = None

    def __repr__(self) -> str:
        return f"Credentials({str(self._path)!r})"

    @property
    def kind(self) -> str:
        """What the token file is: authorized_user, pydrive2, service_account, ... Raises CredentialsError."""
        return self._file().kind

    def identity_hint(self, deadline: Deadline) -> str:
        """Whom access tokens act for, as far as the token file tells: 32 hex digits, got without any request.

        A renewal leaves it; it differs for another user, another client and another `subject`. It gives no secret away.
        The same user who authorizes again gets another one: a change means "ask Drive who it is", not "another user".
        Raises CredentialsError, DeadlineExceeded.
        """
        deadline.check()
        return self._file().identity

    def access_token(self, deadline: Deadline) -> str:
        """A token that is good for at least a minute.

        It is renewed before it expires, once for all threads and processes. Raises CredentialsError; where it has to be
        renewed and can't be now, TransientDriveError, Locked, VolumeUnavailable or DeadlineExceeded.
        """
        at_hand = self._at_hand(self._file())
        if at_hand is not None and (not at_hand.is_due() or time.monotonic() < self._rest_until):
            return at_hand.value
        # While the old one lasts, one thread renews and the others go on.
        if not self._turn.acquire(timeout=0 if at_hand else deadline.remaining_s()):
            if at_hand is not None:
                return at_hand.value
            raise DeadlineExceeded("The time budget (deadline_s) ended while the access token was renewed; call again.")
        try:
            return self._in_turn(deadline).value
        finally:
            self._turn.release()

    def refused(self, access_token: str, deadline: Deadline) -> None:  # noqa: ARG002 the interface of token sources
        """Take note that Drive answered 401 to this token: the next `access_token` gives another.

        Any number of threads may report the same token; it is renewed once, or not at all where the file holds another.
        """
        if access_token not in self._refused:
            self._refused = (*self._refused[-15:], access_token)
        self._rest_until = 0.0

    def _in_turn(self, deadline: Deadline) -> AccessToken:
        at_hand = self._at_hand(self._file())
        if at_hand is not None and not at_hand.is_due():
            return at_hand
        try:
            self._repeat_failure()
            with self._lock(deadline):
                return self._renewed(deadline)
        except (TransientDriveError, Locked, VolumeUnavailable, DeadlineExceeded) as error:
            if at_hand is None:
                raise
            _log.warning(
                "The access token can't be renewed yet (%s); the old one is used while it lasts.", error.reason
            )
            self._rest_until = time.monotonic() + _rest_s(error)
            return at_hand

    def _repeat_failure(self) -> None:
        """Raise again what a batch's thousand files would each ask the endpoint for, unless the file has changed."""
        if self._failure is None:
            return
        signature, until, error = self._failure
        left_s = until - time.monotonic()
        if left_s > 0 and signature == self._signature():
            retry_after_s = left_s if isinstance(error, TransientDriveError) else None
            raise type(error)(error.message, reason=error.reason, retry_after_s=retry_after_s)

    def _renewed(self, deadline: Deadline) -> AccessToken:
        """Under the lock: what somebody else renewed in the meantime, or a renewal of our own."""
        while True:
            deadline.check()
            signature = self._signature()
            file = self._file(afresh=True)
            found = self._at_hand(file)
            if found is not None and not found.is_due():
                return found
            try:
                token, changes = self._ask(file, deadline)
            except (CredentialsError, TransientDriveError) as error:
                if deadline.remaining_s() > 0:  # else it may be our own haste that failed
                    self._failure = (signature, time.monotonic() + _rest_s(error), error)
                raise
            if self._keep(file, token, changes):
                return token

    def _ask(self, file: TokenFile, deadline: Deadline) -> tuple[AccessToken, dict[str, Any]]:
        if self._kept is not None and self._kept[0] == file.identity:
            # A refresh token that was exchanged for a new one, which a read-only file can't hold.
            file = replace(file, fields={**file.fields, **self._kept[2]})
        if file.kind in ("authorized_user", "pydrive2") and not file.fields.get("refresh_token"):
            raise CredentialsError(
                f"{file.path}: the access token is no longer good and there is no refresh token; {AUTHORIZE}.",
                reason="credentials_expired",
            )
        _log.info("Renewing the access token of %s (%s).", file.path.name, file.kind)
        if file.kind.startswith("pydrive2"):
            _require_pydrive2(file)
            from function.credentials import pydrive2_file

            return pydrive2_file.renew(file, deadline, self._override)
        from function.credentials import google as credentials_google

        return credentials_google.renew(file, deadline, self._override)

    def _keep(self, used: TokenFile, token: AccessToken, changes: dict[str, Any]) -> bool:
        """Save the renewal. False where the file came to hold another grant meanwhile: that one counts."""
        now = self._file(afresh=True)
        if now.identity != used.identity:
            return False
        if changes and token_save.save(self._path, {**now.fields, **changes}):
            now = self._file(afresh=True)
        elif self._cache is not None:
            tokens.write_cache(self._cache, self._bound(now), token)
        self._remember(now, token, changes)
        self._failure = None
        return True

    def _at_hand(self, file: TokenFile) -> AccessToken | None:
        """The first usable token that isn't due; else the one that lasts longest; None where none is usable."""
        best: AccessToken | None = None
        for token in self._known(file):
            if token.value in self._refused or not token.is_usable():
                continue
            if not token.is_due():
                best = token
                break
            if best is None or token.expires_at > best.expires_at:
                best = token
        if best is not None:
            self._remember(file, best)
        return best

    def _remember(self, file: TokenFile, token: AccessToken, changes: dict[str, Any] | None = None) -> None:
        with self._memory:
            if self._kept is not None and self._kept[0] == file.identity:
                kept, kept_changes = self._kept[1:]
                if changes is None and kept.expires_at > token.expires_at and kept.value not in self._refused:
                    return  # another thread renewed while this one was looking
                changes = kept_changes if changes is None else changes
            self._kept = (file.identity, token, changes or {})

    def _known(self, file: TokenFile) -> Iterator[AccessToken]:
        if self._kept is not None and self._kept[0] == file.identity:
            yield self._kept[1]
        held = self._held(file)
        if held is not None:
            yield held
        cached = tokens.read_cache(self._cache, self._bound(file)) if self._cache is not None else None
        if cached is not None:
            yield cached

    def _held(self, file: TokenFile) -> AccessToken | None:
        """The token in the file itself."""
        if file.kind.startswith("pydrive2"):
            _require_pydrive2(file)
            from function.credentials import pydrive2_file

            return pydrive2_file.current(file)
        value = file.fields.get("token")
        if file.kind != "authorized_user" or not value:
            return None
        expiry = file.fields.get("expiry")
        if expiry is None:
            # google-auth takes a token without expiry for expired; where it can't be renewed, Drive may judge.
            return None if file.fields.get("refresh_token") else AccessToken(value)
        return AccessToken(value, tokens.parse_time(expiry))

    def _bound(self, file: TokenFile) -> str:
        """Whose tokens the cache holds: an emulator's are no good at Google."""
        return f"{file.identity} {self._override or ''}"

    def _file(self, *, afresh: bool = False) -> TokenFile:
        """The token file, read again when it has changed, or when `afresh`."""
        signature = self._signature()
        if not afresh and self._read is not None and self._read[0] == signature:
            return self._read[1]
        read_at = time.time()
        file = token_file.read(self._path, self._subject)
        # Two writes within a tick of the volume's clock look the same: what is so young is read again next time.
        is_settled = bool(signature) and read_at - signature[_CTIME_NS] / 1e9 > _TICK_S
        self._read = (signature, file) if is_settled else None
        return file

    def _signature(self) -> Signature:
        try:
            status = os.stat(self._path)
        except OSError:
            return ()
        return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _rest_s(error: UploadError) -> float:
    return min(max(_REST_S, error.retry_after_s or 0.0), _LONGEST_REST_S)


def _require_pydrive2(file: TokenFile) -> None:
    """Raise CredentialsError where PyDrive2 is missing: it is an extra, since it holds cryptography back."""
    if find_spec("pydrive2") is None:
        raise CredentialsError(
            f"{file.path}: PyDrive2 saved it, which is not installed here; install 'drive-upload[pydrive2]', "
            f"or {AUTHORIZE}."
        )
