"""Anthropic's API. Source: https://docs.anthropic.com/en/api (versions, messages, count_tokens, complete, models)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from extproc.providers.api import Call, Names, Pairs
from extproc.providers.plain import Plain

_PATHS: Final = {
    ("anthropic-messages", "chat"): "/messages",
    ("anthropic-count", "count_tokens"): "/messages/count_tokens",
    ("anthropic-complete", "completions"): "/complete",
}


@dataclass(frozen=True, slots=True)
class Anthropic(Plain):
    """Anthropic, or a server like it."""

    names: Names
    name: str = "anthropic"
    formats: tuple[str, ...] = ("anthropic-messages", "anthropic-count", "anthropic-complete")
    passes: frozenset[str] = frozenset({"anthropic-version", "anthropic-beta"})
    defaults: Pairs = (("anthropic-version", "2023-06-01"),)

    def target(self, base: str, call: Call) -> str | None:
        """See ``Kind``. ``base`` is without a version, as its SDK has it, or with one."""
        path = call.path or ("/models" if call.operation == "models" else _PATHS.get((call.format, call.operation)))
        return f"{base.removesuffix('/v1')}/v1{path}" if path else None
