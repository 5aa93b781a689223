"""What models are known not to take. The one table of it; whatever is not here may be all right, and is tried.

Only what a maker or host documents as missing is said, as of autumn 2025: OpenAI's and Azure's model pages, Anthropic's models
overview, Google's Gemini and Gemma pages, Mistral's, DeepSeek's, xAI's, Groq's and Cerebras' lists of models, Amazon Bedrock's
"Supported models and model features" of Converse. A configuration says otherwise of a backend by its ``abilities``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal, get_args

Ability = Literal["image", "audio", "video", "file", "tools", "reasoning"]
ABILITIES: Final[tuple[Ability, ...]] = get_args(Ability)
"""What a request may need: to bring a picture, sound, a film or a file, to offer tools, to ask for (more or less) thought."""

_NOTHING: Final[frozenset[str]] = frozenset()
_SOUND: Final = frozenset({"audio", "video"})
_BLIND: Final = frozenset({"image", "audio", "video"})
_TEXT: Final = _BLIND | {"file"}
_THOUGHT: Final = frozenset({"reasoning"})
_TOOLS: Final = frozenset({"tools"})

_TABLE: Final[dict[str, frozenset[str]]] = {
    # OpenAI
    "gpt-3.5-turbo*": _TEXT | _THOUGHT,
    "gpt-4": _TEXT | _THOUGHT,
    "gpt-4-0314": _TEXT | _THOUGHT,
    "gpt-4-0613": _TEXT | _THOUGHT,
    "gpt-4-32k*": _TEXT | _THOUGHT,
    "gpt-4-0125-preview": _TEXT | _THOUGHT,
    "gpt-4-1106-preview": _TEXT | _THOUGHT,
    "gpt-4-turbo-preview": _TEXT | _THOUGHT,
    "gpt-4-turbo*": _SOUND | _THOUGHT,
    "gpt-4.1*": _SOUND | _THOUGHT,
    "gpt-4o*": _SOUND | _THOUGHT,
    "gpt-4o-audio-preview*": frozenset({"image", "video", "reasoning"}),
    "gpt-4o-mini-audio-preview*": frozenset({"image", "video", "reasoning"}),
    "gpt-4o-search-preview*": _TEXT | _THOUGHT | _TOOLS,
    "gpt-4o-mini-search-preview*": _TEXT | _THOUGHT | _TOOLS,
    "gpt-audio*": frozenset({"image", "video", "reasoning"}),
    "gpt-5*": _SOUND,
    "chatgpt-4o-latest": _SOUND | _THOUGHT | _TOOLS,
    "o1*": _SOUND,
    "o1-mini*": _TEXT | _TOOLS | _THOUGHT,
    "o1-preview*": _TEXT | _TOOLS | _THOUGHT,
    "o3*": _SOUND,
    "o3-mini*": _TEXT,
    "o4-mini*": _SOUND,
    "gpt-oss*": _TEXT,
    # Anthropic; on Bedrock and Vertex AI the same names with more around them
    "claude-*": _SOUND,
    "claude-instant*": _BLIND | _TOOLS | _THOUGHT,
    "claude-v2*": _BLIND | _TOOLS | _THOUGHT,
    "claude-2*": _BLIND | _TOOLS | _THOUGHT,
    "claude-3-haiku*": _SOUND | _THOUGHT,
    "claude-3-sonnet*": _SOUND | _THOUGHT,
    "claude-3-opus*": _SOUND | _THOUGHT,
    "claude-3-5*": _SOUND | _THOUGHT,
    # Google
    "gemini-1.5*": _THOUGHT,
    "gemini-2.0-flash*": _THOUGHT,
    "gemini-2.0-flash-thinking*": _NOTHING,
    "gemma-3-*": _SOUND | _TOOLS | _THOUGHT,
    "gemma-3-1b*": _TEXT | _TOOLS | _THOUGHT,
    # Mistral: the versions without eyes by their dates, because what `-latest` means changes
    "open-mistral-7b*": _TEXT,
    "open-mistral-nemo*": _TEXT,
    "open-mixtral*": _TEXT,
    "open-codestral-mamba*": _TEXT,
    "codestral-*": _TEXT,
    "mistral-large-2402": _TEXT,
    "mistral-large-2407": _TEXT,
    "mistral-large-2411": _TEXT,
    "mistral-small-2402": _TEXT,
    "mistral-small-2409": _TEXT,
    "mistral-saba*": _TEXT,
    "ministral-3b-2410": _TEXT,
    "ministral-8b-2410": _TEXT,
    "magistral-small-2506": _TEXT,
    "magistral-medium-2506": _TEXT,
    # DeepSeek, xAI
    "deepseek-chat*": _TEXT,
    "deepseek-reasoner*": _TEXT,
    "deepseek-r1*": _TEXT,
    "grok-beta": _TEXT,
    "grok-2": _TEXT,
    "grok-2-1212": _TEXT,
    "grok-2-latest": _TEXT,
    "grok-3*": _TEXT,
    "grok-code-fast*": _TEXT,
    # Groq, Cerebras and others who serve open models
    "llama3-*": _TEXT,
    "llama3.1-*": _TEXT,
    "llama-3.1-*": _TEXT,
    "llama-3.3-*": _TEXT,
    "gemma2-*": _TEXT,
    "qwen3-32b*": _TEXT,
    "qwen-3-32b*": _TEXT,
    "qwen-3-235b*": _TEXT,
    "kimi-k2-instruct*": _TEXT,
    # Bedrock
    "amazon.titan-text*": _BLIND | _TOOLS,
    "amazon.nova-micro*": _BLIND,
    "meta.llama2*": _BLIND | _TOOLS,
    "meta.llama3-8b*": _BLIND | _TOOLS,
    "meta.llama3-70b*": _BLIND | _TOOLS,
    "meta.llama3-1-*": _BLIND,
    "meta.llama3-2-1b*": _BLIND,
    "meta.llama3-2-3b*": _BLIND,
    "meta.llama3-3-*": _BLIND,
    "mistral.mistral-7b*": _BLIND | _TOOLS,
    "mistral.mixtral*": _BLIND | _TOOLS,
    "mistral.mistral-large-24*": _BLIND,
    "mistral.mistral-small-2402*": _BLIND,
    "cohere.command-text*": _BLIND | _TOOLS,
    "cohere.command-light*": _BLIND | _TOOLS,
    "cohere.command-r-*": _BLIND,
    "ai21.j2*": _BLIND | _TOOLS,
    "ai21.jamba-instruct*": _BLIND | _TOOLS,
    "ai21.jamba-1-5*": _BLIND,
    "deepseek.r1*": _BLIND | _TOOLS,
}
"""By name, or what names begin with; of those that fit, the longest counts. `file`: one that is not plain text."""

_AROUND: Final = re.compile(
    r"(?:.*/)?(?:ft:)?(?:(?:us|us-gov|eu|apac|jp|au|ca|global)\.)?(?:(?:anthropic|openai)\.)?", re.ASCII | re.DOTALL
)
"""What hosts put before a model's name: makers, paths of ARNs, regions. A maker's part of Bedrock's other names stays."""

OWN_NAMES: Final = frozenset({"azure", "openai-compatible", "vllm"})
"""Types of providers whose operators name the models: a deployment called ``gpt-4`` may be any."""


@lru_cache(1024)
def lacking(model: str) -> frozenset[str]:
    """What a model is known not to take."""
    name = _AROUND.sub("", model.lower(), count=1)
    found = _TABLE.get(name)
    if found is not None:
        return found
    globs = [glob for glob in _GLOBS if name.startswith(glob[:-1])]
    return _TABLE[max(globs, key=len)] if globs else _NOTHING


_GLOBS: Final = tuple(glob for glob in _TABLE if glob.endswith("*"))
