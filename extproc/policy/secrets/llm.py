"""Keys of model providers and of the services around them. Source: each provider's own documentation of its keys."""

from __future__ import annotations

import re
from typing import Final

from extproc.policy.secrets.checks import random_looking, varied
from extproc.policy.secrets.family import Family
from extproc.policy.secrets.parts import ALNUM, LOWER_HEX, URLSAFE, named, prefixed

_OTHERS: Final = re.compile("(?:ant|or|lf)-")


def _openai(key: str) -> bool:
    return _OTHERS.match(key) is None and ("T3BlbkFJ" in key or random_looking(key))


FAMILIES: Final = (
    Family("openai", "llm", "OpenAI keys of every kind, and services with keys like them", (
        prefixed(r"\bsk-", URLSAFE + "{20,250}", _openai),
    )),
    Family("anthropic", "llm", "Anthropic API, admin and OAuth keys", (
        prefixed(r"sk-ant-", r"[a-z]{2,8}\d{2}-[\w-]{24,150}"),
    )),
    Family("google_api_key", "llm", "Google API keys (Gemini, Maps, Firebase)", (
        prefixed(r"\bAIza", URLSAFE + "{35,36}", most=35),
    )),
    Family("huggingface", "llm", "Hugging Face tokens", (
        prefixed(r"\bhf_", "[A-Za-z0-9]{34,40}", varied),
        prefixed(r"\bapi_org_", "[A-Za-z0-9]{34}", varied),
    )),
    Family("cohere", "llm", "Cohere keys, by name", (
        named(r"\bco_?(?:here)?[_-]?api[_-]?key", ALNUM + r"{40}\b", name=""),
        named("cohere", ALNUM + r"{40}\b"),
    )),
    Family("mistral", "llm", "Mistral keys, by name", (named("mistral", ALNUM + r"{32}\b"),)),
    Family("groq", "llm", "Groq keys", (prefixed(r"\bgsk_", ALNUM + "{48,56}"),)),
    Family("replicate", "llm", "Replicate tokens", (prefixed(r"\br8_", ALNUM + "{37,40}"),)),
    Family("perplexity", "llm", "Perplexity keys", (prefixed(r"\bpplx-", ALNUM + "{40,64}"),)),
    Family("xai", "llm", "xAI keys", (prefixed(r"\bxai-", ALNUM + "{64,100}"),)),
    Family("openrouter", "llm", "OpenRouter keys", (prefixed(r"\bsk-or-", r"(?:v\d-)?[0-9a-f]{40,64}"),)),
    Family("together", "llm", "Together keys, by name and in their own shape", (
        named("together", LOWER_HEX + r"{64}\b"),
        prefixed(r"\btgp_v\d_", URLSAFE + "{40,50}"),
    )),
    Family("fireworks", "llm", "Fireworks keys", (prefixed(r"\bfw_", ALNUM + r"{22,24}\b"),)),
    Family("cerebras", "llm", "Cerebras keys", (prefixed(r"\bcsk-", "[a-z0-9]{48}"),)),
    Family("nvidia", "llm", "NVIDIA API keys", (prefixed(r"\bnvapi-", URLSAFE + "{60,70}"),)),
    Family("langsmith", "llm", "LangSmith keys", (prefixed(r"\blsv2_(?:pt|sk)_", "[0-9a-f]{32}_[0-9a-f]{10}"),)),
    Family("langfuse", "llm", "Langfuse secret keys", (prefixed(r"\bsk-lf-", "[0-9a-f-]{36}"),)),
    Family("voyage", "llm", "Voyage keys", (prefixed(r"\bpa-", URLSAFE + "{43,44}", most=43),)),
    Family("jina", "llm", "Jina keys", (prefixed(r"\bjina_", "[0-9a-f]{32}[A-Za-z0-9_-]{20,40}"),)),
    Family("elevenlabs", "llm", "ElevenLabs keys", (prefixed(r"\bsk_", LOWER_HEX + r"{48}\b"),)),
    Family("tavily", "llm", "Tavily keys", (prefixed(r"\btvly-", r"(?:dev-|prod-)?[A-Za-z0-9]{28,40}"),)),
    Family("pinecone", "llm", "Pinecone keys", (prefixed(r"\bpcsk_", "[A-Za-z0-9]{5,7}_[A-Za-z0-9]{50,70}"),)),
    Family("wandb", "llm", "Weights & Biases keys, by name", (named("wandb|weights.{0,5}biases", LOWER_HEX + r"{40}\b"),)),
    Family("aws_bedrock", "llm", "Amazon Bedrock API keys", (
        prefixed(r"\bABSK", "[A-Za-z0-9+/]{80,280}={0,2}"),
        prefixed(r"bedrock-api-key-", "[A-Za-z0-9+/]{40,200}={0,2}", more="[A-Za-z0-9+/=]"),
    )),
)  # fmt: skip
