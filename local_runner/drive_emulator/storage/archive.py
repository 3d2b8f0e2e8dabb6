"""A whole state as one file: saved by one emulator, loaded by another.

A tar file (gzip) that holds a data folder: `journal.jsonl` and `content/`, as store and blobs keep them. Unfinished
uploads are left out. It holds tokens and, of service accounts, public keys: it is made readable by its owner only.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath

from .state import Drive

MODE = 0o600


def save(drive: Drive, file: Path) -> None:
    """Write the state into a file, replacing it when it is whole; writers wait meanwhile."""
    fresh = file.with_name(file.name + ".new")
    with tempfile.TemporaryDirectory(prefix="drive-emulator-") as aside, drive.store.lock:
        drive.store.save(Path(aside))
        fresh.unlink(missing_ok=True)
        with (
            open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "wb") as out,
            tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive,
        ):
            archive.add(Path(aside) / "journal.jsonl", "journal.jsonl")
            archive.add(drive.folder / "content", "content")
    fresh.replace(file)


def load(file: Path, folder: Path) -> None:
    """Unpack a saved state into an empty or new folder; raises ValueError for another file or a folder in use."""
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} holds something already: a state is loaded into an empty folder.")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(file) as archive:
            if "journal.jsonl" not in archive.getnames():
                raise ValueError(f"{file} is no saved state of a Drive emulator.")
            _unpack(archive, folder)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{file} is no saved state of a Drive emulator, or a damaged one.") from error


def _unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """The files, as new ones of ours below the folder. Debian's Python 3.11.2 has no filters for `extractall`."""
    for member in archive:
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts:
            raise tarfile.TarError(f"{member.name} would lie outside.")
        content = archive.extractfile(member) if member.isfile() else None
        if content is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with content, open(folder / name, "xb") as out:
                shutil.copyfileobj(content, out)
