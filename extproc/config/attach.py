"""The shape of what attaches policies to requests: lines that add, dated exceptions, and what clients may override."""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from extproc.config.strict import Strict


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _listed_values(value: object) -> object:
    return {name: _listed(each) for name, each in value.items()} if isinstance(value, dict) else value


def _lower(value: object) -> object:
    return {str(name).lower(): each for name, each in value.items()} if isinstance(value, dict) else value


Globs = Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_listed), Field(min_length=1)]
"""Values or globs (``*`` stands for any characters); one that matches is enough."""
_Named = Annotated[dict[str, Globs], BeforeValidator(_listed_values), Field(min_length=1)]
_HEADER: Final = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"


class Target(Strict):
    """Which requests. Every field that is there must match; of a field's values one is enough. `*` is any characters."""

    operation: Globs | None = Field(None, description="what is asked for: chat, …")
    model: Globs | None = Field(None, description="the model's name as the client says it")
    header: Annotated[_Named, BeforeValidator(_lower)] | None = Field(
        None, description="request header to values. A client chooses these: they can add policies, not remove any"
    )
    route: Globs | None = Field(None, description="name of the Envoy route, where routes are not ours (guard-only)")
    principal: Globs | None = Field(
        None, description="the client certificate's URI name or subject, as Envoy verified it"
    )
    jwt: _Named | None = Field(None, description="claim to values, of the token that Envoy's jwt_authn verified")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("names nothing; write `to: all` for all requests")
        for name in self.header or ():
            if not re.fullmatch(_HEADER, name):
                raise ValueError(f"'{name}' is not a header's name")
        return self


To = Literal["all"] | Target


class Attachment(Strict):
    """Policies for some requests. Every line that matches adds its own; only an `except` removes."""

    model_config = ConfigDict(serialize_by_alias=True)  # a keyword is no name of an attribute

    use: Annotated[list[str], BeforeValidator(_listed)] | None = Field(None, description="sets and policies to add")
    without: Annotated[list[str], BeforeValidator(_listed)] | None = Field(
        None, alias="except", description="sets and policies that do not apply here; needs `reason` and `until`"
    )
    to: To = Field("all", description="which requests")
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3)] | None = Field(
        None, description="with `except`: why, for whoever reads this later"
    )
    until: datetime.date | None = Field(None, description="with `except`: the last day (UTC) it holds")

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.use is None) == (self.without is None):
            raise ValueError("needs either `use` or `except`")
        if self.without is None:
            if self.reason or self.until:
                raise ValueError("`reason` and `until` belong to `except`")
            return self
        if not self.reason or not self.until:
            raise ValueError("`except` needs a `reason` and the day `until` which it holds")
        if not isinstance(self.to, Target):
            raise ValueError("`except` must say to which requests; to switch a policy off for all, do not `use` it")
        if self.to.header:
            raise ValueError("`except` cannot go by a header: clients choose their headers")
        return self

    @property
    def up_to_clients(self) -> bool:
        """Whether it takes policies away by what clients say alone: whoever names that model or operation is excepted."""
        target = self.to if self.without is not None and isinstance(self.to, Target) else None
        return target is not None and not (target.jwt or target.principal or target.route)


class Loosening(Strict):
    """Who may weaken which policies by header."""

    policies: Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)] = Field(
        description="sets and policies that may be weakened or switched off"
    )
    to: Target = Field(description="which requests may do so; not by a header")

    @model_validator(mode="after")
    def _verified(self) -> Self:
        if self.to.header or not (self.to.jwt or self.to.principal or self.to.route):
            raise ValueError("`loosen` must go by what Envoy has verified: `jwt`, `principal` or `route`")
        return self


class Overrides(Strict):
    """What a request's headers may change: by default they may tighten, and nobody may loosen."""

    headers: bool = Field(True, description="`x-llm-policy-NAME: audit|redact|block` and `x-llm-policy: NAME, …`")
    usagepanda: bool = Field(False, description="the `x-usagepanda-*` headers mean the same policies")
    loosen: list[Loosening] = Field([], description="who may also weaken policies")
