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
_PLAIN: Final = re.compile(rb"(?:event: ?([A-Za-z0-9_.-]{1,64})\n)?data: ?([^\r\n]*)\n\n")
"""An event as nearly all are: one line of data, perhaps under a name, and nothing else."""


def _told_again(name: bytes, data: bytes) -> bool:
    """Whether an event's name is the ``type`` its data has, and so structure as that is; any other name is a text."""
    return b'"type":"' + name + b'"' in data or b'"type": "' + name + b'"' in data


_BOM: Final = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Event:
    """One event. ``data`` is None where it has no data field (comments, keep-alives); ``name`` is its event field.

    ``other`` holds its lines that are not data: comments, ids, retry times, fields nobody knows, and its name
    where that is not the ``type`` its data has.
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
                start, end = plain.span(2)
                name = plain[1] or b""
                del plain  # it holds the buffer, which is about to shrink
                yield self._plain(start, end, name)
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
        if name == b"event":
            self._name = value.removeprefix(b" ").decode("utf-8", "replace")
        self._other.append(line)

    def _plain(self, start: int, end: int, name: bytes) -> Event:
        """The event whose one line of data has its value from ``start`` to ``end``."""
        data = _utf8(bytes(self._buffer[start:end]))
        end += 2
        self._check(end)
        other = b"event: " + name if name and not _told_again(name, data) else b""
        event = Event(bytes(self._buffer[:end]), data, name.decode(), other)
        del self._buffer[:end]
        self._first = False
        return event

    def _check(self, size: int) -> None:
        if size > self._max:
            raise LimitExceeded(f"an event is longer than {self._max} bytes")

    def _event(self, end: int) -> Event:
        self._check(end)
        data = b"\n".join(self._data) if self._data else None
        name = self._name.encode()
        told = (b"event: " + name, b"event:" + name) if name and _told_again(name, data or b"") else ()
        other = [line for line in self._other if line not in told]
        event = Event(bytes(self._buffer[:end]), data, self._name, b"\n".join(other))
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


DONE: Final = b"[DONE]"
"""OpenAI's end of a stream. Others' servers send it too, though their formats have an end of their own."""
_ENDS: Final = (b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r\n", b"\r\n\n")


class _SSE:
    """See ``framing.base.Framing``."""

    media = "text/event-stream"
    content_type = "text/event-stream; charset=utf-8"
    keep_alive = b": keep-alive\n\n"
    done: bytes | None = DONE

    def reader(self, max_event: int) -> EventStream:
        """Reads one stream."""
        return EventStream(max_event)

    def ended(self, raw: bytes) -> bool:
        """Whether an event has its final blank line."""
        return raw.endswith(_ENDS) or not raw.strip(b"\r\n")

    def mend(self) -> bytes:
        """A blank line ends whatever went before."""
        return b"\n\n"


SSE: Final = _SSE()
"""Server-sent events. ``[DONE]`` is OpenAI's, but no JSON in any API, so it is the end in all."""


class _Quiet(_SSE):
    keep_alive = b""


QUIET: Final = _Quiet()
"""The same, but nothing of ours between the events: for clients that take a comment for a broken event."""


def framed(data: bytes, name: str = "") -> bytes:
    """An event with one line of data, and its name where it has one."""
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n" if name else b"data: " + data + b"\n\n"
