"""Google's Vertex AI: Gemini, Claude, and open models behind an OpenAI-shaped endpoint.

Sources: Vertex AI API reference (``publishers/google/models/M:generateContent``), "Use Anthropic's Claude models"
(``publishers/anthropic/models/M:rawPredict`` and ``:streamRawPredict``: the version stands in the body, the model in the
path, ``stream`` stays), "count tokens for Claude" (a model called ``count-tokens``, the real one in the body), "open models"
(``endpoints/openapi/chat/completions``, models are called PUBLISHER/MODEL). A date at the end of Claude's names follows an @.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from extproc.chat.losses import Losses
from extproc.providers.api import Body, Call, Names
from extproc.providers.gemini import METHODS, gemini_for
from extproc.providers.plain import Plain

_DATED: Final = re.compile(r"(claude-.+)-(20\d{6})", re.ASCII)
_GEMINI: Final = ("gemini", "gemini-count", "gemini-embed")
_CLAUDE: Final = ("anthropic-messages", "anthropic-count")


@dataclass(frozen=True, slots=True)
class Vertex(Plain):
    """A project in one location."""

    names: Names
    project: str
    location: str
    name: str = "vertex"
    formats: tuple[str, ...] = (*_GEMINI, *_CLAUDE, "openai-chat")
    stream_usage: bool = True
    passes: frozenset[str] = frozenset({"anthropic-beta"})
    renames: bool = True

    def speaks(self, model: str) -> tuple[str, ...]:
        """See ``Kind``."""
        if "/" in model:
            return ("openai-chat",)
        return _CLAUDE if model.startswith("claude") else _GEMINI

    def own_name(self, asked: str) -> str:
        """See ``Kind``."""
        return _DATED.sub(r"\1@\2", gemini_for(self.names.own(asked), "gemini-2.5-flash"))

    def target(self, base: str, call: Call) -> str | None:
        """See ``Kind``."""
        base = base if base.endswith(("/v1", "/v1beta1")) else f"{base}/v1"
        place = f"{base}/projects/{self.project}/locations/{self.location}"
        if call.path:
            return base + call.path
        path = self._path(call) if call.format in self.speaks(call.model) and call.model else None
        return place + path if path else None

    def _path(self, call: Call) -> str | None:
        model = quote(call.model, safe="@")
        if call.format == "openai-chat":
            return "/endpoints/openapi/chat/completions" if call.operation == "chat" else None
        if call.format == "anthropic-count":
            return "/publishers/anthropic/models/count-tokens:rawPredict"
        if call.format == "anthropic-messages":
            return f"/publishers/anthropic/models/{model}:{'streamRawPredict' if call.stream else 'rawPredict'}"
        method = METHODS.get((call.format, call.operation))
        if not method or (call.format == "gemini-embed" and "gemini" not in model) or model == "gemini-embedding-001":
            return None  # embedding models before gemini-embedding-2 have another method and shape here
        return f"/publishers/google/models/{model}:{method[call.stream]}"

    def adjusts(self, call: Call) -> bool:
        """See ``Kind``."""
        return call.format in _CLAUDE

    def adjust(self, body: Body, call: Call, losses: Losses) -> Body:
        """See ``Kind``: a body of Anthropic's own API becomes what Vertex takes."""
        if not self.adjusts(call):
            return body
        changed = {name: value for name, value in body.items() if name != "model"}
        if call.format == "anthropic-count":
            changed["model"] = call.model
        changed.setdefault("anthropic_version", "vertex-2023-10-16")
        return body if changed == body else changed
