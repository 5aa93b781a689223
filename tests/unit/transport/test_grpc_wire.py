from itertools import pairwise

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.transport import grpc_wire
from extproc.transport.grpc_wire import Messages, Status, packed, timeout, trailers

LARGEST = 1000
SOME = [b"", b"a", b"bc", b"", b"d" * 300, b"e" * LARGEST, b"f"]


def fed(pieces, largest=LARGEST):
    messages = Messages(largest)
    found = []
    for piece in pieces:
        found += messages.feed(piece)
    return found, messages.held


def cut(data, edges):
    edges = [0, *sorted(edges), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def test_messages_whole():
    assert fed([b"".join(map(packed, SOME))]) == (SOME, 0)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 100])
def test_messages_in_pieces(size):
    data = b"".join(map(packed, SOME))
    assert fed([data[at : at + size] for at in range(0, len(data), size)]) == (SOME, 0)


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(0, 360), max_size=10))
@settings(deadline=None)
def test_messages_cut_anywhere(messages, edges):
    data = b"".join(map(packed, messages))
    assert fed(cut(data, [min(edge, len(data)) for edge in edges])) == (messages, 0)


@pytest.mark.parametrize("missing", [1, 50, 304])
def test_what_is_held_is_known(missing):
    whole = packed(b"d" * 300)
    messages = Messages(LARGEST)
    assert messages.feed(packed(b"a") + whole[:-missing]) == [b"a"]
    assert messages.held == len(whole) - missing
    assert messages.feed(whole[-missing:] + packed(b"b")) == [b"d" * 300, b"b"]
    assert messages.held == 0


BAD = {
    "compressed": (b"\1\0\0\0\1x", grpc_wire.UNIMPLEMENTED),
    "another flag": (b"\x80\0\0\0\1x", grpc_wire.UNIMPLEMENTED),
    "too long": (packed(b"x" * (LARGEST + 1)), grpc_wire.RESOURCE_EXHAUSTED),
    "too long by its prefix alone": (b"\0\xff\xff\xff\xff", grpc_wire.RESOURCE_EXHAUSTED),
    "compressed and empty": (b"\1\0\0\0\0", grpc_wire.UNIMPLEMENTED),
}


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize("before", [b"", packed(b"good")], ids=["at once", "later"])
@pytest.mark.parametrize(("bad", "code"), BAD.values(), ids=BAD)
def test_bad_messages(bad, code, before, size):
    data = before + bad
    with pytest.raises(Status) as raised:
        fed([data[at : at + size] for at in range(0, len(data), size)])
    assert raised.value.code == code


@given(st.lists(st.binary(max_size=60), max_size=10))
@settings(deadline=None)
def test_any_bytes(pieces):
    messages = Messages(30)
    for piece in pieces:
        try:
            assert all(len(each) <= 30 for each in messages.feed(piece))
        except Status:
            return
        assert messages.held <= 35


def test_many_small_pieces_take_linear_time():
    """Joining anew at every piece would copy a hundred gigabytes."""
    whole = packed(bytes(4 << 20))
    found, _ = fed([whole[at : at + 16] for at in range(0, len(whole), 16)], 4 << 20)
    assert len(found[0]) == 4 << 20


TIMEOUTS = {"1H": 3600, "2M": 120, "10S": 10, "1500m": 1.5, "3u": 3e-6, "99999999n": 0.099999999, "0S": 0,
            "99999999H": 99999999 * 3600}  # fmt: skip


@pytest.mark.parametrize(("value", "seconds"), TIMEOUTS.items())
def test_timeouts(value, seconds):
    assert timeout({"grpc-timeout": value}) == pytest.approx(seconds)


def test_no_timeout():
    assert timeout({}) is None


@pytest.mark.parametrize("value", ["", "1", "S", "1s", "-1S", "1.5S", "1 S", "123456789S", "١S", "1S ", "1S\n", "0x1S"])
def test_bad_timeouts(value):
    with pytest.raises(Status) as raised:
        timeout({"grpc-timeout": value})
    assert raised.value.code == grpc_wire.INTERNAL


def read(block):
    return dict(hpack.Decoder().decode(block))


def test_trailers():
    assert read(trailers(0, begun=True)) == {"grpc-status": "0"}
    assert read(trailers(13, "why", begun=True)) == {"grpc-status": "13", "grpc-message": "why"}
    assert read(trailers(5, "why", begun=False)) == {
        ":status": "200",
        "content-type": "application/grpc",
        "grpc-status": "5",
        "grpc-message": "why",
    }
    assert trailers(13, "why", begun=True) is trailers(13, "why", begun=True)


def test_a_text_that_is_no_header_value_is_escaped():
    """A line break in a header is an error of the whole connection to the peer."""
    text = read(trailers(13, "100 %\r\nsure, größer: ~!", begun=True))["grpc-message"]
    assert text == "100 %25%0D%0Asure, gr%C3%B6%C3%9Fer: ~!"


def test_the_beginning_of_an_answer():
    assert read(grpc_wire.BEGIN) == {":status": "200", "content-type": "application/grpc"}
    assert read(grpc_wire.NOT_GRPC) == {":status": "415"}
