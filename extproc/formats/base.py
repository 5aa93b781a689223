"""What a format tells the rest of the house: where the texts are, what was used, and how to say things in its shape.

Spans, pieces and deltas are made for every event; like ``extproc.events`` they are values, though not frozen.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Protocol

from extproc.framing.jsontext import Path
from extproc.policy.api import Scope


@dataclass(slots=True)
class Span:
    """A text inside a JSON document: where, whose words, and the text; ``json``: the text is itself JSON source."""

    path: Path
    scope: Scope
    text: str
    json: bool = False


@dataclass(slots=True)
class Piece:
    """A text inside a stream's event.

    ``track`` is equal for pieces that continue one another. ``joined`` marks texts that are complete in practice (names,
    notes) but must also be harmless when joined. ``json``: the text is JSON source.
    """

    path: Path
    scope: Scope
    text: str
    track: Hashable = None
    joined: bool = False
    json: bool = False


@dataclass(slots=True)
class Delta:
    """What one event of a stream carries.

    ``lane`` orders events: those of one lane leave in the order they came; None is a barrier that keeps its place among
    all. ``after`` is a lane that must be empty first. ``telling`` says that a client could notice the event: it has
    text, ends something, or is not an empty opening. ``final`` marks an event that ends a choice. ``open`` and ``ended`` are
    the numbers of the choices it speaks of: those that go on and those it ends.
    """

    pieces: list[Piece]
    lane: Hashable
    after: Hashable = None
    telling: bool = True
    final: bool = False
    open: tuple[int, ...] = ()
    ended: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them. ``input`` includes ``cached``; ``output`` includes ``reasoning``."""

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0


class Format(Protocol):
    """A client API. All methods are pure; bodies are values that ``jsontext.parse`` accepted."""

    name: str
    streamed_text: bytes
    """The bytes before the string in which most events differ from the one before them; empty where there is no such."""

    def without_padding(self, data: bytes) -> bytes:
        """Part of an event without what is random in it and has no meaning."""
        ...

    def model(self, body: dict[str, Any]) -> str | None:
        """The model a request names."""
        ...

    def streamed(self, body: dict[str, Any]) -> bool:
        """Whether a request asks for a stream."""
        ...

    def request_spans(self, body: dict[str, Any]) -> list[Span]:
        """Every text of a request."""
        ...

    def unscanned(self, body: dict[str, Any]) -> list[str]:
        """Kinds of content in a request that no text rule can read: ``image``, ``audio``, ``file``, ``video``."""
        ...

    def response_spans(self, body: Any) -> list[Span]:
        """Every text of a whole answer or error."""
        ...

    def delta(self, event: Any) -> Delta:
        """Every text of a stream's event, and its order among the others."""
        ...

    def echoes(self, body: Any, changed: Set[Path]) -> list[Path]:
        """Places of an answer or event that repeat its text in another form (log probabilities) and must go.

        That is where the text they repeat is among ``changed``, and where they say anything else than it.
        """
        ...

    def usage(self, body: Any) -> Usage | None:
        """Tokens used, where an answer or event says so."""
        ...

    def error(self, status: int, code: str, message: str, kind: str, param: str = "") -> bytes:
        """An error body; ``param`` names the field at fault, if it is one."""
        ...

    def error_event(self, code: str, message: str, kind: str) -> bytes:
        """An error in the middle of a stream, and the stream's end, as bytes of the stream."""
        ...

    def reply(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """A whole answer that says ``text`` in the model's place; ``created`` is Unix time in seconds.

        ``refuses``: it ends as answers do that a filter has stopped.
        """
        ...

    def reply_stream(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """The same as a whole stream."""
        ...

    def ending(self, first: Any, choices: list[int], text: str) -> bytes:
        """The end of a stream that a filter stops: ``text`` where there is one, and the end of every open choice.

        ``first`` is the stream's first event.
        """
        ...

    def cut(self, body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
        """Edits that end a whole answer in the text at ``path``, of which ``text`` is left, as a filter would stop it."""
        ...

    def models(self, names: list[str]) -> bytes:
        """The list of models a caller may use."""
        ...
