"""Content codings (RFC 9110 section 8.4.1) decoded incrementally, with a cap on size and on ratio.

Owns: gzip and deflate. Other codings are refused by name: we ask providers for ``identity``, and tell clients.
"""

from __future__ import annotations

import zlib
from typing import Final

from extproc.errors import DecodeError, LimitExceeded

SUPPORTED: Final = ("gzip", "x-gzip", "deflate", "identity")

_MAX_RATIO: Final = 100
"""Text deflates to a tenth; beyond a hundredth it is a bomb. Small bodies are exempt."""
_RATIO_FROM: Final = 1 << 20


class Decoder:
    """Decodes one body. ``feed`` chunks, then ``close``.

    Args:
        coding: the Content-Encoding, one of ``SUPPORTED``.
        max_size: most bytes that may come out.

    Raises (from ``feed`` and ``close``):
        DecodeError: not what it claims to be, cut short, or with bytes after its end.
        LimitExceeded: more comes out than allowed.
    """

    __slots__ = ("_coding", "_in", "_max", "_out", "_started", "_stream")

    def __init__(self, coding: str, max_size: int) -> None:
        self._coding = coding
        self._max = max_size
        self._in = self._out = 0
        self._started = False
        # 31: gzip with its header and checksum; 47 would also take zlib
        self._stream = zlib.decompressobj(31 if coding in ("gzip", "x-gzip") else 15)

    def feed(self, chunk: bytes) -> bytes:
        """Decode the next bytes."""
        if not chunk:
            return b""
        self._in += len(chunk)
        if self._coding == "deflate" and not self._started and (chunk[0] & 0x0F) != 8:
            self._stream = zlib.decompressobj(-15)  # many senders leave the zlib wrapper out
        self._started = True
        self._refuse_excess()
        if self._stream.eof:
            raise DecodeError("bytes follow the end of the compressed body")
        try:
            out = self._stream.decompress(chunk, self._max - self._out + 1)
        except zlib.error:
            raise DecodeError(f"not valid {self._coding}") from None
        self._out += len(out)
        if self._out > self._max or (self._out > _RATIO_FROM and self._out > _MAX_RATIO * self._in):
            raise LimitExceeded(f"the decoded body is larger than {self._max} bytes, or suspiciously well compressed")
        return out  # what is good before bytes that do not belong leaves first, however they were cut

    @property
    def excess(self) -> bool:
        """Whether bytes have come that do not belong to the body."""
        return bool(self._stream.unused_data)

    def _refuse_excess(self) -> None:
        if self.excess:
            raise DecodeError("bytes follow the end of the compressed body")

    def close(self) -> bytes:
        """The body has ended."""
        self._refuse_excess()
        if self._started and not self._stream.eof:
            raise DecodeError("the compressed body is cut short")
        return b""


def coding(header: str) -> str:
    """The one coding a Content-Encoding header names, lower-case; several are joined by commas as they stand."""
    return header.strip().lower() or "identity"


def decode(body: bytes, name: str, max_size: int) -> bytes:
    """Decode a whole body; see ``Decoder``."""
    if name == "identity":
        return body
    decoder = Decoder(name, max_size)
    return decoder.feed(body) + decoder.close()
