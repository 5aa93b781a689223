"""Any JSON API whose answers are not conversations: every string is inspected, nothing is converted.

A format is this with a family's mixin in front of it, which says how errors look and streams are cut.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Set
from typing import Any, ClassVar, Final

from extproc.chat.answer import Usage
from extproc.chat.codec import Codec
from extproc.formats.base import Brief, Delta, Ending, Piece, Signed, Span
from extproc.formats.walk import Walk
from extproc.framing.jsontext import Path, dump
from extproc.policy.api import Scope

STRUCTURE: Final = frozenset({"id", "object", "model", "type", "role"})
"""Names that every API gives to ids, kinds and models; short tokens under them are no text."""
_ALONE: Final = "alone"


def alone(span: Span) -> Piece:
    """A text of an event that nothing continues; it has to be harmless also after what stood in its place before."""
    return Piece(span.path, span.scope, span.text, (_ALONE, span.path, span.fixed), True, span.json, span.fixed)


class Plain(ABC):
    """The common part of ``formats.base.Format``: texts everywhere, no usage, and errors where others would answer."""

    codec: Codec | None = None
    streamed_text = b""
    texts: ClassVar[Walk] = Walk(STRUCTURE, frozenset())
    """What is a text of a request and of an answer."""

    def signed(self, body: Any) -> Iterable[Signed]:
        """Nothing."""
        return ()

    @abstractmethod
    def error(self, status: int, code: str, message: str, kind: str, param: str = "") -> bytes:
        """See ``Format``; the family's."""

    @abstractmethod
    def error_event(self, code: str, message: str, kind: str) -> bytes:
        """See ``Format``; the family's."""

    def without_padding(self, data: bytes) -> bytes:
        """See ``Format``; there is none."""
        return data

    def request_spans(self, body: dict[str, Any]) -> list[Span]:
        """Every text of a request."""
        return self._spans(body, Scope.USER)

    def unscanned(self, body: dict[str, Any]) -> list[str]:
        """None."""
        return []

    def response_spans(self, body: Any) -> list[Span]:
        """Every text of a whole answer or error."""
        return self._spans(body, Scope.ASSISTANT)

    def delta(self, event: Any) -> Delta:
        """Every text of a stream's event; each event keeps its place among all."""
        return Delta([alone(span) for span in self.response_spans(event)], lane=None)

    def echoes(self, body: Any, changed: Set[Path]) -> list[Path]:
        """None."""
        return []

    def usage(self, body: Any) -> Usage | None:
        """None."""
        return None

    def reply(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """These APIs have no place for words of ours but an error."""
        return self.error(200, "policy_violation", text, "policy_violation")

    def reply_stream(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """The same as a stream."""
        return self.error_event("policy_violation", text, "policy_violation")

    def ending(self) -> Ending:
        """Follows one stream."""
        return PlainEnding(self)

    def cut(self, body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
        """The text ends; what stands elsewhere has been decided by itself."""
        return {path: dump(text)}

    def _spans(self, value: Any, scope: Scope) -> list[Span]:
        found: list[Span] = []
        self.texts.value(value, (), scope, found)
        return found


class PlainEnding(Brief):
    """See ``formats.base.Ending``: ends in an error, whatever came before."""

    __slots__ = ("_format",)

    def __init__(self, format_: Plain) -> None:
        self._format = format_

    def see(self, event: Any) -> None:
        """See ``Ending``."""

    def end(self, text: str) -> bytes:
        """See ``Ending``."""
        return self._format.error_event("content_filter", text or "A filter ended the answer.", "policy_violation")
