"""The providers we know by name. A new one that speaks a known format is a few lines of data here.

Sources: each provider's API reference (base URL, authentication header).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Known:
    """What a provider's name brings along.

    ``base_url`` is what an OpenAI SDK would be given; ``variable`` the environment variable its SDK reads the key from;
    ``models`` globs of the model names it serves, used when the configuration names no models.
    """

    base_url: str
    variable: str = ""
    models: tuple[str, ...] = ()
    format: str = "openai-chat"
    auth_header: str = "authorization"
    auth_prefix: str = "Bearer "


KNOWN: Final[dict[str, Known]] = {
    "openai": Known(
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        ("gpt-*", "o1*", "o3*", "o4*", "chatgpt-*", "ft:gpt-*"),
    ),
    "groq": Known("https://api.groq.com/openai/v1", "GROQ_API_KEY", ("groq/*",)),
    "mistral": Known(
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        ("mistral-*", "ministral-*", "codestral-*", "magistral-*", "pixtral-*"),
    ),
    "deepseek": Known("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", ("deepseek-*",)),
    "xai": Known("https://api.x.ai/v1", "XAI_API_KEY", ("grok-*",)),
    "openrouter": Known("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", ("openrouter/*",)),
    "together": Known("https://api.together.xyz/v1", "TOGETHER_API_KEY", ("together/*",)),
    "ollama": Known("http://127.0.0.1:11434/v1"),
    "vllm": Known("http://127.0.0.1:8000/v1"),
}
"""Known providers by name. A glob that starts with the provider's own name (``groq/*``) drops it before sending."""

TYPES: Final = ("openai-compatible", *KNOWN)
