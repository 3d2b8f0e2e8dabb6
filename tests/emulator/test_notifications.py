"""`watch`: receivers on this machine are told what happened, in order."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from local_runner.drive_emulator import DriveEmulator
from tests.emulator.wire import Api


@dataclass
class Receiver:
    """A web server that keeps the messages it gets; `answers` are its first statuses, 200 after them."""

    messages: queue.Queue[dict[str, str]] = field(default_factory=queue.Queue)
    answers: list[int] = field(default_factory=list)
    url: str = ""

    def next(self) -> dict[str, str]:
        """The next message's headers about the channel."""
        return self.messages.get(timeout=30)

    def state(self) -> str:
        """What the next message says."""
        return self.next()["X-Goog-Resource-State"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on a port of this machine."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = kept.answers.pop(0) if kept.answers else 200
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            if status == 200:
                kept.messages.put({name: value for name, value in self.headers.items() if name.startswith("X-Goog-")})

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Tests print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield kept
    server.shutdown()
    server.server_close()


def watch(api: Api, path: str, receiver: Receiver, **more: Any) -> dict[str, Any]:
    """Open a channel."""
    body = {"id": "one", "type": "web_hook", "address": receiver.url, "token": "mine", **more.pop("channel", {})}
    answer = api.call("POST", f"/drive/v3/{path}/watch", json=body, params=more)
    assert answer.status_code == 200, answer.text
    opened: dict[str, Any] = answer.json()
    return opened


def test_a_files_receiver_is_told_of_everything(api: Api, receiver: Receiver) -> None:
    """sync, update with what changed, trash, untrash, remove; numbers grow, token and resource come along."""
    file = api.multipart({"name": "a"}, b"one").json()["id"]
    opened = watch(api, f"files/{file}", receiver)
    first = receiver.next()
    api.update(file, {"name": "b"})
    renamed = receiver.next()
    api.call("PATCH", f"/upload/drive/v3/files/{file}?uploadType=media", data=b"two")
    content = receiver.next()
    api.update(file, {"trashed": True})
    api.update(file, {"trashed": False})
    api.call("DELETE", f"/drive/v3/files/{file}")

    assert (first["X-Goog-Resource-State"], first["X-Goog-Message-Number"]) == ("sync", "1")
    assert (first["X-Goog-Channel-ID"], first["X-Goog-Channel-Token"]) == ("one", "mine")
    assert (first["X-Goog-Resource-ID"], first["X-Goog-Resource-URI"]) == (opened["resourceId"], opened["resourceUri"])
    assert (renamed["X-Goog-Resource-State"], renamed["X-Goog-Changed"]) == ("update", "properties")
    assert (content["X-Goog-Changed"], content["X-Goog-Message-Number"]) == ("content", "3")
    assert [receiver.state() for _ in range(3)] == ["trash", "untrash", "remove"]


def test_the_feeds_receiver_is_told_that_something_changed(api: Api, drive: DriveEmulator, receiver: Receiver) -> None:
    """A change of somebody else's file isn't this user's; after `stop` nothing comes."""
    start = api.get("changes/startPageToken").json()["startPageToken"]
    opened = watch(api, "changes", receiver, pageToken=start)
    Api(drive, "other@example.com").made({"name": "theirs"})
    api.made({"name": "mine"})
    states = [receiver.state(), receiver.state()]
    stop = {"id": opened["id"], "resourceId": opened["resourceId"]}
    assert api.call("POST", "/drive/v3/channels/stop", json=stop).status_code == 204
    api.made({"name": "after"})
    watch(api, "changes", receiver, pageToken=start, channel={"id": "two"})

    assert states == ["sync", "change"]
    assert receiver.next()["X-Goog-Channel-ID"] == "two"


def test_a_message_is_sent_again_after_a_503(api: Api, receiver: Receiver) -> None:
    """As often as it takes, some times."""
    receiver.answers = [503, 500]

    watch(api, f"files/{api.made({'name': 'a'})['id']}", receiver)

    assert receiver.state() == "sync"
    assert receiver.answers == []


def test_an_expired_channel_is_silent(api: Api, drive: DriveEmulator, receiver: Receiver) -> None:
    """By the emulator's clock."""
    file = api.made({"name": "a"})["id"]
    watch(api, f"files/{file}", receiver)
    drive.set_weather(advance_s=2 * 3600)
    fresh = Api(drive)
    fresh.update(file, {"name": "b"})
    watch(fresh, f"files/{file}", receiver, channel={"id": "two"})

    assert [receiver.next()["X-Goog-Channel-ID"] for _ in range(2)] == ["one", "two"]


@pytest.mark.parametrize("address", ["http://example.com/hook", "http://192.168.1.5/hook", "ftp://127.0.0.1/hook"])
def test_plain_http_is_for_this_machine_only(api: Api, address: str) -> None:
    """Google takes https only; nobody has a certificate for loopback."""
    body = {"id": "one", "type": "web_hook", "address": address}

    answer = api.call("POST", f"/drive/v3/files/{api.made({'name': 'a'})['id']}/watch", json=body)

    assert api.reason(answer) == (400, "push.webhookUrlNotHttps")
