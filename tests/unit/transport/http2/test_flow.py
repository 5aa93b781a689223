"""Flow control both ways, frame by frame, and what a socket that takes nothing does to it."""

import pytest

from extproc.transport.http2 import connection as module
from extproc.transport.http2 import frames
from tests.unit.transport.http2.support import (
    BEGIN,
    END,
    Frame,
    Server,
    body_of,
    code_of,
    credits_of,
    data,
    echo,
    headers,
    padded,
    resets,
)

WINDOW = frames.DEFAULT_WINDOW
HALF = WINDOW // 2


def widen(**settings):
    return frames.settings({getattr(frames, name.upper()): value for name, value in settings.items()})


def begun(server, number=1):
    told = server.open(number)
    told.stream.headers(BEGIN)
    server.sent()
    return told


# what we send


def test_no_more_is_sent_than_the_stream_takes():
    server = Server()
    told = begun(server)
    told.stream.send(b"x" * 100_000)
    told.stream.finish(END)
    answer = server.sent()
    assert len(body_of(answer)) == WINDOW
    assert told.stream.queued == 100_000 - WINDOW
    assert server.say(frames.credit(1, 10)) == []  # the connection takes no more either
    assert len(body_of(server.say(frames.credit(0, 4)))) == 4
    assert len(body_of(server.say(frames.credit(0, 100_000)))) == 6
    answer = server.say(frames.credit(1, 100_000))
    assert len(body_of(answer)) == 100_000 - WINDOW - 10
    assert [each.kind for each in answer][-2:] == [frames.HEADERS, frames.RST_STREAM]
    assert told.stream.queued == 0
    assert server.connection.open == 0
    assert server.connection._window.waiting == 0


def test_the_connection_window_is_shared():
    server = Server(echo)
    first, second = begun(server, 1), begun(server, 3)
    first.stream.send(b"a" * 60_000)
    second.stream.send(b"b" * 10_000)
    answer = server.sent()
    assert (len(body_of(answer, 1)), len(body_of(answer, 3))) == (60_000, 5_535)
    first.stream.send(b"c")
    assert server.sent() == []
    answer = server.say(frames.credit(0, 10_000))
    assert (body_of(answer, 1), len(body_of(answer, 3))) == (b"c", 4_465)


def test_order_is_kept_behind_what_waits():
    server = Server(initial_window_size=4)
    told = begun(server)
    for each in (b"abcdef", b"g", b"", b"hi"):
        told.stream.send(each)
    assert body_of(server.sent()) == b"abcd"
    assert body_of(server.say(frames.credit(1, 1))) == b"e"
    told.stream.send(b"j")
    assert body_of(server.say(frames.credit(1, 3))) == b"fgh"
    told.stream.finish(END)
    answer = server.say(frames.credit(1, 100))
    assert body_of(answer) == b"ij"
    assert answer[-2].flags & frames.END_STREAM


def test_a_window_of_nothing():
    server = Server(initial_window_size=0)
    told = begun(server)
    told.stream.send(b"abc")
    assert server.sent() == []
    assert body_of(server.say(widen(initial_window_size=2))) == b"ab"


def test_a_window_made_negative():
    """SETTINGS may take back what is sent already: then nothing, until there is more than that (section 6.9.2)."""
    server = Server(initial_window_size=100)
    told = begun(server)
    told.stream.send(b"a" * 80)
    assert len(body_of(server.sent())) == 80
    server.say(widen(initial_window_size=10))  # -70
    told.stream.send(b"b" * 50)
    assert server.sent() == []
    assert server.say(frames.credit(1, 70)) == []
    assert body_of(server.say(frames.credit(1, 1))) == b"b"
    assert len(body_of(server.say(widen(initial_window_size=100)))) == 49


def test_streams_begun_later_have_the_new_window():
    server = Server(initial_window_size=100)
    server.say(widen(initial_window_size=7))
    told = begun(server)
    told.stream.send(b"a" * 20)
    assert len(body_of(server.sent())) == 7


@pytest.mark.parametrize("size", [frames.DEFAULT_FRAME, 20_000, 1 << 20])
def test_the_largest_frame_the_peer_takes(size):
    server = Server(max_frame_size=size, initial_window_size=1 << 24)
    server.say(frames.credit(0, 1 << 24))
    told = begun(server)
    told.stream.send(b"x" * 60_000)
    told.stream.send(b"y" * 1_000_000)
    answer = server.sent()
    assert max(len(each.payload) for each in answer) <= size
    assert body_of(answer) == b"x" * 60_000 + b"y" * 1_000_000


def test_a_discarded_answer_ends_with_its_trailers():
    server = Server(initial_window_size=3)
    told = begun(server)
    told.stream.send(b"abcdef")
    server.sent()
    told.stream.discard()
    told.stream.finish(END)
    answer = server.sent()
    assert [each.kind for each in answer] == [frames.HEADERS, frames.RST_STREAM]
    assert server.connection._window.waiting == 0


def test_a_stream_that_waits_does_not_stop_another():
    server = Server()
    server.say(frames.credit(0, 1 << 20))
    slow, quick = begun(server, 1), begun(server, 3)
    slow.stream.send(b"s" * 100_000)
    server.sent()
    quick.stream.send(b"q" * 1000)
    assert body_of(server.sent(), 3) == b"q" * 1000


# a socket that takes nothing


def test_a_socket_that_takes_nothing():
    server = Server(echo)
    first, second = begun(server, 1), begun(server, 3)
    server.connection.hold()
    first.stream.send(b"abc")
    first.stream.finish(END)
    second.stream.send(b"def")
    assert server.sent() == []
    assert server.say(frames.credit(1, 10)) == []
    assert server.say(frames.frame(frames.PING, 0, 0, bytes(8)))[0].kind == frames.PING  # is not stream data
    server.connection.release()
    answer = server.sent()
    assert (body_of(answer, 1), body_of(answer, 3)) == (b"abc", b"def")
    assert server.connection.open == 1


def test_a_stream_that_ends_while_the_socket_takes_nothing():
    server = Server()
    told = begun(server)
    server.connection.hold()
    told.stream.finish(END)
    assert [each.kind for each in server.sent()] == [frames.HEADERS, frames.RST_STREAM]


def test_a_stream_that_is_reset_while_the_socket_takes_nothing():
    server = Server()
    told = begun(server)
    server.connection.hold()
    told.stream.send(b"abc")
    server.say(frames.reset(1, 8))
    server.connection.release()
    assert server.sent() == []
    assert told.gones == 1


def test_the_socket_is_given_only_so_much_at_once():
    """However wide the peer's windows are: the rest is asked for when the socket has taken that."""
    server = Server(initial_window_size=1 << 30)
    server.say(frames.credit(0, 1 << 30))
    begun(server).stream.send(bytes(10 << 20))
    sizes = []
    while out := server.connection.take():
        sizes.append(len(out))
        if len(sizes) == 3:
            server.connection.hold()
    assert len(sizes) == 4
    assert max(sizes) < 300 << 10
    server.connection.release()
    assert sum(sizes) + sum(len(each.payload) + 9 for each in server.sent()) >= 10 << 20


# what we receive


def test_credit_for_what_was_consumed():
    server = Server()
    server.open(1)
    assert server.say(data(1, bytes(16_000)), data(1, bytes(16_000))) == []
    assert credits_of(server.say(data(1, bytes(16_000)))) == [(1, 48_000)]
    assert credits_of(server.say(*[data(1, bytes(16_000))] * 3)) == [(1, 48_000)]


def test_any_length_fits_through_a_window():
    server = Server()
    told = server.open(1)
    left, total = WINDOW, 0
    for _ in range(200):
        size = min(left, 16_384)
        left += sum(each for _, each in credits_of(server.say(data(1, bytes(size))))) - size
        total += size
    assert total > 3 << 20
    assert len(told.body) == total
    assert not server.failed


def test_padding_is_credited_with_what_it_pads():
    server = Server()
    server.open(1)
    frame = frames.frame(frames.DATA, frames.PADDED, 1, padded(bytes(16_000), 255))
    assert credits_of(server.say(frame, frame, frame)) == [(1, 3 * 16_256)]


def test_no_credit_after_the_end():
    server = Server()
    server.open(1)
    assert server.say(data(1, bytes(16_000)), data(1, bytes(16_000)), data(1, bytes(16_000), end=True)) == []


def test_no_credit_while_paused():
    server = Server()
    told = server.open(1)
    told.stream.pause()
    assert server.say(*[data(1, bytes(13_107))] * 5) == []
    assert len(told.body) == WINDOW
    told.stream.resume()
    assert credits_of(server.sent()) == [(1, WINDOW)]


def test_no_credit_for_a_stream_whose_own_answer_waits():
    server = Server(initial_window_size=0)
    told = begun(server)
    told.stream.send(bytes((64 << 10) + 1))
    assert server.say(*[data(1, bytes(13_107))] * 5) == []
    assert credits_of(server.say(frames.credit(1, 1))) == [(1, WINDOW)]


def test_a_little_that_waits_does_no_harm():
    server = Server(initial_window_size=0)
    begun(server).stream.send(bytes(1000))
    assert credits_of(server.say(*[data(1, bytes(13_107))] * 3)) == [(1, 3 * 13_107)]


def test_more_than_the_window_of_a_stream():
    server = Server()
    told = server.open(1)
    other = server.open(3)
    told.stream.pause()
    server.say(*[data(1, bytes(13_107))] * 5)
    assert resets(server.say(data(1, b"x"))) == [(1, frames.FLOW_CONTROL_ERROR)]
    assert (told.gones, len(told.body), other.gones) == (1, WINDOW, 0)
    assert not server.failed


def test_the_window_of_the_connection():
    server = Server()
    credit = 0
    for number in range(1, 2000, 2):
        answer = server.say(headers(number), *[data(number, bytes(16_384))] * 3)
        credit += sum(size for stream, size in credits_of(answer) if stream == 0)
    received = 1000 * 3 * 16_384
    assert received - (32 << 20) < credit <= received


def test_more_than_the_window_of_the_connection():
    server = Server()
    server.open(1)
    server.connection._allowed = 5
    server.say(data(1, bytes(5)))
    assert code_of(server.say(data(1, b"x"))) == frames.FLOW_CONTROL_ERROR


def test_data_of_streams_that_are_gone_is_credited_to_the_connection(monkeypatch):
    monkeypatch.setattr(module, "_CREDIT_AT", 100)
    server = Server()
    server.say(headers(1), frames.reset(1, 8))
    assert server.say(data(1, bytes(150))) == [Frame(frames.WINDOW_UPDATE, 0, 0, frames.NUMBER.pack(150))]
