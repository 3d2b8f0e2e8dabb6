"""One account of the settings at work: its Drive, receipts, folders and reserved ids. Kept between invocations."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from function.core.deadline import Deadline
from function.core.plan import key
from function.core.receipt import FolderReceipt, Receipt
from function.core.types import FileId
from function.credentials.account_credentials import Credentials
from function.drive.port import Drive
from function.folders.tree import Folders
from function.home.settings import AccountConfig, Settings
from function.state import files
from function.state.id_pool import IdPool
from function.state.locks import Locks
from function.state.log_index import LogIndex
from function.state.receipts import Receipts


@dataclass(frozen=True)
class Account:
    """The adapters of one account; what talks to Drive is imported when its Drive is first needed."""

    settings: Settings
    account: AccountConfig
    locks: Locks
    memory: LogIndex
    _opening: threading.Lock = field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        """The account's name in the settings."""
        return self.account.name

    @cached_property
    def receipts(self) -> Receipts[Receipt]:
        """What is durable about its destinations."""
        return Receipts(self.settings.state / "receipts" / self.name, Receipt)

    @cached_property
    def folders(self) -> Folders:
        """The folders of its mirror."""
        return Folders(
            account=self.name,
            root=self.account.root,
            receipts=Receipts(self.settings.state / "folders" / self.name, FolderReceipt),
            take_ids=self.take_ids,
            discard_ids=self.ids.discard,
            lock=lambda deadline: self.locks.of(key(f"folders of {self.name}"), deadline),
            last_upload=lambda folder: self.memory.last_below(self.name, folder),
        )

    @cached_property
    def ids(self) -> IdPool:
        """Its reserved ids."""
        return IdPool(self.settings.state / "ids" / f"{self.name}.txt", self.locks.shared)

    def take_ids(self, count: int, drive: Drive, deadline: Deadline) -> list[FileId]:
        """That many reserved ids."""
        return self.ids.take(count, drive.reserve_ids, deadline)

    @property
    def drive(self) -> Drive:
        """Its Drive, unbound."""
        with self._opening:
            return self._drive

    @cached_property
    def _drive(self) -> Drive:
        from function.drive.google import GOOGLE, GoogleDrive
        from function.drive.http import Transport, pool
        from function.pacing.rate_limiter import Pacer

        state = self.settings.state
        pace = state / "pace" / f"{self.name}.json"
        if not pace.parent.is_dir():
            files.make_folder(pace.parent)
        return GoogleDrive(
            transport=Transport(pool(self.settings.emulator or GOOGLE)),
            tokens=self.tokens,
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
        with self.locks.of(key(f"token of {self.name}"), deadline):
            yield
