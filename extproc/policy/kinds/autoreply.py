"""Kind ``autoreply``: canned answers in the model's place."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from extproc.config.strict import Strict
from extproc.operations import Operation
from extproc.policy.api import Action
from extproc.policy.kinds.base import Context, Names, RequestPolicyBase, _listed
from extproc.policy.prompts import last_user, normalised, whole_prompt
from extproc.policy.request import Request, Verdict
from extproc.policy.rules import compile_re2

_LONGEST: Final = 10_000
"""Characters of a text beyond which it is not normalised: no canned answer is for such."""


class Answer(Strict):
    """A canned answer, and what it answers."""

    text: Names = Field(description="one or several texts, or with `match: pattern` expressions in RE2 syntax")
    match: Literal["exact", "normalised", "pattern"] = Field(
        "exact",
        description="normalised: case, punctuation and blanks do not count; pattern: found anywhere in the text",
    )
    on: Literal["last", "prompt"] = Field(
        "last", description="what is compared: the user's last message, or all messages"
    )
    operation: Annotated[list[Operation], BeforeValidator(_listed)] | None = Field(None, description="absent: any")
    reply: str = Field(min_length=1, description="the text answered")


class Autoreply(RequestPolicyBase):
    """Answers without a model, in the client's format and as a stream where it asked for one. The first that fits."""

    allowed_actions = frozenset({Action.REPLY, Action.AUDIT})
    tightens = False
    example = """
policies:
  faq: {kind: autoreply, answers: [{text: [ping, "are you there?"], match: normalised, reply: I am here.}]}
"""
    kind: Literal["autoreply"]
    action: Literal[Action.REPLY, Action.AUDIT] = Field(
        Action.REPLY, description="audit only records that there was an answer"
    )
    answers: Annotated[list[Answer], Field(min_length=1)] = Field(description="in the order in which they are tried")

    def rule(self, name: str, context: Context) -> _Rule:
        """The answers, compiled."""
        return _Rule(self.answers)


class _Rule:
    def __init__(self, answers: list[Answer]) -> None:
        self._answers = [(each, _Texts(each)) for each in answers]

    def judge(self, request: Request) -> Verdict | None:
        """See ``RequestRule``."""
        said = {"last": last_user(request.body), "prompt": whole_prompt(request.body)}
        for answer, texts in self._answers:
            if (answer.operation is None or request.operation in answer.operation) and texts.fit(said[answer.on]):
                return Verdict("answered", reply=answer.reply)
        return None


class _Texts:
    def __init__(self, answer: Answer) -> None:
        self._pattern = (
            compile_re2("|".join(f"(?:{each})" for each in answer.text)) if answer.match == "pattern" else None
        )
        self._loose = answer.match == "normalised"
        self._texts = frozenset(map(normalised, answer.text) if self._loose else answer.text)

    def fit(self, said: str) -> bool:
        if self._pattern:
            return self._pattern.search(said) is not None
        return (normalised(said) if self._loose and len(said) <= _LONGEST else said) in self._texts
