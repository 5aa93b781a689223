import contextlib

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.transport.http2 import headers
from extproc.transport.http2.frames import COMPRESSION_ERROR, ConnectionFault
from extproc.transport.http2.headers import BlockReader, block

PAIRS = [(":method", "POST"), (":path", "/a"), ("x-one", "1")]
NO_TABLE = b"\x20"


def without_table():
    reader = BlockReader()
    reader.without_table()
    return reader


def fault(reader, data):
    with pytest.raises(ConnectionFault) as raised:
        reader.read(data)
    return raised.value.code


def test_a_block_is_read():
    assert BlockReader().read(block(PAIRS)) == dict(PAIRS)


def test_of_a_name_that_comes_twice_the_last_value():
    assert BlockReader().read(block([("a", "1"), ("a", "2")])) == {"a": "2"}


def test_bytes_that_are_no_utf8_are_kept():
    encoded = hpack.Encoder().encode([(b"x", b"\xff\xfe")])
    assert BlockReader().read(encoded) == {"x": "\xff\xfe"}


def test_another_make_reads_our_blocks_in_any_order():
    decoder = hpack.Decoder()
    for _ in range(3):
        assert list(decoder.decode(block(PAIRS))) == PAIRS
        assert list(decoder.decode(block([("b", "2")]))) == [("b", "2")]
    assert not decoder.header_table.dynamic_entries


def test_our_blocks_suit_a_peer_that_made_its_table_smaller():
    """Such a peer must be told so at the beginning of the next block (RFC 9113, section 4.3.1)."""
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = 0
    assert list(decoder.decode(block(PAIRS))) == PAIRS


def test_the_dynamic_table_works_until_it_is_forbidden():
    reader, encoder = BlockReader(), hpack.Encoder()
    for _ in range(3):
        assert reader.read(encoder.encode(PAIRS)) == dict(PAIRS)
    reader.without_table()
    encoder.header_table_size = 0
    for _ in range(3):
        assert reader.read(encoder.encode(PAIRS)) == dict(PAIRS)


def test_a_peer_that_keeps_its_table_is_faulted():
    reader, encoder = BlockReader(), hpack.Encoder()
    reader.read(encoder.encode(PAIRS))
    reader.without_table()
    assert fault(reader, encoder.encode(PAIRS)) == COMPRESSION_ERROR


def test_a_peer_that_takes_its_table_back_is_faulted():
    reader = without_table()
    reader.read(NO_TABLE + block(PAIRS))
    assert fault(reader, b"\x3f\xe1\x1f") == COMPRESSION_ERROR  # 4096


def test_a_block_that_widens_the_table_is_not_undone_by_one_that_was_remembered():
    """Until the acknowledgement the peer's table may come and go: blocks that say so must all be seen."""
    reader, widen = BlockReader(), b"\x3f\xe1\x1f"
    forget = NO_TABLE + block(PAIRS)
    insert = b"\x40\x01a\x01b"
    assert reader.read(forget) == dict(PAIRS)
    assert reader.read(widen + insert) == {"a": "b"}
    assert reader.read(b"\xbe") == {"a": "b"}  # the entry of the dynamic table
    assert reader.read(forget) == dict(PAIRS)  # empties the table
    assert fault(reader, widen + b"\xbe") == COMPRESSION_ERROR


def test_a_block_that_inserts_inserts_every_time():
    reader, widen = BlockReader(), b"\x3f\xe1\x1f"
    insert = b"\x40\x01a\x01b"
    assert reader.read(NO_TABLE + insert) == {"a": "b"}
    assert reader.read(insert) == {"a": "b"}
    assert reader.read(widen) == {}
    assert reader.read(insert) == {"a": "b"}
    assert reader.read(b"\xbe") == {"a": "b"}


def test_what_repeats_is_read_once(monkeypatch):
    reader = without_table()
    first = reader.read(block(PAIRS))
    monkeypatch.setattr(reader._decoder, "decode", None)
    assert reader.read(block(PAIRS)) is first


def test_what_is_remembered_is_bounded():
    reader = without_table()
    for number in range(1000):
        reader.read(block([("x", str(number))]))
    assert len(reader._known) <= 64
    reader.read(block([("x", "y" * 3000)]))
    assert all(len(each) <= 2048 for each in reader._known)


@pytest.mark.parametrize(
    "data", [b"\x80", b"\xbe", b"\xff\xff\xff\xff\xff\xff\xff", b"\x40\x05a", b"\x00", b"\x82\x20"]
)
def test_what_is_no_block(data):
    assert fault(BlockReader(), data) == COMPRESSION_ERROR


def test_headers_beyond_the_limit():
    fits = [("x", "y" * (headers.LARGEST_LIST - 33))]
    assert BlockReader().read(block(fits)) == dict(fits)
    assert fault(BlockReader(), block([("x", "y" * (headers.LARGEST_LIST - 32))])) == COMPRESSION_ERROR


def test_a_small_block_that_grows_is_stopped():
    insert = hpack.Encoder().encode([("x", "y" * 3000)])
    assert fault(BlockReader(), insert + b"\xbe" * 60_000) == COMPRESSION_ERROR


@given(st.binary(max_size=300), st.booleans())
@settings(deadline=None)
def test_any_bytes(data, forbidden):
    reader = without_table() if forbidden else BlockReader()
    with contextlib.suppress(ConnectionFault):  # and nothing else
        assert isinstance(reader.read(data), dict)


_names = st.sampled_from(["a", "b", ":path", "x-long-name"])
_values = st.sampled_from(["", "1", "2", "long" * 30])


@given(st.lists(st.lists(st.tuples(_names, _values), max_size=4), max_size=12), st.integers(0, 12), st.data())
@settings(deadline=None)
def test_any_peer_is_read_as_if_nothing_were_remembered(lists, acknowledged, drawn):
    reader, encoder = BlockReader(), hpack.Encoder()
    for number, pairs in enumerate(lists):
        if number == acknowledged:
            reader.without_table()
            encoder.header_table_size = 0
        elif number < acknowledged and drawn.draw(st.booleans()):
            encoder.header_table_size = drawn.draw(st.sampled_from([0, 64, 4096]))
        assert reader.read(encoder.encode(pairs, huffman=drawn.draw(st.booleans()))) == dict(pairs)
