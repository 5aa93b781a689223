"""Kind ``language``: scripts that a request's texts may be written in."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from extproc.policy.api import Scope
from extproc.policy.kinds.base import Context, RequestPolicyBase, ScopeName, _listed, needs_one, scopes
from extproc.policy.pattern import PatternError
from extproc.policy.request import Request, Verdict
from extproc.policy.rules import compile_re2

Script = Annotated[str, Field(pattern=r"^[A-Z][a-z]+(_[A-Z][a-z]+)*$")]
Scripts = Annotated[list[Script], BeforeValidator(_listed)]


class Language(RequestPolicyBase):
    """Scripts by their Unicode names (`Latin`, `Cyrillic`, `Han`, …). Every letter of every text counts, not a sample.

    Refused is a text, or the request as a whole, of whose letters more than `share` and at least `letters` are of scripts
    that are denied or not allowed. Digits, signs and letters of no script in particular are of none.
    """

    example = """
policies:
  scripts: {kind: language, allow: [Latin, Greek], share: 0.2}
"""
    kind: Literal["language"]
    allow: Scripts | None = Field(None, description="absent: all")
    deny: Scripts = Field([], description="scripts that are refused")
    share: float = Field(0.2, ge=0, lt=1, description="share of a text's letters that may be of other scripts")
    letters: int = Field(5, ge=1, description="fewer letters than these of other scripts never count")
    scope: Annotated[list[ScopeName], BeforeValidator(_listed)] | None = Field(
        None, description="whose words are looked at; absent: all"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        needs_one(self, "allow", "deny")
        return self

    def rule(self, name: str, context: Context) -> _Rule:
        """The scripts, compiled."""
        return _Rule(self)


class _Rule:
    def __init__(self, config: Language) -> None:
        for script in (*(config.allow or ()), *config.deny):
            if script == "Any" or len(script) < 3:
                raise PatternError(f"there is no script '{script}'")
        known = "".join(rf"\p{{{script}}}" for script in config.allow or ())
        denied = "".join(rf"\p{{{script}}}" for script in config.deny)
        wrong = [f"[{denied}]"] if denied else []
        wrong += [rf"[^{known}\p{{Common}}\p{{Inherited}}]"] if config.allow is not None else []
        self._letter = compile_re2(r"\p{L}")
        self._wrong = compile_re2("|".join(wrong))
        self._share, self._least, self._scopes = config.share, config.letters, scopes(config.scope)

    def judge(self, request: Request) -> Verdict | None:
        """See ``RequestRule``."""
        texts = [Counter(span.text) for span in request.spans if Scope(span.scope) in self._scopes]
        letters = {char for char in set().union(*texts) if self._letter.match(char)}
        wrong = {char for char in letters if self._wrong.match(char)}
        found = [(sum(n for c, n in text.items() if c in letters), sum(n for c, n in text.items() if c in wrong))
                 for text in texts] if wrong else []  # fmt: skip
        found.append((sum(each for each, _ in found), sum(each for _, each in found)))
        if any(foreign >= self._least and foreign > self._share * all_ for all_, foreign in found):
            return Verdict("script", "The request is written in a script that is not accepted here.", param="messages")
        return None
