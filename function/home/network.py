"""Where requests go: to Google or to the emulator that the environment names, directly or through a proxy.

    https:// through HTTPS_PROXY, http:// through HTTP_PROXY, both else through ALL_PROXY; in either case, lower first
    direct where NO_PROXY names the host: `*`, a name and all below it, an address or a network such as 10.0.0.0/8
    direct always to this machine itself (emulators), and to the metadata server that tells a workload who it is

One set of rules for Drive, token endpoints and whatever else the job asks. A proxy is `http://` or `https://` (http
where no scheme is given), with `user:password@` in front of the host if it wants one.
"""

import ipaddress
import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import SplitResult, unquote, urlsplit

from function.core.errors import SettingsError
from function.core.naming import quoted

EMULATOR_HOST = "DRIVE_EMULATOR_HOST"
"""`host:port` or a URL, as with Google's other emulators."""

PLAIN_HTTP = "DRIVE_EMULATOR_PLAIN_HTTP"
"""The one host that may be talked to in clear although it isn't this machine, such as a neighbour's container."""


@lru_cache(maxsize=8)
def emulator_url(given: str | None, plain_http: str | None) -> str | None:
    """The base URL of an emulator that is given as DRIVE_EMULATOR_HOST, or None for Google. Raises SettingsError.

    Plain http goes to this machine only, unless the host is named a second time: tokens travel in clear, and a
    misspelt or planted DRIVE_EMULATOR_HOST would send them away.
    """
    if not given:
        return None
    url = _split(given)
    if url.scheme == "http" and not is_this_machine(url.hostname or "") and url.hostname != plain_http:
        raise SettingsError(
            f"{EMULATOR_HOST}: {quoted(given)} is another machine, and tokens would go there in clear;"
            f" use https://, or set {PLAIN_HTTP}={quoted(url.hostname or '')[1:-1]} if that is wanted."
        )
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"


def is_http(text: str) -> bool:
    """Whether it is the URL of a host that can be asked over HTTP; in ASCII, as `xn--…`, where it has other letters."""
    try:
        url = urlsplit(text)
        host = url.hostname or ""
        host.encode("idna")  # as the resolver will have it: no label is empty or over 63 characters
        return url.scheme in ("http", "https") and bool(_HOST.fullmatch(host)) and url.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address, such a name
        return False


def _split(given: str) -> SplitResult:
    text = given if "://" in given else f"http://{given}"
    url = urlsplit(text) if is_http(text) else None
    if url is None or "@" in url.netloc or url.query or url.fragment or not given.isprintable() or " " in given:
        raise SettingsError(
            f"{EMULATOR_HOST}: must be host:port or a URL such as http://127.0.0.1:9099, with no user or query."
        )
    return url


@lru_cache(maxsize=64)
def is_this_machine(host: str) -> bool:
    """Whether what is sent to that host never leaves this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and (address.is_loopback or address.is_unspecified)


METADATA_HOSTS = ("metadata.google.internal", "169.254.169.254", "fd20:ce::254")
"""Source: Compute Engine, 'About VM metadata'; GCE_METADATA_HOST names another one to google-auth."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where it listens, and what its Proxy-Authorization header shall hold."""

    variable: str
    """The environment variable that names it, for messages."""
    url: str
    """Without user and password."""
    login: str | None = field(default=None, repr=False)
    """user:password."""


def proxy_for(url: str) -> Proxy | None:
    """The proxy for requests to that URL; None for the direct way. Raises SettingsError, without any password."""
    target = urlsplit(url)
    host = target.hostname or ""
    port = target.port or (443 if target.scheme == "https" else 80)
    variables = (f"{target.scheme}_proxy", "all_proxy")
    variable = next((each for each in variables if _setting(each)), None)
    if variable is None or _is_direct(host) or _is_excepted(host, port, _setting("no_proxy")):
        return None
    return _parsed(variable.upper(), _setting(variable))


def _setting(name: str) -> str:
    return (os.environ.get(name) or os.environ.get(name.upper()) or "").strip()


def _is_direct(host: str) -> bool:
    own_metadata = os.environ.get("GCE_METADATA_HOST", "").partition(":")[0]
    return is_this_machine(host) or host in (*METADATA_HOSTS, own_metadata)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    for entry in filter(None, (each.strip().lower() for each in exceptions.split(","))):
        name, only_port = _host_and_port(entry)
        if only_port and only_port != str(port):
            continue
        if name == "*":
            return True
        name = name.removeprefix("*").lstrip(".")
        if name and (name == host or host.endswith(f".{name}") or _is_within(host, name)):
            return True
    return False


def _host_and_port(entry: str) -> tuple[str, str]:
    """Of `a.example`, `a.example:443`, `fd00::5` or `[fd00::5]:443`; an empty port is any."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    name, _, port = entry.partition(":") if entry.count(":") == 1 else (entry, "", "")
    return name, port


def _is_within(host: str, network: str) -> bool:
    address = _address(host)
    try:
        return address is not None and address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _parsed(variable: str, text: str) -> Proxy:
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        host, port = url.hostname, url.port
    except ValueError:
        raise SettingsError(f"{variable}: its port or address is malformed; {_EXAMPLE}") from None
    if url.scheme not in ("http", "https"):
        raise SettingsError(f"{variable}: {url.scheme} proxies are not supported; {_EXAMPLE}")
    if "@" in f"{url.path}?{url.query}#{url.fragment}":  # the host would be what stands before it: a part of the login
        raise SettingsError(
            f"{variable}: its user or password holds one of / ? #, to be written %2F %3F %23; {_EXAMPLE}"
        )
    if not host or not _HOST.fullmatch(host):
        raise SettingsError(f"{variable}: it names no host that can be; {_EXAMPLE}")
    shown = f"[{host}]" if ":" in host else host
    return Proxy(variable, f"{url.scheme}://{shown}:{port or (443 if url.scheme == 'https' else 80)}", _login(url))


_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9a-fA-F:.]+(%[\w.-]+)?")
"""A name, in the ASCII form where it has another one, or an address."""

_EXAMPLE = "name one as http://user:password@proxy.example:3128, or unset it."


def _login(url: SplitResult) -> str | None:
    if url.username is None:
        return None
    return f"{unquote(url.username)}:{unquote(url.password or '')}"
