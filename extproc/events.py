"""What an exchange takes in (events) and gives out (effects). Plain values; ``wire`` turns them from and to messages.

Nobody changes one after it was made. They are not frozen all the same: freezing triples the cost of making them, and every
message makes two or three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Headers = Mapping[str, str]
"""Lower-case names; several headers of one name joined by a comma."""

Pairs = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class RequestHeaders:
    """The client's request line and headers. ``end``: there is no body."""

    headers: Headers
    end: bool
    attributes: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class RequestBody:
    """The whole buffered request body (``end`` may be false where trailers follow)."""

    body: bytes
    end: bool


@dataclass(slots=True)
class RequestTrailers:
    """Names of the request's trailers."""

    names: tuple[str, ...]


@dataclass(slots=True)
class ResponseHeaders:
    """The answer's status and headers: a provider's, or a local reply of Envoy's own."""

    headers: Headers
    end: bool
    attributes: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class ResponseBody:
    """The next bytes of the answer."""

    body: bytes
    end: bool


@dataclass(slots=True)
class ResponseTrailers:
    """Names of the answer's trailers; the body has ended."""

    names: tuple[str, ...]


Event = RequestHeaders | RequestBody | RequestTrailers | ResponseHeaders | ResponseBody | ResponseTrailers


@dataclass(slots=True)
class Mutation:
    """Header changes and what goes with them. ``reroute``: choose the route again (needs a header change to work)."""

    set: Pairs = ()
    remove: tuple[str, ...] = ()
    reroute: bool = False
    metadata: Mapping[str, Mapping[str, Any]] | None = None


@dataclass(slots=True)
class ContinueRequest:
    """Answer to request headers."""

    mutation: Mutation = field(default_factory=Mutation)


@dataclass(slots=True)
class ContinueBody:
    """Answer to the buffered request body; ``body`` None leaves it as it is."""

    body: bytes | None = None
    mutation: Mutation = field(default_factory=Mutation)


@dataclass(slots=True)
class ContinueResponse:
    """Answer to response headers."""

    mutation: Mutation = field(default_factory=Mutation)


@dataclass(slots=True)
class Send:
    """Bytes of the answer for the client; ``end`` finishes it, and resets the upstream if that is not done."""

    body: bytes
    end: bool
    metadata: Mapping[str, Mapping[str, Any]] | None = None


@dataclass(slots=True)
class DropTrailers:
    """Answer to trailers: none of them goes on."""

    request: bool
    names: tuple[str, ...]


@dataclass(slots=True)
class Respond:
    """Answer the client ourselves. ``details`` is what Envoy logs, always ``llm_…``."""

    status: int
    headers: Pairs
    body: bytes
    details: str
    metadata: Mapping[str, Mapping[str, Any]] | None = None


@dataclass(slots=True)
class Close:
    """End the gRPC stream cleanly: nothing more is to be inspected, by decision."""


Effect = ContinueRequest | ContinueBody | ContinueResponse | Send | DropTrailers | Respond | Close
