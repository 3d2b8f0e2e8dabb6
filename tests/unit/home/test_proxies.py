"""Which way a request goes, by what the environment says."""

import pytest

from function.core.errors import SettingsError
from function.home.network import proxy_for

PROXY = "http://proxy.example:3128"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "gce_metadata_host")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxies but a test's own."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("https://a.example", {}, None),
        ("https://a.example", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://a.example", {"HTTP_PROXY": PROXY}, None),
        ("http://a.example", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://a.example", {"HTTPS_PROXY": PROXY}, None),
        ("http://a.example", {"ALL_PROXY": PROXY}, PROXY),
        ("https://a.example", {"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, PROXY),
        ("https://a.example", {"https_proxy": "", "HTTPS_PROXY": PROXY}, PROXY),
        ("https://a.example", {"HTTPS_PROXY": PROXY, "ALL_PROXY": "http://other:1"}, PROXY),
        ("https://a.example", {"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ("https://a.example", {"HTTPS_PROXY": "https://proxy.example"}, "https://proxy.example:443"),
        ("https://a.example", {"HTTPS_PROXY": "http://[2001:db8::1]:3128"}, "http://[2001:db8::1]:3128"),
        ("http://localhost:1", {"HTTP_PROXY": PROXY}, None),
        ("http://drive.localhost:1", {"HTTP_PROXY": PROXY}, None),
        ("http://127.0.0.2:1", {"HTTP_PROXY": PROXY}, None),
        ("http://[::1]:1", {"ALL_PROXY": PROXY}, None),
        ("http://169.254.169.254/x", {"HTTP_PROXY": PROXY}, None),
        ("http://metadata.google.internal/x", {"HTTP_PROXY": PROXY}, None),
        ("http://meta.example:80/x", {"HTTP_PROXY": PROXY, "GCE_METADATA_HOST": "meta.example:80"}, None),
        ("http://10.1.2.3", {"HTTP_PROXY": PROXY}, PROXY),
    ],
)
def test_the_proxy_of_a_url(
    url: str, environ: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By scheme, lower case first; never for this machine and the metadata server."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    proxy = proxy_for(url)

    assert (proxy.url if proxy else None) == expected


@pytest.mark.parametrize(
    ("exceptions", "is_direct"),
    [
        ("*", True),
        ("a.example", True),
        (".example", True),
        ("example", True),
        ("*.example", True),
        ("b.example, A.example", True),
        ("a.example:443", True),
        ("a.example:80", False),
        ("*:443", True),
        ("*:80", False),
        (".", False),
        ("[]", False),
        ("le", False),
        ("aa.example", False),
        ("", False),
        ("10.0.0.0/8", False),
    ],
)
def test_exceptions_by_name(exceptions: str, is_direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name and all below it, in any case, with or without a port."""
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", exceptions)

    assert (proxy_for("https://a.example:443/x") is None) == is_direct
    assert (proxy_for("https://a.example/x") is None) == is_direct


@pytest.mark.parametrize(
    ("exceptions", "is_direct"),
    [("10.0.0.0/8", True), ("10.1.2.3", True), ("10.0.0.0/16", False), ("10.1.2.3/32,x", True), ("10.1", False)],
)
def test_exceptions_by_address(exceptions: str, is_direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address, or a network."""
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", exceptions)

    assert (proxy_for("http://10.1.2.3/") is None) == is_direct


@pytest.mark.parametrize(
    ("exceptions", "is_direct"),
    [("fd00::5", True), ("[fd00::5]", True), ("[fd00::5]:443", True), ("[fd00::5]:80", False), ("fd00::/8", True)],
)
def test_exceptions_by_address_of_version_6(exceptions: str, is_direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In brackets where a port follows."""
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", exceptions)

    assert (proxy_for("https://[fd00::5]/") is None) == is_direct


def test_a_login_is_decoded_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no part of the URL, nor of what is printed."""
    monkeypatch.setenv("HTTPS_PROXY", "http://us%40er:se%3Acret@proxy.example:3128")

    proxy = proxy_for("https://a.example")

    assert proxy
    assert (proxy.url, proxy.login) == (PROXY, "us@er:se:cret")
    assert "cret" not in repr(proxy)


@pytest.mark.parametrize(
    "text",
    [
        "socks5://canary@p:1",
        "socks5h://p:1",
        "ftp://p",
        "http://canary@p:port",
        "http://:1",
        "http://[::1",
        "http://canary:p@my proxy:1",
        "http://canary:p@proxy\uff0eexample:\uff11",
        "http://user:12/canary@proxy.example:3128",
        "http://user:canary#3@proxy.example:3128",
    ],
)
def test_a_proxy_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named, and how to write it."""
    monkeypatch.setenv("ALL_PROXY", text)

    with pytest.raises(SettingsError, match=r"^ALL_PROXY: .*http://user:password@") as error:
        proxy_for("https://a.example")

    assert "canary" not in error.value.message
