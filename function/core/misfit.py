"""Why a JSON document isn't what a type wants, in words for whoever wrote it: the place, and what is accepted there.

`msgspec.convert` decides; its own message knows neither the keys that led there nor the names that people use.
"""

import types
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from function.core.naming import quoted

_UNIONS: Final = (Union, types.UnionType)

_WORDS: Final[dict[Any, str]] = {
    str: "a text", float: "a number", int: "a whole number", bool: "true or false", list: "a list", dict: "an object",
    types.NoneType: "null",
}  # fmt: skip


def misfit(value: object, kind: Any, at: str = "") -> str:
    """The sentence "place: what is wrong" about a value that `msgspec.convert` refuses to make a `kind` of."""
    if isinstance(value, dict) and (struct := _struct_in(kind)):
        fields = {each.name: each for each in msgspec.structs.fields(struct)}
        for name in value:
            if name not in fields:
                return f"{_inside(at, name)}: there is no such field; known here: {', '.join(fields)}."
        for name, field in fields.items():
            if field.required and name not in value:
                return f"{_inside(at, name)}: is missing; give {_wanted(field.type)}."
    for inner, part, place in _parts(value, kind, at):
        if not _fits(inner, part):
            return misfit(inner, part, place)
    if isinstance(value, str) and (choices := [each for each in map(_choices, _alternatives(kind)) if each]):
        return f"{at}: {quoted(value)} is no choice; give one of {', '.join(choices)}."
    if isinstance(value, str) and str in _alternatives(kind) and not _is_text(value):
        return f"{at}: holds characters that are not text (lone surrogates)."
    return f"{at}: must be {_wanted(kind)}."


def _fits(value: object, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeError):  # the latter for a lone surrogate
        return False
    return True


def _parts(value: object, kind: Any, at: str) -> Iterator[tuple[object, Any, str]]:
    """What is inside the value, with the type and the place of each."""
    struct = _struct_in(kind)
    types_of = {each.name: each.type for each in msgspec.structs.fields(struct)} if struct else {}
    for each in _alternatives(kind):
        if isinstance(value, dict) and get_origin(each) is dict:
            types_of = dict.fromkeys(value, get_args(each)[1])
        if isinstance(value, list) and get_origin(each) is list:
            yield from ((inner, get_args(each)[0], f"{at}[{index}]") for index, inner in enumerate(value))
    if isinstance(value, dict):
        yield from ((inner, types_of[name], _inside(at, name)) for name, inner in value.items() if name in types_of)


def _inside(at: str, name: str) -> str:
    shown = quoted(name)[1:-1]
    return f"{at}.{shown}" if at else shown


def _alternatives(kind: Any) -> Iterator[Any]:
    """The types of a union, or the type itself; without annotations."""
    if get_origin(kind) is Annotated:
        yield from _alternatives(get_args(kind)[0])
    elif get_origin(kind) in _UNIONS:
        for each in get_args(kind):
            yield from _alternatives(each)
    else:
        yield kind


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    found = (each for each in _alternatives(kind) if isinstance(each, type) and issubclass(each, msgspec.Struct))
    return next(found, None)


def _wanted(kind: Any) -> str:
    """What the type accepts: the title of its annotation, else what it is."""
    titles = [each.title for each in getattr(kind, "__metadata__", ()) if isinstance(each, msgspec.Meta) and each.title]
    if titles:
        return titles[-1]
    if get_origin(kind) in _UNIONS:
        return " or ".join(map(_wanted, get_args(kind)))
    return _word(next(_alternatives(kind)))


def _word(kind: Any) -> str:
    if choices := _choices(kind):
        return f"one of {choices}"
    if struct := _struct_in(kind):
        return f"an object with {', '.join(struct.__struct_fields__)}"
    return _WORDS[get_origin(kind) or kind]


def _choices(kind: Any) -> str:
    """The values of an enumeration; nothing for other types."""
    is_enum = isinstance(kind, type) and issubclass(kind, Enum)
    values = [each.value for each in kind] if is_enum else get_args(kind) if get_origin(kind) is Literal else ()
    return ", ".join(map(str, values))


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeError:
        return False
    return True
