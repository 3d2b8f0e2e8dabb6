"""The way out: what the environment says of proxies and certificates holds for Drive and for the token endpoint."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.home import Home, Post
from tests.support.login_proxy import LoginProxy
from tests.support.tls_front import TlsFront

LOGIN = "upload:p@ss wörd €"
QUOTED = "upload:p%40ss%20w%C3%B6rd%20%E2%82%AC"
GOOGLE = {"oauth2.googleapis.com:443", "www.googleapis.com:443"}


@dataclass(frozen=True, slots=True)
class Office:
    """A home whose only way to Google is a proxy with a login; its token has run out."""

    home: Home
    proxy: LoginProxy
    authority: Path

    def environ(self, **variables: str) -> None:
        """The only proxies and certificates that the home's processes know."""
        names = ("https_proxy", "http_proxy", "all_proxy", "no_proxy")
        blank = dict.fromkeys([*names, *map(str.upper, names)], "")
        blank |= dict.fromkeys(["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"], "")
        self.home.environ.update(blank | {"SSL_CERT_FILE": str(self.authority)} | variables)


@pytest.fixture
def office(home: Home, tmp_path: Path) -> Iterator[Office]:
    """The home, the proxy, and behind it Google's host names."""
    token = home.drive.authorized_user() | {
        "expiry": "2020-01-01T00:00:00Z",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    home.write("drive_token.json", json.dumps(token))
    home.environ["DRIVE_EMULATOR_HOST"] = ""
    with TlsFront(home.drive.url, tmp_path) as front, LoginProxy(front.url, LOGIN) as proxy:
        yield Office(home, proxy, front.authority)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_everything_goes_through_the_proxy(office: Office, post: Post, variable: str, scheme: str) -> None:
    """Drive and the token endpoint, with user and password, with or without a scheme."""
    office.environ(**{variable: f"{scheme}{QUOTED}@{office.proxy.address}"})

    answer = post(office.home, {"path": office.home.put()})

    assert answer.body["status"] == "uploaded", answer.entry["message"]
    assert set(office.proxy.hosts) == GOOGLE


def test_a_login_that_the_proxy_refuses_is_said(office: Office, post: Post, capfd: pytest.CaptureFixture[str]) -> None:
    """The message names proxy and variable, and nothing names the password."""
    office.home.settings(deadline_s=5)
    office.environ(HTTPS_PROXY=f"http://upload:canary-password@{office.proxy.address}")
    token = office.home.drive.authorized_user() | {"expiry": "2999-01-01T00:00:00Z"}
    office.home.write("drive_token.json", json.dumps(token))

    answer = post(office.home, {"path": office.home.put()})

    assert (answer.code, answer.entry["reason"]) == (503, "network")
    assert "HTTPS_PROXY" in answer.entry["message"]
    assert answer.headers["Retry-After"] == "3600"
    assert "canary-password" not in json.dumps(answer.body) + json.dumps(office.home.log()) + "".join(
        capfd.readouterr()
    )


@pytest.mark.parametrize("proxy", ["socks5://user:canary@127.0.0.1:1080", "http://user:canary@proxy:port", "http://"])
def test_a_proxy_that_is_none_is_a_mistake_of_the_settings(office: Office, post: Post, proxy: str) -> None:
    """One sentence that names the variable and shows how to write it; no password."""
    office.environ(HTTPS_PROXY=proxy)

    answer = post(office.home, {"path": office.home.put()})

    assert (answer.code, answer.entry["reason"]) == (503, "settings_invalid")
    assert answer.entry["message"].startswith("HTTPS_PROXY: ")
    assert "canary" not in answer.entry["message"]


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_by_any_usual_variable(office: Office, post: Post, variable: str, tmp_path: Path) -> None:
    """One that can't be read is named."""
    proxy = f"http://{QUOTED}@{office.proxy.address}"
    office.environ(HTTPS_PROXY=proxy, **{"SSL_CERT_FILE": "", variable: str(office.authority)})
    first = post(office.home, {"path": office.home.put()})
    office.home.settings(deadline_s=5)
    office.environ(HTTPS_PROXY=proxy, **{variable: str(tmp_path / "missing.pem")})

    second = post(office.home, {"path": office.home.put(content="other")})

    assert first.body["status"] == "uploaded", first.entry["message"]
    assert second.entry["reason"] == "settings_invalid"
    assert second.entry["message"].startswith(f"{variable}: ")


def test_a_bundle_that_was_mended_counts_at_once(office: Office, post: Post, tmp_path: Path) -> None:
    """The process, and the account's Drive in it, stay; certificates are read again when one isn't believed."""
    bundle, elsewhere = tmp_path / "bundle.pem", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with TlsFront("http://127.0.0.1:1", elsewhere) as other:
        right, wrong = office.authority.read_bytes(), other.authority.read_bytes()
    bundle.write_bytes(right)
    trust = {"SSL_CERT_FILE": "", "REQUESTS_CA_BUNDLE": str(bundle)}
    office.environ(HTTPS_PROXY=f"http://{QUOTED}@{office.proxy.address}", **trust)
    post(office.home, {"path": office.home.put()})
    office.home.settings(deadline_s=3)
    bundle.write_bytes(wrong)

    first = post(office.home, {"path": office.home.put(content="other")})
    bundle.write_bytes(right)
    office.home.settings(deadline_s=3)
    second = post(office.home, {"path": "Data/Meta/note.txt"})

    assert (first.code, first.entry["reason"]) == (503, "network")
    assert second.body["status"] == "uploaded", second.entry["message"]


def test_this_machine_is_reached_without_a_proxy(home: Home, post: Post) -> None:
    """An emulator on loopback, whatever proxies there are."""
    home.environ.update(dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:1"))

    assert post(home, {"path": home.put()}).body["status"] == "uploaded"
