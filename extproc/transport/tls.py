"""Who may call the processor over TCP: mutual TLS for the grpcio transport.

The files are read again when they have changed (cert-manager and service meshes renew certificates every few hours): each
new connection is met with what is there by then. A pair that does not fit, as while it is being replaced, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from extproc.errors import StartupError

_NAMES: Final = "x509_subject_alternative_name"
"""The property of gRPC's authentication context that holds a peer's DNS names, URIs and addresses."""

_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Files:
    """Paths (PEM): our certificate with its chain, its key, and the authorities whose clients may call."""

    cert: Path
    key: Path
    client_ca: Path


class Certificates:
    """Our certificate and the authorities, as they are on disk."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._stamp = self._stamped()

    def credentials(self) -> grpc.ServerCredentials:
        """For ``add_secure_port``: TLS that demands a certificate of every client.

        Raises:
            StartupError: a file is not there, is not PEM, or certificate and key do not belong together.
        """
        try:
            first = self._read()
        except (OSError, ValueError) as error:
            raise StartupError(f"processor.tls: {_why(error)}") from None
        renewed: Any = self._renewed  # may return None, whatever the type stubs say
        return grpc.dynamic_ssl_server_credentials(first, renewed, require_client_authentication=True)

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """What new connections are met with from now on; None for no change. Called by gRPC before each handshake."""
        try:
            stamp = self._stamped()
            if stamp == self._stamp:
                return None
            found = self._read()
        except (OSError, ValueError):
            return None  # half replaced: the next connection looks again
        self._stamp = stamp
        return found

    def _stamped(self) -> _Stamp:
        try:
            return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in map(Path.stat, self._all()))
        except OSError:
            return ()

    def _all(self) -> tuple[Path, Path, Path]:
        return self._files.cert, self._files.key, self._files.client_ca

    def _read(self) -> grpc.ServerCertificateConfiguration:
        cert, key, authorities = (each.read_bytes() for each in self._all())
        _fitting(cert, key)
        x509.load_pem_x509_certificates(authorities)
        return grpc.ssl_server_certificate_configuration([(key, cert)], authorities)


def _fitting(cert: bytes, key: bytes) -> None:
    """Raises ValueError where the key is not the first certificate's."""
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    of_key = load_pem_private_key(key, None).public_key().public_bytes(*form)
    if x509.load_pem_x509_certificates(cert)[0].public_key().public_bytes(*form) != of_key:
        raise ValueError("the key is not the certificate's")


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename} cannot be read: {error.strerror}"
    return "the key is not the certificate's" if "key is not" in str(error) else "cert, key and client_ca must be PEM"


def admitted(peer: Mapping[str, Iterable[bytes]], names: Sequence[str]) -> bool:
    """Whether a peer's certificate says one of ``names`` (exactly, or up to a final ``*``).

    Args:
        peer: gRPC's authentication context of a connection.
        names: whom to admit; none for everybody whom the authorities have certified.
    """
    if not names:
        return True
    told = [each.decode("utf-8", "replace") for each in peer.get(_NAMES, ())]
    return any(_says(each, name) for each in told for name in names)


def _says(told: str, name: str) -> bool:
    return told.startswith(name[:-1]) if name.endswith("*") else told == name
