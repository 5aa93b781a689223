"""Clients of AWS sign what they send: where the operator has given them keys, only what they have signed passes.

The signature is then dropped with all the client's credentials; attempts are signed afresh, with the provider's own keys.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from extproc.errors import Refused
from extproc.events import Headers
from extproc.providers import sigv4


def check(headers: Headers, body: bytes, keys: Mapping[str, str], now: float) -> str:
    """The access key id that a request is signed with.

    Args:
        body: as it came.
        keys: secret access keys by access key id.
        now: Unix time in seconds.

    Raises:
        Refused: it is not signed by any of them.
    """
    if not sigv4.is_signed(headers):
        raise Refused(403, "unsigned", "The request must be signed with an access key of this gateway.")
    signed = {name: value for name, value in headers.items() if not name.startswith(":")}
    signed["host"] = headers.get(":authority", "")
    request = sigv4.Request(headers.get(":method", ""), headers.get(":path", ""), signed, body)
    return sigv4.verify(request, keys.get, datetime.datetime.fromtimestamp(now, datetime.UTC)).identity
