"""Fake providers, each strict about its own API: the path, the credential, the headers and the body it is sent.

What is shared by all; each API is a file of its own (``cloud_*.py``). They answer with hand-written bodies in the shape that
the API's reference documents, made without any code of ours.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from tests.e2e.scenes import ERRORS, SCENES, Scene, name_of
from tests.e2e.upstream import Behaviour, Pairs, Received, Upstream, chunked, respond

CREDENTIALS = frozenset({
    "authorization", "api-key", "x-api-key", "x-goog-api-key", "x-amz-security-token", "x-amz-date",
    "x-amz-content-sha256", "cookie", "proxy-authorization",
})  # fmt: skip
COMMON = frozenset({
    "host", "accept", "accept-encoding", "content-length", "content-type", "user-agent", "x-request-id", "traceparent",
    "tracestate", "transfer-encoding", "idempotency-key", "x-client-request-id",
})  # fmt: skip
"""All that any provider may be told, beside its own credential and versions."""
SECRETS: set[str] = set()
"""Every key there is: of all providers, and those clients come with."""

JSON = [("content-type", "application/json")]
EVENTS = [("content-type", "text/event-stream; charset=utf-8")]


class Cloud(Upstream):
    """One provider. ``extra``: headers that its API knows besides."""

    extra: frozenset[str] = frozenset()

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.recorded: dict[str, Behaviour] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # what an API says for itself

    def wrong(self, received: Received) -> Iterable[str]:
        """What is wrong with a request, by the API's reference."""
        raise NotImplementedError

    def credential(self, received: Received) -> Mapping[str, str]:
        """The credential headers it must come with, and no others."""
        raise NotImplementedError

    def answer(self, received: Received, scene: Scene) -> Behaviour:
        raise NotImplementedError

    def error(self, status: int, received: Received) -> Behaviour:
        raise NotImplementedError

    def other(self, received: Received) -> Behaviour | None:
        """An answer to what is not chat."""
        return None

    # what is the same for all

    def _check(self, received: Received, length: list[str], coding: list[str]) -> None:
        found = []
        if len(length) + len(coding) != 1 or received.trailers:
            found.append(f"framing: content-length {length}, transfer-encoding {coding}, trailers {received.trailers}")
        known = COMMON | self.extra | CREDENTIALS
        found += [f"header {name}" for name, _ in received.headers if name not in known]
        found += [f"{name} twice" for name in known if len(received.all(name)) > 1]
        if received.all("accept-encoding") != ["identity"]:
            found.append(f"accept-encoding {received.all('accept-encoding')}")
        if received.header("user-agent") != "llm-extproc":
            found.append("the client's user agent")
        if received.header("host") != f"127.0.0.1:{self.port}":
            found.append("another host")
        found += self._credentials(received)
        if received.method != "POST":
            found.append(f"method {received.method}")
        try:
            found += self.wrong(received)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, AssertionError) as error:
            found.append(f"unreadable: {error!r} in {received.body[:2000]!r}")
        self.violations += [f"{self.name}: {received.target}: {each}" for each in found]

    def _credentials(self, received: Received) -> Iterable[str]:
        wanted = dict(self.credential(received))
        found = {name: value for name, value in received.headers if name in CREDENTIALS}
        if found != wanted:
            yield f"credentials {sorted(found)} that are not {sorted(wanted)}, or of other values"
        others = received.target + repr([value for name, value in received.headers if name not in wanted])
        others += received.body.decode("utf-8", "replace")
        for secret in SECRETS - {value.removeprefix("Bearer ") for value in wanted.values()}:
            if secret in others:
                yield f"a key that is none of its own: {secret[:8]}"

    def _behaviour(self, received: Received) -> Behaviour:
        scene = name_of(received.body)
        if scene in ERRORS:
            return self.error(ERRORS[scene], received)
        return self.recorded.get(scene) or self.other(received) or self.answer(received, SCENES[scene])


def said(value: Any, headers: Pairs = JSON) -> Behaviour:
    return respond(200, json.dumps(value).encode(), headers)


def refused(status: int, value: Any, headers: Pairs = ()) -> Behaviour:  # type: ignore[assignment]
    more = [("retry-after", "7")] if status == 429 else []
    return respond(status, json.dumps(value).encode(), [*JSON, *more, *headers])


def streamed(events: Iterable[bytes], headers: Pairs = EVENTS) -> Behaviour:
    return chunked(200, events, headers)


def data(value: Any, name: str = "") -> bytes:
    """One server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value)}\n\n".encode()


def message(kind: str, value: Any, exception: bool = False) -> bytes:
    """One message of AWS's event stream encoding: prelude, its CRC, headers, payload, and a CRC of it all."""
    payload = json.dumps(value).encode()
    names = {
        ":message-type": "exception" if exception else "event",
        ":exception-type" if exception else ":event-type": kind,
        ":content-type": "application/json",
    }
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(text)) + text.encode()
        for name, text in names.items()
    )
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    whole = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return whole + struct.pack("!I", zlib.crc32(whole))


@cache
def _adapter(type_: Any) -> TypeAdapter[Any]:
    return TypeAdapter(type_)


def invalid(type_: Any, value: Any, where: str) -> Iterable[str]:
    """What an SDK's own type says of a value."""
    try:
        _exhaust(_adapter(type_).validate_python(value))  # an ``Iterable`` is only looked at as it is taken
    except ValidationError as error:
        yield f"{where}: {error.errors(include_url=False)[:3]} in {json.dumps(value)[:600]}"


def _exhaust(value: Any) -> None:
    if isinstance(value, dict):
        for each in value.values():
            _exhaust(each)
    elif hasattr(value, "__iter__") and not isinstance(value, str | bytes):
        for each in value:
            _exhaust(each)


def strangers(type_: Any, value: Mapping[str, Any], but: frozenset[str] = frozenset()) -> Iterable[str]:
    """Members that a type does not have."""
    names = get_type_hints(type_).keys() - but
    return [f"a member called {name}" for name in value if name not in names]
