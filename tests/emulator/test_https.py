"""HTTPS with an authority of the emulator's own, and Google's names through it."""

from __future__ import annotations

import os
import ssl
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from local_runner.drive_emulator import DriveEmulator, ServerOptions
from tests.emulator.wire import Api


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[DriveEmulator]:
    """An emulator with https; `ca.pem` in the test's folder is its authority's certificate."""
    with DriveEmulator(options=ServerOptions(https=True)) as drive:
        (tmp_path / "ca.pem").write_bytes(drive.ca_pem)
        yield drive


def test_https_and_http_on_one_port(secure: DriveEmulator, tmp_path: Path) -> None:
    """The certificate holds for loopback; session URIs and token endpoints name the scheme that was used."""
    ca, token = str(tmp_path / "ca.pem"), Api(secure).token
    headers = {"Authorization": f"Bearer {token}"}
    start = "/upload/drive/v3/files?uploadType=resumable"

    over_tls = requests.post(secure.url + start, headers=headers, json={}, verify=ca, timeout=10)
    plain = requests.post(f"http://127.0.0.1:{secure.port}{start}", headers=headers, json={}, timeout=10)

    assert secure.url.startswith("https://127.0.0.1:")
    assert over_tls.headers["Location"].startswith(secure.url)
    assert plain.headers["Location"].startswith("http://127.0.0.1:")
    assert secure.authorized_user()["token_uri"] == f"{secure.url}/token"


def test_the_certificate_stands_a_strict_check(secure: DriveEmulator, tmp_path: Path) -> None:
    """As Python 3.13 and newer check by default (RFC 5280), by name and by number."""
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT

    for host in ("127.0.0.1", "localhost"):
        with urllib.request.urlopen(f"https://{host}:{secure.port}/", context=context, timeout=10) as answer:
            assert answer.status == 200


def test_googles_names_are_reached_through_it_as_a_proxy(secure: DriveEmulator, tmp_path: Path) -> None:
    """A client that knows Google's address only, with HTTPS_PROXY at the emulator; it is a proxy to nowhere else."""
    proxies = {"https": f"http://127.0.0.1:{secure.port}"}
    session = requests.Session()
    session.trust_env = False

    answer = session.get(
        "https://www.googleapis.com/drive/v3/about?fields=user",
        headers={"Authorization": f"Bearer {Api(secure).token}"},
        proxies=proxies,
        verify=str(tmp_path / "ca.pem"),
        timeout=10,
    )

    assert answer.json()["user"]["emailAddress"] == "user@example.com"
    with pytest.raises(requests.exceptions.ProxyError, match="403"):
        session.get("https://example.com/", proxies=proxies, verify=str(tmp_path / "ca.pem"), timeout=10)


def test_the_authority_outlives_a_restart_and_is_private(tmp_path: Path) -> None:
    """With --data a certificate that was trusted once serves again; keys are readable by their owner only."""
    data = tmp_path / "drive"
    with DriveEmulator(data, options=ServerOptions(https=True)) as drive:
        first = drive.ca_pem
    with DriveEmulator(data, options=ServerOptions(https=True)) as drive:
        again = drive.ca_pem

    assert first == again
    assert {stat.S_IMODE(path.stat().st_mode) for path in (data / "tls").iterdir()} == {0o600}


def test_stopping_cuts_connections_in_tls(tmp_path: Path) -> None:
    """An idle connection doesn't hold the end up."""
    session, ca = requests.Session(), tmp_path / "ca.pem"
    with DriveEmulator(options=ServerOptions(https=True)) as drive:
        ca.write_bytes(drive.ca_pem)
        session.get(drive.url, verify=str(ca), timeout=10)

    with pytest.raises(requests.exceptions.ConnectionError):
        session.get(drive.url, verify=str(ca), timeout=10)


def test_a_public_url_begins_every_address(tmp_path: Path) -> None:
    """Behind a reverse proxy that changes the name: links, token endpoint, and the proxy's page as own origin."""
    with DriveEmulator(options=ServerOptions(public_url="https://drive.example/")) as drive:
        address = f"http://127.0.0.1:{drive.port}"
        headers = {"Authorization": f"Bearer {Api(drive).token}"}
        start = requests.post(
            f"{address}/upload/drive/v3/files?uploadType=resumable", headers=headers, json={}, timeout=10
        )
        document = requests.get(f"{address}/discovery/v1/apis/drive/v3/rest", timeout=10).json()
        own = {"Origin": "https://drive.example"}
        page = requests.post(f"{address}/o/oauth2/auth", headers=own, timeout=10)

    assert start.headers["Location"].startswith("https://drive.example/upload/")
    assert document["rootUrl"] == "https://drive.example/"
    assert drive.url == "https://drive.example"
    assert page.status_code == 400


def test_rclone_by_the_recipe(tmp_path: Path) -> None:
    """Three commands: start, point rclone at it by what the start wrote, copy."""
    bin_folder = Path(sys.executable).parent
    if not (bin_folder / "rclone").exists():
        pytest.skip("rclone is not installed")
    command = [sys.executable, "-m", "local_runner.drive_emulator", "--https", "--port", "0"]
    written = ["--write-ca", str(tmp_path / "ca.pem"), "--write-rclone-config", str(tmp_path / "rclone.conf")]
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_bytes(os.urandom(100))
    (tmp_path / "source" / "large").write_bytes(os.urandom(9 * 1024 * 1024))
    with subprocess.Popen([*command, *written], stdout=subprocess.PIPE, text=True) as emulator:
        assert emulator.stdout is not None
        try:
            address = emulator.stdout.readline().split()[-1].replace("https:", "http:")
            rclone = [str(bin_folder / "rclone"), "--config", str(tmp_path / "rclone.conf")]
            environment = {**os.environ, "HTTPS_PROXY": address, "https_proxy": address, "no_proxy": "", "NO_PROXY": ""}

            def run(*words: str) -> str:
                told = subprocess.run(
                    [*rclone, "--ca-cert", str(tmp_path / "ca.pem"), *words],
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=100,
                    check=False,
                )
                assert told.returncode == 0, told.stderr
                return told.stdout

            run("copy", str(tmp_path / "source"), "drive:backup")
            run("check", str(tmp_path / "source"), "drive:backup")
            listed = run("lsf", "drive:backup")
        finally:
            emulator.terminate()

    assert listed.split() == ["a.txt", "large"]
