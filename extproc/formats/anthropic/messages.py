"""Anthropic messages, and the counting of their tokens: requests, answers, streams and errors.

Source: Claude API reference, "Messages", "Streaming messages" and "Count tokens in a message".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any, Final

from extproc.chat.answer import Usage
from extproc.chat.codec import Codec
from extproc.formats.anthropic import events, says, texts
from extproc.formats.anthropic.codec import AnthropicCodec
from extproc.formats.anthropic.family import Anthropic
from extproc.formats.anthropic.words import NAME, read_usage
from extproc.formats.base import Delta, Ending, Signed, Span
from extproc.framing.jsontext import Path, dump

_CODEC: Final = AnthropicCodec()


class AnthropicMessages(Anthropic):
    """See ``formats.base.Format``."""

    name = NAME
    codec: Codec | None = _CODEC
    streamed_text = b'"text":'

    def without_padding(self, data: bytes) -> bytes:
        """Part of an event without the blanks that providers put before its last brace to hide the text's length."""
        data = data.rstrip()
        return data[:-1].rstrip() + b"}" if data.endswith(b"}") else data

    def request_spans(self, body: dict[str, Any]) -> list[Span]:
        """Every text of a request."""
        return texts.of_request(body)

    def unscanned(self, body: dict[str, Any]) -> list[str]:
        """Kinds of blocks that are not text."""
        return texts.unscanned(body)

    def response_spans(self, body: Any) -> list[Span]:
        """Every text of a whole answer or error."""
        return texts.of_answer(body)

    def delta(self, event: Any) -> Delta:
        """Every text of a stream's event, and its order among the others."""
        return events.delta(event)

    def echoes(self, body: Any, changed: Set[Path]) -> list[Path]:
        """None: nothing in a message says its text again."""
        return []

    def signed(self, body: Any) -> Iterable[Signed]:
        """Claude's thoughts."""
        return texts.signed(body)

    def usage(self, body: Any) -> Usage | None:
        """Tokens used, where an answer or event says so: in itself, or in the message that begins."""
        for holder in (body, body.get("message")) if isinstance(body, dict) else ():
            usage = holder.get("usage") if isinstance(holder, dict) else None
            if isinstance(usage, dict):
                return read_usage(usage)
        return None

    def reply(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """A whole answer that says ``text``."""
        return says.reply(text, model, request_id, refuses=refuses)

    def reply_stream(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """The same as a whole stream."""
        return says.reply_stream(text, model, request_id, refuses=refuses)

    def ending(self) -> Ending:
        """Follows one stream."""
        return says.Ending()

    def cut(self, body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
        """The message ends in this text; whatever it says after that goes."""
        return says.cut(body, path, text)


class AnthropicCount(AnthropicMessages):
    """The same requests, asked how long they are. The answer is a number: nothing is generated, streamed or converted."""

    name = "anthropic-count"
    codec = None

    def streamed(self, body: dict[str, Any]) -> bool:
        """Never."""
        return False

    def usage(self, body: Any) -> Usage | None:
        """None: counting uses nothing."""
        return None

    def reply(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """No tokens: a number is all that can be answered."""
        return dump({"input_tokens": 0})

    def reply_stream(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """The same; there are no streams of this."""
        return self.reply(text, model, request_id, created, refuses=refuses)
