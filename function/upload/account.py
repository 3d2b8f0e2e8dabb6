"""One account of the settings at work, and the Drive that its token leads to. Kept between invocations."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from function.core.cached import cached_property
from function.core.errors import UploadError, VolumeUnavailable
from function.core.naming import state_key
from function.core.receipt import FolderReceipt, Receipt
from function.core.retry import Deadline
from function.core.types import FileId, Usage
from function.credentials.account_credentials import Credentials
from function.drive.port import Drive
from function.folders.tree import Folders, base_of
from function.home.settings import AccountConfig, Settings
from function.state import files
from function.state.id_pool import IdPool
from function.state.locks import Locks
from function.state.log_index import LogIndex
from function.state.receipts import Receipts

_log = logging.getLogger(__name__)


IDS_AHEAD = 20
"""Ids that a process that goes on takes at once, so that not each upload waits for the disk."""


class IdsAtHand(msgspec.Struct):
    """Reserved ids: from memory, else from the pool on the volume, which asks Drive. Each is handed out once."""

    pool: IdPool
    _at_hand: list[FileId] = msgspec.field(default_factory=list)
    _is_first: bool = True
    _taking: threading.Lock = msgspec.field(default_factory=threading.Lock)

    def take(self, count: int, drive: Drive, deadline: Deadline, *, ahead: int = 0) -> list[FileId]:
        """That many ids. Where the pool must be asked for them, it is asked for so many more, which will be wanted."""
        with self._taking:
            missing = count - len(self._at_hand)
            if missing > 0:
                ahead = max(ahead, 0 if self._is_first else IDS_AHEAD)
                self._at_hand += self.pool.take(missing + ahead, drive.reserve_ids, deadline)
            self._is_first = False
            taken, self._at_hand = self._at_hand[:count], self._at_hand[count:]
            return taken

    def discard(self) -> None:
        """Forget all: Drive refused one of them."""
        with self._taking:
            self._at_hand = []
            self.pool.discard()


class DriveSession(msgspec.Struct, frozen=True):
    """One user's Drive below one root, and all that is known of it: receipts, folders, reserved ids.

    Nothing of it is ever used for another user's Drive, whatever token the account's file holds by then.
    """

    open_drive: Callable[[], Drive]
    """The Drive, unbound; it refuses a token of another identity. Opened late, since what is unchanged needs none."""
    key: str
    """Names the user and the root."""
    receipts: Receipts[Receipt]
    folders: Folders
    ids: IdsAtHand

    def drive(self, usage: Usage, deadline: Deadline) -> Drive:
        """The Drive, bound to an invocation's deadline, with its requests counted there."""
        return self.open_drive().bound(usage, deadline)


class _BoundTokens(msgspec.Struct, frozen=True):
    """The account's access tokens, as long as its file holds a token of that identity."""

    tokens: Credentials
    identity: str

    def access_token(self, deadline: Deadline) -> str:
        return self.tokens.access_token(deadline, self.identity)

    def refused(self, access_token: str, deadline: Deadline) -> None:
        self.tokens.refused(access_token, deadline)


def _once(make: Callable[[], Drive]) -> Callable[[], Drive]:
    """A function that makes the Drive when it is first called, whichever threads call it."""
    made: list[Drive] = []
    making = threading.Lock()

    def get() -> Drive:
        with making:
            if not made:
                made.append(make())
            return made[0]

    return get


def as_it_is(drive: Drive) -> Drive:
    """The Drive itself."""
    return drive


class AccountSession(msgspec.Struct, frozen=True, dict=True):
    """The adapters of one account; what talks to Drive is imported when its Drive is first needed."""

    settings: Settings
    account: AccountConfig
    locks: Locks
    memory: LogIndex
    around: Callable[[Drive], Drive] = as_it_is
    """What the job gets to see of its Drive: in a dry run one that changes nothing."""
    _sessions: dict[str, DriveSession] = msgspec.field(default_factory=dict)
    """By the identity of the token."""
    _opening: threading.Lock = msgspec.field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        """The account's name in the settings."""
        return self.account.name

    def open(self, usage: Usage, deadline: Deadline) -> DriveSession:
        """The Drive that the account's token leads to now. Asks Drive who it is where the token is a new one.

        Raises CredentialsError, VolumeUnavailable, DriveError, DeadlineExceeded.
        """
        identity = self.tokens.identity_hint(deadline)
        with self._opening:
            try:
                if identity not in self._sessions:
                    self._sessions[identity] = self._opened(identity, usage, deadline)
                return self._sessions[identity]
            except OSError as error:
                raise VolumeUnavailable(f"{self.settings.state}: can't be used ({error.strerror}).") from error

    def warn_of_second_root(self, deadline: Deadline) -> None:
        """Warn while the account's root is one that this state has never seen, and its token's scope would hide it.

        No request is sent for it, unless the token is a new one: then Drive is asked whose it is, as the upload would.
        """
        root = self.account.root
        try:
            if not self.tokens.sees_only_own_files():
                return
            is_known = self.open(Usage(), deadline).folders.known("/".join(root.folders)) is not None
        except UploadError:
            return  # the upload meets it too, and tells it
        if not is_known:
            _log.warning(
                "%s: the token's scope (drive.file) shows only what this app made. If another program or a person "
                "has made %s on Drive, a second one is made beside it: to use that one, run 'drive-upload authorize "
                "--scope drive' before the upload.",
                self.name,
                root.label,
            )

    def _opened(self, identity: str, usage: Usage, deadline: Deadline) -> DriveSession:
        state, root = self.settings.state, self.account.root
        open_drive = _once(lambda: self.around(self._drive(identity)))

        def asked() -> Drive:
            return open_drive().bound(usage, deadline)

        user = self._noted(state / "identities" / identity, lambda: asked().identity())
        base = root.base
        if root.folder_id not in (None, "root"):
            base = self._noted(
                state / "bases" / state_key(f"{user}\0{base}"),
                lambda: base_of(root, asked()),
            )
        key = state_key(f"{user}\0{base}\0{root.drive_id or ''}")
        ids = IdsAtHand(IdPool(state / "ids" / f"{state_key(user)}.txt", self.locks.shared))
        folders = Folders(
            account=self.name,
            drive_key=key,
            root=root,
            base=base,
            receipts=Receipts(state / "drives" / key / "folders", FolderReceipt),
            take_ids=ids.take,
            discard_ids=ids.discard,
            lock=lambda deadline: self.locks.of(state_key(f"folders of {key}"), deadline),
            sees_only_own_files=self.tokens.sees_only_own_files,
            last_upload=lambda folder: self.memory.last_below(self.name, folder),
        )
        return DriveSession(open_drive, key, Receipts(state / "drives" / key / "receipts", Receipt), folders, ids)

    def _noted(self, file: Path, ask: Callable[[], str]) -> str:
        """What never changes, as whose Drive a token leads to: as it was written down whole, else by Drive's answer."""
        with suppress(FileNotFoundError, files.UnexpectedFile):
            known, _, proof = files.read(file, 1024).decode("ascii", "replace").partition("\n")
            if proof == state_key(known):
                return known
        _log.debug("%s: asks Drive for %s", self.name, file.parent.name)
        told = ask()
        files.replace(file, f"{told}\n{state_key(told)}".encode())
        return told

    @property
    def drive(self) -> Drive:
        """The Drive that the account's token leads to now, unbound."""
        return self._drive(self.tokens.identity_hint(Deadline.after(60)))

    def _drive(self, identity: str) -> Drive:
        from function.drive.google import GOOGLE, GoogleDrive
        from function.drive.http import Transport, pool
        from function.pacing import Pacer

        pace = self.settings.state / "pace" / f"{self.name}.json"
        if not pace.parent.is_dir():
            files.make_folder(pace.parent)
        return GoogleDrive(
            transport=Transport(pool(self.settings.emulator or GOOGLE)),
            tokens=_BoundTokens(self.tokens, identity),
            pacer=Pacer(pace if self.settings.lock == "native" else None),
            endpoint=self.settings.emulator or GOOGLE,
            drive_id=self.account.root.drive_id,
        )

    @cached_property
    def tokens(self) -> Credentials:
        """Its access tokens."""
        emulator = self.settings.emulator
        return Credentials(
            self.account.token,
            refresh_lock=self._refreshing,
            token_uri_override=f"{emulator}/token" if emulator else None,
            cache_path=self.settings.state / "tokens" / f"{self.name}.json",
            subject=self.account.subject,
        )

    @contextmanager
    def _refreshing(self, deadline: Deadline) -> Iterator[None]:
        with self.locks.of(state_key(f"token of {self.name}"), deadline):
            yield
