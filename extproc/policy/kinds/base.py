"""What the configuration of every kind has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from extproc.config.strict import Strict
from extproc.policy.api import Action, Mode, OnError, Phase, Policy, Scope, Style
from extproc.policy.request import RequestRule
from extproc.policy.rules import Rule

ScopeName = Literal["system", "user", "assistant", "reasoning", "tool_input", "tool_output", "tool"]


@dataclass(frozen=True, slots=True)
class Context:
    """What a kind may look at while it compiles: the file's folder, the operator's packs, the default replacement.

    ``python``: whether code may be imported.
    """

    folder: Path = Path()
    packs: Path | None = None
    redaction: str = "[{type}]"
    python: bool = False
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def scopes(names: Sequence[str] | None) -> frozenset[Scope]:
    """The scopes of these names; all if there are none."""
    found: set[Scope] = set()
    for name in names if names is not None else list(Scope):
        found |= {Scope.TOOL_INPUT, Scope.TOOL_OUTPUT} if name == "tool" else {Scope(name)}
    return frozenset(found)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class CommonBase(Strict):
    """Fields of every policy."""

    allowed_actions: ClassVar[frozenset[Action]] = frozenset(Action)
    tightens: ClassVar[bool] = True
    """Whether a request that has the policy can do no more than one that has not."""
    example: ClassVar[str] = ""
    """A configuration that shows the kind, for its page."""

    action: Action
    mode: Mode = Field(Mode.ENFORCE, description="enforce does it, audit only records what it would have done")
    on_error: OnError = Field(OnError.BLOCK, description="what a failing policy counts as")
    style: Style = Field(
        Style.ERROR,
        description="how a block looks: error (a status; an error event in a stream that has begun), refusal (a normal "
        "answer that refuses, `finish_reason: content_filter`), truncate (the answer ends before the match)",
    )
    status: int = Field(400, ge=400, le=499, description="with `style: error`: the HTTP status of a block")
    message: str | None = Field(None, min_length=1, description="what a block says instead of the usual sentence")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.action not in self.allowed_actions:
            raise ValueError(f"`action` must be one of: {', '.join(sorted(self.allowed_actions))}")
        if self.status != 400 and self.style is not Style.ERROR:
            raise ValueError("`status` is only used with `style: error`")
        return self

    def policy(self, name: str, **more: Any) -> Policy:
        """The policy with what is common to all kinds."""
        return Policy(
            name=name,
            action=self.action,
            mode=self.mode,
            on_error=self.on_error,
            style=self.style,
            status=self.status,
            message=self.message or "",
            actions=self.allowed_actions,
            tightens=self.tightens,
            **more,
        )


class PolicyBase(CommonBase):
    """Fields of every policy that looks at texts."""

    action: Action = Field(Action.REDACT, description="what a match leads to: audit, redact, block or reply")
    phase: Literal["both", "request", "response"] = Field("both", description="which way the text travels")
    scope: Annotated[list[ScopeName], BeforeValidator(_listed)] | None = Field(
        None, description="whose words are looked at; absent: all. `tool` is tool_input and tool_output"
    )
    replace: str | None = Field(
        None, description="what stands in for redacted text; `{type}` names what was found. Default: `redaction`"
    )
    restore: bool = Field(
        False,
        description="each redacted text of a request gets a placeholder of its own (`[email_1]`), and where the answer "
        "says that, the client sees the original again; in tool arguments too",
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
        if self.restore and (self.action is not Action.REDACT or self.phase == "response"):
            raise ValueError("`restore` is only used with `action: redact`, for what is redacted in requests")
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
        return self.policy(
            name,
            phases=frozenset(Phase) if self.phase == "both" else frozenset({Phase(self.phase)}),
            scopes=scopes(self.scope),
            rules=tuple(self.rules(name, context)),
            reply=self.reply or "",
            restore=self.restore,
        )


Names = Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_listed)]
"""One or several."""

_OF_TEXTS = ("phase", "scope", "replace", "reply")


class RequestPolicyBase(CommonBase):
    """Fields of every policy that judges a request as a whole, before it goes anywhere."""

    allowed_actions = frozenset({Action.BLOCK, Action.AUDIT})

    action: Action = Field(Action.BLOCK, description="block refuses the request; audit only records what was found")

    @model_validator(mode="before")
    @classmethod
    def _no_texts(cls, data: Any) -> Any:
        for name in _OF_TEXTS if isinstance(data, dict) else ():
            if name in data and name not in cls.model_fields:
                raise ValueError(f"`{name}` has no meaning here: this kind judges the request as a whole")
        return data

    def rule(self, name: str, context: Context) -> RequestRule:
        """The kind's rule. Raises PatternError, UnresolvedError or ConfigError where the configuration cannot work."""
        raise NotImplementedError

    def compile(self, name: str, context: Context) -> Policy:
        """Build the policy."""
        return self.policy(
            name,
            phases=frozenset({Phase.REQUEST}),
            scopes=frozenset(Scope),
            rules=(),
            request=self.rule(name, context),
        )


def needs_one(model: Strict, *names: str) -> None:
    """Refuse a configuration in which none of these fields says anything."""
    values = [getattr(model, name) for name in names]
    if all(value is None or value is False or value in ([], {}) for value in values):
        raise ValueError(f"needs at least one of: {', '.join(names)}")
