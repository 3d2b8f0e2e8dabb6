"""The transport's connections: kept, shared, and cheap to open."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from function.drive.http import Transport, pool
from local_runner.drive_emulator import DriveEmulator
from tests.support.tls_front import HOSTS, TlsFront

URL = f"https://{HOSTS[0]}"


def test_further_connections_resume_the_first_ones_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four requests at once, after one: the connections that are opened for them need no certificates again."""
    with DriveEmulator() as drive, TlsFront(drive.url, tmp_path) as front:
        for name, value in front.environ.items():
            monkeypatch.setenv(name, value)
        transport = Transport(pool(URL))

        answers = [transport.request(f"{URL}/")]
        drive.set_weather(latency_ms=200)
        with ThreadPoolExecutor(4) as threads:
            answers += threads.map(lambda _: transport.request(f"{URL}/drive/v3/about"), range(4))

        assert [response.status for response, _ in answers] == [200, 403, 403, 403, 403]
        assert front.resumed == 3


def test_a_head_goes_with_the_first_block_of_its_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small upload is one send; a request without a body is one, too."""
    sent: list[bytes] = []
    sendall = socket.socket.sendall

    def spy(self: socket.socket, data: bytes) -> None:
        if b"HTTP/1.1\r\n" in bytes(data) or b"the content" in bytes(data):
            sent.append(bytes(data))
        sendall(self, data)

    monkeypatch.setattr(socket.socket, "sendall", spy)
    with DriveEmulator() as drive, pool(drive.url) as connections:
        transport = Transport(connections)
        transport.request(f"{drive.url}/a", "POST", [memoryview(b"the content")], {"content-length": "11"})
        transport.request(f"{drive.url}/b")

    asked = [each for each in sent if not each.startswith(b"HTTP/1.1")]
    assert [each.split(b"\r\n")[0] for each in asked] == [b"POST /a HTTP/1.1", b"GET /b HTTP/1.1"]
    assert asked[0].endswith(b"\r\n\r\nthe content")


def test_who_leaves_the_connections_closes_them() -> None:
    """The server reads the end of the one that was kept."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with ThreadPoolExecutor(1) as threads, pool(url) as connections:
            answered = threads.submit(Transport(connections).request, f"{url}/")
            client, _ = listener.accept()
            client.recv(1 << 16)
            client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            answered.result()
        with client:
            client.settimeout(10)
            assert client.recv(1) == b""
