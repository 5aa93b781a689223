"""Kind ``reflection``: what a prompt marks must not come back in the answer."""

from __future__ import annotations

from dataclasses import replace
from textwrap import wrap
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from extproc.framing.jsonedit import EditPath
from extproc.policy.api import Action, Policy, Strictness
from extproc.policy.fields import PROMPTS, plain
from extproc.policy.hardened import hardened_rules
from extproc.policy.kinds.base import Context, RequestPolicyBase, ScopeName, _listed, scopes
from extproc.policy.prompts import sentences
from extproc.policy.request import Request, Verdict
from extproc.policy.rules import Rule

_PIECE: Final = 40
"""Characters from which a sentence of a marked span is protected by itself."""
_WHOLE: Final = 500
"""Characters up to which a text is one entry; a longer one is protected in pieces."""
_MOST: Final = 3_000
"""Characters of all marked spans: their rules are compiled for each request."""
_ENDS: Final = " \t.,;:!?…\"'"
"""Whoever repeats a sentence may end it otherwise."""
_PROMPT: Final = PROMPTS | {"system", "systeminstruction", "instructions"}


class Reflection(RequestPolicyBase):
    """Spans of a prompt between two delimiters, and their longer sentences, must not come back in the answer.

    The delimiters are taken out before the request goes on. A delimiter without its other half refuses the request.
    """

    allowed_actions = frozenset({Action.AUDIT, Action.REDACT, Action.BLOCK})
    example = """
policies:
  prompt: {kind: reflection, delimiter: "||", action: block}
"""
    kind: Literal["reflection"]
    action: Literal[Action.AUDIT, Action.REDACT, Action.BLOCK] = Field(
        Action.BLOCK, description="what becomes of an answer that says such a span: block, redact, or audit it"
    )
    delimiter: Annotated[str, Field(min_length=2, max_length=32, pattern=r'^[^\s"\\]+$')] = Field(
        "||", description="stands before and after each span"
    )
    scope: Annotated[list[ScopeName], BeforeValidator(_listed)] = Field(
        ["system"], description="in whose words delimiters count"
    )
    least: int = Field(12, ge=4, description="shorter spans are not protected: they would be found everywhere")
    replace: str | None = Field(
        None, description="with `action: redact`: what stands in for a span. Default: `redaction`"
    )

    def rule(self, name: str, context: Context) -> _Rule:
        """The rule that finds spans."""
        template = context.redaction if self.replace is None else self.replace
        return _Rule(self, template.replace("{type}", "reflection"))

    def compile(self, name: str, context: Context) -> Policy:
        """Build the policy. A request it cannot read is refused, whatever becomes of the answer."""
        return replace(
            super().compile(name, context), action=Action.BLOCK, answer=self.action, match=Strictness.HARDENED
        )


class _Rule:
    def __init__(self, config: Reflection, replacement: str) -> None:
        self._config, self._replacement = config, replacement
        self._scopes = scopes(config.scope)

    def judge(self, request: Request) -> Verdict | None:
        """See ``RequestRule``."""
        edits: dict[EditPath, str] = {}
        marked: list[str] = []
        for span in (each for each in request.spans if each.scope in self._scopes and not each.fixed):
            if self._config.delimiter in span.text and plain(span.path[0]) in _PROMPT:
                pieces = span.text.split(self._config.delimiter)
                if len(pieces) % 2 == 0:
                    return Verdict("unbalanced", "A delimiter of protected text has no other half.", param="messages")
                edits[span.path] = span.put("".join(pieces))
                marked += pieces[1::2]
        if sum(map(len, marked)) > _MOST:
            return Verdict("too_long", f"More than {_MOST} characters are marked as protected.", param="messages")
        kept = [each for each in marked if len(each.strip()) >= self._config.least]
        label = "protected" if len(kept) == len(marked) else "short"
        return Verdict(label, edits=edits, rules=self._rules(kept)) if edits else None

    def _rules(self, spans: list[str]) -> tuple[Rule, ...]:
        words = [span for span in spans if len(span) <= _WHOLE]
        for sentence in (each.strip(_ENDS) for span in spans for each in sentences(span)):
            words += wrap(sentence, _WHOLE) if len(sentence) >= _PIECE else []
        return tuple(hardened_rules("reflection", words, self._replacement))
