"""A small HTTP server on loopback, for models that are none."""

from __future__ import annotations

import asyncio
import re
from abc import abstractmethod
from contextlib import suppress
from typing import Final

_MAX_HEAD: Final = 65536


class Server:
    """Listens from ``start`` to ``stop``; what it says is up to ``answer``."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen on loopback; returns the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_MAX_HEAD)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and drop what is open."""
        if self._server:
            self._server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                found = re.search(rb"(?i)\r\ncontent-length:\s*(\d+)", head)
                await self.answer(writer, head, await reader.readexactly(int(found[1])) if found else b"")
        writer.close()

    @abstractmethod
    async def answer(self, writer: asyncio.StreamWriter, head: bytes, body: bytes) -> None:
        """Answer one request."""


def chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send a piece of a body whose length is not told; an empty one is its end."""
    writer.write(b"%x\r\n" % len(data) + data + b"\r\n")


def event(data: bytes, name: str = "") -> bytes:
    """One server-sent event."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + data + b"\n\n"
