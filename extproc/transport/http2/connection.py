"""The server's side of one HTTP/2 connection: bytes in, calls out; frames queued, bytes to send (RFC 9113).

Owns: the protocol of the connection and the life of its streams. What a stream means belongs to the ``Receiver`` that
``accept`` returns for it. Reading is coupled to writing: a stream whose own output waits gets no more credit, so a peer
that takes nothing is told to send nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from extproc.transport.http2 import frames
from extproc.transport.http2.frames import ConnectionFault, StreamFault
from extproc.transport.http2.headers import LARGEST_LIST, BlockReader, Headers
from extproc.transport.http2.stream import AT_ONCE, Stream, Window

CONNECTION_WINDOW: Final = 64 << 20
"""Bytes of all streams together that may be under way to us. Streams bound themselves; this only bounds their number."""
MAX_STREAMS: Final = 4096
_LARGEST_BLOCK: Final = LARGEST_LIST
_LARGEST_FRAME: Final = 64 << 10
"""No less than the window of a stream, in which a longer one would not fit."""
_CREDIT_AT: Final = CONNECTION_WINDOW // 2
_SETTINGS: Final = frames.settings({
    frames.HEADER_TABLE_SIZE: 0,
    frames.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
    frames.MAX_FRAME_SIZE: _LARGEST_FRAME,
    frames.MAX_HEADER_LIST_SIZE: LARGEST_LIST,
})  # fmt: skip
_HELLO: Final = _SETTINGS + frames.credit(0, CONNECTION_WINDOW - frames.DEFAULT_WINDOW)
_DRAIN: Final = b"drained?"


class Receiver(Protocol):
    """What becomes of a stream's request."""

    def received(self, data: bytes, ended: bool) -> None:
        """The next bytes of the request's body; ``ended`` with the last, which may be none."""
        ...

    def gone(self) -> None:
        """The stream is over without our doing: reset, or its connection lost. Called at most once."""
        ...


Accept = Callable[[Stream, Headers], Receiver]


class Connection:
    """One connection.

    Args:
        accept: called with each new stream and its request's headers; returns what receives it.
    """

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._blocks = BlockReader()
        self._streams: dict[int, Stream] = {}
        self._window = Window()
        self._held = False
        self._out: list[bytes] = [_HELLO]
        self._rest = b""
        self._greeted = False
        self._first = True
        self._last = 0
        self._draining = False
        self._refused_above = frames.LARGEST_WINDOW
        self._received = 0
        self._allowed = CONNECTION_WINDOW
        self._block: tuple[int, bool, bytearray] | None = None
        self.failed = False
        self._handlers = {
            frames.DATA: self._data,
            frames.HEADERS: self._headers,
            frames.PRIORITY: self._priority,
            frames.RST_STREAM: self._reset,
            frames.SETTINGS: self._settings,
            frames.PUSH_PROMISE: self._push_promise,
            frames.PING: self._ping,
            frames.GOAWAY: self._goaway,
            frames.WINDOW_UPDATE: self._window_update,
            frames.CONTINUATION: self._continuation,
        }

    # for whoever owns the socket

    @property
    def open(self) -> int:
        """Streams that are not over."""
        return len(self._streams)

    def receive(self, data: bytes) -> None:
        """Take bytes of the peer. If it breaks the protocol the connection is ``failed``: send what there is, and close."""
        if self.failed:
            return
        try:
            self._parse(self._rest + data if self._rest else data)
        except ConnectionFault as fault:
            self.fail(fault.code, str(fault))

    def take(self) -> bytes:
        """What is to be sent now: once that is with the socket, ask again, until there is nothing."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        if not self._held:
            exhausted, self._window.room = self._window.room <= 0, AT_ONCE
            if exhausted:
                self._flush()
        return data

    def hold(self) -> None:
        """The socket takes nothing at the moment: queue what belongs to streams."""
        self._held = True
        self._window.room = 0

    def release(self) -> None:
        """The socket takes bytes again."""
        self._held = False
        self._window.room = AT_ONCE
        self._flush()

    def drain(self) -> None:
        """Ask the peer to begin nothing new here; what it has begun meanwhile is still served."""
        if self._draining or self.failed:
            return
        self._draining = True
        self._out.append(frames.goaway(frames.LARGEST_WINDOW, frames.NO_ERROR))
        self._out.append(frames.frame(frames.PING, 0, 0, _DRAIN))

    def fail(self, code: int, reason: str) -> None:
        """End the connection with an error; ``reason`` is a constant text."""
        if not self.failed:
            self.failed = True
            last = min(self._last, self._refused_above)  # never more than was said before
            self._out.append(frames.goaway(last, code, reason.encode()))
            self.lost()

    def lost(self) -> None:
        """The socket is closed: tell every stream."""
        self.failed = True
        streams, self._streams = list(self._streams.values()), {}
        for stream in streams:
            stream.abandon()

    # frames

    def _parse(self, data: bytes) -> None:
        at, size = 0, len(data)
        if not self._greeted:
            if not frames.PREFACE.startswith(data[: len(frames.PREFACE)]):
                raise ConnectionFault(frames.PROTOCOL_ERROR, "no HTTP/2 preface")
            if size < len(frames.PREFACE):
                self._rest = data
                return
            self._greeted = True
            at = len(frames.PREFACE)
        unpack = frames.HEADER.unpack_from
        while size - at >= frames.HEADER_SIZE:
            high, low, kind, flags, number = unpack(data, at)
            end = at + frames.HEADER_SIZE + (high << 16 | low)
            if end - at - frames.HEADER_SIZE > _LARGEST_FRAME:
                raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a frame longer than allowed")
            if end > size:
                break
            self._frame(kind, flags, number & frames.LARGEST_WINDOW, data[at + frames.HEADER_SIZE : end])
            at = end
            if self.failed:
                return
        self._rest = data[at:]

    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and kind != frames.CONTINUATION:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a header block was interrupted")
        if self._first:
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise ConnectionFault(frames.PROTOCOL_ERROR, "the first frame must be SETTINGS")
            self._first = False
        handler = self._handlers.get(kind)
        if handler is None:
            return  # RFC 9113 §5.5: unknown types are ignored
        try:
            handler(flags, number, payload)
        except StreamFault as fault:
            self._out.append(frames.reset(number, fault.code))
            if stream := self._streams.pop(number, None):
                stream.abandon()

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._allowed -= size
        if self._allowed < 0:
            raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "more data than the connection's window")
        self._received += size
        if self._received >= _CREDIT_AT:
            self._out.append(frames.credit(0, self._received))
            self._allowed += self._received
            self._received = 0
        data = frames.unpadded(payload) if flags & frames.PADDED else payload
        stream = self._streams.get(number)
        if stream is None:
            self._must_have_been(number)
            return  # it was under way when we ended the stream
        stream.take(size, data, bool(flags & frames.END_STREAM))

    def _must_have_been(self, number: int) -> None:
        if number == 0 or number % 2 == 0 or number > self._last:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a frame for a stream that never was")

    def _headers(self, flags: int, number: int, payload: bytes) -> None:
        if number % 2 == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "not a stream of a client's")
        block = frames.unpadded(payload) if flags & frames.PADDED else payload
        if flags & frames.WITH_PRIORITY:
            if len(block) < 5:
                raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a priority cut short")
            block = block[5:]
        ended = bool(flags & frames.END_STREAM)
        if flags & frames.END_HEADERS:
            self._whole_block(number, ended, block)
        else:
            self._block = (number, ended, bytearray(block))

    def _continuation(self, flags: int, number: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a continuation of nothing")
        _, ended, block = self._block
        block += payload
        if len(block) > _LARGEST_BLOCK or (not payload and not flags & frames.END_HEADERS):
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, "a header block without end")
        if flags & frames.END_HEADERS:
            self._block = None
            self._whole_block(number, ended, bytes(block))

    def _whole_block(self, number: int, ended: bool, block: bytes) -> None:
        headers = self._blocks.read(block)  # always, even for a stream that is refused: the decoder has state
        if number <= self._last:
            self._trailers(number, ended, headers)
            return
        self._last = number
        if number > self._refused_above or len(self._streams) >= MAX_STREAMS:
            raise StreamFault(frames.REFUSED_STREAM)
        if ":method" not in headers or ":path" not in headers:
            raise StreamFault(frames.PROTOCOL_ERROR)
        stream = self._streams[number] = Stream(number, self._out, self._window, self._over, ended=ended)
        stream.begin(self._accept(stream, headers))

    def _trailers(self, number: int, ended: bool, headers: Headers) -> None:
        if ":method" in headers:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a stream begun out of order, or twice")
        stream = self._streams.get(number)
        if stream is None:
            return  # it was under way when we ended the stream
        if not ended:
            raise StreamFault(frames.PROTOCOL_ERROR)
        stream.take(0, b"", True)

    def _priority(self, flags: int, number: int, payload: bytes) -> None:
        if number == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "priority of the connection")
        if len(payload) != 5:  # of the connection, not of a stream that perhaps never was
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "PRIORITY of a wrong size")

    def _reset(self, flags: int, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "RST_STREAM of a wrong size")
        self._must_have_been(number)
        if stream := self._streams.pop(number, None):
            stream.abandon()

    def _settings(self, flags: int, number: int, payload: bytes) -> None:
        if number != 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "settings of a stream")
        if flags & frames.ACK:
            if payload:
                raise ConnectionFault(frames.FRAME_SIZE_ERROR, "an acknowledgement with settings")
            self._blocks.without_table()
            return
        if len(payload) % frames.SETTING.size:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "settings of a wrong size")
        for name, value in frames.SETTING.iter_unpack(payload):
            self._set(name, value)
        self._out.append(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._flush()

    def _set(self, name: int, value: int) -> None:
        if name == frames.INITIAL_WINDOW_SIZE:
            if value > frames.LARGEST_WINDOW:
                raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "a window larger than a window can be")
            by, self._window.initial = value - self._window.initial, value
            for stream in self._streams.values():
                if stream.widen(by):
                    raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "a window larger than a window can be")
        elif name == frames.MAX_FRAME_SIZE:
            if not frames.DEFAULT_FRAME <= value <= frames.LARGEST_FRAME:
                raise ConnectionFault(frames.PROTOCOL_ERROR, "an impossible frame size")
            self._window.frame = value
        elif name == frames.ENABLE_PUSH and value > 1:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "push neither on nor off")

    def _push_promise(self, flags: int, number: int, payload: bytes) -> None:
        raise ConnectionFault(frames.PROTOCOL_ERROR, "clients cannot push")

    def _ping(self, flags: int, number: int, payload: bytes) -> None:
        if number != 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a ping of a stream")
        if len(payload) != 8:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "PING of a wrong size")
        if not flags & frames.ACK:
            self._out.append(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif payload == _DRAIN and self._draining and self._refused_above == frames.LARGEST_WINDOW:
            # the peer has seen our first GOAWAY: what it begins from now on, it begins elsewhere
            self._refused_above = self._last
            self._out.append(frames.goaway(self._last, frames.NO_ERROR))

    def _goaway(self, flags: int, number: int, payload: bytes) -> None:
        if number != 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a stream goes away")
        if len(payload) < 8:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "GOAWAY of a wrong size")
        # nothing to do: a peer that goes away still wants its open streams answered

    def _window_update(self, flags: int, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size")
        by = frames.NUMBER.unpack(payload)[0] & frames.LARGEST_WINDOW
        if number == 0:
            if by == 0:
                raise ConnectionFault(frames.PROTOCOL_ERROR, "a window widened by nothing")
            self._window.size += by
            if self._window.size > frames.LARGEST_WINDOW:
                raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "a window larger than a window can be")
            self._flush()
            return
        stream = self._streams.get(number)
        if stream is None:
            self._must_have_been(number)
            return
        if by == 0:
            raise StreamFault(frames.PROTOCOL_ERROR)
        if stream.widen(by):
            raise StreamFault(frames.FLOW_CONTROL_ERROR)
        stream.flush()

    # streams

    def _flush(self) -> None:
        for stream in list(self._streams.values()) if self._window.waiting else ():
            stream.flush()

    def _over(self, number: int) -> None:
        self._streams.pop(number, None)
