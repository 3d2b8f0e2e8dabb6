"""Google's own description of Drive v2 and v3: methods, parameters and resource schemas, from its discovery documents.

The documents are those that google-api-python-client ships, so that nobody's idea of the API, ours included, stands
between a client and what Google published. They are read when first asked for, once a process.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any, Literal

Version = Literal[2, 3]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter. `kind` is string, integer or boolean; bounds are inclusive.

    `coerced` is true where values above `maximum` are lowered to it rather than refused, as the document says.
    """

    name: str
    kind: str
    required: bool
    repeated: bool
    enum: tuple[str, ...]
    default: str | None
    minimum: int | None
    maximum: int | None
    coerced: bool


@dataclass(frozen=True, slots=True)
class Method:
    """One API method. `id` is like "files.list", `path` like "files/{fileId}"; request and response name schemas."""

    id: str
    http_method: str
    path: str
    parameters: Mapping[str, Parameter]
    request: str | None
    response: str | None
    scopes: frozenset[str]
    takes_media: bool
    gives_media: bool


@dataclass(frozen=True)
class Schema:
    """A node of a resource's shape. References are followed: `definition` is never a `$ref`."""

    document: Document
    definition: Json

    @property
    def kind(self) -> str:
        """The JSON type: object, array, string, integer, number, boolean or any."""
        return str(self.definition.get("type", "any"))

    @cached_property
    def fields(self) -> Mapping[str, Schema]:
        """An object's fields by name; of an array, those of its items."""
        if self.items is not None:
            return self.items.fields
        return {name: self.document.resolve(node) for name, node in self.definition.get("properties", {}).items()}

    @cached_property
    def items(self) -> Schema | None:
        """What an array holds."""
        return self.document.resolve(self.definition["items"]) if "items" in self.definition else None

    @cached_property
    def values(self) -> Schema | None:
        """What a map with free keys holds (`properties`, `exportLinks`, …), None where keys aren't free."""
        if self.items is not None:
            return self.items.values
        free = self.definition.get("additionalProperties")
        return None if free is None else self.document.resolve(free)

    def field(self, name: str) -> Schema | None:
        """The field of that name, None where there is none."""
        return self.fields.get(name) or self.values


class Document:
    """One version's discovery document, as Google published it (`raw`) and as the emulator uses it."""

    def __init__(self, version: Version) -> None:
        folder = resources.files("googleapiclient.discovery_cache") / "documents"
        self.raw: Json = json.loads((folder / f"drive.v{version}.json").read_bytes())
        self._common = _parameters(self.raw)
        self._schemas: dict[str, Schema] = {}

    @cached_property
    def methods(self) -> Mapping[str, Method]:
        """Every method of this version by its id without "drive."."""
        return {method.id: method for method in self._all_methods()}

    def schema(self, name: str) -> Schema:
        """The resource schema of that name; raises KeyError where the document has none."""
        if name not in self._schemas:
            self._schemas[name] = Schema(self, self.raw["schemas"][name])
        return self._schemas[name]

    def resolve(self, node: Json) -> Schema:
        """The schema that this node is, or refers to."""
        return self.schema(node["$ref"]) if "$ref" in node else Schema(self, node)

    def _all_methods(self) -> Iterator[Method]:
        for resource in self.raw["resources"].values():
            for method in resource["methods"].values():
                yield Method(
                    id=method["id"].removeprefix("drive."),
                    http_method=method["httpMethod"],
                    path=method["path"],
                    parameters=self._common | _parameters(method),
                    request=method.get("request", {}).get("$ref"),
                    response=method.get("response", {}).get("$ref"),
                    scopes=frozenset(method.get("scopes", ())),
                    takes_media=method.get("supportsMediaUpload", False),
                    gives_media=method.get("supportsMediaDownload", False),
                )


SEEN_REFUSED = {("drive.files.list", "pageSize")}
"""Said to be coerced; seen to be refused by brekkylab/backlot #23, July 2026."""


def _parameters(owner: Json) -> dict[str, Parameter]:
    given: Json = owner.get("parameters", {})
    return {
        name: _parameter(name, about, coerced=(owner.get("id"), name) not in SEEN_REFUSED)
        for name, about in given.items()
        if about["location"] == "query"
    }


def _parameter(name: str, about: Json, *, coerced: bool) -> Parameter:
    kind = "integer" if about.get("format") == "int64" else about["type"]
    return Parameter(
        name=name,
        kind=kind,
        required=about.get("required", False),
        repeated=about.get("repeated", False),
        enum=tuple(about.get("enum", ())),
        default=about.get("default"),
        minimum=int(about["minimum"]) if "minimum" in about else None,
        maximum=int(about["maximum"]) if "maximum" in about else None,
        coerced=coerced and "coerced" in about.get("description", ""),
    )


@cache
def document(version: Version) -> Document:
    """The discovery document of v2 or v3."""
    return Document(version)


def served(version: Version, root_url: str) -> Json:
    """The document as the emulator at `root_url` (with or without "/" at its end) serves it under /discovery/v1/apis/.

    Every URL in it points at the emulator, so that a client which builds itself from it stays there. It is the caller's
    own copy: Google's client writes into the document it is given.
    """
    raw = copy.deepcopy(document(version).raw)
    root = root_url.rstrip("/") + "/"
    base = root + raw["servicePath"]
    kept = {name: value for name, value in raw.items() if name != "mtlsRootUrl"}
    return kept | {"rootUrl": root, "baseUrl": base, "basePath": "/" + raw["servicePath"]}
