"""What a provider is to the rest: a kind (where calls go, how bodies differ) and a credential (who pays).

Owns the two protocols and what passes between them and an exchange. Neither does IO: tokens that must be fetched are fetched
in the background (``tokens``), and a call that comes before the first one is refused with ``NotReady``.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from extproc.chat.losses import Losses
from extproc.errors import ExtprocError

Pairs = tuple[tuple[str, str], ...]
"""Headers to set, names in lower case."""
Body = dict[str, Any]


class NotReady(ExtprocError):
    """The provider's credential has not been fetched yet, or has expired and no new one could be had: 503, try again."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a provider's API.

    Args:
        format: the body's format, by name; empty for operations without a body.
        operation: what is asked for (``chat``, ``embeddings``, ``models`` …).
        model: as the provider calls it (``Kind.own_name``).
        stream: whether the answer comes as a stream.
        path: for an operation that is only passed through: what stands below the API's prefix, query included.
        betas: what the client's ``anthropic-beta`` header lists; some providers take it in the body.
    """

    format: str
    operation: str
    model: str
    stream: bool = False
    path: str = ""
    betas: tuple[str, ...] = ()

    @property
    def placeable(self) -> bool:
        """Whether the model's name can be a segment of a path; a client may have chosen it."""
        return self.model not in ("", ".", "..")


class Kind(Protocol):
    """One configured provider's API. Immutable."""

    @property
    def name(self) -> str:
        """The type, as the configuration says it."""
        ...

    @property
    def names(self) -> Names:
        """What the configuration calls its models."""
        ...

    @property
    def formats(self) -> tuple[str, ...]:
        """All formats it speaks, by name; the first chat format is what others are converted to."""
        ...

    @property
    def stream_usage(self) -> bool:
        """Whether usage in streams of OpenAI's chat format must be asked for (``stream_options.include_usage``)."""
        ...

    @property
    def passes(self) -> frozenset[str]:
        """The client's headers that mean something to it."""
        ...

    @property
    def defaults(self) -> Pairs:
        """Headers that it needs where the client sent none of that name."""
        ...

    @property
    def renames(self) -> bool:
        """Whether ``own_name`` may give another name."""
        ...

    def speaks(self, model: str) -> tuple[str, ...]:
        """The formats it speaks with this model, in order of preference; ``model`` is its own name for it."""
        ...

    def own_name(self, asked: str) -> str:
        """What the provider calls a model."""
        ...

    def target(self, base: str, call: Call) -> str | None:
        """Path and query of a call; None where the provider has no such operation. ``base``: path of its base URL."""
        ...

    def adjusts(self, call: Call) -> bool:
        """Whether ``adjust`` may change a body of such a call: if not, it need not be parsed."""
        ...

    def adjust(self, body: Body, call: Call, losses: Losses) -> Body:
        """The body as this provider takes it; the same object where nothing changes. ``body`` itself is left as it is."""
        ...


class Credential(Protocol):
    """How calls of a provider are authenticated."""

    @property
    def names(self) -> frozenset[str]:
        """Every header it may set; no other credential header reaches the provider."""
        ...

    @property
    def needs_body(self) -> bool:
        """Whether the headers depend on the final body and path."""
        ...

    def headers(self, method: str, authority: str, path: str, body: bytes, now: datetime.datetime) -> Pairs:
        """The headers for one attempt.

        Args:
            method: of the request.
            authority: the provider's host, with its port where that is not the scheme's own.
            path: with its query, encoded as it is sent.
            body: what is sent.
            now: the time, in UTC.

        Raises:
            NotReady: a token has not been fetched yet, or is out of date.
        """
        ...


@dataclass(frozen=True, slots=True)
class Names:
    """What a provider calls models: exactly named ones, and ``*`` for all others."""

    map: Mapping[str, str]

    def own(self, asked: str) -> str:
        """The provider's name for a model; its own where there is no other."""
        return self.map.get(asked) or self.map.get("*") or asked
