"""One HTTP/2 stream as the server sees it: its windows, its queue, its two ends (RFC 9113 §5)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from extproc.transport.http2 import frames
from extproc.transport.http2.frames import StreamFault

if TYPE_CHECKING:
    from extproc.transport.http2.connection import Receiver

_CREDIT_AT: Final = frames.DEFAULT_WINDOW // 2
_ENOUGH_QUEUED: Final = 64 << 10
"""Bytes of output that may wait before the peer gets no more credit for input."""
AT_ONCE: Final = 256 << 10
"""Bytes of all streams together that are handed to the socket before it is asked whether it takes more."""


class Window:
    """What the peer lets the whole connection send, and how."""

    __slots__ = ("frame", "initial", "room", "size", "waiting")

    def __init__(self) -> None:
        self.size = frames.DEFAULT_WINDOW
        self.initial = frames.DEFAULT_WINDOW
        self.frame = frames.DEFAULT_FRAME
        self.room = AT_ONCE
        """Bytes the socket takes, as far as is known."""
        self.waiting = 0
        """Streams whose output waits for a window or for the socket."""


class Stream:
    """One stream. Answer it with ``headers``, ``send`` and ``finish``.

    Args:
        number: its identifier.
        out: where frames go.
        window: the connection's.
        over: told its number when it has ended on both sides.
        ended: its request has no body.
    """

    __slots__ = (
        "_allowed",
        "_closed",
        "_ended",
        "_out",
        "_over",
        "_paused",
        "_queue",
        "_queued",
        "_receiver",
        "_remote_ended",
        "_size",
        "_trailers",
        "_window",
        "number",
    )  # fmt: skip

    def __init__(
        self, number: int, out: list[bytes], window: Window, over: Callable[[int], None], *, ended: bool = False
    ) -> None:
        self.number = number
        self._receiver: Receiver | None = None
        self._out = out
        self._window = window
        self._over = over
        self._size = window.initial
        self._allowed = frames.DEFAULT_WINDOW
        self._queue: deque[memoryview] | None = None
        self._queued = 0
        self._trailers: bytes | None = None
        self._remote_ended = ended
        self._ended = False  # nothing more is accepted for the answer
        self._closed = False  # nothing more may be said at all
        self._paused = False

    # what the owner of the stream does

    def headers(self, block: bytes) -> None:
        """Begin the answer."""
        if self._ended:
            return
        self._out.append(frames.frame(frames.HEADERS, frames.END_HEADERS, self.number, block))

    def send(self, data: bytes) -> None:
        """The next bytes of the answer; they wait where the peer or the socket takes none."""
        if self._ended:
            return
        size = len(data)
        window = self._window
        if (
            self._queue is None
            and size <= self._size
            and size <= window.size
            and size <= window.frame
            and size <= window.room
        ):
            self._size -= size
            window.size -= size
            window.room -= size
            self._out.append(frames.frame(frames.DATA, 0, self.number, data))
        else:
            self._enqueue(data)
            self.flush()

    def finish(self, trailers: bytes) -> None:
        """End the answer with trailers, behind what still waits."""
        if self._ended:
            return
        self._ended = True
        if self._queue is None:
            self._close(trailers)
        else:
            self._trailers = trailers

    def discard(self) -> None:
        """Forget what still waits to be sent."""
        if self._queue is not None:
            self._queue = None
            self._queued = 0
            self._window.waiting -= 1

    def pause(self) -> None:
        """Give the peer no more credit until ``resume``: what it sent is not consumed yet."""
        self._paused = True

    def resume(self) -> None:
        """Give credit again."""
        self._paused = False
        self._credit()

    def want(self, size: int) -> None:
        """So many bytes more are needed before anything can be done: let them come without waiting for credit in between."""
        if size > self._allowed and not (self._closed or self._remote_ended or self._paused):
            self._allow(size)

    @property
    def queued(self) -> int:
        """Bytes of the answer that wait for the peer."""
        return self._queued

    # what the connection does

    def begin(self, receiver: Receiver) -> None:
        """Let ``receiver`` have the request."""
        if self._closed:  # answered already
            return
        self._receiver = receiver
        if self._remote_ended:
            receiver.received(b"", True)

    def take(self, size: int, data: bytes, ended: bool) -> None:
        """Bytes of the request; ``size`` is what they cost of the window.

        Raises:
            StreamFault: more than the window, or after the end.
        """
        if self._remote_ended:
            raise StreamFault(frames.STREAM_CLOSED)
        self._allowed -= size
        if self._allowed < 0:
            raise StreamFault(frames.FLOW_CONTROL_ERROR)
        self._remote_ended = ended
        if self._receiver is not None:
            self._receiver.received(data, ended)
        if self._allowed <= _CREDIT_AT:
            self._credit()

    def widen(self, by: int) -> bool:
        """The peer takes ``by`` bytes more (or, negative, less); returns whether that is more than a window can be."""
        self._size += by
        return self._size > frames.LARGEST_WINDOW

    def flush(self) -> None:
        """Send what may be sent of what waits."""
        queue, window = self._queue, self._window
        if queue is None:
            return
        while queue:
            room = min(self._size, window.size, window.frame, window.room)
            if room <= 0:
                break
            data = queue.popleft()
            if len(data) > room:
                queue.appendleft(data[room:])
                data = data[:room]
            self._size -= len(data)
            window.size -= len(data)
            window.room -= len(data)
            self._queued -= len(data)
            self._out.append(frames.frame(frames.DATA, 0, self.number, bytes(data)))
        if not queue:
            self.discard()
            if self._trailers is not None:
                self._close(self._trailers)
                return
        if self._allowed <= _CREDIT_AT:
            self._credit()

    def abandon(self) -> None:
        """The stream is gone without our doing."""
        self._ended = self._closed = True
        self.discard()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.gone()

    def _enqueue(self, data: bytes) -> None:
        if self._queue is None:
            self._queue = deque()
            self._window.waiting += 1
        self._queue.append(memoryview(data))  # cut without copying what is left
        self._queued += len(data)

    def _credit(self) -> None:
        if self._closed or self._remote_ended or self._paused:
            return
        if self._allowed < frames.DEFAULT_WINDOW and self._queued <= _ENOUGH_QUEUED:
            self._allow(frames.DEFAULT_WINDOW)

    def _allow(self, size: int) -> None:
        self._out.append(frames.credit(self.number, size - self._allowed))
        self._allowed = size

    def _close(self, trailers: bytes) -> None:
        self._closed = True
        flags = frames.END_HEADERS | frames.END_STREAM
        self._out.append(frames.frame(frames.HEADERS, flags, self.number, trailers))
        if not self._remote_ended:  # §8.1: nothing more is wanted of the request
            self._out.append(frames.reset(self.number, frames.NO_ERROR))
        self._receiver = None
        self._over(self.number)
