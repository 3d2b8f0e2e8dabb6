"""Batches: many calls in one request, each answered and charged for itself."""

import json

import requests

from local_runner.drive_emulator import DriveEmulator
from tests.emulator.wire import Api


def _batch(api: Api, calls: list[str], end: str = "\r\n") -> requests.Response:
    parts = [
        f"--B{end}Content-Type: application/http{end}Content-ID: <item-{number}>{end}{end}{call}{end}"
        for number, call in enumerate(calls, 1)
    ]
    body = "".join(parts) + f"--B--{end}"
    headers = {"Content-Type": "multipart/mixed; boundary=B"}
    return api.call("POST", "/batch/drive/v3", data=body.encode(), headers=headers)


def _create(name: str) -> str:
    body = json.dumps({"name": name})
    return f"POST /drive/v3/files?fields=name HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{body}"


def test_each_call_has_its_own_answer_and_price(api: Api, drive: DriveEmulator) -> None:
    """Partial failure is normal; n calls count as n."""
    answer = _batch(api, [_create("a"), "GET /drive/v3/files/nowhere", _create("b")])

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("multipart/mixed; boundary=")
    positions = [
        answer.text.index(text)
        for text in (
            "<response-item-1>",
            "HTTP/1.1 200 OK",
            '{"name":"a"}',
            "<response-item-2>",
            "HTTP/1.1 404 Not Found",
        )
    ]
    assert positions == sorted(positions)
    assert [one["name"] for one in drive.files()] == ["a", "b"]
    assert (drive.requests.writes, drive.requests.units) == (2, 105)


def test_bare_line_feeds_do(api: Api, drive: DriveEmulator) -> None:
    """As google-api-python-client sends them."""
    answer = _batch(api, [_create("a").replace("\r\n", "\n")], end="\n")

    assert answer.status_code == 200
    assert [one["name"] for one in drive.files()] == ["a"]


def test_a_hundred_calls_are_taken_and_one_more_is_not(api: Api, drive: DriveEmulator) -> None:
    """Drive's cap, ten times below google-api-python-client's."""
    full = _batch(api, ["GET /drive/v3/files/root?fields=id HTTP/1.1"] * 100)
    over = _batch(api, ["GET /drive/v3/files/root?fields=id HTTP/1.1"] * 101)

    assert full.text.count("HTTP/1.1 200 OK") == 100
    assert over.status_code == 400


def test_media_stays_outside(api: Api, drive: DriveEmulator) -> None:
    """Uploads are refused, downloads answered with where they are."""
    file_id = api.multipart({}, b"x").json()["id"]

    answer = _batch(
        api,
        [
            "POST /upload/drive/v3/files?uploadType=media HTTP/1.1\r\n\r\nx",
            f"GET /drive/v3/files/{file_id}?alt=media HTTP/1.1",
        ],
    )

    assert "HTTP/1.1 400 Bad Request" in answer.text
    assert f"HTTP/1.1 302 Found\r\nLocation: {drive.url}/drive/v3/files/{file_id}?alt=media" in answer.text


def test_the_global_batch_address_is_gone(api: Api) -> None:
    """404 since 2020."""
    assert api.call("POST", "/batch", data=b"").status_code == 404
