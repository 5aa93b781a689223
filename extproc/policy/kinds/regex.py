"""Kind ``regex``: regular expressions in RE2 syntax, whose matches must have a bounded width."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from extproc.policy.kinds.base import Context, PolicyBase
from extproc.policy.pattern import PatternError, parse
from extproc.policy.rules import RegexRule, Rule


class Regex(PolicyBase):
    """Regular expressions (RE2: linear time, no look-around). `*`, `+` and `{n,}` have no bound and are refused."""

    example = """
policies:
  tickets: {kind: regex, patterns: {ticket: 'ACME-\\d{4,8}'}, action: redact}
  jailbreak: {kind: regex, patterns: ['jailbreak'], ignore_case: true, scope: system, action: block}
"""
    kind: Literal["regex"]
    patterns: Annotated[list[str], Field(min_length=1)] | dict[str, str] = Field(
        description="expressions, or a mapping from the name used as `{type}` to an expression"
    )
    ignore_case: bool = Field(False, description="upper and lower case are the same")

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
