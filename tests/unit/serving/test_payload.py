"""Any body and any headers are a job or a refusal, never anything else."""

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from function.core.errors import InvalidPayload
from function.core.request import Job
from function.serving import payload

KEYS = ["path", "files", "metadata", "account", "if_exists", "message", "subscription", "data", "data_base64", "x"]

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(["skip", "e30="]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
bodies = st.binary(max_size=50) | documents.map(lambda each: json.dumps(each).encode())
headers = st.dictionaries(
    st.sampled_from(["Content-Type", "X-CloudTasks-TaskName", "ce-specversion", "x-goog-pubsub-message-id"]),
    st.sampled_from(["application/json", "application/cloudevents+json", "application/CloudEvents+json; a=b", "1"]),
)


def parsed(body: bytes, given: dict[str, str]) -> Job | None:
    """The job, or None for a refusal."""
    try:
        return payload.parse(body, given)
    except InvalidPayload:
        return None


@given(bodies, headers)
def test_any_request_is_a_job_or_a_refusal(body: bytes, given: dict[str, str]) -> None:
    """Nothing else is raised, and a job is whole."""
    found = parsed(body, given)
    from_queue = payload.is_from_queue(given, body)

    if found:
        assert found.from_queue == from_queue
        assert 1 <= len(found.files) <= 1000
        assert all(each.path.strip() and "\0" not in each.path for each in found.files)
        assert all(isinstance(each.metadata, dict) for each in found.files)


@given(documents)
def test_every_envelope_carries_the_same(document: object) -> None:
    """What is refused plain is refused wrapped, and what is accepted is the same job."""
    body = json.dumps(document).encode()
    data = base64.b64encode(body).decode()
    event = {"content-type": "application/cloudevents+json"}

    plain = parsed(body, {})
    wrapped = [
        parsed(json.dumps({"message": {"data": data}, "subscription": "s"}).encode(), {}),
        parsed(json.dumps({"specversion": "1.0", "data_base64": data}).encode(), event),
    ]

    if plain and not plain.from_queue:
        assert [each.files if each else None for each in wrapped] == [plain.files] * 2
