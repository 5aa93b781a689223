"""Conversations with frames made by hand: what is said and done when the peer keeps to the protocol."""

import pytest

from extproc.transport.http2 import connection as module
from extproc.transport.http2 import frames
from extproc.transport.http2.headers import block
from tests.unit.transport.http2.support import (
    BEGIN,
    END,
    OPENING,
    REQUEST,
    SETTINGS_ACK,
    Frame,
    Server,
    code_of,
    credits_of,
    data,
    echo,
    headers,
    padded,
    resets,
    table_block,
)

GREETING = [frames.SETTINGS, frames.WINDOW_UPDATE]


def goaways(answer):
    return [frames.PAIR.unpack(each.payload[:8]) for each in answer if each.kind == frames.GOAWAY]


def drained(server):
    """The PING by which the server learns that its first GOAWAY has been seen."""
    server.connection.drain()
    answer = server.sent()
    assert goaways(answer) == [(frames.LARGEST_WINDOW, frames.NO_ERROR)]
    (ping,) = (each for each in answer if each.kind == frames.PING)
    assert not ping.flags & frames.ACK
    return frames.frame(frames.PING, frames.ACK, 0, ping.payload)


# the beginning


def test_the_server_speaks_first():
    server = Server(greeted=False)
    settings, credit = server.sent()
    values = dict(frames.SETTING.iter_unpack(settings.payload))
    assert values[frames.HEADER_TABLE_SIZE] == 0
    assert values[frames.MAX_CONCURRENT_STREAMS] == module.MAX_STREAMS
    assert frames.DEFAULT_FRAME <= values[frames.MAX_FRAME_SIZE] <= frames.LARGEST_FRAME
    assert frames.INITIAL_WINDOW_SIZE not in values
    assert (credit.kind, credit.stream, credit.number) == (frames.WINDOW_UPDATE, 0, (64 << 20) - 65535)


@pytest.mark.parametrize("size", [1, 2, 5, 23, 24, 25, 33, 100])
def test_the_preface_in_pieces(size):
    server = Server(greeted=False)
    server.sent()
    whole = OPENING + headers(1)
    server.say(*[whole[at : at + size] for at in range(0, len(whole), size)])
    assert server.streams[1].headers == dict(REQUEST)


@pytest.mark.parametrize(
    "wrong",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"PRI * HTTP/1", b"X", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", b"\0"],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_a_wrong_preface(wrong, size):
    server = Server(greeted=False)
    server.sent()
    answer = server.say(*[wrong[at : at + size] for at in range(0, len(wrong), size)])
    assert code_of(answer) == frames.PROTOCOL_ERROR
    assert server.failed
    assert server.say(OPENING, headers(1)) == []
    assert not server.streams


def test_settings_are_acknowledged():
    server = Server(greeted=False)
    server.sent()
    assert server.say(OPENING) == [Frame(frames.SETTINGS, frames.ACK, 0, b"")]
    assert server.say(frames.settings({0x99: 5, frames.MAX_CONCURRENT_STREAMS: 0, frames.ENABLE_PUSH: 0})) == [
        Frame(frames.SETTINGS, frames.ACK, 0, b"")
    ]
    assert server.say(SETTINGS_ACK) == []


# requests and answers


def test_a_request_and_its_answer():
    server = Server(echo)
    told = server.open(1)
    assert told.headers == dict(REQUEST)
    begin, body = server.say(data(1, b"abc"))
    assert (begin.kind, begin.flags, begin.payload) == (frames.HEADERS, frames.END_HEADERS, BEGIN)
    assert body == Frame(frames.DATA, 0, 1, b"abc")
    (end,) = server.say(data(1, b"", end=True))
    assert (end.kind, end.flags, end.payload) == (frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, END)
    assert (told.body, told.ended, told.gones) == (b"abc", True, 0)
    assert server.connection.open == 0


def test_a_request_without_a_body():
    server = Server(echo)
    answer = server.say(headers(1, end=True))
    assert server.streams[1].calls == [(b"", True)]
    assert [each.kind for each in answer] == [frames.HEADERS, frames.HEADERS]


def test_trailers_end_a_request():
    server = Server(echo)
    server.open(1)
    server.say(data(1, b"abc"), headers(1, end=True, pairs=[("x", "1")]))
    assert server.streams[1].calls[-1] == (b"", True)
    assert server.connection.open == 0


def test_an_answer_before_the_end_of_its_request_takes_no_more_of_it():
    server = Server(lambda told, *_: told.stream.finish(END))
    server.open(1)
    answer = server.say(data(1, b"abc"))
    assert resets(answer) == [(1, frames.NO_ERROR)]
    assert server.connection.open == 0
    late = [data(1, b"d" * 1000), frames.credit(1, 5), headers(1, end=True, pairs=[("x", "1")]), frames.reset(1, 8)]
    assert server.say(*late) == []
    assert not server.failed
    assert server.streams[1].body == b"abc"


def test_an_answer_given_at_once():
    """A receiver that is done with its stream before it has it."""

    def accept(stream, headers):
        stream.finish(END)
        return

    for end in (False, True):
        server = Server()
        server.connection._accept = accept
        answer = server.say(headers(1, end=end))
        assert [each.kind for each in answer] == [frames.HEADERS] + ([] if end else [frames.RST_STREAM])
        assert server.connection.open == 0


def test_nothing_follows_the_end_of_an_answer():
    server = Server()
    told = server.open(1)
    told.stream.finish(END)
    server.sent()
    told.stream.headers(BEGIN)
    told.stream.send(b"x")
    told.stream.finish(END)
    told.stream.pause()
    told.stream.resume()
    told.stream.flush()
    assert server.sent() == []


def test_nothing_follows_a_reset():
    server = Server()
    told = server.open(1)
    server.say(frames.reset(1, 8))
    told.stream.send(b"x")
    told.stream.finish(END)
    told.stream.resume()
    assert server.sent() == []


def test_no_credit_for_a_stream_that_ended_in_the_middle_of_a_frame():
    server = Server(lambda told, *_: told.stream.finish(END))
    server.open(1)
    assert credits_of(server.say(data(1, bytes(16000)), data(1, bytes(40000)))) == []


def test_a_reset_stream_is_gone():
    server = Server(echo)
    told = server.open(1)
    assert server.say(frames.reset(1, frames.NO_ERROR)) == []
    assert told.gones == 1
    assert server.say(data(1, b"late"), frames.reset(1, 8)) == []
    assert (told.body, told.gones, server.connection.open) == (b"", 1, 0)


def test_a_reset_forgets_what_waited():
    server = Server(echo, initial_window_size=10)
    server.open(1)
    server.say(data(1, b"x" * 100))
    server.say(frames.reset(1, 8))
    assert server.say(frames.settings({frames.INITIAL_WINDOW_SIZE: 1000}), frames.credit(0, 500)) == [
        Frame(frames.SETTINGS, frames.ACK, 0, b"")
    ]
    assert server.connection._window.waiting == 0


def test_a_lost_connection_tells_every_stream_once():
    server = Server(echo)
    streams = [server.open(number) for number in (1, 3, 5)]
    server.say(frames.reset(3, 8))
    server.connection.lost()
    server.connection.lost()
    assert [each.gones for each in streams] == [1, 1, 1]
    assert server.say(data(1, b"x"), headers(7)) == []
    assert 7 not in server.streams


def test_streams_beyond_the_limit_are_refused(monkeypatch):
    monkeypatch.setattr(module, "MAX_STREAMS", 2)
    server = Server(echo)
    server.open(1)
    server.open(3)
    assert resets(server.say(headers(5), data(5, b"x", end=True))) == [(5, frames.REFUSED_STREAM)]
    server.say(data(1, b"", end=True))
    server.open(7)
    assert set(server.streams) == {1, 3, 7}


def test_a_refused_stream_does_to_the_header_table_what_it_would(monkeypatch):
    monkeypatch.setattr(module, "MAX_STREAMS", 1)
    server = Server()
    server.open(1)
    first, encoder = table_block(*REQUEST, ("x-new", "1"))
    server.say(frames.frame(frames.HEADERS, frames.END_HEADERS, 3, first))
    server.say(frames.reset(1, 8))
    server.say(frames.frame(frames.HEADERS, frames.END_HEADERS, 5, encoder.encode([*REQUEST, ("x-new", "1")])))
    assert server.streams[5].headers["x-new"] == "1"


@pytest.mark.parametrize("pairs", [[(":method", "POST")], [(":path", "/")], [("x", "1")], []])
def test_a_request_without_what_a_request_has(pairs):
    server = Server()
    server.open(1)
    assert resets(server.say(headers(3, pairs=pairs))) == [(3, frames.PROTOCOL_ERROR)]
    assert set(server.streams) == {1}
    assert not server.failed


# header blocks in pieces, padding, priority


@pytest.mark.parametrize("size", [1, 2, 10, 100])
@pytest.mark.parametrize("end", [False, True])
def test_continuation(size, end):
    server = Server()
    whole = block(REQUEST)
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    flags = frames.END_STREAM if end else 0
    out = frames.frame(frames.HEADERS, flags | (frames.END_HEADERS if len(pieces) == 1 else 0), 1, pieces[0])
    for number, piece in enumerate(pieces[1:], 2):
        out += frames.frame(frames.CONTINUATION, frames.END_HEADERS if number == len(pieces) else 0, 1, piece)
    server.say(out)
    assert server.streams[1].headers == dict(REQUEST)
    assert server.streams[1].ended is end


def test_a_continuation_may_be_empty_at_its_end():
    server = Server()
    server.say(
        headers(1, flags=0, pairs=REQUEST),
        frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1),
    )
    assert server.streams[1].headers == dict(REQUEST)


@pytest.mark.parametrize("size", [0, 1, 200])
def test_padded_headers_with_priority(size):
    server = Server(echo)
    payload = padded(b"\x80\0\0\3\x10" + block(REQUEST), size)
    flags = frames.PADDED | frames.WITH_PRIORITY | frames.END_HEADERS
    server.say(frames.frame(frames.HEADERS, flags, 1, payload))
    assert server.streams[1].headers == dict(REQUEST)
    assert server.say(frames.frame(frames.DATA, frames.PADDED, 1, padded(b"abc", size)))[-1].payload == b"abc"
    assert server.streams[1].body == b"abc"


def test_priority_is_ignored():
    server = Server(echo)
    server.open(1)
    assert server.say(*[frames.frame(frames.PRIORITY, 0, number, bytes(5)) for number in (1, 3, 2)]) == []
    assert not server.failed


@pytest.mark.parametrize("kind", [0xA, 0xC, 0x10, 0xFF])
def test_unknown_frames_are_ignored(kind):
    server = Server(echo)
    server.open(1)
    assert server.say(*[frames.frame(kind, 0xFF, number, b"anything") for number in (0, 1, 2, 99)]) == []
    assert server.say(data(1, b"x"))[-1].payload == b"x"


def test_the_reserved_bit_is_ignored():
    server = Server(echo)
    server.open(1)
    assert server.say(data(1 | 1 << 31, b"x"))[-1].payload == b"x"


# PING and GOAWAY


def test_ping():
    server = Server()
    assert server.say(frames.frame(frames.PING, 0, 0, b"abcdefgh")) == [Frame(frames.PING, frames.ACK, 0, b"abcdefgh")]
    assert server.say(frames.frame(frames.PING, frames.ACK, 0, b"abcdefgh")) == []


def test_draining_serves_what_was_begun_before_the_peer_knew():
    server = Server(echo)
    server.open(1)
    pong = drained(server)
    server.open(3)  # begun before the first GOAWAY arrived
    assert goaways(server.say(pong)) == [(3, frames.NO_ERROR)]
    assert resets(server.say(headers(5), data(5, b"x"))) == [(5, frames.REFUSED_STREAM)]
    for number in (1, 3):
        assert server.say(data(number, b"abc", end=True))[1].payload == b"abc"
    assert server.connection.open == 0
    assert not server.failed


def test_the_end_of_draining_does_not_claim_streams_that_were_refused():
    """A GOAWAY must not name a later stream than one before (RFC 9113, section 6.8): nghttp2 takes it for an error."""
    server = Server(echo)
    server.open(1)
    server.say(drained(server))
    server.say(headers(3))
    server.connection.fail(frames.NO_ERROR, "")
    assert goaways(server.sent()) == [(1, frames.NO_ERROR)]


def test_draining_is_asked_for_once():
    server = Server()
    pong = drained(server)
    server.connection.drain()
    assert server.sent() == []
    assert len(server.say(pong)) == 1
    assert server.say(pong) == []
    server.connection.drain()
    assert server.sent() == []


def test_draining_before_the_peer_has_said_anything():
    server = Server(echo, greeted=False)
    server.sent()
    pong = drained(server)
    server.say(OPENING)
    server.open(1)
    assert goaways(server.say(pong)) == [(1, frames.NO_ERROR)]


def test_a_ping_that_was_never_sent_does_not_end_anything():
    pong = drained(Server())
    server = Server(echo)
    assert server.say(pong) == []
    server.open(1)


def test_a_failed_connection_does_not_drain():
    server = Server()
    server.connection.fail(frames.NO_ERROR, "")
    server.sent()
    server.connection.drain()
    server.connection.fail(frames.INTERNAL_ERROR, "x")
    assert server.sent() == []


def test_a_peer_that_goes_away_is_still_answered():
    server = Server(echo)
    server.open(1)
    assert server.say(frames.goaway(0, 0, b"bye")) == []
    assert server.say(data(1, b"x", end=True))[1].payload == b"x"
