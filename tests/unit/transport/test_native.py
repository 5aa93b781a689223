"""A peer's connection against a socket of the test's own: what asyncio would do to it, when it would."""

import asyncio
import socket

from extproc.service import Turn
from extproc.transport.http2 import frames
from extproc.transport.native import NativeTransport
from tests.unit.transport.http2.support import OPENING, data, parsed
from tests.unit.transport.http2.support import headers as request
from tests.unit.transport.support import Service


class Socket:
    """An asyncio transport that takes ``room`` bytes, then nothing until it is ``read``."""

    def __init__(self, room=1 << 30):
        self.protocol = None
        self.room = room
        self.taken = b""
        self.buffer = b""
        self.writes = []
        self.closed = self.aborted = self.paused = False

    def connect(self, protocol):
        self.protocol = protocol
        protocol.connection_made(self)
        return self

    def write(self, data):
        assert not self.closed, "a write after close"
        self.writes.append(len(data))
        self.buffer += data
        self._take()
        if len(self.buffer) > 65_536 and not self.paused:
            self.paused = True
            self.protocol.pause_writing()

    def _take(self):
        self.taken += self.buffer[: self.room]
        taken = min(self.room, len(self.buffer))
        self.room -= taken
        self.buffer = self.buffer[taken:]

    def read(self, more):
        self.room += more
        self._take()
        if self.paused and not self.buffer:
            self.paused = False
            self.protocol.resume_writing()

    def get_write_buffer_size(self):
        return len(self.buffer)

    def close(self):
        self.closed = True

    def abort(self):
        self.aborted = True


def native():
    service = Service()
    return service, NativeTransport(service, socket.socket(socket.AF_UNIX), 1 << 20)


PROCESS = [(":method", "POST"), (":path", "/envoy.service.ext_proc.v3.ExternalProcessor/Process"),
           ("content-type", "application/grpc"), ("x-llm-filter", "router")]  # fmt: skip


def test_a_connection_accepted_just_before_the_stop_is_drained():
    async def test():
        _, transport = native()
        transport._listener.close()
        await transport.stop(0)
        one = Socket().connect(transport._connected())
        assert [each.kind for each in parsed(one.taken)] == [
            frames.SETTINGS, frames.WINDOW_UPDATE, frames.GOAWAY, frames.PING,
        ]  # fmt: skip

    asyncio.run(test())


def test_a_large_answer_waits_for_the_socket_not_in_it():
    """Whatever the windows are, so little is handed over that a peer that reads is not taken for one that does not."""

    async def test():
        service, transport = native()
        one = Socket(1000).connect(transport._connected())
        opening = OPENING + frames.settings({frames.INITIAL_WINDOW_SIZE: 1 << 30}) + frames.credit(0, 1 << 30)
        one.protocol.data_received(opening + request(1, pairs=PROCESS))
        service.sessions[0].message = lambda message: Turn([bytes(12_000_000)])
        one.protocol.data_received(data(1, b"\0\0\0\0\0"))
        assert not one.aborted
        assert len(one.buffer) < 1 << 20
        for _ in range(100):
            one.read(1 << 20)
        assert len(one.taken) > 12_000_000
        one.protocol.connection_lost(None)
        assert service.sessions[0].ends == 1
        transport._listener.close()

    asyncio.run(test())


def test_a_peer_that_leaves_everything_unread_is_cut_off():
    async def test():
        _, transport = native()
        one = Socket(0).connect(transport._connected())
        one.protocol.data_received(OPENING)
        for _ in range(100):
            one.protocol.data_received(frames.frame(frames.PING, 0, 0, bytes(8)) * 10_000)
            if one.aborted:
                break
        assert one.aborted
        assert len(one.buffer) < 6 << 20
        transport._listener.close()

    asyncio.run(test())


def test_what_breaks_the_protocol_is_closed_after_it_was_told_why():
    async def test():
        _, transport = native()
        one = Socket().connect(transport._connected())
        one.protocol.data_received(b"GET / HTTP/1.1\r\n\r\n")
        assert parsed(one.taken)[-1].kind == frames.GOAWAY
        assert one.closed
        one.protocol.connection_lost(None)
        assert not transport._peers
        transport._listener.close()

    asyncio.run(test())


def test_an_exception_of_our_own_ends_the_connection_with_an_error(monkeypatch):
    async def test():
        service, transport = native()
        one = Socket().connect(transport._connected())
        one.protocol.data_received(OPENING + request(1, pairs=PROCESS))

        def explode(*_):
            raise KeyError

        monkeypatch.setattr(one.protocol._connection, "_parse", explode)
        one.protocol.data_received(b"x")
        last = parsed(one.taken)[-1]
        assert (last.kind, frames.PAIR.unpack(last.payload[:8])) == (frames.GOAWAY, (1, frames.INTERNAL_ERROR))
        assert one.closed
        assert service.sessions[0].ends == 1
        transport._listener.close()

    asyncio.run(test())


def test_whatever_comes_after_the_connection_is_lost_goes_nowhere():
    async def test():
        service, transport = native()
        one = Socket().connect(transport._connected())
        one.protocol.data_received(OPENING + request(1, pairs=PROCESS))
        one.closed = True
        one.protocol.connection_lost(ConnectionResetError())
        service.wakes[0]()
        one.protocol.flush()
        one.protocol.drain()
        one.protocol.close()
        one.protocol.abort()
        assert service.sessions[0].ends == 1
        transport._listener.close()

    asyncio.run(test())
