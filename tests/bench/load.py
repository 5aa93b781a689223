"""A load generator on bare sockets. Usage: load.py PORT SECONDS CASE, the case as JSON.

Every connection asks again as soon as it has been answered, and every answer is checked: status 200, complete, the text of
the fake provider. Prints one line of JSON: counts, latencies in milliseconds, and how much of one core it used itself.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import time
from collections import Counter
from typing import Any

import orjson
import uvloop

from tests.bench.cases import ANSWER, MARK, MARK_LENGTH, Case, stamped

_GRACE = 20.0
"""Seconds that answers may still take once no more are asked for."""
_END = b"\r\n0\r\n\r\n"
_PAUSE = 0.05


class Run:
    """What all connections of a run share."""

    def __init__(self, case: Case, port: int, until: int) -> None:
        self.case, self.port, self.until = case, port, until
        self.payload = case.payload()
        self.answer = ANSWER.encode()
        self.latencies: list[int] = []
        self.firsts: list[int] = []
        self.marks: list[tuple[int, list[bytes]]] = []
        self.errors: Counter[str] = Counter()
        self.ended = 0

    async def client(self, delay: float) -> None:
        """One connection after another, until the time is over."""
        await asyncio.sleep(delay)
        loop = asyncio.get_running_loop()
        while time.monotonic_ns() < self.until:
            try:
                _, client = await loop.create_connection(lambda: Client(self), "127.0.0.1", self.port)
            except OSError:
                self.errors["not connected"] += 1
            else:
                await client.done
            await asyncio.sleep(_PAUSE if time.monotonic_ns() < self.until else 0)


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._asking = False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if self._asking:
            self._run.errors["cut"] += 1
        if not self.done.done():
            self.done.set_result(None)

    def _ask(self) -> None:
        self._asking = True
        self._buffer = bytearray()
        self._needed = 0
        self._marks = self._first = 0
        self._tail = b""
        self._began = time.monotonic_ns()
        self._transport.write(self._run.payload)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self._buffer += data
        window = self._tail + data
        self._tail = window[1 - MARK_LENGTH :]
        if self._run.case.events and (found := MARK.findall(window)):
            self._first = self._first or now
            self._marks += len(found)
            if self._run.case.pace:
                self._run.marks.append((now, found))
        if not self._needed and not self._head():
            return
        if window.endswith(_END) if self._needed < 0 else len(self._buffer) >= self._needed:
            self._answered(now)

    def _head(self) -> bool:
        """Find out how long the answer is: ``_needed`` bytes, or chunked where negative."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._buffer[: end + 2]).lower()
        _, found, rest = head.partition(b"\r\ncontent-length: ")
        self._needed = end + 4 + int(rest[: rest.find(b"\r\n")]) if found else -1
        return True

    def _answered(self, now: int) -> None:
        run = self._run
        self._asking = False
        if problem := self._problem():
            run.errors[problem] += 1
        else:
            run.latencies.append(now - self._began)
            if self._first:
                run.firsts.append(self._first - self._began)
        run.ended = now
        if now < run.until:
            self._ask()
        else:
            self._transport.close()

    def _problem(self) -> str:
        if not self._buffer.startswith(b"HTTP/1.1 200 "):
            return f"status {self._buffer[9:12].decode('ascii', 'replace')}"
        if not self._run.case.events:
            return "" if self._run.answer in self._buffer else "another answer"
        if b"data: [DONE]" not in self._buffer[-64:]:
            return "no end"
        events = self._marks
        if events != self._run.case.events:  # a mark that was cut in two: put the text together as a client would
            events = len(MARK.findall(_text(bytes(self._buffer))))
        return "" if events == self._run.case.events else "events missing"


def _text(answer: bytes) -> bytes:
    """The text of a chunked stream of events."""
    _, _, rest = answer.partition(b"\r\n\r\n")
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body, rest = body + rest[:length], rest[length + 2 :]
        if not length:
            break
    events = [each[6:] for each in body.split(b"\n\n") if each.startswith(b"data: {")]
    deltas = (choice["delta"] for each in events for choice in orjson.loads(each)["choices"])
    return "".join(delta.get("content") or "" for delta in deltas).encode()


def _spread(name: str, values: list[int]) -> dict[str, float | None]:
    """Median, 99th percentile and greatest, in milliseconds."""
    values.sort()
    places = {"p50": len(values) // 2, "p99": len(values) * 99 // 100, "max": len(values) - 1}
    return {f"{name}_{key}_ms": values[place] / 1e6 if values else None for key, place in places.items()}


async def main(port: int, seconds: float, case: Case) -> dict[str, Any]:
    """Put the load on a port and say how it went."""
    began = time.monotonic_ns()
    before = time.process_time()
    run = Run(case, port, began + int(seconds * 1e9))
    ramp = min(1.0, seconds / 2) if case.pace else 0.0  # paced streams begin at any time, not all at once
    clients = [
        asyncio.ensure_future(run.client(ramp * number / case.connections)) for number in range(case.connections)
    ]
    _, late = await asyncio.wait(clients, timeout=seconds + _GRACE)
    if late:
        run.errors["unfinished"] += len(late)
    taken = (max(run.ended, run.until) - began) / 1e9
    cpu = (time.process_time() - before) / taken
    return {
        "exchanges": len(run.latencies),
        "events": sum(len(marks) for _, marks in run.marks) or len(run.latencies) * case.events,
        "errors": dict(run.errors),
        "seconds": taken,
        "load_cpu": cpu,
        **_spread("latency", run.latencies),
        **_spread("first", run.firsts),
        **_spread("late", [now - stamped(mark) for now, marks in run.marks for mark in marks]),
    }


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.disable()
    case_ = Case(**orjson.loads(sys.argv[3]))
    print(orjson.dumps(uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), case_))).decode())
