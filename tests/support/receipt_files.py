"""What a receipt's file holds, read without the job's own code."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any


def documents(content: bytes) -> list[dict[str, Any]]:
    """The receipt, and what was appended to it: the last one counts. One that a death tore apart is none."""
    return list(_whole(content))


def _whole(content: bytes) -> Iterator[dict[str, Any]]:
    first, *others = content.split(b"\n{")
    for each in (first, *(b"{" + other for other in others)):
        whole, brace, _ = each.partition(b"\n}")
        with suppress(json.JSONDecodeError):
            yield json.loads(whole + brace)
