"""A fake OpenAI-compatible provider: scripted by request id, recording everything it is sent, strict about it.

It runs in a thread of its own and writes HTTP/1.1 by hand, so that it can misbehave in every way a provider can.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

Behaviour = Callable[["Wire"], Awaitable[None]]
Pairs = list[tuple[str, str]]

ALLOWED = frozenset({
    "host", "accept", "accept-encoding", "authorization", "content-length", "content-type", "idempotency-key",
    "openai-beta", "traceparent", "tracestate", "user-agent", "x-client-request-id", "x-request-id", "transfer-encoding",
})  # fmt: skip
"""All a provider may be told."""


@dataclass
class Received:
    """One request as it arrived. ``ended``: its connection was closed or reset by the gateway before our answer ended."""

    method: str
    target: str
    headers: Pairs
    body: bytes
    trailers: Pairs = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)
    sent: int = 0

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str | None:
        found = self.all(name)
        assert len(found) < 2, f"{name} came {len(found)} times: {found}"
        return found[0] if found else None

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """What a behaviour answers with."""

    def __init__(self, received: Received, writer: asyncio.StreamWriter) -> None:
        self.received = received
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        self.received.sent += len(data)
        await self._writer.drain()

    async def head(self, status: int, headers: Pairs) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers)]
        await self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n" % len(data) + data + b"\r\n")

    def reset(self) -> None:
        """RST, not FIN."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()


class Gate:
    """Holds a behaviour until the test opens it."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.reached = threading.Event()

    @property
    def opened(self) -> bool:
        return self._open.is_set()

    def open(self) -> None:
        self._open.set()

    async def wait(self) -> None:
        self.reached.set()
        deadline = time.monotonic() + 20
        while not self._open.is_set() and time.monotonic() < deadline:
            await asyncio.sleep(0.005)


# behaviours


def raw(*parts: bytes, then: str = "") -> Behaviour:
    """Bytes as they are; then ``close``, ``reset`` or nothing."""

    async def behave(wire: Wire) -> None:
        for part in parts:
            await wire.send(part)
        if then == "close":
            wire.close()
        elif then == "reset":
            await asyncio.sleep(0.05)  # a reset overtakes what was written just before
            wire.reset()

    return behave


def respond(
    status: int, body: bytes, headers: Iterable[tuple[str, str]] = (("content-type", "application/json"),)
) -> Behaviour:
    """A whole answer with its length."""

    async def behave(wire: Wire) -> None:
        await wire.head(status, [*headers, ("content-length", str(len(body)))])
        await wire.send(body)

    return behave


def chunked(
    status: int,
    parts: Iterable[bytes | Gate],
    headers: Iterable[tuple[str, str]] = (("content-type", "text/event-stream; charset=utf-8"),),
    trailers: Pairs | None = None,
    then: str = "end",
) -> Behaviour:
    """Chunks, with gates between them; then the last chunk (``end``), ``close`` or ``reset`` without it, or ``hang``."""
    listed = list(parts)

    async def behave(wire: Wire) -> None:
        await wire.head(status, [*headers, ("transfer-encoding", "chunked")])
        for part in listed:
            if isinstance(part, Gate):
                await part.wait()
            else:
                await wire.chunk(part)
        if then == "end":
            extra = "".join(f"{name}: {value}\r\n" for name, value in trailers or [])
            await wire.send(b"0\r\n" + extra.encode() + b"\r\n")
        elif then == "reset":
            await asyncio.sleep(0.05)
            wire.reset()
        elif then == "close":
            wire.close()
        elif then == "hang":
            await asyncio.sleep(30)

    return behave


async def silent(wire: Wire) -> None:
    """No answer at all."""
    await asyncio.sleep(30)


def held(gate: Gate, then: Behaviour) -> Behaviour:
    """Nothing before the gate opens."""

    async def behave(wire: Wire) -> None:
        await gate.wait()
        await then(wire)

    return behave


def error(status: int, text: str = "provider's own words", headers: Iterable[tuple[str, str]] = ()) -> Behaviour:
    body = json.dumps({"error": {"message": text, "type": "provider_error", "param": None, "code": "provider_code"}})
    return respond(status, body.encode(), [("content-type", "application/json"), *headers])


def gzipped(body: bytes, status: int = 200, media: str = "application/json") -> Behaviour:
    return respond(
        status, gzip.compress(body), [("content-type", media), ("content-encoding", "gzip"), ("etag", '"x"')]
    )


# bodies

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "prompt_tokens_details": {"cached_tokens": 3}}


def completion(text: str | None = "Hello.", calls: list[tuple[str, str]] | None = None, spaced: bool = True) -> bytes:
    """A whole answer; indented oddly, so that a re-encoded one is noticed."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for n, (name, arguments) in enumerate(calls)
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if calls else "stop"}
    value = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "gpt-4o",
             "choices": [choice], "usage": USAGE, "x_unknown": 1.50}  # fmt: skip
    return json.dumps(value, indent=3 if spaced else None).encode()


def event(delta: dict[str, Any] | None = None, finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    """One event of a stream."""
    choices = [] if delta is None else [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}]
    value = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "gpt-4o",
             "choices": choices, **more}  # fmt: skip
    return b"data: " + json.dumps(value).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
OPENING = event({"role": "assistant", "content": ""})


def events(*texts: str, usage: bool = True) -> list[bytes]:
    """A whole stream with the given deltas, one event each."""
    found = [OPENING, *(event({"content": text}) for text in texts), event({}, "stop")]
    if usage:
        found.append(event(None, usage=USAGE))
    return [*found, DONE]


def call_events(name: str, pieces: Iterable[str]) -> list[bytes]:
    """A stream that calls one tool, its arguments in pieces."""
    first = {"index": 0, "id": "call_0", "type": "function", "function": {"name": name, "arguments": ""}}
    deltas = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces]
    opening = event({"role": "assistant", "content": None, "tool_calls": [first]})
    return [opening, *map(event, deltas), event({}, "tool_calls"), DONE]


async def default(wire: Wire) -> None:
    """Whatever was asked for, answered in the shape it was asked for."""
    try:
        streamed = wire.received.json().get("stream") is True
    except ValueError:
        streamed = False
    await (chunked(200, events("Hel", "lo.")) if streamed else respond(200, completion()))(wire)


# the server


class Upstream:
    """A running fake. ``on`` scripts the requests with an id; the last behaviour repeats.

    ``lets`` are headers that this one may be told besides.
    """

    def __init__(self, name: str, tls: ssl.SSLContext | None = None, key: str | None = None) -> None:
        self.name = name
        self.violations: list[str] = []
        self.connections = 0
        self.requests: list[Received] = []
        self.foreign_keys: tuple[str, ...] = ()
        self.lets: frozenset[str] = frozenset()
        self._key = key
        self._scripts: dict[str, list[Behaviour]] = {}
        self._taken: dict[str, int] = defaultdict(int)
        self._loop = asyncio.new_event_loop()
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True, name=f"upstream-{name}")
        self._thread.start()
        assert ready.wait(10)

    def on(self, request_id: str, *behaviours: Behaviour) -> None:
        self._scripts[request_id] = list(behaviours)

    def of(self, request_id: str) -> list[Received]:
        return [each for each in list(self.requests) if each.all("x-request-id") == [request_id]]

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main(ready))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _main(self, ready: threading.Event) -> None:
        self._stop = asyncio.Event()
        self._loop.set_exception_handler(lambda *_: None)
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, ssl=self._tls, limit=1 << 20)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in list(self._writers):
            writer.transport.abort()
        for _ in range(3):  # transports close in the loop's next turns, and it is about to end
            await asyncio.sleep(0)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
                while received := await self._request(reader):
                    if not await self._answer(received, reader, writer):
                        return
        except Exception as failure:
            self.violations.append(f"{self.name}: {failure!r}")
        finally:
            self._writers.discard(writer)
            with suppress(Exception):
                writer.transport.abort() if writer.is_closing() else writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> Received | None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        received = Received(method, target, headers, b"")
        length, coding = received.all("content-length"), received.all("transfer-encoding")
        if coding:
            received.body, received.trailers = await _read_chunked(reader)
        elif length:
            received.body = await reader.readexactly(int(length[0]))
        self._check(received, length, coding)
        self.requests.append(received)
        return received

    def _check(self, received: Received, length: list[str], coding: list[str]) -> None:
        wrong = []
        bare = received.method in ("GET", "DELETE")  # only operations that a test's configuration names
        if len(length) + len(coding) != 1 and not bare:
            wrong.append(f"framing: content-length {length}, transfer-encoding {coding}")
        wrong += [f"header {name}" for name, _ in received.headers if name not in ALLOWED | self.lets]
        wrong += [f"{name} twice" for name in ALLOWED if len(received.all(name)) > 1]
        if received.trailers:
            wrong.append(f"trailers {received.trailers}")
        if "?" in received.target and not bare:
            wrong.append("a query string")
        if received.all("accept-encoding") != ["identity"]:
            wrong.append(f"accept-encoding {received.all('accept-encoding')}")
        everything = repr(received.headers) + received.target
        wrong += ["another provider's key" for key in self.foreign_keys if key in everything]
        self.violations += [f"{self.name}: {received.method} {received.target}: {each}" for each in wrong]

    async def _answer(self, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """False where the connection is over."""
        behave = asyncio.ensure_future(self._behaviour(received)(Wire(received, writer)))
        watch = asyncio.ensure_future(_gone(reader))
        try:
            await asyncio.wait({behave, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not behave.done():
                received.ended.set()
                return False
            received.finished.set()
            try:
                behave.result()
            except ConnectionError:
                received.ended.set()
                return False
            return not writer.is_closing()
        finally:
            for each in (behave, watch):
                each.cancel()
            await asyncio.gather(behave, watch, return_exceptions=True)

    def _behaviour(self, received: Received) -> Behaviour:
        key = (received.all("x-request-id") or [""])[0]
        script = self._scripts.get(key)
        if not script:
            return default
        turn = self._taken[key]
        self._taken[key] += 1
        return script[min(turn, len(script) - 1)]


async def _gone(reader: asyncio.StreamReader) -> None:
    """Returns when the peer closes or resets; takes nothing from the stream."""
    while not reader.at_eof() and reader.exception() is None:
        await asyncio.sleep(0.002)


async def _read_chunked(reader: asyncio.StreamReader) -> tuple[bytes, Pairs]:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    trailers = []
    while line := (await reader.readuntil(b"\r\n")).decode("latin-1").strip():
        name, _, value = line.partition(":")
        trailers.append((name.lower(), value.strip()))
    return body, trailers
