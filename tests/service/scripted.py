"""Sessions that do as their messages say, instead of guarding anything; and a client of bytes."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc

from extproc.service import StreamFailed, Turn
from extproc.transport.grpc_wire import packed
from extproc.transport.http2 import frames
from extproc.transport.http2.headers import block
from extproc.wire import METHOD, SERVICE
from tests.service.support import Server

LARGE = 1 << 18
PROCESS = f"/{SERVICE}/{METHOD}"
UNSHARED = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.http2.bdp_probe", 0),
]


class Session:
    """Echoes. ``last`` answers the exchange; ``close`` wants to end it; ``size N`` is answered at length."""

    def __init__(self, service: Scripted, wake: Callable[[Session], None]) -> None:
        self.service = service
        self.wake = wake
        self.answered = False
        self.held = 0
        self.due = None
        self.ends = 0
        self.inspecting = False

    def message(self, message: bytes) -> Turn:
        assert not self.ends, "a message after the end"
        if message.startswith(b"slow"):
            self.inspecting = True
            self.service.entered.set()
            assert self.service.proceed.wait(15)
            self.inspecting = False
            return Turn([b"inspected"])
        if message.startswith(b"size "):
            return Turn([bytes(int(message[5:]))])
        if message == b"fail":
            raise StreamFailed("llm-extproc: protocol error")
        if message == self.service.explode:
            raise KeyError("MARKER")
        self.answered = self.answered or message in (b"last", b"close")
        return Turn([message] if message not in (b"close", b"early") else [], close=message in (b"close", b"early"))

    def incoming(self, by: int) -> bool:
        return True

    def tick(self) -> Turn:
        if self.service.explode == b"tick":
            raise KeyError("MARKER")
        return Turn([b"tick"])

    def end(self) -> None:
        assert not self.inspecting, "ended under its inspection"
        self.ends += 1
        if self.service.explode == b"end":
            raise KeyError("MARKER")


class Scripted:
    """In place of the service of a server."""

    def __init__(self, server: Server) -> None:
        self.sessions: list[Session] = []
        self.entered = threading.Event()
        self.proceed = threading.Event()
        self.explode = b""
        server.service.open = self.open  # type: ignore[method-assign, assignment]

    def open(self, name: str, wake: Callable[[Session], None], route: str = "") -> Session:
        if self.explode == b"open":
            raise KeyError("MARKER")
        session = Session(self, wake)
        self.sessions.append(session)
        return session

    def ends(self) -> list[int]:
        """How often each session was ended, once all of them are."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not all(each.ends for each in self.sessions):
            time.sleep(0.01)
        time.sleep(0.05)
        return [each.ends for each in self.sessions]


def channel(path: Path) -> grpc.Channel:
    """One connection."""
    return grpc.insecure_channel(f"unix:{path}", options=UNSHARED)


class Bytes:
    """A stream of bare messages."""

    def __init__(self, channel: grpc.Channel, timeout: float = 20, **options: object) -> None:
        self._items: list[bytes] = []
        self._some = threading.Condition()
        self._done = False
        self.call = channel.stream_stream(PROCESS)(
            self._messages(), metadata=[("x-llm-filter", "router")], timeout=timeout, **options
        )

    def _messages(self) -> Iterator[bytes]:
        for number in itertools.count():
            with self._some:
                if not self._some.wait_for(lambda: len(self._items) > number or self._done, 20):  # noqa: B023
                    return
                if len(self._items) <= number:
                    return
                item, self._items[number] = self._items[number], b""
            yield item

    def send(self, *messages: bytes) -> None:
        with self._some:
            self._items.extend(messages)
            self._some.notify()

    def half_close(self) -> None:
        with self._some:
            self._done = True
            self._some.notify()

    def next(self) -> bytes:
        return next(self.call)

    def ask(self, message: bytes) -> bytes:
        self.send(message)
        return self.next()

    def end(self) -> tuple[grpc.StatusCode, str]:
        try:
            for _ in self.call:
                pass
        except grpc.RpcError:
            pass
        self.half_close()
        return self.call.code(), self.call.details()


REQUEST = block([
    (":method", "POST"), (":path", PROCESS), (":scheme", "http"), (":authority", "x"), ("te", "trailers"),
    ("content-type", "application/grpc"), ("x-llm-filter", "router"),
])  # fmt: skip


class Bare:
    """A connection of frames made by hand."""

    def __init__(self, path: Path, **settings: int) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(15)
        self.socket.connect(str(path))
        names = {getattr(frames, name.upper()): value for name, value in settings.items()}
        self.send(frames.PREFACE + frames.settings(names))
        self._rest = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def request(self, number: int, *messages: bytes, end: bool = False, more: bytes = b"") -> None:
        self.send(frames.frame(frames.HEADERS, frames.END_HEADERS, number, REQUEST + more))
        for each in messages:
            self.message(number, each)
        if end:
            self.send(frames.frame(frames.DATA, frames.END_STREAM, number))

    def message(self, number: int, message: bytes) -> None:
        self.send(frames.frame(frames.DATA, 0, number, packed(message)))

    def next(self) -> tuple[int, int, int, bytes]:
        """Kind, flags, stream and payload of the next frame; ConnectionError where there is none."""
        while True:
            if len(self._rest) >= frames.HEADER_SIZE:
                high, low, kind, flags, stream = frames.HEADER.unpack_from(self._rest)
                end = frames.HEADER_SIZE + (high << 16 | low)
                if len(self._rest) >= end:
                    payload, self._rest = self._rest[frames.HEADER_SIZE : end], self._rest[end:]
                    return kind, flags, stream, payload
            more = self.socket.recv(1 << 16)
            if not more:
                raise ConnectionError("closed")
            self._rest += more

    def until(self, kind: int, number: int | None = None, flags: int = 0) -> bytes:
        """The payload of the next frame of that kind."""
        while True:
            found, its_flags, stream, payload = self.next()
            if found == kind and number in (None, stream) and its_flags & flags == flags:
                return payload

    def close(self) -> None:
        self.socket.close()
