import hyperframe.frame as other
import pytest

from extproc.transport.http2 import frames
from extproc.transport.http2.frames import ConnectionFault


def read(data):
    frame, size = other.Frame.parse_frame_header(memoryview(data[:9]))
    frame.parse_body(memoryview(data[9 : 9 + size]))
    assert len(data) == 9 + size
    return frame


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65535, 65536, 70000, frames.LARGEST_FRAME])
def test_any_length(size):
    data = frames.frame(frames.DATA, frames.END_STREAM, 7, bytes(size))
    high, low, kind, flags, stream = frames.HEADER.unpack_from(data)
    assert (high << 16 | low, kind, flags, stream) == (size, frames.DATA, frames.END_STREAM, 7)
    assert len(data) == frames.HEADER_SIZE + size


def test_another_make_reads_our_frames():
    assert read(frames.settings({3: 100, 5: 20000})).settings == {3: 100, 5: 20000}
    assert read(frames.reset(5, frames.REFUSED_STREAM)).error_code == 7
    assert read(frames.credit(0, 1 << 30)).window_increment == 1 << 30
    goaway = read(frames.goaway(9, frames.ENHANCE_YOUR_CALM, b"why"))
    assert (goaway.last_stream_id, goaway.error_code, goaway.additional_data) == (9, 11, b"why")
    ping = read(frames.frame(frames.PING, frames.ACK, 0, b"12345678"))
    assert (ping.opaque_data, ping.flags) == (b"12345678", {"ACK"})


@pytest.mark.parametrize(
    ("payload", "carried"),
    [(b"\0", b""), (b"\0abc", b"abc"), (b"\2abc\0\0", b"abc"), (b"\3\0\0\0", b""), (b"\xff" + bytes(255), b"")],
)
def test_padding(payload, carried):
    assert frames.unpadded(payload) == carried


@pytest.mark.parametrize("payload", [b"", b"\1", b"\4abc", b"\xffabc"])
def test_more_padding_than_frame(payload):
    with pytest.raises(ConnectionFault) as raised:
        frames.unpadded(payload)
    assert raised.value.code == frames.PROTOCOL_ERROR
