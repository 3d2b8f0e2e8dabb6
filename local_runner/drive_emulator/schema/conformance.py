"""Requests and answers held against Google's discovery documents.

What comes in is refused as Google refuses it; what goes out is checked by tests with `validate`. The wording follows
Google's API front ends; where the documents say nothing (a parameter's own grammar), the handler decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from ..model.errors import ApiError, bad_request, invalid_parameter
from .discovery import Parameter, Schema, Version, document

ParameterValue = str | int | bool

_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
_FORMATS = {"date-time": _DATE_TIME, "google-datetime": _DATE_TIME, "date": _DATE, "int64": _INTEGER}
_BOOLEANS = dict.fromkeys(("true", "t", "1", "yes", "y"), True) | dict.fromkeys(("false", "f", "0", "no", "n"), False)
"""What Google's front ends read as a boolean, in any case. Source: brekkylab/backlot #338, #339, September 2026."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Where a JSON value departs from its schema; `path` is like "file.parents[0]", `unknown` marks a foreign name."""

    path: str
    message: str
    unknown: bool = False


def check_parameters(version: Version, method_id: str, query: Mapping[str, str]) -> dict[str, ParameterValue]:
    """The query's parameters as values, with the documented defaults for those that are absent.

    One that the method doesn't have is disregarded: real clients send some, and work at Google. Raises ApiError (400)
    for one that is missing, ill-typed or out of bounds, and for `alt=media` where there is no content to be had.
    """
    method = document(version).methods[method_id]
    known = method.parameters
    values: dict[str, ParameterValue] = {}
    for name, text in query.items():
        if name in known:
            values[name] = _value(known[name], text)
    for parameter in known.values():
        if parameter.name not in values:
            if parameter.required:
                raise invalid_parameter(parameter.name, f"Required parameter: {parameter.name}", reason="required")
            if parameter.default is not None:
                values[parameter.name] = _value(parameter, parameter.default)
    if values.get("alt") == "media" and not method.gives_media:
        raise _ill_typed(known["alt"], _NO_CONTENT)
    return values


_NO_CONTENT = 'Unsupported alt type "media" for non byte stream request.'
"""Source: brekkylab/backlot #309, September 2026."""


def check_alt(query: Mapping[str, Sequence[str]]) -> None:
    """400 for a form of answer that there isn't, to strangers too. Source: brekkylab/backlot #309, September 2026."""
    alt = next(iter(query.get("alt", ())), "json")
    if alt not in {"json", "media", "proto"}:
        raise ApiError(
            400,
            "invalidParameter",
            f"Invalid alt type: {alt}.",
            location_type="parameter",
            location="alt",
            envelope={"status": "INVALID_ARGUMENT"},
        )


def is_the_word_true(query: Mapping[str, Sequence[str]], name: str) -> bool:
    """Whether a parameter is the word `true`: some of Google's checks read no other boolean (backlot #339)."""
    return next(iter(query.get(name, ())), "").lower() == "true"


def check_body(version: Version, schema: str, body: object) -> None:
    """Raises ApiError (400) unless the JSON body fits the schema; null is allowed anywhere, for it clears a field."""
    for problem in _problems(document(version).schema(schema), body, "", writing=True):
        if problem.unknown:
            owner, _, name = problem.path.rpartition(".")
            place = f" at '{owner}'" if owner else ""
            raise bad_request(f'Invalid JSON payload received. Unknown name "{name}"{place}: Cannot find field.')
        raise bad_request(f"Invalid value at '{problem.path}': {problem.message}")


def without_lone_lists(version: Version, schema: str, body: dict[str, object]) -> dict[str, object]:
    """The body with `["x"]` for "x" taken as it is meant, in fields that hold one scalar."""
    fields = document(version).schema(schema).fields
    return {
        name: value[0]
        if isinstance(value, list)
        and len(value) == 1
        and name in fields
        and fields[name].kind not in {"array", "object"}
        else value
        for name, value in body.items()
    }


@cache
def disregarded(version: Version, schema: str) -> frozenset[str]:
    """Names in a body that Drive takes no notice of: parameters in the wrong place, fields of the other version.

    Seen with fs.googledrivefs, whose tests run against the real service: `enforceSingleParent` in the body of a create.
    """
    if schema != "File":
        return frozenset()
    other: Version = 2 if version == 3 else 3
    parameters = {name for method in document(version).methods.values() for name in method.parameters}
    return (
        frozenset(parameters | document(other).schema(schema).fields.keys())
        - document(version).schema(schema).fields.keys()
    )


def validate(version: Version, schema: str, resource: object) -> list[str]:
    """Every way in which an answer departs from its schema, as sentences; empty when it is as Google documents it."""
    found = _problems(document(version).schema(schema), resource, "", writing=False)
    return [f"{problem.path or 'the answer'}: {problem.message}" for problem in found]


def _value(parameter: Parameter, text: str) -> ParameterValue:
    if parameter.kind == "boolean":
        value = _BOOLEANS.get(text.lower())
        if value is None:
            raise _ill_typed(parameter, f"Invalid boolean value: '{text}'.")
        return value
    if parameter.kind == "integer":
        return _integer(parameter, text)
    if parameter.enum and text not in parameter.enum:
        raise _ill_typed(parameter, f"Invalid string value: '{text}'. Allowed values: [{', '.join(parameter.enum)}]")
    return text


def _integer(parameter: Parameter, text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise _ill_typed(parameter, f"Invalid value at '{_snake(parameter.name)}' (TYPE_INT32), \"{text}\"")
    value, low, high = int(text), parameter.minimum, parameter.maximum
    if high is not None and value > high and parameter.coerced:
        return high
    if (low is not None and value < low) or (high is not None and value > high):
        raise _ill_typed(parameter, f"Invalid value '{text}'. Values must be within the range: [{low}, {high}]")
    return value


def _snake(name: str) -> str:
    """`pageSize` as its protocol buffer calls it."""
    return re.sub(r"([A-Z])", r"_\1", name).lower()


def _ill_typed(parameter: Parameter, message: str) -> ApiError:
    return invalid_parameter(parameter.name, message, reason="invalidParameter")


def _problems(schema: Schema, value: object, path: str, *, writing: bool) -> Iterator[Problem]:
    if value is None and writing and path:
        return
    if schema.kind == "object":
        yield from _object_problems(schema, value, path, writing)
    elif schema.kind == "array":
        if isinstance(value, list) and schema.items is not None:
            for at, item in enumerate(value):
                if item is None:
                    yield Problem(f"{path}[{at}]", "null is no item of a list")
                yield from _problems(schema.items, item, f"{path}[{at}]", writing=writing)
        else:
            yield Problem(path, "a list is expected")
    else:
        fault = _scalar_fault(schema, value, writing)
        if fault is not None:
            yield Problem(path, fault)


def _object_problems(schema: Schema, value: object, path: str, writing: bool) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(path, "an object is expected")
        return
    for name, inner in value.items():
        place = f"{path}.{name}" if path else str(name)
        field = schema.field(name)
        if field is None:
            yield Problem(place, "the schema has no such field", unknown=True)
        else:
            yield from _problems(field, inner, place, writing=writing)


def _scalar_fault(schema: Schema, value: object, writing: bool) -> str | None:
    """What is wrong with a string, number or boolean; int64 may be sent as a number, but is answered as a string."""
    form = schema.definition.get("format")
    if schema.kind == "any":
        return None
    if isinstance(value, list):
        return "Proto field is not repeating, cannot start list."  # as seen by googledrive (R)
    if schema.kind == "boolean":
        return None if isinstance(value, bool) else "true or false is expected"
    if schema.kind in {"integer", "number"}:
        fits = isinstance(value, int if schema.kind == "integer" else (int, float)) and not isinstance(value, bool)
        return None if fits else f"a {schema.kind} is expected"
    if writing and form == "int64" and isinstance(value, int) and not isinstance(value, bool):
        return None
    if not isinstance(value, str):
        return "a string is expected"
    if form in _FORMATS and _FORMATS[form].fullmatch(value) is None:
        return f"{value!r} is not a {form}"
    if "enum" in schema.definition and value not in schema.definition["enum"]:
        return f"{value!r} is not one of {schema.definition['enum']}"
    return None
