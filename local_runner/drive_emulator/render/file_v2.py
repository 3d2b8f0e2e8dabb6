"""Files as Drive v2 writes them: a v3 resource becomes a v2 resource, a v2 body becomes a v3 body.

v2 is another spelling of the same state: `title` for `name`, `labels`, dates instead of times, references instead of
ids, and an ETag. Only what a mask asks for is made: `v3_mask` says what of the v3 resource that takes. The other
resources are in dialect_v2_others. Source: discovery documents of both versions; the guide "Migrate to Drive API v3".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

from ..model.errors import bad_request
from ..model.records import JsonObject, Mask
from ..schema.discovery import document
from .field_mask import FieldMask

NEVER = "1970-01-01T00:00:00.000Z"


@dataclass(frozen=True, slots=True)
class Site:
    """Where the emulator is ("http://127.0.0.1:9099") and whose root is whose: what links and references need."""

    url: str
    root_id: str

    def link(self, *path: str, **query: str) -> str:
        """An absolute v2 link, each part of the path quoted."""
        tail = "/".join(quote(part, safe="") for part in path)
        return f"{self.url}/drive/v2/{tail}" + (f"?{urlencode(query)}" if query else "")


def etag(file_id: str, version: int | str) -> str:
    """A file's ETag, with its quotes; another one after every change."""
    return f'"{file_id}/{version}"'


def v3_mask(mask: Mask) -> FieldMask:
    """The mask of the v3 resource that holds all that `file_resource` needs for this v2 mask."""
    names: Iterable[str] = _FIELDS if mask.names is None else mask.names & _FIELDS.keys()
    return FieldMask(frozenset(source for name in names for source in _FIELDS[name][0].split()))


def file_resource(v3: JsonObject, site: Site, mask: Mask) -> JsonObject:
    """The v2 resource of a file from its v3 resource (made with `v3_mask`), cut down to the v2 mask."""
    names: Iterable[str] = _FIELDS if mask.names is None else _in_order(mask.names)
    made = ((name, _FIELDS[name][1](v3, site)) for name in names)
    return mask.apply({name: value for name, value in made if value is not None})


@lru_cache(maxsize=1024)
def _in_order(names: frozenset[str]) -> tuple[str, ...]:
    """The fields of that name, always in the same order."""
    return tuple(name for name in _FIELDS if name in names)


def file_body(body: JsonObject) -> JsonObject:
    """What a v2 body asks for in v3's words. What only Drive sets is left out: v2 clients send whole resources back.

    Raises ApiError (400) for a property without key or with an unknown visibility.
    """
    changed = {v3: body[v2] for v2, v3 in _WRITABLE.items() if v2 in body}
    labels = body.get("labels") or {}
    changed |= {v3: labels[v2] for v2, v3 in _LABELS.items() if v2 in labels}
    if "parents" in body:
        if not all(parent.get("id") for parent in body["parents"] or ()):
            raise bad_request("A parent reference needs an id.", reason="required")
        changed["parents"] = [parent["id"] for parent in body["parents"] or ()]
    if "properties" in body:
        changed |= _property_maps(body["properties"] or ())
    hints = {name: body[name] for name in ("indexableText", "thumbnail") if name in body}
    return changed | ({"contentHints": hints} if hints else {})


def moves(wanted: Iterable[str], present: Iterable[str]) -> tuple[str, str]:
    """v3's `addParents` and `removeParents` that lead from the present parents to the wanted ones."""
    add = [parent for parent in wanted if parent not in set(present)]
    remove = [parent for parent in present if parent not in set(wanted)]
    return ",".join(add), ",".join(remove)


def property_resource(file_id: str, key: str, value: str, visibility: str, site: Site) -> JsonObject:
    """The v2 resource of one property; visibility is PUBLIC or PRIVATE."""
    return {
        "kind": "drive#property",
        "etag": f'"{key}/{value}"',
        "selfLink": site.link("files", file_id, "properties", key, visibility=visibility),
        "key": key,
        "value": value,
        "visibility": visibility,
    }


def parent_reference(file_id: str, parent_id: str, site: Site) -> JsonObject:
    """The v2 resource that says in which folder a file lies."""
    return {
        "kind": "drive#parentReference",
        "id": parent_id,
        "selfLink": site.link("files", file_id, "parents", parent_id),
        "parentLink": site.link("files", parent_id),
        "isRoot": parent_id == site.root_id,
    }


def user_resource(v3: JsonObject | None) -> JsonObject | None:
    """The v2 resource of a person."""
    return v3 and {("isAuthenticatedUser" if name == "me" else name): value for name, value in v3.items()}


def own_permission(v3: JsonObject, site: Site) -> JsonObject:
    """What the viewer may do with a file, as the permission with the id `me`."""
    role = _role(v3.get("capabilities", {}), v3.get("ownedByMe", False))
    more = {"additionalRoles": ["commenter"]} if role == "commenter" else {}
    return {
        "kind": "drive#permission",
        "etag": f'"{v3["id"]}/me/{role}"',
        "id": "me",
        "selfLink": site.link("files", v3["id"], "permissions", "me"),
        "role": "reader" if more else role,
        "type": "user",
    } | more


def permission_resource(v3: JsonObject, file_id: str, site: Site) -> JsonObject:
    """The v2 resource of a grant: a commenter is a reader with an additional role."""
    role = v3["role"]
    resource: JsonObject = {
        "kind": "drive#permission",
        "etag": f'"{file_id}/{v3["id"]}/{role}"',
        "id": v3["id"],
        "selfLink": site.link("files", file_id, "permissions", v3["id"]),
        "type": v3["type"],
        "role": "reader" if role == "commenter" else role,
    }
    if role == "commenter":
        resource["additionalRoles"] = ["commenter"]
    renamed = {"displayName": "name", "expirationTime": "expirationDate"}
    same = ("emailAddress", "domain", "deleted", "pendingOwner")
    resource |= {new: v3[old] for old, new in (renamed | dict(zip(same, same, strict=True))).items() if old in v3}
    if "allowFileDiscovery" in v3:
        resource["withLink"] = not v3["allowFileDiscovery"]
    return resource


def _role(capabilities: Mapping[str, bool], owned: bool) -> str:
    if owned:
        return "owner"
    if capabilities.get("canEdit"):
        return "writer"
    return "commenter" if capabilities.get("canComment") else "reader"


def _property_maps(properties: Iterable[JsonObject]) -> JsonObject:
    """v3's two maps from v2's list; a property without value is one to clear."""
    maps: JsonObject = {}
    for given in properties:
        visibility = given.get("visibility") or "PRIVATE"
        if not given.get("key") or visibility not in {"PRIVATE", "PUBLIC"}:
            raise bad_request(
                "Invalid property: it needs a key, and the visibility PRIVATE or PUBLIC.", reason="invalid"
            )
        maps.setdefault("appProperties" if visibility == "PRIVATE" else "properties", {})[given["key"]] = given.get(
            "value"
        )
    return maps


def _properties(v3: JsonObject, site: Site) -> list[JsonObject] | None:
    pairs = (("properties", "PUBLIC"), ("appProperties", "PRIVATE"))
    made = [
        property_resource(v3["id"], key, value, visibility, site)
        for name, visibility in pairs
        for key, value in v3.get(name, {}).items()
    ]
    return made or None


def _labels(v3: JsonObject, site: Site) -> JsonObject:
    return {
        "starred": v3.get("starred", False),
        "hidden": False,
        "trashed": v3.get("trashed", False),
        "restricted": v3.get("copyRequiresWriterPermission", False),
        "viewed": v3.get("viewedByMe", False),
    }


def _capabilities(v3: JsonObject, site: Site) -> JsonObject:
    """Those that v2 knows."""
    known = document(2).schema("File").fields["capabilities"].fields
    return {name: value for name, value in v3.get("capabilities", {}).items() if name in known}


def _may(capability: str) -> Make:
    return lambda v3, site: v3.get("capabilities", {}).get(capability, False)


def _same(name: str) -> Make:
    return lambda v3, site: v3.get(name)


def _user(name: str) -> Make:
    return lambda v3, site: user_resource(v3.get(name))


Make = Callable[[JsonObject, Site], Any]
_SAME_NAMES = (
    "id mimeType description iconLink version fileExtension fullFileExtension originalFilename md5Checksum sha1Checksum"
    " sha256Checksum quotaBytesUsed ownedByMe writersCanShare shared explicitlyTrashed headRevisionId spaces"
    " copyRequiresWriterPermission driveId teamDriveId hasAugmentedPermissions hasThumbnail thumbnailVersion"
    " thumbnailLink permissionIds folderColorRgb shortcutDetails exportLinks isAppAuthorized linkShareMetadata"
    " resourceKey inheritedPermissionsDisabled webContentLink contentRestrictions imageMediaMetadata"
    " videoMediaMetadata"
).split()
_RENAMED = {
    "title": "name",
    "fileSize": "size",
    "alternateLink": "webViewLink",
    "createdDate": "createdTime",
    "modifiedDate": "modifiedTime",
    "modifiedByMeDate": "modifiedByMeTime",
    "lastViewedByMeDate": "viewedByMeTime",
    "sharedWithMeDate": "sharedWithMeTime",
    "trashedDate": "trashedTime",
}
_FIELDS: Mapping[str, tuple[str, Make]] = {
    **{name: (name, _same(name)) for name in _SAME_NAMES},
    **{v2: (v3, _same(v3)) for v2, v3 in _RENAMED.items()},
    "kind": ("", lambda v3, site: "drive#file"),
    "etag": ("id version", lambda v3, site: etag(v3["id"], v3["version"])),
    "selfLink": ("id", lambda v3, site: site.link("files", v3["id"])),
    "embedLink": ("id", lambda v3, site: f"https://drive.google.com/file/d/{v3['id']}/preview?usp=drivesdk"),
    "downloadUrl": (
        "id md5Checksum",
        lambda v3, site: site.link("files", v3["id"], alt="media") if "md5Checksum" in v3 else None,
    ),
    "labels": ("starred trashed copyRequiresWriterPermission viewedByMe", _labels),
    "markedViewedByMeDate": ("", lambda v3, site: NEVER),
    "parents": (
        "id parents",
        lambda v3, site: [parent_reference(v3["id"], parent, site) for parent in v3.get("parents", ())],
    ),
    "properties": ("id properties appProperties", _properties),
    "owners": ("owners", lambda v3, site: [user_resource(owner) for owner in v3.get("owners", ())] or None),
    "ownerNames": ("owners", lambda v3, site: [owner["displayName"] for owner in v3.get("owners", ())] or None),
    "lastModifyingUser": ("lastModifyingUser", _user("lastModifyingUser")),
    "lastModifyingUserName": (
        "lastModifyingUser",
        lambda v3, site: v3.get("lastModifyingUser", {}).get("displayName"),
    ),
    "sharingUser": ("sharingUser", _user("sharingUser")),
    "trashingUser": ("trashingUser", _user("trashingUser")),
    "userPermission": ("id capabilities ownedByMe", own_permission),
    "permissions": (
        "id permissions",
        lambda v3, site: [permission_resource(grant, v3["id"], site) for grant in v3.get("permissions", ())] or None,
    ),
    "editable": ("capabilities", _may("canEdit")),
    "copyable": ("capabilities", _may("canCopy")),
    "shareable": ("capabilities", _may("canShare")),
    "canComment": ("capabilities", _may("canComment")),
    "canReadRevisions": ("capabilities", _may("canReadRevisions")),
    "capabilities": ("capabilities", _capabilities),
    "appDataContents": ("spaces", lambda v3, site: "appDataFolder" in v3.get("spaces", ())),
}
"""v2 field -> the v3 fields it takes, and how it is made of them (None: it doesn't apply)."""

_WRITABLE = {
    **{v2: _RENAMED[v2] for v2 in ("title", "createdDate", "modifiedDate", "lastViewedByMeDate")},
    **{
        name: name
        for name in (
            "id mimeType description originalFilename writersCanShare copyRequiresWriterPermission folderColorRgb"
            " shortcutDetails contentRestrictions inheritedPermissionsDisabled"
        ).split()
    },
}
_LABELS = {"starred": "starred", "trashed": "trashed", "restricted": "copyRequiresWriterPermission"}
