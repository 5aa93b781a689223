"""An answer in another format than the client's: read into the canonical form and written out again, as it streams.

What comes out is the client's format, and only then is it inspected: policies see what the client gets, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from extproc.chat.answer import Failure, StreamEvent, Used
from extproc.chat.codec import Codec, Context
from extproc.chat.fold import fold, unfold
from extproc.chat.losses import Losses
from extproc.errors import DecodeError, LimitExceeded
from extproc.formats.base import Format
from extproc.framing.base import Event
from extproc.framing.jsontext import dump, parse
from extproc.usage import Meter

_MAX_EVENTS = 200_000


@dataclass(frozen=True, slots=True)
class Way:
    """From which format to which, and whether each side streams: ``streamed`` the provider, ``wanted`` the client."""

    source: Format
    target: Format
    status: int
    streamed: bool
    wanted: bool


class Conversion:
    """One answer's: ``feed`` what the provider sends, then ``close``; both give what there is to say of it so far.

    Both raise, while iterated and after what came before it, DecodeError where the answer is not what it claims to be, and
    LimitExceeded where it is too large: so what a client gets does not depend on how the answer was cut.

    Args:
        context: what the client is told where the provider says nothing.
        losses: takes what the client's format cannot say.
        meter: takes the usage, which the client may not get to see.
        max_event: longest event of a stream, in bytes; ``max_body``: longest whole answer.
    """

    def __init__(
        self, way: Way, context: Context, losses: Losses, meter: Meter, *, max_event: int, max_body: int
    ) -> None:
        self._way = way
        self._from, self._to = _codec(way.source), _codec(way.target)
        self._context, self._losses, self._meter = context, losses, meter
        self._reader = way.source.framing.reader(max_event)
        self._decoder = self._from.decoder(losses)
        self._encoder = self._to.encoder(context, losses)
        self._events: list[StreamEvent] = []
        self._body = bytearray()
        self._collected = 0  # bytes of a stream that the client gets in one piece
        self._max_body = max_body
        self._over = False

    @property
    def held(self) -> int:
        """Bytes that are collected."""
        return len(self._body) + self._reader.held + self._collected

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The next bytes of the provider's answer."""
        collects = not (self._way.streamed and self._way.wanted)
        if collects and self.held + len(chunk) > self._max_body:
            raise LimitExceeded(f"it is larger than {self._max_body} bytes")
        if self._way.streamed:
            self._collected += len(chunk) if collects else 0
            yield from self._read(self._reader.feed(chunk))
            return
        self._body += chunk

    def close(self) -> Iterator[bytes]:
        """The provider's answer has ended."""
        if not self._way.streamed:
            yield self._whole(bytes(self._body))
            return
        yield from self._read(self._reader.close())
        yield self._take(self._decoder.close())
        if self._way.wanted:
            yield self._encoder.close()
            return
        answer = fold(self._events)
        if isinstance(answer, Failure):
            raise DecodeError("it ended in an error")
        yield dump(self._to.encode_answer(answer, self._context, self._losses))

    def _read(self, events: Iterator[Event]) -> Iterator[bytes]:
        for event in events:
            if event.data:
                yield self._said(event.name, event.data)

    def _whole(self, raw: bytes) -> bytes:
        if self._way.status >= 400:
            return self._error(raw)
        if self._way.status != 200:
            raise DecodeError("it is neither an answer nor an error")
        answer = self._from.decode_answer(parse(raw), self._losses)
        if answer.usage:
            self._meter.usage = answer.usage
        if not self._way.wanted:
            return dump(self._to.encode_answer(answer, self._context, self._losses))
        out = [self._encoder.encode(event) for event in unfold(answer)]
        return b"".join([*out, self._encoder.close()])

    def _error(self, raw: bytes) -> bytes:
        try:
            body: Any = parse(raw)
        except DecodeError:
            body = None
        return dump(self._to.encode_error(self._from.decode_error(self._way.status, body)))

    def _said(self, name: str, data: bytes) -> bytes:
        if self._over:
            return b""
        return self._take(self._decoder.decode(name, data))

    def _take(self, events: list[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if self._over:
                break
            if isinstance(event, Used):
                self._meter.usage = event.usage
            if isinstance(event, Failure):
                self._over = True
            if self._way.wanted:
                out.append(self._encoder.encode(event))
            else:
                self._events.append(event)
                if len(self._events) > _MAX_EVENTS:
                    raise LimitExceeded(f"it has more than {_MAX_EVENTS} events")
        return b"".join(out)


def _codec(format_: Format) -> Codec:
    if format_.codec is None:
        raise DecodeError("there is no way to convert it")
    return format_.codec


def client_status(status: int) -> int:
    """An error's status as clients of any API understand it: Anthropic's 529 is known to nobody else."""
    return 503 if status == 529 else status
