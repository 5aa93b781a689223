"""A transport in a thread of its own, a gRPC client of our own, and the messages Envoy sends."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import uvloop

from extproc._pb import ext_proc_pb2 as pb
from extproc.config.load import Loaded
from extproc.config.model import Config
from extproc.config.source import Source
from extproc.exchange.forward import UPSTREAM
from extproc.runtime import compile_runtime
from extproc.service import Service
from extproc.telemetry import Log
from extproc.transport.base import Transport
from extproc.transport.grpcio import GrpcTransport
from extproc.transport.native import NativeTransport
from extproc.transport.sockets import bound
from extproc.wire import METHOD, SERVICE

KINDS = ("native", "asyncio", "grpcio")
"""The native transport on uvloop, as workers run it, and on Python's own loop; and the other one."""
MAX_BODY = 64 << 10
SECRET = "jane.doe@example.com"
_ids = itertools.count()


class Server:
    """The transport in a thread of its own, as a worker runs it."""

    def __init__(
        self, path: Path, kind: str = "native", max_body: int = MAX_BODY, listener: socket.socket | None = None
    ) -> None:
        self.listener = listener
        self.kind = kind
        self.max_body = max_body
        config = Config.model_validate({
            "gateway": {"max_body": max_body},
            "providers": {"alpha": {"type": "openai-compatible", "base_url": "http://127.0.0.1:1/v1", "keys": "env:KEY"}},
            "models": {"gpt-*": "alpha", "named": "alpha/real"},
            "policies": {"emails": {"kind": "pii", "find": ["email"]},
                         "words": {"kind": "wordlist", "words": ["xyzzy"], "action": "block"}},
        })  # fmt: skip
        self.out = io.StringIO()
        runtime = self.runtime = compile_runtime(
            Loaded(config, Source(), {"KEY": "sk-MARKERKEY0123456789"}, path.parent)
        )
        self.service = Service(lambda: runtime, Log("json", self.out))
        self.socket = path
        self.loop = asyncio.new_event_loop() if kind == "asyncio" else uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.transport = self.run(self._start())

    async def _start(self) -> Transport:
        if self.kind == "grpcio":
            transport: Transport = GrpcTransport(self.service, f"unix:{self.socket}", self.max_body)
        else:
            transport = NativeTransport(self.service, self.listener or bound(self.socket), self.max_body)
        await transport.start()
        return transport

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def wait_for(self, **wanted: Any) -> dict[str, Any]:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            for line in self.lines():
                if all(line.get(name) == value for name, value in wanted.items()):
                    return line
            time.sleep(0.005)
        raise AssertionError(f"no line {wanted} among {self.lines()}")

    def close(self) -> None:
        time.sleep(0.2)  # streams that were cut still say so; a loop that stopped under them would leave them pending
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class Call:
    """One stream: ``send`` a message, ``next`` answer, and how it ended."""

    def __init__(self, channel: grpc.Channel, which: str | None = "router") -> None:
        self._sent: Any = _Queue()
        method = channel.stream_stream(f"/{SERVICE}/{METHOD}", None, pb.ProcessingResponse.FromString)
        metadata = [("x-llm-filter", which)] if which is not None else []
        self.call = method(iter(self._sent), metadata=metadata, timeout=10)

    def send(self, message: pb.ProcessingRequest | bytes) -> None:
        self._sent.put(message if isinstance(message, bytes) else message.SerializeToString())

    def half_close(self) -> None:
        self._sent.put(None)

    def next(self) -> pb.ProcessingResponse:
        return next(self.call)

    def ask(self, message: pb.ProcessingRequest | bytes) -> pb.ProcessingResponse:
        self.send(message)
        return self.next()

    def end(self) -> tuple[grpc.StatusCode, str]:
        """Reads to the end; messages left over are an error."""
        try:
            left = list(self.call)
        except grpc.RpcError:
            left = []
        assert left == []
        self.half_close()
        return self.call.code(), self.call.details()


class _Queue:
    def __init__(self) -> None:
        self._items: list[bytes | None] = []
        self._some = threading.Condition()

    def put(self, item: bytes | None) -> None:
        with self._some:
            self._items.append(item)
            self._some.notify()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            with self._some:
                while not self._items:
                    if not self._some.wait(15):
                        return
                item = self._items.pop(0)
            if item is None:
                return
            yield item


# messages as Envoy sends them


def headers(kind: str, pairs: dict[str, str], *, end: bool = False) -> pb.ProcessingRequest:
    message = pb.ProcessingRequest()
    target = getattr(message, kind)
    target.end_of_stream = end
    for name, value in pairs.items():
        target.headers.headers.add(key=name, raw_value=value.encode())
    return message


def request_headers(**more: str) -> pb.ProcessingRequest:
    pairs = {":method": "POST", ":path": "/v1/chat/completions", ":authority": "x", ":scheme": "http",
             "content-type": "application/json",
             "x-request-id": f"service-{next(_ids)}"}  # fmt: skip
    return headers("request_headers", {**pairs, **more})


def request_body(text: str = "hello", *, end: bool = True, **more: Any) -> pb.ProcessingRequest:
    value = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}
    return pb.ProcessingRequest(request_body=pb.HttpBody(body=json.dumps(value).encode(), end_of_stream=end))


def response_headers(status: int = 200, media: str = "application/json", **more: str) -> pb.ProcessingRequest:
    message = headers("response_headers", {":status": str(status), "content-type": media, **more})
    message.metadata_context.filter_metadata[UPSTREAM].update({"backend": "alpha", "attempts": 1})
    message.attributes["envoy.filters.http.ext_proc"].update({"response.code_details": "via_upstream"})
    return message


def response_body(body: bytes, *, end: bool = True) -> pb.ProcessingRequest:
    return pb.ProcessingRequest(response_body=pb.HttpBody(body=body, end_of_stream=end))


def trailers(kind: str) -> pb.ProcessingRequest:
    message = pb.ProcessingRequest()
    getattr(message, kind).trailers.headers.add(key="x-t", raw_value=b"1")
    return message


ANSWER = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": f"I am {SECRET}"}}]}).encode()


def decided(channel: grpc.Channel) -> Call:
    """A stream whose request has been decided."""
    call = Call(channel)
    assert call.ask(request_headers()).WhichOneof("response") == "request_headers"
    assert call.ask(request_body()).WhichOneof("response") == "request_body"
    return call
