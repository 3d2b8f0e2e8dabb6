"""The one object that everything works on: store, blobs, ids, clock, conditions, quota, faults, record of requests."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ..content.blobs import Blobs
from ..content.upload_part import Part
from ..faults.network_conditions import Conditions
from ..faults.quota import Quota
from ..faults.scripted import Faults
from ..model.clock import Clock, rfc3339
from ..model.ids import IdMaker, app_data_id
from ..model.records import APP_DATA, FOLDER, Account, FileRecord, Viewer
from ..oauth.endpoints import APP_DATA_SCOPES, CLIENT_ID, CLIENT_SECRET, DRIVE_SCOPE, OAuth
from .notifications import Notifier
from .page_tokens import Cursors
from .request_log import RequestLog
from .store import Store

SERVICE_ACCOUNTS = ".gserviceaccount.com"
"""What the addresses of service accounts end with."""
DEFAULT_EMAIL = "user@example.com"
"""The account that is there from the start."""


class DataFolderInUse(Exception):
    """Another emulator keeps its state in this folder."""


class LiveSession:
    """The moving half of a resumable upload: its part while one is open, and which request feeds it.

    `turn` grows with every request that sends content: the newest takes over, a stalled one stops at its next block.
    Whoever changes the part or ends the session holds `lock`.
    """

    def __init__(self) -> None:
        self.part: Part | None = None
        self.lock = threading.Lock()
        self.turn = 0

    def end(self) -> None:
        """Forget what arrived; a request that still feeds it stops at its next block."""
        self.turn += 1
        if self.part is not None:
            self.part.discard()
            self.part = None


@dataclass(slots=True)
class Drive:
    """One emulated Google Drive, with all its accounts."""

    store: Store
    blobs: Blobs
    ids: IdMaker
    clock: Clock
    conditions: Conditions
    quota: Quota
    oauth: OAuth
    folder: Path
    locked: BinaryIO
    """The lock on `folder`, held until it is closed."""
    keeps: bool
    """Whether `folder` stays when the emulator ends."""
    faults: Faults = field(default_factory=Faults)
    requests: RequestLog = field(default_factory=RequestLog)
    cursors: Cursors = field(default_factory=Cursors)
    live: dict[str, LiveSession] = field(default_factory=dict)
    """Resumable uploads that this process has received something for, and that aren't complete."""
    first_conditions: Conditions = field(default_factory=Conditions)
    """What a reset goes back to."""
    seed_folder: Path | None = None
    """The local folder from which a reset fills the Drive again."""
    notifier: Notifier = field(default_factory=Notifier)
    """Open notification channels, and who is told."""
    sweep_at_ms: int = 0
    """When something next has to go: what is in the bin for too long, sessions, tokens, grants."""

    def set_conditions(self, conditions: Conditions) -> None:
        """Change the settings; everybody's quota starts afresh."""
        self.clock.advance(conditions.advance_s - self.conditions.advance_s)
        self.conditions = conditions
        self.sweep_at_ms = 0
        self.quota.reset()

    def credentials(self, email: str, origin: str) -> dict[str, Any]:
        """An authorized-user file for an account, as google-auth writes it, its token endpoint at `origin`."""
        scopes = frozenset({DRIVE_SCOPE})
        now_ms = self.clock.now_ms()
        access = self.oauth.grant_access_token(email, CLIENT_ID, scopes, now_ms=now_ms)
        refresh = self.oauth.grant_refresh_token(email, CLIENT_ID, scopes)
        return {
            "type": "authorized_user",
            "token": access.token,
            "refresh_token": refresh.token,
            "token_uri": f"{origin}/token",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "scopes": sorted(scopes),
            "universe_domain": "googleapis.com",
            "account": email,
            "expiry": rfc3339(access.expires_ms or now_ms),
        }

    def close(self) -> None:
        """End the journal; drop what isn't to be kept."""
        self.notifier.close()
        self.store.close()
        self.blobs.close()
        self.locked.close()
        if not self.keeps:
            shutil.rmtree(self.folder, ignore_errors=True)


def open_drive(
    data: str | Path | None, *, seed: int, conditions: Conditions, default_email: str = DEFAULT_EMAIL
) -> Drive:
    """The state kept in a folder, or a new one that goes when it is closed. Content is on disk in both cases."""
    keeps = data is not None
    folder = Path(data) if data is not None else Path(tempfile.mkdtemp(prefix="drive-emulator-"))
    folder.mkdir(parents=True, exist_ok=True)
    locked = _locked(folder)
    store = Store(folder if keeps else None)
    blobs = Blobs(folder)
    blobs.keep_all(revision.content for of_file in store.revisions.values() for revision in of_file)
    blobs.forget_all_but({session.id for session in store.sessions.values() if session.result is None})
    clock = Clock()
    clock.advance(conditions.advance_s)
    ids = IdMaker(seed, str(store.starts))
    oauth = OAuth(store, ids.secret, lambda: default_email, lambda: drive.conditions.token_life_s)
    drive = Drive(
        store, blobs, ids, clock, conditions, Quota(clock), oauth, folder, locked, keeps, first_conditions=conditions
    )
    account(drive, default_email)
    return drive


def _locked(folder: Path) -> BinaryIO:
    """Hold a folder for this process; the kernel lets go of it when the process ends, however that happens."""
    file = (folder / "lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise DataFolderInUse(f"{folder} is in use by another Drive emulator.") from None
    return file


def account(
    drive: Drive, email: str, *, storage_limit: int | None = 15 * 1024**3, service_account: bool = False
) -> Account:
    """The account of that e-mail address, made with an empty My Drive when it is new."""
    with drive.store.transaction():
        known = drive.store.accounts.get(email)
        if known is not None:
            return known
        display_name = email.partition("@")[0].replace(".", " ").title()
        made = Account(
            email=email,
            display_name=display_name,
            permission_id=drive.ids.permission_id(),
            root_id=drive.ids.drive_id(),
            storage_limit=storage_limit,
            is_service_account=service_account or email.endswith(SERVICE_ACCOUNTS),
        )
        now_ms = drive.clock.now_ms()
        root = FileRecord(made.root_id, "My Drive", FOLDER, email, (), now_ms, now_ms, last_modifying_user=email)
        drive.store.put_account(made)
        drive.store.put_silently(root)
        return made


def viewer(drive: Drive, email: str, client_id: str, scopes: frozenset[str]) -> Viewer:
    """Who asks: an account through an app. An app that may have a hidden folder has one from here on."""
    of = drive.store.accounts[email]
    if not scopes & APP_DATA_SCOPES:
        return Viewer(of.email, of.permission_id, of.root_id, client_id, scopes)
    hidden_id = app_data_id(of.root_id, client_id)
    with drive.store.transaction():
        if hidden_id not in drive.store.files:
            now_ms = drive.clock.now_ms()
            drive.store.put_silently(
                FileRecord(
                    hidden_id,
                    "Application Data",
                    FOLDER,
                    email,
                    (),
                    now_ms,
                    now_ms,
                    apps=frozenset({client_id}),
                    last_modifying_user=email,
                    space=APP_DATA,
                )
            )
    return Viewer(of.email, of.permission_id, of.root_id, client_id, scopes | APP_DATA_SCOPES, hidden_id)
