"""AWS Signature Version 4, for JSON. Nothing of AWS is needed for that but this page.

Source: AWS Identity and Access Management user guide, "Create a signed AWS API request". Tested against botocore.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
from typing import Final
from urllib.parse import quote, urlsplit

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


def sign(
    url: str,
    body: bytes,
    keys: tuple[str, ...],
    region: str,
    service: str,
    now: datetime.datetime,
    method: str = "POST",
) -> dict[str, str]:
    """The headers that sign a request with JSON.

    Args:
        url: with its path and query encoded as they are sent.
        body: what is sent.
        keys: access key id, secret access key and, for temporary credentials, session token.
        region: as in ``us-east-1``.
        service: its signing name.
        now: the time, in UTC.
        method: of the request.
    """
    identity, secret, *token = keys
    parts = urlsplit(url)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"content-type": "application/json", "host": parts.netloc, "x-amz-date": stamp}
    if token:
        headers["x-amz-security-token"] = token[0]
    names = ";".join(sorted(headers))
    lines = [f"{name}:{headers[name]}\n" for name in sorted(headers)]
    path = quote(parts.path, safe="/~")  # encoded once more than what is sent
    query = "&".join("=".join(pair) for pair in sorted(_pair(each) for each in parts.query.split("&") if each))
    request = "\n".join([method, path, query, "".join(lines), names, hashlib.sha256(body).hexdigest()])
    scope = "/".join([stamp[:8], region, service, "aws4_request"])
    text = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    credential = f"Credential={identity}/{scope}, SignedHeaders={names}, Signature={_hmac(key, text).hex()}"
    del headers["host"]  # the client says it
    return {**headers, "authorization": f"{_ALGORITHM} {credential}"}


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
