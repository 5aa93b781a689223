"""What a gateway on this machine consists of: its files, its addresses, its transport."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from extproc.config.model import Certificate
from extproc.envoy import certificates
from extproc.envoy.layout import Layout
from extproc.errors import StartupError
from extproc.runtime import Runtime
from extproc.service import Service
from extproc.transport.base import Transport
from extproc.transport.grpcio import Admission, GrpcTransport
from extproc.transport.native import NativeTransport
from extproc.transport.tls import Certificates, Files

_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


@dataclass(slots=True)
class Options:
    """How to run: where state is kept (certificates), which Envoy with how many threads, where its access log goes."""

    state: Path
    envoy: str | None = None
    access: IO[bytes] | int = subprocess.DEVNULL
    threads: int | None = None


def upstream_ca(runtime: Runtime) -> str:
    """The bundle provider certificates are checked with.

    Raises:
        StartupError: a provider needs TLS and there is no bundle.
    """
    named = runtime.config.gateway.upstream_ca
    found = _first_file([named]) if named else system_ca()
    if found:
        return found
    if any(backend.tls for backend in runtime.backends.values()):
        raise StartupError("no bundle of certificate authorities found; name one with gateway.upstream_ca")
    return ""


def system_ca() -> str:
    """The system's bundle of authorities, or what ``SSL_CERT_FILE`` names instead; empty where there is none."""
    return _first_file([ssl.get_default_verify_paths().cafile, *_BUNDLES])


def _first_file(candidates: Sequence[str | None]) -> str:
    return next((str(Path(each).resolve()) for each in candidates if each and Path(each).is_file()), "")


def layout_for(runtime: Runtime, run: Path, state: Path, envoy: str = "") -> tuple[Layout, Path | None]:
    """Where everything is, making the development certificate where it is needed; and the authority clients trust.

    ``envoy`` is the version of Envoy that reads the files; empty for the newest.
    """
    gateway = runtime.config.gateway
    cert = key = run / "unused.pem"
    ca = None
    if isinstance(gateway.tls, Certificate):
        cert, key = Path(gateway.tls.cert).resolve(), Path(gateway.tls.key).resolve()
        for path in (cert, key):
            if not path.is_file():
                raise StartupError(f"gateway.tls names {path}, which is not there")
    elif gateway.tls == "auto" and not runtime.guards_only:
        hosts = () if gateway.address in ("0.0.0.0", "::") else (gateway.address,)  # noqa: S104
        cert, key, ca = certificates.ensure(state / "tls", hosts)
    return Layout(run, cert, key, upstream_ca(runtime), processor_addresses(runtime, run), envoy), ca


def processor_addresses(runtime: Runtime, run: Path) -> tuple[str, ...]:
    """Where Envoy finds the workers: socket paths, or HOST:PORT."""
    bind = runtime.config.processor.bind
    workers = range(runtime.config.processor.workers)
    if bind.startswith("unix:"):
        return tuple(str(run / bind.removeprefix("unix:").replace("{n}", str(n))) for n in workers)
    return tuple(bind.replace("{n}", str(n)) for n in workers)


def transport_for(
    runtime: Runtime, service: Service, address: str, listener: socket.socket | None, patience: float = 0.0
) -> Transport:
    """The transport for one worker.

    Args:
        address: where Envoy looks for it: a socket's path, or HOST:PORT.
        listener: what is bound there already, for the native transport; None for the other, which binds itself.
        patience: seconds in which the other may find the address taken, by a worker that is about to let go of it.
    """
    max_body = runtime.config.gateway.max_body
    if listener is not None:
        return NativeTransport(service, listener, max_body)
    where = f"unix:{address}" if address.startswith("/") else address
    return GrpcTransport(service, where, max_body, patience, _admission(runtime))


def _admission(runtime: Runtime) -> Admission | None:
    tls = runtime.config.processor.tls
    if tls is None:
        return None
    cert, key, client_ca = (Path(each).resolve() for each in (tls.cert, tls.key, tls.client_ca))
    return Admission(Certificates(Files(cert, key, client_ca)), tuple(tls.names))


def only_elsewhere(runtime: Runtime) -> None:
    """Refuse what is meant for an Envoy elsewhere where the Envoy is ours.

    Raises:
        StartupError: ``processor.tls`` is set; our own Envoy has no certificate to show.
    """
    if runtime.config.processor.tls:
        raise StartupError(
            "processor.tls is for an Envoy elsewhere (extproc serve, and extproc render for its side); the Envoy that is "
            "started here needs none: take it out, and let processor.bind begin with unix:"
        )
