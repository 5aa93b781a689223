"""What the configuration of every kind has in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from extproc.config.strict import Strict
from extproc.policy.api import Action, Mode, OnError, Phase, Policy, Scope, Strictness
from extproc.policy.rules import Rule

ScopeName = Literal["system", "user", "assistant", "reasoning", "tool_input", "tool_output", "tool"]


@dataclass(frozen=True, slots=True)
class Context:
    """What a kind may look at while it compiles: the file's folder, the operator's packs, the default replacement."""

    folder: Path = Path()
    packs: Path | None = None
    redaction: str = "[{type}]"


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class PolicyBase(Strict):
    """Fields of every policy."""

    allowed_actions: ClassVar[frozenset[Action]] = frozenset(Action)
    default_match: ClassVar[Strictness] = Strictness.EXACT

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
    match: Strictness | None = Field(
        None, description="how much of a disguise it sees through: exact, folded or hardened. Default: by kind"
    )
    reply: str | None = Field(None, description="with `action: reply`: the text answered in the model's place")

    @property
    def strictness(self) -> Strictness:
        """How much of a disguise it sees through."""
        return self.match or self.default_match

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
        scopes: set[Scope] = set()
        for scope in self.scope if self.scope is not None else list(Scope):
            scopes |= {Scope.TOOL_INPUT, Scope.TOOL_OUTPUT} if scope == "tool" else {Scope(scope)}
        return Policy(
            name=name,
            action=self.action,
            mode=self.mode,
            phases=frozenset(Phase) if self.phase == "both" else frozenset({Phase(self.phase)}),
            scopes=frozenset(scopes),
            rules=tuple(self.rules(name, context)),
            on_error=self.on_error,
            reply=self.reply or "",
            match=self.strictness,
        )
