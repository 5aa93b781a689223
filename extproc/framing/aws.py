"""AWS event streams (``application/vnd.amazon.eventstream``): binary messages with typed headers and two checksums.

Source: AWS Smithy 2.0 specification, "Amazon Event Stream Specification"; Amazon Bedrock API reference, ``ConverseStream``
and ``InvokeModelWithResponseStream``. A message is a prelude (total length, length of the headers, CRC of both), headers,
a payload, and a CRC of all before it; numbers are big-endian.

What a client does with a payload depends on the type of its event, which stands in a header. So the data of an event is
an object whose one member has the type's name (``{"messageStop": {"stopReason": …}}``): nothing that reads the data can take
one type for another. The events of models behind InvokeModel name their type themselves: their data is what they carry.
"""

from __future__ import annotations

import binascii
import re
import struct
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from extproc.errors import DecodeError, LimitExceeded
from extproc.framing.jsontext import dump, parse, replace

_PRELUDE: Final = 12
_SMALLEST: Final = 16
_MAX_HEADERS: Final = 128 * 1024
"""Bytes of headers, by the specification."""
_NUMBERS: Final = {2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Sizes of values that are no text: byte, short, integer, long, timestamp, UUID."""
_BYTES: Final = 6
_STRING: Final = 7

_Headers = dict[str, bytes | None]
"""Values that could be a text; None for numbers, times and truth values."""

_TYPES: Final = {"event": ":event-type", "exception": ":exception-type", "error": ":error-code"}
"""Where the name of an event stands, by the type of its message."""
_KNOWN: Final = {
    kind: frozenset({":message-type", name, *([":error-message"] if kind == "error" else [])})
    for kind, name in _TYPES.items()
}
"""Headers whose values are in the data or of a fixed set, by the type of the message; any other could say anything."""
_JSON: Final = "application/json"
_CHUNK: Final = "chunk"
_PADDING: Final = re.compile(r"[A-Za-z0-9]{0,128}")
"""Letters that hide the length of what a chunk carries."""


@dataclass(slots=True)
class Event:
    """One message; see ``framing.base.Event``.

    ``made``: how its data was made, from a ``payload``, from what a payload ``carried`` in base64, or from an error's header.
    """

    raw: bytes
    data: bytes | None
    name: str = ""
    other: bytes = b""
    made: Literal["payload", "carried", "header"] = "payload"

    def with_data(self, data: bytes) -> bytes:
        """The message with other data, its headers as they were, and new checksums."""
        size = int.from_bytes(self.raw[4:8], "big")
        headers = self.raw[_PRELUDE : _PRELUDE + size]
        if self.made == "carried":
            return _message(headers, replace(_payload(self.raw), {("bytes",): dump(b64encode(data).decode())}))
        payload = data[len(_opening(self.name)) : -1]
        if self.made == "header":
            return framed(self.name, payload, "exception")  # which clients take alike
        return _message(headers, payload)


class EventStream:
    """Cuts messages out of bytes. See ``framing.base.Reader``.

    Args:
        max_event: longest message accepted, in bytes.
        carries: payloads of chunks carry the format's own events.
    """

    __slots__ = ("_buffer", "_carries", "_max")

    def __init__(self, max_event: int, *, carries: bool) -> None:
        self._max = max_event
        self._carries = carries
        self._buffer = bytearray()

    @property
    def held(self) -> int:
        """Bytes of a message that is not complete."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Take the next bytes. The events must be iterated to the end before the next call."""
        self._buffer += chunk
        while len(self._buffer) >= _PRELUDE:
            total, headers = self._prelude()
            if len(self._buffer) < total:
                break
            raw = bytes(self._buffer[:total])
            del self._buffer[:total]
            if int.from_bytes(raw[-4:], "big") != binascii.crc32(raw[:-4]):
                raise DecodeError("the checksum of a message is wrong")
            yield _event(raw, _headers(raw[_PRELUDE : _PRELUDE + headers]), carries=self._carries)

    def close(self) -> Iterator[Event]:
        """The stream has ended; half a message cannot be checked."""
        if self._buffer:
            raise DecodeError("the stream ends inside of a message")
        yield from ()  # raised while iterated, as by every reader

    def _prelude(self) -> tuple[int, int]:
        """Length of the message, and of its headers."""
        total, headers, checksum = struct.unpack_from(">III", self._buffer)
        if checksum != binascii.crc32(self._buffer[:8]):
            raise DecodeError("the checksum of a message's lengths is wrong")
        if headers > _MAX_HEADERS or total < headers + _SMALLEST:
            raise DecodeError("the lengths of a message are impossible")
        if total > self._max:
            raise LimitExceeded(f"an event is longer than {self._max} bytes")
        return total, headers


def _payload(raw: bytes) -> bytes:
    return raw[_PRELUDE + int.from_bytes(raw[4:8], "big") : -4]


def _headers(block: bytes) -> _Headers:
    found: _Headers = {}
    at = 0
    try:
        while at < len(block):
            end = at + 1 + block[at]
            name = block[at + 1 : end].decode()
            if name in found or not name:
                raise DecodeError("a message has two headers of one name, or one without a name")
            found[name], at = _value(block, end)
    except (IndexError, struct.error, UnicodeDecodeError):
        raise DecodeError("the headers of a message cannot be read") from None
    if at != len(block):
        raise DecodeError("the headers of a message cannot be read")
    return found


def _value(block: bytes, at: int) -> tuple[bytes | None, int]:
    """A header's value from its type on, and where the next header begins."""
    type_ = block[at]
    at += 1
    if type_ in (_BYTES, _STRING):
        (size,) = struct.unpack_from(">H", block, at)
        return block[at + 2 : at + 2 + size], at + 2 + size
    if type_ in (0, 1):
        return None, at
    if type_ in _NUMBERS:
        return None, at + _NUMBERS[type_]
    raise DecodeError("a header of a message has a type that nobody knows")


def _event(raw: bytes, headers: _Headers, *, carries: bool) -> Event:
    kind = _text(headers, ":message-type")
    if kind not in _TYPES:
        raise DecodeError("a message has no type")
    name = _text(headers, _TYPES[kind])
    payload = _payload(raw)
    if kind == "error":
        data = _opening(name) + dump({"message": _text(headers, ":error-message")}) + b"}"
        return Event(raw, data, name, _other(kind, headers, [payload] if payload else []), "header")
    if carries and kind == "event" and name == _CHUNK:
        data, rest = _carried(payload)
        return Event(raw, data, name, _other(kind, headers, rest), "carried")
    return Event(raw, _opening(name) + (payload or b"{}") + b"}", name, _other(kind, headers, []))


def _text(headers: _Headers, name: str) -> str:
    try:
        return (headers.get(name) or b"").decode()
    except UnicodeDecodeError:
        raise DecodeError("a header of a message is not UTF-8") from None


def _other(kind: str, headers: _Headers, more: list[bytes]) -> bytes:
    """What could be a text in headers that say something else than the type of the message, as comments."""
    odd = [
        name.encode() + b" " + (value or b"")
        for name, value in headers.items()
        if name not in _KNOWN[kind] and not (name == ":content-type" and value == _JSON.encode())
    ]
    return b"\n".join([b": " + line for text in odd + more for line in text.split(b"\n")])


def _opening(name: str) -> bytes:
    return b"{" + dump(name) + b":"


def _carried(payload: bytes) -> tuple[bytes, list[bytes]]:
    """What a chunk carries, and what else is in it but padding."""
    value = parse(payload)
    if not isinstance(value, dict) or not isinstance(carried := value.pop("bytes", None), str):
        raise DecodeError("a chunk carries nothing")
    try:
        data = b64decode(carried, validate=True)
        if b64encode(data) != carried.encode():
            raise DecodeError("a chunk is not plain base64")  # two readers could take it differently
    except (binascii.Error, ValueError):
        raise DecodeError("a chunk is not base64") from None
    padding = value.pop("p", "")
    if not (isinstance(padding, str) and _PADDING.fullmatch(padding)):
        value["p"] = padding
    return data, [dump(value)] if value else []


def framed(name: str, payload: bytes, kind: str = "event") -> bytes:
    """A message of this type; ``kind`` is ``event`` or ``exception``."""
    headers = ((_TYPES[kind], name), (":content-type", _JSON), (":message-type", kind))
    return _message(b"".join([_header(*each) for each in headers]), payload)


def carrying(data: bytes) -> bytes:
    """A chunk that carries an event of the format behind InvokeModel."""
    return framed(_CHUNK, dump({"bytes": b64encode(data).decode()}))


def _header(name: str, value: str) -> bytes:
    text = value.encode()
    return bytes([len(name)]) + name.encode() + bytes([_STRING]) + struct.pack(">H", len(text)) + text


def _message(headers: bytes, payload: bytes) -> bytes:
    lengths = struct.pack(">II", _SMALLEST + len(headers) + len(payload), len(headers))
    message = lengths + struct.pack(">I", binascii.crc32(lengths)) + headers + payload
    return message + struct.pack(">I", binascii.crc32(message))


class _AWS:
    """See ``framing.base.Framing``."""

    media = "application/vnd.amazon.eventstream"
    content_type = "application/vnd.amazon.eventstream"
    keep_alive = b""
    done: bytes | None = None

    def __init__(self, *, carries: bool) -> None:
        self._carries = carries

    def reader(self, max_event: int) -> EventStream:
        """Reads one stream."""
        return EventStream(max_event, carries=self._carries)

    def ended(self, raw: bytes) -> bool:
        """A message is complete, or it is none."""
        return True

    def mend(self) -> bytes:
        """Nothing: there is never half a message to complete."""
        return b""


NAMED: Final = _AWS(carries=False)
"""Each event's payload is JSON, and its type stands in its header."""
CARRIED: Final = _AWS(carries=True)
"""Chunks carry the events of another format in base64 (InvokeModelWithResponseStream)."""
