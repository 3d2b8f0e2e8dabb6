"""Pages of lists that are short and already made: permissions, revisions, drives. The token is a position."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from ..model.errors import invalid_parameter
from .request_context import Call

Item = TypeVar("Item")


def cut(call: Call, items: Sequence[Item], size: int) -> tuple[list[Item], str | None]:
    """The page that `pageToken` asks for, and the token of the next one, None after the last."""
    start = _position(call.params.get("pageToken"))
    end = start + size
    token = base64.urlsafe_b64encode(f"at:{end}".encode()).decode() if end < len(items) else None
    return list(items[start:end]), token


def _position(token: str | None) -> int:
    if not token:
        return 0
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise invalid_parameter("pageToken") from None
    kind, _, number = text.partition(":")
    if kind != "at" or not (number.isascii() and number.isdigit() and len(number) < 19):
        raise invalid_parameter("pageToken")
    return int(number)
