"""The channel between the supervisor and one worker: lines of JSON over a socket pair that nobody else has."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import orjson

_LINE_MAX = 16 << 20


class Channel:
    """One end. ``None`` from ``receive`` means that the other end is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Channel:
        """A channel over one end of a socket pair."""
        return cls(*await asyncio.open_unix_connection(sock=end, limit=_LINE_MAX))

    def send(self, **message: Any) -> None:
        """Send a message; lost where the other end is gone."""
        if not self._writer.is_closing():
            self._writer.write(orjson.dumps(message) + b"\n")

    async def receive(self) -> dict[str, Any] | None:
        """The next message."""
        try:
            line = await self._reader.readline()
        except (ConnectionError, ValueError):
            return None
        message: dict[str, Any] | None = orjson.loads(line) if line.endswith(b"\n") else None
        return message

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
