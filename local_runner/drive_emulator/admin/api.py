"""The emulator's own addresses under /emulator/: faults, requests, files, conditions and accounts, as JSON."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ..context.request_context import Call, reply
from ..faults import network_conditions
from ..http.write import Response
from ..model.errors import ApiError, bad_request, file_not_found
from ..model.records import EMAIL
from ..schema import discovery
from ..storage import snapshot
from ..storage.state import account

BODY_LIMIT_BYTES = 16 * 1024 * 1024


def show_faults(call: Call) -> Response:
    """All faults, spent ones too, with how often they struck."""
    return reply(call.drive.faults.as_json())


def add_faults(call: Call) -> Response:
    """One fault or a list of them; answers with all in force."""
    given = _json(call)
    call.drive.faults.add(*(given if isinstance(given, list) else [given]))
    return show_faults(call)


def clear_faults(call: Call) -> Response:
    """No more faults."""
    call.drive.faults.clear()
    return Response(204)


def show_requests(call: Call) -> Response:
    """Every request on record; `?on=files.create` only those of one method."""
    wanted = call.request.first("on")
    records = call.drive.requests.as_json()
    return reply([one for one in records if wanted is None or wanted in {one["method_id"], one["starts"]}])


def clear_requests(call: Call) -> Response:
    """Forget what was asked so far."""
    call.drive.requests.clear()
    return Response(204)


def show_files(call: Call) -> Response:
    """Every file of every account."""
    return reply(snapshot.files(call.drive))


def show_content(call: Call) -> Response:
    """The bytes of `?id=`."""
    file_id = call.request.first("id") or ""
    record = call.drive.store.files.get(file_id)
    if record is None or record.content is None:
        raise file_not_found(file_id)
    return Response(200, call.drive.blobs.read(record.content), {"Content-Type": "application/octet-stream"})


def show_conditions(call: Call) -> Response:
    """All settings."""
    return reply(msgspec.structs.asdict(call.drive.conditions))


def change_conditions(call: Call) -> Response:
    """Some settings by name; answers with all."""
    given = _json(call)
    if not isinstance(given, dict):
        raise bad_request("Conditions: an object is expected.")
    call.drive.set_conditions(network_conditions.changed(call.drive.conditions, given))
    return show_conditions(call)


def show_accounts(call: Call) -> Response:
    """Every account with its storage."""
    return reply([_account(call, email) for email in call.drive.store.accounts])


def add_account(call: Call) -> Response:
    """`{"email", "storage_limit"?, "service_account"?}`: a new account with an empty Drive, and a token for it."""
    try:
        given = msgspec.convert(_json(call), _NewAccount)
    except msgspec.ValidationError as error:
        raise bad_request(f"Account: {error}") from error
    known = call.drive.store.accounts.get(given.email)
    if known is not None and given.service_account and not known.is_service_account:
        raise bad_request(f"{given.email} is a person's account.")
    made = account(call.drive, given.email, storage_limit=given.storage_limit, service_account=given.service_account)
    return reply(_account(call, made.email) | {"token": call.drive.credentials(made.email, call.origin)})


class _NewAccount(msgspec.Struct, forbid_unknown_fields=True):
    email: Annotated[str, msgspec.Meta(pattern=EMAIL)]
    storage_limit: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = 15 * 1024**3
    service_account: bool = False


def discovery_v3(call: Call) -> Response:
    """v3's discovery document, pointing here."""
    return reply(discovery.served(3, call.origin))


def discovery_v2(call: Call) -> Response:
    """v2's discovery document, pointing here."""
    return reply(discovery.served(2, call.origin))


def _account(call: Call, email: str) -> dict[str, Any]:
    of = call.drive.store.accounts[email]
    return {
        "email": of.email,
        "display_name": of.display_name,
        "root_id": of.root_id,
        "storage_limit": 0 if of.is_service_account else of.storage_limit,
        "usage": call.drive.store.usage.get(email, 0),
        "service_account": of.is_service_account,
    }


def _json(call: Call) -> Any:
    try:
        return msgspec.json.decode(call.request.body.read(BODY_LIMIT_BYTES))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, "parseError", f"JSON expected: {error}") from error
