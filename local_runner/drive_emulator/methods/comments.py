"""`comments` and `replies` of both versions: remarks on files.

Mentions and assignments are plain text here, and nobody is notified. Source: discovery documents; Drive guide "Manage
comments and replies".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec.structs import replace

from ..context import paging
from ..context.request_context import Call, checked_body, reply
from ..http.write import Response
from ..model.clock import from_rfc3339
from ..model.errors import ApiError, bad_request, invalid_parameter, not_emulated
from ..model.records import Comment, FileRecord, JsonObject, Reply
from ..render import comments as render
from ..render import others_v2
from ..rules import access

One = TypeVar("One", Comment, Reply)


def comments_list(call: Call) -> Response:
    """The comments on a file, the newest first; deleted ones where they are asked for."""
    _require_fields(call)
    record = _file(call, "reader")
    since_ms = _since_ms(call)
    found = [one for one in call.drive.store.comments.get(record.id, ()) if one.modified_ms >= since_ms]
    shown = sorted(_shown(call, found), key=lambda one: -one.created_ms)
    items, token = paging.cut(call, shown, _page_size(call))
    made = [_comment(call, record, one) for one in items]
    if call.version == 2:
        return _listed_v2(call, "commentList", "CommentList", made, token, "files", record.id, "comments")
    answer: JsonObject = {"kind": "drive#commentList", "comments": made}
    return reply(call.mask("CommentList").apply(answer | ({"nextPageToken": token} if token else {})))


def get(call: Call) -> Response:
    """One comment with its replies."""
    _require_fields(call)
    record = _file(call, "reader")
    return _answer(call, record, _find(call, record, deleted=bool(call.params.get("includeDeleted"))))


def create(call: Call) -> Response:
    """A new comment."""
    _require_fields(call)
    body = _body(call)
    now_ms = call.drive.clock.now_ms()
    with call.drive.store.transaction():
        record = _file(call, "commenter")
        if record.is_folder or record.is_shortcut:
            raise not_emulated("comments on folders and shortcuts")
        made = Comment(
            call.drive.ids.comment_id(),
            record.id,
            call.viewer.email,
            _content(body),
            now_ms,
            now_ms,
            anchor=body.get("anchor"),
            quoted={name: value for name, value in (body.get("quotedFileContent") or {}).items() if value is not None},
        )
        call.drive.store.put_comment(made)
    return _answer(call, record, made)


def update(call: Call) -> Response:
    """Other words; only the author may."""
    _require_fields(call)
    body = _body(call)
    with call.drive.store.transaction():
        record = _file(call, "commenter")
        before = _find(call, record)
        _require_author(call, before)
        for name, present in (("anchor", before.anchor), ("quotedFileContent", before.quoted)):
            if body.get(name) is not None and body[name] != present:
                raise not_emulated(f"changing the {name} of a comment")
        changed = replace(before, content=_content(body), modified_ms=call.drive.clock.now_ms())
        call.drive.store.put_comment(changed)
    return _answer(call, record, changed)


def delete(call: Call) -> Response:
    """Take a comment away; its author and the file's owner may."""
    with call.drive.store.transaction():
        record = _file(call, "commenter")
        before = _find(call, record)
        if record.owner != call.viewer.email:
            _require_author(call, before)
        call.drive.store.put_comment(_emptied(call, before))
    return Response(204)


def replies_list(call: Call) -> Response:
    """The replies to a comment, the oldest first."""
    record = _file(call, "reader")
    comment = _find(call, record, deleted=bool(call.params.get("includeDeleted")))
    items, token = paging.cut(call, _shown(call, comment.replies), _page_size(call))
    made = [_reply(call, one) for one in items]
    if call.version == 2:
        path = ("files", record.id, "comments", comment.id, "replies")
        return _listed_v2(call, "commentReplyList", "CommentReplyList", made, token, *path)
    answer: JsonObject = {"kind": "drive#replyList", "replies": made}
    return reply(call.mask("ReplyList").apply(answer | ({"nextPageToken": token} if token else {})))


def reply_get(call: Call) -> Response:
    """One reply."""
    deleted = bool(call.params.get("includeDeleted"))
    comment = _find(call, _file(call, "reader"), deleted=deleted)
    return _answer_reply(call, _find_reply(call, comment, deleted=deleted))


def reply_create(call: Call) -> Response:
    """A new reply; with an `action` it resolves or reopens the comment."""
    body = _body(call, of_reply=True)
    action = body.get("action") or ""
    if action not in {"", "resolve", "reopen"}:
        raise bad_request("Invalid value for: action must be resolve or reopen.", reason="invalid")
    now_ms = call.drive.clock.now_ms()
    with call.drive.store.transaction():
        comment = _find(call, _file(call, "commenter"))
        content = _content(body) if not action or body.get("content") else ""
        made = Reply(call.drive.ids.comment_id(), call.viewer.email, content, now_ms, now_ms, action)
        resolved = action == "resolve" if action else comment.resolved
        replies = (*comment.replies, made)
        call.drive.store.put_comment(replace(comment, replies=replies, resolved=resolved, modified_ms=now_ms))
    return _answer_reply(call, made)


def reply_update(call: Call) -> Response:
    """Other words; only the author may."""
    body = _body(call, of_reply=True)
    with call.drive.store.transaction():
        comment = _find(call, _file(call, "commenter"))
        before = _find_reply(call, comment)
        _require_author(call, before)
        if body.get("action") not in {None, "", before.action}:
            raise not_emulated("changing the action of a reply")
        changed = replace(before, content=_content(body), modified_ms=call.drive.clock.now_ms())
        _put_reply(call, comment, changed)
    return _answer_reply(call, changed)


def reply_delete(call: Call) -> Response:
    """Take a reply away; its author and the file's owner may."""
    with call.drive.store.transaction():
        record = _file(call, "commenter")
        comment = _find(call, record)
        before = _find_reply(call, comment)
        if record.owner != call.viewer.email:
            _require_author(call, before)
        _put_reply(call, comment, _emptied(call, before))
    return Response(204)


def _file(call: Call, role: str) -> FileRecord:
    """These methods know shared drives unasked."""
    record = access.find(call.drive.store, call.viewer, call.args["fileId"], all_drives=True)
    access.require(call.drive.store, call.viewer, record, role)
    return record


def _find(call: Call, record: FileRecord, *, deleted: bool = False) -> Comment:
    wanted = call.args["commentId"]
    found = next((one for one in call.drive.store.comments.get(record.id, ()) if one.id == wanted), None)
    if found is None or (found.deleted and not deleted):
        raise _not_found("Comment", "commentId", wanted)
    return found


def _find_reply(call: Call, comment: Comment, *, deleted: bool = False) -> Reply:
    wanted = call.args["replyId"]
    for one in comment.replies:
        if one.id == wanted and (deleted or not one.deleted):
            return one
    raise _not_found("Reply", "replyId", wanted)


def _not_found(what: str, location: str, wanted: str) -> ApiError:
    message = f"{what} not found: {wanted}."
    return ApiError(404, "notFound", message, location_type="parameter", location=location)


def _put_reply(call: Call, comment: Comment, changed: Reply) -> None:
    replies = tuple(changed if one.id == changed.id else one for one in comment.replies)
    call.drive.store.put_comment(replace(comment, replies=replies, modified_ms=changed.modified_ms))


def _emptied(call: Call, one: One) -> One:
    return replace(one, content="", deleted=True, modified_ms=call.drive.clock.now_ms())


def _shown(call: Call, found: Sequence[One]) -> list[One]:
    return [one for one in found if call.params.get("includeDeleted") or not one.deleted]


def _require_author(call: Call, one: Comment | Reply) -> None:
    if one.author != call.viewer.email:
        message = "The user does not have sufficient permissions for this file."
        raise ApiError(403, "insufficientFilePermissions", message)


def _require_fields(call: Call) -> None:
    """v3 answers `comments` only where `fields` is set. Source: its discovery document."""
    if call.version == 3 and call.params.get("fields") is None:
        message = "The 'fields' parameter is required for this method."
        raise ApiError(400, "required", message, location_type="parameter", location="fields")


def _since_ms(call: Call) -> int:
    name = "startModifiedTime" if call.version == 3 else "updatedMin"
    text = call.params.get(name)
    if not text:
        return 0
    try:
        return from_rfc3339(text)
    except ValueError:
        raise invalid_parameter(name) from None


def _page_size(call: Call) -> int:
    return int(call.params.get("pageSize") or call.params.get("maxResults") or 20)


def _body(call: Call, *, of_reply: bool = False) -> JsonObject:
    schema = ("Reply" if call.version == 3 else "CommentReply") if of_reply else "Comment"
    body = checked_body(call.version, schema, call.body())
    return render.body_of_v2(body) if call.version == 2 else body


def _content(body: JsonObject) -> str:
    content = body.get("content")
    if not content:
        raise bad_request("The content field is required.", reason="required")
    return str(content)


def _comment(call: Call, record: FileRecord, comment: Comment) -> JsonObject:
    made = render.comment_resource(comment, call.view, deleted=bool(call.params.get("includeDeleted")))
    return render.comment_v2(made, record.id, record.name, call.site) if call.version == 2 else made


def _reply(call: Call, one: Reply) -> JsonObject:
    made = render.reply_resource(one, call.view)
    return render.reply_v2(made) if call.version == 2 else made


def _answer(call: Call, record: FileRecord, comment: Comment) -> Response:
    return reply(call.mask("Comment").apply(_comment(call, record, comment)))


def _answer_reply(call: Call, one: Reply) -> Response:
    return reply(call.mask("Reply" if call.version == 3 else "CommentReply").apply(_reply(call, one)))


def _listed_v2(call: Call, kind: str, schema: str, items: list[JsonObject], token: str | None, *path: str) -> Response:
    link = call.site.link(*path)
    more = {"nextPageToken": token, "nextLink": others_v2.next_link(link, token)}
    listed = others_v2.listing(kind, items, link, **more)
    del listed["etag"]
    return reply(call.mask(schema).apply(listed))
