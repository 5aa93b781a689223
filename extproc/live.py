"""Checks against the world outside: ports, names, certificates, keys. Nothing is spent: models are listed, none is asked."""

from __future__ import annotations

import datetime
import errno
import http.client
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from extproc.errors import StartupError
from extproc.groups import Backend
from extproc.providers.api import Call, NotReady
from extproc.providers.credentials import Keys
from extproc.runtime import Runtime

_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check came to; ``text`` is for people and never holds a key."""

    ok: bool
    text: str


def look(runtime: Runtime, ca: str) -> Iterator[Finding]:
    """Run all checks, one finding each.

    Args:
        runtime: the configuration.
        ca: the bundle provider certificates are checked with.
    """
    yield from ports(runtime)
    seen: set[tuple[str, str]] = set()
    for backend in runtime.backends.values():
        if (backend.provider, backend.authority) not in seen:
            seen.add((backend.provider, backend.authority))
            yield from _provider(backend, ca)


def ports(runtime: Runtime) -> Iterator[Finding]:
    """Whether each port of ours that the configuration names is free."""
    gateway, health = runtime.config.gateway, runtime.config.health
    wanted = [("gateway.port", gateway.address, gateway.port)]
    if gateway.tls != "none":
        wanted.append(("gateway.plain_port", "127.0.0.1", gateway.plain_port or 0))
    wanted.append(("gateway.admin_port", "127.0.0.1", gateway.admin_port))
    wanted.append(("health.port", health.address, health.port or 0))
    for name, address, port in wanted:
        if port:
            yield _port(name, address, port)


def require_ports(runtime: Runtime) -> None:
    """See that every port of ours is free.

    Raises:
        StartupError: one is not.
    """
    if taken := [each.text for each in ports(runtime) if not each.ok]:
        raise StartupError("; ".join(taken))


def _port(name: str, address: str, port: int) -> Finding:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return Finding(False, f"{name}: port {port} of {address} is taken")
            return Finding(False, f"{name}: {address}:{port}: {error.strerror}")
    return Finding(True, f"{name}: {address}:{port} is free")


def _provider(backend: Backend, ca: str) -> Iterator[Finding]:
    name = f"provider {backend.provider}"
    try:
        found = socket.getaddrinfo(backend.host, backend.port, type=socket.SOCK_STREAM)
    except OSError:
        yield Finding(False, f"{name}: {backend.host} has no address")
        return
    yield Finding(True, f"{name}: {backend.host} is {found[0][4][0]}")
    turns = len(backend.credential.values) if isinstance(backend.credential, Keys) else 0
    for number in range(turns or 1):
        yield _models(name, f"key {number + 1}" if turns else "without a key", backend, ca)


def _models(name: str, which: str, backend: Backend, ca: str) -> Finding:
    connection = _connection(backend, ca)
    path = backend.kind.target(backend.base, Call("", "models", "")) or f"{backend.base}/models"
    now = datetime.datetime.now(datetime.UTC)
    try:
        paid = backend.credential.headers("GET", backend.authority, path, b"", now) if backend.credential else ()
        headers = {**dict(backend.profile.headers()), **dict(paid)}
        connection.request("GET", path, headers=headers)
        status = connection.getresponse().status
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason
        return Finding(False, f"{name}: TLS with {backend.authority} failed: {reason}")
    except (OSError, http.client.HTTPException) as error:
        return Finding(False, f"{name}: {backend.authority} cannot be reached: {type(error).__name__}")
    except NotReady:
        return Finding(True, f"{name}: {which}: cannot be told, its token is fetched when the gateway runs")
    finally:
        connection.close()
    if status in (401, 403):
        return Finding(False, f"{name}: {which} is refused ({status})")
    if status == 200:
        return Finding(True, f"{name}: {which} works")
    return Finding(True, f"{name}: {which}: cannot be told, the list of models answers {status}")


def _connection(backend: Backend, ca: str) -> http.client.HTTPConnection:
    if not backend.tls:
        return http.client.HTTPConnection(backend.host, backend.port, timeout=_TIMEOUT)
    context = ssl.create_default_context(cafile=ca)
    return http.client.HTTPSConnection(backend.host, backend.port, timeout=_TIMEOUT, context=context)
