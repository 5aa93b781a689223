"""Kind ``python``: a policy of your own code (see ``extproc.plugin``)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from extproc.config.units import Duration
from extproc.errors import ConfigError
from extproc.policy import python
from extproc.policy.api import Action, Phase, Policy
from extproc.policy.kinds.base import Context, PolicyBase
from extproc.policy.rules import Rule


class Python(PolicyBase):
    """A policy written in Python. The operator has to allow it: `processor: {python: true}`.

    It is a class with `inspect(texts, caller)`, `request(request)` or `response(answer)`, or several of them; the docstring of
    `extproc.plugin` says what each is given and may say.
    """

    allowed_actions = frozenset({Action.BLOCK, Action.AUDIT, Action.REDACT})
    tightens = False
    example = """
processor: {python: true}
policies:
  shouting: {kind: python, path: "shouting.py:NoShouting", action: block, config: {letters: 20}}
"""
    kind: Literal["python"]
    action: Action = Field(Action.BLOCK, description="what a finding leads to: block, audit, or in requests redact")
    path: str = Field("", description="FILE.py:CLASS, beside the configuration file")
    entry: str = Field("", description="name of an entry point in the group `extproc.policies` of an installed package")
    config: dict[str, Any] = Field({}, description="for the class's own `Config`")
    deadline: Annotated[Duration, Field(le=60)] = Field(
        1.0, description="seconds after which `inspect` counts as failed"
    )
    window: int = Field(2000, ge=1, le=100_000, description="characters of a streamed answer inspected at a time")

    override: str = Field("", description="of the words in the class's `Override`, the one that holds without a header")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.path) == bool(self.entry):
            raise ValueError("needs either `path` or `entry`")
        return self

    def rules(self, name: str, context: Context) -> list[Rule]:
        """None."""
        return []

    def compile(self, name: str, context: Context) -> Policy:
        """Import and make the policy."""
        if not context.python:
            raise ConfigError("policies in Python have to be allowed: `processor: {python: true}`")
        class_ = python.find(self.path, self.entry, context.folder)
        words = python.overrides(class_)
        if self.override and self.override not in words:
            raise ConfigError(
                f"`override` must be one of: {', '.join(words) or 'none, as the class has no `Override`'}"
            )
        code = python.make(class_, self.config)
        policy = replace(super().compile(name, context), overrides=words, override=self.override or "".join(words[:1]))
        template = self.replacement("{type}", context)
        if python.has(code, "request") and Phase.REQUEST in policy.phases:
            policy = replace(policy, request=python.Hook(code))
        if python.has(code, "response") and Phase.RESPONSE in policy.phases:
            policy = replace(policy, response=python.AnswerHook(code, template))
        if python.has(code, "inspect"):
            local = python.Local(code, self.deadline, self.window, 0, template)
            policy = replace(policy, moderation=local)
        return policy
