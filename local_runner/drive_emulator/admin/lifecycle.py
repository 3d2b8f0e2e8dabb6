"""More of the emulator's own addresses: whether it is well, begin anew, keys of service accounts, the whole state."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ..context.request_context import Call, reply
from ..http.write import FilePart, Response
from ..model.errors import bad_request
from ..oauth import assertions
from ..rules import seeding
from ..storage import archive, snapshot
from ..storage.state import account


def health(call: Call) -> Response:
    """`{"status": "ok", …}` as soon as requests are served."""
    store = call.drive.store
    return reply({"status": "ok", "accounts": len(store.accounts), "files": len(snapshot.records(call.drive))})


def reset(call: Call) -> Response:
    """As it was at the start: no files but the seed's, no faults, no record; accounts and tokens stay good."""
    drive = call.drive
    seeding.empty(drive)
    drive.faults.clear()
    drive.requests.clear()
    drive.set_conditions(drive.first_conditions)
    if drive.seed_folder is not None:
        seeding.fill(drive, drive.seed_folder, next(iter(drive.store.accounts)))
    return Response(204)


def service_account_key(call: Call) -> Response:
    """`POST ?email=`: a new key file of a service account, which is made when it is new."""
    email = call.request.first("email") or assertions.ROBOT
    if "@" not in email:
        raise bad_request("email: an address is expected.")
    return reply(service_account(call, email))


def service_account(call: Call, email: str) -> dict[str, Any]:
    """The key file as JSON, its token endpoint where the client reached the emulator."""
    known = call.drive.store.accounts.get(email)
    if known is not None and not known.is_service_account:
        raise bad_request(f"{email} is a person's account.")
    made = account(call.drive, email, service_account=True)
    key_file, knowing = assertions.new_key(made, f"{call.origin}/token")
    call.drive.store.put_account(knowing)
    return dict(key_file)


def state(call: Call) -> Response:
    """The whole state as one file, for `--load`."""
    with tempfile.TemporaryDirectory(prefix="drive-emulator-") as aside:
        file = Path(aside) / "state.tar.gz"
        archive.save(call.drive, file)
        opened = file.open("rb")
        size = file.stat().st_size
    headers = {"Content-Type": "application/gzip", "Content-Disposition": 'attachment; filename="drive.tar.gz"'}
    return Response(200, FilePart(opened, 0, size), headers)
