"""A `drive_root` as people write it -> where on Drive the mirror hangs."""

import re

import msgspec

from function.core.errors import SettingsError
from function.core.naming import quoted
from function.core.types import Root

_FOLDER_ADDRESS = re.compile(
    r"(?:https?://)?drive\.google\.com/drive/(?:[^?#\s]*/)?folders/(?P<id>[A-Za-z0-9_-]+)/?(?:[?#]\S*)?"
)
"""As the browser shows it: /drive/folders/ID, /drive/u/1/folders/ID, /drive/mobile/folders/ID?usp=sharing."""

_ID = re.compile(r"(?P<id>[A-Za-z0-9_-]+)(?:\?\S*)?")
"""An id, with what is copied along from an address."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|(?:www|drive|docs)\.google\.", re.IGNORECASE)


def parse_root(value: str | Root, where: str) -> Root:
    """The root that a setting names; `where` it stands is named in the SettingsError."""
    if isinstance(value, Root):
        return _of_object(value, where)
    address = _FOLDER_ADDRESS.fullmatch(value.strip())
    if address:
        return Root(folder_id=address["id"])
    _check_path(value, where)
    if not Root(path=value).folders:
        raise SettingsError(
            f'{where}: names no folder; write a path such as "MemoryVDB",'
            ' or {"folder_id": "root"} for My Drive itself.'
        )
    return Root(path=value)


def _of_object(root: Root, where: str) -> Root:
    if root.folder_id is not None and root.drive_id is not None:
        raise SettingsError(f"{where}: give folder_id or drive_id, not both.")
    if root.folder_id is None and root.drive_id is None:
        raise SettingsError(f"{where}: an object needs folder_id, or drive_id with path.")
    _check_path(root.path, where)
    return msgspec.structs.replace(
        root,
        folder_id=None if root.folder_id is None else _id(root.folder_id, f"{where}.folder_id"),
        drive_id=None if root.drive_id is None else _id(root.drive_id, f"{where}.drive_id"),
    )


def _id(value: str, where: str) -> str:
    found = _FOLDER_ADDRESS.fullmatch(value.strip()) or _ID.fullmatch(value.strip())
    if not found:
        raise SettingsError(f"{where}: {quoted(value)} is no id; copy what stands behind folders/ in its address.")
    return found["id"]


def _check_path(path: str, where: str) -> None:
    """Raise SettingsError for what can't be meant as a path of folders on Drive."""
    names = path.strip("/").split("/") if path.strip("/") else []
    if _ADDRESS.match(path.strip()):
        wanted = "a folder's address is https://drive.google.com/drive/folders/ID"
        raise SettingsError(f"{where}: {quoted(path)} is an address, but not a folder's; {wanted}.")
    if "\\" in path:
        raise SettingsError(f"{where}: {quoted(path)} holds a backslash; join the folders' names by '/'.")
    if path.lstrip().startswith(("{", "[")):
        raise SettingsError(f"{where}: {quoted(path)} is JSON inside a text; write the object itself, without quotes.")
    if any(name in (".", "..") or not name.isprintable() or name != name.strip() for name in names):
        raise SettingsError(
            f"{where}: {quoted(path)} must be plain folder names joined by '/',"
            " without '.', '..', control characters and spaces at their ends."
        )
