"""Bedrock Converse and ConverseStream, for guards: requests, answers, streams and errors.

Source: Amazon Bedrock API reference, ``Converse``, ``ConverseStream``. An event of a stream is an object whose one member
is named by its type (``framing.aws``). Texts have no event that opens their block, and blocks follow one another: so a
text goes on until a block of another kind begins, and clients that join the blocks join what was judged together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from typing import Any, Final

from extproc.chat.answer import Usage
from extproc.chat.codec import Codec
from extproc.errors import DecodeError
from extproc.formats import files
from extproc.formats.base import Delta, Piece, Signed, Span
from extproc.formats.bedrock import says, texts
from extproc.formats.bedrock.codec import ConverseCodec
from extproc.formats.bedrock.family import AWS
from extproc.formats.bedrock.texts import TEXTS, VALUES
from extproc.formats.bedrock.words import NAME, read_usage
from extproc.framing.aws import NAMED
from extproc.framing.base import Framing
from extproc.framing.jsontext import Path
from extproc.policy.api import Scope

_CODEC: Final = ConverseCodec()
_PADDING: Final = re.compile(rb'"p":"([A-Za-z0-9]{1,128})"')
_LANE: Final = "answer"
_TEXT: Final = "text"
_THOUGHT: Final = "thought"
_BOTH: Final = (_TEXT, _THOUGHT)
_ALONE: Final = "alone"


class Converse(AWS):
    """See ``formats.base.Format``."""

    name = NAME
    framing: Framing = NAMED
    codec: Codec | None = _CODEC
    streamed_text = b'"text":'

    def without_padding(self, data: bytes) -> bytes:
        """See ``Format``."""
        found = _PADDING.search(data)
        return data[: found.start(1)] + data[found.end(1) :] if found else data

    def request_spans(self, body: dict[str, Any]) -> list[Span]:
        """Every text of a request."""
        found: list[Span] = []
        texts.request(body, (), found)
        return files.read(body, found)

    def unscanned(self, body: dict[str, Any]) -> list[str]:
        """Kinds of content blocks that are not text."""
        return texts.unscanned([body.get("messages"), body.get("system")], files.readable(body))

    def response_spans(self, body: Any) -> list[Span]:
        """Every text of a whole answer or error."""
        found: list[Span] = []
        if not isinstance(body, dict):
            TEXTS.value(body, (), Scope.ASSISTANT, found)
            return found
        TEXTS.names(body, (), Scope.ASSISTANT, found)
        for key, value in body.items():
            if key == "output" and isinstance(value, dict):
                TEXTS.members(value, (key,), Scope.ASSISTANT, found, but="message")
                texts.told(value.get("message"), (key, "message"), Scope.ASSISTANT, found)
            elif key == "additionalModelResponseFields":
                VALUES.member(key, value, (), Scope.ASSISTANT, found)
            elif value:
                TEXTS.member(key, value, (), Scope.ASSISTANT, found)
        return found

    def delta(self, event: Any) -> Delta:
        """Every text of a stream's event, and its order among the others."""
        if not isinstance(event, dict) or len(event) != 1:
            raise DecodeError("an event is not of one type")
        ((name, value),) = event.items()
        pieces = _names(event, (), Scope.ASSISTANT)
        if name == "contentBlockDelta" and isinstance(value, dict):
            return _said(value, pieces)
        found: list[Span] = []
        if name == "messageStop" and isinstance(value, dict):
            TEXTS.members(value, (name,), Scope.ASSISTANT, found, but="additionalModelResponseFields")
            fields = value.get("additionalModelResponseFields")
            VALUES.member("additionalModelResponseFields", fields, (name,), Scope.ASSISTANT, found)
        else:
            scope = Scope.TOOL_INPUT if name == "contentBlockStart" else Scope.ASSISTANT
            TEXTS.value(value, (name,), scope, found)
        pieces += [_alone(span) for span in found]
        telling = bool(pieces) or name != "messageStart"
        return Delta(pieces, _LANE, None, telling, name == "messageStop", _ended(name, value))

    def echoes(self, body: Any, changed: Set[Path]) -> list[Path]:
        """None: Converse repeats nothing in another form."""
        return []

    def signed(self, body: Any) -> Iterable[Signed]:
        """Claude's thoughts; those of other models have no signature."""
        return texts.signed(body)

    def usage(self, body: Any) -> Usage | None:
        """Tokens used, where an answer or event says so."""
        holder = body.get("metadata", body) if isinstance(body, dict) else None
        usage = holder.get("usage") if isinstance(holder, dict) else None
        return read_usage(usage) if isinstance(usage, dict) else None

    def reply(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """A whole answer that says ``text``."""
        return says.reply(text, refuses=refuses)

    def reply_stream(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """The same as a whole stream."""
        return says.reply_stream(text, refuses=refuses)

    def ending(self) -> says.Ending:
        """Follows one stream."""
        return says.Ending()

    def cut(self, body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
        """The message ends in this text; whatever it says after that goes."""
        return says.cut(body, path, text)


def _ended(name: str, value: Any) -> tuple[Any, ...]:
    """The tracks that end before an event that is no delta."""
    if name == "contentBlockStop":
        number = _number(value)
        return ("call", number), ("result", number)  # a text may go on in the next block
    return () if name == "messageStart" else _BOTH


def _number(value: Any) -> int:
    number = value.get("contentBlockIndex") if isinstance(value, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise DecodeError("an index is not a number")  # clients may take "0", 0.0 and 0 for the same, or not
    return number


def _alone(span: Span) -> Piece:
    return Piece(span.path, span.scope, span.text, (_ALONE, span.path, span.fixed), True, span.json, span.fixed)


def _names(value: dict[str, Any], path: Path, scope: Scope) -> list[Piece]:
    found: list[Span] = []
    TEXTS.names(value, path, scope, found)
    return [_alone(span) for span in found]


def _said(value: dict[str, Any], pieces: list[Piece]) -> Delta:
    """What a delta says."""
    path: Path = ("contentBlockDelta",)
    number = _number(value)
    delta = value.get("delta")
    around: list[Span] = []
    TEXTS.members(value, path, Scope.ASSISTANT, around, but="delta" if isinstance(delta, dict) else None)
    pieces += [_alone(span) for span in around]
    closes: tuple[Any, ...] = ()
    if isinstance(delta, dict):
        pieces += _names(delta, (*path, "delta"), Scope.ASSISTANT)
        for key, child in delta.items():
            closes += _member(key, child, (*path, "delta"), number, pieces)
    return Delta(pieces, _LANE, None, bool(pieces), closes=closes)


def _member(key: str, value: Any, path: Path, number: int, pieces: list[Piece]) -> tuple[Any, ...]:
    """Add the texts of one member of a delta; the tracks it ends."""
    here = (*path, key)
    found: list[Span] = []
    if key == "text" and isinstance(value, str):
        pieces += [Piece(here, Scope.ASSISTANT, value, _TEXT)] if value else []
        return (_THOUGHT,)
    if key == "reasoningContent":
        TEXTS.value(value, here, Scope.REASONING, found)
        closes: tuple[Any, ...] = (_TEXT,)
    elif key == "toolUse":
        TEXTS.value(value, here, Scope.TOOL_INPUT, found)
        closes = _BOTH
    elif key == "toolResult" and isinstance(value, list):
        texts.results(value, here, found)
        closes = _BOTH
    else:
        TEXTS.value(value, here, Scope.ASSISTANT, found)
        closes = ()  # what a text cites does not end it
    pieces += [_goes_on(span, here, number) for span in found]
    return closes


def _goes_on(span: Span, at: Path, number: int) -> Piece:
    """A text of a delta as a piece: those that clients put together go on, others stand alone."""
    rest = span.path[len(at) :]
    if not span.fixed:
        if at[-1] == "reasoningContent" and rest == ("text",):
            return Piece(span.path, span.scope, span.text, _THOUGHT)
        if at[-1] == "reasoningContent" and len(rest) == 1:
            return Piece(span.path, span.scope, span.text, (_THOUGHT, rest[0]))
        if at[-1] == "toolUse" and rest == ("input",):
            return Piece(span.path, span.scope, span.text, ("call", number), json=True)
        if at[-1] == "toolResult" and rest[1:] == ("text",):
            return Piece(span.path, span.scope, span.text, ("result", number))
    return _alone(span)
