"""What the tests of bounds share: a gateway with little room, and what its processes' memory does meanwhile.

Figures are printed (``pytest -s``). EXTPROC_TEST_LARGE=1 makes the slow clients' answers 200 MB instead of 10 MB.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.faults import MIB, PATIENCE, rss, settled
from tests.e2e.gateway import Running
from tests.e2e.harness import Case
from tests.e2e.traffic import envoys, one, workers
from tests.e2e.upstream import Upstream

LIMIT = 8 * MIB
WORKER_AT_MOST = 300 * MIB
STALLED = 20
LARGE = 200 if os.environ.get("EXTPROC_TEST_LARGE") else 10
SLOW = {"workers": 1, "message_timeout": "60s", "stall_timeout": "30s"}
"""One worker, and patience with a machine that is busy otherwise."""
STREAM = [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]


def bounded(bounds: Running, upstreams: dict[str, Upstream]) -> Iterator[Case]:
    found = Case(bounds, upstreams, tls=False)
    yield found
    found.close()
    assert "Traceback" not in bounds.errors()
    broken = [line for line in bounds.lines() if line["event"] in ("internal-error", "worker-ended", "envoy-ended")]
    assert not broken, broken


async def some(gateway: Running) -> list[str]:
    return [
        (await one(gateway.ports["plain"], post(f"warm-{number}", stream=True), PATIENCE))[0] for number in range(50)
    ]


class Memory:
    """Resident memory of the largest worker (there may be a spare one) and of Envoy: before, at the peak, after."""

    def __init__(self, gateway: Running) -> None:
        settled(gateway, 1)
        self.pids = {"worker": workers(gateway), "envoy": envoys(gateway)}
        self.before = self.now()
        self.peak = dict(self.before)
        self.after = dict(self.before)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def now(self) -> dict[str, int]:
        return {name: max(map(rss, pids)) for name, pids in self.pids.items()}

    def _poll(self) -> None:
        while not self._stop.wait(0.02):
            for name, value in self.now().items():
                self.peak[name] = max(self.peak[name], value)

    def near_start(self) -> bool:
        self.after = self.now()
        return all(self.after[name] <= value * 1.1 + 10 * MIB for name, value in self.before.items())

    def settle(self) -> None:
        """Wait until both are near their start again, for a while."""
        deadline = time.monotonic() + PATIENCE
        while not self.near_start() and time.monotonic() < deadline:
            time.sleep(0.2)
        self._stop.set()
        self._thread.join()

    def __str__(self) -> str:
        rows = [
            f"{name} {self.before[name] / MIB:.0f} -> peak {self.peak[name] / MIB:.0f} -> {self.after[name] / MIB:.0f} MB"
            for name in self.pids
        ]
        return ", ".join(rows)


@contextmanager
def measured(gateway: Running, what: str, *, returned: bool = True) -> Iterator[Memory]:
    memory = Memory(gateway)
    began = time.monotonic()
    try:
        yield memory
    finally:
        took = time.monotonic() - began
        memory.settle()
        print(f"\n{what}: {memory} ({took:.1f} s)")
    assert memory.peak["worker"] <= WORKER_AT_MOST
    assert memory.near_start() or not returned, str(memory)
    assert not [line for line in gateway.lines() if line["event"] in ("worker-ended", "worker-silent", "envoy-ended")]


def post(request_id: str, *, stream: bool = False, model: str = "gpt-4o", text: str = "Hello") -> bytes:
    value = {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}
    body = json.dumps(value).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-request-id: {request_id}\r\nconnection: close\r\n"
    return head.encode() + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
