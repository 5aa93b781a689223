"""Bodies of operations that only the configuration knows: JSON of which every text is inspected, or bytes that nobody reads.

Nothing is known of the JSON, so nothing in it is taken for structure but the name of the model, which is checked by itself.
Answers are JSON or server-sent events of JSON; the words in events nobody puts together are held to be harmless also after
what stood in their place before.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from extproc.chat.answer import Usage
from extproc.formats import counts
from extproc.formats.base import Format, Span
from extproc.formats.openai import OpenAI
from extproc.formats.openai_chat.counts import read_usage
from extproc.formats.plain import Plain
from extproc.formats.walk import Walk
from extproc.framing.sse import framed
from extproc.policy.api import Scope

GENERIC: Final = "generic"
OPAQUE: Final = "opaque"
_WORDS: Final = (":path",)


class Unknown(OpenAI, Plain):
    """What both have in common.

    Args:
        words: the client's own in path and query. They cannot be redacted: where they would be, the request is refused.
        voice: the format in whose way errors are told.
    """

    name: str
    texts: ClassVar[Walk] = Walk(frozenset(), frozenset())

    def __init__(self, words: tuple[str, ...] = (), voice: Format | None = None) -> None:
        self._words = words
        self._voice = voice
        if voice is not None:
            self.family = voice.family

    def error(self, status: int, code: str, message: str, kind: str, param: str = "") -> bytes:
        """An error body."""
        voice = self._voice
        return (voice.error if voice else super().error)(status, code, message, kind, param)

    def error_headers(self, status: int) -> tuple[tuple[str, str], ...]:
        """Headers that SDKs expect on an error."""
        return self._voice.error_headers(status) if self._voice else ()

    def error_event(self, code: str, message: str, kind: str) -> bytes:
        """An error in the middle of a stream, whose framing is always that of server-sent events."""
        voice = self._voice
        if voice is None:
            return super().error_event(code, message, kind)
        if voice.framing is not self.framing:
            return framed(voice.error(500, code, message, kind), "error")
        return voice.error_event(code, message, kind)

    def request_spans(self, body: dict[str, Any]) -> list[Span]:
        """Every text of a request, and what the client says beside it."""
        found = [Span(_WORDS, Scope.USER, word, fixed=True) for word in self._words]
        model = body.get("model")
        self.texts.members(body, (), Scope.USER, found, but="model" if isinstance(model, str) else None)
        return found


class Generic(Unknown):
    """JSON; see ``formats.base.Format``."""

    name = GENERIC

    def usage(self, body: Any) -> Usage | None:
        """Tokens used, where they are told as OpenAI or Anthropic do."""
        usage = body.get("usage") if isinstance(body, dict) else None
        return counts.tokens(usage) or (read_usage(body) if isinstance(usage, dict) else None)


class Opaque(Unknown):
    """Anything; see ``formats.base.Format``. It has no texts: they are not looked for."""

    name = OPAQUE

    def request_spans(self, body: dict[str, Any]) -> list[Span]:
        """None."""
        return []

    def unscanned(self, body: dict[str, Any]) -> list[str]:
        """All of it."""
        return ["request", "answer"]

    def response_spans(self, body: Any) -> list[Span]:
        """None."""
        return []


def told(name: str, words: tuple[str, ...], voice: Format) -> Format:
    """The format of this name for one exchange; see ``Unknown``."""
    return (Opaque if name == OPAQUE else Generic)(words, voice)
