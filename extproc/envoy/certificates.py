"""A development certificate: our own authority and one server certificate, made on first start and kept.

For real use give ``gateway.tls`` your own. Clients trust ``ca.pem``; private keys are readable by their owner alone.

Several gateways may share a folder, and start at the same time. So one at a time looks and makes; every file is put in
place whole; and the server's key is kept when its certificate is made anew, so that whichever certificate another process
finds, the key fits it.
"""

from __future__ import annotations

import datetime
import ipaddress
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from extproc.locked import alone, put

_CA_DAYS: Final = 3650
_SERVER_DAYS: Final = 365
_RENEW: Final = datetime.timedelta(days=30)


def ensure(folder: Path, hosts: tuple[str, ...] = ()) -> tuple[Path, Path, Path]:
    """Make or keep the certificates in ``folder``; returns (certificate, key, authority)."""
    cert, key, ca, ca_key = (folder / name for name in ("server.pem", "server.key", "ca.pem", "ca.key"))
    names = tuple(dict.fromkeys((*_own_names(), *hosts)))
    with suppress(FileNotFoundError):
        if ca_key.is_file() and ca.is_file() and key.is_file() and _current(cert, names):
            return cert, key, ca  # nothing is written: the folder may be one that cannot be
    with alone(folder):
        if not (ca.is_file() and ca_key.is_file()):
            ca.unlink(missing_ok=True)  # an authority is there only with its key
            cert.unlink(missing_ok=True)
            _make_authority(ca, ca_key)
        if not (key.is_file() and cert.is_file() and _current(cert, names)):
            _make_server(cert, key, ca, ca_key, names)
    return cert, key, ca


def _own_names() -> tuple[str, ...]:
    return ("localhost", "127.0.0.1", "::1", socket.gethostname(), "envoy", "llm-extproc")


def _current(path: Path, names: tuple[str, ...]) -> bool:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    found = _names(certificate)
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return left > _RENEW and all(_name(each) in found for each in names)


def _names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


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
    put(ca_key, _pem(key), _PRIVATE)
    put(ca, certificate.public_bytes(serialization.Encoding.PEM))


def _make_server(cert: Path, key_path: Path, ca: Path, ca_key: Path, names: tuple[str, ...]) -> None:
    authority = x509.load_pem_x509_certificate(ca.read_bytes())
    signer = _read_key(ca_key)
    key = _read_key(key_path) if key_path.is_file() else ec.generate_private_key(ec.SECP256R1())
    alternatives = dict.fromkeys(_name(each) for each in names)
    if cert.is_file():  # another gateway of this folder may need those
        alternatives |= dict.fromkeys(_names(x509.load_pem_x509_certificate(cert.read_bytes())))
    certificate = (
        _builder("llm-extproc", _AUTHORITY, key.public_key(), _SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    if not key_path.is_file():
        put(key_path, _pem(key), _PRIVATE)
    pem = serialization.Encoding.PEM
    put(cert, certificate.public_bytes(pem) + authority.public_bytes(pem))


_PRIVATE: Final = 0o600


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} is not an elliptic-curve key")
    return key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
