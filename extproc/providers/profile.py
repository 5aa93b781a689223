"""The headers around a call: what the operator sets or removes for a provider, and what of the client's may go along.

Nothing in them is a credential: those are set by ``credentials`` alone.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from extproc.providers.api import Pairs

ORGANIZATION: Final = "openai-organization"
PROJECT: Final = "openai-project"
_OWNERS: Final = frozenset({ORGANIZATION, PROJECT})
"""Who is charged, with OpenAI: they belong to a key and mean nothing, or something wrong, with another one."""
_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}", re.ASCII)
_TAKEN: Final = frozenset({
    "authorization", "api-key", "x-api-key", "x-goog-api-key", "proxy-authorization", "cookie", "x-amz-security-token",
    "x-amz-date", "x-amz-content-sha256", "host", "content-length", "content-encoding", "transfer-encoding", "connection",
    "keep-alive", "te", "trailer", "upgrade", "accept-encoding", "content-type", "expect", "x-request-id",
})  # fmt: skip
"""Headers that are not the operator's to set: keys have their own field, and the rest describes the message."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A provider's.

    ``fixed`` are set on every attempt, one of the values in turn; ``defaults`` where the client sent no such header that may
    pass; ``passes`` names the client's headers that may; ``removed`` those that may not, whatever else says so.
    """

    fixed: tuple[tuple[str, tuple[str, ...]], ...] = ()
    defaults: Pairs = ()
    passes: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    _turns: Iterator[int] = field(default_factory=itertools.count, repr=False, compare=False)

    def headers(self, sent: Collection[str] = ()) -> Pairs:
        """What an attempt says; ``sent``: names of the client's headers."""
        if not self.fixed and not self.defaults:
            return ()
        turn = next(self._turns) if self.fixed else 0
        passing = self.passes.intersection(sent) if self.defaults else ()
        found = [pair for pair in self.defaults if pair[0] not in passing]
        return (*found, *((name, values[turn % len(values)]) for name, values in self.fixed))

    @property
    def names(self) -> frozenset[str]:
        """All that ``headers`` may set."""
        return frozenset({name for name, _ in (*self.fixed, *self.defaults)})

    def allowed(self, usual: frozenset[str]) -> frozenset[str]:
        """Names of headers that may reach the provider; ``usual``: those that may reach any."""
        return (usual - self.removed - _OWNERS) | self.passes | self.names


def profile(
    set_: Mapping[str, Sequence[str]],
    removed: Collection[str],
    passes: frozenset[str],
    defaults: Pairs,
    owners: Pairs,
    *,
    client_key: bool,
) -> Profile:
    """A provider's profile.

    Args:
        set_: the operator's headers.
        removed: headers the operator takes away, of the client's or of the defaults.
        passes: the client's headers that its API knows.
        defaults: headers its API needs.
        owners: organisation and project of the configuration. The client's own go only with the client's own key.
        client_key: whether the client's own key is used.
    """
    gone = frozenset(removed) | frozenset(set_)
    fixed = tuple((name, tuple(values)) for name, values in set_.items())
    known = tuple(pair for pair in defaults if pair[0] not in gone)
    named = tuple(pair for pair in owners if pair[0] not in gone)
    if client_key:
        return Profile(fixed, (*known, *named), (passes | _OWNERS) - gone, frozenset(removed))
    return Profile((*((name, (value,)) for name, value in named), *fixed), known, passes - gone, frozenset(removed))


def wrong(name: str, values: Sequence[str]) -> str | None:
    """What is wrong with a header of the configuration, if something is."""
    if not _NAME.fullmatch(name):
        return f"'{name}' is not the name of a header in lower case"
    if name in _TAKEN or name.startswith("x-llm-"):
        return f"'{name}' cannot be set or removed here"
    if not values or any(not each.isascii() or not each.isprintable() or each != each.strip() for each in values):
        return f"'{name}' needs values of printable ASCII"
    return None
