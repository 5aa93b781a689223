"""Where the texts are in the events of a stream, which continue one another, and which say again what was said before.

Source: OpenAI API reference, "Responses", "Streaming events". All events are of one lane: clients go by their order.

A text comes in ``*.delta`` events; ``*.done`` has it once more, then its part, its item and the response do. Those are
decided as wholes, which comes to the same as what was streamed; what is held of a text is decided by the first of them
that ends it, so that no repetition tells what is not decided yet.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

from extproc.errors import DecodeError
from extproc.formats.base import Delta, Piece, Span
from extproc.formats.openai_responses import texts
from extproc.formats.openai_responses.texts import TEXTS
from extproc.formats.walk import are_known, binary
from extproc.framing.jsontext import Path
from extproc.policy.api import Scope

FINAL: Final = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})
_SILENT: Final = frozenset({"response.created", "response.in_progress", "response.queued"})
_OPENING: Final = (".delta", ".added")

TEXT: Final = "response.output_text"
REFUSAL: Final = "response.refusal"
SUMMARY: Final = "response.reasoning_summary_text"
THOUGHT: Final = "response.reasoning_text"
ARGUMENTS: Final = "response.function_call_arguments"
INPUT: Final = "response.custom_tool_call_input"
NAME: Final = "name"

_SOUND: Final = "response.audio.delta"
_JOINED: Final = frozenset({TEXT, REFUSAL})
"""Texts that clients put together from all parts of a message."""
_SCOPES: Final = {
    SUMMARY: Scope.REASONING,
    THOUGHT: Scope.REASONING,
    ARGUMENTS: Scope.TOOL_INPUT,
    INPUT: Scope.TOOL_INPUT,
    "response.mcp_call_arguments": Scope.TOOL_INPUT,
    "response.code_interpreter_call_code": Scope.TOOL_INPUT,
    "response.shell_call_command": Scope.TOOL_INPUT,
    "response.shell_call_output_content": Scope.TOOL_OUTPUT,
}
_JSON: Final = frozenset({ARGUMENTS, "response.mcp_call_arguments"})
_PLACES: Final = ("content_index", "summary_index", "command_index")
_LANE: Final = 0


def delta(event: Any) -> Delta:
    """See ``Format.delta``."""
    kind = event.get("type") if isinstance(event, dict) else None
    if not isinstance(kind, str):
        found: list[Span] = []
        texts.response(event, (), found)
        return Delta([_once(span, "") for span in found], _LANE)
    stem = kind.rpartition(".")[0]
    closes: tuple[Hashable, ...] = ()
    if kind.endswith(".delta"):
        pieces = _continued(event, kind, stem)
    elif kind in _SILENT or kind in FINAL or "item" in event or "part" in event:
        pieces = _whole(event, kind)
        closes = _ended(event, kind)
    elif kind.endswith(".done"):
        pieces = _again(event, kind, stem)
        closes = () if stem in _JOINED else (track(stem, event),)
    else:
        pieces = _other(event, kind)
    telling = kind not in _SILENT and (bool(pieces) or not kind.endswith(_OPENING))
    return Delta(pieces, _LANE, None, telling, kind in FINAL, closes)


def number(event: dict[str, Any], name: str) -> int | None:
    """An index of an event; None where it has none.

    Raises:
        DecodeError: it is no index. Clients may take "0", 0.0 and 0 for the same, or not.
    """
    value = event.get(name)
    if value is None or (type(value) is int and value >= 0):
        return value
    raise DecodeError("an index is not a number")


def track(stem: str, event: dict[str, Any]) -> Hashable:
    """The text that events of this kind continue."""
    place: Any = number(event, "output_index")
    if place is None and isinstance(event.get("item_id"), str):
        place = event["item_id"]
    if stem in _JOINED:
        return (stem, place)
    return (stem, place, *[number(event, name) for name in _PLACES])


def _continued(event: dict[str, Any], kind: str, stem: str) -> list[Piece]:
    """Pieces of an event that says more of a text."""
    scope = _SCOPES.get(stem, Scope.ASSISTANT)
    pieces: list[Piece] = []
    said = event.get("delta")
    if isinstance(said, str):
        if said and not (kind == _SOUND and binary(said)):
            pieces.append(Piece(("delta",), scope, said, track(stem, event), False, stem in _JSON))
    elif said:
        _members(said, ("delta",), scope, (track(stem, event),), pieces)
    _others(event, kind, scope, "delta", pieces)
    return pieces


def _members(value: Any, path: Path, scope: Scope, key: tuple[Any, ...], pieces: list[Piece]) -> None:
    """Pieces of a delta that is no string: every text in it continues the one in its place."""
    found: list[Span] = []
    TEXTS.value(value, path, scope, found)
    pieces += [
        Piece(each.path, scope, each.text, (*key, each.path), each.fixed, each.json, each.fixed) for each in found
    ]


def _again(event: dict[str, Any], kind: str, stem: str) -> list[Piece]:
    """Pieces of an event that says a whole text once more."""
    scope = _SCOPES.get(stem, Scope.ASSISTANT)
    pieces: list[Piece] = []
    _others(event, kind, scope, None, pieces)
    for piece in pieces:
        if piece.path[0] == "logprobs" or piece.fixed:
            continue
        # what is said in two parts of one message is one text to whoever puts them together
        piece.joined = stem in _JOINED
        piece.track = (kind, track(stem, event)) if piece.joined else None
        piece.json = stem in _JSON
    return pieces


def _other(event: dict[str, Any], kind: str) -> list[Piece]:
    pieces: list[Piece] = []
    _others(event, kind, Scope.ASSISTANT, None, pieces)
    return pieces


def _others(event: dict[str, Any], kind: str, scope: Scope, but: str | None, pieces: list[Piece]) -> None:
    """Pieces of all members of an event, except one and the tokens of the text."""
    found: list[Span] = []
    if not are_known(event):
        TEXTS.names(event, (), scope, found)
    for key, child in event.items():
        if child and key != but and key != "logprobs" and type(child) is not int:
            TEXTS.member(key, child, (), scope, found)
    texts.odd_tokens(event, (), scope, found)
    pieces += [_once(span, kind) for span in found]


def _whole(event: dict[str, Any], kind: str) -> list[Piece]:
    """Pieces of an event that brings an item, a part or a response as far as it is known."""
    found: list[Span] = []
    if not are_known(event):
        TEXTS.names(event, (), Scope.ASSISTANT, found)
    for key, child in event.items():
        if not child or type(child) is int:
            continue
        if key == "response":
            texts.response(child, (key,), found)
        elif key == "item":
            texts.item(child, (key,), Scope.ASSISTANT, found)
        elif key == "part":
            texts.part(child, (key,), Scope.REASONING if "summary" in kind else Scope.ASSISTANT, found)
        else:
            TEXTS.member(key, child, (), Scope.ASSISTANT, found)
    return [_said(span, event, kind) for span in found]


def _said(span: Span, event: dict[str, Any], kind: str) -> Piece:
    """A text of an event that is whole: nothing goes on with it."""
    if kind == "response.output_item.added" and span.path == ("item", "name") and not span.fixed:
        return Piece(span.path, span.scope, span.text, (NAME, number(event, "output_index")), True)
    if span.path[0] in ("item", "part", "response"):
        return Piece(span.path, span.scope, span.text, None, False, span.json, span.fixed)
    return _once(span, kind)


def _once(span: Span, kind: str) -> Piece:
    """A text that nothing is known to continue, but that could be one with that of the next event of its kind."""
    return Piece(span.path, span.scope, span.text, (kind, span.path, span.fixed), True, span.json, span.fixed)


def _ended(event: dict[str, Any], kind: str) -> tuple[Hashable, ...]:
    """The texts that an event ends."""
    if kind == "response.output_item.done":
        return _tracks(event.get("item"), number(event, "output_index"))
    inner = event.get("response") if kind in FINAL else None
    output = inner.get("output") if isinstance(inner, dict) else None
    ended: list[Hashable] = []
    for index, item in enumerate(output if isinstance(output, list) else ()):
        ended += _tracks(item, index)
    return tuple(ended)


def _tracks(item: Any, index: int | None) -> tuple[Hashable, ...]:
    """The texts that an item may have been streamed as."""
    kind = item.get("type") if isinstance(item, dict) else None
    if kind == "message":
        return (TEXT, index), (REFUSAL, index)
    if kind == "reasoning":
        thoughts, summaries = (item.get(name) for name in ("content", "summary"))
        return (
            *((THOUGHT, index, at, None, None) for at in range(len(thoughts) if isinstance(thoughts, list) else 0)),
            *((SUMMARY, index, None, at, None) for at in range(len(summaries) if isinstance(summaries, list) else 0)),
        )
    return tuple((stem, index, None, None, None) for stem in _SCOPES if stem not in (SUMMARY, THOUGHT))
