"""Comments on files and replies to them, in both versions."""

from pathlib import Path
from typing import Any

import pytest

from local_runner.drive_emulator import DriveEmulator
from local_runner.drive_emulator.schema.conformance import validate
from tests.emulator.wire import Api

OTHER = "other@example.com"


def _comment(api: Api, file_id: str, content: str = "Why?", **more: Any) -> dict[str, Any]:
    path = f"/drive/v3/files/{file_id}/comments"
    answer = api.call("POST", path, params={"fields": "*"}, json={"content": content, **more})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_a_comment_lives_and_dies(api: Api) -> None:
    """It is made, read, listed, changed and deleted; what is deleted shows, without content, to who asks for it."""
    file_id = api.made({"name": "a"})["id"]
    quoted = {"mimeType": "text/plain", "value": "is"}

    first = _comment(api, file_id, "is <b> it?", quotedFileContent=quoted, anchor="{}")
    second = _comment(api, file_id)
    path = f"/drive/v3/files/{file_id}/comments"
    changed = api.call("PATCH", f"{path}/{first['id']}", params={"fields": "*"}, json={"content": "No."}).json()
    listed = api.get(f"files/{file_id}/comments", fields="comments(id,content)").json()["comments"]
    pages = [api.get(f"files/{file_id}/comments", fields="*", pageSize=1).json()]
    pages.append(api.get(f"files/{file_id}/comments", fields="*", pageToken=pages[0]["nextPageToken"]).json())
    deleted = api.call("DELETE", f"{path}/{second['id']}")

    assert validate(3, "Comment", first) == validate(3, "CommentList", pages[0]) == []
    assert (first["content"], first["htmlContent"]) == ("is <b> it?", "is &lt;b&gt; it?")
    assert (first["quotedFileContent"], first["anchor"], first["resolved"]) == (quoted, "{}", False)
    assert first["author"] == {"kind": "drive#user", "displayName": "User", "me": True}
    assert changed == first | {"content": "No.", "htmlContent": "No.", "modifiedTime": changed["modifiedTime"]}
    assert {one["id"]: one["content"] for one in listed} == {first["id"]: "No.", second["id"]: "Why?"}
    assert {one["id"] for page in pages for one in page["comments"]} == {first["id"], second["id"]}
    assert deleted.status_code == 204
    assert [one["id"] for one in api.get(f"files/{file_id}/comments", fields="*").json()["comments"]] == [first["id"]]
    assert api.get(f"files/{file_id}/comments/{second['id']}", fields="*").status_code == 404
    gone = api.get(f"files/{file_id}/comments/{second['id']}", fields="*", includeDeleted=True).json()
    assert gone["deleted"] is True
    assert "content" not in gone


def test_replies_resolve_and_reopen(api: Api) -> None:
    """A reply may resolve its comment, another reopen it; replies are changed and deleted like comments."""
    file_id = api.made({"name": "a"})["id"]
    comment = _comment(api, file_id)
    place = f"files/{file_id}/comments/{comment['id']}"

    def reply(body: dict[str, str]) -> dict[str, Any]:
        made: dict[str, Any] = api.call("POST", f"/drive/v3/{place}/replies", params={"fields": "*"}, json=body).json()
        return made

    said = reply({"content": "Because."})
    done = reply({"action": "resolve"})
    assert api.get(place, fields="resolved").json() == {"resolved": True}
    reply({"action": "reopen", "content": "Not yet."})
    assert api.get(place, fields="resolved").json() == {"resolved": False}
    one = f"/drive/v3/{place}/replies/{said['id']}"
    changed = api.call("PATCH", one, params={"fields": "*"}, json={"content": "So."}).json()
    assert api.call("DELETE", f"/drive/v3/{place}/replies/{done['id']}").status_code == 204

    assert validate(3, "Reply", said) == []
    assert changed["content"] == "So."
    assert api.get(f"{place}/replies/{said['id']}").json() == changed
    assert [one["content"] for one in api.get(f"{place}/replies").json()["replies"]] == ["So.", "Not yet."]
    assert len(api.get(f"{place}/replies", includeDeleted=True).json()["replies"]) == 3
    shown = api.get(place, fields="modifiedTime,replies(content)").json()
    assert shown["replies"] == [{"content": "So."}, {"content": "Not yet."}]
    later = "9999-01-01T00:00:00Z"
    assert api.get(f"files/{file_id}/comments", fields="*", startModifiedTime=later).json()["comments"] == []


def test_who_may_comment_edit_and_delete(drive: DriveEmulator, api: Api) -> None:
    """Readers read, commenters comment, authors alone edit, owners delete what others wrote; strangers see nothing."""
    file_id = api.made({"name": "a"})["id"]
    other = Api(drive, OTHER)
    path = f"/drive/v3/files/{file_id}/comments"
    send = {"params": {"fields": "*"}, "json": {"content": "x"}}
    assert other.call("GET", path, params={"fields": "*"}).status_code == 404

    grants = f"/drive/v3/files/{file_id}/permissions"
    grant = api.call("POST", grants, json={"type": "user", "role": "reader", "emailAddress": OTHER}).json()
    mine = _comment(api, file_id)
    assert other.call("GET", path, params={"fields": "*"}).json()["comments"][0]["id"] == mine["id"]
    assert other.reason(other.call("POST", path, **send)) == (403, "insufficientFilePermissions")
    api.call("PATCH", f"{grants}/{grant['id']}", json={"role": "commenter"})
    theirs = _comment(other, file_id)

    for method in ("PATCH", "DELETE"):
        refused = other.call(method, f"{path}/{mine['id']}", **send)
        assert other.reason(refused) == (403, "insufficientFilePermissions")
    assert api.call("PATCH", f"{path}/{theirs['id']}", **send).status_code == 403
    assert api.call("DELETE", f"{path}/{theirs['id']}").status_code == 204


@pytest.mark.parametrize(
    ("method", "path", "params", "body", "expected"),
    [
        ("GET", "comments", {}, None, (400, "required")),
        ("POST", "comments", {}, {"content": "x"}, (400, "required")),
        ("POST", "comments", {"fields": "*"}, {}, (400, "required")),
        ("GET", "comments", {"fields": "*", "startModifiedTime": "now"}, None, (400, "invalid")),
        ("GET", "comments/x", {"fields": "*"}, None, (404, "notFound")),
        ("POST", "comments/{}/replies", {}, {}, (400, "required")),
        ("POST", "comments/{}/replies", {}, {"action": "explode"}, (400, "invalid")),
        ("GET", "comments/{}/replies/x", {}, None, (404, "notFound")),
        ("PATCH", "comments/{}", {"fields": "*"}, {"content": "x", "anchor": "y"}, (501, "notImplemented")),
    ],
)
def test_what_is_wrong_is_refused(
    api: Api, method: str, path: str, params: dict[str, str], body: Any, expected: tuple[int, str]
) -> None:
    """Missing `fields` and content, unknown ids and actions, and what isn't emulated."""
    file_id = api.made({"name": "a"})["id"]
    comment_id = _comment(api, file_id)["id"]

    answer = api.call(method, f"/drive/v3/files/{file_id}/{path.format(comment_id)}", params=params, json=body)

    assert api.reason(answer) == expected


def test_the_same_in_v2(api: Api) -> None:
    """v2's words for it: status, verb, context, and links; `fields` may be left out."""
    file_id = api.made({"name": "a"})["id"]
    path = f"/drive/v2/files/{file_id}/comments"

    made = api.call("POST", path, json={"content": "Why?", "context": {"type": "text/plain", "value": "is"}}).json()
    one = f"{path}/{made['commentId']}"
    said = api.call("POST", f"{one}/replies", json={"content": "So.", "verb": "resolve"}).json()
    shown = api.call("GET", one).json()
    listed = api.call("GET", path).json()
    replies = api.call("GET", f"{one}/replies").json()
    put = api.call("PUT", one, json=shown | {"content": "How?"}).json()

    for schema, resource in (
        ("Comment", made),
        ("CommentReply", said),
        ("Comment", shown),
        ("CommentList", listed),
        ("CommentReplyList", replies),
    ):
        assert validate(2, schema, resource) == []
    assert (made["status"], shown["status"], said["verb"]) == ("open", "resolved", "resolve")
    assert made["context"] == {"type": "text/plain", "value": "is"}
    assert (shown["fileId"], shown["fileTitle"]) == (file_id, "a")
    assert put["content"] == "How?"
    assert api.call("DELETE", one).status_code == 204
    assert api.call("GET", path).json()["items"] == []


def test_comments_survive_a_restart_and_go_with_their_file(tmp_path: Path) -> None:
    """They are in the journal, and in none once their file is deleted for good."""
    with DriveEmulator(tmp_path) as drive:
        api = Api(drive)
        file_id, other_id = api.made({"name": "a"})["id"], api.made({"name": "b"})["id"]
        kept = _comment(api, file_id, quotedFileContent={"mimeType": None, "value": "v"})
        _comment(api, other_id)
        api.call("DELETE", f"/drive/v3/files/{other_id}")
        assert set(drive.drive.store.comments) == {file_id}

    with DriveEmulator(tmp_path) as drive:
        assert Api(drive).get(f"files/{file_id}/comments", fields="*").json()["comments"] == [kept]
        assert set(drive.drive.store.comments) == {file_id}
