"""OpenAI image edits and variations: requests (forms, or JSON that refers to pictures), answers, streams and errors.

Source: OpenAI API reference, "Images": create image edit, create image variation, image edit streaming events.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, Final

from extproc.chat.answer import Usage
from extproc.chat.codec import Codec
from extproc.formats import counts
from extproc.formats.base import Brief, Delta, Piece, Span
from extproc.formats.openai import OpenAI
from extproc.formats.walk import Walk
from extproc.framing.jsontext import Path, dump
from extproc.framing.multipart import Fields, affirmed
from extproc.policy.api import Scope

_SKIP: Final = frozenset({
    "model", "type", "object", "background", "output_format", "quality", "size", "response_format", "moderation",
    "input_fidelity", "effort", "complexity", "stream", "content_type",
})  # fmt: skip
_PICTURES: Final = ("image", "images", "mask", "markup")
_BLOBS: Final = frozenset({"b64_json", "url", "image_url", *_PICTURES})
_TEXTS: Final = Walk(_SKIP, _BLOBS)
_LANE: Final = "events"
_COMPLETED: Final = ".completed"


class OpenAIImageEdits(OpenAI):
    """See ``formats.base.Format``. ``form`` says what its forms have."""

    name = "openai-image-edits"
    codec: Codec | None = None
    streamed_text = b""
    form: Final = Fields(
        files=frozenset(_PICTURES),
        numbers=frozenset({"n", "output_compression", "partial_images", "frame_count", "frame_duration_ms"}),
    )

    def without_padding(self, data: bytes) -> bytes:
        """There is none."""
        return data

    def streamed(self, body: dict[str, Any]) -> bool:
        """Whether a request asks for a stream."""
        return affirmed(body.get("stream"))

    def request_spans(self, body: dict[str, Any]) -> list[Span]:
        """Every text of a request."""
        found: list[Span] = []
        _TEXTS.members(body, (), Scope.USER, found)
        return found

    def unscanned(self, body: dict[str, Any]) -> list[str]:
        """The pictures."""
        return ["image"] if any(body.get(name) for name in _PICTURES) else []

    def response_spans(self, body: Any) -> list[Span]:
        """Every text of a whole answer or error."""
        found: list[Span] = []
        _TEXTS.value(body, (), Scope.ASSISTANT, found)
        return found

    def delta(self, event: Any) -> Delta:
        """Every text of a stream's event. All events stay in order."""
        pieces = [
            Piece(span.path, span.scope, span.text, ("alone", span.path, span.fixed), True, span.json, span.fixed)
            for span in self.response_spans(event)
        ]
        return Delta(pieces, _LANE, final=_completes(event))

    def echoes(self, body: Any, changed: Set[Path]) -> list[Path]:
        """None."""
        return []

    def usage(self, body: Any) -> Usage | None:
        """Tokens used, where an answer or event says so."""
        return counts.tokens(body.get("usage")) if isinstance(body, dict) else None

    def reply(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """An answer without a picture; the text stands where the API says what it made of the prompt."""
        usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
        details = {"text_tokens": 0, "image_tokens": 0}
        data = [{"revised_prompt": text}] if text else []
        return dump({"created": created, "data": data, "usage": {**usage, "input_tokens_details": details}})

    def reply_stream(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """An error event: no other can do without a picture."""
        return Ending().end(text)

    def ending(self) -> Ending:
        """Follows one stream."""
        return Ending()

    def cut(self, body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
        """The text ends; there is nothing after it to take away."""
        return {path: dump(text)}


class Ending(Brief):
    """See ``formats.base.Ending``. A picture cannot be ended, so a stream of them is broken off, as the API does it."""

    __slots__ = ("_over",)

    def __init__(self) -> None:
        self._over = False

    def see(self, event: Any) -> None:
        """See ``Ending``."""
        self._over = self._over or _completes(event)

    def end(self, text: str) -> bytes:
        """See ``Ending``."""
        message = text or "The picture was withheld."
        return b"" if self._over else OpenAI().error_event("moderation_blocked", message, "image_generation_user_error")


def _completes(event: Any) -> bool:
    kind = event.get("type") if isinstance(event, dict) else None
    return isinstance(kind, str) and kind.endswith(_COMPLETED)
