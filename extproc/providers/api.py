"""What the rest of the house knows of a provider: which formats it speaks, where, and how it is authenticated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Pairs = tuple[tuple[str, str], ...]


class NotReady(Exception):
    """A token has not been fetched yet."""


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt: the format it goes in, what is asked for, and the provider's own name of the model."""

    format: str
    operation: str
    model: str
    stream: bool


class Kind(Protocol):
    """A kind of provider."""

    name: str
    formats: tuple[str, ...]
    """The formats it speaks; the first that can be converted to is what others are converted to."""
    stream_usage: bool
    """Whether it has to be asked for the usage of a stream."""
    alters: bool
    """Whether ``adjusts`` may ever be true."""

    def target(self, base: str, call: Call) -> str | None:
        """Path and query of a call, below the path of the base URL; None where it cannot be made."""
        ...

    def adjusts(self, call: Call) -> bool:
        """Whether ``adjust`` may change a body."""
        ...

    def adjust(self, body: dict[str, Any], call: Call) -> dict[str, Any]:
        """A body as this provider wants it."""
        ...

    def headers(self, call: Call, client: Mapping[str, str]) -> Pairs:
        """Headers of its own; ``client`` are the client's."""
        ...


class Credential(Protocol):
    """How an attempt is authenticated."""

    names: frozenset[str]
    """Headers it sets, or lets pass."""
    needs_body: bool
    """Whether it signs the body."""
    turns: int
    """How many keys it uses in turn; 0 where it has none."""

    def headers(self, method: str, authority: str, path: str, body: bytes, now: float) -> Pairs:
        """The headers.

        Raises:
            NotReady: see there.
        """
        ...
