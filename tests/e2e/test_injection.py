"""Exceptions, cancellations and early returns at every message of a session, on both transports."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.config.load import load
from extproc.envoy import binary, bootstrap
from extproc.envoy.layout import Layout
from extproc.envoy.process import Envoy
from extproc.runtime import compile_runtime
from extproc.service import Service, Session, Turn
from extproc.telemetry import Log
from extproc.transport.base import Transport
from extproc.transport.grpcio import GrpcTransport
from extproc.transport.native import NativeTransport
from extproc.transport.sockets import bound
from tests.e2e.authority import Authority
from tests.e2e.harness import KEYS, config
from tests.e2e.hostile import Nowhere
from tests.e2e.traffic import MARKER, one
from tests.e2e.upstream import Upstream, chunked, completion, events, respond

pytestmark = [pytest.mark.envoy, pytest.mark.faults, pytest.mark.timeout(240)]
MESSAGES = range(6)
PIECES = ("Ask ", "MARKED-", "PERSON", "@leak", ".exam", "ple", " now. ")
HARM = ("raise", "nothing", "return", "raise-after", "close-after")


class Harmed(Service):
    """A service whose sessions do harm at one message, said by the request id: ``FILTER.INDEX.HARM.STREAMED``."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.plan: tuple[str, int, str] = ("", -1, "")
        self.done = 0

    def open(
        self, filter_name: str, wake: Callable[[Session], None] = lambda session: None, route: str = ""
    ) -> Session:
        session = super().open(filter_name, wake, route)
        harmed = _Harmed(session, self, filter_name)
        self._open.pop(session, None)
        self._open[harmed] = wake  # type: ignore[index]
        return harmed  # type: ignore[return-value]


class _Harmed:
    def __init__(self, session: Session, service: Harmed, filter_name: str) -> None:
        self._session = session
        self._service = service
        self._filter = filter_name
        self._index = 0

    def message(self, data: bytes) -> Turn:
        index, self._index = self._index, self._index + 1
        name, at, harm = self._service.plan
        if (name, at) != (self._filter, index):
            return self._session.message(data)
        self._service.done += 1
        if harm == "raise":
            raise RuntimeError("injected")
        if harm == "cancel":
            raise asyncio.CancelledError
        if harm == "nothing":
            return Turn([])
        if harm == "return":
            return Turn([], close=True)
        turn = self._session.message(data)
        if harm == "raise-after":
            self._index = 1 << 30
            raise RuntimeError("injected")
        return Turn(turn.messages, close=True)

    def __getattr__(self, name: str) -> Any:
        """Whatever else a session has."""
        return getattr(self._session, name)

    def end(self) -> None:
        self._service._open.pop(self, None)  # type: ignore[call-overload]
        self._session.end()


class Injected:
    """Envoy and the product's transport, in a thread of their own."""

    def __init__(self, value: dict[str, Any], folder: Path, transport: str) -> None:
        self.transport = transport
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "extproc.yaml").write_text(yaml.safe_dump(value), "utf-8")
        self.runtime = compile_runtime(load(folder / "extproc.yaml", KEYS))
        self.service = Harmed(lambda: self.runtime, Log("json", Nowhere()))  # type: ignore[arg-type]
        self._socket = folder / "p.sock"
        unused = folder / "unused.pem"
        self._layout = Layout(folder, unused, unused, str(unused), (str(self._socket),))
        self.ports: dict[str, int] = {}
        self.problems: list[str] = []
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(30)
        if self._failure:
            raise self._failure

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as failure:
            self._failure = failure
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        bootstrap.write(self.runtime, self._layout)
        longest = self.runtime.config.gateway.max_body
        transport: Transport = (
            NativeTransport(self.service, bound(self._socket), longest)
            if self.transport == "native"
            else GrpcTransport(self.service, f"unix:{self._socket}", longest)
        )
        await transport.start()
        envoy = Envoy(binary.find(), self._layout)
        try:
            await envoy.start()
            self.ports = envoy.ports
            self._ready.set()
            tick = asyncio.ensure_future(self.service.tick_forever())
            await self._stop.wait()
            tick.cancel()
        finally:
            await envoy.stop()
            await transport.stop(0)


def _config(upstreams: dict[str, Upstream], authority: Authority, **changes: Any) -> dict[str, Any]:
    value = config(upstreams, authority.pem, **changes)
    for name in ("secure", "numeric", "wrong-name"):
        del value["providers"][name]
    value["models"] = {"gpt-*": {"backends": ["alpha", "nokey"], "idle_timeout": "2s", "first_byte_timeout": "2s"}}
    return value


@pytest.fixture(scope="module", params=["native", "grpcio"])
def injected(
    upstreams: dict[str, Upstream],
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Injected]:
    value = _config(
        upstreams,
        authority,
        processor={"message_timeout": "1s"},
        gateway={"port": 0, "tls": "none", "plain_port": None},
    )
    value["gateway"] = {"port": 0, "tls": "none", "plain_port": None, "max_body": 1 << 20}
    found = Injected(value, tmp_path_factory.mktemp("injected"), request.param)
    yield found
    found.stop()


def ask(request_id: str, *, stream: bool, text: str = f"I am {MARKER}, who are you?") -> bytes:
    value = {"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": text}]}
    body = json.dumps(value).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-request-id: {request_id}\r\nconnection: close\r\n"
    return head.encode() + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def said(seen: bytes) -> str:
    """All the text a client put together."""
    return "".join(re.findall(r'"content": ?"([^"]*)"', seen.decode("utf-8", "replace")))


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("name", ["router", "upstream"])
def test_harm_at_every_message(
    injected: Injected, upstreams: dict[str, Upstream], name: str, harm: str, stream: bool
) -> None:
    harmed(injected, upstreams, name, harm, stream)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("name", ["router", "upstream"])
@pytest.mark.parametrize("injected", ["grpcio"], indirect=True)
def test_cancellation_at_every_message(
    injected: Injected, upstreams: dict[str, Upstream], name: str, stream: bool
) -> None:
    """On the native transport there is no task that could be cancelled."""
    harmed(injected, upstreams, name, "cancel", stream)


def harmed(injected: Injected, upstreams: dict[str, Upstream], name: str, harm: str, stream: bool) -> None:
    upstream, service = upstreams["a"], injected.service
    done = 0
    port = injected.ports["main"]
    for at in MESSAGES if name == "router" else range(2):
        request_id = f"{name}.{at}.{harm}.{stream}"
        upstream.on(request_id, chunked(200, events(*PIECES)) if stream else respond(200, completion("".join(PIECES))))
        before, service.plan = service.done, (name, at, harm)
        end, seen = asyncio.run(one(port, ask(request_id, stream=stream)))
        service.plan = ("", -1, "")
        hit = service.done > before
        done += hit
        sent = b"".join(each.body for each in upstream.of(request_id))
        what = f"{request_id}: {end}: {seen[:600]!r}"
        if harm != "nothing":  # it swallows part of the text: what is left is no address any more
            assert b"@leak" not in seen, what
            assert b"MARKED-" not in seen, what
        assert MARKER not in said(seen), what
        assert b"@leak" not in sent, what
        assert end != "late", what
        assert not end.startswith("bare"), what
        if not hit:
            assert end == "complete" or (end == "cut" and seen.startswith(b"HTTP/1.1 200") and not stream), what
    assert done > 0, "nothing was harmed"
    request_id = f"after {name} {harm} {stream}"
    upstream.on(request_id, respond(200, completion("Hello.")))
    assert asyncio.run(one(port, ask(request_id, stream=False)))[1].startswith(b"HTTP/1.1 200"), "it no longer works"
    deadline = time.monotonic() + 10
    while service.open_count:
        assert time.monotonic() < deadline, "sessions stay open"
        time.sleep(0.02)
