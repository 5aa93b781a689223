"""Steady traffic with planted markers: many clients at once, each with its own end, and what any of them ever saw."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.gateway import Running
from tests.e2e.upstream import Behaviour, Upstream, event

MARKER = "MARKED-PERSON@leak.example"
TRAFFIC = "traffic"
LONGEST = 10.0


def answer(events: int = 25, pause: float = 0.02) -> Behaviour:
    """A slow stream with a marker cut over several events, twice."""

    async def behave(wire) -> None:
        parts = ["Well", ", ", "ask ", "MARKED-", "PERSON", "@leak", ".exam", "ple", " now. "]
        await wire.head(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])
        for number in range(-(-events // len(parts)) * len(parts)):  # whole sentences
            await wire.chunk(event({"content": parts[number % len(parts)]}))
            await asyncio.sleep(pause)
        await wire.chunk(event({}, "stop"))
        await wire.chunk(b"data: [DONE]\n\n")
        await wire.send(b"0\r\n\r\n")

    return behave


@dataclass
class Ends:
    """How the clients' requests ended: ``complete``, ``error 503`` …, ``cut``, ``late`` (none within ten seconds)."""

    counts: Counter[str] = field(default_factory=Counter)
    leaks: list[bytes] = field(default_factory=list)
    longest: float = 0.0

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def defined(self, what: str) -> None:
        """Nothing marked was seen by anybody, and everybody had a defined end in time."""
        print(f"\n{what}: {dict(self.counts)}, {len(self.leaks)} leaks, longest {self.longest:.1f} s")
        assert not self.leaks, self.leaks[:3]
        assert not self.counts["late"], self.counts
        assert not [end for end in self.counts if end.startswith("bare")], self.counts


class Traffic:
    """Clients in a thread of their own, asking again and again until ``stop``."""

    def __init__(
        self,
        gateway: Running,
        upstream: Upstream,
        clients: int = 50,
        behaviour: Behaviour | None = None,
        longest: float = LONGEST,
    ) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.ends = Ends()
        self.started = self.answering = 0
        self._longest = longest
        self._clients = clients
        self._stop = threading.Event()
        self._first = len(upstream.requests)
        upstream.on(TRAFFIC, behaviour or answer())
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._thread.start()

    def stop(self) -> Ends:
        """Let the open requests end; returns what was seen, on both sides."""
        self._stop.set()
        self._thread.join(self._longest + 20)
        assert not self._thread.is_alive(), "a client never ended"
        sent = [each.body for each in self.upstream.requests[self._first :] if b"@leak" in each.body]
        self.ends.leaks += [body[:200] for body in sent]
        return self.ends

    async def _main(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(self._clients)))

    async def _client(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            self.started += 1
            end, seen = await one(self.gateway.ports["plain"], longest=self._longest, answering=self._answering)
            self.ends.counts[end] += 1
            self.ends.longest = max(self.ends.longest, time.monotonic() - began)
            if b"@leak" in seen or b"MARKED-" in seen:
                self.ends.leaks.append(seen[:400])
            await asyncio.sleep(random.random() * 0.05 + (0.1 if end in ("refused", "cut") else 0))

    def _answering(self, change: int) -> None:
        self.answering += change


def request(
    request_id: str = TRAFFIC, stream: bool = True, text: str = f"I am {MARKER}, who are you?", model: str = "gpt-4o"
) -> bytes:
    value = {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}
    body = json.dumps(value).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-request-id: {request_id}\r\nconnection: close\r\n"
    return head.encode() + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


async def one(
    port: int,
    payload: bytes | None = None,
    longest: float = LONGEST,
    answering: Callable[[int], None] = lambda change: None,
) -> tuple[str, bytes]:
    """One request: how it ended, and every byte that came back. ``answering``: told 1 at the first, -1 at the end."""
    seen = bytearray()
    try:
        async with asyncio.timeout(longest):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(payload or request())
                while data := await reader.read(65536):
                    if not seen:
                        answering(1)
                    seen += data
            finally:
                writer.close()
    except TimeoutError:
        return "late", bytes(seen)
    except ConnectionRefusedError:
        return "refused", bytes(seen)
    except ConnectionError:
        pass
    finally:
        if seen:
            answering(-1)
    return classify(bytes(seen)), bytes(seen)


def classify(seen: bytes) -> str:
    status = seen[9:12].decode("latin-1")
    if not seen.startswith(b"HTTP/1.1 ") or b"\r\n\r\n" not in seen:
        return "cut"
    if status != "200":
        body = seen.partition(b"\r\n\r\n")[2]
        return f"error {status}" if b'"error"' in body else f"bare {status}"
    if b'data: {"error"' in seen:
        return "error event"
    return "complete" if b"data: [DONE]" in seen and seen.endswith(b"0\r\n\r\n") else "cut"


def workers(gateway: Running) -> list[int]:
    """Process ids of the gateway's workers."""
    return [pid for pid, command in children(gateway.pid) if b"extproc.worker" in command]


def envoys(gateway: Running) -> list[int]:
    """Process ids of its Envoy."""
    return [pid for pid, command in children(gateway.pid) if b"envoy" in command.split(b"\0")[0]]


def children(parent: int) -> list[tuple[int, bytes]]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                if int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1]) == parent:
                    found.append((int(folder.name), (folder / "cmdline").read_bytes()))
    return found
