"""The table of what is supported is current and true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local_runner.drive_emulator.api.routes import HANDLERS
from local_runner.drive_emulator.schema.discovery import Version, document
from tests.emulator import support
from tests.emulator.support_rules import RULES
from tests.emulator.wire import FOLDER, Api


def test_the_table_is_current() -> None:
    """`python -m tests.emulator.support` would change nothing."""
    assert support.TABLE.read_text(encoding="utf-8") == support.table()


def test_every_rule_is_held_by_tests_that_exist() -> None:
    """Each name leads to a test function."""
    named = {test for rules in RULES.values() for tests in rules.values() for test in tests}
    named |= set(re.findall(r"`(\w+::\w+)`", support.TABLE.with_name("FACTS.md").read_text(encoding="utf-8")))
    files = {path.stem.removeprefix("test_"): path.read_text() for path in Path(__file__).parent.glob("test_*.py")}

    missing = {
        name
        for name in named
        for file, _, test in [name.partition("::")]
        if not re.search(rf"^def test_{test}\(", files.get(file, ""), re.MULTILINE)
    }

    assert missing == set()


@pytest.mark.parametrize("version", support.VERSIONS)
def test_a_method_is_501_where_the_table_says_so(api: Api, version: Version) -> None:
    """Every method is asked for something that isn't there; apps.list is refused for want of its own scope."""
    left_out = document(version).methods.keys() - HANDLERS[version].keys()
    answers = {
        method.id: api.call(
            method.http_method,
            f"/drive/v{version}/{re.sub('{.*?}', 'x', method.path)}",
            params={"requestId": "x"} if "requestId" in method.parameters else {},
        ).status_code
        for method in document(version).methods.values()
    }

    assert {method for method, status in answers.items() if status == 501} == left_out - {"apps.list"}
    assert set(answers.values()) <= {200, 204, 400, 403, 404, 501}


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("POST", "/upload/drive/v2/files?uploadType=media&convert=true", {}),  # JSON is not among what is converted
        ("POST", "/upload/drive/v2/files?uploadType=media&ocr=true", {}),
        ("GET", "/drive/v3/files?corpora=domain", None),
        ("GET", "/drive/v3/drives?useDomainAdminAccess=true", None),
        ("GET", "/drive/v3/files?includeLabels=x", None),
        ("GET", "/drive/v3/files?spaces=photos", None),
        ("POST", "/drive/v3/files", {"contentRestrictions": [{"readOnly": True}]}),
    ],
)
def test_what_is_left_out_is_501(api: Api, verb: str, path: str, body: object) -> None:
    """Parameters and fields that Drive knows and the emulator doesn't are refused, not disregarded."""
    assert api.call(verb, path, json=body).status_code == 501


def test_a_docs_editors_type_that_is_not_emulated_is_not_made_from_content(api: Api) -> None:
    """An upload that only Drive can convert is refused; folders need no conversion."""
    body = {"mimeType": "application/vnd.google-apps.presentation"}

    assert api.multipart(body, b"text").status_code == 501
    assert api.create({"mimeType": FOLDER}).status_code == 200
