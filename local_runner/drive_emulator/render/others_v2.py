"""The resources of Drive v2 that aren't files: lists, children, grants, revisions, changes, the account.

Source: discovery documents of both versions.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from urllib.parse import urlencode

from ..model.errors import bad_request
from ..model.records import JsonObject
from .file_v2 import Site, user_resource


def listing(kind: str, items: Iterable[JsonObject], self_link: str, **more: object) -> JsonObject:
    """A v2 list: kind, ETag, link and items; `more` are further fields, left out where they are None."""
    found = list(items)
    tag = f'"{kind}/{len(found)}/{zlib.crc32(repr(found).encode()):x}"'
    body: JsonObject = {"kind": f"drive#{kind}", "etag": tag, "selfLink": self_link, "items": found}
    return body | {name: value for name, value in more.items() if value is not None}


def next_link(self_link: str, page_token: str | None) -> str | None:
    """The link of the next page, None on the last."""
    if page_token is None:
        return None
    return self_link + ("&" if "?" in self_link else "?") + urlencode({"pageToken": page_token})


def child_reference(folder_id: str, child_id: str, site: Site) -> JsonObject:
    """The v2 resource that says that a file lies in a folder."""
    return {
        "kind": "drive#childReference",
        "id": child_id,
        "selfLink": site.link("files", folder_id, "children", child_id),
        "childLink": site.link("files", child_id),
    }


def permission_body(body: JsonObject) -> JsonObject:
    """What a v2 permission asks for in v3's words: `value` is an address or a domain, `withLink` the opposite of found.

    Raises ApiError (400) for a user, group or domain without a value.
    """
    kind, value = body.get("type"), body.get("value") or body.get("emailAddress") or body.get("domain")
    changed: JsonObject = {name: body[name] for name in ("id", "type", "view") if name in body}
    if "role" in body:
        changed["role"] = "commenter" if "commenter" in (body.get("additionalRoles") or ()) else body["role"]
    if kind in {"user", "group", "domain"}:
        if not value and "id" not in body:
            raise bad_request("The value field is required for permissions of this type.", reason="invalid")
        changed["domain" if kind == "domain" else "emailAddress"] = value
    if kind in {"domain", "anyone"}:
        changed["allowFileDiscovery"] = not body.get("withLink", False)
    if "expirationDate" in body:
        changed["expirationTime"] = body["expirationDate"]
    return changed


def revision_resource(v3: JsonObject, file_id: str, site: Site) -> JsonObject:
    """The v2 resource of a revision from its whole v3 resource."""
    renamed = {"modifiedTime": "modifiedDate", "keepForever": "pinned", "size": "fileSize"}
    same = ("id", "mimeType", "published", "publishAuto", "publishedOutsideDomain", "originalFilename", "md5Checksum")
    names = renamed | dict(zip(same, same, strict=True))
    resource: JsonObject = {
        "kind": "drive#revision",
        "etag": f'"{file_id}/{v3["id"]}"',
        "selfLink": site.link("files", file_id, "revisions", v3["id"]),
    }
    resource |= {new: v3[old] for old, new in names.items() if old in v3}
    if "md5Checksum" in v3:
        resource["downloadUrl"] = site.link("files", file_id, revisionId=v3["id"], alt="media")
    if v3.get("lastModifyingUser"):
        person = v3["lastModifyingUser"]
        resource |= {"lastModifyingUser": user_resource(person), "lastModifyingUserName": person["displayName"]}
    return resource


def revision_body(body: JsonObject) -> JsonObject:
    """What a v2 revision asks for in v3's words."""
    names = {"pinned": "keepForever", "published": "published", "publishAuto": "publishAuto"}
    names["publishedOutsideDomain"] = "publishedOutsideDomain"
    return {v3: body[v2] for v2, v3 in names.items() if v2 in body}


def change_resource(v3: JsonObject, number: int, file: JsonObject | None, site: Site) -> JsonObject:
    """The v2 resource of a change; `file` is the v2 resource of the file as it is now, None where it is gone."""
    resource: JsonObject = {
        "kind": "drive#change",
        "type": "file",
        "changeType": "file",
        "id": str(number),
        "selfLink": site.link("changes", str(number)),
        "fileId": v3["fileId"],
        "deleted": v3["removed"],
        "modificationDate": v3["time"],
    }
    return resource | ({"file": file} if file is not None else {})


def about_resource(v3: JsonObject, site: Site, largest_change: int) -> JsonObject:
    """The v2 resource of the account, from the v3 one with `user`, `storageQuota`, `maxUploadSize` and formats."""
    quota, user = v3["storageQuota"], v3["user"]
    resource: JsonObject = {
        "kind": "drive#about",
        "etag": f'"about/{largest_change}/{quota["usage"]}"',
        "selfLink": site.link("about"),
        "name": user["displayName"],
        "user": user_resource(user),
        "permissionId": user["permissionId"],
        "rootFolderId": site.root_id,
        "quotaBytesUsed": quota["usageInDrive"],
        "quotaBytesUsedAggregate": quota["usage"],
        "quotaBytesUsedInTrash": quota["usageInDriveTrash"],
        "quotaType": "LIMITED" if "limit" in quota else "UNLIMITED",
        "quotaBytesTotal": quota.get("limit", "0"),
        "quotaBytesByService": [{"serviceName": "DRIVE", "bytesUsed": quota["usageInDrive"]}],
        "largestChangeId": str(largest_change),
        "remainingChangeIds": "9223372036854775807",
        "isCurrentAppInstalled": True,
        "languageCode": "en-US",
        "domainSharingPolicy": "allowed",
        "maxUploadSizes": [{"type": "*", "size": v3["maxUploadSize"]}],
    }
    for name in ("importFormats", "exportFormats"):
        formats: dict[str, list[str]] = v3.get(name, {})
        resource[name] = [{"source": source, "targets": targets} for source, targets in formats.items()]
    return resource
