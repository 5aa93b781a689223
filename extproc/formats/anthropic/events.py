"""Where the texts are in a stream's events, and in which order they leave.

Source: Claude API reference, "Streaming messages". Clients put a message together block by block, so all events keep one
order. What they show is the text of neighbouring blocks without a gap: text that goes on in the next text block continues
one track, which ends where a block of another kind begins.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

from extproc.errors import DecodeError
from extproc.formats.anthropic.texts import RUNS, TEXTS, block, of_answer
from extproc.formats.base import Delta, Piece, Span
from extproc.framing.jsontext import Path
from extproc.policy.api import Scope

_LANE: Final = "message"
_SCOPES: Final = {"text": Scope.ASSISTANT, "thinking": Scope.REASONING, "partial_json": Scope.TOOL_INPUT}
_QUIET: Final = frozenset({"ping", "message_start", "content_block_start"})
_BLOCK_TRACKS: Final = ("partial_json", "content", "encrypted_content")
"""Members of deltas that continue in their own block only."""


def delta(event: Any) -> Delta:
    """See ``Format.delta``."""
    kind = event.get("type") if isinstance(event, dict) else None
    if not isinstance(kind, str):
        return Delta(_whole(event), _LANE)
    if kind == "content_block_delta":
        return Delta(_continued(event), _LANE)
    if kind == "content_block_start":
        return _started(event)
    if kind == "content_block_stop":
        at = _index(event)
        return Delta(_whole(event), _LANE, closes=tuple((name, at) for name in _BLOCK_TRACKS))
    pieces = _whole(event)
    final = kind in ("message_delta", "message_stop", "error")
    return Delta(pieces, _LANE, None, bool(pieces) or kind not in _QUIET, final, tuple(RUNS) if final else ())


def _index(event: dict[str, Any]) -> int:
    index = event.get("index")
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise DecodeError("a block has no number")  # clients would put its text anywhere
    return index


def _started(event: dict[str, Any]) -> Delta:
    index = _index(event)
    value = event.get("content_block")
    kind = value.get("type") if isinstance(value, dict) else None
    run = RUNS.get(kind) if isinstance(kind, str) else None
    pieces = _around(event, "content_block")
    found: list[Span] = []
    block(value, ("content_block",), Scope.ASSISTANT, found)
    for span in found:
        goes_on = span.path == ("content_block", run) and not span.fixed
        pieces.append(Piece(span.path, span.scope, span.text, run) if goes_on else _complete(span))
    telling = bool(pieces) or run is None
    ends = tuple(name for name in RUNS if name != run)
    return Delta(pieces, _LANE, None, telling, False, (*ends, *((name, index) for name in _BLOCK_TRACKS)))


def _continued(event: dict[str, Any]) -> list[Piece]:
    index = _index(event)
    value = event.get("delta")
    pieces = _around(event, "delta")
    if not isinstance(value, dict):
        return [*pieces, *(_complete(span) for span in _spans(value, ("delta",)))]
    odd: list[Span] = []
    TEXTS.names(value, ("delta",), Scope.ASSISTANT, odd)
    pieces += [_complete(span) for span in odd]
    for name, child in value.items():
        if not isinstance(child, str):
            pieces += [_complete(span) for span in _spans(child, ("delta", name))]
        elif TEXTS.is_text(child, name):
            track: Hashable = name if name in RUNS else (name, index)
            scope = _SCOPES.get(name, Scope.ASSISTANT)
            pieces.append(Piece(("delta", name), scope, child, track, False, name == "partial_json"))
    return pieces


def _around(event: dict[str, Any], but: str) -> list[Piece]:
    """Texts of an event's members, except one."""
    found: list[Span] = []
    TEXTS.members(event, (), Scope.ASSISTANT, found, but=but)
    return [_complete(span) for span in found]


def _spans(value: Any, path: Path) -> list[Span]:
    found: list[Span] = []
    TEXTS.value(value, path, Scope.ASSISTANT, found)
    return found


def _whole(event: Any) -> list[Piece]:
    """Texts of an event none of which goes on in another."""
    if not isinstance(event, dict) or not isinstance(event.get("message"), dict):
        return [_complete(span) for span in of_answer(event)]
    inner = of_answer(event["message"])
    for span in inner:
        span.path = ("message", *span.path)
    return [*_around(event, "message"), *(_complete(span) for span in inner)]


_ALONE: Final = "alone"
_SHALLOW: Final = 2


def _complete(span: Span) -> Piece:
    """A text that is said at once.

    What stands in the event itself or its block (a tool's name, an error's message) must also be harmless when joined to
    what stood there before; what lies deeper (results of tools, citations) is many texts that nobody joins.
    """
    track = (_ALONE, span.path, span.fixed) if len(span.path) <= _SHALLOW else None
    return Piece(span.path, span.scope, span.text, track, track is not None, span.json, span.fixed)
