"""Google's Gemini API. Source: https://ai.google.dev/api (generateContent, countTokens, embedContent, models).

Models of the PaLM API, which is gone, stand for those of Gemini that took their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from extproc.chat.losses import Losses
from extproc.providers.api import Body, Call, Names
from extproc.providers.plain import Plain

METHODS: Final = {
    ("gemini", "chat"): ("generateContent", "streamGenerateContent?alt=sse"),
    ("gemini-count", "count_tokens"): ("countTokens", "countTokens"),
    ("gemini-embed", "embeddings"): ("embedContent", "embedContent"),
    ("gemini-batch-embed", "embeddings"): ("batchEmbedContents", "batchEmbedContents"),
}
"""Methods by format and operation: for whole answers, and for streams."""
PALM: Final = ("text-bison", "chat-bison", "code-bison", "codechat-bison", "text-unicorn", "code-gecko")
PALM_EMBEDDINGS: Final = ("embedding-gecko", "textembedding-gecko")
_VERSIONS: Final = ("/v1beta", "/v1alpha", "/v1")


@dataclass(frozen=True, slots=True)
class Gemini(Plain):
    """The Gemini API."""

    names: Names
    name: str = "gemini"
    formats: tuple[str, ...] = ("gemini", "gemini-count", "gemini-embed", "gemini-batch-embed")
    renames: bool = True

    def own_name(self, asked: str) -> str:
        """See ``Kind``."""
        return gemini_for(self.names.own(asked.removeprefix("models/")).removeprefix("models/"), "gemini-flash-latest")

    def target(self, base: str, call: Call) -> str | None:
        """See ``Kind``."""
        base = base if base.endswith(_VERSIONS) else f"{base}/v1beta"
        if call.path or call.operation == "models":
            return base + (call.path or "/models")
        method = METHODS.get((call.format, call.operation))
        collection, _, name = _resource(call.model).partition("/")
        return f"{base}/{collection}/{quote(name, safe='')}:{method[call.stream]}" if method and name else None

    def adjusts(self, call: Call) -> bool:
        """See ``Kind``."""
        return call.format in ("gemini-count", "gemini-embed", "gemini-batch-embed")

    def adjust(self, body: Body, call: Call, losses: Losses) -> Body:
        """See ``Kind``: these bodies may name the model again, and must name the one in the path."""
        name = _resource(call.model)
        changed = {**body, "model": name} if "model" in body else dict(body)
        if isinstance(requests := body.get("requests"), list):
            changed["requests"] = [_named(each, name) for each in requests]
        if isinstance(inner := body.get("generateContentRequest"), dict):
            changed["generateContentRequest"] = _named(inner, name)
        return body if changed == body or not self.adjusts(call) else changed


def gemini_for(model: str, chat: str) -> str:
    """What stands for a model of PaLM: ``chat``, or an embedding model; other models stay."""
    if model.startswith(PALM_EMBEDDINGS):
        return "gemini-embedding-001"
    return chat if model.startswith(PALM) else model


def _resource(model: str) -> str:
    return model if model.startswith("tunedModels/") else f"models/{model}"


def _named(request: Any, name: str) -> Any:
    return {**request, "model": name} if isinstance(request, dict) else request
