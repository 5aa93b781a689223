"""A fake provider that is not the bottleneck: bytes made beforehand on a bare protocol. Usage: upstream.py [PORT]

``max_tokens`` of a request says how many events its stream has, ``seed`` how many milliseconds lie between them. All paced
streams share one clock that ticks every millisecond, so a thousand of them cost a thousand writes a period and no timers.
"""

from __future__ import annotations

import asyncio
import gc
import re
import sys
import time
from functools import cache
from typing import Any

import orjson
import uvloop

from tests.bench.cases import ANSWER, END, MARK_LENGTH, stamp

_HEAD = {"id": "chatcmpl-bench", "created": 1700000000, "model": "bench"}
_USAGE = {"prompt_tokens": 250, "completion_tokens": 100, "total_tokens": 350}
_STREAM = re.compile(rb'"stream": ?true')
_EVENTS = re.compile(rb'"max_tokens": ?(\d+)')
_PACE = re.compile(rb'"seed": ?(\d+)')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_PLACE = b"-" * MARK_LENGTH
_KEPT = 4096


def _whole() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
    return _answer(200, {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE})


def _answer(status: int, value: object) -> bytes:
    body = orjson.dumps(value)
    return b"HTTP/1.1 %d .\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body


def _chunk(data: bytes) -> bytes:
    event = b"data: " + data + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(event), event)


def _event(text: str | None, reason: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return _chunk(orjson.dumps({**_HEAD, "object": "chat.completion.chunk", "choices": [choice]}))


_BEFORE, _, _AFTER = _event(f"lake {_PLACE.decode()} ").partition(_PLACE)
_LAST = _event(None, "stop") + _chunk(b"[DONE]") + b"0\r\n\r\n"
_WHOLE = _whole()
_INCOMPLETE = _answer(400, {"error": {"message": "the prompt did not arrive whole", "type": "invalid_request_error"}})


@cache
def _unpaced(events: int) -> bytes:
    words = ANSWER.split()
    mark = stamp(0).decode()
    return b"".join([_SSE_HEAD, *(_event(f"{words[each % len(words)]} {mark} ") for each in range(events)), _LAST])


class Clock:
    """Sends the next event of every paced stream that is due."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = time.monotonic()
        self._tick = 0
        self._due: dict[int, list[Provider]] = {}
        self._open = 0

    def add(self, stream: Provider) -> None:
        """A stream whose first event has just been sent."""
        now = self._now()
        if not self._open:
            self._tick = now
            self._loop.call_later(stream.pace / 1000, self._run)
        self._open += 1
        self._due.setdefault(now + stream.pace, []).append(stream)

    def _now(self) -> int:
        return int((time.monotonic() - self._began) * 1000)

    def _run(self) -> None:
        now = self._now()
        while self._tick < now:
            self._tick += 1
            for stream in self._due.pop(self._tick, ()):
                if stream.send():
                    self._due.setdefault(self._tick + stream.pace, []).append(stream)
                else:
                    self._open -= 1
        if self._open:
            self._loop.call_later(max(1, min(self._due) - self._tick) / 1000, self._run)


class Provider(asyncio.BufferedProtocol):
    """One connection. A request that comes before a stream has ended waits for it; the middle of a long one is dropped."""

    _shared = memoryview(bytearray(1 << 20))

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buffer = bytearray()
        self._needed = self._dropped = 0
        self._left = 0
        self.pace = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._left = 0

    def get_buffer(self, hint: int) -> memoryview:
        return self._shared

    def buffer_updated(self, count: int) -> None:
        data = self._shared[:count]
        if not self._needed and count > 2 * _KEPT:
            self._buffer += data[:_KEPT]
            data = data[_KEPT:]
            self._head()
        middle = self._needed - self._dropped - len(self._buffer) - _KEPT
        if middle > 0:
            self._dropped += min(middle, len(data))
            data = data[middle:]
        self._buffer += data
        if self._dropped + len(self._buffer) >= self._needed:
            self._read()

    def _read(self) -> None:
        while not self._left and (self._needed or self._head()):
            size = self._needed - self._dropped
            if len(self._buffer) < size:
                return
            request = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._needed = self._dropped = 0
            self._reply(request)

    def _head(self) -> bool:
        """Find out how long the request is."""
        end = self._buffer.find(b"\r\n\r\n")
        if end >= 0 and (found := _LENGTH.search(self._buffer, 0, end)):
            self._needed = end + 4 + int(found[1])
        elif end >= 0 and self._buffer.endswith(b"\r\n0\r\n\r\n"):  # chunked; Envoy sends nothing right behind it
            self._needed = len(self._buffer)
        return self._needed > 0

    def _reply(self, request: bytes) -> None:
        if request.rfind(END) < 0:
            self._transport.write(_INCOMPLETE)
        elif not _STREAM.search(request):
            self._transport.write(_WHOLE)
        else:
            events, pace = (int(found[1]) if (found := each.search(request)) else 0 for each in (_EVENTS, _PACE))
            if not pace:
                self._transport.write(_unpaced(events))
                return
            self.pace, self._left = pace, events
            self._transport.write(_SSE_HEAD + self._next())
            self._clock.add(self)

    def _next(self) -> bytes:
        self._left -= 1
        return _BEFORE + stamp(time.monotonic_ns()) + _AFTER

    def send(self) -> bool:
        """Send the next event; false once the stream has ended."""
        if self._left > 0:
            self._transport.write(self._next())
            return True
        if not self._transport.is_closing():
            self._transport.write(_LAST)
            self._read()
        return False


async def _main(port: int) -> None:
    clock = Clock()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Provider(clock), "127.0.0.1", port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    gc.freeze()
    gc.disable()
    await loop.run_in_executor(None, sys.stdin.buffer.read)  # it ends with its input


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
