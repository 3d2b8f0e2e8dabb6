"""Entries -> the compact table that the page's script lists, filters and searches. Pure.

    {"statuses": [...], "accounts": [...], "zones": [...], "reasons": [...], "messages": [...], "rows": [[...], ...]}

A row holds indexes into those lists where a value repeats: time, status, path, destination, account, zone, size,
attempt, requests, reason, message, link. The destination is 0 where it is the path below the usual root, the link a
bare file id where it is Drive's usual one: a log of 100,000 entries then takes about 12 MB.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

from rich.filesize import decimal

from local_runner.client.invoke import Entry
from local_runner.terminal.printable import printable
from local_runner.terminal.report.summary import zone_of

_LINK: Final = ("https://drive.google.com/file/d/", "/view?usp=drivesdk")
"""What stands around the id in a link as Drive gives it."""


class _Index:
    """Values by number, in the order in which they came."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def of(self, value: object) -> int:
        return self._numbers.setdefault(shown(value), len(self._numbers))

    @property
    def values(self) -> list[str]:
        return list(self._numbers)


def shown(value: object) -> str:
    """A value as text that can be shown."""
    return printable("" if value is None else str(value))


def table(newest_first: Iterable[Entry], data_root: str, drive_root: str) -> dict[str, Any]:
    """The table of those entries."""
    statuses, accounts, zones, reasons, messages = (_Index() for _ in range(5))
    rows = []
    for entry in newest_first:
        path, size = entry.get("path"), entry.get("size")
        destination = entry.get("destination")
        is_usual = isinstance(path, str) and destination == f"{drive_root}/{path.removeprefix(f'{data_root}/')}"
        rows.append(
            (
                shown(entry.get("time")).replace("T", " ").removesuffix("Z").partition(".")[0],
                statuses.of(entry.get("status")),
                shown(path) or "(request refused)",
                0 if is_usual else shown(destination),
                accounts.of(entry.get("account")),
                zones.of(zone_of(path, data_root) if isinstance(path, str) else None),
                decimal(size) if isinstance(size, int) else "",
                shown(entry.get("attempt")),
                shown(entry.get("requests")),
                reasons.of(entry.get("reason")),
                messages.of(entry.get("message")),
                _link(entry.get("link")),
            )
        )
    lists = {
        "statuses": statuses, "accounts": accounts, "zones": zones, "reasons": reasons, "messages": messages,
    }  # fmt: skip
    around = {"root": shown(drive_root), "data": shown(data_root), "link": _LINK}
    return {**around, **{name: index.values for name, index in lists.items()}, "rows": rows}


def as_script(document: object) -> str:
    """JSON that can stand in a script element: nothing in it ends the element or begins a comment."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")


def safe_link(link: object) -> str:
    """A link that a browser may safely follow; empty for any other."""
    return printable(link) if isinstance(link, str) and link.startswith("https://") else ""


def _link(link: object) -> str:
    found = safe_link(link)
    file_id = found.removeprefix(_LINK[0]).removesuffix(_LINK[1])
    return file_id if "/" not in file_id and found == f"{_LINK[0]}{file_id}{_LINK[1]}" else found
