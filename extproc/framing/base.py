"""What a framing does: cut a stream's bytes into events, keeping every byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Event(Protocol):
    """One event. ``raw`` are its bytes, the concatenation of all raws is the stream.

    ``data`` is its payload, None where it has none (comments, keep-alives); ``name`` its type, where the framing has such;
    ``other`` holds what in it is neither (comments, ids, odd names), which is text, too.
    """

    raw: bytes
    data: bytes | None
    name: str
    other: bytes

    def with_data(self, data: bytes) -> bytes:
        """The event's bytes with another payload."""
        ...


class Reader(Protocol):
    """Cuts events out of bytes. ``feed`` chunks, then ``close``; the iterators must be exhausted before the next call.

    Both raise, while iterated, after the good events before it: LimitExceeded (an event is longer than allowed), DecodeError
    (the bytes are no stream of this framing).
    """

    @property
    def held(self) -> int:
        """Bytes of an event that is not complete."""
        ...

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Take the next bytes."""
        ...

    def close(self) -> Iterator[Event]:
        """The stream has ended."""
        ...


class Framing(Protocol):
    """A way of cutting a stream into events. Stateless."""

    media: str
    """The content type of such a stream, without parameters."""
    content_type: str
    """The same as an answer of ours declares it."""
    keep_alive: bytes
    """Bytes that mean nothing, to be sent between events while text is held back; empty where there are none."""
    done: bytes | None
    """The payload that ends a stream without being an event of the format (OpenAI's ``[DONE]``); None for none."""

    def reader(self, max_event: int) -> Reader:
        """Reads one stream; ``max_event`` is the longest event accepted, in bytes."""
        ...

    def ended(self, raw: bytes) -> bool:
        """Whether an event is complete, so that another may follow its bytes."""
        ...

    def mend(self) -> bytes:
        """What completes an event that is not."""
        ...
