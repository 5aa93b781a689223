"""Kind ``identity``: who may ask, by end user, address and origin."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from extproc.policy.clients import Addresses, host, hostname, is_named, network, person, users
from extproc.policy.globs import Globs
from extproc.policy.kinds.base import Context, Names, RequestPolicyBase, _listed, needs_one
from extproc.policy.request import Request, Verdict

Networks = Annotated[list[Annotated[str, AfterValidator(network)]], BeforeValidator(_listed), Field(min_length=1)]
Hosts = Annotated[list[Annotated[str, AfterValidator(hostname)]], BeforeValidator(_listed)]


class Identity(RequestPolicyBase):
    """End users, addresses, origins. Users are compared without case, blanks around them and invisible characters."""

    example = """
policies:
  who: {kind: identity, require_user: true, banned: [spammer-*], deny: [203.0.113.0/24]}
"""
    kind: Literal["identity"]
    require_user: bool = Field(
        False, description="refuse requests without `user`, `safety_identifier` or `metadata.user_id`"
    )
    banned: Names = Field([], description="end users that are refused, whichever field names them; globs")
    origins: Hosts = Field([], description="hosts, and all below them, that are refused as Origin or Referer; globs")
    allow: Networks | None = Field(None, description="addresses and networks (CIDR) that may ask; absent: all")
    deny: Networks | None = Field(
        None, description="those that may not; a client whose address is unknown may not either"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        needs_one(self, "require_user", "banned", "origins", "allow", "deny")
        return self

    def rule(self, name: str, context: Context) -> _Rule:
        """The lists, compiled."""
        return _Rule(self)


class _Rule:
    def __init__(self, config: Identity) -> None:
        self._require = config.require_user
        self._banned = Globs(map(person, config.banned))
        self._origins = Globs(below + host(each) for each in config.origins for below in ("", "*."))
        self._allow = None if config.allow is None else Addresses(config.allow)
        self._deny = None if config.deny is None else Addresses(config.deny)

    def judge(self, request: Request) -> Verdict | None:
        """See ``RequestRule``."""
        if not self._admits(request.address):
            return Verdict("address", "Requests from this address are not accepted.")
        if self._origins and any(
            host(request.headers.get(name, "")) in self._origins for name in ("origin", "referer")
        ):
            return Verdict("origin", "Requests from this origin are not accepted.")
        named = users(request.body) if self._banned else []
        if not all(isinstance(user, (str, int)) for user in named):
            return Verdict("unreadable", "The request names its end user in a way that is not accepted.", param="user")
        if any(person(user) in self._banned for user in named):
            return Verdict("banned", "This user may not ask.", param="user")
        if self._require and not is_named(request.body):
            return Verdict("no_user", "The request must name its end user.", param="user")
        return None

    def _admits(self, address: str) -> bool:
        """An address that cannot be read is in every list of the denied and in none of the allowed."""
        denied = self._deny is not None and self._deny.has(address) is not False
        return not denied and (self._allow is None or self._allow.has(address) is True)
