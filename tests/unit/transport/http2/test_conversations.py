"""Whole conversations: with a client of another make, cut anywhere, and mutated. Nothing escapes ``receive``."""

import random
import tracemalloc
from itertools import pairwise

import h2.errors
import h2.events
import h2.settings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.transport.http2 import frames
from extproc.transport.http2.headers import block
from tests.unit.transport.http2.support import (
    OPENING,
    REQUEST,
    SETTINGS_ACK,
    Client,
    Server,
    data,
    echo,
    headers,
    padded,
    table_block,
)

ALONE = block([(":status", "200"), ("grpc-status", "0")])


def cutting(seed):
    dice = random.Random(seed)

    def cut(data):
        while data:
            size = dice.choice([1, 2, 9, 10, 100, 5000, len(data)])
            yield data[:size]
            data = data[size:]

    return cut


SPLITS = {
    "whole": None,
    "byte by byte": lambda data: [data[at : at + 1] for at in range(len(data))],
    "cut": cutting(1),
    "cut otherwise": cutting(2),
}


@pytest.fixture(params=SPLITS.values(), ids=SPLITS)
def split(request):
    return request.param


# with another make


def test_an_exchange(split):
    client = Client(echo, split=split)
    client.request(1, b"hello")
    assert client.body(1) == b"hello"
    (begin,) = client.saw(h2.events.ResponseReceived, 1)
    assert begin.headers == [(":status", "200")]
    (end,) = client.saw(h2.events.TrailersReceived, 1)
    assert end.headers == [("grpc-status", "0")]
    assert client.saw(h2.events.StreamEnded, 1)
    assert client.server.connection.open == 0


def test_many_streams_at_once(split):
    client = Client(echo, split=split)
    numbers = range(1, 101, 2)
    for number in numbers:
        client.request(number, b"", end=False)
    for part in range(3):
        for number in numbers:
            client.send(number, f"{part} of {number}.".encode(), end=part == 2)
    for number in numbers:
        assert client.body(number) == f"0 of {number}.1 of {number}.2 of {number}.".encode()
        assert client.saw(h2.events.StreamEnded, number)


@pytest.mark.parametrize("window", [16, 1000, 65_535, 1 << 20])
@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_any_body_through_any_window(window, size):
    settings = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
    client = Client(echo, settings=settings)
    body = random.Random(size).randbytes(size)
    client.request(1, body)
    assert client.body(1) == body
    assert client.saw(h2.events.StreamEnded, 1)


def test_megabytes_both_ways():
    client = Client(echo)
    body = random.Random(0).randbytes(3 << 20)
    client.request(1, body)
    assert client.body(1) == body


def test_a_client_that_takes_nothing_is_told_to_send_nothing():
    client = Client(echo)
    client.acknowledge = False
    client.request(1, b"", end=False)
    sent = 0
    while (room := min(client.h2.local_flow_control_window(1), 16_384)) > 0:
        client.h2.send_data(1, bytes(room))
        client.pump()
        sent += room
        assert sent < 400_000
    assert client.server.streams[1].stream.queued < 200_000
    client.acknowledge = True
    waiting = len(client.body(1))
    client.h2.acknowledge_received_data(waiting, 1)
    client.pump()
    assert len(client.body(1)) == sent
    client.send(1, b"and on", end=True)
    assert client.body(1).endswith(b"and on")


def test_a_client_without_a_header_table(split):
    settings = {h2.settings.SettingCodes.HEADER_TABLE_SIZE: 0}
    client = Client(echo, settings=settings, split=split)
    for number in (1, 3, 5):
        client.request(number, b"x")
        assert client.saw(h2.events.StreamEnded, number)


def test_a_client_that_changes_its_window_meanwhile():
    client = Client(echo)
    client.acknowledge = False
    client.request(1, b"", end=False)
    client.send(1, b"x" * 50_000)
    client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 100})
    client.pump()
    client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 40_000})
    client.send(1, b"y" * 20_000)
    assert client.body(1) == b"x" * 50_000
    client.h2.acknowledge_received_data(50_000, 1)
    client.pump()
    assert client.body(1) == b"x" * 50_000 + b"y" * 20_000


def test_a_reset_and_what_follows(split):
    client = Client(echo, split=split)
    client.request(1, b"", end=False)
    client.request(3, b"", end=False)
    client.h2.reset_stream(1, h2.errors.ErrorCodes.CANCEL)
    client.send(3, b"goes on", end=True)
    assert client.server.streams[1].gones == 1
    assert client.body(3) == b"goes on"


def test_an_early_end():
    client = Client(lambda told, *_: told.stream.finish(ALONE))
    client.request(1, b"first", end=False)
    (reset,) = client.saw(h2.events.StreamReset, 1)
    assert reset.error_code == h2.errors.ErrorCodes.NO_ERROR
    client.request(3, b"next", end=False)
    assert client.server.streams[3].body == b"next"


def test_ping(split):
    client = Client(None, split=split)
    client.h2.ping(b"abcdefgh")
    client.pump()
    (pong,) = client.saw(h2.events.PingAckReceived)
    assert pong.ping_data == b"abcdefgh"


def test_a_failed_connection_says_why(split):
    client = Client(echo, split=split)
    client.request(1, b"", end=False)
    client.server.connection.fail(frames.INTERNAL_ERROR, "llm-extproc: internal error")
    client.pump()
    (away,) = client.saw(h2.events.ConnectionTerminated)
    assert (away.last_stream_id, away.error_code) == (1, h2.errors.ErrorCodes.INTERNAL_ERROR)
    assert away.additional_data == b"llm-extproc: internal error"


# cut anywhere


def script():
    """A conversation with a bit of everything."""
    first, encoder = table_block(*REQUEST, ("x-one", "1"))
    second = encoder.encode([*REQUEST, ("x-one", "1")])
    whole = block(REQUEST)
    return [
        OPENING,
        frames.frame(frames.HEADERS, frames.END_HEADERS, 1, first),
        data(1, b"hello "),
        frames.frame(frames.PING, 0, 0, b"abcdefgh"),
        frames.frame(frames.HEADERS, frames.END_HEADERS, 3, second),
        frames.frame(frames.PRIORITY, 0, 3, bytes(5)),
        frames.frame(frames.DATA, frames.PADDED, 3, padded(b"padded", 100)),
        frames.settings({frames.INITIAL_WINDOW_SIZE: 5, frames.MAX_FRAME_SIZE: 20_000}),
        SETTINGS_ACK,
        frames.frame(0x77, 0xFF, 5, b"unknown"),
        data(1, b"world"),
        frames.frame(frames.HEADERS, frames.END_STREAM, 5, whole[:7]),
        frames.frame(frames.CONTINUATION, 0, 5, whole[7:10]),
        frames.frame(frames.CONTINUATION, frames.END_HEADERS, 5, whole[10:]),
        frames.credit(1, 3),
        headers(7),
        data(7, bytes(300)),
        frames.reset(7, 8),
        data(7, b"late"),
        frames.credit(0, 1000),
        frames.credit(1, 1000),
        headers(1, end=True, pairs=[("x", "trailer")]),
        data(3, b"!", end=True),
        frames.settings({frames.INITIAL_WINDOW_SIZE: 1000}),
        frames.goaway(0, 0, b"bye"),
    ]  # fmt: skip


def outcome(pieces):
    """All that was understood and said, and by whom; credits and cuts of DATA aside, which time may change."""
    server = Server(echo, greeted=False)
    said = server.say(*pieces)
    bodies = {number: b"".join(each.payload for each in said if each.kind == frames.DATA and each.stream == number)
              for number in server.streams}  # fmt: skip
    understood = {n: (t.headers, t.body, t.ended, t.gones) for n, t in server.streams.items()}
    rest = [each for each in said if each.kind not in (frames.DATA, frames.WINDOW_UPDATE)]
    return understood, bodies, rest, server.failed


WHOLE = b"".join(script())
EXPECTED = outcome([WHOLE])


def test_the_script_says_what_it_should():
    understood, bodies, _, failed = EXPECTED
    assert bodies == {1: b"hello world", 3: b"padded!", 5: b"", 7: bytes(5)}
    assert {number: each[1:] for number, each in understood.items()} == {
        1: (b"hello world", True, 0),
        3: (b"padded!", True, 0),
        5: (b"", True, 0),
        7: (bytes(300), False, 1),
    }
    assert not failed


def test_byte_by_byte():
    assert outcome([WHOLE[at : at + 1] for at in range(len(WHOLE))]) == EXPECTED


@pytest.mark.parametrize("at", range(0, len(WHOLE), 3))
def test_cut_once(at):
    assert outcome([WHOLE[:at], WHOLE[at:]]) == EXPECTED


@given(st.lists(st.integers(0, len(WHOLE)), max_size=20))
@settings(deadline=None)
def test_cut_anywhere(cuts):
    edges = [0, *sorted(cuts), len(WHOLE)]
    assert outcome([WHOLE[a:b] for a, b in pairwise(edges)]) == EXPECTED


# mutated


def survives(pieces, answer=echo):
    """Feeds them; every stream has ended well, or is gone, or goes on; every frame that leaves is whole."""
    server = Server(answer, greeted=False)
    for piece in pieces:
        said = server.say(piece)
        assert sum(len(each.payload) for each in said) < 1 << 21
    for told in server.streams.values():
        assert told.gones <= 1
    if server.failed:
        assert server.connection.open == 0
        assert server.say(OPENING) == []
    assert server.connection._window.waiting >= 0
    server.connection.lost()
    assert server.connection._window.waiting == 0
    return server


@given(st.binary(max_size=400))
@settings(deadline=None)
def test_any_bytes(data):
    survives([data])


@given(st.binary(max_size=400), st.integers(1, 50))
@settings(deadline=None)
def test_any_bytes_after_a_valid_opening(data, size):
    survives([OPENING + headers(1), *(data[at : at + size] for at in range(0, len(data), size))])


_frame = st.builds(
    frames.frame, st.integers(0, 12), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=40)
)  # fmt: skip


@given(st.lists(_frame | st.sampled_from(script()), max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_frames(many):
    survives([OPENING, *many])


@given(st.permutations(script()[1:]))
@settings(deadline=None)
def test_any_order(many):
    survives([OPENING, *many])


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=8), st.booleans())
@settings(max_examples=300, deadline=None)
def test_flipped_bytes(flips, whole):
    mutated = bytearray(WHOLE)
    for at, value in flips:
        mutated[at] = value
    survives([bytes(mutated)] if whole else [bytes(mutated[at : at + 7]) for at in range(0, len(mutated), 7)])


@given(st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE)), st.binary(max_size=20))
@settings(deadline=None)
def test_cut_out_and_filled(start, end, filling):
    survives([WHOLE[:start] + filling + WHOLE[end:]])


_small = {
    "empty data": data(1, b""),
    "unknown frames": frames.frame(0x77, 0, 0, bytes(1000)),
    "priority": frames.frame(frames.PRIORITY, 0, 1, bytes(5)),
    "window updates": frames.credit(99, 0)[:9] + frames.NUMBER.pack(1),
    "settings": frames.settings({frames.INITIAL_WINDOW_SIZE: 5}),
    "data of a stream that is gone": data(1, bytes(1000)),
}


@pytest.mark.parametrize("flood", _small.values(), ids=_small)
def test_a_flood_leaves_nothing_in_memory(flood):
    server = Server(greeted=False)
    server.say(OPENING, headers(1), frames.reset(1, 8))
    server.say(flood)
    tracemalloc.start()
    try:
        for _ in range(2000):
            server.say(flood)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_streams_that_come_and_go_leave_nothing_in_memory():
    server = Server()
    server.say(SETTINGS_ACK)
    for number in range(1, 6001, 2):
        server.say(headers(number), data(number, b"x"), frames.reset(number, 8))
        del server.streams[number]
    assert server.connection.open == 0
    assert len(server.connection._blocks._known) == 1
