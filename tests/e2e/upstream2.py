"""A fake provider that speaks HTTP/2 over TLS, as the real ones do. Small: it answers streams as it is scripted."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from tests.e2e.upstream import Gate


@dataclass
class Stream:
    """One request."""

    headers: list[tuple[str, str]]
    body: bytes = b""
    reset: threading.Event = field(default_factory=threading.Event)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


@dataclass
class Script:
    """An answer: status, headers, pieces (gates between them), and how it ends: ``end`` or ``reset``."""

    status: int = 200
    headers: Iterable[tuple[str, str]] = (("content-type", "text/event-stream"),)
    parts: Iterable[bytes | Gate] = ()
    then: str = "end"


class Upstream2:
    """A running fake."""

    def __init__(self, context: ssl.SSLContext) -> None:
        context.set_alpn_protocols(["h2"])
        self._context = context
        self.streams: list[Stream] = []
        self.connections = 0
        self._scripts: dict[str, Script] = {}
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def on(self, request_id: str, script: Script) -> None:
        self._scripts[request_id] = script

    def of(self, request_id: str) -> list[Stream]:
        return [each for each in list(self.streams) if each.header("x-request-id") == request_id]

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main(ready))
        self._loop.close()

    async def _main(self, ready: threading.Event) -> None:
        self._stop = asyncio.Event()
        self._loop.set_exception_handler(lambda *_: None)
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        current = asyncio.current_task()
        assert current
        self._keep(current)
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        open_: dict[int, Stream] = {}
        with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
            while data := await reader.read(65536):
                for each in connection.receive_data(data):
                    if isinstance(each, h2.events.RequestReceived):
                        open_[each.stream_id] = Stream([(str(name), str(value)) for name, value in each.headers])
                    elif isinstance(each, h2.events.DataReceived):
                        open_[each.stream_id].body += each.data
                        connection.acknowledge_received_data(each.flow_controlled_length, each.stream_id)
                    elif isinstance(each, h2.events.StreamReset):
                        open_[each.stream_id].reset.set()
                    elif isinstance(each, h2.events.StreamEnded):
                        stream = open_[each.stream_id]
                        self.streams.append(stream)
                        self._keep(asyncio.ensure_future(self._answer(connection, writer, each.stream_id, stream)))
                writer.write(connection.data_to_send())
        writer.transport.abort()

    async def _answer(
        self, connection: h2.connection.H2Connection, writer: asyncio.StreamWriter, number: int, stream: Stream
    ) -> None:
        script = self._scripts[stream.header("x-request-id") or ""]
        with contextlib.suppress(h2.exceptions.ProtocolError, ConnectionError):
            connection.send_headers(number, [(":status", str(script.status)), *script.headers])
            for part in script.parts:
                if isinstance(part, Gate):
                    await part.wait()
                else:
                    connection.send_data(number, part)
                writer.write(connection.data_to_send())
                await asyncio.sleep(0.01)
            if script.then == "reset":
                connection.reset_stream(number, h2.errors.ErrorCodes.INTERNAL_ERROR)
            else:
                connection.end_stream(number)
            writer.write(connection.data_to_send())
