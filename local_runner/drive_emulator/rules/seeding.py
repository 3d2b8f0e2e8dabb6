"""Beginnings: a Drive filled from a local folder, and a Drive emptied again."""

from __future__ import annotations

import mimetypes
from functools import partial
from pathlib import Path

from ..model.clock import rfc3339
from ..model.records import FOLDER, JsonObject, Viewer
from ..oauth.endpoints import CLIENT_ID, DRIVE_SCOPE
from ..storage.state import Drive
from . import operations
from .new_content import Upload

BLOCK_BYTES = 256 * 1024


def fill(drive: Drive, folder: Path, email: str) -> int:
    """Put what lies in a local folder into an account's My Drive, with its modification times; how many files.

    Links are followed, except to folders; what can't be read raises OSError.
    """
    account = drive.store.accounts[email]
    viewer = Viewer(email, account.permission_id, account.root_id, CLIENT_ID, frozenset({DRIVE_SCOPE}))
    made = 0
    waiting = [(folder, account.root_id)]
    while waiting:
        place, parent_id = waiting.pop()
        for path in sorted(place.iterdir()):
            body: JsonObject = {"name": path.name, "parents": [parent_id]}
            if path.is_dir() and not path.is_symlink():
                body["mimeType"] = FOLDER
                waiting.append((path, operations.create(drive, viewer, body, None, all_drives=True).id))
            elif path.is_file():
                body["modifiedTime"] = rfc3339(path.stat().st_mtime_ns // 1_000_000)
                upload = _content(drive, path)
                operations.create(drive, viewer, body, upload, all_drives=True)
                made += 1
    return made


def empty(drive: Drive) -> None:
    """Delete every file, shared drive and session for good; accounts, their tokens and used ids stay."""
    store, now_ms = drive.store, drive.clock.now_ms()
    with store.transaction() as kept_together:
        for session_id in list(store.sessions):
            live = drive.live.pop(session_id, None)
            if live is not None:
                live.end()
            drive.blobs.drop_part(session_id)
            store.delete_session(session_id)
        kept = {account.root_id for account in store.accounts.values()}
        for record in [record for record in store.files.values() if record.id not in kept]:
            for revision in store.revisions.get(record.id, ()):
                store.delete_revision(record.id, revision.id)
                kept_together.afterwards.append(partial(drive.blobs.release, revision.content))
            store.delete_file(record.id, now_ms=now_ms)
        for drive_id in list(store.drives):
            store.delete_drive(drive_id)


def _content(drive: Drive, path: Path) -> Upload:
    part = drive.blobs.part(drive.ids.upload_id(), path.stat().st_size, at_once=True)
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                part.append(memoryview(block))
    except OSError:
        part.discard()
        raise
    content = drive.blobs.adopt(part)
    drive.blobs.drop_part(part.path.name)
    return Upload(content, mimetypes.guess_type(path.name)[0])
