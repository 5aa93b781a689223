"""JSON over HTTP to a moderation service, for all that speak it.

The library is httpx2, the maintained continuation of httpx: pure Python on h11, at home on any asyncio loop (uvloop too), and
with few dependencies; aiohttp would bring eight more packages with compiled parts. Connections are kept; the environment's
proxies, netrc files and redirects mean nothing here; certificates are always checked.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import httpx2
from pydantic import BaseModel, ConfigDict, ValidationError

from extproc.errors import ConfigError, DecodeError
from extproc.framing.jsontext import dump, parse
from extproc.moderation.api import ModerationError
from extproc.moderation.client import CALLS

ANSWER_MAX: Final = 1 << 20
"""Bytes of an answer; more is an error."""

_KEEP: Final = 30.0
_OUTAGES: Final = frozenset({401, 403, 404, 407, 408, 429})
"""Statuses that do not depend on what was asked; all above 499 besides."""

for _name in ("httpx2", "httpcore2"):  # they write addresses and headers
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class Answer(BaseModel):
    """The base of what services answer: exact types, unknown fields ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)


_A = TypeVar("_A", bound=Answer)


def read(model: type[_A], value: Any) -> _A:
    """A value as what it should be.

    Raises:
        ModerationError: it is something else.
    """
    try:
        return model.model_validate(value)
    except ValidationError:
        pass  # it quotes what was sent; nothing of it may go on
    raise ModerationError("the service's answer is not what it should be")


def endpoint(url: str, path: str) -> str:
    """The address of an operation, whether ``url`` already ends with it or is what stands before it."""
    base = url.rstrip("/")
    return base if base.endswith(path) else base + path


class Http:
    """A client for one service. Deadlines are its caller's; cancelling a call closes its connection.

    Args:
        ca: path of a PEM bundle to check certificates with; empty: the system's.
        headers: sent with each call; their values are secret.

    Raises:
        ConfigError: the bundle cannot be read.
    """

    def __init__(self, ca: str = "", headers: Mapping[str, str] | None = None) -> None:
        self._headers = {"content-type": "application/json", "accept-encoding": "identity", **(headers or {})}
        self._client = httpx2.AsyncClient(
            verify=_context(ca) if ca else True,
            timeout=None,  # a judgement's deadline covers all of it
            follow_redirects=False,
            trust_env=False,
            limits=httpx2.Limits(max_connections=CALLS, max_keepalive_connections=CALLS, keepalive_expiry=_KEEP),
        )

    async def post(self, url: str, value: Any) -> Any:
        """Send JSON, get JSON.

        Raises:
            ModerationError: the service cannot be reached, refuses, or answers something else.
        """
        return await self.send(url, dump(value), {})

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Any:
        """The same with a body as it is, and further headers."""
        failed = True
        status, raw = 0, b""
        try:
            async with self._client.stream("POST", url, content=body, headers={**self._headers, **headers}) as answer:
                status = answer.status_code
                raw = await _body(answer) if status == 200 else b""
            failed = False
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError, ValueError):
            pass  # raised below, where nothing hangs on it: theirs hold the request
        if failed:
            raise ModerationError("the service cannot be reached, or broke off", outage=True)
        if status != 200:
            raise ModerationError("the service refused", outage=status in _OUTAGES or status >= 500)
        return _value(raw)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()


async def _body(answer: httpx2.Response) -> bytes:
    if answer.headers.get("content-encoding", "identity") != "identity":  # we asked for none
        raise ModerationError("the service's answer is compressed")
    parts = bytearray()
    async for part in answer.aiter_raw():
        parts += part
        if len(parts) > ANSWER_MAX:
            raise ModerationError("the service's answer is too large")
    return bytes(parts)


def _value(raw: bytes) -> Any:
    try:
        return parse(raw)
    except DecodeError:
        pass
    raise ModerationError("the service's answer is not JSON")


def _context(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError):
        raise ConfigError(f"{ca} is not a bundle of certificates (PEM)") from None


def secret(name: str, keys: Sequence[str], prefix: str = "") -> dict[str, str]:
    """The header for a key, if there is one."""
    return {name: prefix + keys[0]} if keys else {}


def bearer(keys: Sequence[str]) -> dict[str, str]:
    """The usual header for a key, if there is one."""
    return secret("authorization", keys, "Bearer ")
