"""Header hygiene: what may leave towards a provider, what may come back, and which request ids are believed."""

from __future__ import annotations

import re
import uuid
from functools import cache, lru_cache
from typing import Final

from extproc.errors import Refused
from extproc.events import Headers
from extproc.framing import compression

PREFIX: Final = "x-llm-"
"""Our own headers. A client's or a provider's are removed before ours are set."""

CREDENTIALS: Final = (
    "authorization", "api-key", "x-api-key", "x-goog-api-key", "proxy-authorization", "x-amz-security-token",
    "x-amz-date", "x-amz-content-sha256", "cookie",
)  # fmt: skip
"""Every header a key may travel in. Removed from each attempt before the provider's own is set."""

_OWN: Final = frozenset({
    *CREDENTIALS, "set-cookie", "host", "connection", "keep-alive", "te", "trailer", "trailers", "transfer-encoding",
    "upgrade", "http2-settings", "expect", "range", "via", "forwarded", "user-agent", "x-request-id",
})  # fmt: skip
_OWN_PREFIXES: Final = (PREFIX, "x-envoy-", "x-forwarded-", "x-amz-", "proxy-", "content-", "accept-", "if-")
"""Headers of a request that nobody but the gateway sets: credentials, and what HTTP and Envoy go by."""
_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)
_VALUE: Final = re.compile(r"[!-~](?:[ -~]{0,1022}[!-~])?", re.ASCII)

_BACK: Final = frozenset({
    ":status", "content-type", "content-length", "content-encoding", "date", "cache-control", "retry-after", "retry-after-ms",
    "x-should-retry", "x-request-id", "request-id", "openai-version", "openai-model", "openai-processing-ms",
    "etag", "digest", "content-digest", "repr-digest", "content-md5", "x-amzn-requestid", "x-amzn-errortype",
    "x-amzn-bedrock-input-token-count", "x-amzn-bedrock-output-token-count", "x-amzn-bedrock-invocation-latency",
})  # fmt: skip
_BACK_PREFIXES: Final = ("x-ratelimit-", "ratelimit-", "anthropic-ratelimit-")
"""Response headers that reach the client. A header nobody knows could carry anything, and no policy looks at it."""
CHANGED: Final = (
    "content-encoding",
    "content-length",
    "etag",
    "digest",
    "content-md5",
    "repr-digest",
    "content-digest",
)
"""Headers that say something of a body that is no longer the same."""
_ID_HEADERS: Final = (f"{PREFIX}request-id", "x-request-id")
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)


REROUTE: Final = "x-llm-route"
"""Changed together with the route cache, or Envoy would keep the old route; the route removes it."""

AGENT: Final = ("user-agent", "llm-extproc")
_SAME: Final = (("accept-encoding", "identity"), AGENT)
"""What every request says, whatever the client's said."""


def to_providers(media: str) -> tuple[tuple[str, str], ...]:
    """What a request with a body of this type says of itself; empty: it has none, or does not say."""
    return (("content-type", media), *_SAME) if media else _SAME


_ROUTING: Final = frozenset({"x-forwarded-proto"})
"""Without it Envoy finds no route; the route removes it."""
_KEPT: Final = _ROUTING | {REROUTE, "content-type", *(name for name, _ in _SAME)}
"""These are overwritten, so they are not to be removed."""


def not_upstream(headers: Headers, allowed: frozenset[str]) -> tuple[str, ...]:
    """Names of request headers that must not reach a provider."""
    kept = _with_kept(allowed)
    return tuple([name for name in headers if name not in kept])


@lru_cache(maxsize=64)  # one for each group, and for what policies set
def _with_kept(allowed: frozenset[str]) -> frozenset[str]:
    return allowed | _KEPT


def settable(name: str, value: str) -> str:
    """The name in lower case, if the operator's code may set this header towards a provider.

    Raises:
        ValueError: it may not, or the name or the value is none.
    """
    lower = name.lower()
    if lower in _OWN or lower.startswith(_OWN_PREFIXES) or not _NAME.fullmatch(lower) or not _VALUE.fullmatch(value):
        raise ValueError("a header that cannot be set")
    return lower


@cache
def other_credentials(own: frozenset[str]) -> tuple[str, ...]:
    """Every credential header but an attempt's own."""
    return tuple(name for name in CREDENTIALS if name not in own)


def not_back(headers: Headers, *, changed: bool) -> tuple[str, ...]:
    """Names of response headers that must not reach the client; ``changed``: the body is not what was sent."""
    names = [name for name in headers if name not in _BACK and not name.startswith(_BACK_PREFIXES)]
    if changed:
        names += [name for name in CHANGED if name in headers]
    return tuple(names)


def request_id(headers: Headers) -> str:
    """The client's request id where it is a sensible one, else Envoy's, else a new one."""
    for name in _ID_HEADERS:
        value = headers.get(name, "")
        if _ID.fullmatch(value):
            return value
    return str(uuid.uuid4())


_MEDIA: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,80}/[A-Za-z0-9!#$&^_.+-]{1,80}(?: ?;[ -~]{1,200})?", re.ASCII)


def check_unread(headers: Headers) -> None:
    """See that a body that nobody reads says no more of itself than it must; gRPC's as in ``check_body``.

    Raises:
        Refused: it does.
    """
    media = headers.get("content-type", "")
    if media and (media.lower().startswith("application/grpc") or not _MEDIA.fullmatch(media)):
        raise Refused(415, "unsupported_media_type", "The body's Content-Type is not one that may pass.")
    if headers.get("content-encoding", "") not in ("", *compression.SUPPORTED):
        supported = ", ".join(compression.SUPPORTED)
        raise Refused(415, "unsupported_encoding", f"The body's Content-Encoding must be one of {supported}.")


def check_body(headers: Headers, *, forms: bool) -> None:
    """See that a request's body is of a kind that can be read; ``forms``: it may be a form with files.

    JSON as gRPC frames it is none. To clients that call it so Envoy tells every refusal, of ours or its own, in gRPC's way:
    status 200 and the header ``grpc-status``.

    Raises:
        Refused: it is not JSON in UTF-8, or encoded in a way that cannot be decoded.
    """
    if headers.get("content-type") == "application/json" and "content-encoding" not in headers:
        return
    media, _, parameters = headers.get("content-type", "application/json").lower().partition(";")
    charset = parameters.partition("charset=")[2].strip(' "')
    if forms and media.strip() == "multipart/form-data":
        charset = ""
    elif (
        media.startswith("application/grpc+")
        or not media.strip().endswith("json")
        or charset not in ("", "utf-8", "utf8")
    ):
        raise Refused(415, "unsupported_media_type", "The body must be application/json in UTF-8.")
    if compression.coding(headers.get("content-encoding", "")) not in compression.SUPPORTED:
        supported = ", ".join(compression.SUPPORTED)
        raise Refused(415, "unsupported_encoding", f"The body's Content-Encoding must be one of {supported}.")
