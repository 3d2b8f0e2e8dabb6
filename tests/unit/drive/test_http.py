"""The transport's connections: kept, shared, and cheap to open."""

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
