"""Streams on a transport: many, large, slow, and how each of them ends. The sessions are scripted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import grpc
import pytest

from extproc.transport.http2 import frames
from tests.service.scripted import LARGE, Bare, Bytes, Scripted, channel
from tests.service.support import KINDS, Server

INTERNAL = (grpc.StatusCode.INTERNAL, "llm-extproc: internal error")
UNFINISHED = (grpc.StatusCode.CANCELLED, "llm-extproc: unfinished")
OURS = pytest.mark.parametrize("server", ["native", "asyncio"], indirect=True)
"""gRPC's own library has its own way."""


@pytest.fixture(scope="module", params=KINDS)
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("s") / "w.sock", request.param, 16 << 20)
    yield running
    running.run(running.transport.stop(0))
    running.close()


@pytest.fixture
def service(server: Server) -> Iterator[Scripted]:
    scripted = Scripted(server)
    yield scripted
    scripted.proceed.set()


@pytest.fixture
def opened(server: Server) -> Iterator[grpc.Channel]:
    with channel(server.socket) as one:
        yield one


def test_ten_megabytes_both_ways(service: Scripted, opened: grpc.Channel) -> None:
    """Through windows of 64 KB: credit must come for as long as it takes."""
    call = Bytes(opened)
    message = bytes(range(256)) * (40 << 10)
    assert call.ask(message) == message
    assert call.ask(b"size 10000000") == bytes(10_000_000)
    assert call.ask(b"last") == b"last"
    call.half_close()
    assert call.end() == (grpc.StatusCode.OK, "")
    assert service.ends() == [1]


def test_two_hundred_streams_on_one_connection(service: Scripted, opened: grpc.Channel) -> None:
    calls = [Bytes(opened) for _ in range(200)]
    for part in range(3):
        for number, call in enumerate(calls):
            call.send(b"%d of %d" % (part, number), b"size 3000")
    for part in range(3):
        for number, call in enumerate(calls):
            assert call.next() == b"%d of %d" % (part, number)
            assert len(call.next()) == 3000
    for call in calls:
        call.send(b"close")
    assert {call.end() for call in calls} == {(grpc.StatusCode.OK, "")}
    assert service.ends() == [1] * 200


def test_a_client_that_reads_nothing_stops_nobody_else(server: Server, service: Scripted, opened: grpc.Channel) -> None:
    stalled = Bytes(opened)
    stalled.send(*[b"size 100000"] * 100)
    for _ in range(20):
        call = Bytes(opened)
        assert len(call.ask(b"size 200000")) == 200_000
        call.send(b"close")
        assert call.end()[0] is grpc.StatusCode.OK
    for _ in range(100):
        assert len(stalled.next()) == 100_000
    stalled.send(b"close")
    assert stalled.end() == (grpc.StatusCode.OK, "")


def test_a_wide_window_is_no_reason_to_be_cut_off(server: Server, service: Scripted) -> None:
    """Twelve megabytes to a peer that would take them all, but reads them slowly."""
    peer = Bare(server.socket, initial_window_size=1 << 30)
    peer.send(frames.credit(0, 1 << 30))
    peer.request(1, b"size 12000000", b"close")
    time.sleep(0.3)
    read = 0
    while True:
        kind, flags, number, payload = peer.next()
        if number == 1 and kind == frames.DATA:
            read += len(payload)
        if number == 1 and flags & frames.END_STREAM:
            break
    assert read == 12_000_005
    peer.close()
    assert service.ends() == [1]


@pytest.mark.parametrize("how", ["close", "half close", "early", "fail", "explode", "cancel", "hang up", "nothing"])
def test_a_session_ends_once(server: Server, service: Scripted, opened: grpc.Channel, how: str) -> None:
    service.explode = b"explode"
    other, call = Bytes(opened), Bytes(opened)
    assert call.ask(b"a") == b"a"
    assert other.ask(b"b") == b"b"
    if how in ("half close", "hang up"):
        assert call.ask(b"last" if how == "half close" else b"x")
        call.half_close()
    elif how == "nothing":
        call.half_close()
    elif how == "cancel":
        call.call.cancel()
    else:
        call.send(how.encode())
    wanted = {
        "close": (grpc.StatusCode.OK, ""),
        "half close": (grpc.StatusCode.OK, ""),
        "fail": (grpc.StatusCode.INTERNAL, "llm-extproc: protocol error"),
        "explode": INTERNAL,
        "cancel": (grpc.StatusCode.CANCELLED, "Locally cancelled by application!"),
    }.get(how, UNFINISHED)
    assert call.end() == wanted
    assert other.ask(b"c") == b"c"
    other.send(b"close")
    assert other.end() == (grpc.StatusCode.OK, "")
    assert service.ends() == [1, 1]


@pytest.mark.parametrize("what", ["open", "message", "tick", "end"])
def test_an_exception_ends_its_stream_alone(server: Server, service: Scripted, opened: grpc.Channel, what: str) -> None:
    other = Bytes(opened)
    assert other.ask(b"a") == b"a"
    call = None
    if what != "open":
        call = Bytes(opened)
        assert call.ask(b"b") == b"b"
    service.explode = what.encode()
    call = call or Bytes(opened)
    if what == "tick":
        server.loop.call_soon_threadsafe(lambda: service.sessions[1].wake(service.sessions[1]))
    else:
        call.send(b"close" if what == "end" else b"message")
    assert call.end() == INTERNAL
    service.explode = b""
    assert other.ask(b"c") == b"c"
    other.send(b"close")
    assert other.end() == (grpc.StatusCode.OK, "")
    assert set(service.ends()) == {1}
    assert "MARKER" not in server.out.getvalue()


def test_a_tick_that_fails_while_an_answer_is_under_way(
    server: Server, service: Scripted, opened: grpc.Channel
) -> None:
    call = Bytes(opened)
    assert call.ask(b"last") == b"last"
    call.send(b"size 3000000")  # more than the peer takes unread
    time.sleep(0.3)
    service.explode = b"tick"
    server.loop.call_soon_threadsafe(lambda: service.sessions[0].wake(service.sessions[0]))
    time.sleep(0.1)
    call.send(b"close")
    assert call.end()[0] in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
    assert service.ends() == [1]


def test_a_large_text_stops_nobody_else(service: Scripted, opened: grpc.Channel) -> None:
    call, other = Bytes(opened), Bytes(opened)
    call.send(b"slow" + bytes(LARGE), b"close")
    assert service.entered.wait(10)
    assert other.ask(b"a") == b"a"
    service.proceed.set()
    assert call.next() == b"inspected"
    assert call.end() == (grpc.StatusCode.OK, "")
    other.send(b"close")
    assert other.end() == (grpc.StatusCode.OK, "")
    assert service.ends() == [1, 1]


def test_a_large_text_whose_stream_is_reset(service: Scripted, opened: grpc.Channel) -> None:
    call, waiting, other = Bytes(opened), Bytes(opened), Bytes(opened)
    call.send(b"slow" + bytes(LARGE))
    assert service.entered.wait(10)
    waiting.send(b"x" * LARGE)
    call.call.cancel()
    assert other.ask(b"a") == b"a"
    time.sleep(0.2)
    assert [each.ends for each in service.sessions] == [0, 0, 0]  # not under its inspection
    service.proceed.set()
    assert waiting.next() == b"x" * LARGE
    for each in (waiting, other):
        each.send(b"close")
        assert each.end() == (grpc.StatusCode.OK, "")
    assert service.ends() == [1, 1, 1]


@pytest.mark.parametrize("slow", [False, True])
def test_a_deadline(server: Server, service: Scripted, slow: bool) -> None:
    """Kept by the server too: the peer's own clock may have stopped with it."""
    peer = Bare(server.socket)
    text = b"slow" + bytes(LARGE) if slow else b"a"
    peer.request(1, more=b"\x00\x0cgrpc-timeout\x04200m")
    payload = b"\0" + len(text).to_bytes(4, "big") + text
    window = 65_535
    for at in range(0, len(payload), 16_000):
        while window < 16_000:
            window += frames.NUMBER.unpack(peer.until(frames.WINDOW_UPDATE, 1))[0]
        peer.send(frames.frame(frames.DATA, 0, 1, payload[at : at + 16_000]))
        window -= 16_000
    assert b"grpc-status\x014" in peer.until(frames.HEADERS, 1, frames.END_STREAM)
    service.proceed.set()
    assert service.ends() == [1]
    peer.close()


@OURS
def test_a_malformed_deadline(server: Server, service: Scripted) -> None:
    peer = Bare(server.socket)
    peer.request(1, b"a", more=b"\x00\x0cgrpc-timeout\x03soo")
    assert b"grpc-status\x0213" in peer.until(frames.HEADERS, 1, frames.END_STREAM)
    assert service.sessions == []
    peer.close()


def test_a_compressed_message(server: Server, service: Scripted, opened: grpc.Channel) -> None:
    call = Bytes(opened, compression=grpc.Compression.Gzip)
    call.send(b"a" * 1000)
    if server.kind == "grpcio":
        assert call.next() == b"a" * 1000
        call.call.cancel()
    else:
        assert call.end() == (grpc.StatusCode.UNIMPLEMENTED, "llm-extproc: compressed messages are not supported")
    assert service.ends() == [1]


@pytest.mark.parametrize("part", [1, 5, 20_000])
def test_a_client_that_is_killed_in_the_middle_of_a_message(
    server: Server, service: Scripted, opened: grpc.Channel, part: int
) -> None:
    peer = Bare(server.socket)
    peer.request(1, b"a")
    peer.request(3, b"b")
    peer.until(frames.DATA, 3)
    peer.send(frames.frame(frames.DATA, 0, 1, (b"\0\0\1\0\0" + bytes(20_000))[:part])[:-1])
    peer.close()
    assert service.ends() == [1, 1]
    call = Bytes(opened)
    assert call.ask(b"c") == b"c"
    call.send(b"close")
    assert call.end()[0] is grpc.StatusCode.OK


@OURS
def test_what_is_no_http2(server: Server, service: Scripted) -> None:
    peer = Bare(server.socket)
    peer.send(b"GET / HTTP/1.1\r\n\r\n")
    assert peer.until(frames.GOAWAY)
    with pytest.raises(ConnectionError):
        peer.until(frames.DATA)
    peer.close()


@OURS
def test_what_is_no_grpc(server: Server, service: Scripted) -> None:
    peer = Bare(server.socket)
    block = b"\x20\x82\x84\x86\x01\x01x"  # GET / http x
    peer.send(frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, block))
    assert b"415" in peer.until(frames.HEADERS, 1, frames.END_STREAM)
    assert service.sessions == []
    peer.close()


def test_many_clients_that_come_and_go(server: Server, service: Scripted) -> None:
    def one() -> None:
        for _ in range(20):
            peer = Bare(server.socket)
            peer.request(1, b"a")
            peer.until(frames.DATA, 1)
            peer.close()

    threads = [threading.Thread(target=one) for _ in range(5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert service.ends() == [1] * 100
