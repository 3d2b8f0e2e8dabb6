"""Who may talk to the emulator from a browser: by default its own pages, and pages of other origins not at all.

Every page that a person opens can send requests to this machine. Three headers that a page can't forge tell them apart:

    Host            the name that the browser connected to: a foreign name that leads here is a DNS rebinding
    Origin          whose script or form sent the request: sent with every POST, and with every read by a script
    Sec-Fetch-Site  the same for requests without `Origin`: pictures, scripts, frames, links

Programs send none of the last two and are let in by the name they connect to. Sources: Fetch standard, "CORS protocol";
W3C "Fetch Metadata Request Headers"; W3C "Private Network Access".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..model.errors import ApiError
from .read import Request
from .write import Response

GOOGLE_HOSTS = ("googleapis.com", "accounts.google.com", "drive.google.com", "docs.google.com", "googleusercontent.com")
"""Names that clients keep whose traffic is bent to the emulator; the names below them count too."""

PRIVATE_ENDINGS = ("localhost", "test", "internal")
"""Top-level names that no public DNS gives out, so that no web site has one. Sources: RFC 6761; ICANN, .internal."""

_API = (
    *("/drive/", "/upload/", "/resumable/", "/batch", "/discovery/", "/v1/userinfo", "/tokeninfo"),
    *("/oauth2/v1/", "/oauth2/v2/", "/oauth2/v3/", "/.well-known/"),
)
"""Where pages of a permitted origin may go. Not /token: it would hand out a token for nothing. Not /emulator/."""

_EXPOSED = (
    "Content-Encoding,Content-Length,Content-Type,Date,ETag,Location,Range,Server,Vary,X-GUploader-UploadID,"
    "X-Goog-Upload-Chunk-Granularity,X-Goog-Upload-Size-Received,X-Goog-Upload-Status,X-Goog-Upload-URL,"
    "X-HTTP-Status-Code-Override"
)


@dataclass(frozen=True, slots=True)
class BrowserPolicy:
    """`hosts` are names besides the local ones, Google's and plain addresses; `origins` are `scheme://host[:port]`."""

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()

    own_origin: str | None = None
    """The emulator's public origin, where something before it changes the name that browsers see."""

    @classmethod
    def of(cls, hosts: Iterable[str] = (), origins: Iterable[str] = (), public_url: str | None = None) -> BrowserPolicy:
        """A policy from what a person wrote; raises ValueError for an origin that is none."""
        own = _checked_origin(public_url) if public_url is not None else None
        known = {host.lower() for host in [*hosts, urlsplit(own or "").hostname or ""] if host}
        return cls(frozenset(known), frozenset(_checked_origin(one) for one in origins), own)

    def check(self, request: Request) -> None:
        """Raises ApiError (403) for a request that a page of another origin made, before anything is done for it."""
        host = request.headers.get("host")
        if host is not None and not self._is_ours(_name(host)):
            raise _forbidden(
                f"The emulator doesn't answer to the name {_name(host)!r} without --allow-host {_name(host)}."
            )
        origin = request.headers.get("origin")
        if origin is not None:
            is_own = urlsplit(origin).netloc == host or origin == self.own_origin
            if not is_own and not self._is_permitted(request, origin):
                raise _forbidden(f"Pages of {origin!r} may not use the emulator without --allow-origin {origin}.")
        elif request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"} and not _is_a_link(request):
            raise _forbidden("Pages of other origins may link to the emulator, and no more.")

    def tunnel(self, request: Request) -> None:
        """Raises ApiError (403) for a CONNECT to a name that isn't the emulator's: it is no proxy to anywhere else."""
        if not self._is_ours(_name(request.path)):
            raise _forbidden(f"The emulator stands for Google's names only, not for {_name(request.path)!r}.")

    def preflight(self, request: Request) -> Response | None:
        """The answer to a browser that asks before it sends for a permitted origin; None for any other request."""
        if request.method != "OPTIONS" or not self._is_permitted(request, request.headers.get("origin", "")):
            return None
        headers = {
            "Access-Control-Allow-Methods": "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT",
            "Access-Control-Allow-Headers": request.headers.get("access-control-request-headers", ""),
            "Access-Control-Max-Age": "3600",
        }
        if request.headers.get("access-control-request-private-network") == "true":
            headers["Access-Control-Allow-Private-Network"] = "true"
        return Response(200, b"", headers)

    def complete(self, request: Request, response: Response) -> None:
        """Add the headers that tell a browser who may read the answer, and that no other page may frame it."""
        origin = request.headers.get("origin", "")
        if self._is_permitted(request, origin):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED
            response.headers.setdefault("Vary", "Origin, X-Origin")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "SAMEORIGIN"

    def _is_ours(self, name: str) -> bool:
        return (
            name in self.hosts
            or (name != "" and "." not in name)  # localhost, and what containers call each other
            or name in GOOGLE_HOSTS
            or name.endswith(tuple(f".{end}" for end in (*GOOGLE_HOSTS, *PRIVATE_ENDINGS)))
            or _is_address(name)
        )

    def _is_permitted(self, request: Request, origin: str) -> bool:
        return origin in self.origins and request.path.startswith(_API)


def _forbidden(message: str) -> ApiError:
    return ApiError(403, "forbidden", message)


def _is_a_link(request: Request) -> bool:
    """Whether a person followed a link: the page is shown to them, and the page they came from sees nothing of it."""
    mode, target = request.headers.get("sec-fetch-mode"), request.headers.get("sec-fetch-dest")
    return request.method == "GET" and (mode, target) == ("navigate", "document")


def _is_address(name: str) -> bool:
    """Whether a host is written as a number: no name leads there, so nobody can have bent one."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name(host: str) -> str:
    """A Host header without its port and brackets, in lower case."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return host.lower()


def _checked_origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/") or parts.query:
        raise ValueError(f"{text!r} is no origin: write it as https://app.example or http://localhost:3000.")
    return f"{parts.scheme}://{parts.netloc}".lower()
