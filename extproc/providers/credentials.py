"""Credentials: keys used in turn, the client's own key, and what was fetched or is signed with."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Protocol

from extproc.providers.api import NotReady, Pairs
from extproc.providers.sigv4 import sign

_AUTHORIZATION: Final = frozenset({"authorization"})
_SIGNED: Final = frozenset({"authorization", "x-amz-date", "x-amz-security-token"})
_CLIENTS: Final = (("authorization", "Bearer "), ("x-api-key", ""), ("api-key", ""), ("x-goog-api-key", ""))
"""Where clients of all APIs put their keys."""


@dataclass(frozen=True, slots=True)
class Token:
    """What an identity service gave: one bearer token, or the two or three parts that AWS signs with.

    ``expires``: when it is of no use any more, in seconds of Unix time.
    """

    parts: tuple[str, ...] = field(repr=False)
    expires: float


class Source(Protocol):
    """Where tokens come from. Two that are equal give the same tokens: they are asked once."""

    async def fetch(self, ca: str) -> Token:
        """A new token.

        Raises:
            FetchError: there is none; the text is for the operator and holds no secret.
        """
        ...


class Held:
    """The latest token of a source, for one provider; a worker's refresher puts new ones in."""

    __slots__ = ("_token", "provider", "source")

    def __init__(self, provider: str, source: Source) -> None:
        self.provider = provider
        self.source = source
        self._token: Token | None = None

    def hold(self, token: Token) -> None:
        """From now on this one."""
        self._token = token

    def parts(self, now: datetime.datetime) -> tuple[str, ...]:
        """The token's parts.

        Raises:
            NotReady: there is none, or it is out of date.
        """
        if self._token is None or self._token.expires <= now.timestamp():
            raise NotReady("the provider's credential is not there yet")
        return self._token.parts


@cache
def _only(header: str) -> frozenset[str]:
    return frozenset({header})


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of the configuration, used in turn."""

    header: str
    prefix: str
    values: tuple[str, ...] = field(repr=False)
    needs_body: bool = False
    _turns: Iterator[int] = field(default_factory=itertools.count, repr=False, compare=False)

    @property
    def names(self) -> frozenset[str]:
        """See ``Credential``."""
        return _only(self.header)

    def headers(self, method: str, authority: str, path: str, body: bytes, now: datetime.datetime) -> Pairs:
        """See ``Credential``."""
        return ((self.header, self.prefix + self.values[next(self._turns) % len(self.values)]),)


@dataclass(frozen=True, slots=True)
class ClientKey:
    """The client's own key. ``given`` finds it in the client's headers; an attempt adds nothing."""

    header: str
    prefix: str
    needs_body: bool = False

    @property
    def names(self) -> frozenset[str]:
        """See ``Credential``."""
        return _only(self.header)

    def headers(self, method: str, authority: str, path: str, body: bytes, now: datetime.datetime) -> Pairs:
        """See ``Credential``."""
        return ()

    def given(self, sent: Mapping[str, str]) -> Pairs:
        """The client's key in the header in which this provider takes it; empty where the client sent none.

        Args:
            sent: the client's headers. The provider's own header comes first, then the others in a fixed order.
        """
        own = ((self.header, self.prefix),)
        for name, prefix in (*own, *_CLIENTS):
            value = sent.get(name, "")
            if prefix and value[: len(prefix)].lower() != prefix.lower():
                continue
            if key := value[len(prefix) :].strip():
                return ((self.header, self.prefix + key),)
        return ()


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token that was fetched."""

    held: Held
    names: frozenset[str] = _AUTHORIZATION
    needs_body: bool = False

    def headers(self, method: str, authority: str, path: str, body: bytes, now: datetime.datetime) -> Pairs:
        """See ``Credential``."""
        return (("authorization", f"Bearer {self.held.parts(now)[0]}"),)


@dataclass(frozen=True, slots=True)
class Signed:
    """AWS's signature (version 4). ``keys`` gives access key id, secret and maybe session token at a time."""

    keys: Callable[[datetime.datetime], tuple[str, ...]] = field(repr=False)
    region: str
    held: Held | None = None
    names: frozenset[str] = _SIGNED
    needs_body: bool = True

    def headers(self, method: str, authority: str, path: str, body: bytes, now: datetime.datetime) -> Pairs:
        """See ``Credential``."""
        made = sign(f"https://{authority}{path}", body, self.keys(now), self.region, "bedrock", now, method)
        return tuple((name, value) for name, value in made.items() if name in _SIGNED)


def static(keys: tuple[str, ...], region: str) -> Signed:
    """A signature with keys of the configuration."""
    return Signed(lambda now: keys, region)


def temporary(held: Held, region: str) -> Signed:
    """A signature with keys that are fetched."""
    return Signed(held.parts, region, held)
