"""Kind ``moderation``: another service judges the texts (see ``extproc.moderation``)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from extproc.config.units import Duration
from extproc.moderation import api, services
from extproc.policy.api import Action, Policy
from extproc.policy.kinds.base import Context, PolicyBase, _listed
from extproc.policy.rules import Rule


class Moderation(PolicyBase):
    """A service judges: OpenAI's moderation endpoint, a chat model, Presidio, Bedrock, Azure, or one of your own."""

    example = """
policies:
  safe: {kind: moderation, service: openai, key: env:MODERATION_KEY, wait: parallel, categories: {violence: 0.7}}
"""
    kind: Literal["moderation"]
    service: api.Service = Field(
        description="who judges; `judge` is any chat model, `grpc` and `webhook` your own service"
    )
    url: str = Field("", description="where it is; OpenAI unless said, for `openai` and `judge`")
    model: str = Field("", description="what it judges with; for bedrock GUARDRAIL/VERSION")
    key: Annotated[list[str], BeforeValidator(_listed)] | None = Field(
        None, description="reference (`env:X`, `file:P`) to its key; for bedrock also [id, secret, session token]"
    )
    categories: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        {}, description="the score from which on each counts; absent: whatever the service itself flags"
    )
    action: Action = Field(
        Action.BLOCK, description="block, audit, or redact (services that say where; in requests, with `wait: before`)"
    )
    wait: Literal["before", "parallel"] = Field(
        "before", description="parallel: only the answer waits, not the request"
    )
    deadline: Annotated[Duration, Field(le=60)] = Field(2.0, description="after it, the service counts as failed")
    window: int = Field(2000, ge=1, le=100_000, description="characters of a streamed answer judged at a time")
    lag: int = Field(0, ge=0, le=100_000, description="characters of it that may leave before they are judged")
    language: str = Field("en", pattern="^[a-z]{2}$", description="language of the texts, for presidio")
    ca: str | None = Field(None, description="PEM bundle its certificate is checked with; default: the system's")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        found = services.problem(self.service, self._place, self.model, [api.label(each) for each in self.categories])
        if found:
            raise ValueError(found)
        if self.action not in self._actions:
            raise ValueError(f"`action` must be {', '.join(sorted(self._actions))} here; {services.REDACTS}")
        return self

    @property
    def _place(self) -> str:
        return self.url or services.KNOWN[self.service].url

    @property
    def _actions(self) -> frozenset[Action]:
        redacts = services.KNOWN[self.service].places and self.phase == "request" and self.wait == "before"
        return frozenset({Action.AUDIT, Action.BLOCK} | ({Action.REDACT} if redacts else set()))

    def rules(self, name: str, context: Context) -> list[Rule]:
        """None."""
        return []

    def compile(self, name: str, context: Context) -> Policy:
        """A policy without rules, with a description of the service."""
        services.load(self.service)  # now, rather than when the first text waits for it
        description = api.Moderation(
            keys=services.keys(self.service, self.key, self._place, context.environment, context.folder),
            thresholds=tuple(sorted((api.label(each), least) for each, least in self.categories.items())),
            ca=str(context.folder / self.ca) if self.ca else "",
            places=Action.REDACT in self._actions,
            template=self.replacement("{type}", context),
            url=self._place,
            **{
                each: getattr(self, each)
                for each in ("service", "model", "wait", "deadline", "window", "lag", "language")
            },
        )
        return replace(super().compile(name, context), moderation=description, actions=self._actions)
