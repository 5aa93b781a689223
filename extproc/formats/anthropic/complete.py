"""Anthropic's text completions, the API before messages: requests, answers and streams.

Source: Claude API reference, "Create a Text Completion" and "Streaming Text Completions" (legacy).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from extproc.formats.anthropic.family import Anthropic
from extproc.formats.base import Brief, Delta, Ending, Piece
from extproc.formats.plain import STRUCTURE, Plain, alone
from extproc.formats.walk import Walk
from extproc.framing.jsontext import Path, dump
from extproc.framing.sse import framed

_FILTERED: Final = "stop_sequence"
"""Completions end so or for their length; nothing says that a filter has stopped them."""


class AnthropicComplete(Anthropic, Plain):
    """See ``formats.base.Format``."""

    name = "anthropic-complete"
    streamed_text = b'"completion":'
    texts: ClassVar[Walk] = Walk(STRUCTURE | {"stop_reason", "log_id"}, frozenset())

    def delta(self, event: Any) -> Delta:
        """Every text of a stream's event; completions go on from event to event."""
        goes_on = isinstance(event, dict) and event.get("type") == "completion"
        pieces = []
        for span in self.response_spans(event):
            more = goes_on and span.path == ("completion",) and not span.fixed
            pieces.append(Piece(span.path, span.scope, span.text, "completion") if more else alone(span))
        final = isinstance(event, dict) and (event.get("stop_reason") is not None or event.get("type") == "error")
        return Delta(pieces, "completion", None, bool(pieces) or final, final)

    def reply(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """A whole answer that says ``text``."""
        return dump(_said(text, {"id": f"compl_{request_id}", "model": model}, _FILTERED))

    def reply_stream(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """The same as a whole stream."""
        return _stream(text, {"id": f"compl_{request_id}", "model": model})

    def ending(self) -> Ending:
        """Follows one stream."""
        return _Ending()

    def cut(self, body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
        """The completion ends in this text."""
        return {path: dump(text)} | ({("stop_reason",): dump(_FILTERED)} if path == ("completion",) else {})


def _said(text: str, head: dict[str, Any], reason: str | None) -> dict[str, Any]:
    return {"type": "completion", "completion": text, "stop_reason": reason, "stop": None, **head}


def _stream(text: str, head: dict[str, Any]) -> bytes:
    """What is left to say, and the end."""
    said = framed(dump(_said(text, head, None)), "completion") if text else b""
    return said + framed(dump(_said("", head, _FILTERED)), "completion")


class _Ending(Brief):
    """See ``formats.base.Ending``: remembers how the stream names itself, and whether it has ended."""

    __slots__ = ("_ended", "_head")

    def __init__(self) -> None:
        self._head: dict[str, Any] = {"id": "", "model": ""}
        self._ended = False

    def see(self, event: Any) -> None:
        """See ``Ending``."""
        if isinstance(event, dict) and event.get("type") == "completion":
            self._head = {name: event[name] for name in ("id", "model") if isinstance(event.get(name), str)}
            self._ended = self._ended or event.get("stop_reason") is not None

    def end(self, text: str) -> bytes:
        """See ``Ending``."""
        return b"" if self._ended else _stream(text, self._head)
