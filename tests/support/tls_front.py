"""Google's host names in front of an embedded Drive, for clients that can't be pointed anywhere else.

An HTTP proxy that says yes to every CONNECT and ends the TLS itself, with certificates of a private authority:

    rclone ── CONNECT www.googleapis.com:443, TLS ──▶ front ── plain HTTP, X-Forwarded-Proto ──▶ embedded Drive

Clients run unmodified with `environ`: they believe that they talk to Google. One thread a connection, requests on it
one after the other, bodies passed on in blocks. Alone:
`python -m tests.support.tls_front http://127.0.0.1:9099 FOLDER`.
"""

import datetime as dt
import re
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Mapping, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = ("www.googleapis.com", "oauth2.googleapis.com", "accounts.google.com")

BLOCK_BYTES = 1024 * 1024

RECORD_BYTES = 16 * 1024
"""An answer's body of up to so many bytes goes in one TLS record with its head, as a web server sends it."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect: *100-continue", re.IGNORECASE)
_LAST = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class TlsFront:
    """Serves on a port of its own while it is entered; `environ(folder)` is what a client's process needs."""

    def __init__(self, url: str, folder: Path, hosts: Sequence[str] = HOSTS) -> None:
        place = urlsplit(url)
        self._drive = (place.hostname or "127.0.0.1", place.port or 80)
        self.authority = folder / "authority.pem"
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(_certificates(folder, hosts))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "TlsFront":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables by which clients go through the front and believe its certificates."""
        return environ(self.url, self.authority)

    @property
    def resumed(self) -> int:
        """Connections that went on with the session of an earlier one."""
        return self.context.session_stats()["hits"]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with client:
                if not _head(client.makefile("rb")).startswith(b"CONNECT "):
                    client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
                    return
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                with self.context.wrap_socket(client, server_side=True) as secure:
                    self._relay(secure)
        except OSError:
            return  # either side went away; the other sees its connection closed

    def _relay(self, client: socket.socket) -> None:
        with (
            socket.create_connection(self._drive) as drive,
            BufferedReader(socket.SocketIO(client, "r"), BLOCK_BYTES) as asked,
            BufferedReader(socket.SocketIO(drive, "r"), BLOCK_BYTES) as answered,
        ):
            drive.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while head := _head(asked):
                if _EXPECT.search(head):
                    client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    head = _EXPECT.sub(b"", head)
                drive.sendall(head[:-2] + b"X-Forwarded-Proto: https\r\n\r\n")
                _body(asked, drive, head)
                answer = _head(answered)
                _pass_on(answer, answered, client, has_body=not head.startswith(b"HEAD "))
                if not answer or _LAST.search(answer):
                    return


def environ(url: str, authority: Path) -> dict[str, str]:
    """The variables by which clients go through the front and believe its certificates."""
    proxies = dict.fromkeys(("https_proxy", "HTTPS_PROXY", "RCLONE_HTTP_PROXY"), url)
    trusts = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HTTPLIB2_CA_CERTS", "RCLONE_CA_CERT")
    return proxies | dict.fromkeys(trusts, str(authority)) | {"no_proxy": "", "NO_PROXY": ""}


def _head(stream: "BufferedReader[Any]") -> bytes:
    """Request or status line and headers, the empty line included; empty at the end of the connection."""
    lines = [stream.readline()]
    while lines[-1] not in (b"\r\n", b""):
        lines.append(stream.readline())
    return b"".join(lines) if lines[-1] else b""


def _pass_on(head: bytes, source: "BufferedReader[Any]", client: socket.socket, *, has_body: bool) -> None:
    """Pass on an answer."""
    length = _LENGTH.search(head)
    if not has_body or length is None or int(length[1]) > RECORD_BYTES:
        client.sendall(head)
        if has_body:
            _body(source, client, head)
        return
    body = source.read(int(length[1]))
    client.sendall(head + body)
    if len(body) < int(length[1]):
        raise ConnectionError("the body broke off")


def _body(source: "BufferedReader[Any]", sink: socket.socket, head: bytes) -> None:
    """Pass on the body that belongs to a head."""
    if _CHUNKED.search(head):
        while True:
            line = source.readline()
            sink.sendall(line)
            size = int(line.split(b";")[0], 16)
            _copy(source, sink, size + 2)
            if not size:
                return
    length = _LENGTH.search(head)
    _copy(source, sink, int(length[1]) if length else 0)


def _copy(source: "BufferedReader[Any]", sink: socket.socket, count: int) -> None:
    view = memoryview(bytearray(min(count, BLOCK_BYTES)))
    while count:
        got = source.readinto1(view[: min(count, len(view))])
        if not got:
            raise ConnectionError("the body broke off")
        sink.sendall(view[:got])
        count -= got


def _certificates(folder: Path, hosts: Sequence[str]) -> Path:
    """Make an authority, and a file with a key and the certificate it gives for those names; the file's path."""
    now = dt.datetime.now(dt.UTC)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Embedded Drive")])

    def builder(name: x509.Name, of: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            issuer_name=issuer,
            subject_name=name,
            public_key=of.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - dt.timedelta(days=1),
            not_valid_after=now + dt.timedelta(days=30),
        )

    authority = (
        builder(issuer, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    leaf = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])]), key)
        .add_extension(names, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    usual = (
        ssl.get_default_verify_paths().cafile
    )  # beside all that a machine trusts: clients take their time to read it
    trusted = Path(usual).read_bytes() if usual else b""
    (folder / "authority.pem").write_bytes(trusted + authority.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = folder / "front.pem"
    chain.touch(0o600)
    chain.write_bytes(private + leaf.public_bytes(serialization.Encoding.PEM))
    return chain


def main() -> None:
    """Serve until SIGTERM or SIGINT; the first line on stdout is the front's URL."""
    url, folder = sys.argv[1:]
    with TlsFront(url, Path(folder)) as front:
        print(front.url, flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
