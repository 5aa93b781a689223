"""Kind ``pii``: personal data, each type with its own shape and, where there is one, its checksum."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from extproc.policy.api import Strictness
from extproc.policy.kinds.base import Context, PolicyBase, _listed
from extproc.policy.pii.catalogue import GROUPS, TYPES, expand
from extproc.policy.rules import Rule


def _known(name: str) -> str:
    expand([name])
    return name


Name = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": [*GROUPS, *TYPES]})]


class Pii(PolicyBase):
    """Personal data: addresses, telephone, card and account numbers, national numbers, wallets, confirmed by their checks.

    Names of people and street addresses are not looked for: they have no shape; use a moderation service for them.
    """

    model_config = ConfigDict(serialize_by_alias=True)  # a keyword is no name of an attribute

    example = """
policies:
  pii: {kind: pii, find: [email, phone, card, iban], action: redact, replace: "[{type}]"}
"""
    default_match = Strictness.HARDENED

    kind: Literal["pii"]
    find: Annotated[list[Name], BeforeValidator(_listed), Field(min_length=1)] = Field(
        ["default"],
        description="types, groups (`contact`, `crypto` …) and country packs (`us`, `uk`, `eu`, `in` …) to look for",
    )
    except_: Annotated[list[Name], BeforeValidator(_listed)] = Field(
        [], alias="except", description="types, groups and packs not to look for"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.types():
            raise ValueError("`except` leaves nothing to look for")
        return self

    def types(self) -> tuple[str, ...]:
        """The types that are looked for."""
        unwanted = set(expand(self.except_))
        return tuple(name for name in expand(self.find) if name not in unwanted)

    def rules(self, name: str, context: Context) -> list[Rule]:
        """One rule a shape of each type."""
        return [shape.rule(type_, self.replacement(type_, context)) for type_ in self.types() for shape in TYPES[type_]]
