"""HTTPS by an authority of the emulator's own, on the port that speaks plain HTTP too.

A connection that begins with a TLS greeting is taken as TLS. One that begins with `CONNECT www.googleapis.com:443` is
answered as a proxy does and then taken as TLS: so clients that know no other address than Google's reach the emulator
unchanged, with `HTTPS_PROXY` at it and the authority's certificate trusted.

unchanged, with `HTTPS_PROXY` at it and the certificate of its authority trusted.
after a restart. Trust it for single programs, never machine-wide.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = dt.timedelta(days=365)
"""Longest life that Apple's and Google's clients take for a server's certificate is 398 days."""

NAMES = (
    "localhost",
    "*.localhost",
    "googleapis.com",
    "*.googleapis.com",
    "accounts.google.com",
    "drive.google.com",
    "docs.google.com",
    "*.usercontent.google.com",
    "*.googleusercontent.com",
    "host.docker.internal",
)
ADDRESSES = ("127.0.0.1", "::1")

_OWN_NAME = "Drive emulator's own authority"
_TLS_HANDSHAKE = b"\x16"


class Tls:
    """The emulator's authority and what it serves with: a certificate for Google's names, loopback and `names`."""

    def __init__(self, folder: Path, names: Iterable[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._key, self._certificate = _authority(folder / "authority.pem")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        chain = folder / "server.pem"
        _write_private(chain, self._issued(names))
        self._context.load_cert_chain(chain)

    @property
    def ca_pem(self) -> bytes:
        """The authority's certificate, for clients to trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def wrapped(self, sock: socket.socket) -> socket.socket:
        """The connection as TLS, after its handshake; raises OSError where there is none."""
        return self._context.wrap_socket(sock, server_side=True)

    def _issued(self, names: Iterable[str]) -> bytes:
        """A key and its certificate as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        wanted = dict.fromkeys([*NAMES, *ADDRESSES, *(name for name in names if name)])
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        certificate = (
            _builder("Drive emulator", self._certificate.subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in wanted]), critical=False)
            .add_extension(usages, critical=False)
            .add_extension(_issuer_key(self._key), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return _pem(key) + certificate.public_bytes(serialization.Encoding.PEM)


def greets(sock: socket.socket) -> bool:
    """Whether the connection begins with a TLS greeting; waits for its first byte and leaves it there."""
    return sock.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE


def is_own(pem: bytes) -> bool:
    """Whether it is the certificate of an emulator's authority, and nothing else."""
    if pem.count(b"-----BEGIN CERTIFICATE-----") != 1:
        return False
    try:
        return x509.load_pem_x509_certificate(pem).subject.rfc4514_string() == f"CN={_OWN_NAME}"
    except ValueError:
        return False


def _authority(path: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """The authority kept in a file, or a new one where there is none or its time is nearly over."""
    if path.exists():
        kept = path.read_bytes()
        with suppress(ValueError):  # a file that a full disk or a kill left half written
            key, certificate = serialization.load_pem_private_key(kept, None), x509.load_pem_x509_certificate(kept)
            if isinstance(key, ec.EllipticCurvePrivateKey) and certificate.not_valid_after_utc > _now() + LIFE:
                return key, certificate
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_OWN_NAME, None, key, life=10 * LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_may_sign(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_private(path, _pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
    return key, certificate


def _builder(
    name: str, issuer: x509.Name | None, key: ec.EllipticCurvePrivateKey, *, life: dt.timedelta = LIFE
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return x509.CertificateBuilder(
        issuer_name=issuer or subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=_now() - dt.timedelta(days=1),
        not_valid_after=_now() + life,
    )


def _may_sign() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _issuer_key(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_private(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
