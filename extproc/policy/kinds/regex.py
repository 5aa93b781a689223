"""Kind ``regex``: regular expressions in RE2 syntax, whose matches must have a bounded width."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from extproc.policy.api import Action, Phase, Policy
from extproc.policy.kinds.base import Context, PolicyBase, _listed
from extproc.policy.pattern import PatternError, parse
from extproc.policy.rules import RegexRule, Rule
from extproc.policy.scoped_globs import ScopedGlobs


class Regex(PolicyBase):
    """Regular expressions (RE2: linear time, no look-around). `*`, `+` and `{n,}` have no bound and are refused."""

    example = """
policies:
  tickets: {kind: regex, patterns: {ticket: 'ACME-\\d{4,8}'}, action: redact}
  jailbreak: {kind: regex, globs: ["system:*jailbreak*"], action: block}
"""
    kind: Literal["regex"]
    patterns: Annotated[list[str], Field(min_length=1)] | dict[str, str] = Field(
        [], description="expressions, or a mapping from the name used as `{type}` to an expression"
    )
    globs: Annotated[list[str], BeforeValidator(_listed)] = Field(
        [],
        description="whole texts of a request, as globs without case, with or without a role: `system:*jailbreak*`; "
        "with `action` block or audit",
    )
    ignore_case: bool = Field(False, description="upper and lower case are the same")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.patterns and not self.globs:
            raise ValueError("needs `patterns` or `globs`")
        if self.globs and self.action not in (Action.BLOCK, Action.AUDIT):
            raise ValueError("`globs` can only block or audit")
        return self

    def compile(self, name: str, context: Context) -> Policy:
        """Build the policy."""
        policy = super().compile(name, context)
        if not self.globs or Phase.REQUEST not in policy.phases:
            return policy
        return replace(policy, request=ScopedGlobs(name, self.globs, policy.scopes))

    def rules(self, name: str, context: Context) -> list[Rule]:
        """One rule an expression."""
        named = self.patterns.items() if isinstance(self.patterns, dict) else [(name, each) for each in self.patterns]
        return [self._rule(label, pattern, context) for label, pattern in named]

    def _rule(self, label: str, pattern: str, context: Context) -> Rule:
        try:
            bounded = parse(pattern, ignore_case=self.ignore_case)
            return RegexRule(label, bounded, self.replacement(label, context))
        except PatternError as error:
            raise PatternError(f"{pattern!r}: {error}") from None
