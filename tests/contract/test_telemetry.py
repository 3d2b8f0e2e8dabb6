"""What can be watched: each request to Drive with LOG_LEVEL=DEBUG, spans and metrics where an SDK is set up."""

import json
import os
import re
import subprocess
import sys

from tests.support.home import PROJECT, Home

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

WITH_SDK = """
import json, sys
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
metrics.set_meter_provider(MeterProvider([reader]))

from function.serving.app import current

headers = {"traceparent": "00-@TRACE@-00f067aa0ba902b7-01"}
answer = current().handle(json.dumps({"path": sys.argv[1]}).encode(), headers)
points = {
    metric.name: [getattr(point, "value", None) for point in metric.data.data_points]
    for resource in reader.get_metrics_data().resource_metrics
    for scope in resource.scope_metrics
    for metric in scope.metrics
}
found = [(each.name, f"{each.context.trace_id:032x}", dict(each.attributes)) for each in spans.get_finished_spans()]
print(json.dumps({"status": answer.status, "spans": found, "metrics": points}))
""".replace("@TRACE@", TRACE)


def test_debug_shows_each_request_and_no_secret(home: Home) -> None:
    """Method, what for, status and time; no token, no session, no content and no query."""
    path = home.put("Data/Meta/large.bin", b"\0" * (6 * 1024 * 1024))

    run = home.one_off(path, environ={"LOG_LEVEL": "DEBUG"})

    lines = [json.loads(line)["message"] for line in run.stderr.splitlines()]
    told = [line for line in lines if line.startswith("Drive: ")]
    token = json.loads((home.folder / "drive_token.json").read_bytes())
    assert run.returncode == 0
    assert all(re.fullmatch(r"Drive: [A-Z]+ [A-Za-z]+\.[A-Za-z]+ \d{3}, \d+ ms", line) for line in told), told
    assert {"files.list", "upload.start", "upload.send"} <= {line.split()[2] for line in told}
    assert len(told) == len(list(home.drive.requests))
    for secret in (token["token"], token["refresh_token"], "upload_id", "Bearer"):
        assert secret not in run.stderr


def test_an_sdk_gets_spans_and_metrics(home: Home) -> None:
    """The invocation below the caller's trace, the waits for locks, each request; what became of the file; no names."""
    path = home.put("Data/Meta/private-name.txt", "x" * 100)

    run = subprocess.run(
        [sys.executable, "-c", WITH_SDK, path], cwd=PROJECT, env=os.environ | home.environ, capture_output=True,
        text=True, check=True, timeout=60,
    )  # fmt: skip

    told = json.loads(run.stdout)
    names = {name.removeprefix("drive_upload.") for name, _, _ in told["spans"]}
    assert told["status"] == "uploaded"
    assert names == {"invocation", "lock", "folders", "transfer", "settle", "request"}
    assert [each for each in told["spans"] if each[1] != TRACE] == [], "a thread lost its parent"
    assert told["metrics"]["drive_upload.entries"] == [1]
    assert told["metrics"]["drive_upload.bytes"] == [100]
    assert "private-name" not in run.stdout


ENDS_AT_ONCE = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)

from function.command_line import leave, main

leave(main(sys.argv[1:]))
"""


def test_a_command_hands_its_spans_over_before_it_ends(home: Home) -> None:
    """An SDK gathers spans and sends them now and then; a command ends before that."""
    path = home.put("Data/Meta/a.txt", "x")

    run = subprocess.run(
        [sys.executable, "-c", ENDS_AT_ONCE, "upload", path], cwd=PROJECT, env=os.environ | home.environ,
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    assert '"name": "drive_upload.invocation"' in run.stdout
    assert '"status": 200' in run.stdout


def test_without_an_sdk_nothing_of_it_is_imported(home: Home) -> None:
    """The API's package may be installed: it costs nothing where nobody has set an SDK up."""
    path = home.put("Data/Meta/a.txt", "x")
    code = (
        "import sys, function.command_line; code = function.command_line.main(sys.argv[1:]);"
        "sys.exit(code or ('opentelemetry' in sys.modules))"
    )

    run = subprocess.run(
        [sys.executable, "-c", code, "upload", path], cwd=PROJECT, env=os.environ | home.environ, capture_output=True,
        check=False, timeout=60,
    )  # fmt: skip

    assert run.returncode == 0
