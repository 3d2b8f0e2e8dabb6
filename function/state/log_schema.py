"""The JSON Schema of upload_log.json's entries, made from LogEntry: `python -m function.state.log_schema` prints it.

It ships as upload_log.schema.json, for those who read the log with other programs.
"""

import json
import sys
from typing import Any, Final

import msgspec

from function.core.errors import HTTP_CODE
from function.core.types import LogEntry

FIELDS: Final[dict[str, dict[str, Any]]] = {
    "time": {"description": "When the attempt ended: RFC 3339, UTC.", "format": "date-time"},
    "invocation_id": {"description": "The same for all entries of one call."},
    "account": {"description": "A name of the settings; null where the request was refused."},
    "path": {"description": "The local file, relative to the home; null where the request was refused."},
    "destination": {"description": "Where the content is on Drive, or was to go; null where no path was accepted."},
    "status": {"description": "How the attempt ended."},
    "reason": {"description": "Why it failed; null where it did not.", "enum": [*HTTP_CODE, None]},
    "message": {"description": "One sentence for people: what it is about and what to do."},
    "retryable": {"description": "Whether the same call can succeed later."},
    "attempt": {"description": "1, 2, … for this content at this destination.", "minimum": 1},
    "file_id": {"description": "Drive's id of the file."},
    "link": {"description": "Opens the file in a browser."},
    "size": {"description": "Bytes.", "minimum": 0},
    "sha256": {"description": "SHA-256 of the content, hex.", "pattern": "^[0-9a-f]{64}$"},
    "md5": {"description": "MD5 of the content, hex, as Drive reports it.", "pattern": "^[0-9a-f]{32}$"},
    "duration_s": {"description": "Seconds from the request to the entry.", "minimum": 0},
    "requests": {
        "description": "Requests sent to Drive; those for several files of a batch are in the entry written next.",
        "minimum": 0,
    },
    "units": {
        "description": "Drive quota units of those requests: get 5, create and update 50, list 100.",
        "minimum": 0,
    },
    "metadata": {"description": "As the caller gave it; null where the request was refused."},
    "if_exists": {"description": "As the caller gave it; null where the settings decide."},
}
"""What a schema of types alone doesn't say."""


def schema() -> dict[str, Any]:
    """The schema of one entry."""
    (made,), definitions = msgspec.json.schema_components([LogEntry], ref_template="{name}")
    entry = definitions[made["$ref"]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Entry of upload_log.json",
        "description": entry["description"],
        "type": "object",
        "properties": {name: FIELDS[name] | _plain(field, definitions) for name, field in entry["properties"].items()},
        "required": entry["required"],
        "additionalProperties": False,
    }


def _plain(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The field's type without references and alternatives."""
    either = field.get("anyOf", [field])
    kinds = [definitions[each["$ref"]] | {"type": "string"} if "$ref" in each else each for each in either]
    types = [each["type"] for each in kinds]
    values = [value for each in kinds for value in each.get("enum", [None])]
    return {"type": types if len(types) > 1 else types[0]} | ({"enum": values} if any(values) else {})


if __name__ == "__main__":
    json.dump(schema(), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
