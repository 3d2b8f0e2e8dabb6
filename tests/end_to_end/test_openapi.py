"""The function's description at /openapi.json, held against the running function by schemathesis."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi import checks

from function.core.errors import HTTP_CODE
from function.serving import openapi
from local_runner.drive_emulator import DriveEmulator
from tests.support.home import Home, new_home
from tests.support.served import serving

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]
"""A 503 is a promised answer here, so `not_a_server_error` is not among them."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, str]]:
    """A home with a file, and the function that serves it."""
    with DriveEmulator() as drive:
        home = new_home(tmp_path_factory.mktemp("openapi") / "home", drive)
        home.put("Data/a.txt")
        with serving(home) as running:
            yield home, running.url


described = schemathesis.openapi.from_dict(openapi.document())


@described.parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_function_does_what_it_describes(case: "schemathesis.Case[Any]", served: tuple[Home, str]) -> None:
    """By the description or against it: no other code, type, header or shape, and nothing wrong is taken."""
    # A job may be posted to any path, as queues do, so there POST is no undescribed method.
    held = CHECKS if case.path == "/" else CHECKS[:-1]
    case.call_and_validate(base_url=served[1], checks=held, timeout=60)


def test_an_upload_is_as_described(served: tuple[Home, str]) -> None:
    """A real file and a batch, with their answers; and each code that a reason can have is described."""
    _, url = served
    posted = openapi.document()["paths"]["/"]["post"]["responses"]
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    assert schema.raw_schema == openapi.document()

    for payload in ({"path": "Data/a.txt"}, {"files": [{"path": "Data/a.txt"}, {"path": "Data/none.txt"}]}):
        answer = requests.post(url, json=payload, timeout=60)
        schema["/"]["POST"].validate_response(answer)

    assert set(posted) == {"200", *map(str, HTTP_CODE.values())}
