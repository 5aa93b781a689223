"""How a transport begins and ends: what waits for it, what it lets end, what it cuts. The sessions are scripted."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from extproc.errors import StartupError
from extproc.transport.grpcio import GrpcTransport
from extproc.transport.http2 import frames
from extproc.transport.sockets import bound
from tests.e2e.harness import free_port
from tests.service.scripted import LARGE, UNSHARED, Bare, Bytes, Scripted, channel
from tests.service.support import Server

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
NATIVE = pytest.mark.parametrize("kind", ["native", "asyncio"])


def stopping(server: Server, grace: float) -> asyncio.Future:
    return asyncio.run_coroutine_threadsafe(server.transport.stop(grace), server.loop)


@NATIVE
def test_streams_begun_before_the_peer_knows_are_served(tmp_path: Path, kind: str) -> None:
    server = Server(tmp_path / "w.sock", kind)
    service = Scripted(server)
    peer = Bare(server.socket)
    peer.request(1, b"a")
    peer.until(frames.DATA, 1)
    stop = stopping(server, 15)
    assert frames.PAIR.unpack(peer.until(frames.GOAWAY))[0] == frames.LARGEST_WINDOW
    peer.request(3, b"b")  # before the answer to its PING
    peer.send(frames.frame(frames.PING, frames.ACK, 0, peer.until(frames.PING)))
    peer.request(5, b"c")
    assert frames.PAIR.unpack(peer.until(frames.GOAWAY))[0] == 3
    assert peer.until(frames.RST_STREAM, 5) == frames.NUMBER.pack(frames.REFUSED_STREAM)
    for number in (1, 3):
        peer.message(number, b"last")
        peer.send(frames.frame(frames.DATA, frames.END_STREAM, number))
        assert b"grpc-status\x010" in peer.until(frames.HEADERS, number, frames.END_STREAM)
    stop.result(10)
    assert service.ends() == [1, 1]
    with pytest.raises(ConnectionError):
        peer.until(frames.DATA)
    peer.close()
    server.close()


def test_a_stop_waits_for_streams_and_then_cuts_them(tmp_path: Path, kind: str) -> None:
    server = Server(tmp_path / "w.sock", kind)
    service = Scripted(server)
    with channel(server.socket) as opened:
        quick, slow = Bytes(opened), Bytes(opened)
        assert (quick.ask(b"a"), slow.ask(b"b")) == (b"a", b"b")
        stop = stopping(server, 1)
        assert quick.ask(b"last") == b"last"
        quick.half_close()
        assert quick.end() == (grpc.StatusCode.OK, "")
        assert slow.ask(b"last") == b"last"  # all it waits for is its end
        assert slow.end()[0] is not grpc.StatusCode.OK
        stop.result(10)
    assert service.ends() == [1, 1]
    server.close()


def test_a_stop_without_grace_ends_every_session(tmp_path: Path, kind: str) -> None:
    server = Server(tmp_path / "w.sock", kind)
    service = Scripted(server)
    with channel(server.socket) as opened:
        calls = [Bytes(opened) for _ in range(10)]
        for call in calls:
            assert call.ask(b"a") == b"a"
        stopping(server, 0).result(10)
        assert grpc.StatusCode.OK not in {call.end()[0] for call in calls}
    assert service.ends() == [1] * 10
    server.close()


def test_a_stop_under_an_inspection(tmp_path: Path, kind: str) -> None:
    """The session ends when its inspection does, and before the stop: the loop may be gone after that."""
    server = Server(tmp_path / "w.sock", kind, 16 << 20)
    service = Scripted(server)
    with channel(server.socket) as opened:
        call, waiting = Bytes(opened), Bytes(opened)
        call.send(b"slow" + bytes(LARGE))
        assert service.entered.wait(10)
        waiting.send(b"x" * LARGE)
        time.sleep(0.2)
        stop = stopping(server, 0.1)
        assert call.end()[0] is not grpc.StatusCode.OK
        assert waiting.end()[0] is not grpc.StatusCode.OK
        service.proceed.set()
        stop.result(10)
        if kind != "grpcio":  # there they end with their tasks, soon after
            assert [each.ends for each in service.sessions] == [1, 1]
    assert service.ends() == [1, 1]
    server.close()


@NATIVE
def test_what_was_written_still_leaves(tmp_path: Path, kind: str) -> None:
    """A peer that is slow to read gets all of a stream that has ended, although its server stops."""
    server = Server(tmp_path / "w.sock", kind)
    service = Scripted(server)
    peer = Bare(server.socket, initial_window_size=1 << 30)
    peer.send(frames.credit(0, 1 << 30))
    peer.request(1, b"size 3000000", b"close")
    time.sleep(0.2)
    stop = stopping(server, 15)
    time.sleep(0.2)
    read = 0
    while read < 3_000_005:
        kind_, _, number, payload = peer.next()
        read += len(payload) if (kind_, number) == (frames.DATA, 1) else 0
    assert b"grpc-status\x010" in peer.until(frames.HEADERS, 1, frames.END_STREAM)
    stop.result(10)
    assert service.ends() == [1]
    peer.close()
    server.close()


@NATIVE
def test_a_peer_that_reads_nothing_does_not_hold_up_the_stop(tmp_path: Path, kind: str) -> None:
    server = Server(tmp_path / "w.sock", kind)
    service = Scripted(server)
    peer = Bare(server.socket, initial_window_size=1 << 30)
    peer.send(frames.credit(0, 1 << 30))
    peer.request(1, b"size 8000000", b"close")
    time.sleep(0.2)
    stopping(server, 0.2).result(10)
    assert service.ends() == [1]
    with pytest.raises(ConnectionError):
        peer.until(frames.HEADERS, 1, frames.END_STREAM)
    peer.close()
    server.close()


@NATIVE
def test_connections_made_before_there_is_anybody_to_accept_them(tmp_path: Path, kind: str) -> None:
    """Whoever bound the socket keeps them waiting: workers come and go behind it."""
    path = tmp_path / "w.sock"
    listener = bound(path)

    def server() -> Server:
        return Server(path, kind, listener=socket.socket(fileno=socket.dup(listener.fileno())))

    def ask(peer: Bare) -> None:
        peer.request(1, b"no message")

    def served(peer: Bare) -> None:
        assert b"grpc-status\x0213" in peer.until(frames.HEADERS, 1, frames.END_STREAM)
        peer.close()

    early = [Bare(path) for _ in range(20)]
    for peer in early[:10]:
        ask(peer)
    first = server()
    for peer in early[10:]:
        ask(peer)
    for peer in early:
        served(peer)
    stopping(first, 1).result(10)
    between = Bare(path)  # while nobody is there
    ask(between)
    second = server()
    served(between)
    late = Bare(path)
    ask(late)
    served(late)
    stopping(second, 0).result(10)
    first.close()
    second.close()
    listener.close()


# health


def test_watching(tmp_path: Path, kind: str) -> None:
    server = Server(tmp_path / "w.sock", kind)
    with channel(server.socket) as opened:
        stub = health_pb2_grpc.HealthStub(opened)
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=15)
        unknown = stub.Watch(health_pb2.HealthCheckRequest(service="x"), timeout=15)
        assert next(watch).status == SERVING
        assert next(unknown).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        unknown.cancel()
        begun = time.monotonic()
        stop = stopping(server, 2 if kind == "grpcio" else 15)
        assert next(watch).status == NOT_SERVING
        with pytest.raises((StopIteration, grpc.RpcError)):
            next(watch)
        stop.result(20)
        assert time.monotonic() - begun < 12  # nobody waits for those who watch
    server.close()


@NATIVE
def test_watching_what_stops(tmp_path: Path, kind: str) -> None:
    """A peer that begins to watch while the server stops is told so, and does not keep it from stopping."""
    server = Server(tmp_path / "w.sock", kind)
    Scripted(server)
    peer = Bare(server.socket)
    peer.request(1, b"a")
    peer.until(frames.DATA, 1)
    begun = time.monotonic()
    stop = stopping(server, 15)
    peer.until(frames.GOAWAY)
    path = b"/grpc.health.v1.Health/Watch"
    head = b"\x20\x83\x86\x04" + bytes([len(path)]) + path + b"\x00\x0ccontent-type\x10application/grpc"
    peer.send(frames.frame(frames.HEADERS, frames.END_HEADERS, 3, head))
    peer.message(3, b"")
    assert peer.until(frames.DATA, 3)[5:] == b"\x08\x02"  # NOT_SERVING
    assert b"grpc-status\x010" in peer.until(frames.HEADERS, 3, frames.END_STREAM)
    peer.message(1, b"close")
    stop.result(20)
    assert time.monotonic() - begun < 12
    peer.close()
    server.close()


def test_health_of_many(tmp_path: Path, kind: str) -> None:
    server = Server(tmp_path / "w.sock", kind)
    with channel(server.socket) as opened:
        stub = health_pb2_grpc.HealthStub(opened)
        asked: list[int] = []
        threads = [
            threading.Thread(
                target=lambda: asked.extend(stub.Check(health_pb2.HealthCheckRequest()).status for _ in range(20))
            )
            for _ in range(4)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join(30)
        assert asked == [SERVING] * 80
    stopping(server, 0).result(10)
    server.close()


@NATIVE
@pytest.mark.parametrize("question", [b"\0\0\0\0\2\xff\xff", b"\1\0\0\0\0", b"\0\0\1\0\0", b""])
def test_bad_questions(tmp_path: Path, kind: str, question: bytes) -> None:
    server = Server(tmp_path / "w.sock", kind)
    peer = Bare(server.socket)
    path = b"/grpc.health.v1.Health/Check"
    head = b"\x20\x83\x86\x04" + bytes([len(path)]) + path + b"\x00\x0ccontent-type\x10application/grpc"
    peer.send(frames.frame(frames.HEADERS, frames.END_HEADERS, 1, head))
    peer.send(frames.frame(frames.DATA, frames.END_STREAM, 1, question))
    end = peer.until(frames.HEADERS, 1, frames.END_STREAM)
    assert b"grpc-status" in end
    assert b"grpc-status\x010" not in end
    peer.close()
    stopping(server, 0).result(10)
    server.close()


@pytest.mark.parametrize("place", ["unix", "tcp"])
def test_the_next_takes_the_address_while_answers_end(tmp_path: Path, place: str) -> None:
    """A server of grpcio that stops lets go of its address at once, and takes nothing away from whoever has it then."""
    address = f"unix:{tmp_path / 'w.sock'}" if place == "unix" else f"127.0.0.1:{free_port()}"
    server = Server(tmp_path / "other.sock", "grpcio")
    service = Scripted(server)

    async def started(patience: float) -> GrpcTransport:
        transport = GrpcTransport(server.service, address, 1 << 16, patience)
        await transport.start()
        return transport

    old = server.run(started(0))
    with grpc.insecure_channel(address, options=UNSHARED) as opened:
        slow = Bytes(opened)
        assert slow.ask(b"a") == b"a"
        stop = asyncio.run_coroutine_threadsafe(old.stop(60), server.loop)
        new = server.run(started(15))
        with grpc.insecure_channel(address, options=UNSHARED) as another:
            time.sleep(0.2)
            call = Bytes(another)
            assert call.ask(b"last") == b"last"
            call.half_close()
            assert call.end() == (grpc.StatusCode.OK, "")
        assert not stop.done()
        assert slow.ask(b"last") == b"last"
        slow.half_close()
        assert slow.end() == (grpc.StatusCode.OK, "")
    stop.result(15)
    with grpc.insecure_channel(address, options=UNSHARED) as another:
        assert Bytes(another).ask(b"last") == b"last", "it went with the old one"
    server.run(new.stop(0))
    assert service.ends() == [1, 1, 1]
    server.run(server.transport.stop(0))
    server.close()


def test_an_address_that_stays_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = Server(tmp_path / "other.sock", "grpcio")
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        async def start() -> None:
            await GrpcTransport(server.service, address, 1 << 16, 0.1).start()

        with pytest.raises(StartupError, match="cannot listen"):
            server.run(start())
    server.run(server.transport.stop(0))
    server.close()
