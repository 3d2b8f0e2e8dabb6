"""`DRIVE_EMULATOR_HOST` -> the base URL that all Drive and OAuth traffic goes to instead of Google."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from function.core.errors import SettingsError
from function.core.naming import quoted

EMULATOR_HOST = "DRIVE_EMULATOR_HOST"
"""`host:port` or a URL, as with Google's other emulators."""

PLAIN_HTTP = "DRIVE_EMULATOR_PLAIN_HTTP"
"""The one host that may be talked to in clear although it isn't this machine, such as a neighbour's container."""


def emulator(environ: Mapping[str, str]) -> str | None:
    """The emulator's base URL, or None for Google. Raises SettingsError.

    Plain http goes to this machine only, unless the host is named a second time: tokens travel in clear, and a
    misspelt or planted DRIVE_EMULATOR_HOST would send them away.
    """
    given = environ.get(EMULATOR_HOST)
    if not given:
        return None
    url = _split(given)
    if url.scheme == "http" and not is_this_machine(url.hostname or "") and url.hostname != environ.get(PLAIN_HTTP):
        raise SettingsError(
            f"{EMULATOR_HOST}: {quoted(given)} is another machine, and tokens would go there in clear;"
            f" use https://, or set {PLAIN_HTTP}={quoted(url.hostname or '')[1:-1]} if that is wanted."
        )
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"


def _split(given: str) -> SplitResult:
    try:
        url = urlsplit(given if "://" in given else f"http://{given}")
        is_whole = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        is_whole = False
    if not is_whole or "@" in url.netloc or url.query or url.fragment or not given.isprintable() or " " in given:
        raise SettingsError(
            f"{EMULATOR_HOST}: must be host:port or a URL such as http://127.0.0.1:9099, with no user or query."
        )
    return url


def is_this_machine(host: str) -> bool:
    """Whether what is sent to that host never leaves this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
