"""The pages at `/`, on which a person looks through the embedded Drive: accounts, folders, files, bins.

Everything of every account is shown, since whoever can reach the emulator owns it. Pages are plain HTML made here and
styled by browse_html; nothing on them changes anything.

    /             accounts and shared drives, and how to connect
    /?id=ID       what is in a folder, or all about a file
    /?about=ID    all about a folder
    /?bin=EMAIL   what an account has in its bin
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from ..model.records import Account, FileRecord, Revision, SharedDrive
from . import browse_html as html
from .browse_html import Html, link

ROWS = 500
"""Files on one page; a browser is slow with more."""

_LATER = "computed when a client first asks for it"

_DIGITS = re.compile(r"(\d+)", re.ASCII)


class Catalog(Protocol):
    """What is read to make the pages; the emulator's store has it."""

    @property
    def accounts(self) -> Mapping[str, Account]: ...
    @property
    def drives(self) -> Mapping[str, SharedDrive]: ...
    @property
    def files(self) -> Mapping[str, FileRecord]: ...
    @property
    def revisions(self) -> Mapping[str, Sequence[Revision]]: ...
    @property
    def usage(self) -> Mapping[str, int]: ...
    def children(self, folder_id: str) -> list[FileRecord]: ...
    def ancestors(self, record: FileRecord) -> Iterator[FileRecord]: ...


def page(catalog: Catalog, query: Mapping[str, str], origin: str) -> tuple[int, str]:
    """HTTP status and HTML of the page that the query asks for; `origin` is how the browser reached the emulator."""
    number = int(query["page"]) if re.fullmatch(r"[1-9]\d{0,5}", query.get("page", "")) else 1
    file_id = query.get("id") or query.get("about")
    if file_id is not None:
        record = catalog.files.get(file_id)
        if record is None:
            return 404, html.document("Not here", [], html.note(f"There is no file with the id {file_id}."))
        if record.is_folder and "id" in query:
            return 200, _folder(catalog, record, number)
        return 200, _details(catalog, record)
    if "bin" in query:
        account = catalog.accounts.get(query["bin"])
        if account is None:
            return 404, html.document("Not here", [], html.note(f"There is no account {query['bin']}."))
        return 200, _bin(catalog, account, number)
    return 200, _home(catalog, origin)


def _home(catalog: Catalog, origin: str) -> str:
    binned = Counter(record.owner for record in list(catalog.files.values()) if record.explicitly_trashed)
    accounts = [
        html.card(
            account.display_name,
            account.email + (" (service account)" if account.is_service_account else ""),
            html.meter(catalog.usage.get(account.email, 0), account.storage_limit),
            [
                link("My Drive", id=account.root_id),
                link(f"Bin ({binned[account.email]})", bin=account.email),
            ],
        )
        for account in list(catalog.accounts.values())
    ]
    shared = [
        html.card(drive.name, f"Shared drive, {len(drive.members)} members", Html(""), [link("Open", id=drive.id)])
        for drive in list(catalog.drives.values())
    ]
    return html.document("Drives", [], html.cards([*accounts, *shared]), html.connect(origin))


def _folder(catalog: Catalog, folder: FileRecord, number: int) -> str:
    inside = catalog.children(folder.id)
    kept = sorted((record for record in inside if not record.explicitly_trashed), key=_by_kind_and_name)
    in_bin = len(inside) - len(kept)
    notes = [html.note("This folder is in the bin.")] if folder.trashed else []
    if in_bin:
        notes.append(html.note(f"{in_bin} more from here in the bin."))
    return html.document(
        _title(catalog, folder),
        _crumbs(catalog, folder),
        *notes,
        html.files(kept[(number - 1) * ROWS : number * ROWS], twins=_twins(kept), caption=_count(len(kept))),
        html.pager(number, -(-len(kept) // ROWS), id=folder.id),
        html.actions([link("About this folder", about=folder.id)]),
    )


def _bin(catalog: Catalog, account: Account, number: int) -> str:
    thrown = [
        record for record in list(catalog.files.values()) if record.explicitly_trashed and record.owner == account.email
    ]
    thrown.sort(key=lambda record: (-(record.trashed_ms or 0), record.id))
    return html.document(
        f"Bin of {account.display_name}",
        [("Drives", "/")],
        html.files(thrown[(number - 1) * ROWS : number * ROWS], twins=frozenset(), caption=_count(len(thrown))),
        html.pager(number, -(-len(thrown) // ROWS), bin=account.email),
    )


def _details(catalog: Catalog, record: FileRecord) -> str:
    revisions = catalog.revisions.get(record.id, ())
    notes = [html.note("This is in the bin.")] if record.trashed else []
    properties = [("public", key, value) for key, value in record.properties.items()]
    for app, own in record.app_properties.items():
        properties += [(f"private to {app}", key, value) for key, value in own.items()]
    grants = [("owner", "user", record.owner)] if record.owner else []
    grants += [(grant.role, grant.type, grant.email or grant.domain) for grant in record.permissions]
    return html.document(
        _title(catalog, record),
        _crumbs(catalog, record),
        *notes,
        html.actions(_doors(record)),
        html.facts(_facts(record)),
        html.table("Properties", ("Visibility", "Key", "Value"), properties),
        html.revisions(record, revisions[::-1]),
        html.table("Who has access", ("Role", "Kind", "Who"), grants),
    )


def _doors(record: FileRecord) -> list[Html]:
    """Ways on from a file's page."""
    if record.content is not None:
        return [html.download("Download", record.id)]
    if record.shortcut_target_id is not None:
        return [link("Go to its target", id=record.shortcut_target_id)]
    return [link("Open", id=record.id)] if record.is_folder else []


def _facts(record: FileRecord) -> list[tuple[str, Html]]:
    content = record.content
    facts = [
        ("Id", html.code(record.id)),
        ("Type", html.text(record.mime_type)),
        ("Created", html.moment(record.created_ms)),
        ("Modified", html.moment(record.modified_ms)),
        ("Version", html.text(str(record.version))),
    ]
    if record.description:
        facts.append(("Description", html.text(record.description)))
    if content is not None:
        facts += [
            ("Size", html.size(content.size)),
            ("MD5", html.code(content.md5)),
            ("SHA-1", html.code(content.sha1 or _LATER)),
            ("SHA-256", html.code(content.sha256 or _LATER)),
        ]
    if record.shortcut_target_id is not None:
        facts.append(("Leads to", html.code(record.shortcut_target_id)))
    if record.apps:
        facts.append(("Made or opened by", html.text(", ".join(sorted(record.apps)))))
    return facts


def _title(catalog: Catalog, record: FileRecord) -> str:
    """A root folder is called by its account; the rest by their names."""
    if record.parents or record.drive_id:
        return record.name or "(no name)"
    account = catalog.accounts.get(record.owner)
    is_root = account is not None and account.root_id == record.id
    return f"{account.display_name}'s Drive" if account is not None and is_root else record.name


def _crumbs(catalog: Catalog, record: FileRecord) -> list[tuple[str, str]]:
    above = reversed(list(catalog.ancestors(record)))
    return [("Drives", "/"), *((_title(catalog, folder), html.href(id=folder.id)) for folder in above)]


def _by_kind_and_name(record: FileRecord) -> tuple[object, ...]:
    """Folders first, then by name with file9 before file10."""
    parts = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(record.name.casefold())]
    return (not record.is_folder, parts, record.id)


def _twins(records: Iterable[FileRecord]) -> frozenset[str]:
    """Names that several files of a folder have: legal on Drive, and worth seeing."""
    counted = Counter(record.name for record in records)
    return frozenset(name for name, count in counted.items() if count > 1)


def _count(number: int) -> str:
    return "1 item" if number == 1 else f"{number:,} items"
