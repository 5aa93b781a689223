"""One call of an identity service: a form or nothing sent, JSON received.

No exception of the library goes on: theirs hold what was sent.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import time
from collections.abc import Mapping
from typing import Any, Final

import httpx2

from extproc.errors import DecodeError, ExtprocError
from extproc.framing.jsontext import parse
from extproc.providers.credentials import Token

_WITHIN: Final = 15.0
_MOST: Final = 1 << 20
_LONGEST: Final = 10 * 365 * 86400
_CODE: Final = re.compile(r"[a-z_]{1,40}", re.ASCII)

for _name in ("httpx2", "httpcore2"):  # they write addresses and headers
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class FetchError(ExtprocError):
    """There is no token; the text is for the operator and holds no secret."""


async def ask(
    method: str,
    url: str,
    *,
    ca: str = "",
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """An answer's JSON object.

    Args:
        method: GET or POST.
        url: of the service.
        ca: path of a PEM bundle to check its certificate with; empty: the system's.
        headers: to send.
        form: to send, as a form.

    Raises:
        FetchError: no answer in time, a refusal (with its OAuth error code), or something else than an object.
    """
    status, raw = 0, b""
    try:
        verify = ssl.create_default_context(cafile=ca) if ca else True
        async with (
            asyncio.timeout(_WITHIN),
            httpx2.AsyncClient(verify=verify, timeout=None, follow_redirects=False, trust_env=False) as client,
            client.stream(method, url, headers=headers, data=form) as answer,
        ):
            status, raw = answer.status_code, await _read(answer)
    except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError, ValueError):
        pass
    if not status:
        raise FetchError("the identity service cannot be reached")
    return _object(status, raw)


async def _read(answer: httpx2.Response) -> bytes:
    found = bytearray()
    async for part in answer.aiter_bytes():
        found += part
        if len(found) > _MOST:
            return b""
    return bytes(found)


def _object(status: int, raw: bytes) -> dict[str, Any]:
    try:
        value = parse(raw)
    except DecodeError:
        value = None
    found = value if isinstance(value, dict) else None
    if status != 200:
        code = (found or {}).get("error")
        known = f" ({code})" if isinstance(code, str) and _CODE.fullmatch(code) else ""
        raise FetchError(f"the identity service answered {status}{known}")
    if found is None:
        raise FetchError("the identity service's answer is not what it should be")
    return found


def token(found: dict[str, Any]) -> Token:
    """The token in an OAuth 2.0 answer (RFC 6749, 5.1); some services write the number of seconds as text.

    Raises:
        FetchError: there is none.
    """
    value, lifetime = found.get("access_token"), found.get("expires_in")
    if lifetime is None and (until := _number(found.get("expires_on"))):
        lifetime = until - time.time()
    seconds = _number(lifetime)
    fits = isinstance(value, str) and value.isascii() and value.isprintable() and 0 < seconds < _LONGEST
    if not fits or not value:
        raise FetchError("the identity service's answer is not what it should be")
    return Token((value,), time.time() + seconds)


def _number(value: Any) -> float:
    try:
        return float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else 0.0
    except ValueError:
        return 0.0
