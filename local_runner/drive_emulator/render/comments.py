"""Comments and replies as the resources of v3 and v2.

Source: discovery documents, schemas Comment, Reply and CommentReply.
"""

from __future__ import annotations

from html import escape

from ..model.clock import rfc3339
from ..model.records import Comment, JsonObject, Reply
from .file_v2 import Site, user_resource
from .file_v3 import View


def comment_resource(comment: Comment, view: View, *, deleted: bool) -> JsonObject:
    """v3's resource; with `deleted` its deleted replies are shown, too."""
    resource = {"kind": "drive#comment", **_common(comment, view)}
    if not comment.deleted:
        resource |= {"resolved": comment.resolved}
        resource |= {"anchor": comment.anchor} if comment.anchor is not None else {}
        resource |= {"quotedFileContent": dict(comment.quoted)} if comment.quoted else {}
    shown = [reply for reply in comment.replies if deleted or not reply.deleted]
    return resource | {"replies": [reply_resource(reply, view) for reply in shown]}


def reply_resource(reply: Reply, view: View) -> JsonObject:
    """v3's resource."""
    resource = {"kind": "drive#reply", **_common(reply, view)}
    return resource | ({"action": reply.action} if reply.action and not reply.deleted else {})


def _common(one: Comment | Reply, view: View) -> JsonObject:
    author = view.user(one.author) or {}
    resource: JsonObject = {
        "id": one.id,
        "author": {name: value for name, value in author.items() if name not in {"emailAddress", "permissionId"}},
        "createdTime": rfc3339(one.created_ms),
        "modifiedTime": rfc3339(one.modified_ms),
        "deleted": one.deleted,
    }
    return resource if one.deleted else resource | {"content": one.content, "htmlContent": escape(one.content)}


def comment_v2(v3: JsonObject, file_id: str, title: str, site: Site) -> JsonObject:
    """v2's resource from v3's."""
    resource = _common_v2(v3) | {
        "kind": "drive#comment",
        "commentId": v3["id"],
        "selfLink": site.link("files", file_id, "comments", v3["id"]),
        "fileId": file_id,
        "fileTitle": title,
        "replies": [reply_v2(reply) for reply in v3["replies"]],
    }
    if "resolved" in v3:
        resource["status"] = "resolved" if v3["resolved"] else "open"
    if "anchor" in v3:
        resource["anchor"] = v3["anchor"]
    if "quotedFileContent" in v3:
        resource["context"] = {_CONTEXT[name]: value for name, value in v3["quotedFileContent"].items()}
    return resource


def reply_v2(v3: JsonObject) -> JsonObject:
    """v2's resource from v3's."""
    resource = _common_v2(v3) | {"kind": "drive#commentReply", "replyId": v3["id"]}
    return resource | ({"verb": v3["action"]} if "action" in v3 else {})


def _common_v2(v3: JsonObject) -> JsonObject:
    resource = {name: v3[name] for name in ("content", "htmlContent", "deleted") if name in v3}
    author = user_resource(v3["author"])
    return resource | {"author": author, "createdDate": v3["createdTime"], "modifiedDate": v3["modifiedTime"]}


_CONTEXT = {"mimeType": "type", "value": "value"}


def body_of_v2(body: JsonObject) -> JsonObject:
    """What a v2 comment or reply asks for in v3's words."""
    changes = {_BODY[name]: value for name, value in body.items() if name in _BODY}
    if isinstance(body.get("context"), dict):
        changes["quotedFileContent"] = {v3: body["context"][v2] for v3, v2 in _CONTEXT.items() if v2 in body["context"]}
    return changes


_BODY = {"content": "content", "anchor": "anchor", "verb": "action"}
