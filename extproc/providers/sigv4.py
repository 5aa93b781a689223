"""AWS Signature Version 4: made for providers, and checked of clients. Nothing of AWS is needed for that but this page.

Source: AWS Identity and Access Management user guide, "Create a signed AWS API request" and "Elements of an AWS API request
signature". Tested against botocore, both ways. Paths are encoded once more than they are sent, as all services but S3 want.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

from extproc.errors import Refused

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_END: Final = "aws4_request"
_JSON: Final = {"content-type": "application/json"}
_SKEW: Final = datetime.timedelta(minutes=5)
"""How far a client's clock may be off, by the guide."""
_AUTHORIZATION: Final = re.compile(
    rf"{_ALGORITHM} +Credential=([A-Za-z0-9_.:-]{{1,128}})/(\d{{8}})/([a-z0-9-]{{1,40}})/([a-z0-9-]{{1,40}})/{_END}"
    r", *SignedHeaders=([a-z0-9_.;-]{1,4096}), *Signature=([0-9a-f]{64})"
)
_STAMP: Final = re.compile(r"\d{8}T\d{6}Z")
_BLANKS: Final = re.compile(r"[ \t]+")


class Scope(NamedTuple):
    """What a signature is good for: a day (``20260131``), a region and a service."""

    day: str
    region: str
    service: str

    def __str__(self) -> str:
        return "/".join([*self, _END])


@dataclass(frozen=True, slots=True)
class Request:
    """What is signed. ``target`` is path and query as sent; ``headers`` are by lower-case names, ``host`` among them."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signer:
    """Who has signed a request, and for what."""

    identity: str
    scope: Scope


def sign(
    url: str,
    body: bytes,
    keys: tuple[str, ...],
    region: str,
    service: str,
    now: datetime.datetime,
    method: str = "POST",
    more: Mapping[str, str] = _JSON,
) -> dict[str, str]:
    """The headers that sign a request, with those given.

    Args:
        url: with its path and query encoded as they are sent.
        body: what is sent.
        keys: access key id, secret access key and, for temporary credentials, session token.
        region: as in ``us-east-1``.
        service: its signing name.
        now: the time, in UTC.
        method: of the request.
        more: headers that are signed too, by lower-case names; ``content-type`` alone if nothing is said.
    """
    identity, secret, *token = keys
    parts = urlsplit(url)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {**more, "host": parts.netloc, "x-amz-date": stamp}
    if token:
        headers["x-amz-security-token"] = token[0]
    names = sorted(headers)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    scope = Scope(stamp[:8], region, service)
    signature = _signature(Request(method, target, headers, body), names, stamp, scope, secret)
    credential = f"Credential={identity}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    del headers["host"]  # the client says it
    return {**headers, "authorization": f"{_ALGORITHM} {credential}"}


def is_signed(headers: Mapping[str, str]) -> bool:
    """Whether a request comes with a signature, whatever it is worth, and not with a bearer token."""
    return headers.get("authorization", "").startswith("AWS4-")


def verify(
    request: Request,
    secret: Callable[[str], str | None],
    now: datetime.datetime,
    services: Iterable[str] = ("bedrock",),
) -> Signer:
    """Who has signed a request.

    Args:
        request: as it came. A header that came more than once has its values joined by commas.
        secret: the secret access key to an access key id; None for one that is not known.
        now: the time, in UTC.
        services: signing names that are accepted.

    Raises:
        Refused: it is not signed, in a way that is not accepted, for something else, too long ago, or wrongly. Whether the
            access key id or the signature is wrong is not told.
    """
    if "x-amz-signature=" in request.target.casefold():
        raise _refused("signatures in the query are not accepted")
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        raise _refused("there is none that can be read")
    signer = Signer(found[1], Scope(found[2], found[3], found[4]))
    names = found[5].split(";")
    stamp = _checked(request, signer.scope, names, now)
    if signer.scope.service not in services:
        raise _refused("it is for another service")
    known = secret(signer.identity)
    wanted = _signature(request, names, stamp, signer.scope, known or "nobody's")
    if not hmac.compare_digest(wanted, found[6]) or not known:
        raise _refused("it is not the one of this request")
    return signer


def _checked(request: Request, scope: Scope, names: list[str], now: datetime.datetime) -> str:
    """When a request was signed, if what is signed is enough and it is not too long ago."""
    headers = request.headers
    must = {"host", "x-amz-date", *(name for name in headers if name.startswith("x-amz-"))}
    if names != sorted(set(names)) or not must.issubset(names) or not headers.keys() >= set(names):
        raise _refused("not all headers are signed that have to be")
    stamp = headers["x-amz-date"]
    if not _STAMP.fullmatch(stamp) or stamp[:8] != scope.day:
        raise _refused("its time cannot be read")
    try:
        signed = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    except ValueError:
        raise _refused("its time cannot be read") from None
    if abs(now - signed) > _SKEW:
        raise _refused("it is too old, or of the future")
    told = headers.get("x-amz-content-sha256")
    if told is not None and told != hashlib.sha256(request.body).hexdigest():
        raise _refused("it is not of this body")
    return stamp


def _refused(reason: str) -> Refused:
    return Refused(
        403, "invalid_signature", f"The request's AWS signature was refused: {reason}.", "authentication_error"
    )


def _signature(request: Request, names: Iterable[str], stamp: str, scope: Scope, secret: str) -> str:
    path, _, query = request.target.partition("?")
    lines = [f"{name}:{_BLANKS.sub(' ', request.headers[name]).strip()}\n" for name in names]
    canonical = "\n".join([
        request.method,
        quote(_normal(path), safe="/~", errors="surrogatepass"),
        "&".join("=".join(pair) for pair in sorted(_pair(each) for each in query.split("&") if each)),
        "".join(lines),
        ";".join(names),
        hashlib.sha256(request.body).hexdigest(),
    ])  # fmt: skip
    text = "\n".join(
        [_ALGORITHM, stamp, str(scope), hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()]
    )
    key = f"AWS4{secret}".encode()
    for part in (*scope, _END):
        key = _hmac(key, part)
    return _hmac(key, text).hex()


def _normal(path: str) -> str:
    """A path without empty, ``.`` and ``..`` segments."""
    kept: list[str] = []
    for step in path.split("/"):
        if step == ".." and kept:
            kept.pop()
        elif step not in ("", ".", ".."):
            kept.append(step)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
