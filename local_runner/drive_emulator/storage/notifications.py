"""Notification channels, and the messages that go out when what they watch changes.

A message is a POST without a body; its headers say which channel, which resource and what happened. One thread sends
them in order, and again after 500, 502, 503 and 504, as Google does. Only receivers on this machine or in its network
are sent to: a tool for tests calls nobody on the internet. Source: Drive guide "Notifications for resource changes".
"""

from __future__ import annotations

import http.client
import ipaddress
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import urlsplit

from ..model.records import Change, FileRecord
from .store import Store

TRIES = 4
PAUSE_S = 0.5
TIMEOUT_S = 10
_AGAIN = frozenset({500, 502, 503, 504})
_LOCAL_ENDINGS = (".localhost", ".test", ".internal")


@dataclass(slots=True)
class Channel:
    """Who is told of what. `file_id` None watches the feed of changes of `email`."""

    id: str
    resource_id: str
    resource_uri: str
    address: str
    token: str
    expires_ms: int
    email: str
    file_id: str | None
    seen: FileRecord | None
    """The file as it was at the last message."""
    messages: int = 0


def is_local(address: str) -> bool:
    """Whether a receiver's URL leads to this machine or its own network."""
    host = (urlsplit(address).hostname or "").lower()
    try:
        found = ipaddress.ip_address(host)
        return found.is_private and not found.is_link_local
    except ValueError:
        return bool(host) and ("." not in host or host.endswith(_LOCAL_ENDINGS))


def is_loopback(address: str) -> bool:
    """Whether a receiver's URL leads to this very machine, where nobody can have a certificate."""
    host = (urlsplit(address).hostname or "").lower()
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@dataclass(slots=True)
class Notifier:
    """The open channels of a Drive and the thread that sends their messages."""

    channels: dict[str, Channel] = field(default_factory=dict)
    told: int = 0
    """The number of the last change that was looked at."""
    _waiting: queue.SimpleQueue[tuple[str, dict[str, str]] | None] = field(default_factory=queue.SimpleQueue)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sender: threading.Thread | None = None

    def open(self, channel: Channel, store: Store) -> None:
        """A new channel; its first message says `sync`."""
        with self._lock:
            if not self.channels:
                self.told = store.changes[-1].number if store.changes else 0
            self.channels[channel.id] = channel
            self._send(channel, "sync", {})

    def look(self, store: Store, now_ms: int) -> None:
        """Send messages for what changed since the last look; costs nothing while no channel is open."""
        if not self.channels:
            return
        with self._lock:
            fresh: list[Change] = []
            for change in reversed(store.changes):
                if change.number <= self.told:
                    break
                fresh.append(change)
            self.told = fresh[0].number if fresh else self.told
            for channel in [one for one in self.channels.values() if one.expires_ms <= now_ms]:
                del self.channels[channel.id]
            for channel in self.channels.values():
                self._tell(channel, [change for change in reversed(fresh) if _concerns(channel, change)], store)

    def close(self) -> None:
        """Send nothing more."""
        self.channels.clear()
        self._waiting.put(None)

    def _tell(self, channel: Channel, changes: list[Change], store: Store) -> None:
        if not changes:
            return
        if channel.file_id is None:
            self._send(channel, "change", {})
            return
        before, now = channel.seen, store.files.get(channel.file_id)
        channel.seen = now
        if now is None:
            self._send(channel, "remove", {})
        elif before is not None and before.trashed != now.trashed:
            self._send(channel, "trash" if now.trashed else "untrash", {})
        else:
            self._send(channel, "update", {"X-Goog-Changed": _changed(before, now)})

    def _send(self, channel: Channel, state: str, more: Mapping[str, str]) -> None:
        if not is_local(channel.address):
            return
        channel.messages += 1
        headers = {
            "X-Goog-Channel-ID": channel.id,
            "X-Goog-Message-Number": str(channel.messages),
            "X-Goog-Resource-ID": channel.resource_id,
            "X-Goog-Resource-State": state,
            "X-Goog-Resource-URI": channel.resource_uri,
            "X-Goog-Channel-Expiration": formatdate(channel.expires_ms / 1000, usegmt=True),
            **({"X-Goog-Channel-Token": channel.token} if channel.token else {}),
            **more,
        }
        if self._sender is None:
            self._sender = threading.Thread(target=self._run, daemon=True, name="drive-notifications")
            self._sender.start()
        self._waiting.put((channel.address, headers))

    def _run(self) -> None:
        while (message := self._waiting.get()) is not None:
            for attempt in range(TRIES):
                if _delivered(*message):
                    break
                time.sleep(PAUSE_S * 2**attempt)


def _concerns(channel: Channel, change: Change) -> bool:
    if channel.file_id is not None:
        return change.file_id == channel.file_id
    return channel.email in change.viewers


def _changed(before: FileRecord | None, now: FileRecord) -> str:
    """What `X-Goog-Changed` says of an update: content, parents, children, permissions, properties."""
    if before is None:
        return "properties"
    kinds = {
        "content": before.head_revision_id != now.head_revision_id,
        "parents": before.parents != now.parents,
        "permissions": before.permissions != now.permissions,
    }
    return ",".join(kind for kind, differs in kinds.items() if differs) or "properties"


def _delivered(address: str, headers: Mapping[str, str]) -> bool:
    """Whether the receiver took a message, or refused it in a way that no repetition mends."""
    target = urlsplit(address)
    kind = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(target.hostname or "", target.port, timeout=TIMEOUT_S)
        try:
            connection.request(
                "POST", target.path + (f"?{target.query}" if target.query else "") or "/", b"", {**headers}
            )
            return connection.getresponse().status not in _AGAIN
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False
