"""`permissions` of both versions, as far as files need them: who may read and write what, shared and inherited.

Nobody is notified; addresses without an account get one. Source: discovery documents; Drive guide "Share files".
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable

from msgspec.structs import replace

from ..context import paging
from ..context.request_context import Call, checked_body, reply
from ..http.write import Response
from ..model.clock import from_rfc3339
from ..model.errors import ApiError, bad_request, not_emulated
from ..model.records import EMAIL, FileRecord, JsonObject, Permission
from ..render import file_v2, others_v2
from ..render.file_v3 import grants_of, may_share, permission_resource
from ..rules import access
from ..rules.access import Grant
from ..storage.state import account

ROLES = frozenset(access.RANK)
LONGEST_GRANT_MS = 366 * 24 * 3600 * 1000


def permissions_list(call: Call) -> Response:
    """Who has which role, the owner and inherited grants included."""
    record = _shared(call)
    grants = [_resource(call, record, grant) for grant in grants_of(record, call.view)]
    if call.version == 2:
        items, token = paging.cut(call, grants, call.params.get("maxResults") or 100)
        link = call.site.link("files", record.id, "permissions")
        more = {"nextPageToken": token}
        return reply(call.mask("PermissionList").apply(others_v2.listing("permissionList", items, link, **more)))
    items, token = paging.cut(call, grants, call.params.get("pageSize") or 100)
    answer: JsonObject = {"kind": "drive#permissionList", "permissions": items}
    return reply(call.mask("PermissionList").apply(answer | ({"nextPageToken": token} if token else {})))


def get(call: Call) -> Response:
    """One grant."""
    record = _shared(call)
    return _answer(call, record, _grant(call, record))


def create(call: Call) -> Response:
    """A new grant, or a stronger one for somebody who has one."""
    record = _shared(call)
    access.require_no_app_data(record)
    body = _body(call)
    if body.get("role") not in ROLES or body.get("type") not in {"user", "group", "domain", "anyone"}:
        raise bad_request("A permission needs a valid role and type.", reason="invalid")
    _check_role(record, body["type"], body["role"])
    if body["role"] == "owner":
        return _new_owner(call, record, _new_grant(call, body))
    grant = _new_grant(call, body)
    present = {one.permission.id: one for one in grants_of(record, call.view)}.get(grant.id)
    if present is not None and access.RANK[present.permission.role] >= access.RANK[grant.role]:
        return _answer(call, record, present)
    return _save(call, record, grant)


def update(call: Call) -> Response:
    """Another role, or another end."""
    record = _shared(call)
    grant, body = _grant(call, record).permission, _body(call)
    if body.get("role") not in {None, *ROLES}:
        raise bad_request("A permission needs a valid role.", reason="invalid")
    _check_role(record, grant.type, body.get("role") or grant.role)
    if body.get("role") == "owner":
        return _new_owner(call, record, grant)
    changed = replace(grant, role=body.get("role") or grant.role, expires_ms=_expiry(call, body, grant))
    return _save(call, record, _own(record, changed, call))


def delete(call: Call) -> Response:
    """Take a grant away."""
    record = _shared(call)
    grant = _own(record, _grant(call, record).permission, call)
    _replace(call, record, lambda grants: tuple(one for one in grants if one.id != grant.id))
    return Response(204)


def id_for_email(call: Call) -> Response:
    """v2 only: the permission id that belongs to an address."""
    known = account(call.drive, call.args["email"])
    return reply(call.mask("PermissionId").apply({"kind": "drive#permissionId", "id": known.permission_id}))


def _shared(call: Call) -> FileRecord:
    """The file, or the shared drive's root, whose grants the viewer may see."""
    record = access.find(call.drive.store, call.viewer, call.args["fileId"], all_drives=call.all_drives)
    if not may_share(call.view, record):
        message = "The user does not have sufficient permissions for this file."
        raise ApiError(403, "insufficientFilePermissions", message)
    return record


def _grant(call: Call, record: FileRecord) -> Grant:
    wanted = call.args["permissionId"]
    wanted = call.viewer.permission_id if wanted == "me" and call.version == 2 else wanted
    for grant in grants_of(record, call.view):
        if grant.permission.id == wanted:
            return grant
    message = f"Permission not found: {wanted}."
    raise ApiError(404, "notFound", message, location_type="parameter", location="permissionId")


def _own(record: FileRecord, grant: Permission, call: Call) -> Permission:
    """The grant, where it is the file's own and not its owner's or inherited."""
    if grant.role == "owner" or grant.email == record.owner != "":
        raise ApiError(403, "cannotRemoveOwner", "The owner of a file cannot be removed.")
    members = call.drive.store.drives[record.id].members if record.id in call.drive.store.drives else ()
    if grant.id not in {one.id for one in (*record.permissions, *members)}:
        message = "Cannot modify a permission that is inherited from a folder or shared drive."
        raise ApiError(403, "cannotModifyInheritedPermission", message)
    return grant


def _new_grant(call: Call, body: JsonObject) -> Permission:
    kind, role = body["type"], body["role"]
    expires_ms = _expiry(call, body, None)
    if kind == "anyone":
        found = bool(body.get("allowFileDiscovery"))
        return Permission("anyone" if found else "anyoneWithLink", kind, role, allow_file_discovery=found)
    if kind == "domain":
        domain = _required(body, "domain")
        found = bool(body.get("allowFileDiscovery"))
        return Permission(f"{zlib.crc32(domain.encode())}k", kind, role, domain=domain, allow_file_discovery=found)
    email = _required(body, "emailAddress")
    if re.fullmatch(EMAIL, email) is None:
        message = f'Bad Request. User message: "The address {email} isn\'t valid."'
        raise bad_request(message, reason="invalidSharingRequest")
    known = account(call.drive, email)
    return Permission(known.permission_id, kind, role, email, known.display_name, expires_ms=expires_ms)


def _required(body: JsonObject, name: str) -> str:
    if not body.get(name):
        raise bad_request(f"The {name} field is required for permissions of this type.", reason="invalid")
    return str(body[name])


def _expiry(call: Call, body: JsonObject, before: Permission | None) -> int | None:
    if call.params.get("removeExpiration"):
        return None
    if body.get("expirationTime") is None:
        return before.expires_ms if before else None
    kind, now_ms = before.type if before else body["type"], call.drive.clock.now_ms()
    try:
        expires_ms = from_rfc3339(body["expirationTime"])
    except ValueError:
        raise bad_request("Invalid value for: expirationTime is no date and time.", reason="invalid") from None
    if kind not in {"user", "group"}:
        raise bad_request("An expiration can only be set on permissions of users and groups.", reason="invalid")
    if not now_ms < expires_ms <= now_ms + LONGEST_GRANT_MS:
        raise bad_request("The expiration must be in the future, and a year away at most.", reason="invalid")
    call.drive.sweep_at_ms = min(call.drive.sweep_at_ms, expires_ms)
    return expires_ms


def _check_role(record: FileRecord, kind: str, role: str) -> None:
    """Which roles a kind of grantee may have, here. Source: Drive guide "Roles and permissions"."""
    if role in {"organizer", "fileOrganizer"} and not record.drive_id:
        raise bad_request("This role is for shared drives only.", reason="invalid")
    if (role == "owner" and kind != "user") or (
        role in {"organizer", "fileOrganizer"} and kind in {"domain", "anyone"}
    ):
        raise bad_request(f"The role {role} can't be granted to {kind}.", reason="invalid")


def _new_owner(call: Call, record: FileRecord, grant: Permission) -> Response:
    """Hand a file over; the old owner stays as writer."""
    if not call.params.get("transferOwnership"):
        message = "The transferOwnership parameter must be enabled when the permission role is 'owner'."
        raise ApiError(403, "forbidden", message, location_type="parameter", location="transferOwnership")
    if record.drive_id:
        raise not_emulated("an owner for an item of a shared drive")
    access.require(call.drive.store, call.viewer, record, "owner")
    old = account(call.drive, record.owner)
    others = tuple(one for one in record.permissions if one.id != grant.id)
    kept = Permission(old.permission_id, "user", "writer", old.email, old.display_name)
    changed = replace(record, owner=grant.email, permissions=(*others, kept), version=record.version + 1)
    with call.drive.store.transaction():
        call.drive.store.put_file(changed, now_ms=call.drive.clock.now_ms())
    return _answer(call, changed, Grant(replace(grant, role="owner")))


def _save(call: Call, record: FileRecord, grant: Permission) -> Response:
    """Put a grant in the place of one with its id, or behind the others."""
    changed = _replace(call, record, lambda grants: (*(one for one in grants if one.id != grant.id), grant))
    return _answer(call, changed, Grant(grant))


Change = Callable[[tuple[Permission, ...]], tuple[Permission, ...]]


def _replace(call: Call, record: FileRecord, change: Change) -> FileRecord:
    """New grants of a file, or of a shared drive where the file is its root."""
    store, now_ms = call.drive.store, call.drive.clock.now_ms()
    access.require(store, call.viewer, record, "organizer" if record.id == record.drive_id else "writer")
    with store.transaction():
        if record.id in store.drives:
            drive = store.drives[record.id]
            store.put_drive(replace(drive, members=change(drive.members)))
            return record
        present = store.files[record.id]
        changed = replace(
            present,
            permissions=change(present.permissions),
            shared_with_me_ms=present.shared_with_me_ms or now_ms,
            version=present.version + 1,
        )
        store.put_file(changed, now_ms=now_ms)
        return changed


def _body(call: Call) -> JsonObject:
    body = checked_body(call.version, "Permission", call.body())
    return others_v2.permission_body(body) if call.version == 2 else body


def _resource(call: Call, record: FileRecord, grant: Grant) -> JsonObject:
    resource = permission_resource(grant)
    return file_v2.permission_resource(resource, record.id, call.site) if call.version == 2 else resource


def _answer(call: Call, record: FileRecord, grant: Grant) -> Response:
    return reply(call.mask("Permission").apply(_resource(call, record, grant)))
