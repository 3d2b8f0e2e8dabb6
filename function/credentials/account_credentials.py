"""Access tokens for one account: from memory, from its token file, from the cache, or renewed, in that order.

    access_token ─▶ one at hand, not due? ─▶ its turn among the threads ─▶ the lock among the processes
                 ─▶ look again: somebody renewed? ─▶ renew (google-auth or PyDrive2) ─▶ save ─▶ token

All that is known of the account's token is one `_State`, which belongs to the token file as it was last read: a file of
another identity begins a new state, so what was got for the old one can't be used for the new one.
What the file may look like is in token_file.py. google-auth and PyDrive2 are imported when they are needed: a token
that is still good costs a read and a look at the clock.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from function.core.errors import (
    CredentialsError,
    DeadlineExceeded,
    Locked,
    TransientDriveError,
    UploadError,
    VolumeUnavailable,
)
from function.core.retry import Deadline
from function.credentials import renewal, token_checks, token_file, token_save
from function.credentials.renewal import Renewal
from function.credentials.token_file import DRIVE_FILE_SCOPE, DRIVE_SCOPE, GOOGLE_TOKEN_URI, AccessToken, TokenFile

_log = logging.getLogger(__name__)

_REST_S = 20.0
"""After a renewal that failed: how long the old token, while it lasts, or the failure is given out without asking."""

_LONGEST_REST_S = 3600.0
"""However much later the endpoint wants to be asked again."""

_TICK_S = 2.0
"""The coarsest clock of a volume that tokens lie on: FAT's."""

Signature = tuple[int, ...]
_CTIME_NS = -1


@dataclass(frozen=True, slots=True)
class _State:
    """What is known of one token file, as it was last read. Replaced as a whole, never changed."""

    signature: Signature
    """Tells whether the file has changed since; empty where it may have, so that it is read again."""
    file: TokenFile
    token: AccessToken | None = None
    """The best access token that was met so far for the file's identity."""
    scopes: tuple[str, ...] = ()
    """What the last renewal was granted."""
    unsaved: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What a renewal changed in a file that can't be written: the refresh token may be a new one."""
    refused: tuple[str, ...] = field(default=(), repr=False)
    """Access tokens that Drive answered 401 to."""
    rests_until: float = 0.0
    """Monotonic seconds before which a renewal that failed isn't tried again."""
    failure: CredentialsError | TransientDriveError | None = None
    """What it failed with, where the endpoint was to blame or the file."""

    @property
    def is_resting(self) -> bool:
        """Whether a renewal failed a moment ago."""
        return time.monotonic() < self.rests_until


class Credentials:
    """The access tokens of one account, safe for threads, to be kept between invocations.

    `token` is the path of its token file, or APPLICATION_DEFAULT as a path. `refresh_lock` excludes other processes;
    `cache_path`, on the state volume, keeps tokens that the token file can't hold, so that processes beside a read-only
    mount share them. With `token_uri_override`, an emulator's, all OAuth traffic goes there, and a token that isn't an
    emulator's is refused. `subject` is the user that a service account acts for. Keys and workloads ask for `scope`:
    Drive's whole, for which no one has to consent; drive.file would hide folders shared with them.
    """

    def __init__(
        self,
        token: Path,
        *,
        refresh_lock: Callable[[Deadline], AbstractContextManager[object]],
        token_uri_override: str | None,
        cache_path: Path | None,
        subject: str | None = None,
        scope: str = DRIVE_SCOPE,
    ) -> None:
        self._source = token
        self._subject = subject
        self._scope = scope
        self._lock = refresh_lock
        self._override = token_uri_override
        self._cache = cache_path
        self._turn = threading.Lock()
        self._memory = threading.Lock()
        self._state: _State | None = None

    def __repr__(self) -> str:
        return f"Credentials({str(self._source)!r})"

    @property
    def file(self) -> TokenFile:
        """The token file as it is now. Raises CredentialsError."""
        return self._look().file

    def endpoint(self, file: TokenFile) -> str:
        """The address of the token endpoint of a token file: the emulator's, where there is one."""
        return str(self._override or file.fields.get("token_uri") or file.fields.get("token_url") or GOOGLE_TOKEN_URI)

    def identity_hint(self, deadline: Deadline) -> str:
        """Whom access tokens act for, as far as the token file tells: 32 hex digits, got without any request.

        A renewal leaves it; it differs for another user, another client and another `subject`. It gives no secret away.
        The same user who authorizes again gets another one: a change means "ask Drive who it is", not "another user".
        Raises CredentialsError, DeadlineExceeded.
        """
        deadline.check()
        return self._look().file.identity

    def scopes(self) -> frozenset[str] | None:
        """The scopes of its access tokens, got without any request; None while nobody has said.

        Raises CredentialsError.
        """
        state = self._look()
        if state.file.kind not in ("authorized_user", "pydrive2", "pydrive2_service_account"):
            return frozenset({DRIVE_SCOPE})  # what renewals ask for
        return frozenset(state.scopes or token_file.recorded_scopes(state.file.fields)) or None

    def sees_only_own_files(self) -> bool:
        """Whether its scope hides what anyone else put on Drive, so that a folder that isn't found may exist.

        False where the scope isn't known. Raises CredentialsError.
        """
        scopes = self.scopes() or frozenset()
        return DRIVE_FILE_SCOPE in scopes and DRIVE_SCOPE not in scopes

    def access_token(self, deadline: Deadline, identity: str | None = None) -> str:
        """A token that is good for at least a minute; with an `identity` (from `identity_hint`), one that acts for it.

        It is renewed before it expires, once for all threads and processes. Raises CredentialsError, also where the
        file holds another identity's by now; where the token has to be renewed and can't be now, TransientDriveError,
        Locked, VolumeUnavailable or DeadlineExceeded.
        """
        state = self._look()
        token = self._at_hand(state)
        if token is None or (token.is_due() and not state.is_resting):
            token = self._when_renewed(token, deadline)
            state = self._look()  # the file may have been replaced meanwhile
        if identity not in (None, state.file.identity):
            raise CredentialsError("The token was replaced by another one during the upload; call again.")
        return token.value

    def _when_renewed(self, at_hand: AccessToken | None, deadline: Deadline) -> AccessToken:
        """A new token; while the old one lasts, one thread renews and the others go on with it."""
        if not self._turn.acquire(timeout=0 if at_hand else deadline.remaining_s()):
            if at_hand is not None:
                return at_hand
            raise DeadlineExceeded("The time budget (deadline_s) ended while the access token was renewed; call again.")
        try:
            return self._in_turn(deadline)
        finally:
            self._turn.release()

    def refused(self, access_token: str, deadline: Deadline) -> None:  # noqa: ARG002 the interface of token sources
        """Take note that Drive answered 401 to this token: the next `access_token` gives another.

        Any number of threads may report the same token; it is renewed once, or not at all where the file holds another.
        Raises CredentialsError.
        """
        self._look()
        with self._memory:
            state = self._state
            if state is not None and access_token not in state.refused:
                rests_until = state.rests_until if state.failure else 0.0
                refused = (*state.refused[-15:], access_token)
                self._state = replace(state, refused=refused, rests_until=rests_until)

    def _in_turn(self, deadline: Deadline) -> AccessToken:
        state = self._look()
        at_hand = self._at_hand(state)
        if at_hand is not None and (not at_hand.is_due() or state.is_resting):
            return at_hand
        _repeat_failure(state)
        try:
            with self._lock(deadline):
                return self._renewed(deadline)
        except (TransientDriveError, Locked, VolumeUnavailable, DeadlineExceeded) as error:
            if at_hand is None:
                raise
            _log.warning(
                "The access token can't be renewed yet (%s); the old one is used while it lasts.", error.reason
            )
            self._note(state.file, rests_until=time.monotonic() + _rest_s(error))
            return at_hand

    def _renewed(self, deadline: Deadline) -> AccessToken:
        """Under the lock: what somebody else renewed in the meantime, or a renewal of our own."""
        while True:
            deadline.check()
            state = self._look(afresh=True)
            found = self._at_hand(state)
            if found is not None and not found.is_due():
                return found
            _log.info("Renewing the access token of %s (%s).", state.file.path.name, state.file.kind)
            try:
                renewed = renewal.renew(state.file.holding(state.unsaved), deadline, self._override)
            except (CredentialsError, TransientDriveError) as error:
                if deadline.remaining_s() > 0:  # else it may be our own haste that failed
                    self._note(state.file, rests_until=time.monotonic() + _rest_s(error), failure=error)
                raise
            if self._keep(state.file, renewed):
                return renewed.token

    def _keep(self, used: TokenFile, renewed: Renewal) -> bool:
        """Save the renewal. False where the file came to hold another identity meanwhile: that one counts."""
        now = self._look(afresh=True).file
        if now.identity != used.identity:
            return False
        saved = now.holding(renewed.changes)  # of another identity, where the answer brought another refresh token
        facts = {"token": renewed.token, "scopes": renewed.scopes, "rests_until": 0.0, "failure": None}
        if renewed.changes and not now.is_default and token_save.save(now.path, saved.fields):
            self._look(afresh=True)
            return self._note(saved, unsaved={}, **facts)
        if self._cache is not None:
            token_file.write_cache(self._cache, self._bound(now), renewed.token)
        return self._note(now, unsaved=renewed.changes, **facts)

    def _at_hand(self, state: _State) -> AccessToken | None:
        """The first usable token that isn't due; else the one that lasts longest; None where none is usable."""
        best: AccessToken | None = None
        for token in self._known(state):
            if token.value in state.refused or not token.is_usable():
                continue
            if not token.is_due():
                best = token
                break
            if best is None or token.expires_at > best.expires_at:
                best = token
        if best is not None and best is not state.token:
            self._remember(state.file, best)
        return best

    def _known(self, state: _State) -> Iterator[AccessToken]:
        if state.token is not None:
            yield state.token
        held = _held(state.file)
        if held is not None:
            yield held
        cached = token_file.read_cache(self._cache, self._bound(state.file)) if self._cache is not None else None
        if cached is not None:
            yield cached

    def _bound(self, file: TokenFile) -> str:
        """Whose tokens the cache holds: an emulator's are no good at Google."""
        return f"{file.identity} {self._override or ''}"

    def _look(self, *, afresh: bool = False) -> _State:
        """What is known of the token file as it is now. It is read when it has changed, or when `afresh`."""
        signature = self._signature()
        state = self._state
        if not afresh and state is not None and signature and state.signature == signature:
            return state
        read_at = time.time()
        file = token_file.read(self._source, self._subject, self._scope)
        if self._override is not None:
            token_checks.check_endpoint(file.path, file.fields, self._override, GOOGLE_TOKEN_URI)
        # Two writes within a tick of the volume's clock look the same: what is so young is read again next time.
        if signature and read_at - signature[_CTIME_NS] / 1e9 <= _TICK_S:
            signature = ()
        with self._memory:
            state = self._state
            if state is None or state.file.identity != file.identity:
                state = _State(signature, file)
            elif state.file == file:
                state = replace(state, signature=signature)
            else:
                state = replace(state, signature=signature, file=file, rests_until=0.0, failure=None)
            self._state = state
            return state

    def _note(self, file: TokenFile, **facts: Any) -> bool:
        """Add to what is known of the file. False where another identity's has taken its place."""
        with self._memory:
            if self._state is None or self._state.file.identity != file.identity:
                return False
            self._state = replace(self._state, **facts)
            return True

    def _remember(self, file: TokenFile, token: AccessToken) -> None:
        """Keep a token that was found in the file or the cache, unless another thread has a better one meanwhile."""
        with self._memory:
            state = self._state
            if state is None or state.file.identity != file.identity:
                return
            kept = state.token
            if kept is None or kept.value in state.refused or kept.expires_at <= token.expires_at:
                self._state = replace(state, token=token)

    def _signature(self) -> Signature:
        path = token_file.locate(self._source)
        try:
            status = os.stat(path) if path is not None else None
        except OSError:
            status = None
        if status is None:
            return ()
        return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _held(file: TokenFile) -> AccessToken | None:
    """The token in the file itself. Raises CredentialsError."""
    if file.kind.startswith("pydrive2"):
        return renewal.held_by_pydrive2(file)
    value = file.fields.get("token")
    if file.kind not in ("authorized_user", "external_account_authorized_user") or not value:
        return None
    expiry = file.fields.get("expiry")
    if expiry is None:
        # google-auth takes a token without expiry for expired; where it can't be renewed, Drive may judge.
        return None if file.fields.get("refresh_token") else AccessToken(value)
    return AccessToken(value, token_file.parse_time(expiry))


def _repeat_failure(state: _State) -> None:
    """Raise again what a batch's thousand files would each ask the endpoint for."""
    left_s, error = state.rests_until - time.monotonic(), state.failure
    if error is None or left_s <= 0:
        return
    retry_after_s = left_s if isinstance(error, TransientDriveError) else error.retry_after_s
    raise type(error)(error.message, reason=error.reason, retry_after_s=retry_after_s)


def _rest_s(error: UploadError) -> float:
    # What a person mends outside of the file (rights, a clock) is looked at again soon, whatever the caller is told.
    asked_s = 0.0 if isinstance(error, CredentialsError) else error.retry_after_s or 0.0
    return min(max(_REST_S, asked_s), _LONGEST_REST_S)
