"""What the tests of HTTP/2 share: frames made and read by hand, receivers that remember, a client of another make."""

from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings
import hpack

from extproc.transport.http2 import frames
from extproc.transport.http2.connection import Connection
from extproc.transport.http2.headers import block
from extproc.transport.http2.stream import Stream

REQUEST = [(":method", "POST"), (":path", "/s/m"), (":scheme", "http"), (":authority", "x")]
BEGIN = block([(":status", "200")])
END = block([("grpc-status", "0")])
OPENING = frames.PREFACE + frames.settings({})
SETTINGS_ACK = frames.frame(frames.SETTINGS, frames.ACK, 0)


@dataclass(frozen=True)
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def number(self):
        """The payload of RST_STREAM and WINDOW_UPDATE."""
        return frames.NUMBER.unpack(self.payload)[0]


def parsed(data):
    """All frames of ``data``, which must be whole."""
    found, at = [], 0
    while at < len(data):
        high, low, kind, flags, stream = frames.HEADER.unpack_from(data, at)
        end = at + frames.HEADER_SIZE + (high << 16 | low)
        assert end <= len(data), "a frame cut short"
        found.append(Frame(kind, flags, stream, data[at + frames.HEADER_SIZE : end]))
        at = end
    return found


def headers(number, *, end=False, pairs=REQUEST, flags=frames.END_HEADERS):
    """A HEADERS frame without traces in the decoder."""
    return frames.frame(frames.HEADERS, flags | (frames.END_STREAM if end else 0), number, block(pairs))


def data(number, payload, *, end=False):
    return frames.frame(frames.DATA, frames.END_STREAM if end else 0, number, payload)


def padded(payload, size):
    return bytes([size]) + payload + bytes(size)


@dataclass
class Told:
    """A receiver that remembers, and answers as it is told to."""

    stream: Stream
    headers: dict
    answer: object = None
    body: bytes = b""
    ended: bool = False
    gones: int = 0
    calls: list = field(default_factory=list)

    def received(self, data, ended):
        assert not self.ended, "something after the end"
        assert not self.gones, "something after it was gone"
        self.body += data
        self.ended = ended
        self.calls.append((data, ended))
        if self.answer:
            self.answer(self, data, ended)

    def gone(self):
        self.gones += 1


class Server:
    """A connection whose streams are answered by ``answer(told, data, ended)``."""

    def __init__(self, answer=None, *, greeted=True, **settings):
        self.streams = {}
        self.answer = answer
        self.connection = Connection(self._accept)
        if greeted:
            names = {getattr(frames, name.upper()): value for name, value in settings.items()}
            self.say(frames.PREFACE + frames.settings(names))

    def _accept(self, stream, headers):
        assert stream.number not in self.streams
        told = self.streams[stream.number] = Told(stream, headers, self.answer)
        return told

    def say(self, *pieces):
        """What the server answers to these bytes."""
        for piece in pieces:
            self.connection.receive(piece)
        return self.sent()

    def sent(self):
        out = b""
        while more := self.connection.take():
            out += more
        return parsed(out)

    def open(self, number=1, **options):
        self.say(headers(number, **options))
        return self.streams[number]

    @property
    def failed(self):
        return self.connection.failed


def code_of(answer):
    """The error code of the GOAWAY that ends an answer."""
    last = answer[-1]
    assert last.kind == frames.GOAWAY
    return frames.PAIR.unpack(last.payload[:8])[1]


def resets(answer):
    return [(each.stream, each.number) for each in answer if each.kind == frames.RST_STREAM]


def credits_of(answer):
    return [(each.stream, each.number) for each in answer if each.kind == frames.WINDOW_UPDATE]


def body_of(answer, number=1):
    return b"".join(each.payload for each in answer if each.kind == frames.DATA and each.stream == number)


def table_block(*pairs):
    """A block of another make, which uses the dynamic table; and its encoder for the next."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    encoder.header_table_size = 4096  # said aloud: blocks of ours may have come before
    return encoder.encode(list(pairs)), encoder


class Client:
    """The `h2` library as the peer. ``events`` collects what it understood."""

    def __init__(self, answer=None, *, settings=None, split=None):
        self.server = Server(answer, greeted=False)
        self.split = split or (lambda data: [data])
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values=settings)
        self.events = []
        self.acknowledge = True
        self.h2.initiate_connection()
        self.pump()

    def pump(self):
        """Carry bytes both ways until nobody has any left."""
        while True:
            out = self.h2.data_to_send()
            for piece in self.split(out) if out else ():
                self.server.connection.receive(piece)
            back = self.server.connection.take()
            if not out and not back:
                return
            for piece in self.split(back) if back else ():
                for event in self.h2.receive_data(piece):
                    self._saw(event)

    def _saw(self, event):
        self.events.append(event)
        if self.acknowledge and isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def request(self, number, body=None, *, end=True):
        self.h2.send_headers(number, REQUEST, end_stream=body is None and end)
        self.pump()
        if body is not None:
            self.send(number, body, end=end)

    def send(self, number, body, *, end=False):
        """As the windows allow; what is left over is an error."""
        while body:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
            assert room > 0, "no window"
            self.h2.send_data(number, body[:room])
            body = body[room:]
            self.pump()
        if end:
            self.h2.end_stream(number)
            self.pump()

    def body(self, number):
        return b"".join(
            each.data for each in self.events if isinstance(each, h2.events.DataReceived) and each.stream_id == number
        )

    def saw(self, kind, number=None):
        return [
            each for each in self.events
            if isinstance(each, kind) and (number is None or each.stream_id == number)
        ]  # fmt: skip


def echo(told, data, ended):
    """Answers with what came, as it comes."""
    if not told.calls[:-1]:
        told.stream.headers(BEGIN)
    if data:
        told.stream.send(data)
    if ended:
        told.stream.finish(END)
