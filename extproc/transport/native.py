"""The native transport: HTTP/2 and gRPC in this house, for one trusted peer on a Unix socket, our own Envoy.

An exchange is answered where its bytes arrive, without a task and without a queue; whatever one reading of the socket
led to leaves in one write. Only long inspections leave the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, cast

from extproc.service import Service
from extproc.transport import grpc_wire, health
from extproc.transport.call import Call
from extproc.transport.http2 import frames
from extproc.transport.http2.connection import Connection, Receiver
from extproc.transport.http2.headers import Headers
from extproc.transport.http2.stream import Stream
from extproc.wire import METHOD, SERVICE

_PROCESS: Final = f"/{SERVICE}/{METHOD}"
_SLACK: Final = 1 << 20
"""A message is a body plus its headers, attributes and metadata."""
_LARGEST_BUFFER: Final = 4 << 20
"""Bytes a peer may leave unread before it is cut off; data of streams waits elsewhere, bounded by their windows."""
_PARTING: Final = 1.0
"""Seconds in which a peer may read what was written before its connection was closed."""


class NativeTransport:
    """See ``base.Transport``.

    Args:
        service: what answers.
        listener: a bound Unix socket. The transport listens on it and closes its own copy in the end; whoever bound it
            keeps connections waiting while there is nobody to accept them.
        max_message: longest body in a message, in bytes.
    """

    def __init__(self, service: Service, listener: socket.socket, max_message: int) -> None:
        self._service = service
        self._listener = listener
        self._max_message = max_message + _SLACK
        self._health = health.Health(("", SERVICE))
        self._thread = ThreadPoolExecutor(1, "inspection")  # one long text at a time: more would only share the GIL
        self._peers: set[_Peer] = set()
        self._server: asyncio.AbstractServer | None = None
        self._changed = asyncio.Event()
        self._stopping = False

    async def start(self) -> None:
        """See ``Transport.start``."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._connected, sock=self._listener, backlog=512)

    async def stop(self, grace: float) -> None:
        """See ``Transport.stop``."""
        self._stopping = True
        if self._server:
            self._server.close()
        self._health.stop()
        for peer in list(self._peers):
            peer.drain()
        await self._until(lambda: not any(peer.busy for peer in self._peers), grace)
        for peer in list(self._peers):
            peer.close()
        await self._until(lambda: not self._peers, _PARTING)
        for peer in list(self._peers):
            peer.abort()
        # a session that is being inspected ends with its inspection, not under it
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        """Wait for something that happens to peers, but not for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not done():
                    self._changed.clear()
                    await self._changed.wait()

    def _connected(self) -> _Peer:
        peer = _Peer(self._begin, self._peers, self._changed.set)
        if self._stopping:  # accepted just before
            peer.drain()
        return peer

    def _begin(self, peer: _Peer, stream: Stream, headers: Headers) -> Receiver:
        """What answers a new stream."""
        if headers[":method"] != "POST" or not headers.get("content-type", "").startswith("application/grpc"):
            return _Refused(stream, grpc_wire.NOT_GRPC)
        path = headers[":path"]
        try:
            within = grpc_wire.timeout(headers)
            if path == _PROCESS:
                call = Call(self._service, stream, headers, self._max_message, self._thread, peer.flush)
                if within is not None:
                    call.end_within(within)
                return call
            if path in health.METHODS:
                return health.Question(self._health, stream, path == health.WATCH, peer.flush)
        except grpc_wire.Status as status:
            return _Refused(stream, grpc_wire.trailers(status.code, status.text, begun=False))
        return _Refused(stream, grpc_wire.trailers(grpc_wire.UNIMPLEMENTED, "llm-extproc: no such method", begun=False))


class _Refused:
    """A stream that is answered by its end."""

    def __init__(self, stream: Stream, trailers: bytes) -> None:
        stream.finish(trailers)

    def received(self, data: bytes, ended: bool) -> None:
        """Nothing is wanted of it."""

    def gone(self) -> None:
        """Nothing is kept of it."""


class _Peer(asyncio.Protocol):
    """One connection."""

    def __init__(
        self, begin: Callable[[_Peer, Stream, Headers], Receiver], peers: set[_Peer], changed: Callable[[], None]
    ) -> None:
        self._connection = Connection(lambda stream, headers: begin(self, stream, headers))
        self._peers = peers
        self._changed = changed
        self._transport: asyncio.Transport | None = None

    @property
    def busy(self) -> bool:
        """Whether streams are open."""
        return self._connection.open > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast("asyncio.Transport", transport)
        self._peers.add(self)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        try:
            self._connection.receive(data)
        except Exception:
            # nothing below lets an exception out; should one come, nobody may take the rest for decided
            self._connection.fail(frames.INTERNAL_ERROR, "llm-extproc: internal error")
        self.flush()

    def flush(self) -> None:
        """Send what is there to be sent."""
        transport = self._transport
        if transport is None:
            return
        while data := self._connection.take():
            transport.write(data)
        if self._connection.failed:
            transport.close()
        elif transport.get_write_buffer_size() > _LARGEST_BUFFER:
            transport.abort()
        if not self._connection.open:
            self._changed()

    def pause_writing(self) -> None:
        """See asyncio."""
        self._connection.hold()

    def resume_writing(self) -> None:
        """See asyncio."""
        self._connection.release()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._transport = None
        self._peers.discard(self)
        self._connection.lost()
        self._changed()

    def drain(self) -> None:
        """Ask the peer to begin nothing new here."""
        self._connection.drain()
        self.flush()

    def close(self) -> None:
        """End it; streams that are open are cut."""
        self._connection.fail(frames.NO_ERROR, "")
        self.flush()

    def abort(self) -> None:
        """End it without another word."""
        if self._transport:
            self._transport.abort()
