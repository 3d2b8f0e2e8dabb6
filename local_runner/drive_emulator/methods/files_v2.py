"""The methods of v2's `files`, `children`, `parents` and `properties` that carry no upload.

Source: discovery document v2.
"""

from __future__ import annotations

from urllib.parse import urlencode

from ..context.request_context import Call, checked_body, reply
from ..http.write import Response
from ..model.errors import ApiError, bad_request, file_not_found
from ..model.records import FileRecord, JsonObject
from ..render import file_v2, others_v2
from ..render.file_v3 import file_resource
from ..rules import access, operations
from . import downloads, files_v3, listing, mutations


def get(call: Call) -> Response:
    """A file's metadata, or with `alt=media` its content or that of a revision; 304 where the client has it."""
    record = access.find(call.drive.store, call.viewer, call.args["fileId"], all_drives=call.all_drives)
    if call.params.get("alt") != "media":
        if mutations.is_known(call, record):
            return Response(304, b"", {"ETag": file_v2.etag(record.id, record.version)})
        return call.file(record)
    revision_id = call.params.get("revisionId")
    if revision_id is None:
        return downloads.content(call, record)
    revision = call.drive.store.revision(record.id, revision_id)
    if revision is None:
        raise ApiError(404, "notFound", f"Revision not found: {revision_id}.")
    return downloads.stream(call, revision.content, revision.mime_type)


def files_list(call: Call) -> Response:
    """v2's page of files."""
    found = listing.page(call, size=call.params["maxResults"])
    mask, site = call.mask("FileList"), call.site
    inner = mask.child("items")
    narrow = file_v2.v3_mask(inner)
    view = call.view
    items = [file_v2.file_resource(file_resource(record, view, narrow), site, inner) for record in found.files]
    link = _self_link(call, "files")
    more = {"nextPageToken": found.next_token, "nextLink": others_v2.next_link(link, found.next_token)}
    return reply(mask.apply(others_v2.listing("fileList", items, link, incompleteSearch=False, **more)))


def trash(call: Call) -> Response:
    """Into the bin."""
    return _set_trashed(call, True)


def untrash(call: Call) -> Response:
    """Out of the bin."""
    return _set_trashed(call, False)


def _set_trashed(call: Call, trashed: bool) -> Response:
    record = access.find(call.drive.store, call.viewer, call.args["fileId"], all_drives=call.all_drives)
    mutations.check_etag(call, record)
    return call.file(operations.trash(call.drive, call.viewer, record, trashed))


def touch(call: Call) -> Response:
    """The modification date becomes now."""
    now = {"modifiedTime": call.now}
    record = operations.update(call.drive, call.viewer, call.args["fileId"], now, None, all_drives=call.all_drives)
    return call.file(record)


def delete(call: Call) -> Response:
    """Remove for good, if `If-Match` allows it."""
    record = access.find(call.drive.store, call.viewer, call.args["fileId"], all_drives=call.all_drives)
    mutations.check_etag(call, record)
    return files_v3.delete(call)


def children_list(call: Call) -> Response:
    """What lies in a folder, as references."""
    folder = _record(call, "folderId")
    found = listing.page(call, size=call.params["maxResults"], folder_id=folder.id)
    site, link = call.site, _self_link(call, "files", folder.id, "children")
    items = [others_v2.child_reference(folder.id, record.id, site) for record in found.files]
    more = {"nextPageToken": found.next_token, "nextLink": others_v2.next_link(link, found.next_token)}
    return reply(call.mask("ChildList").apply(others_v2.listing("childList", items, link, **more)))


def children_get(call: Call) -> Response:
    """Whether a file lies in a folder."""
    folder, child = _record(call, "folderId"), _record(call, "childId")
    if folder.id not in child.parents:
        raise file_not_found(child.id)
    reference = others_v2.child_reference(folder.id, child.id, call.site)
    return reply(call.mask("ChildReference").apply(reference))


def children_insert(call: Call) -> Response:
    """Move a file into a folder; it has one parent."""
    child_id = checked_body(2, "ChildReference", call.body()).get("id")
    if not child_id:
        raise bad_request("A child reference needs an id.", reason="required")
    child = _move(call, child_id, call.args["folderId"])
    reference = others_v2.child_reference(child.parents[0], child.id, call.site)
    return reply(call.mask("ChildReference").apply(reference))


def children_delete(call: Call) -> Response:
    """Out of a folder; without any other a file goes to its owner's root."""
    child, folder = _record(call, "childId"), _record(call, "folderId")
    return _leave(call, child, folder.id)


def parents_list(call: Call) -> Response:
    """The folder that a file lies in, as references."""
    record = _record(call, "fileId")
    site, link = call.site, _self_link(call, "files", record.id, "parents")
    items = [file_v2.parent_reference(record.id, parent, site) for parent in record.parents]
    return reply(call.mask("ParentList").apply(others_v2.listing("parentList", items, link)))


def parents_get(call: Call) -> Response:
    """Whether a folder is a file's parent."""
    record = _record(call, "fileId")
    parent = call.viewer.resolve(call.args["parentId"])
    if parent not in record.parents:
        raise file_not_found(parent)
    return reply(call.mask("ParentReference").apply(file_v2.parent_reference(record.id, parent, call.site)))


def parents_insert(call: Call) -> Response:
    """Move a file into a folder."""
    parent = checked_body(2, "ParentReference", call.body()).get("id")
    if not parent:
        raise bad_request("A parent reference needs an id.", reason="required")
    record = _move(call, call.args["fileId"], parent)
    reference = file_v2.parent_reference(record.id, record.parents[0], call.site)
    return reply(call.mask("ParentReference").apply(reference))


def parents_delete(call: Call) -> Response:
    """Out of a folder; without any other a file goes to its owner's root."""
    return _leave(call, _record(call, "fileId"), call.viewer.resolve(call.args["parentId"]))


def _move(call: Call, file_id: str, folder_id: str) -> FileRecord:
    return operations.update(call.drive, call.viewer, file_id, {}, None, add=folder_id, all_drives=call.all_drives)


def _leave(call: Call, record: FileRecord, folder_id: str) -> Response:
    if folder_id not in record.parents:
        raise file_not_found(folder_id)
    operations.update(call.drive, call.viewer, record.id, {}, None, remove=folder_id, all_drives=call.all_drives)
    return Response(204)


_MAPS = {"PUBLIC": "properties", "PRIVATE": "appProperties"}


def properties_list(call: Call) -> Response:
    """The public properties and the app's own."""
    record = _record(call, "fileId")
    maps = (("PUBLIC", record.properties), ("PRIVATE", record.app_properties.get(call.viewer.client_id, {})))
    items = [
        file_v2.property_resource(record.id, key, value, visibility, call.site)
        for visibility, own in maps
        for key, value in own.items()
    ]
    link = _self_link(call, "files", record.id, "properties")
    return reply(call.mask("PropertyList").apply(others_v2.listing("propertyList", items, link)))


def properties_get(call: Call) -> Response:
    """One property; private unless `visibility` says otherwise."""
    return _property(call, _record(call, "fileId"), call.args["propertyKey"], _visibility(call))


def properties_insert(call: Call) -> Response:
    """Set a property."""
    body = checked_body(2, "Property", call.body())
    return _set_property(call, body, body.get("key"), body.get("visibility") or "PRIVATE")


def properties_update(call: Call) -> Response:
    """A property's new value; patch and update are the same for a resource with one value."""
    body = checked_body(2, "Property", call.body())
    return _set_property(call, body, call.args["propertyKey"], body.get("visibility") or _visibility(call))


def properties_delete(call: Call) -> Response:
    """Clear a property."""
    record, key, visibility = _record(call, "fileId"), call.args["propertyKey"], _visibility(call)
    _property(call, record, key, visibility)
    clear: JsonObject = {_MAPS[visibility]: {key: None}}
    operations.update(call.drive, call.viewer, record.id, clear, None, all_drives=True)
    return Response(204)


def _set_property(call: Call, body: JsonObject, key: str | None, visibility: str) -> Response:
    if not key or visibility not in _MAPS:
        raise bad_request("Invalid property: it needs a key, and the visibility PRIVATE or PUBLIC.", reason="invalid")
    change: JsonObject = {_MAPS[visibility]: {key: body.get("value") or ""}}
    record = operations.update(call.drive, call.viewer, call.args["fileId"], change, None, all_drives=True)
    return _property(call, record, key, visibility)


def _visibility(call: Call) -> str:
    given = str(call.params.get("visibility") or "PRIVATE").upper()
    if given not in _MAPS:
        raise bad_request("Invalid visibility: PRIVATE or PUBLIC.", reason="invalid")
    return given


def _property(call: Call, record: FileRecord, key: str, visibility: str) -> Response:
    own = record.properties if visibility == "PUBLIC" else record.app_properties.get(call.viewer.client_id, {})
    if key not in own:
        raise ApiError(404, "notFound", f"Property not found: key = {key} and visibility = {visibility}.")
    resource = file_v2.property_resource(record.id, key, own[key], visibility, call.site)
    return reply(call.mask("Property").apply(resource))


def _record(call: Call, name: str) -> FileRecord:
    """The file that a placeholder of the path names; these methods of v2 know shared drives unasked."""
    return access.find(call.drive.store, call.viewer, call.args[name], all_drives=True)


def _self_link(call: Call, *path: str) -> str:
    query = {name: values[0] for name, values in call.request.query.items() if name != "pageToken"}
    return call.site.link(*path) + (f"?{urlencode(query)}" if query else "")
