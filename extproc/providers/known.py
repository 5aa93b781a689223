"""The providers we know by name. A new one that speaks a known format is a few lines of data here.

Sources: each provider's API reference (base URL, authentication header).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CHAT: Final = "openai-chat"
_COMPATIBLE: Final = (CHAT, "openai-completions", "openai-embeddings")
_OPENAI: Final = (
    CHAT, "openai-responses", "openai-completions", "openai-embeddings", "openai-moderations", "openai-images",
    "openai-image-edits", "openai-audio",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """What a provider's name brings along.

    ``base_url`` is what its SDK would be given, with the configuration's fields in braces; ``variable`` the environment
    variable its SDK reads the key from; ``models`` globs of the model names it serves, used when the configuration names no
    models; ``formats`` what it speaks, where that is OpenAI's API.
    """

    base_url: str
    variable: str = ""
    models: tuple[str, ...] = ()
    formats: tuple[str, ...] = _COMPATIBLE
    auth_header: str = "authorization"
    auth_prefix: str = "Bearer "

    @property
    def whole(self) -> bool:
        """Whether a key is all it takes."""
        return bool(self.variable and self.base_url) and "{" not in self.base_url


KNOWN: Final[dict[str, Known]] = {
    "openai": Known(
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        ("gpt-*", "o1*", "o3*", "o4*", "chatgpt-*", "ft:gpt-*"),
        _OPENAI,
    ),
    "anthropic": Known(
        "https://api.anthropic.com", "ANTHROPIC_API_KEY", ("claude-*",), (), auth_header="x-api-key", auth_prefix=""
    ),
    "gemini": Known(
        "https://generativelanguage.googleapis.com",
        "GEMINI_API_KEY",
        ("gemini-*", "text-bison*", "chat-bison*", "code-bison*", "codechat-bison*", "text-unicorn*"),
        (),
        auth_header="x-goog-api-key",
        auth_prefix="",
    ),
    "azure": Known(
        "https://{resource}.openai.azure.com",
        "AZURE_OPENAI_API_KEY",
        ("azure/*",),
        (),
        auth_header="api-key",
        auth_prefix="",
    ),
    "bedrock": Known("https://bedrock-runtime.{region}.amazonaws.com", "AWS_BEARER_TOKEN_BEDROCK", ("bedrock/*",), ()),
    "vertex": Known("https://{location}-aiplatform.googleapis.com/v1", "", ("vertex/*",), ()),
    "groq": Known(
        "https://api.groq.com/openai/v1", "GROQ_API_KEY", ("groq/*",), (CHAT, "openai-responses", "openai-audio")
    ),
    "mistral": Known(
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        ("mistral-*", "ministral-*", "codestral-*", "magistral-*", "pixtral-*"),
        (CHAT, "openai-embeddings", "openai-moderations"),
    ),
    "cerebras": Known("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", ("cerebras/*",), (CHAT, "openai-completions")),
    "deepseek": Known("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", ("deepseek-*",), (CHAT,)),
    "xai": Known("https://api.x.ai/v1", "XAI_API_KEY", ("grok-*",), (CHAT, "openai-responses", "openai-images")),
    "openrouter": Known(
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        ("openrouter/*",),
        (CHAT, "openai-responses", "openai-completions", "openai-embeddings", "anthropic-messages"),
    ),
    "together": Known(
        "https://api.together.xyz/v1",
        "TOGETHER_API_KEY",
        ("together/*",),
        (CHAT, "openai-completions", "openai-embeddings", "openai-images", "openai-audio"),
    ),
    "ollama": Known("http://127.0.0.1:11434/v1"),
    "vllm": Known("http://127.0.0.1:8000/v1"),
}
"""Known providers by name. A glob that starts with the provider's own name (``groq/*``) drops it before sending."""

EXTENDED: Final = frozenset({"openrouter", "vllm"})
"""Those that take more in chat completions than OpenAI does: see ``formats.openai_chat.encode.Dialect``."""

COMPATIBLE: Final = "openai-compatible"
TYPES: Final = (COMPATIBLE, *KNOWN)

_SHAPED: Final = frozenset({COMPATIBLE, *(name for name, known in KNOWN.items() if known.formats)})
_SERVERS: Final = frozenset({COMPATIBLE, "ollama", "vllm"})

FIELDS: Final[dict[str, frozenset[str]]] = {
    "path": _SHAPED,
    "stream_usage": _SHAPED,
    "formats": _SERVERS,
    "organization": frozenset({"openai", COMPATIBLE}),
    "project": frozenset({"openai", COMPATIBLE, "vertex"}),
    "resource": frozenset({"azure"}),
    "deployments": frozenset({"azure"}),
    "api_version": frozenset({"azure"}),
    "entra": frozenset({"azure"}),
    "azure_headers": frozenset({"azure"}),
    "machine": frozenset({"azure", "bedrock", "vertex"}),
    "region": frozenset({"bedrock"}),
    "profile": frozenset({"bedrock"}),
    "role": frozenset({"bedrock"}),
    "location": frozenset({"vertex"}),
}
"""Which types take which fields of the configuration; all take the others."""

ADDABLE: Final = (*_OPENAI[1:], "anthropic-messages", "anthropic-count")
"""Formats that a server of one's own may speak besides."""


def type_of(name: str, type_: str | None) -> str:
    """A provider's type: where the configuration names none, its own name is one."""
    return type_ or name
