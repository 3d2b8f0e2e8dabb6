"""`DriveEmulator`: an emulated Google Drive as a library, in threads of this process."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from .faults import network_conditions
from .faults.scripted import Faults
from .model.errors import file_not_found
from .model.records import AccessToken, Account
from .oauth import assertions
from .oauth.assertions import ROBOT
from .oauth.endpoints import CLIENT_ID, DRIVE_SCOPE
from .rules import seeding
from .server import Server, ServerOptions, Watcher
from .storage import archive, snapshot
from .storage.request_log import RequestLog
from .storage.state import DEFAULT_EMAIL, Drive, account, open_drive


class DriveEmulator:
    """A Google Drive on a port of this machine. Use it as a context manager, or call `start` and `stop`.

    `data` keeps the state in a folder; without it everything goes when the emulator stops. `port` 0 takes a free one.
    `accept_tokens` are access tokens taken besides those issued; `emails` are the accounts, the first the default one.
    `options` say how it can be reached, from browsers above all. Further keywords are settings of the conditions
    (`latency_ms`, `list_lag_s`, `writes_per_s`, ...).
    """

    def __init__(
        self,
        data: str | Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        accept_tokens: Iterable[str] = (),
        emails: Iterable[str] = (DEFAULT_EMAIL,),
        watcher: Watcher | None = None,
        options: ServerOptions | None = None,
        **settings: Any,
    ) -> None:
        chosen = network_conditions.changed(network_conditions.Conditions(), settings)
        known = list(emails)
        self.drive: Drive = open_drive(data, seed=seed, conditions=chosen, default_email=known[0])
        self._default_email = known[0]
        self._host = host
        self._options = options or ServerOptions()
        try:
            for email in known[1:]:
                account(self.drive, email)
            for token in accept_tokens:
                self.accept_token(token)
            self._server = Server(self.drive, host, port, watcher, self._options)
        except BaseException:
            self.drive.close()
            raise

    @classmethod
    def loaded(cls, file: str | Path, **options: Any) -> DriveEmulator:
        """An emulator that begins with what another saved, and is gone when it ends; `options` as of this class.

        Raises ValueError for a file that is no saved state.
        """
        folder = Path(tempfile.mkdtemp(prefix="drive-emulator-"))
        archive.load(Path(file), folder)
        emulator = cls(folder, **options)
        emulator.drive.keeps = False
        return emulator

    def save(self, file: str | Path) -> None:
        """Everything but unfinished uploads as one file, for `loaded` or `--load`."""
        archive.save(self.drive, Path(file))

    def seed_from(self, folder: str | Path, email: str | None = None) -> int:
        """Fill an account's My Drive (default: the first's) from a local folder; how many files. A reset does it again.

        A Drive that holds files already, from an earlier run, stays as it is.
        """
        self.drive.seed_folder = Path(folder)
        if self.files():
            return 0
        return seeding.fill(self.drive, Path(folder), email or self._default_email)

    def __enter__(self) -> DriveEmulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        """Cut all connections and close the state; without `data` it is deleted."""
        self._server.stop()
        self.drive.close()

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT` (or https, or the public URL), without a slash at its end."""
        if self._options.public_url is not None:
            return self._options.public_url.rstrip("/")
        scheme = "https" if self._options.https else "http"
        host = "127.0.0.1" if self._host in {"0.0.0.0", ""} else self._host  # noqa: S104 - read, not bound
        return f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"

    @property
    def ca_pem(self) -> bytes:
        """The certificate (PEM) of the authority that vouches for the emulator's https; empty without https."""
        return self._server.tls.ca_pem if self._server.tls is not None else b""

    @property
    def faults(self) -> Faults:
        """Scripted trouble: `drive.faults.add({"on": "files.create", "nth": 3, "do": "lose_answer"})`."""
        return self.drive.faults

    @property
    def requests(self) -> RequestLog:
        """Every request so far."""
        return self.drive.requests

    def authorized_user(self, email: str | None = None) -> dict[str, Any]:
        """google-auth's authorized-user JSON for an account (default: the first), with a fresh access token."""
        return self.drive.credentials(email or self._default_email, self.url)

    def write_token(self, path: str | Path, email: str | None = None) -> None:
        """The same as a file that only its owner can read."""
        write_private(Path(path), json.dumps(self.authorized_user(email), indent=2))

    def write_rclone_config(self, path: str | Path, email: str | None = None) -> None:
        """rclone's configuration with one remote, `drive:`, which is an account's My Drive; for its owner only."""
        user = self.authorized_user(email)
        token = {"access_token": user["token"], "token_type": "Bearer", "refresh_token": user["refresh_token"]}
        lines = [
            "[drive]",
            "type = drive",
            "scope = drive",
            f"client_id = {user['client_id']}",
            f"client_secret = {user['client_secret']}",
            f"token = {json.dumps({**token, 'expiry': user['expiry']})}",
        ]
        write_private(Path(path), "\n".join(lines))

    def write_service_account(self, path: str | Path, email: str = ROBOT) -> None:
        """A service account's key file that only its owner can read."""
        write_private(Path(path), json.dumps(self.service_account(email), indent=2))

    def service_account(self, email: str = ROBOT) -> dict[str, str]:
        """A service account's key file; the account is made when it is new. It owns no storage, as on Google."""
        made = account(self.drive, email, service_account=True)
        key_file, knowing = assertions.new_key(made, f"{self.url}/token")
        self.drive.store.put_account(knowing)
        return key_file

    def add_account(self, email: str, *, storage_limit: int | None = 15 * 1024**3) -> Account:
        """One more user with an empty Drive."""
        return account(self.drive, email, storage_limit=storage_limit)

    def accept_token(self, token: str, email: str | None = None, scopes: Iterable[str] = (DRIVE_SCOPE,)) -> None:
        """Take an access token of any spelling, for ever."""
        of = email or next(iter(self.drive.store.accounts))
        accepted = AccessToken(token, of, CLIENT_ID, frozenset(scopes), None)
        if self.drive.store.tokens.get(token) != accepted:  # an earlier run may have noted it
            self.drive.store.put_token(accepted)

    def set_weather(self, **settings: Any) -> None:
        """Change settings while it runs; raises ApiError for unknown ones."""
        self.drive.set_conditions(network_conditions.changed(self.drive.conditions, settings))

    def files(self) -> list[dict[str, Any]]:
        """Every file and folder: id, name, path, parents, trashed, size, checksums, properties, ..."""
        return snapshot.files(self.drive)

    def content(self, file_id: str) -> bytes:
        """The bytes of a file; raises ApiError (404) where there are none."""
        record = self.drive.store.files.get(file_id)
        if record is None or record.content is None:
            raise file_not_found(file_id)
        return self.drive.blobs.read(record.content)


def write_private(path: Path, text: str) -> None:
    """A text into a file with mode 0600, from its first byte on."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
    fresh.replace(path)
