"""What the configuration of every kind has in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from extproc.config.strict import Strict
from extproc.policy.api import Action, Mode, OnError, Phase, Policy, Scope
from extproc.policy.request import RequestRule
from extproc.policy.rules import Rule

ScopeName = Literal["system", "user", "assistant", "reasoning", "tool_input", "tool_output", "tool"]


@dataclass(frozen=True, slots=True)
class Context:
    """What a kind may look at while it compiles: the file's folder, the operator's packs, the default replacement."""

    folder: Path = Path()
    packs: Path | None = None
    redaction: str = "[{type}]"


def scopes(names: Sequence[str] | None) -> frozenset[Scope]:
    """The scopes of these names; all if there are none."""
    found: set[Scope] = set()
    for name in names if names is not None else list(Scope):
        found |= {Scope.TOOL_INPUT, Scope.TOOL_OUTPUT} if name == "tool" else {Scope(name)}
    return frozenset(found)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class PolicyBase(Strict):
    """Fields of every policy."""

    allowed_actions: ClassVar[frozenset[Action]] = frozenset(Action)

    action: Action = Field(Action.REDACT, description="what a match leads to: audit, redact, block or reply")
    phase: Literal["both", "request", "response"] = Field("both", description="which way the text travels")
    scope: Annotated[list[ScopeName], BeforeValidator(_listed)] | None = Field(
        None, description="whose words are looked at; absent: all. `tool` is tool_input and tool_output"
    )
    mode: Mode = Field(Mode.ENFORCE, description="enforce does it, audit only records what it would have done")
    on_error: OnError = Field(OnError.BLOCK, description="what a failing policy counts as")
    replace: str | None = Field(
        None, description="what stands in for redacted text; `{type}` names what was found. Default: `redaction`"
    )
    reply: str | None = Field(None, description="with `action: reply`: the text answered in the model's place")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.action is Action.REPLY and (not self.reply or self.phase != "request"):
            raise ValueError("`action: reply` needs a `reply` text and `phase: request`")
        if self.reply is not None and self.action is not Action.REPLY:
            raise ValueError("`reply` is only used with `action: reply`")
        if self.replace is not None and self.action is not Action.REDACT:
            raise ValueError("`replace` is only used with `action: redact`")
        return self

    def replacement(self, label: str, context: Context) -> str:
        """The text that stands in for a match of ``label``."""
        template = self.replace if self.replace is not None else context.redaction
        return template.replace("{type}", label)

    def rules(self, name: str, context: Context) -> list[Rule]:
        """The kind's rules. Raises PatternError, UnresolvedError or ConfigError where the configuration cannot work."""
        raise NotImplementedError

    def compile(self, name: str, context: Context) -> Policy:
        """Build the policy."""
        return Policy(
            name=name,
            action=self.action,
            mode=self.mode,
            phases=frozenset(Phase) if self.phase == "both" else frozenset({Phase(self.phase)}),
            scopes=scopes(self.scope),
            rules=tuple(self.rules(name, context)),
            on_error=self.on_error,
            reply=self.reply or "",
        )


Names = Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_listed)]
"""One or several."""

_OF_TEXTS = ("phase", "scope", "replace", "reply")


class RequestPolicyBase(Strict):
    """Fields of every policy that judges a request as a whole, before it goes anywhere."""

    action: Literal[Action.BLOCK, Action.REDACT, Action.REPLY, Action.AUDIT] = Field(
        Action.BLOCK, description="block refuses the request; audit only records what was found"
    )
    mode: Mode = Field(Mode.ENFORCE, description="enforce does it, audit only records what it would have done")
    on_error: OnError = Field(OnError.BLOCK, description="what a failing policy counts as")

    actions: ClassVar[frozenset[Action]] = frozenset({Action.BLOCK, Action.AUDIT})

    @model_validator(mode="before")
    @classmethod
    def _no_texts(cls, data: Any) -> Any:
        for name in _OF_TEXTS if isinstance(data, dict) else ():
            if name in data and name not in cls.model_fields:
                raise ValueError(f"`{name}` has no meaning here: this kind judges the request as a whole")
        return data

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.action not in self.actions:
            raise ValueError(f"`action` must be one of: {', '.join(sorted(self.actions))}")
        return self

    def rule(self, name: str, context: Context) -> RequestRule:
        """The kind's rule. Raises PatternError, UnresolvedError or ConfigError where the configuration cannot work."""
        raise NotImplementedError

    def compile(self, name: str, context: Context) -> Policy:
        """Build the policy."""
        return Policy(
            name=name,
            action=self.action,
            mode=self.mode,
            phases=frozenset({Phase.REQUEST}),
            scopes=frozenset(Scope),
            rules=(),
            on_error=self.on_error,
            request=self.rule(name, context),
        )


def needs_one(model: Strict, *names: str) -> None:
    """Refuse a configuration in which none of these fields says anything."""
    values = [getattr(model, name) for name in names]
    if all(value is None or value is False or value in ([], {}) for value in values):
        raise ValueError(f"needs at least one of: {', '.join(names)}")
