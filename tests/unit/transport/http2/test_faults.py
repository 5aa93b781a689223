"""What breaks the protocol, and the error code it has (RFC 9113): in one piece and byte by byte, the same."""

import pytest

from extproc.transport.http2 import frames
from extproc.transport.http2.frames import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    frame,
)
from extproc.transport.http2.headers import block
from tests.unit.transport.http2.support import REQUEST, Server, code_of, data, headers, padded, resets

_TRAILERS = [("x", "1")]
_LONG = bytes(65_537)

# Before each of these the connection is greeted, and streams 1 and 3 are open, 3 half closed; 5 has been reset.
CONNECTION = {
    "settings of a stream": (frame(SETTINGS, 0, 1), PROTOCOL_ERROR),
    "settings of five bytes": (frame(SETTINGS, 0, 0, bytes(5)), FRAME_SIZE_ERROR),
    "settings of seven bytes": (frame(SETTINGS, 0, 0, bytes(7)), FRAME_SIZE_ERROR),
    "an acknowledgement with settings": (frame(SETTINGS, ACK, 0, bytes(6)), FRAME_SIZE_ERROR),
    "an acknowledgement of a stream": (frame(SETTINGS, ACK, 1), PROTOCOL_ERROR),
    "push neither on nor off": (frames.settings({frames.ENABLE_PUSH: 2}), PROTOCOL_ERROR),
    "a window too large": (frames.settings({frames.INITIAL_WINDOW_SIZE: 1 << 31}), FLOW_CONTROL_ERROR),
    "a frame size too small": (frames.settings({frames.MAX_FRAME_SIZE: 16383}), PROTOCOL_ERROR),
    "a frame size too large": (frames.settings({frames.MAX_FRAME_SIZE: 1 << 24}), PROTOCOL_ERROR),
    "settings that make a window too large": (
        frames.credit(1, frames.LARGEST_WINDOW - 65535) + frames.settings({frames.INITIAL_WINDOW_SIZE: 65536}),
        FLOW_CONTROL_ERROR,
    ),
    "a connection window too large": (frames.credit(0, frames.LARGEST_WINDOW - 65534), FLOW_CONTROL_ERROR),
    "a connection window widened by nothing": (frames.credit(0, 0), PROTOCOL_ERROR),
    "a window update of three bytes": (frame(WINDOW_UPDATE, 0, 1, bytes(3)), FRAME_SIZE_ERROR),
    "a window update of an idle stream": (frames.credit(9, 1), PROTOCOL_ERROR),
    "a window update of an even stream": (frames.credit(2, 1), PROTOCOL_ERROR),
    "a frame too long": (frame(DATA, 0, 1, _LONG), FRAME_SIZE_ERROR),
    "an unknown frame too long": (frame(0x77, 0, 0, _LONG), FRAME_SIZE_ERROR),
    "a ping of a stream": (frame(PING, 0, 1, bytes(8)), PROTOCOL_ERROR),
    "a ping of seven bytes": (frame(PING, 0, 0, bytes(7)), FRAME_SIZE_ERROR),
    "a ping of nine bytes": (frame(PING, ACK, 0, bytes(9)), FRAME_SIZE_ERROR),
    "a stream goes away": (frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL_ERROR),
    "goaway of seven bytes": (frame(GOAWAY, 0, 0, bytes(7)), FRAME_SIZE_ERROR),
    "a push": (frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4)), PROTOCOL_ERROR),
    "priority of the connection": (frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL_ERROR),
    "priority of four bytes": (frame(PRIORITY, 0, 1, bytes(4)), FRAME_SIZE_ERROR),
    "priority of six bytes of an idle stream": (frame(PRIORITY, 0, 99, bytes(6)), FRAME_SIZE_ERROR),
    "a reset of three bytes": (frame(RST_STREAM, 0, 1, bytes(3)), FRAME_SIZE_ERROR),
    "a reset of the connection": (frames.reset(0, 8), PROTOCOL_ERROR),
    "a reset of an idle stream": (frames.reset(9, 8), PROTOCOL_ERROR),
    "a reset of an even stream": (frames.reset(2, 8), PROTOCOL_ERROR),
    "data of the connection": (data(0, b"x"), PROTOCOL_ERROR),
    "data of an idle stream": (data(9, b"x"), PROTOCOL_ERROR),
    "data of an even stream": (data(4, b"x"), PROTOCOL_ERROR),
    "padding without its length": (frame(DATA, PADDED, 1), PROTOCOL_ERROR),
    "padding longer than its frame": (frame(DATA, PADDED, 1, b"\4abc"), PROTOCOL_ERROR),
    "headers padded beyond their frame": (frame(HEADERS, PADDED | END_HEADERS, 7, b"\xffabc"), PROTOCOL_ERROR),
    "headers of the connection": (headers(0), PROTOCOL_ERROR),
    "headers of an even stream": (headers(8), PROTOCOL_ERROR),
    "a stream begun twice": (headers(1), PROTOCOL_ERROR),
    "a stream begun again": (headers(5, end=True), PROTOCOL_ERROR),
    "a priority cut short": (frame(HEADERS, WITH_PRIORITY | END_HEADERS, 7, bytes(4)), FRAME_SIZE_ERROR),
    "no header block": (frame(HEADERS, END_HEADERS, 7, b"\xff"), COMPRESSION_ERROR),
    "no trailer block": (frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff"), COMPRESSION_ERROR),
    "no header block, of a stream that is gone": (frame(HEADERS, END_HEADERS, 5, b"\xff"), COMPRESSION_ERROR),
    "a header list too long": (headers(7, pairs=[*REQUEST, ("x", "y" * 65_400)]), COMPRESSION_ERROR),
    "a continuation of nothing": (frame(CONTINUATION, END_HEADERS, 1), PROTOCOL_ERROR),
    "a continuation of another stream": (headers(7, flags=0) + frame(CONTINUATION, END_HEADERS, 9), PROTOCOL_ERROR),
    "a block interrupted by data": (headers(7, flags=0) + data(1, b"x"), PROTOCOL_ERROR),
    "a block interrupted by headers": (headers(7, flags=0) + headers(7), PROTOCOL_ERROR),
    "a block interrupted by a ping": (headers(7, flags=0) + frame(PING, 0, 0, bytes(8)), PROTOCOL_ERROR),
    "a block interrupted by something unknown": (headers(7, flags=0) + frame(0x77, 0, 0), PROTOCOL_ERROR),
    "an empty continuation": (headers(7, flags=0) + frame(CONTINUATION, 0, 7), ENHANCE_YOUR_CALM),
    "continuations without end": (
        headers(7, flags=0) + b"".join(frame(CONTINUATION, 0, 7, bytes(16_000)) for _ in range(5)),
        ENHANCE_YOUR_CALM,
    ),
}  # fmt: skip

STREAM = {
    "data after the end": (data(3, b"x"), 3, STREAM_CLOSED),
    "headers after the end": (headers(3, end=True, pairs=_TRAILERS), 3, STREAM_CLOSED),
    "trailers that do not end": (headers(1, pairs=_TRAILERS), 1, PROTOCOL_ERROR),
    "a window widened by nothing": (frames.credit(1, 0), 1, PROTOCOL_ERROR),
    "a window too large": (frames.credit(1, frames.LARGEST_WINDOW - 65534), 1, FLOW_CONTROL_ERROR),
    "headers without a request": (headers(7, pairs=_TRAILERS), 7, PROTOCOL_ERROR),
}


def opened():
    server = Server()
    server.say(headers(1), headers(3, end=True), headers(5), frames.reset(5, 8))
    return server


def pieces(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 1 << 20], ids=["bytes", "whole"])
@pytest.mark.parametrize(("bad", "code"), CONNECTION.values(), ids=CONNECTION)
def test_a_fault_of_the_connection(bad, code, size):
    server = opened()
    answer = server.say(*pieces(bad, size))
    assert code_of(answer) == code
    assert server.failed
    assert server.connection.open == 0
    assert [server.streams[number].gones for number in (1, 3, 5)] == [1, 1, 1]
    assert server.say(headers(11), frame(PING, 0, 0, bytes(8))) == []


@pytest.mark.parametrize("size", [1, 1 << 20], ids=["bytes", "whole"])
@pytest.mark.parametrize(("bad", "number", "code"), STREAM.values(), ids=STREAM)
def test_a_fault_of_a_stream(bad, number, code, size):
    server = opened()
    answer = server.say(*pieces(bad, size))
    assert resets(answer) == [(number, code)]
    assert not server.failed
    others = {1, 3} - {number}
    assert server.connection.open == len(others)
    assert {each for each in (1, 3) if server.streams[each].gones} == {1, 3} - others
    assert server.say(frame(PING, 0, 0, bytes(8)))[0].kind == PING


@pytest.mark.parametrize(
    "first",
    [frame(PING, 0, 0, bytes(8)), headers(1), frame(SETTINGS, ACK, 0), frame(0x77, 0, 0), frames.credit(0, 1)],
)
def test_the_first_frame_must_be_settings(first):
    server = Server(greeted=False)
    assert code_of(server.say(frames.PREFACE + first)) == PROTOCOL_ERROR


def test_a_long_frame_is_faulted_by_its_length_alone():
    server = opened()
    assert code_of(server.say(frame(DATA, 0, 1, _LONG)[:9])) == FRAME_SIZE_ERROR


def test_a_fault_in_the_middle_keeps_what_came_before():
    server = opened()
    server.say(data(1, b"abc") + frames.credit(0, 0) + data(1, b"def"))
    assert server.streams[1].body == b"abc"


def test_padding_is_charged():
    """A peer that sends nothing but padding still has a window."""
    server = opened()
    answer = []
    for _ in range(300):
        answer += server.say(frame(DATA, PADDED, 5, padded(b"", 255)))  # of a stream that is gone
    server.connection._allowed = 100
    assert code_of(server.say(frame(DATA, PADDED, 5, padded(b"", 255)))) == FLOW_CONTROL_ERROR


def test_a_block_that_is_remembered_is_no_excuse():
    server = opened()
    server.say(frame(SETTINGS, ACK, 0))
    for number in (7, 9):
        server.say(frame(HEADERS, END_HEADERS, number, block(REQUEST)))
    assert code_of(server.say(frame(HEADERS, END_HEADERS, 11, b"\x3f\xe1\x1f" + block(REQUEST)))) == COMPRESSION_ERROR
