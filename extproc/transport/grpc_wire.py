"""gRPC over HTTP/2: messages, statuses and deadlines on the wire (the gRPC protocol's PROTOCOL-HTTP2 document)."""

from __future__ import annotations

import re
import struct
from typing import Final
from urllib.parse import quote

from extproc.transport.http2.headers import Headers, block

OK: Final = 0
CANCELLED: Final = 1
DEADLINE_EXCEEDED: Final = 4
NOT_FOUND: Final = 5
RESOURCE_EXHAUSTED: Final = 8
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13

BEGIN: Final = block([(":status", "200"), ("content-type", "application/grpc")])
"""Headers of every answer."""
NOT_GRPC: Final = block([(":status", "415")])

_PREFIX: Final = struct.Struct(">BI")
_TIMEOUT: Final = re.compile(r"(\d{1,8})([HMSmun])", re.ASCII)
_PLAIN: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


class Status(Exception):
    """The stream ends with this status. The text is constant: it reaches the peer's logs."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


_known: dict[tuple[int, str, bool], bytes] = {}


def trailers(code: int, text: str = "", *, begun: bool) -> bytes:
    """The header block that ends an answer; ``begun``: its headers have been sent already."""
    found = _known.get((code, text, begun))
    if found is None:
        headers = [] if begun else [(":status", "200"), ("content-type", "application/grpc")]
        headers.append(("grpc-status", str(code)))
        if text:
            headers.append(("grpc-message", quote(text, safe=_PLAIN)))
        found = _known[code, text, begun] = block(headers)  # texts are constant, so these are few
    return found


def packed(message: bytes) -> bytes:
    """A message with its prefix."""
    return _PREFIX.pack(0, len(message)) + message


def timeout(headers: Headers) -> float | None:
    """Seconds the caller waits; None for ever.

    Raises:
        Status: it cannot be read.
    """
    value = headers.get("grpc-timeout")
    if value is None:
        return None
    match = _TIMEOUT.fullmatch(value)
    if match is None:
        raise Status(INTERNAL, "llm-extproc: malformed grpc-timeout")
    return int(match[1]) * _UNITS[match[2]]


class Messages:
    """Joins the bytes of a stream to messages.

    Args:
        largest: longest message, in bytes.
    """

    __slots__ = ("_largest", "_missing", "_parts", "held")

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._parts: list[bytes] = []
        self._missing = 0
        self.held = 0
        """Bytes of a message that is not whole yet."""

    @property
    def missing(self) -> int:
        """Bytes that the message under way still needs, as far as is known."""
        return self._missing - self.held if self.held else 0

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that ``data`` completes.

        Raises:
            Status: a compressed message, or one that is too long.
        """
        if self._parts:
            self._parts.append(data)
            self.held += len(data)
            if self.held < self._missing:
                return []
            data = b"".join(self._parts)
            self._parts.clear()
        found: list[bytes] = []
        at, size, self.held = 0, len(data), 0
        while at < size:
            end = at + _PREFIX.size
            if end <= size:
                flag, length = _PREFIX.unpack_from(data, at)
                self._check(flag, length)
                end += length
            if end > size:
                self._parts.append(data[at:])
                self.held, self._missing = size - at, end - at
                break
            found.append(data[at + _PREFIX.size : end])
            at = end
        return found

    def _check(self, flag: int, length: int) -> None:
        if flag:
            raise Status(UNIMPLEMENTED, "llm-extproc: compressed messages are not supported")
        if length > self._largest:
            raise Status(RESOURCE_EXHAUSTED, "llm-extproc: the message is too long")
