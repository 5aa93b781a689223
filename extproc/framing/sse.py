"""Server-sent events, by the HTML standard (section 9.2.6, "Interpreting an event stream"), with their raw bytes kept.

Owns: the cutting of a byte stream into events whatever the line ends (LF, CRLF, CR) and wherever the chunks are cut.
An event's raw bytes include its terminating blank line, so the concatenation of all raws is the stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from extproc.errors import DecodeError, LimitExceeded

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_PLAIN: Final = re.compile(rb"data: ?([^\r\n]*)\n\n")
"""An event as nearly all are: one line of data, and nothing else."""
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Event:
    """One event. ``data`` is None where it has no data field (comments, keep-alives); ``name`` is its event field.

    ``other`` holds its lines that are not data: comments, event names, ids, retry times, fields nobody knows.
    """

    raw: bytes
    data: bytes | None
    name: str = ""
    other: bytes = b""

    def with_data(self, data: bytes) -> bytes:
        """The event's bytes with other data, as many lines as it has; its other fields and comments stay as they are."""
        lines = self.raw.splitlines(keepends=True)
        out: list[bytes] = []
        placed = False
        for line in lines:
            if line.removeprefix(_BOM).split(b":", 1)[0].rstrip(b"\r\n") != b"data":
                out.append(line)
            elif not placed:
                found = _LINE_END.search(line)
                end = found.group() if found else b"\n"
                out += [b"data: " + each + end for each in data.split(b"\n")]
                placed = True
        return b"".join(out)


class EventStream:
    """Cuts events out of bytes. ``feed`` chunks, then ``close``; both give the events completed, one by one.

    Args:
        max_event: longest event accepted, in bytes.

    Raises (while iterating, after the good events before it):
        LimitExceeded: an event is longer.
        DecodeError: a data line is not UTF-8 (the standard replaces bad bytes; a guard must not guess).
    """

    __slots__ = ("_buffer", "_data", "_first", "_line", "_max", "_name", "_other", "_scan")

    def __init__(self, max_event: int) -> None:
        self._max = max_event
        self._buffer = bytearray()
        self._line = 0  # where the current line begins
        self._scan = 0  # how far the current line has been searched for its end
        self._data: list[bytes] = []
        self._other: list[bytes] = []
        self._name = ""
        self._first = True

    @property
    def held(self) -> int:
        """Bytes of an event that is not complete."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Take the next bytes. The events must be iterated to the end before the next call."""
        self._buffer += chunk
        return self._cut(closed=False)

    def close(self) -> Iterator[Event]:
        """The stream has ended. An event without its final blank line counts: clients and servers differ on it."""
        yield from self._cut(closed=True)
        if self._line < len(self._buffer):
            self._field(bytes(self._buffer[self._line :]))
            self._line = len(self._buffer)
        if self._buffer:
            yield self._event(len(self._buffer))

    def _cut(self, *, closed: bool) -> Iterator[Event]:
        buffer = self._buffer
        while True:
            while not self._scan and (plain := _PLAIN.match(buffer)):  # between two events
                start, end = plain.span(1)
                del plain  # it holds the buffer, which is about to shrink
                yield self._plain(start, end)
            found = _LINE_END.search(buffer, self._scan)
            if found is None:
                self._scan = len(buffer)
                break
            if found.group() == b"\r" and found.end() == len(buffer) and not closed:
                self._scan = found.start()  # a line feed may follow
                break
            if found.start() > self._line:
                self._field(bytes(buffer[self._line : found.start()]))
                self._line = self._scan = found.end()
            else:  # a blank line ends the event
                end = found.end()
                del found
                yield self._event(end)
        self._check(len(buffer))

    def _field(self, line: bytes) -> None:
        if self._first:
            line = line.removeprefix(_BOM)
            self._first = False
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(_utf8(value.removeprefix(b" ")))
            return
        self._other.append(line)
        if name == b"event":
            self._name = value.removeprefix(b" ").decode("utf-8", "replace")

    def _plain(self, start: int, end: int) -> Event:
        """The event whose one line of data has its value from ``start`` to ``end``."""
        data = _utf8(bytes(self._buffer[start:end]))
        end += 2
        self._check(end)
        event = Event(bytes(self._buffer[:end]), data)
        del self._buffer[:end]
        self._first = False
        return event

    def _check(self, size: int) -> None:
        if size > self._max:
            raise LimitExceeded(f"an event is longer than {self._max} bytes")

    def _event(self, end: int) -> Event:
        self._check(end)
        data = b"\n".join(self._data) if self._data else None
        event = Event(bytes(self._buffer[:end]), data, self._name, b"\n".join(self._other))
        del self._buffer[:end]
        self._line = self._scan = 0
        self._data = []
        self._other = []
        self._name = ""
        self._first = False
        return event


def _utf8(data: bytes) -> bytes:
    try:
        data.decode()
    except UnicodeDecodeError:
        raise DecodeError("an event is not UTF-8") from None
    return data
