"""One table of streams, each fed whole, byte by byte, cut at random, and with more bytes after it."""

import random

import pytest

from extproc.errors import DecodeError, LimitExceeded
from extproc.framing import sse
from extproc.framing.sse import EventStream

BOM = b"\xef\xbb\xbf"

# stream -> (data, name, other) of each event
CASES = [
    (b"", []),
    (b"data: a\n\n", [(b"a", "", b"")]),
    (b"data: a\r\n\r\n", [(b"a", "", b"")]),
    (b"data: a\r\r", [(b"a", "", b"")]),
    (b"data: a\r\n\n", [(b"a", "", b"")]),
    (b"data: a\n\r\n", [(b"a", "", b"")]),
    (b"data: a\r\ndata: b\rdata: c\n\r", [(b"a\nb\nc", "", b"")]),
    (b"data: a\n\ndata: b\n\n", [(b"a", "", b""), (b"b", "", b"")]),
    (b"data:a\n\n", [(b"a", "", b"")]),
    (b"data:  a \n\n", [(b" a ", "", b"")]),
    (b"data: a: b\n\n", [(b"a: b", "", b"")]),
    (b"data\n\n", [(b"", "", b"")]),
    (b"data:\n\n", [(b"", "", b"")]),
    (b"data: a\ndata\ndata: b\n\n", [(b"a\n\nb", "", b"")]),
    (b'event: x\ndata: {"type":"x"}\n\n', [(b'{"type":"x"}', "x", b"")]),
    (b'event: x\r\ndata: {"type": "x"}\r\n\r\n', [(b'{"type": "x"}', "x", b"")]),
    (b'event: y\ndata: {"type":"x"}\n\n', [(b'{"type":"x"}', "y", b"event: y")]),
    (b'event: y\nevent: x\ndata: {"type":"x"}\n\n', [(b'{"type":"x"}', "x", b"event: y")]),
    (b"event: ping\ndata: a\n\n", [(b"a", "ping", b"event: ping")]),
    (b"data: a\nevent: x\nid: 7\nretry: 10\nwhat: ever\n\n", [(b"a", "x", b"event: x\nid: 7\nretry: 10\nwhat: ever")]),
    (b"event: a\nevent: b\ndata: c\n\n", [(b"c", "b", b"event: a\nevent: b")]),
    (b": comment\n\n", [(None, "", b": comment")]),
    (b":\n\n", [(None, "", b":")]),
    (b"id: 1\n\n", [(None, "", b"id: 1")]),
    (b"\n", [(None, "", b"")]),
    (b"\n\ndata: a\n\n\n", [(None, "", b""), (None, "", b""), (b"a", "", b""), (None, "", b"")]),
    (b"Data: a\n\n", [(None, "", b"Data: a")]),
    (b"data : a\n\n", [(None, "", b"data : a")]),
    (b" data: a\n\n", [(None, "", b" data: a")]),
    (b"data: a\x0bb\x0c\x1c\xc2\x85\xe2\x80\xa8c\n\n", [(b"a\x0bb\x0c\x1c\xc2\x85\xe2\x80\xa8c", "", b"")]),
    (b"data: a\x00b\n\n", [(b"a\x00b", "", b"")]),
    (b"event: \xff\ndata: a\n\n", [(b"a", "\ufffd", b"event: \xff")]),
    (BOM + b"data: a\n\ndata: b\n\n", [(b"a", "", b""), (b"b", "", b"")]),
    (BOM + b"\n\ndata: a\n\n", [(None, "", b""), (b"a", "", b"")]),
    (b"data: a\n\n" + BOM + b"data: b\n\n", [(b"a", "", b""), (None, "", BOM + b"data: b")]),
    ("data: é漢😀\n\n".encode(), [("é漢😀".encode(), "", b"")]),
    # no final blank line, no final line end
    (b"data: a\n", [(b"a", "", b"")]),
    (b"data: a", [(b"a", "", b"")]),
    (b"data: a\r", [(b"a", "", b"")]),
    (b"data: a\n\ndata: b", [(b"a", "", b""), (b"b", "", b"")]),
    (b"data: a\n\n\r", [(b"a", "", b""), (None, "", b"")]),
    (b": c", [(None, "", b": c")]),
]
STREAMS = [stream for stream, _ in CASES]


def read(pieces, max_event=1000):
    stream = EventStream(max_event)
    events = [event for piece in pieces for event in stream.feed(piece)]
    return [*events, *stream.close()]


def shown(events):
    return [(event.data, event.name, event.other) for event in events]


def bytewise(raw):
    return [raw[at : at + 1] for at in range(len(raw))]


def randomly(raw, dice):
    places = sorted(dice.choices(range(len(raw) + 1), k=dice.randint(0, 6)))
    return [raw[start:end] for start, end in zip([0, *places], [*places, len(raw)], strict=True)]


@pytest.mark.parametrize(("stream", "wanted"), CASES)
def test_events_are_the_standards_however_the_stream_is_cut(stream, wanted):
    assert shown(read([stream])) == wanted
    assert shown(read(bytewise(stream))) == wanted
    for seed in range(20):
        assert shown(read(randomly(stream, random.Random(seed)))) == wanted


@pytest.mark.parametrize("stream", STREAMS)
def test_raw_bytes_put_together_are_the_stream(stream):
    for pieces in ([stream], bytewise(stream)):
        assert b"".join(event.raw for event in read(pieces)) == stream


@pytest.mark.parametrize(("stream", "wanted"), CASES)
def test_bytes_after_a_complete_stream_change_none_of_its_events(stream, wanted):
    if not stream.endswith((b"\n\n", b"\n\r\n")):
        stream += b"\n\n" if not stream.endswith(b"\n") else b"\n"
    before = shown(read([stream]))
    more = b"event: z\ndata: tail\n\n"
    for pieces in ([stream + more], [stream, more], bytewise(stream + more)):
        assert shown(read(pieces)) == [*before, (b"tail", "z", b"event: z")]


def test_an_event_is_given_out_with_the_byte_that_completes_it():
    stream = EventStream(100)
    assert list(stream.feed(b"data: a\n")) == []
    assert stream.held == 8
    assert [event.data for event in stream.feed(b"\n")] == [b"a"]
    assert stream.held == 0


def test_a_carriage_return_at_the_end_of_a_chunk_waits_for_its_line_feed():
    stream = EventStream(100)
    assert list(stream.feed(b"data: a\r\n\r")) == []
    assert [event.raw for event in stream.feed(b"\n")] == [b"data: a\r\n\r\n"]


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (b"data: a\n\n", b"data: X\n\n"),
        (b"data:a\r\n\r\n", b"data: X\r\n\r\n"),
        (b"data: a\r\r", b"data: X\r\r"),
        (b"data", b"data: X\n"),
        (b"event: e\ndata: a\ndata: b\nid: 1\n\n", b"event: e\ndata: X\nid: 1\n\n"),
        (b": note\ndata: a\n: more\ndata: b\n\n", b": note\ndata: X\n: more\n\n"),
        (b"data: a\x0bdata: b\x0c\n\n", b"data: X\n\n"),
        (b"dataset: 1\ndata: a\n\n", b"dataset: 1\ndata: X\n\n"),
        (BOM + b"data: a\n\n", b"data: X\n\n"),
    ],
)
def test_new_data_takes_the_place_of_all_the_old(raw, wanted):
    (event,) = read([raw])
    assert event.with_data(b"X") == wanted
    assert [each.data for each in read([event.with_data(b"X")])] == [b"X"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_new_data_of_several_lines_stays_one_event(end):
    (event,) = read([b"data: {" + end + b'data: "a":1}' + end + end])
    assert event.data == b'{\n"a":1}'
    (again,) = read([event.with_data(b'{\n"b":2}')])
    assert again.data == b'{\n"b":2}'


@pytest.mark.parametrize(
    ("stream", "good"),
    [
        (b"data: \xff\n\n", []),
        (b"data: a\n\ndata: \xc3\n\n", [b"a"]),
        (b"data: \xed\xa0\x80\n\n", []),
        (b"data: \xc3", []),
    ],
)
def test_data_that_is_not_utf8_is_an_error_after_the_good_events(stream, good):
    for pieces in ([stream], bytewise(stream)):
        seen = []
        parser = EventStream(100)
        with pytest.raises(DecodeError, match="not UTF-8"):
            collect(parser, pieces, seen)
        assert seen == good


def collect(parser, pieces, seen):
    """What comes before an error counts."""
    for piece in [*pieces, None]:
        for event in parser.close() if piece is None else parser.feed(piece):
            seen.append(event.data)


@pytest.mark.parametrize("size", range(9, 14))
def test_an_event_longer_than_the_cap_is_refused_for_every_cut(size):
    stream = b"data: " + b"x" * (size - 8) + b"\n\n"
    assert len(stream) == size
    for pieces in ([stream * 3], bytewise(stream * 3), [stream, stream, stream]):
        if size <= 11:
            assert len(read(pieces, 11)) == 3
        else:
            with pytest.raises(LimitExceeded, match="longer than 11 bytes"):
                read(pieces, 11)


def test_an_event_that_never_ends_is_refused_before_it_is_stored():
    stream = EventStream(1000)
    for _ in range(1000):
        assert list(stream.feed(b"x")) == []
    with pytest.raises(LimitExceeded):
        list(stream.feed(b"x"))


def test_any_bytes_give_events_or_an_error_of_ours():
    dice = random.Random(7)
    scraps = [
        b"data",
        b": ",
        b":",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"event",
        b"\xff",
        BOM,
        b"\xc3\xa9",
        b"x",
        b"\x00",
        b"data:\xff",
    ]
    good, refused = 0, []
    for _ in range(3000):
        stream = b"".join(dice.choices(scraps, k=dice.randint(0, 12)))
        outcomes = []
        for pieces in ([stream], bytewise(stream), randomly(stream, dice)):
            try:
                events = read(pieces, 12)
                assert b"".join(event.raw for event in events) == stream
                outcomes.append(shown(events))
            except (DecodeError, LimitExceeded) as error:
                refused.append(type(error))
                outcomes.append("refused")
        assert outcomes[0] == outcomes[1] == outcomes[2]
        good += outcomes[0] != "refused"
    assert good > 500
    assert min(refused.count(DecodeError), refused.count(LimitExceeded)) > 50


def test_a_long_line_fed_bytewise_is_searched_once(monkeypatch):
    """Steps are counted, not seconds: how many bytes the search for line ends is given to look at."""

    class Counting:
        looked = 0

        def search(self, buffer, at=0):
            Counting.looked += len(buffer) - at
            return wanted.search(buffer, at)

    wanted = sse._LINE_END
    monkeypatch.setattr(sse, "_LINE_END", Counting())
    looked = []
    for size in (2_000, 8_000):
        Counting.looked = 0
        (event,) = read(bytewise(b"data: " + b"x" * size), 10_000)
        assert len(event.raw) == size + 6
        looked.append(Counting.looked)
    assert looked[1] <= 4.1 * looked[0]
    assert looked[1] < 2 * 8_006
