"""The gateway's own small HTTP server for probes and scrapers. It knows nothing of prompts and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import orjson
from prometheus_client import CONTENT_TYPE_LATEST

from extproc.errors import StartupError
from extproc.sightings import Sightings

SEEN: Final = b"/attest/"
"""Before the hash of a marked request's word: whether a worker has seen it (see ``extproc.exchange.attest``)."""

_HEAD_MAX: Final = 8192


@dataclass(frozen=True, slots=True)
class Probes:
    """What can be asked: ``ready``, ``metrics`` and ``seen`` (marked requests) answer, ``drain`` begins to."""

    ready: Callable[[], bool]
    metrics: Callable[[], bytes]
    drain: Callable[[], None]
    seen: Sightings = field(default_factory=Sightings)


class HealthServer:
    """Listens for as long as the gateway runs.

    Args:
        address, port: where; port 0 picks a free one.
        probes: what answers.
    """

    def __init__(self, address: str, port: int, probes: Probes) -> None:
        self._address = address
        self._wanted = port
        self._probes = probes
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises StartupError where the port is taken."""
        try:
            self._server = await asyncio.start_server(self._serve, self._address, self._wanted, limit=_HEAD_MAX)
        except OSError as error:
            where = f"{self._address}:{self._wanted}"
            raise StartupError(f"cannot listen on {where} (health.port): {error.strerror}") from None
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more."""
        if self._server:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
                status, media, body = self._answer(*(head.split(b" ", 2)[:2]))
                writer.write(
                    f"HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {len(body)}\r\n"
                    "connection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        writer.close()

    def _answer(self, method: bytes, target: bytes) -> tuple[str, str, bytes]:
        text = "text/plain; charset=utf-8"
        match method, target.partition(b"?")[0]:
            case b"GET", b"/health/liveness":
                return "200 OK", text, b"alive\n"
            case b"GET", b"/health/readiness":
                ready = self._probes.ready()
                return ("200 OK", text, b"ready\n") if ready else ("503 Service Unavailable", text, b"not ready\n")
            case b"POST", b"/health/drain":
                self._probes.drain()
                return "200 OK", text, b"draining\n"
            case b"GET", b"/metrics":
                return "200 OK", CONTENT_TYPE_LATEST, self._probes.metrics()
            case b"GET", path if path.startswith(SEEN):
                found = self._probes.seen.of(path[len(SEEN) :].decode("ascii", "replace"))
                told = {"seen": found.times if found else 0, "mode": found.mode if found else None}
                return "200 OK", "application/json", orjson.dumps(told)
        return "404 Not Found", text, b"not here\n"
