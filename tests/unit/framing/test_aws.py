"""AWS event streams: read as botocore reads them, however they are cut; nothing but our own errors on anything else."""

import binascii
import json
import random
import struct
from base64 import b64decode, b64encode

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from extproc.errors import DecodeError, LimitExceeded
from extproc.framing import aws
from extproc.framing.aws import CARRIED, NAMED, carrying, framed
from tests.support import data

LIMIT = 1 << 20


def header(name, type_, value=b""):
    return bytes([len(name)]) + name + bytes([type_]) + value


def text(name, value, type_=7):
    return header(name, type_, struct.pack(">H", len(value)) + value)


def message(headers, payload=b"{}"):
    """Written here by the specification, not by the code under test."""
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    whole = lengths + struct.pack(">I", binascii.crc32(lengths)) + headers + payload
    return whole + struct.pack(">I", binascii.crc32(whole))


EVENT = text(b":event-type", b"note") + text(b":message-type", b"event")

# message -> (data, name, other)
CASES = [
    (framed("messageStart", b'{"role":"assistant"}'), (b'{"messageStart":{"role":"assistant"}}', "messageStart", b"")),
    (framed("throttlingException", b'{"message":"slow"}', "exception"),
     (b'{"throttlingException":{"message":"slow"}}', "throttlingException", b"")),
    (message(EVENT, b""), (b'{"note":{}}', "note", b"")),
    (message(EVENT, b"[1, 2]"), (b'{"note":[1, 2]}', "note", b"")),
    (message(EVENT + text(b":content-type", b"application/json")), (b'{"note":{}}', "note", b"")),
    (message(EVENT + text(b":content-type", b"a b")), (b'{"note":{}}', "note", b": :content-type a b")),
    (message(EVENT + text(b"x", b"one\ntwo: three")), (b'{"note":{}}', "note", b": x one\n: two: three")),
    (message(EVENT + text(b"x", b"\xff", 6)), (b'{"note":{}}', "note", b": x \xff")),
    (message(EVENT + header(b"a", 0) + header(b"b", 1) + header(b"c", 2, b"1") + header(b"d", 3, b"12")
             + header(b"e", 4, b"1234") + header(b"f", 5, b"12345678") + header(b"g", 8, b"12345678")
             + header(b"h", 9, b"1234567890123456")),
     (b'{"note":{}}', "note", b"\n".join(b": " + bytes([each]) + b" " for each in b"abcdefgh"))),
    (message(text(b":event-type", 'say "é"'.encode()) + text(b":message-type", b"event")),
     ('{"say \\"é\\"":{}}'.encode(), 'say "é"', b"")),
    (message(text(b":message-type", b"event")), (b'{"":{}}', "", b"")),
    (message(text(b":message-type", b"error") + text(b":error-code", b"Odd") + text(b":error-message", b'no "jokes"'), b""),
     (b'{"Odd":{"message":"no \\"jokes\\""}}', "Odd", b"")),
    (message(text(b":message-type", b"error") + text(b":error-code", b"Odd"), b"what\nelse"),
     (b'{"Odd":{"message":""}}', "Odd", b": what\n: else")),
]  # fmt: skip

# payload -> (data, other) where chunks carry events
CHUNKS = [
    (b'{"bytes":"eyJhIjoxfQ=="}', (b'{"a":1}', b"")),
    (b'{"bytes":"eyJhIjoxfQ==","p":"abcdefghijkl"}', (b'{"a":1}', b"")),
    (b'{"p":"ab c","bytes":"eyJhIjoxfQ=="}', (b'{"a":1}', b': {"p":"ab c"}')),
    (b'{"p":7,"bytes":"eyJhIjoxfQ=="}', (b'{"a":1}', b': {"p":7}')),
    (b'{"bytes":"eyJhIjoxfQ==","note":"a: b"}', (b'{"a":1}', b': {"note":"a: b"}')),
    (b'{"bytes":""}', (b"", b"")),
]


def read(pieces, framing=NAMED, limit=LIMIT):
    stream = framing.reader(limit)
    events = [event for piece in pieces for event in stream.feed(piece)]
    return [*events, *stream.close()]


def shown(events):
    return [(event.data, event.name, event.other) for event in events]


def bytewise(raw):
    return [raw[at : at + 1] for at in range(len(raw))]


def randomly(raw, dice):
    places = sorted(dice.choices(range(len(raw) + 1), k=dice.randint(0, 6)))
    return [raw[start:end] for start, end in zip([0, *places], [*places, len(raw)], strict=True)]


def ways(raw):
    return [[raw], bytewise(raw), *(randomly(raw, random.Random(seed)) for seed in range(20))]


def botocores(raw):
    buffer = EventStreamBuffer()
    buffer.add_data(raw)
    return [(each.headers, each.payload) for each in buffer]


@pytest.mark.parametrize(("raw", "wanted"), CASES)
def test_messages_are_read_however_the_stream_is_cut(raw, wanted):
    more = framed("tail", b"{}")
    for pieces in ways(raw):
        assert shown(read(pieces)) == [wanted]
    for pieces in ways(raw + more + raw):
        events = read(pieces)
        assert shown(events) == [wanted, (b'{"tail":{}}', "tail", b""), wanted]
        assert b"".join(event.raw for event in events) == raw + more + raw


@pytest.mark.parametrize(("payload", "wanted"), CHUNKS)
def test_what_chunks_carry_is_their_data(payload, wanted):
    raw = framed("chunk", payload)
    for pieces in ways(raw):
        assert [(event.data, event.other) for event in read(pieces, CARRIED)] == [wanted]
    assert read([raw])[0].data == b'{"chunk":' + payload + b"}"


def test_what_is_no_chunk_is_named_among_chunks_too():
    raw = carrying(b"{}") + framed("throttlingException", b'{"message":"slow"}', "exception")
    assert [event.data for event in read([raw], CARRIED)] == [b"{}", b'{"throttlingException":{"message":"slow"}}']
    assert read([framed("chunk", b"{}", "exception")], CARRIED)[0].data == b'{"chunk":{}}'


@pytest.mark.parametrize("raw", [raw for raw, _ in CASES])
def test_new_data_makes_a_message_that_botocore_reads(raw):
    (event,) = read([raw])
    data = event.data.replace(b"{}", b'{"new":"\xc3\xa9"}')
    changed = event.with_data(data)
    assert [each.data for each in read([changed])] == [data]
    ((headers, payload),) = botocores(changed)
    assert json.loads(payload) == json.loads(data)[event.name]
    if b"error" not in raw:
        assert headers == botocores(raw)[0][0]


@pytest.mark.parametrize("payload", [payload for payload, _ in CHUNKS])
def test_new_data_is_carried_as_the_old_was(payload):
    raw = framed("chunk", payload)
    (event,) = read([raw], CARRIED)
    changed = event.with_data(b'{"b":2}')
    assert read([changed], CARRIED)[0].data == b'{"b":2}'
    ((headers, new),) = botocores(changed)
    assert headers == botocores(raw)[0][0]
    assert json.loads(new) == {**json.loads(payload), "bytes": b64encode(b'{"b":2}').decode()}


@pytest.mark.parametrize("raw", [raw for raw, _ in CASES])
def test_data_that_did_not_change_gives_the_same_message(raw):
    (event,) = read([raw])
    if event.made == "payload" and b"{}" not in event.data:
        assert event.with_data(event.data) == raw


def spoiled():
    good = framed("a", b"{}")
    yield "half a message", good[:-1]
    yield "half a prelude", good[:5]
    yield "lengths", b"\x00\x00\x00\xff" + good[4:]
    yield "headers", good[:20] + b"\xff" + good[21:]
    yield "checksum", good[:-1] + bytes([good[-1] ^ 1])
    lengths = struct.pack(">II", 15, 0)
    yield "too short", lengths + struct.pack(">I", binascii.crc32(lengths)) + b"\x00" * 4
    lengths = struct.pack(">II", 20, 5)
    yield "headers longer than the message", lengths + struct.pack(">I", binascii.crc32(lengths)) + b"\x00" * 8
    yield "no type", message(b"")
    yield "strange type", message(text(b":message-type", b"letter"))
    yield "type is a number", message(header(b":message-type", 4, b"even"))
    yield "header twice", message(EVENT + EVENT)
    yield "header without a name", message(EVENT + text(b"", b"x"))
    yield "header of an unknown type", message(EVENT + header(b"x", 10))
    yield "header cut off in its name", message(EVENT + b"\x05ab")
    yield "header cut off in its text", message(EVENT + text(b"x", b"long text")[:-1])
    yield "header cut off in its number", message(EVENT + header(b"x", 5, b"123"))
    yield "header cut off in its length", message(EVENT + header(b"x", 7, b"\x00"))
    yield "name of a header is no UTF-8", message(EVENT + text(b"\xff", b"x"))
    yield "name of an event is no UTF-8", message(text(b":event-type", b"\xff") + text(b":message-type", b"event"))


@pytest.mark.parametrize("raw", [pytest.param(raw, id=name) for name, raw in spoiled()])
def test_what_is_no_stream_is_refused_after_the_good_messages_before_it(raw):
    good = framed("good", b"{}")
    for pieces in ways(good + raw):
        found = []
        with pytest.raises(DecodeError):
            found.extend(event.name for event in events(pieces))
        assert found == ["good"]


def events(pieces, framing=NAMED):
    stream = framing.reader(LIMIT)
    for piece in pieces:
        yield from stream.feed(piece)
    yield from stream.close()


@pytest.mark.parametrize(
    "payload",
    [b"", b"x", b"[]", b"{}", b'{"bytes":7}', b'{"bytes":"e"}', b'{"bytes":"e yJhIjoxfQ=="}', b'{"bytes":"eyJhIjoxfR=="}',
     b'{"bytes":"\xc3\xa9"}', b'{"bytes":"","bytes":""}'],
)  # fmt: skip
def test_a_chunk_that_carries_nothing_or_two_things_is_refused(payload):
    with pytest.raises(DecodeError):
        read([framed("chunk", payload)], CARRIED)


def test_a_message_may_not_be_longer_than_allowed():
    raw = framed("a", b'{"x":"%s"}' % (b"y" * 1000))
    assert len(read([raw], limit=len(raw))) == 1
    for pieces in ([raw], bytewise(raw), [raw[:12]]):
        with pytest.raises(LimitExceeded):
            read(pieces, limit=len(raw) - 1)


def test_headers_may_not_be_longer_than_the_specification_says():
    big = b"".join(text(b"h%d" % number, b"x" * 60_000) for number in range(3))
    with pytest.raises(DecodeError):
        read([message(EVENT + big)])


def test_a_message_is_given_out_with_the_byte_that_completes_it():
    raw = framed("a", b"{}")
    stream = NAMED.reader(LIMIT)
    assert list(stream.feed(raw[:-1])) == []
    assert stream.held == len(raw) - 1
    assert [event.name for event in stream.feed(raw[-1:])] == ["a"]
    assert stream.held == 0
    assert NAMED.ended(raw)
    assert NAMED.mend() == NAMED.keep_alive == b""


def test_the_end_of_a_stream_raises_only_where_it_is_iterated():
    stream = NAMED.reader(LIMIT)
    list(stream.feed(b"half"))
    rest = stream.close()
    with pytest.raises(DecodeError):
        list(rest)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(max_size=20), JSON, st.sampled_from(["event", "exception"]))
def test_botocore_reads_what_is_written(name, value, kind):
    payload = json.dumps(value).encode()
    ((headers, read_),) = botocores(framed(name, payload, kind))
    assert headers == {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    assert read_ == payload
    ((headers, read_),) = botocores(carrying(payload))
    assert headers[":event-type"] == "chunk"
    assert b64decode(json.loads(read_)["bytes"]) == payload


def outcome(pieces, framing):
    found = []
    try:
        found.extend((event.raw, event.data, event.name, event.other) for event in events(pieces, framing))
    except (DecodeError, LimitExceeded) as error:
        found.append(type(error))
    return found


STREAM = b"".join([raw for raw, _ in CASES] + [framed("chunk", payload) for payload, _ in CHUNKS])


@given(st.binary(max_size=300), st.sampled_from([NAMED, CARRIED]), st.randoms())
def test_any_bytes_are_messages_or_an_error(noise, framing, dice):
    for raw in (noise, framed("a", b"{}") + noise, message(noise), message(EVENT, noise), framed("chunk", noise)):
        assert outcome([raw], framing) == outcome(bytewise(raw), framing) == outcome(randomly(raw, dice), framing)


@given(st.integers(0, len(STREAM) * 8 - 1), st.sampled_from([NAMED, CARRIED]))
def test_a_bit_that_flipped_is_noticed(place, framing):
    spoilt = bytearray(STREAM)
    spoilt[place // 8] ^= 1 << place % 8
    found = outcome([bytes(spoilt)], framing)
    whole = outcome([STREAM], framing)
    assert found[-1] in (DecodeError, LimitExceeded)
    assert found[:-1] == whole[: len(found) - 1]


@pytest.mark.data
def test_recorded_streams_are_read_as_botocore_reads_them():
    count = 0
    for path in sorted(data("wire/bedrock").glob("*.json")):
        for exchange in json.loads(path.read_text("utf-8"))["exchanges"]:
            if exchange["response"]["body_encoding"] != "base64":
                continue
            raw = b64decode(exchange["response"]["body"])
            wanted = botocores(raw)
            for pieces in ([raw], bytewise(raw), *(randomly(raw, random.Random(seed)) for seed in range(5))):
                found = read(pieces)
                assert [(event.name, event.other) for event in found] == [
                    (each[":event-type"], b"") for each, _ in wanted
                ]
                assert [json.loads(event.data)[event.name] for event in found] == [
                    json.loads(each) for _, each in wanted
                ]
                assert b"".join(event.raw for event in found) == raw
            assert b"".join(event.with_data(event.data) for event in found) == raw
            if b"chunk" in raw[:200]:
                inner = read([raw], CARRIED)
                assert [event.data for event in inner] == [b64decode(json.loads(each)["bytes"]) for _, each in wanted]
                assert b"".join(event.with_data(event.data) for event in inner) == raw
            count += len(found)
    assert count > 300


def test_the_framings_are_two_values():
    assert NAMED.media == CARRIED.media == "application/vnd.amazon.eventstream"
    assert NAMED.done is aws.CARRIED.done is None
