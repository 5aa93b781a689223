"""Kind ``secrets``: keys, tokens, passwords and private keys, by the shapes providers give them."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from extproc.policy.kinds.base import Context, PolicyBase, _listed
from extproc.policy.pattern import PatternError
from extproc.policy.rules import Rule, compile_re2
from extproc.policy.secrets import ENTROPY, NAMES, catalogue, choose
from extproc.policy.secrets.family import Allowed, rules

Name = Literal[NAMES]  # type: ignore[valid-type]


class Secrets(PolicyBase):
    """Secrets and credentials: keys, tokens, private keys, passwords in addresses and assignments.

    Most are found by the shape their provider gives them, and by a checksum or structure where there is one. Some have no
    shape of their own and are found by the name before them. Private keys and long tokens go whole, however long they are.
    """

    example = """
policies:
  secrets: {kind: secrets, except: [jwt], allow: [hunter2, "/sk_test_.*/"], action: block, phase: request}
"""
    model_config = ConfigDict(serialize_by_alias=True)  # a keyword is no name of an attribute

    kind: Literal["secrets"]
    find: Annotated[list[Name], BeforeValidator(_listed), Field(min_length=1)] = Field(
        ["all"], description=f"families and groups to look for. Groups with their families: {catalogue()}"
    )
    except_: Annotated[list[Name], BeforeValidator(_listed)] = Field(
        [], alias="except", description="families and groups not to look for"
    )
    entropy: float = Field(
        ENTROPY,
        ge=0,
        le=6,
        description="family `secret`: how random a value must be that only its name calls a key, in bits a character; "
        "random hex has about 3.7, random base64 about 4.5; higher finds less",
    )
    allow: list[Annotated[str, Field(min_length=1)]] = Field(
        [],
        description="secrets never to report, as test keys: exact texts, or `/…/` around an expression (RE2) for the "
        "whole secret. Of keys of any length (private keys, tokens of hundreds of characters) the beginning counts",
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not choose(self.find, self.except_):
            raise ValueError("`except` leaves nothing of `find`")
        return self

    def rules(self, name: str, context: Context) -> list[Rule]:
        """One rule a shape of each family."""
        families = choose(self.find, self.except_, self.entropy)
        return list(rules(families, lambda label: self.replacement(label, context), _allowed(self.allow)))


def _allowed(entries: list[str]) -> Allowed:
    literals = frozenset(entry for entry in entries if not _expression(entry))
    try:
        expressions = [compile_re2(entry[1:-1]) for entry in entries if _expression(entry)]
    except PatternError as error:
        raise PatternError(f"allow: {error}") from None
    if not expressions:
        return literals.__contains__
    return lambda secret: secret in literals or any(each.fullmatch(secret) for each in expressions)


def _expression(entry: str) -> bool:
    return re.fullmatch("/.+/", entry, re.DOTALL) is not None
