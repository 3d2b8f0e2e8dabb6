"""Small files with damage of every kind: values that are odd, bytes that are lost, another encoding, another file."""

import codecs
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from tests.support import mutated_logs

WHOLE: tuple[Callable[[bytes], bytes], ...] = (
    lambda content: b"",
    lambda content: b"\n",
    lambda content: bytes(len(content)),
    lambda content: content + bytes(4096),
    lambda content: codecs.BOM_UTF8 + content,
    lambda content: content.decode("utf-8", "replace").encode("utf-16"),
    lambda content: content.decode("utf-8", "replace").encode("utf-16-be"),
    lambda content: content.decode("utf-8", "replace").encode("utf-32"),
    lambda content: content.decode("utf-8", "replace").encode("cp037", "replace"),
    lambda content: content.replace(b"\n", b"\r\n") + b"\r\n",
    lambda content: content * 2,
    lambda content: b"[" + content + b"]",
    lambda content: b'{"a": ' + content + b"}",
    lambda content: json.dumps(content.decode("utf-8", "replace")).encode(),
    lambda content: b"[" * 100_000,
    lambda content: b'{"a":' * 100_000,
    lambda content: b'{"a":' * 500 + content + b"}" * 500,
    lambda content: b"null",
    lambda content: b"true",
    lambda content: b"7",
    lambda content: b"[]",
    lambda content: b"{}",
    lambda content: b'"text"',
    lambda content: b"9" * 5000,
    lambda content: content[::-1],
    lambda content: content.replace(b'"', b"'"),
    lambda content: b"// a remark\n" + content,
    lambda content: b"<!DOCTYPE html><html></html>",
    lambda content: b"\xff\xfe\xfd" + content,
    lambda content: b"#!/bin/sh\n",
)
"""What becomes of a file as a whole."""


def spoiled(dice: Random, value: Any, odd: Sequence[Any]) -> Any:
    """The value with something odd somewhere in it, a name misspelt, or something gone."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(list(value))
        way = dice.random()
        if way < 0.1:
            return {each: inner for each, inner in value.items() if each != key}
        if way < 0.15:
            return {f"{key}{dice.choice('sx')}" if each == key else each: inner for each, inner in value.items()}
        return value | {key: spoiled(dice, value[key], odd)}
    if isinstance(value, list) and value and dice.random() < 0.8:
        at = dice.randrange(len(value))
        return [*value[:at], spoiled(dice, value[at], odd), *value[at + 1 :]]
    return dice.choice(odd)


def mutated(dice: Random, content: bytes, odd: Sequence[Any]) -> bytes:
    """The file's content with damage of one or two kinds."""
    way = dice.random()
    document = _document(content)
    if way < 0.55 and document is not None:
        for _ in range(dice.choice([1, 1, 1, 2, 3])):
            document = _mixed(dice, document) if dice.random() < 0.1 else spoiled(dice, document, odd)
        content = json.dumps(document, indent=dice.choice([None, 2])).encode()
        return mutated_logs.mutated(dice, content) if dice.random() < 0.1 else content
    if way < 0.8:
        return mutated_logs.mutated(dice, content)
    return dice.choice(WHOLE)(content)


def _document(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _mixed(dice: Random, document: Any) -> Any:
    """One field's value under the name of another one."""
    if not isinstance(document, dict) or not document:
        return document
    names = list(document)
    return document | {dice.choice(names): document[dice.choice(names)]}
