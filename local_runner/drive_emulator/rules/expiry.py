"""What goes by itself when its time has come: the bin's files, sessions, access tokens, grants that end."""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from ..storage.state import Drive
from . import operations

BIN_DAYS = 30
"""Source: Google Drive Help, "Delete a file": items in the bin are deleted after 30 days."""
DAY_MS = 24 * 3600 * 1000
OFTEN_MS = 3600 * 1000
"""At least so often it is looked whether something has to go."""


AGAIN_MS = 1000
"""When it is tried again on a disk that takes nothing."""


def sweep(drive: Drive) -> None:
    """Remove what has to go by now. Cheap unless something is due. On a full disk it stays until there is room."""
    now_ms = drive.clock.now_ms()
    if now_ms < drive.sweep_at_ms:
        return
    try:
        _sweep(drive, now_ms)
    except OSError:
        drive.sweep_at_ms = now_ms + AGAIN_MS


def _sweep(drive: Drive, now_ms: int) -> None:
    with drive.store.transaction() as kept:
        drive.sweep_at_ms = now_ms + OFTEN_MS
        _end_grants(drive, now_ms)
        for record in list(drive.store.files.values()):
            binned_ms = record.trashed_ms if record.explicitly_trashed else None
            if binned_ms is not None and binned_ms + BIN_DAYS * DAY_MS <= now_ms and record.id in drive.store.files:
                operations.erase(drive, record)
        oldest_ms = now_ms - drive.conditions.session_life_s * 1000
        for session in list(drive.store.sessions.values()):
            if session.started_ms < oldest_ms:
                live = drive.live.pop(session.id, None)
                if live is not None:
                    live.end()
                drive.store.delete_session(session.id)
                kept.afterwards.append(partial(drive.blobs.drop_part, session.id))
        for token in list(drive.store.tokens.values()):
            if token.expires_ms is not None and token.expires_ms + DAY_MS <= now_ms:
                drive.store.delete_token(token.token)


def _end_grants(drive: Drive, now_ms: int) -> None:
    for record in list(drive.store.files.values()):
        if not any(one.expires_ms is not None for one in record.permissions):
            continue
        left = tuple(one for one in record.permissions if one.expires_ms is None or one.expires_ms > now_ms)
        if left != record.permissions:
            drive.store.put_file(replace(record, permissions=left, version=record.version + 1), now_ms=now_ms)
        ends = [one.expires_ms for one in left if one.expires_ms is not None]
        drive.sweep_at_ms = min([drive.sweep_at_ms, *ends])
