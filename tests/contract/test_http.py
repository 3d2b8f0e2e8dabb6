"""Methods, paths and health: JSON everywhere, and a health check that touches nothing."""

import os
import threading
from pathlib import Path

import pytest
from werkzeug.test import Client

import function
from tests.support.home import Ask, Home, Post

METHODS = ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "BREW"]


def test_health_touches_neither_volume_nor_drive(home: Home, ask: Ask) -> None:
    """It answers without settings, token or state, and makes none."""
    for path in [*home.folder.rglob("*")][::-1]:
        path.rmdir() if path.is_dir() else path.unlink()

    answer = ask(home, "GET", "/")

    assert (answer.code, answer.body) == (200, {"status": "ok", "version": function.__version__})
    assert list(home.folder.iterdir()) == []
    assert len(home.drive.requests) == 0


def test_health_without_a_home(ask: Ask, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not even a settings file is needed."""
    home.environ["DRIVE_UPLOAD_PATHS"] = str(tmp_path / "nowhere/paths.json")

    assert ask(home, "GET", "/").code == 200


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ["/", "/some/where"])
def test_other_methods_are_refused_in_json(home: Home, ask: Ask, method: str, path: str) -> None:
    """405 that says which methods are served."""
    answer = ask(home, method, path)

    assert (answer.code, answer.body["status"]) == (405, "failed")
    assert method in answer.body["message"]
    assert answer.headers["Allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("path", ["/nothing", "/a/b/c", "/robots.txt", "/favicon.ico", "/%2e%2e/x", "/a%00b", "/a//x"])
def test_other_paths_hold_nothing(home: Home, client: Client, path: str) -> None:
    """404, never a page of the framework's."""
    answer = client.open(path)

    assert answer.status_code == 404
    assert "html" not in answer.text.lower()


def test_head_is_get_without_a_body(home: Home, ask: Ask) -> None:
    """Load balancers ask so."""
    answer = ask(home, "HEAD", "/")

    assert (answer.code, answer.body) == (200, {})


def test_an_internal_error_is_answered_in_json(home: Home, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong in our own code: 503, the kind of error and nothing of its text, in answer and log alike."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("with a secret in it")

    monkeypatch.setattr("function.upload.batch.Batch.run", broken)

    answer = post(home, {"path": home.put()})

    assert (answer.code, answer.body["status"]) == (503, "failed")
    assert "ZeroDivisionError" in answer.entry["message"]
    assert "secret" not in answer.entry["message"]
    assert home.log() == [answer.entry]


def test_many_requests_at_once(home: Home, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of one process on different files and on one file: each gets its answer, each file is there once."""
    for name, value in home.environ.items():
        monkeypatch.setenv(name, value)
    paths = [home.put(f"Data/Meta/{index % 8}.txt", f"content {index % 8}") for index in range(24)]
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda path=path: codes.append(client.post("/", json={"path": path}).status_code))
        for path in paths
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert codes == [200] * 24
    assert {os.path.basename(path): content for path, content in home.stored().items()} == {
        f"{index}.txt": f"content {index}".encode() for index in range(8)
    }
    assert sorted(each["status"] for each in home.log()) == ["unchanged"] * 16 + ["uploaded"] * 8
    assert home.folders() == ["MemoryVDB", "MemoryVDB/Meta"]
