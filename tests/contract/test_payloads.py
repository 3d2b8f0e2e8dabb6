"""What is accepted as a payload, in whichever envelope, and how everything else is refused."""

import base64
import gc
import json
from typing import Any

import pytest

from function.core.request import FileRequest
from function.serving.payload import BATCH_MAX_FILES, BODY_MAX_BYTES, DEPTH_MAX, PATH_MAX_BYTES, VALUES_MAX
from tests.support.home import Ask, Home, Post

NOTE = "Data/Meta/note.txt"


def nested(levels: int) -> bytes:
    """A payload whose metadata goes that deep."""
    return b'{"path": "x", "metadata": {"a": ' + b"[" * levels + b"]" * levels + b"}}"


MALFORMED = {
    "nothing": (b"", "JSON"),
    "no JSON": (b"path=Data/x", "JSON"),
    "half a JSON": (b'{"path": "Data/x"', "JSON"),
    "two documents": (b'{"path": "x"} {"path": "y"}', "JSON"),
    "no UTF-8": (b'{"path": "\xff\xfe"}', "JSON"),
    "NaN": (b'{"path": "x", "metadata": {"a": NaN}}', "NaN"),
    "Infinity": (b'{"path": "x", "metadata": {"a": [-Infinity]}}', "Infinity"),
    "a number beyond floats": (b'{"path": "x", "metadata": {"a": 1e999}}', "1e999"),
    "an integer of 5000 digits": (b'{"path": "x", "metadata": {"a": ' + b"9" * 5000 + b"}}", "JSON"),
    "nested too deeply": (nested(DEPTH_MAX), "deep"),
    "nested beyond any stack": (nested(90_000), "JSON"),
    "a body too long": (b'{"path": "' + b"x" * BODY_MAX_BYTES + b'"}', str(BODY_MAX_BYTES)),
    "a string": (b'"Data/x"', "object"),
    "a list": (b'["Data/x"]', "object"),
    "null": (b"null", "object"),
    "an empty object": (b"{}", "path"),
    "a path that is null": (b'{"path": null}', "path"),
    "a path that is a list": (b'{"path": ["x"]}', "path"),
    "an empty path": (b'{"path": ""}', "path"),
    "a path of spaces": (b'{"path": "  "}', "path"),
    "a path with NUL": (b'{"path": "Data/a\\u0000b"}', "path"),
    "metadata that is a list": (b'{"path": "x", "metadata": [1]}', "metadata"),
    "metadata that is a string": (b'{"path": "x", "metadata": "tags"}', "metadata"),
    "an account that is a number": (b'{"path": "x", "account": 1}', "account"),
    "an unknown account": (b'{"path": "x", "account": "nobody"}', "account"),
    "an unknown policy": (
        b'{"path": "x", "if_exists": "overwrite"}',
        "if_exists: 'overwrite' is no choice; give one of keep_both, skip, fail, new_revision.",
    ),
    "a lone surrogate as a key": (b'{"path": "x", "\\ud800": 1}', "ud800"),
    "a lone surrogate as a key in a batch": (b'{"files": [{"path": "x", "\\ud800": 1}]}', "ud800"),
    "a lone surrogate as a key beside files": (b'{"files": [{"path": "x"}], "\\udfff": 1}', "udfff"),
    "a lone surrogate as a policy": (b'{"path": "x", "if_exists": "\\ud800"}', "if_exists"),
    "a lone surrogate as metadata": (b'{"path": "x", "metadata": "\\ud800"}', "metadata"),
    "a lone surrogate as an account": (b'{"path": "x", "account": "\\ud800"}', "account"),
    "a lone surrogate as files": (b'{"files": "\\ud800"}', "files: must be a list"),
    "more values than are allowed": (b'{"path": "x", "metadata": {"a": [' + b"0," * VALUES_MAX + b"0]}}", "values"),
    "a path longer than any": (b'{"path": "' + b"x" * (PATH_MAX_BYTES + 1) + b'"}', str(PATH_MAX_BYTES)),
    "a path of wide characters": (b'{"path": "' + "ü".encode() * PATH_MAX_BYTES + b'"}', str(PATH_MAX_BYTES)),
    "a long unknown key": (b'{"path": "x", "' + b"k" * 100_000 + b'": 1}', "there is no such field"),
    "a long unknown account": (b'{"path": "x", "account": "' + b"k" * 100_000 + b'"}', "account"),
    "a long unknown policy": (b'{"path": "x", "if_exists": "' + b"k" * 100_000 + b'"}', "is no choice"),
    "an unknown key": (
        b'{"path": "x", "overwrite": true}',
        "overwrite: there is no such field; known here: path, metadata, account, if_exists.",
    ),
    "a key in other letters": (b'{"Path": "x"}', "Path"),
    "files that is an object": (b'{"files": {"path": "x"}}', "files"),
    "files that is empty": (b'{"files": []}', "files"),
    "files beside path": (b'{"files": [{"path": "x"}], "path": "x"}', "path"),
    "a file that is a string": (b'{"files": [{"path": "x"}, "y"]}', "files[1]"),
    "a file without path": (b'{"files": [{"path": "x"}, {}]}', "files[1].path: is missing"),
    "a file with an empty path": (b'{"files": [{"path": "x"}, {"path": ""}]}', "files[1].path"),
    "a file of an unknown account": (b'{"files": [{"path": "x"}, {"path": "x", "account": "?"}]}', "files[1].account"),
}


@pytest.mark.parametrize(("body", "names"), MALFORMED.values(), ids=list(MALFORMED))
def test_a_malformed_payload_is_refused(home: Home, post: Post, body: bytes, names: str) -> None:
    """400, a sentence that names the field, an entry without the payload, and no request to Drive."""
    answer = post(home, body)

    entry = answer.entry
    assert (answer.code, answer.body["status"], entry["reason"]) == (400, "failed", "invalid_payload")
    assert names in entry["message"]
    assert len(entry["message"]) <= 310
    assert home.log() == [entry]
    assert (entry["path"], entry["metadata"], entry["destination"]) == (None, None, None)
    assert len(home.drive.requests) == 0


def test_a_batch_of_more_than_a_thousand_is_refused_as_such(home: Home, post: Post) -> None:
    """400 batch_too_large; nothing of it is tried."""
    answer = post(home, {"files": [{"path": home.put()}] * (BATCH_MAX_FILES + 1)})

    assert (answer.code, answer.entry["reason"]) == (400, "batch_too_large")
    assert len(home.drive.requests) == 0


def test_nesting_within_the_limit_is_fine(home: Home, post: Post) -> None:
    """Metadata may be as deep as people make it by hand, and deeper."""
    metadata: Any = "leaf"
    for _ in range(DEPTH_MAX - 3):
        metadata = {"a": metadata}

    answer = post(home, {"path": home.put(), "metadata": metadata})

    assert (answer.code, answer.entry["metadata"]) == (200, metadata)


@pytest.mark.parametrize("path", ["Data/Meta/\\ud800.txt", "Data/Meta/\\udcff.txt"])
@pytest.mark.usefixtures("unreported")
def test_lone_surrogates_name_no_file(home: Home, post: Post, path: str) -> None:
    """A path that no text can be, and one that stands for a byte that isn't there: 404, and everything stays JSON."""
    answer = post(home, b'{"path": "' + path.encode() + b'"}')

    assert (answer.code, answer.entry["reason"]) == (404, "source_missing")
    assert home.log()[-1] == answer.entry


def test_lone_surrogates_in_metadata_do_not_stop_an_upload(home: Home, post: Post) -> None:
    """They travel as far as they can."""
    body = b'{"path": "' + home.put().encode() + b'", "metadata": {"\\ud800": "\\udfff", "a": ["\\ud83d"]}}'

    answer = post(home, body)

    assert (answer.code, answer.body["status"]) == (200, "uploaded")
    assert home.log() == [answer.entry]


def test_many_commas_in_a_text_are_one_value(home: Home, post: Post) -> None:
    """A chat's transcript is long, and full of what separates values elsewhere."""
    metadata = {"transcript": 'so, [he] said, \\"{yes}\\", ' * 30_000}

    assert post(home, {"path": home.put(), "metadata": metadata}).body["status"] == "uploaded"


def test_metadata_that_is_null_is_none(home: Home, post: Post) -> None:
    """In a payload and in a batch."""
    path = home.put()

    answers = [
        post(home, each) for each in ({"path": path, "metadata": None}, {"files": [{"path": path, "metadata": None}]})
    ]

    assert [(each.code, each.entry["metadata"]) for each in answers] == [(200, {}), (200, {})]


PAYLOAD = {"path": NOTE, "metadata": {"from": "queue"}}


def encoded(document: object) -> str:
    """Base64 of its JSON."""
    return base64.b64encode(json.dumps(document).encode()).decode()


PUBSUB = {
    "message": {"data": encoded(PAYLOAD), "messageId": "1", "publishTime": "2026-01-01T00:00:00Z", "attributes": {}},
    "subscription": "projects/p/subscriptions/s",
}
BINARY = {
    "ce-id": "1",
    "ce-source": "//pipeline",
    "ce-specversion": "1.0",
    "ce-type": "memory.saved",
    "content-type": "application/json",
}
EVENT = {"specversion": "1.0", "id": "1", "source": "//pipeline", "type": "memory.saved"}
STRUCTURED = {"content-type": "application/cloudevents+json"}

ENVELOPES: dict[str, tuple[Any, dict[str, str]]] = {
    "plain": (PAYLOAD, {}),
    "plain, no content type": (PAYLOAD, {"content-type": ""}),
    "plain, a form's content type": (PAYLOAD, {"content-type": "application/x-www-form-urlencoded"}),
    "Cloud Tasks": (PAYLOAD, {"X-CloudTasks-TaskName": "t", "X-CloudTasks-QueueName": "q"}),
    "Pub/Sub": (PUBSUB, {}),
    "Pub/Sub, unwrapped": (PAYLOAD, {"x-goog-pubsub-message-id": "1", "x-goog-pubsub-subscription-name": "s"}),
    "CloudEvent, binary": (PAYLOAD, BINARY),
    "CloudEvent, structured": (EVENT | {"data": PAYLOAD}, STRUCTURED),
    "CloudEvent, structured, with a charset": (
        EVENT | {"data": PAYLOAD},
        {"content-type": "application/cloudevents+json; charset=utf-8"},
    ),
    "CloudEvent, structured, in other letters": (
        EVENT | {"data": PAYLOAD},
        {"content-type": "Application/CloudEvents+JSON"},
    ),
    "CloudEvent, structured, base64": (EVENT | {"data_base64": encoded(PAYLOAD)}, STRUCTURED),
    "CloudEvent, structured, JSON as text": (EVENT | {"data": json.dumps(PAYLOAD)}, STRUCTURED),
    "CloudEvent, binary, around Pub/Sub": (
        PUBSUB,
        BINARY | {"ce-type": "google.cloud.pubsub.topic.v1.messagePublished"},
    ),
    "CloudEvent, structured, around Pub/Sub": (EVENT | {"data": PUBSUB}, STRUCTURED),
}

QUEUES = [name for name in ENVELOPES if not name.startswith("plain")]


@pytest.mark.parametrize("name", ENVELOPES)
def test_a_payload_is_understood_in_any_envelope(home: Home, ask: Ask, name: str) -> None:
    """One payload, every way it may be delivered."""
    document, headers = ENVELOPES[name]
    home.put()

    answer = ask(home, "POST", data=json.dumps(document).encode(), headers=headers)

    assert (answer.code, answer.body["status"]) == (200, "uploaded"), answer.body
    assert answer.entry["path"] == NOTE
    assert answer.entry["metadata"] == {"from": "queue"}


@pytest.mark.parametrize("name", ENVELOPES)
def test_a_final_failure_ends_a_queues_retries(home: Home, ask: Ask, name: str) -> None:
    """No such file: 404 for a caller, 200 with `failed` for a queue, which would come back for ever."""
    document, headers = ENVELOPES[name]

    answer = ask(home, "POST", data=json.dumps(document).encode(), headers=headers)

    assert answer.code == (200 if name in QUEUES else 404)
    assert (answer.body["status"], answer.entry["reason"]) == ("failed", "source_missing")


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_comes_back_for_what_may_be_mended(home: Home, ask: Ask, name: str) -> None:
    """503 with Retry-After, also for a queue."""
    document, headers = ENVELOPES[name]
    home.put()
    (home.folder / "drive_token.json").unlink()

    answer = ask(home, "POST", data=json.dumps(document).encode(), headers=headers)

    assert (answer.code, answer.entry["reason"]) == (503, "credentials_missing")
    assert int(answer.headers["Retry-After"]) >= 1


BAD_ENVELOPES: dict[str, tuple[Any, dict[str, str], int]] = {
    "Pub/Sub whose data is no base64": ({"message": {"data": "%%%"}, "subscription": "s"}, {}, 200),
    "Pub/Sub whose data is no JSON": ({"message": {"data": "QUJD"}, "subscription": "s"}, {}, 200),
    "Pub/Sub whose data is a number": ({"message": {"data": 7}, "subscription": "s"}, {}, 200),
    "Pub/Sub without data": ({"message": {"attributes": {"a": "b"}}, "subscription": "s"}, {}, 200),
    "Pub/Sub with a bad payload": ({"message": {"data": encoded({"path": ""})}, "subscription": "s"}, {}, 200),
    "a CloudEvent around bad Pub/Sub": (EVENT | {"data": {"message": {"data": "%"}}}, STRUCTURED, 200),
    "Cloud Tasks with a bad payload": ({"path": 7}, {"X-CloudTasks-TaskName": "t"}, 200),
    "Cloud Tasks with bad Pub/Sub": (
        {"message": {"data": "%%%"}, "subscription": "s"},
        {"X-CloudTasks-TaskName": "t"},
        200,
    ),
    "a CloudEvent without data": (EVENT, STRUCTURED, 200),
    "a CloudEvent whose data is no base64": (EVENT | {"data_base64": "%%%"}, STRUCTURED, 200),
    "a CloudEvent whose data is text": (EVENT | {"data": "Data/x"}, STRUCTURED, 200),
    "a CloudEvent that is a list": ([], STRUCTURED, 200),
    "unwrapped Pub/Sub with a bad payload": ({"path": 7}, {"x-goog-pubsub-message-id": "1"}, 200),
    "a binary CloudEvent with a bad payload": ({"path": 7}, BINARY, 200),
}


@pytest.mark.parametrize(("document", "headers", "code"), BAD_ENVELOPES.values(), ids=list(BAD_ENVELOPES))
def test_a_bad_envelope_is_refused(home: Home, ask: Ask, document: Any, headers: dict[str, str], code: int) -> None:
    """As any malformed payload; a queue is told 200, since sending it again can't mend it."""
    answer = ask(home, "POST", data=json.dumps(document).encode(), headers=headers)

    assert (answer.code, answer.body["status"], answer.entry["reason"]) == (code, "failed", "invalid_payload")
    assert home.log() == [answer.entry]


def test_a_payload_is_gone_with_its_answer(home: Home, post: Post) -> None:
    """In no cycle, where it would stay until garbage is collected: large metadata would add up."""
    path = home.put("Data/gone.txt")
    gc.disable()
    try:
        answers = [post(home, {"path": path, "metadata": {"a": [1]}}).body["status"] for _ in range(2)]
        kept = [each for each in gc.get_objects() if isinstance(each, FileRequest) and each.path == path]
    finally:
        gc.enable()

    assert answers == ["uploaded", "unchanged"]
    assert kept == []
