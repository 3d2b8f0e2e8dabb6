"""A service whose answers are odd: what they account for is shown, and every other file is for later."""

import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import Result

from local_runner.client import over_http
from tests.support.mutated_logs import ODD_VALUES, entry

Run = Callable[..., Result]

A, B, C = "Data/Meta/a.txt", "Data/Meta/b.txt", "Data/Notes/c.txt"

QUEUE = "projects/mine/locations/europe-west1/queues/uploads"

SENTENCE = "answered something that is no answer of this service: "


def told(path: str | None, **changes: Any) -> dict[str, Any]:
    """An entry of an upload, as the service answers it."""
    return entry(0, path=path, **changes)


def answer(*results: Any, **changes: Any) -> bytes:
    """An answer with those results."""
    return json.dumps({"status": "uploaded", "results": results, **changes}).encode()


@contextmanager
def answering(answers: Callable[[list[dict[str, Any]]], bytes | tuple[int, bytes]], code: int = 200) -> Iterator[str]:
    """The URL of a server that answers each POST with what `answers` makes of the files asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = answers(asked.get("files", [asked]))
            status, body = answer if isinstance(answer, tuple) else (code, answer)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name in the standard library
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def upload(home: Path, run: Run) -> Callable[..., tuple[Result, dict[str, list[str]]]]:
    """Uploads to a server with one answer: what is shown, and then with --json each path's statuses."""

    def uploaded(body: bytes, *arguments: str, code: int = 200) -> tuple[Result, dict[str, list[str]]]:
        with answering(lambda asked: body, code) as url:
            shown = run("upload", *(arguments or ("Data",)), "--url", url)
            written = run("upload", *(arguments or ("Data",)), "--url", url, "--json")
        assert shown.exit_code == written.exit_code
        statuses: dict[str, list[str]] = {}
        for each in json.loads(written.stdout)["results"]:
            statuses.setdefault(each["path"], []).append(each["status"])
        return shown, statuses

    return uploaded


Upload = Callable[..., tuple[Result, dict[str, list[str]]]]

ALL_FAILED = {each: ["failed"] for each in (A, B, C)}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "it isn't JSON"),
        (b"<html>Welcome to our WLAN</html>", "it isn't JSON"),
        (b"\xff\xfe\x00", "it isn't JSON"),
        (b"[" * 200_000, "it is nested too deeply"),
        (b'{"status":"uploaded","results":' + b"[" * 200_000, "it is nested too deeply"),
        (b"[]", "Expected `object`, got `array`"),
        (b"null", "Expected `object`, got `null`"),
        (b"NaN", "Expected `object`, got `float`"),
        (b'{"results":[]}', "missing required field `status`"),
        (b'{"status":"uploaded"}', "missing required field `results`"),
        (answer(status="done"), "status: Invalid enum value 'done'"),
        (answer(status="\ud800"), "it holds what is no text"),
        (answer(results={A: "uploaded"}), "results: Expected `array`, got `object`"),
        (answer(), "it says nothing of this file"),
        (answer({}, {}, {}), "results[0]: Object missing required field `path`"),
        (answer(1, None), "results[0]: Expected `object`, got `int`"),
        (answer([[A]]), "results[0]: Expected `object`, got `array`"),
        (answer(*(told(f"Other/{n}") for n in range(3))), "it says nothing of this file"),
        (answer(*(told(each, status="done") for each in (A, B, C))), "status: Invalid enum value 'done'"),
        (answer(*({"path": each} for each in (A, B, C))), "missing required field `status`"),
        (answer(*({"path": each, "status": "failed"} for each in (A, B, C))), "it failed without a reason"),
        (answer(*(told(each, size="x") for each in (A, B, C))), "size: Expected `int | null`, got `str`"),
        (answer(*(told(each) for each in (A, B, C))).replace(b'"size": 100', b'"size": 9e999'), "no number in JSON"),
        (answer(*(told(each, requests=10**400) for each in (A, B, C))), "requests: Expected `int`"),
        (answer(*(told(each, metadata={"a": float("nan")}) for each in (A, B, C))), "no number in JSON"),
        (answer(*(told(each, account=["default"]) for each in (A, B, C))), "account: Expected `str | null`"),
    ],
)
def test_what_is_no_answer_accounts_for_no_file(upload: Upload, body: bytes, why: str) -> None:
    """Every file is a failure that the same call can mend, with one sentence that says what is odd."""
    shown, statuses = upload(body)

    assert shown.exit_code == 75
    assert SENTENCE in shown.stdout
    assert why in shown.stdout
    assert "; call again." in shown.stdout
    assert "3 failed; 0 bytes sent" in shown.stdout
    assert statuses == ALL_FAILED


@pytest.mark.parametrize("rest", [(), (None,), ({},), (told(B, size=-1), told(C, status=7))])
def test_what_an_answer_accounts_for_is_shown(upload: Upload, rest: Sequence[Any]) -> None:
    """One file of three: it went up, and the others are for later."""
    shown, statuses = upload(answer(told(A), *rest))

    assert shown.exit_code == 75
    assert "2 failed, 1 uploaded; 100 bytes sent" in shown.stdout
    assert statuses == ALL_FAILED | {A: ["uploaded"]}


def test_what_is_no_entry_and_names_no_file_is_told_too(upload: Upload) -> None:
    """Every file has an entry, but there was something to tell of one of them."""
    shown, statuses = upload(answer(told(A), told(B), told(C), None))

    assert shown.exit_code == 75
    assert "results[3]: Expected `object`, got `null`; call again." in shown.stdout
    assert statuses == {A: ["uploaded"], B: ["uploaded"], C: ["uploaded"], None: ["failed"]}


def test_a_file_has_an_entry_for_each_account(upload: Upload) -> None:
    """All accounts are shown; where one account's entry is odd, the file is for later, whatever the others say."""
    both = [told(each, account=account) for each in (A, B) for account in ("one", "two")]

    good, statuses = upload(answer(*both, told(C)))
    odd, odd_statuses = upload(answer(*both, told(C, account="one"), told(C, account="two", status="done")))
    other, other_statuses = upload(answer(told(A, account="two")), A, "--account", "one")

    assert (good.exit_code, odd.exit_code, other.exit_code) == (0, 75, 75)
    assert statuses == {A: ["uploaded"] * 2, B: ["uploaded"] * 2, C: ["uploaded"]}
    assert odd_statuses == statuses | {C: ["uploaded", "failed"]}
    assert other_statuses == {A: ["failed"]}


def test_entries_that_come_twice_or_unasked_do_no_harm(upload: Upload) -> None:
    """Each file is accounted for, in whatever order; of what nobody asked for nothing is shown."""
    shown, statuses = upload(answer(told(C), told("Other/x"), told(B), told(A), told(A)))

    assert shown.exit_code == 0
    assert statuses == {A: ["uploaded"] * 2, B: ["uploaded"], C: ["uploaded"]}


@pytest.mark.parametrize("name", sorted(entry(0)))
def test_no_value_of_a_field_stops_the_command(upload: Upload, name: str) -> None:
    """Numbers as text, lists as paths, names that aren't UTF-8: the two other files are shown as they are."""
    for value in ODD_VALUES:
        shown, statuses = upload(answer(told(A) | {name: value}, told(B), told(C)))

        assert shown.exit_code in (0, 65, 75)
        assert shown.exit_code or statuses[A] == ["uploaded"] or name == "status"
        assert statuses[B] == statuses[C] == ["uploaded"]
        assert statuses[A]


def test_a_path_may_be_told_otherwise_than_it_was_asked_for(home: Path, upload: Upload) -> None:
    """The service tells paths relative to its home, without the links that lead into data_root."""
    (home / "alias.txt").symlink_to(A)
    elsewhere = "/srv/memory/Data/x.txt"

    shown, _ = upload(answer(told(A)), "alias.txt")
    both, _ = upload(answer(told(A), told(A)), "alias.txt", A)
    far, _ = upload(answer(told("Data/x.txt")), elsewhere)
    outside, _ = upload(answer(told("../memory/Data/x.txt")), elsewhere)
    refused, statuses = upload(
        answer(told(elsewhere, status="failed", reason="source_missing", retryable=False), status="failed"),
        elsewhere, code=404,
    )  # fmt: skip

    assert [each.exit_code for each in (shown, both, far, outside, refused)] == [0, 0, 0, 0, 65]
    assert statuses == {elsewhere: ["failed"]}


@pytest.mark.parametrize("code", [302, 404, 500, 503])
def test_an_error_that_no_entry_explains_is_not_done(upload: Upload, code: int) -> None:
    """Entries say that all went up, the HTTP status says that it failed: the same call finds out."""
    shown, statuses = upload(answer(told(A), told(B), told(C)), code=code)

    assert shown.exit_code == 75
    assert f"its HTTP status is {code}, and none of its entries says why; call again." in shown.stdout
    assert statuses == ALL_FAILED


def test_an_error_that_an_entry_explains_accounts_for_the_others(upload: Upload) -> None:
    """503 for one account or file, as the contract has it: what is done is done."""
    late = told(C, status="failed", reason="storage_quota_exceeded", retryable=True)

    shown, statuses = upload(answer(told(A), told(B), late, status="partial"), code=503)

    assert shown.exit_code == 75
    assert statuses == {A: ["uploaded"], B: ["uploaded"], C: ["failed"]}


@pytest.mark.parametrize("where", ["", "files[1]."])
def test_a_refusal_of_what_all_files_share_is_asked_for_once(run: Run, where: str) -> None:
    """Each file is told as refused; the half of them would be refused as well."""
    calls: list[int] = []
    message = f"{where}account: there is no account 'nope'; the settings have default."
    refusal = told(None, status="failed", reason="invalid_payload", retryable=False, message=message)

    def refuse(asked: list[dict[str, Any]]) -> bytes:
        calls.append(len(asked))
        return answer(refusal, status="failed")

    with answering(refuse, 400) as url:
        result = run("upload", "Data", "--account", "nope", "--url", url, "--json")

    assert calls == [3]
    assert result.exit_code == 64
    entries = json.loads(result.stdout)["results"]
    assert [(each["path"], each["message"]) for each in entries] == [(path, message) for path in (A, B, C)]


@pytest.mark.parametrize("command", [["upload", "Data"], ["retry"], ["enqueue", "Data", "--queue", QUEUE]])
@pytest.mark.parametrize(
    "url",
    [
        "",
        "function.example",
        "127.0.0.1:8080",
        "ftp://user:canary@host",
        "http://",
        "http://user:canary@host:port",
        "http://a b/",
        "http://%zz/",
        "http://１２７.0.0.1:8177/",
        "https://user:canary@ℂ.com",
        f"http://{'y' * 64}.example/",
    ],
)
def test_what_is_no_address_is_wrong_usage(home: Path, run: Run, command: list[str], url: str) -> None:
    """An empty variable of a shell, too: nothing goes up from here instead."""
    result = run(*command, "--url", url)

    assert result.exit_code == 64
    assert "Invalid value for '--url': must be the function's address, as https://host/path" in result.stderr
    assert "canary" not in result.output
    assert not (home / "upload_log.json").exists()


@pytest.mark.parametrize(("body", "code"), [(b"", 200), (b"", 404), (b"", 503), (answer(told(A)), 503), (None, None)])
def test_no_message_repeats_what_an_address_proves(
    home: Path, run: Run, capfd: pytest.CaptureFixture[str], body: bytes | None, code: int | None
) -> None:
    """Neither user nor password nor query, whatever is wrong; host and path are named."""
    with answering(lambda asked: body or b"", code or 200) as server:
        host = server.removeprefix("http://") if code else "127.0.0.1:9"
        result = run("upload", A, "--url", f"http://user:canary-password@{host}/function?token=canary-token")

    said = result.output + "".join(capfd.readouterr())
    assert result.exit_code == (65 if code == 404 else 75)
    assert f"http://{host}/function" in " ".join(said.split())
    assert "canary" not in said


def test_a_request_that_is_refused_as_a_whole_is_told_once(upload: Upload) -> None:
    """One entry without a path speaks of every file."""
    refusal = told(None, account=None, status="failed", reason="settings_invalid", retryable=True)

    shown, statuses = upload(answer(refusal, status="failed"), code=503)

    assert shown.exit_code == 75
    assert SENTENCE not in shown.stdout
    assert statuses == {None: ["failed"]}


def test_what_ran_out_of_time_is_asked_for_by_its_path(home: Path, run: Run) -> None:
    """Whatever the order of the entries, each late file is called for again, and no other one."""
    calls: list[list[str]] = []

    def answers(asked: list[dict[str, Any]]) -> bytes:
        calls.append(sorted(each["path"] for each in asked))
        late = {"status": "failed", "reason": "deadline_exceeded", "retryable": True} if len(calls) == 1 else {}
        return answer(*(told(path, **(late if path == C else {})) for path in reversed(calls[-1])))

    with answering(answers) as url:
        result = run("upload", "Data", "--url", url)

    assert result.exit_code == 0
    assert calls == [[A, B, C], [C]]


def test_what_is_always_late_is_left_for_later(home: Path, run: Run) -> None:
    """An answer in which a file is done as well as late doesn't keep the command calling."""
    calls = 0

    def answers(asked: list[dict[str, Any]]) -> bytes:
        nonlocal calls
        calls += 1
        late = {"status": "failed", "reason": "deadline_exceeded", "retryable": True}
        accounts = ("default", None, f"{calls}", "other")
        return answer(
            *(told(A, account=each, **changes) for each in accounts for changes in ({}, late)), status="partial"
        )

    with answering(answers) as url:
        result = run("upload", A, "--url", url)

    assert result.exit_code == 75
    assert calls < 10


@pytest.mark.parametrize(("code", "exit_code"), [(401, 65), (404, 65), (429, 75), (502, 75)])
def test_an_error_of_whoever_stands_between_is_one_sentence(home: Path, run: Run, code: int, exit_code: int) -> None:
    """However the body is nested: a wrong address or missing rights stay wrong, the rest passes."""
    with answering(lambda asked: b"[" * 200_000, code) as url:
        result = run("upload", "Data", "--url", url)

    assert result.exit_code == exit_code
    assert f"{url} answered {code} without entries" in result.stderr


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Bearer canary\nx",
        "Authorization: Bearer canary\r\nX: y",
        "Authorization: Bearer canary…",
        "Authorization: Bearer canary\udcff",
        "Bearer canary: x",
        "canary",
    ],
)
def test_what_is_no_header_is_wrong_usage(home: Path, run: Run, header: str) -> None:
    """A line break inside, the dots of our own hint, a name with a space: refused, and not repeated."""
    result = run("upload", A, "--url", "http://127.0.0.1:9/", "--header", header)

    assert result.exit_code == 64
    assert "Invalid value for '--header': must be NAME: VALUE on one line" in result.stderr
    assert "canary" not in result.output


def test_a_service_that_says_nothing_is_not_waited_for(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its deadline and the slack end the waiting."""
    monkeypatch.setattr(over_http, "SLACK_S", 0)
    monkeypatch.setenv("DRIVE_UPLOAD_DEADLINE_S", "0.3")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = run("upload", A, "--url", f"http://127.0.0.1:{silent.getsockname()[1]}/")

    assert result.exit_code == 75
    assert "no answer within 0.3 s, 0 s more than deadline_s" in result.stderr


def test_a_service_is_called_as_docs_network_md_says(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the proxy that the environment names, trusting the bundle that it names."""
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexist")
    with answering(lambda asked: answer(told(A))) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        proxied = run("upload", A, "--url", "http://function.invalid/")
        trusting = run("upload", A, "--url", "https://function.invalid/")

    assert proxied.exit_code == 0
    assert trusting.exit_code == 78
    assert "REQUESTS_CA_BUNDLE: /nonexist can't be read as certificates" in trusting.stderr
