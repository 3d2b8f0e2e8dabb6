"""about.get: who the user is and how full their Drive is. Source: discovery document v3, schema About."""

from __future__ import annotations

from typing import Any

from ..context.request_context import Call, reply
from ..http.write import Response
from ..model.errors import ApiError
from ..render.others_v2 import about_resource
from ..rules import editors
from . import changes

MAX_UPLOAD_BYTES = 5_497_558_138_880
"""5 TiB. Source: discovery document v3, `maxSize`."""


def get(call: Call) -> Response:
    """v3 refuses to answer without `fields`."""
    if not call.params.get("fields"):
        message = "The 'fields' parameter is required for this method."
        raise ApiError(400, "required", message, location_type="parameter", location="fields")
    return reply(call.mask("About").apply(about(call)))


def get_v2(call: Call) -> Response:
    """v2's resource, with the largest change's number."""
    return reply(call.mask("About").apply(about_resource(about(call), call.site, changes.largest(call))))


def about(call: Call) -> dict[str, Any]:
    """The whole resource; formats are those that are emulated."""
    return {
        "kind": "drive#about",
        "user": call.view.user(call.viewer.email),
        "storageQuota": storage_quota(call),
        "importFormats": {source: [target] for source, target in editors.IMPORTS.items()},
        "exportFormats": {source: list(targets) for source, targets in editors.EXPORTS.items()},
        "maxImportSizes": {},
        "maxUploadSize": str(MAX_UPLOAD_BYTES),
        "appInstalled": True,
        "folderColorPalette": ["#ac725e", "#d06b64", "#f83a22", "#8f8f8f"],
        "driveThemes": [],
        "teamDriveThemes": [],
        "canCreateDrives": True,
        "canCreateTeamDrives": True,
    }


def storage_quota(call: Call) -> dict[str, str]:
    """Bytes as strings; `limit` is absent where there is none."""
    store, email = call.drive.store, call.viewer.email
    account = store.accounts[email]
    in_trash = sum(
        record.content.size
        for record in list(store.files.values())
        if record.owner == email and record.trashed and record.content
    )
    used = str(store.usage.get(email, 0))
    quota = {"usage": used, "usageInDrive": used, "usageInDriveTrash": str(in_trash)}
    limit = 0 if account.is_service_account else account.storage_limit
    return quota if limit is None else {"limit": str(limit), **quota}
