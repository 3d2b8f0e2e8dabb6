"""The table of what the emulator supports: `python -m tests.emulator.support` writes it beside the emulator.

Methods are read off Google's discovery documents and the emulator's routes; each rule names the tests that hold it.
`test_support` checks that the table is current, that those tests exist, and that every method answers as it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from local_runner import drive_emulator
from local_runner.drive_emulator.api import routes
from local_runner.drive_emulator.context import request_context
from local_runner.drive_emulator.schema import discovery
from tests.emulator.support_rules import RULES

TABLE = Path(drive_emulator.__file__).with_name("SUPPORT.md")
VERSIONS: tuple[discovery.Version, ...] = (3, 2)

NOTES = {
    "files.export": "documents as text, HTML and Word (.docx), spreadsheets as CSV and tab-separated values",
    "files.watch": "receivers on this machine and in its network are notified",
    "changes.watch": "receivers on this machine and in its network are notified",
}


def answer_of(version: discovery.Version, method_id: str) -> str:
    """What the table says of a method."""
    if method_id not in routes.HANDLERS[version]:
        return "left out: 501"
    extra = ["with content, too"] if (version, method_id) in routes.UPLOADS else []
    return ", ".join(["yes", *extra, *([NOTES[method_id]] if method_id in NOTES else [])])


def _lines() -> Iterator[str]:
    yield "# What the Drive emulator supports\n"
    yield "Written by `python -m tests.emulator.support`; tests hold it to be current and true.\n"
    for version in VERSIONS:
        yield f"## Drive v{version}\n\n| method | request | answer |\n|---|---|---|"
        for method_id, method in sorted(discovery.document(version).methods.items()):
            yield f"| `{method_id}` | `{method.http_method} {method.path}` | {answer_of(version, method_id)} |"
        yield ""
    refused = [
        *request_context.REFUSED,
        *(f"{name}=true" for name in request_context.REFUSED_WHEN_TRUE),
        "newRevision=false",
        "alt=proto",
    ]
    yield f"Parameters left out, 501: {', '.join(f'`{name}`' for name in refused)}.\n"
    for title, rules in RULES.items():
        yield f"## {title}\n\n| rule | held by |\n|---|---|"
        for rule, tests in rules.items():
            yield f"| {rule} | {', '.join(f'`{test}`' for test in tests)} |"
        yield ""


def table() -> str:
    """The whole table as Markdown."""
    return "\n".join(_lines()).rstrip() + "\n"


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
