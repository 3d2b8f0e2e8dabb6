"""The bin: what happens to a file that is put in it or taken out, and to everything below."""

from __future__ import annotations

from msgspec.structs import replace

from ..model.records import FileRecord
from ..storage.store import Store


def set_trashed(store: Store, record: FileRecord, trashed: bool, *, by: str, now_ms: int) -> FileRecord:
    """Put a file in the bin or take it out; what lies below follows. Call with the store's lock held.

    Below a folder that leaves the bin, what is in the bin by itself stays there, with all that lies in it.
    """
    above_trashed = any(above.explicitly_trashed for above in store.ancestors(record))
    changed = replace(
        record,
        explicitly_trashed=trashed,
        trashed=trashed or above_trashed,
        trashed_ms=now_ms if trashed else None,
        trashed_by=by if trashed else None,
        version=record.version + 1,
    )
    store.put_file(changed, now_ms=now_ms)
    spread_trashed(store, changed)
    return changed


def spread_trashed(store: Store, folder: FileRecord) -> None:
    """Bring the `trashed` flag of everything below into line with a folder that was trashed, restored or moved."""
    for child in store.children(folder.id):
        expected = child.explicitly_trashed or folder.trashed
        if child.trashed != expected:
            store.put_silently(replace(child, trashed=expected, version=child.version + 1))
            if child.is_folder:
                spread_trashed(store, store.files[child.id])
