"""Anthropic's API. Source: https://docs.anthropic.com/en/api (versions, messages, count_tokens, complete, models)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from extproc.chat.losses import Losses
from extproc.providers.api import Body, Call, Names, Pairs

_PATHS: Final = {
    ("anthropic-messages", "chat"): "/messages",
    ("anthropic-count", "count_tokens"): "/messages/count_tokens",
    ("anthropic-complete", "completions"): "/complete",
}


@dataclass(frozen=True, slots=True)
class Anthropic:
    """Anthropic, or a server like it."""

    names: Names
    name: str = "anthropic"
    formats: tuple[str, ...] = ("anthropic-messages", "anthropic-count", "anthropic-complete")
    stream_usage: bool = False
    passes: frozenset[str] = frozenset({"anthropic-version", "anthropic-beta"})
    defaults: Pairs = (("anthropic-version", "2023-06-01"),)

    @property
    def renames(self) -> bool:
        """See ``Kind``."""
        return bool(self.names.map)

    def speaks(self, model: str) -> tuple[str, ...]:
        """See ``Kind``."""
        return self.formats

    def own_name(self, asked: str) -> str:
        """See ``Kind``."""
        return self.names.own(asked)

    def target(self, base: str, call: Call) -> str | None:
        """See ``Kind``. ``base`` is without a version, as its SDK has it, or with one."""
        path = call.path or ("/models" if call.operation == "models" else _PATHS.get((call.format, call.operation)))
        return f"{base.removesuffix('/v1')}/v1{path}" if path else None

    def adjusts(self, call: Call) -> bool:
        """See ``Kind``."""
        return False

    def adjust(self, body: Body, call: Call, losses: Losses) -> Body:
        """See ``Kind``."""
        return body
