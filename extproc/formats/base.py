"""What a format tells the rest of the house: where the texts are, what was used, and how to say things in its shape.

Spans, pieces and deltas are made for every event; like ``extproc.events`` they are values, though not frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Protocol

from extproc.chat.answer import Usage
from extproc.chat.codec import Codec
from extproc.framing.base import Framing
from extproc.framing.jsontext import Path
from extproc.policy.api import Scope


@dataclass(slots=True)
class Span:
    """A text inside a JSON document: where, whose words, and the text; ``json``: the text is itself JSON source.

    ``fixed``: it is the name of the member at ``path``. It cannot be replaced: where it would be, everything is refused.
    ``written``: how a new text is written at ``path``, where the text stands there in another form.
    ``track``, in a whole answer, is equal for texts that are one in its stream: clients show them without a gap.
    """

    path: Path
    scope: Scope
    text: str
    json: bool = False
    fixed: bool = False
    track: Hashable = None
    written: Callable[[str], str] | None = None

    def put(self, text: str) -> str:
        """What to write at ``path`` for another text."""
        return self.written(text) if self.written else text


@dataclass(slots=True)
class Piece:
    """A text inside a stream's event.

    ``track`` is equal for pieces that continue one another. ``joined`` marks texts that are complete in practice (names,
    notes) but must also be harmless when joined. ``json``: the text is JSON source; ``fixed``: see ``Span``.
    """

    path: Path
    scope: Scope
    text: str
    track: Hashable = None
    joined: bool = False
    json: bool = False
    fixed: bool = False


@dataclass(slots=True)
class Delta:
    """What one event of a stream carries.

    ``lane`` orders events: those of one lane leave in the order they came; None is a barrier that keeps its place among
    all. ``after`` is a lane that must be empty first. ``telling`` says that a client could notice the event: it has
    text, ends something, or is not an empty opening. ``final`` marks an event that ends a choice. ``closes`` are tracks that
    end before this event: nothing continues them, so that what is held of them is decided now.
    """

    pieces: list[Piece]
    lane: Hashable
    after: Hashable = None
    telling: bool = True
    final: bool = False
    closes: tuple[Hashable, ...] = ()


@dataclass(slots=True)
class Signed:
    """An object whose maker may have signed its texts: a thought, or a part of one in a stream's event.

    ``key`` is equal for what is signed together: in the events of a stream, parts of one thought. ``name`` is the member that
    holds the signature, empty where there is none here; ``blank`` the JSON to put there for no signature.
    """

    path: Path
    key: Hashable
    name: str = ""
    blank: bytes = b'""'


class Ending(Protocol):
    """How one stream can be ended by a filter at any time, in good order; it follows what the client has been told.

    ``retells``: the end repeats what was said before it, so ``more`` is to be called.
    """

    @property
    def retells(self) -> bool:
        """See above."""
        ...

    def see(self, event: Any) -> None:
        """An event has left for the client. One that differs from one before it in a text alone may be left out.

        Its texts are as they came, not as they left: those may not be said again.
        """
        ...

    def more(self, track: Hashable, text: str) -> None:
        """A text, or part of one, has left as a piece of this track; before ``see`` of its event."""
        ...

    def end(self, text: str) -> bytes:
        """The end, as bytes of the stream: ``text`` where there is one, and whatever is open is closed as filtered."""
        ...


class Brief:
    """The part of an ``Ending`` that repeats nothing."""

    __slots__ = ()
    retells = False

    def more(self, track: Hashable, text: str) -> None:
        """See ``Ending``: never called."""


class Format(Protocol):
    """A client API. All methods are pure; bodies are values that ``jsontext.parse`` accepted."""

    name: str
    family: str
    """Who made the API: ``openai``, ``anthropic``, ``google`` or ``aws``; errors and lists of models are alike within one."""
    framing: Framing
    """How its streams are cut into events."""

    @property
    def codec(self) -> Codec | None:
        """Its way in and out of the canonical form; None where it is never converted."""
        ...

    streamed_text: bytes
    """The bytes before the string in which most events differ from the one before them; empty where there is no such."""

    def without_padding(self, data: bytes) -> bytes:
        """Part of an event without what is random in it or counts events, and has no meaning; it stays what it was in form."""
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

    def signed(self, body: Any) -> Iterable[Signed]:
        """What makers sign of a request, a whole answer or an event, in its order."""
        ...

    def usage(self, body: Any) -> Usage | None:
        """Tokens used, where an answer or event says so."""
        ...

    def error(self, status: int, code: str, message: str, kind: str, param: str = "") -> bytes:
        """An error body; ``param`` names the field at fault, if it is one."""
        ...

    def error_headers(self, status: int) -> tuple[tuple[str, str], ...]:
        """Headers that SDKs of this API expect on an error."""
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

    def ending(self) -> Ending:
        """Follows one stream, to be able to end it."""
        ...

    def cut(self, body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
        """Edits that end a whole answer in the text at ``path``, of which ``text`` is left, as a filter would stop it."""
        ...

    def models(self, names: list[str]) -> bytes:
        """The list of models a caller may use."""
        ...

    def model_card(self, name: str) -> bytes:
        """One of them."""
        ...
