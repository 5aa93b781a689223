"""A development certificate: our own authority and one server certificate, made on first start and kept.

For real use give ``gateway.tls`` your own. Clients trust ``ca.pem``; private keys are readable by their owner alone.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CA_DAYS: Final = 3650
_SERVER_DAYS: Final = 365
_RENEW: Final = datetime.timedelta(days=30)


def ensure(folder: Path, hosts: tuple[str, ...] = ()) -> tuple[Path, Path, Path]:
    """Make or keep the certificates in ``folder``; returns (certificate, key, authority)."""
    folder.mkdir(parents=True, exist_ok=True)
    cert, key, ca, ca_key = (folder / name for name in ("server.pem", "server.key", "ca.pem", "ca.key"))
    names = tuple(dict.fromkeys((*_own_names(), *hosts)))
    if not (ca.is_file() and ca_key.is_file()):
        _make_authority(ca, ca_key)
        cert.unlink(missing_ok=True)
    if not (key.is_file() and cert.is_file() and _current(cert, names)):
        _make_server(cert, key, ca, ca_key, names)
    return cert, key, ca


def _own_names() -> tuple[str, ...]:
    return ("localhost", "127.0.0.1", "::1", socket.gethostname(), "envoy", "llm-extproc")


def _current(path: Path, names: tuple[str, ...]) -> bool:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return left > _RENEW and all(_name(each) in found for each in names)


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(subject: str, issuer: str, public: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


_AUTHORITY: Final = "llm-extproc development authority"


def _make_authority(ca: Path, ca_key: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_AUTHORITY, _AUTHORITY, key.public_key(), _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write_key(ca_key, key)
    ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _make_server(cert: Path, key_path: Path, ca: Path, ca_key: Path, names: tuple[str, ...]) -> None:
    authority = x509.load_pem_x509_certificate(ca.read_bytes())
    signer = serialization.load_pem_private_key(ca_key.read_bytes(), None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the development authority's key is not an elliptic-curve key")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder("llm-extproc", _AUTHORITY, key.public_key(), _SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_name(each) for each in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    _write_key(key_path, key)
    pem = serialization.Encoding.PEM
    cert.write_bytes(certificate.public_bytes(pem) + authority.public_bytes(pem))


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    data = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
