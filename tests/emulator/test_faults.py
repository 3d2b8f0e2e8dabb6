"""Scripted faults, weather, quota and the record of requests: trouble on demand, counted."""

import time
from typing import Any

import pytest
import requests

from local_runner.drive_emulator import DriveEmulator
from local_runner.drive_emulator.model.errors import ApiError
from tests.emulator.wire import GRANULE, Api


def test_the_third_create_loses_its_answer(api: Api, drive: DriveEmulator) -> None:
    """Work done, connection cut: the file exists, the client can't know."""
    drive.faults.add({"on": "files.create", "nth": 3, "do": "lose_answer"})

    for name in ("one", "two"):
        assert api.create({"name": name}).status_code == 200
    with pytest.raises(requests.ConnectionError):
        api.create({"name": "three"})

    assert [one["name"] for one in drive.files()] == ["one", "two", "three"]
    assert [one.status for one in drive.requests.of("files.create")] == [200, 200, 0]
    assert drive.requests[-1].fault == "lose_answer"


def test_reset_before_does_nothing(api: Api, drive: DriveEmulator) -> None:
    """The connection goes before anything is done."""
    drive.faults.add({"on": "files.create", "do": "reset_before"})

    with pytest.raises(requests.ConnectionError):
        api.create({"name": "a"})

    assert drive.files() == []


@pytest.mark.parametrize("start", ["create", "multipart", "start"])
def test_files_create_also_means_multipart_and_the_start_of_a_session(
    api: Api, drive: DriveEmulator, start: str
) -> None:
    """Whoever faults creates doesn't care how the client makes them."""
    drive.faults.add({"on": "files.create", "do": "status", "status": 429, "retry_after": 7})

    answers = {
        "create": lambda: api.create({}),
        "multipart": lambda: api.multipart({}, b"x"),
        "start": lambda: api.start({}, total=1),
    }
    answer = answers[start]()

    assert api.reason(answer) == (429, "rateLimitExceeded")
    assert answer.headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"status": 500}, (500, "internalError")),
        ({"status": 503}, (503, "backendError")),
        ({"status": 403}, (403, "userRateLimitExceeded")),
        ({"status": 403, "reason": "dailyLimitExceeded"}, (403, "dailyLimitExceeded")),
        ({"do": "full_storage"}, (403, "storageQuotaExceeded")),
        ({"do": "expire_token"}, (401, "authError")),
    ],
)
def test_a_status_is_answered_in_googles_envelope(
    api: Api, drive: DriveEmulator, fault: dict[str, Any], expected: tuple[int, str]
) -> None:
    """Nothing is done, and the next request is served."""
    drive.faults.add({"on": "files.create", "do": "status", **fault})

    assert api.reason(api.create({})) == expected
    assert drive.files() == []


def test_a_front_end_may_answer_html(api: Api, drive: DriveEmulator) -> None:
    """Load balancers know no JSON."""
    page = {"body": "<html>502</html>", "content_type": "text/html"}
    drive.faults.add({"on": "*", "do": "status", "status": 502, **page})

    answer = api.get("files")

    assert (answer.status_code, answer.text) == (502, "<html>502</html>")


def test_times_and_nth_count_from_when_the_fault_was_added(api: Api, drive: DriveEmulator) -> None:
    """Earlier requests don't count, and a spent fault is quiet."""
    api.get("files")
    drive.faults.add({"on": "files.list", "nth": 2, "times": 2, "do": "status", "status": 503})

    assert [api.get("files").status_code for _ in range(5)] == [200, 503, 503, 200, 200]


def test_a_send_that_resets_in_its_body_keeps_a_border(api: Api, drive: DriveEmulator) -> None:
    """What arrived before is seen by the status query."""
    drive.faults.add({"on": "upload.send", "do": "reset_in_body", "after_bytes": 2 * GRANULE + 5})
    uri = api.session_uri(total=4 * GRANULE)

    with pytest.raises(requests.ConnectionError):
        api.send(uri, bytes(4 * GRANULE))

    assert api.status(uri).headers["Range"] == f"bytes=0-{2 * GRANULE - 1}"
    assert drive.requests.of("upload.send")[0].bytes_in == 2 * GRANULE + 5


def test_a_session_is_lost_and_a_folder_is_trashed_in_between(api: Api, drive: DriveEmulator) -> None:
    """Between two requests of a client, the world moves."""
    folder = api.folder()
    drive.faults.add(
        {"on": "upload.send", "do": "lose_session"},
        {"on": "files.create", "nth": 2, "do": "trash_parent"},
    )
    uri = api.session_uri({"parents": [folder]}, total=1)

    lost = api.send(uri, b"x")
    made = api.create({"parents": [folder]})

    assert lost.status_code == 404
    assert (made.status_code, made.json()["trashed"]) == (200, True)


def test_a_truncated_answer_promises_more_than_it_brings(api: Api, drive: DriveEmulator) -> None:
    """Content-Length says more than arrives."""
    drive.faults.add({"on": "files.get", "do": "truncate_answer"})

    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        api.get("files/root", fields="*")


def test_slow_bodies_and_delays_take_their_time(api: Api, drive: DriveEmulator) -> None:
    """`ms` is how long it takes altogether."""
    drive.faults.add({"on": "files.get", "do": "slow_body", "ms": 120}, {"on": "files.list", "do": "delay", "ms": 120})

    for path in ("files/root", "files"):
        started = time.monotonic()
        assert api.get(path).status_code == 200
        assert time.monotonic() - started >= 0.1


def test_a_fault_that_cannot_be_understood_is_refused(drive: DriveEmulator) -> None:
    """Misspelt faults must not make a test pass."""
    for fault in ({"do": "explode"}, {"do": "status", "on_": "x"}, {"on": "files.create"}):
        with pytest.raises(ApiError, match="Fault"):
            drive.faults.add(fault)


def test_the_same_over_http(drive: DriveEmulator, api: Api) -> None:
    """An emulator in another process is steered by the admin addresses."""
    admin = drive.url + "/emulator"
    added = requests.post(f"{admin}/faults", json=[{"on": "files.list", "do": "status", "status": 503}], timeout=5)
    faulted = api.get("files").status_code
    patched = requests.patch(f"{admin}/weather", json={"list_lag_s": 5}, timeout=5)
    wrong = requests.patch(f"{admin}/weather", json={"lag": 5}, timeout=5)
    counted = requests.get(f"{admin}/requests", params={"on": "files.list"}, timeout=5).json()
    requests.delete(f"{admin}/requests", timeout=5)
    api.made({"name": "a"})

    assert (added.status_code, faulted, len(counted)) == (200, 503, 1)
    assert (patched.json()["list_lag_s"], wrong.status_code) == (5, 400)
    assert [one["path"] for one in requests.get(f"{admin}/files", timeout=5).json()] == ["a"]
    assert requests.delete(f"{admin}/faults", timeout=5).status_code == 204
    assert requests.get(f"{admin}/faults", timeout=5).json() == []


def test_requests_are_counted_with_their_price(api: Api, drive: DriveEmulator) -> None:
    """get 5, edits 50, lists 100, downloads 200; the bytes of a session are free."""
    file_id = api.multipart({}, b"abc").json()["id"]
    api.get(f"files/{file_id}")
    api.get(f"files/{file_id}", alt="media")
    api.get("files")
    api.ids()
    uri = api.session_uri(total=3)
    api.status(uri)
    api.send(uri, b"xyz")

    priced = [(one.method_id, one.units, one.write) for one in drive.requests]
    assert priced == [
        ("files.create", 50, True),
        ("files.get", 5, False),
        ("files.get", 200, False),
        ("files.list", 100, False),
        ("files.generateIds", 5, False),
        ("upload.start", 50, True),
        ("upload.status", 0, False),
        ("upload.send", 0, False),
    ]
    assert (drive.requests.count("files.create"), drive.requests.writes, drive.requests.units) == (2, 2, 410)


def test_writes_are_taken_in_a_burst_and_then_refused(api: Api, drive: DriveEmulator) -> None:
    """Sustained 3 a second; the refusal says for how long; reads go on."""
    drive.set_weather(writes_per_s=3, write_burst=5, retry_after=True)

    statuses = [api.create({}).status_code for _ in range(7)]
    refused = api.create({})
    drive.set_weather(advance_s=10)

    assert statuses[:5] == [200] * 5
    assert api.reason(refused) == (403, "userRateLimitExceeded")
    assert refused.headers["Retry-After"] == "1"
    assert api.get("files").status_code == 200
    assert api.create({}).status_code == 200


def test_units_a_minute_are_counted_per_user(api: Api, drive: DriveEmulator) -> None:
    """Two lists of 100 units fit into 200 units; the other user has their own."""
    drive.set_weather(units_per_minute_per_user=200, limit_status=429)

    mine = [api.get("files").status_code for _ in range(3)]
    theirs = Api(drive, "other@example.com").get("files").status_code

    assert (mine, theirs) == ([200, 200, 429], 200)


def test_requests_a_minute_are_limited_plainly(api: Api, drive: DriveEmulator) -> None:
    """For whoever wants a simple number."""
    drive.set_weather(requests_per_minute_per_user=2)

    assert [api.get("files/root").status_code for _ in range(3)] == [200, 200, 403]


def test_the_weathers_errors_follow_the_seed() -> None:
    """The same seed rolls the same dice and makes the same ids."""

    def outcome() -> tuple[list[int], list[str]]:
        with DriveEmulator(seed=7, error_rate=0.5) as drive:
            api = Api(drive)
            statuses = [api.get("files/root").status_code for _ in range(20)]
            drive.set_weather(error_rate=0)
            return statuses, api.ids(3)

    first, second = outcome(), outcome()

    assert first == second
    assert set(first[0]) == {200, 503}
