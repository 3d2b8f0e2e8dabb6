"""The transport's connections: kept, shared, and cheap to open."""

import socket
import ssl
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import pytest
from msgspec.structs import replace

from function.core.errors import DeadlineExceeded, TransientDriveError
from function.core.retry import Deadline
from function.drive import http
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


@contextmanager
def answering(serve: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> Iterator[Transport]:
    """What asks a server on this machine that serves its first connection so; `where` is the server's URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as threads:
        if tls:  # nor does the server's side keep much
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)

        def accept() -> None:
            client, _ = listener.accept()
            with tls.wrap_socket(client, server_side=True) if tls else client as connection:
                serve(connection)

        served = threads.submit(accept)
        port = listener.getsockname()[1]
        with pool(url := f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}") as connections:
            yield Transport(connections, where=url)
        served.result(timeout=30)


def read_request(client: socket.socket, body: bytes = b"") -> bytes:
    """A request whose body ends so."""
    received = client.recv(1 << 20)
    while not received.endswith(body or b"\r\n\r\n"):
        received += client.recv(1 << 20)
    return received


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def test_a_head_goes_with_the_first_block_of_its_body() -> None:
    """A small upload is one packet; a request without a body is one, too."""
    packets = []

    def serve(client: socket.socket) -> None:
        for _ in range(2):
            packets.append(client.recv(1 << 20))
            client.sendall(OK)

    with answering(serve) as transport:
        transport.request(f"{transport.where}/a", "POST", [memoryview(b"the content")], {"content-length": "11"})
        transport.request(f"{transport.where}/b")

    assert [each.split(b"\r\n")[0] for each in packets] == [b"POST /a HTTP/1.1", b"GET /b HTTP/1.1"]
    assert packets[0].endswith(b"\r\n\r\nthe content")


def test_a_slow_line_is_no_dead_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block takes longer than the longest silence, and longer than a connection has to open: it arrives."""
    monkeypatch.setattr(http, "CONNECT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(http, "READ_TIMEOUT_S", 1.5)
    content = bytes(16 * 1024 * 1024) + b"end"

    def serve(client: socket.socket) -> None:
        received = 0
        for _ in range(4):  # a silence each, which the sender's buffers don't bridge
            time.sleep(0.4)
            received += len(client.recv(4 * 1024 * 1024, socket.MSG_WAITALL))
        assert received == 16 * 1024 * 1024
        read_request(client, b"end")
        client.sendall(OK)

    with answering(serve) as transport:
        response, _ = transport.request(
            f"{transport.where}/", "POST", [memoryview(content)], {"content-length": str(len(content))}
        )

    assert response.status == 200


def test_what_the_kernel_keeps_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer comes soon after the last send has ended, however slowly the line takes what was handed over."""
    monkeypatch.setattr(http, "READ_TIMEOUT_S", 1.2)
    with TlsFront("http://127.0.0.1:1", tmp_path, ("localhost",)) as front:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(front.authority))
    content = bytes(3 * 1024 * 1024) + b"end"

    def serve(client: socket.socket) -> None:
        for _ in range(4):
            time.sleep(0.5)
            received = 0
            while received < 700 * 1024:
                received += len(client.recv(16 * 1024))
        read_request(client, b"end")
        client.sendall(OK)

    with answering(serve, front.context) as transport:
        response, _ = transport.request(
            f"{transport.where}/", "POST", [memoryview(content)], {"content-length": str(len(content))}
        )

    assert response.status == 200


def test_a_dead_line_ends_with_the_deadline() -> None:
    """Nobody takes what is sent: the caller isn't held up by the longest silence."""
    content = memoryview(bytes(64 * 1024 * 1024))
    done = Event()

    def serve(_: socket.socket) -> None:
        assert done.wait(30)

    with answering(serve) as transport:
        soon = replace(transport, deadline=Deadline.after(0.3))
        with pytest.raises(DeadlineExceeded):
            soon.request(f"{transport.where}/", "POST", [content], {"content-length": str(len(content))})
        done.set()


@pytest.mark.parametrize("head", [b"", b"content-encoding: gzip\r\n"])
def test_an_answer_without_end_is_none_of_googles(head: bytes) -> None:
    """Whatever packs it: it is read up to a bound, in little memory."""
    packer = zlib.compressobj(wbits=31)
    block = bytes(1024 * 1024)

    def serve(client: socket.socket) -> None:
        read_request(client)
        client.sendall(b"HTTP/1.1 403 Forbidden\r\n" + head + b"\r\n")
        with suppress(OSError):
            for _ in range(1000):
                client.sendall(packer.compress(block) if head else block)

    tracemalloc.start()
    try:
        with answering(serve) as transport, pytest.raises(TransientDriveError) as refused:
            transport.request(f"{transport.where}/")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert refused.value.reason == "network"
    assert peak < 3 * http.ANSWER_MAX_BYTES


@pytest.mark.parametrize("status", [100, 102, 103])
def test_hints_before_an_answer_are_passed_over(status: int) -> None:
    """The next request on the connection gets its own answer."""
    hint = f"HTTP/1.1 {status} Hint\r\nlink: </a.css>; rel=preload\r\n\r\n".encode()

    def serve(client: socket.socket) -> None:
        for number in range(2):
            read_request(client)
            client.sendall(hint + hint + OK.replace(b"{}", str(10 + number).encode()))

    with answering(serve) as transport:
        answers = [transport.request(f"{transport.where}/") for _ in range(2)]

    assert [(response.status, body) for response, body in answers] == [(200, b"10"), (200, b"11")]


def test_another_protocol_is_not_spoken() -> None:
    """The connection isn't used again."""

    def serve(client: socket.socket) -> None:
        read_request(client)
        client.sendall(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\n\r\n")
        assert client.recv(1) == b""

    with answering(serve) as transport:
        response, _ = transport.request(f"{transport.where}/")

    assert response.status == 101


def test_who_leaves_the_connections_closes_them() -> None:
    """The server reads the end of the one that was kept."""

    def serve(client: socket.socket) -> None:
        client.settimeout(10)
        read_request(client)
        client.sendall(OK)
        assert client.recv(1) == b""

    with answering(serve) as transport:
        transport.request(f"{transport.where}/")
