"""What a chat format does to take part in conversion: read and write requests, answers, errors and streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from extproc.chat.answer import Answer, Failure, StreamEvent
from extproc.chat.losses import Losses
from extproc.chat.request import Request


@dataclass(frozen=True, slots=True)
class Context:
    """What an answer is written with: ids and names for what the provider did not say.

    Args:
        request_id: ours; ids of answers are made from it.
        model: the name the client asked for.
        created: Unix time in seconds.
        usage: the client wants a stream's usage.
    """

    request_id: str
    model: str
    created: int
    usage: bool = False


class StreamDecoder(Protocol):
    """Reads one stream, event by event."""

    def decode(self, name: str, data: bytes) -> list[StreamEvent]:
        """What an event says: its name (empty where the framing has none) and its data.

        The framing's own end (``[DONE]`` of server-sent events) is given to it, too: some servers have no other.

        Raises:
            DecodeError: it is no event of this format.
        """
        ...

    def close(self) -> list[StreamEvent]:
        """The stream has ended: what is still open ends, or fails where the end was not to be expected.

        A stream that breaks off before any choice has finished ends with a ``Failure``.
        """
        ...


class StreamEncoder(Protocol):
    """Writes one stream."""

    def encode(self, event: StreamEvent) -> bytes:
        """An event as framed bytes; empty where there is nothing to say yet. Nothing follows a ``Failure``."""
        ...

    def close(self) -> bytes:
        """The end of the stream."""
        ...


class Codec(Protocol):
    """A format's way in and out of the canonical form. Stateless, but for the streams' decoders and encoders.

    Law: ``decode`` after ``encode`` gives the same value but for what was added to the losses; and folding a stream's
    events (``chat.fold``) gives what decoding the whole answer would.
    """

    name: str
    """As ``Format.name``."""

    def decode_request(self, body: dict[str, Any], losses: Losses, *, model: str = "", stream: bool = False) -> Request:
        """A request body. ``model`` and ``stream`` are what the path said, for formats that say it there.

        Raises:
            Unrepresentable: it has what the canonical form cannot hold and must not lose.
            DecodeError: it is no request of this format.
        """
        ...

    def encode_request(self, request: Request, losses: Losses) -> dict[str, Any]:
        """A body for a provider of this format.

        Raises:
            Unrepresentable: it says what this format cannot.
        """
        ...

    def decode_answer(self, body: Any, losses: Losses | None = None) -> Answer:
        """A whole answer. ``losses`` takes what the canonical form has no place for: citations, log probabilities.

        Raises:
            DecodeError: it is none of this format.
        """
        ...

    def encode_answer(self, answer: Answer, context: Context, losses: Losses) -> dict[str, Any]:
        """A whole answer for a client of this format."""
        ...

    def decode_error(self, status: int, body: Any) -> Failure:
        """A provider's error body; ``body`` is None where it is no JSON. Never raises."""
        ...

    def encode_error(self, failure: Failure) -> dict[str, Any]:
        """An error body for a client of this format."""
        ...

    def decoder(self, losses: Losses | None = None) -> StreamDecoder:
        """Reads one stream; ``losses`` as of ``decode_answer``."""
        ...

    def encoder(self, context: Context, losses: Losses) -> StreamEncoder:
        """Writes one stream."""
        ...
