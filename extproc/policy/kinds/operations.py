"""Kind ``operations``: what may be asked of the gateway."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from extproc.operations import Operation
from extproc.policy.kinds.base import Context, RequestPolicyBase, _listed, needs_one
from extproc.policy.request import Request, Verdict

Listed = Annotated[list[Operation | str], BeforeValidator(_listed)]


class Operations(RequestPolicyBase):
    """Operations (`chat`, …) that may be used, whatever the path a client spells them with. `deny` wins.

    Operations of the section `operations` count by the names they have there.
    """

    example = """
policies:
  only-chat: {kind: operations, allow: [chat, models]}
"""
    kind: Literal["operations"]
    allow: Listed | None = Field(None, description="absent: all")
    deny: Listed = Field([], description="operations that are refused")

    @model_validator(mode="after")
    def _something(self) -> Self:
        needs_one(self, "allow", "deny")
        return self

    @property
    def named(self) -> list[str]:
        """All that it names."""
        return [str(each) for each in (*(self.allow or ()), *self.deny)]

    def rule(self, name: str, context: Context) -> Operations:
        """The configuration itself judges."""
        return self

    def judge(self, request: Request) -> Verdict | None:
        """See ``RequestRule``."""
        if request.operation in self.deny:
            return Verdict("denied", "This operation may not be used.")
        if self.allow is not None and request.operation not in self.allow:
            return Verdict("not_allowed", "This operation is not among those that may be used.")
        return None
