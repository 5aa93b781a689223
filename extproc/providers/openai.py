"""OpenAI's API, and that of everyone who speaks it: which operation is at which path.

Source: OpenAI API reference, https://platform.openai.com/docs/api-reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from extproc.chat.losses import Losses
from extproc.providers.api import Body, Call, Names
from extproc.providers.plain import Plain
from extproc.providers.quirks import NONE, Quirks

PATHS: Final = {
    ("openai-chat", "chat"): "/chat/completions",
    ("openai-responses", "chat"): "/responses",
    ("openai-responses", "count_tokens"): "/responses/input_tokens",
    ("openai-completions", "completions"): "/completions",
    ("openai-embeddings", "embeddings"): "/embeddings",
    ("openai-moderations", "moderations"): "/moderations",
    ("openai-images", "images"): "/images/generations",
    ("openai-image-edits", "image-edits"): "/images/edits",
    ("openai-image-edits", "image-variations"): "/images/variations",
    ("openai-audio", "speech"): "/audio/speech",
    ("openai-audio", "transcriptions"): "/audio/transcriptions",
    ("openai-audio", "translations"): "/audio/translations",
    ("anthropic-messages", "chat"): "/messages",  # compatible servers have it beside /chat/completions
    ("anthropic-count", "count_tokens"): "/messages/count_tokens",
}
"""Paths below the base URL that an SDK is given, by format and operation."""

_OPENAI: Final = frozenset({"openai-beta"})
_ANTHROPIC: Final = _OPENAI | {"anthropic-version", "anthropic-beta"}


@dataclass(frozen=True, slots=True)
class OpenAI(Plain):
    """OpenAI or a server like it. ``chat_path``: where chat completions are if not at the usual path."""

    name: str
    formats: tuple[str, ...]
    names: Names
    quirks: Quirks = NONE
    chat_path: str = ""
    stream_usage: bool = True

    @property
    def passes(self) -> frozenset[str]:
        """See ``Kind``."""
        return _ANTHROPIC if "anthropic-messages" in self.formats else _OPENAI

    def target(self, base: str, call: Call) -> str | None:
        """See ``Kind``."""
        if call.path or call.operation == "models":
            return base + (call.path or "/models")
        path = PATHS.get((call.format, call.operation)) if call.format in self.formats else None
        if path and self.chat_path and call.format == "openai-chat":
            path = self.chat_path
        return base + path if path else None

    def adjusts(self, call: Call) -> bool:
        """See ``Kind``."""
        return call.format == "openai-chat" and self.quirks != NONE

    def adjust(self, body: Body, call: Call, losses: Losses) -> Body:
        """See ``Kind``."""
        return self.quirks.applied(body, losses) if self.adjusts(call) else body
