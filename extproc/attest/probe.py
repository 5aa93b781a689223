"""One look: a marked request, and what its answer says. Blocking; nothing of bodies or of headers that were sent is told.

The request is a chat request without a single field. Where no filter of ours answers it, it may go on: a provider refuses
it, and nothing is spent.
"""

from __future__ import annotations

import http.client
import secrets
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from extproc.exchange.attest import MARK, MODES, proof, seen

_BODY: Final = b"{}"
_LARGEST: Final = 1 << 16
"""Bytes of an answer that are read: ours is far smaller."""
_SHOWN: Final = 100
_AGAIN: Final = 0.25
"""Seconds between two questions to a processor."""
_OURS: Final = "x-llm-generation"
"""A header that every answer of ours carries."""


class Result(StrEnum):
    """What a look came to."""

    ATTACHED = "attached"
    SHADOW = "shadow"
    MISSING = "missing"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Target:
    """What to look at.

    Args:
        url: scheme, host, maybe a port, maybe what stands before the API's path.
        path: of the API.
        headers: to be sent along.
        ca: a file of authorities to trust instead of the system's.
        processors: where processors tell what they have seen: HOST:PORT; each address of a name is asked.
        timeout: seconds for one step: to connect, to get an answer, and to be told of by a processor.
    """

    url: str
    path: str = "/v1/chat/completions"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca: str | None = None
    processors: Sequence[str] = ()
    timeout: float = 10.0

    def target(self) -> str:
        """The request's target: the API's path after the URL's own, as far as that is not its beginning already."""
        own = urlsplit(self.url).path.rstrip("/")
        if own.endswith(self.path):
            return own
        for cut in range(len(self.path) - 1, 0, -1):  # https://host/v1 and /v1/chat/completions are one path
            if self.path[cut] == "/" and own.endswith(self.path[:cut]):
                return own + self.path[cut:]
        return own + self.path


@dataclass(frozen=True, slots=True)
class Found:
    """What a look came to. ``text`` is for people."""

    result: Result
    text: str
    mode: str | None = None
    generation: int | None = None
    status: int | None = None

    @property
    def attached(self) -> bool:
        """Whether a filter of ours sees this traffic."""
        return self.result in (Result.ATTACHED, Result.SHADOW)


def look(target: Target) -> Found:
    """Send one marked request and say what came of it."""
    nonce = secrets.token_urlsafe(24)
    try:
        answer, body = _ask(target, nonce)
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason
        return Found(Result.UNREACHABLE, f"unreachable: TLS failed: {reason}")
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        return Found(Result.UNREACHABLE, f"unreachable: {why}")
    told = _told(body, nonce)
    if told:
        mode, generation = told
        text = f"attached: {mode}, generation {generation}"
        return Found(Result.ATTACHED, text, mode, generation, answer.status)
    return _in_the_shadow(target, nonce, answer)


def _ask(target: Target, nonce: str) -> tuple[http.client.HTTPResponse, bytes]:
    place = urlsplit(target.url)
    host, port = place.hostname or "", place.port
    connection: http.client.HTTPConnection
    if place.scheme == "https":
        context = ssl.create_default_context(cafile=target.ca)
        connection = http.client.HTTPSConnection(host, port, timeout=target.timeout, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=target.timeout)
    try:
        headers = {"content-type": "application/json", **target.headers, MARK: nonce}
        connection.request("POST", target.target(), _BODY, headers)
        answer = connection.getresponse()
        return answer, _read(answer, time.monotonic() + target.timeout)
    finally:
        connection.close()


def _read(answer: http.client.HTTPResponse, until: float) -> bytes:
    """The beginning of a body; an answer that does not end is not ours."""
    body = b""
    while len(body) < _LARGEST and time.monotonic() < until and (piece := answer.read1(_LARGEST)):
        body += piece
    return body


def _told(body: bytes, nonce: str) -> tuple[str, int] | None:
    """The mode and generation that our filter answers with; None where it was not our filter."""
    try:
        said: Any = orjson.loads(body)
    except ValueError:
        return None
    if not isinstance(said, dict) or said.get("attached") is not True:
        return None
    mode, generation = said.get("mode"), said.get("generation")
    if mode not in MODES or not isinstance(generation, int) or said.get("proof") != proof(nonce, mode):
        return None
    return mode, generation


def _in_the_shadow(target: Target, nonce: str, answer: http.client.HTTPResponse) -> Found:
    """Nobody proved to be there; a filter that may not answer has been seen by its processor."""
    who = _answered(answer)
    if not target.processors:
        return _missing(answer, f"what answered is {who} (a filter in the shadow is found with --processor)")
    asked, mode = _seen(target, seen(nonce))
    if mode:
        text = f"attached in {mode}: the processor has seen the request; what answered is {who}"
        return Found(Result.SHADOW, text, mode, status=answer.status)
    if not asked:
        text = f"unreachable: no processor can be asked ({', '.join(target.processors)}); what answered is {who}"
        return Found(Result.UNREACHABLE, text, status=answer.status)
    return _missing(answer, f"what answered is {who}, and no processor has seen it")


def _missing(answer: http.client.HTTPResponse, why: str) -> Found:
    return Found(Result.MISSING, f"NOT attached: {why}", status=answer.status)


def _answered(answer: http.client.HTTPResponse) -> str:
    """Who answered, and what that may mean."""
    who = f"{answer.status} from {_shown(answer.getheader('server'))}"
    if answer.getheader(_OURS) is not None:
        return f"{who}, with headers of llm-extproc but without its proof: another version, or made up"
    if answer.status in (401, 403):
        return f"{who}, perhaps before the filter's turn: --header may bring what it wants"
    return who


def _shown(name: str | None) -> str:
    """What a server calls itself, as it can be printed."""
    if not name:
        return "a server without a name"
    return "".join(each if each.isprintable() else "?" for each in name[:_SHOWN])


def _seen(target: Target, hash_: str) -> tuple[bool, str | None]:
    """Whether any processor could be asked, and the mode of the filter that has seen the request.

    A shadow is told of a request when Envoy is done with it, which may take seconds.
    """
    until = time.monotonic() + target.timeout
    asked = False
    while True:
        for host, port in _addresses(target.processors):
            mode = _of_processor(host, port, hash_)
            asked = asked or mode is not None
            if mode:
                return True, mode
        if time.monotonic() >= until:
            return asked, None
        time.sleep(_AGAIN)


def _addresses(processors: Sequence[str]) -> list[tuple[str, int]]:
    """Every address that these names have: a name may stand for several processors."""
    found: dict[tuple[str, int], None] = {}
    for each in processors:
        place = urlsplit(each if "//" in each else f"//{each}")
        try:
            listed = socket.getaddrinfo(place.hostname, place.port, type=socket.SOCK_STREAM)
        except OSError:
            continue
        found |= dict.fromkeys((str(address[0]), int(address[1])) for *_, address in listed)
    return list(found)


def _of_processor(host: str, port: int, hash_: str) -> str | None:
    """The mode in which this processor has seen it, empty for not yet; None where it cannot be asked."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", f"/attest/{hash_}")
        answer = connection.getresponse()
        said: Any = orjson.loads(answer.read(_LARGEST)) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    if not isinstance(said, dict) or not isinstance(said.get("seen"), int):
        return None
    return str(said.get("mode")) if said["seen"] else ""
