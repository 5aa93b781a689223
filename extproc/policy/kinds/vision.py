"""Kind ``vision``: whether pictures, files and sound may be sent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from extproc.policy.kinds.base import Context, RequestPolicyBase, _listed
from extproc.policy.parts import Medium, media
from extproc.policy.request import Request, Verdict


class Vision(RequestPolicyBase):
    """Pictures, files, sound and films, in every API's form. What `allow` does not name is refused; by default all are."""

    example = """
policies:
  media: {kind: vision, allow: [image], remote: deny}
"""
    kind: Literal["vision"]
    allow: Annotated[list[Medium], BeforeValidator(_listed)] = Field([], description="what may be sent")
    remote: Literal["allow", "deny"] = Field(
        "allow", description="deny refuses what is not in the request itself: addresses and ids of stored files"
    )

    def rule(self, name: str, context: Context) -> Vision:
        """The configuration itself judges."""
        return self

    def judge(self, request: Request) -> Verdict | None:
        """See ``RequestRule``."""
        for each in media(request.body):
            if each.medium not in self.allow:
                return Verdict(
                    each.medium, f"The request has a part ({each.medium}) that may not be sent.", param="messages"
                )
            if each.remote and self.remote == "deny":
                why = "The request refers to something that is elsewhere; it must be in the request itself."
                return Verdict("remote", why, param="messages")
        return None
