"""Kind ``models``: which models may be asked for."""

from __future__ import annotations

import re
from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from extproc.policy.fields import LISTS, MODELS, TOOLS, plain
from extproc.policy.globs import Globs
from extproc.policy.kinds.base import Context, Names, RequestPolicyBase, needs_one
from extproc.policy.request import Request, Verdict

_DATED: Final = re.compile(r"[-@](?:\d{4}-?\d{2}-?\d{2}|\d{4}|\d{2}-\d{4}|latest|preview)$|-v\d+(?::\d+)?$")
"""What providers add to a model's name for its versions."""


class Models(RequestPolicyBase):
    """Models by name or glob. Every model a request names counts: fallbacks, and those of tools, too.

    `allow` compares exactly, as providers do: `gpt-4o` does not allow `gpt-4o-2024-08-06`. `deny` also finds a name in
    another case and in its dated versions: `gpt-4o` denies `GPT-4o-2024-08-06`. `deny` wins.
    """

    example = """
policies:
  models: {kind: models, allow: ["gpt-4.1*", "claude-*"], deny: ["*-preview"]}
"""
    kind: Literal["models"]
    allow: Names | None = Field(None, description="names and globs (`gpt-4.1*`); absent: all")
    deny: Names = Field([], description="names and globs")

    @model_validator(mode="after")
    def _something(self) -> Self:
        needs_one(self, "allow", "deny")
        return self

    def rule(self, name: str, context: Context) -> _Rule:
        """The lists, compiled."""
        allow = None if self.allow is None else Globs(self.allow)
        return _Rule(allow, Globs(self.deny, ignore_case=True))


class _Rule:
    def __init__(self, allow: Globs | None, deny: Globs) -> None:
        self._allow, self._deny = allow, deny

    def judge(self, request: Request) -> Verdict | None:
        """See ``RequestRule``."""
        for name in _named(request):
            if not isinstance(name, str):
                return Verdict("unreadable", "The request names a model in a way that is not accepted.", param="model")
            if self._denied(name):
                return Verdict("denied", "This model may not be used.", param="model")
            if self._allow is not None and name not in self._allow:
                return Verdict("not_allowed", "This model is not among those that may be used.", param="model")
        return None

    def _denied(self, name: str) -> bool:
        names = {name}
        while (shorter := _DATED.sub("", name.strip().casefold())) != name:
            names.add(shorter)
            name = shorter
        return any(each in self._deny for each in names)


def _named(request: Request) -> list[Any]:
    """Every model of a request; strings, unless a request says it in some odd way."""
    found: list[Any] = [request.model] if request.model else []
    for member in request.members:
        if member.name in MODELS and member.value is not None:
            found += member.value if isinstance(member.value, list) and member.name in LISTS else [member.value]
        elif member.name in TOOLS and isinstance(member.value, list):
            tools = [tool for tool in member.value if isinstance(tool, dict)]
            found += [value for tool in tools for key, value in tool.items() if plain(key) in MODELS]
    named = [each.get("model", each) if isinstance(each, dict) else each for each in found]
    return [_plain(each) if request.format.startswith("gemini") else each for each in named]


def _plain(name: Any) -> Any:
    """A model's name without the collection that Gemini's bodies put before it."""
    return name.removeprefix("models/") if isinstance(name, str) else name
