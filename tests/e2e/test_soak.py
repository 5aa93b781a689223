"""Mixed traffic with a fault of ours every minute or oftener, for EXTPROC_TEST_SOAK seconds: nothing grows, nothing leaks.

The default is short and shows gross growth only; from twenty minutes on the slope itself is asserted.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from statistics import median

import pytest

from tests.e2e.conftest import Start
from tests.e2e.faults import MIB, descriptors, gone, rss, settled, until
from tests.e2e.gateway import Running
from tests.e2e.reloads import reload
from tests.e2e.traffic import answer, classify, envoys, one, request, workers
from tests.e2e.upstream import Behaviour, Upstream, chunked, completion, event, respond, silent

SOAK = float(os.environ.get("EXTPROC_TEST_SOAK", "60"))
CLIENTS = 20
pytestmark = [pytest.mark.envoy, pytest.mark.faults, pytest.mark.timeout(SOAK * 1.5 + 300)]
PART = event({"content": "MARKED-"})


def _answers() -> dict[str, Behaviour]:
    parts = "Ask MARKED-PERSON@leak.example now. " * 20
    return {
        "soak-stream": answer(events=20, pause=0.01),
        "soak-whole": respond(200, completion(parts)),
        "soak-blocked": respond(200, completion("xyzzy " + parts)),
        "soak-reset": chunked(200, [PART] * 3, then="reset"),
        "soak-silent": silent,
        "soak-half": chunked(
            200, [PART, b'data: {"choices": [{"index": 0, "delta": {"content": "MARKED-'], then="hang"
        ),
        "soak-cut": chunked(200, [PART, b"data: {"], then="close"),
    }


USUAL = ["soak-stream", "soak-whole", "soak-blocked"]
UPSTREAM_FAULTS = ["soak-reset", "soak-silent", "soak-half", "soak-cut"]


@asynccontextmanager
async def _opened(port: int, **options: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that is closed whatever happens, also when time is up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _leaves(port: int) -> bytes:
    """Disconnects in the middle of its answer."""
    async with _opened(port) as (reader, writer):
        writer.write(request("soak-stream"))
        return await reader.read(300)


async def _half_closes(port: int) -> bytes:
    async with _opened(port) as (reader, writer):
        writer.write(request("soak-stream"))
        writer.write_eof()
        return await reader.read(-1)


async def _reads_slowly(port: int) -> bytes:
    """A byte a second, for a while."""
    async with _opened(port, limit=1) as (reader, writer):
        writer.write(request("soak-stream"))
        seen = b""
        for _ in range(4):
            seen += await reader.read(1)
            await asyncio.sleep(1)
        return seen


async def _garbage(port: int) -> bytes:
    async with _opened(port) as (reader, writer):
        writer.write(random.randbytes(2000) + b"\r\n\r\n")
        return await reader.read(-1)


async def _slow_headers(port: int) -> bytes:
    async with _opened(port) as (_, writer):
        for byte in request("soak-whole")[:20]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.2)
    return b""


CLIENT_FAULTS = [_leaves, _half_closes, _reads_slowly, _garbage, _slow_headers]


class Mix:
    """Clients that ask for everything, in a thread of their own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self.ends: Counter[str] = Counter()
        self.leaks: list[bytes] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(40)
        assert not self._thread.is_alive(), "a client never ended"

    async def _main(self) -> None:
        await asyncio.gather(*(self._usual() for _ in range(CLIENTS)), self._faulty(), self._faulty())

    async def _usual(self) -> None:
        while not self._stop.is_set():
            kind = random.choice(USUAL) if random.random() > 0.05 else random.choice(UPSTREAM_FAULTS)
            end, seen = await one(self._port, request(kind, stream=kind in ("soak-stream", "soak-half")))
            if (
                kind == "soak-whole"
                and end == "cut"
                and seen.startswith(b"HTTP/1.1 200")
                and b'"x_unknown": 1.5' in seen
            ):
                end = "complete"  # not a stream
            self._note(f"{kind}: {end}", seen)
            await asyncio.sleep(random.random() * 0.05)

    async def _faulty(self) -> None:
        while not self._stop.is_set():
            fault = random.choice(CLIENT_FAULTS)
            seen = b""
            with suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(10):
                    seen = await fault(self._port)
            self._note(f"client {fault.__name__.strip('_')}: {classify(seen) if seen else '-'}", seen)
            await asyncio.sleep(0.05)

    def _note(self, end: str, seen: bytes) -> None:
        self.ends[end] += 1
        if b"@leak" in seen or b"MARKED-P" in seen:
            self.leaks.append(seen[:400])


class Sampled:
    """Memory and descriptors of processes over time, in a thread of its own."""

    def __init__(self, gateway: Running) -> None:
        self._gateway = gateway
        self.envoy = envoys(gateway)[0]
        self.memory: dict[int, list[tuple[float, int]]] = {}
        self.files: dict[int, list[tuple[float, int]]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._stop.wait(0.25):
            now = time.monotonic()
            found = workers(self._gateway)
            for pid in [self.envoy, *found]:
                if size := rss(pid):
                    self.memory.setdefault(pid, []).append((now, size))
            for pid in [self.envoy, self._gateway.pid, *found]:
                if count := descriptors(pid):
                    self.files.setdefault(pid, []).append((now, count))


def _low(values: list[int]) -> int:
    """The lowest tenth's top: what remains when nothing happens to be under way."""
    return sorted(values)[len(values) // 10]


def _part(samples: list[tuple[float, int]], begin: float, end: float) -> list[int]:
    first, last = samples[0][0], samples[-1][0]
    return [value for at, value in samples if first + begin * (last - first) <= at <= first + end * (last - first)]


def _grown(samples: list[tuple[float, int]]) -> tuple[int, int]:
    """The low marks of the second quarter (all is warm by then) and of the last."""
    return _low(_part(samples, 0.25, 0.5)), _low(_part(samples, 0.75, 1.0))


def _slope(samples: list[tuple[float, int]]) -> float:
    """Growth an hour after the warm-up: the median over all pairs of twenty low marks (one odd mark changes nothing)."""
    first, last = samples[0][0], samples[-1][0]
    marks = [(step, _low(_part(samples, step / 30, (step + 1) / 30))) for step in range(10, 30)]
    hour = 3600 * 30 / (last - first)
    return median((b - a) / (later - sooner) for sooner, a in marks for later, b in marks if later > sooner) * hour


class Faults:
    """What we do to the gateway while it works: never to Envoy and the oldest worker, which are measured."""

    def __init__(self, gateway: Running) -> None:
        self._gateway = gateway
        self._oldest = min(workers(gateway))
        self.done: Counter[str] = Counter()

    def next(self) -> None:
        number = self.done.total()
        if number % 3 == 1:
            reload(self._gateway, lambda value: value["policies"]["emails"].update(replace=f"[gone {number}]"))
            self.done["reload"] += 1
            return
        how = signal.SIGKILL if number % 3 == 0 else signal.SIGSTOP
        pid = next(each for each in workers(self._gateway) if each != self._oldest)
        os.kill(pid, how)
        until(lambda: gone(pid), "a worker was ended")
        settled(self._gateway, 2)
        self.done[how.name] += 1


def test_soak(start: Start, upstreams: dict[str, Upstream]) -> None:
    gateway = start(
        "soak",
        processor={"workers": 2, "keep_alive": "500ms", "stall_timeout": "10s"},
        models={"gpt-*": {"backends": ["alpha"], "idle_timeout": "2s", "first_byte_timeout": "2s"}},
    )
    upstream = upstreams["a"]
    for name, behaviour in _answers().items():
        upstream.on(name, behaviour)
    settled(gateway, 2)
    oldest = min(workers(gateway))
    first = len(upstream.requests)
    faults, sampled, mix = Faults(gateway), Sampled(gateway), Mix(gateway.ports["plain"])
    began = time.monotonic()
    pause = min(60.0, SOAK / 12)
    while time.monotonic() < began + SOAK:
        time.sleep(pause)
        faults.next()
    sampled.stop()
    mix.stop()
    until(lambda: gateway.stat("http.plain.downstream_rq_active") == 0, "no request is open")
    print(
        f"\nsoak of {SOAK:.0f} s: {mix.ends.total()} exchanges, {dict(faults.done)}\n{dict(sorted(mix.ends.items()))}"
    )
    _measured(sampled, {"envoy": sampled.envoy, "worker": oldest, "supervisor": gateway.pid})
    assert not mix.leaks, mix.leaks[:3]
    assert not [each for each in upstream.requests[first:] if b"@leak" in each.body]
    for wrong in ("late", "bare"):
        found = {end: count for end, count in mix.ends.items() if end.startswith("soak") and f": {wrong}" in end}
        assert not found, found
    usual = {end: count for end, count in mix.ends.items() if end.split(":")[0] in USUAL}
    good = sum(count for end, count in usual.items() if end.endswith(("complete", "error 400")))
    assert good > sum(usual.values()) * 0.8, usual
    assert envoys(gateway) == [sampled.envoy], "Envoy did not live through it"
    assert oldest in workers(gateway), "the worker that was let alone did not live through it"
    assert "Traceback" not in gateway.errors()
    assert "MARKED-" not in gateway.everything()


def _measured(sampled: Sampled, pids: dict[str, int]) -> None:
    wrong = []
    for what, pid in pids.items():
        if pid in sampled.memory:
            samples = sampled.memory[pid]
            before, after = _grown(samples)
            peak, slope = max(value for _, value in samples), _slope(samples)
            print(
                f"{what}: {before / MIB:.1f} -> {after / MIB:.1f} MB, peak {peak / MIB:.1f} MB, {slope / MIB:+.1f} MiB/h"
            )
            if after > before * 1.1 + 10 * MIB or (SOAK >= 1200 and slope > MIB):
                wrong.append(f"memory of {what}")
        counts = sampled.files[pid]
        before, after = _grown(counts)
        print(f"{what}: {before} -> {after} descriptors, most {max(value for _, value in counts)}")
        if after > before + 10:
            wrong.append(f"descriptors of {what}")
    assert not wrong, wrong
