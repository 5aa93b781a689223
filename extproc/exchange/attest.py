"""Attestation: a marked request, to which our filter alone knows the answer. It shows that an Envoy has the filter attached.

The request carries a random word in the header ``x-llm-attest``. A filter of ours that can answer does so at the headers,
whatever the request's path, and whoever sent it: it never goes on, and nothing is told but the mode, the configuration's
generation, and a proof that is made of the word, so that no server gives it by chance or by echoing. In the shadow nothing
can be answered: there the processor notes a hash of the word, and its health port tells who asks for that.

It finds filters that are missing, not servers that lie: whoever knows this page can make the proof.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import orjson

from extproc.errors import Refused
from extproc.events import Headers
from extproc.telemetry import Record

MARK: Final = "x-llm-attest"
"""The request header."""
OPERATION: Final = "attest"
"""What such an exchange is called in logs and metrics."""
MODES: Final = ("gateway", "guard")
"""Filters that can answer."""

_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,128}", re.ASCII)
_PROOF: Final = "llm-extproc attest proof"
_SEEN: Final = "llm-extproc attest seen"


def answer(headers: Headers, record: Record, mode: str) -> bytes:
    """The body of the answer to a marked request; notes it in the exchange's record.

    Raises:
        Refused: the mark is no word of at least 16 characters. Such a request does not go on either.
    """
    record.operation = OPERATION
    nonce = headers[MARK]
    if not _NONCE.fullmatch(nonce):
        raise Refused(400, "bad_attestation", f"{MARK} must be 16 to 128 letters, digits, '-' or '_'.")
    record.attested = seen(nonce)
    found = {"attached": True, "mode": mode, "generation": record.generation, "proof": proof(nonce, mode)}
    return orjson.dumps(found)


def proof(nonce: str, mode: str) -> str:
    """What only our filter answers to this word."""
    return _hash(_PROOF, nonce, mode)


def seen(nonce: str) -> str:
    """By what a processor remembers the word."""
    return _hash(_SEEN, nonce)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
