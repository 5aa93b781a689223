"""Kind ``pii``: personal data, each type with its own shape and, where there is one, its checksum."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from extproc.policy.kinds.base import Context, PolicyBase
from extproc.policy.recognisers import RECOGNISERS
from extproc.policy.rules import Rule

Type = Literal["email", "phone", "card", "iban", "ip"]


class Pii(PolicyBase):
    """Personal data: e-mail addresses, telephone and card numbers (Luhn), IBAN (mod 97), IP addresses."""

    example = """
policies:
  pii: {kind: pii, find: [email, phone, card, iban], action: redact, replace: "[{type}]"}
"""
    kind: Literal["pii"]
    find: Annotated[list[Type], Field(min_length=1)] = Field(
        ["email", "phone", "card", "iban", "ip"], description="the types to look for"
    )

    def rules(self, name: str, context: Context) -> list[Rule]:
        """One rule a shape of each type."""
        return [
            recogniser.rule(type_, self.replacement(type_, context))
            for type_ in self.find
            for recogniser in RECOGNISERS[type_]
        ]
