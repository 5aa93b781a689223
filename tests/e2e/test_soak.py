"""Mixed traffic with a fault every few seconds, for EXTPROC_TEST_SOAK seconds (default 60): nothing grows, nothing leaks."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import Start
from tests.e2e.gateway import Running
from tests.e2e.traffic import answer, classify, envoys, one, request, workers
from tests.e2e.upstream import Behaviour, Upstream, chunked, completion, event, respond, silent

SOAK = float(os.environ.get("EXTPROC_TEST_SOAK", "60"))
MIB = 1 << 20
CLIENTS = 20
pytestmark = [pytest.mark.envoy, pytest.mark.faults, pytest.mark.timeout(SOAK * 1.5 + 120)]
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


async def _leaves(port: int) -> bytes:
    """Disconnects in the middle of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("soak-stream"))
    seen = await reader.read(300)
    writer.transport.abort()
    return seen


async def _half_closes(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("soak-stream"))
    writer.write_eof()
    seen = await reader.read(-1)
    writer.close()
    return seen


async def _reads_slowly(port: int) -> bytes:
    """A byte a second, for a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    writer.write(request("soak-stream"))
    seen = b""
    for _ in range(4):
        seen += await reader.read(1)
        await asyncio.sleep(1)
    writer.transport.abort()
    return seen


async def _garbage(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(random.randbytes(2000) + b"\r\n\r\n")
    seen = await reader.read(-1)
    writer.close()
    return seen


async def _slow_headers(port: int) -> bytes:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    for byte in request("soak-whole")[:20]:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.2)
    writer.transport.abort()
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


def _rss(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def _descriptors(pid: int) -> int:
    with suppress(OSError):
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return 0


def _low(values: list[int]) -> int:
    """The lowest tenth's top: what remains when nothing happens to be under way."""
    return sorted(values)[len(values) // 10]


def _grown(samples: dict[int, list[int]], pid: int) -> tuple[int, int]:
    """The low marks of the second quarter (all is warm by then) and of the last."""
    values = [each for each in samples[pid] if each]
    quarter = len(values) // 4
    return _low(values[quarter : 2 * quarter]), _low(values[3 * quarter :])


def test_soak(start: Start, upstreams: dict[str, Upstream]) -> None:
    gateway = start(
        "soak",
        processor={"workers": 2, "keep_alive": "500ms"},
        models={"gpt-*": {"backends": ["alpha"], "idle_timeout": "1500ms", "first_byte_timeout": "1500ms"}},
    )
    upstream = upstreams["a"]
    for name, behaviour in _answers().items():
        upstream.on(name, behaviour)
    envoy = envoys(gateway)[0]
    memory: dict[int, list[int]] = {}
    files: dict[int, list[int]] = {gateway.pid: [], envoy: []}
    first = len(upstream.requests)
    mix = Mix(gateway.ports["plain"])
    began = time.monotonic()
    kills, next_fault = 0, began + SOAK / 2
    while (now := time.monotonic()) < began + SOAK:
        for pid in [envoy, *workers(gateway)]:
            memory.setdefault(pid, []).append(_rss(pid))
        for pid, counts in files.items():
            counts.append(_descriptors(pid))
        if now > next_fault:  # in the second half workers die and configurations change
            kills += 1
            next_fault = now + max(5.0, SOAK / 12)
            living = sorted(workers(gateway))
            if kills % 2 and len(living) > 1:
                os.kill(living[1], signal.SIGKILL)  # never the oldest: that one is measured
            else:
                os.kill(gateway.pid, signal.SIGHUP)
        time.sleep(0.25)
    mix.stop()
    _quiet(gateway)
    total = sum(mix.ends.values())
    late = {end: count for end, count in mix.ends.items() if end.startswith("soak") and end.endswith("late")}
    bare = {end: count for end, count in mix.ends.items() if end.startswith("soak") and "bare" in end}
    print(f"\nsoak of {SOAK:.0f} s: {total} exchanges, {kills} faults of ours\n{dict(sorted(mix.ends.items()))}")
    stayed = [pid for pid in workers(gateway) if len(memory.get(pid, [])) > SOAK * 2.5]
    assert stayed, "no worker lived long enough to be measured"
    for pid in [*stayed, envoy]:
        before, after = _grown(memory, pid)
        what = "envoy" if pid == envoy else f"worker {pid}"
        print(f"{what}: {before / MIB:.0f} -> {after / MIB:.0f} MB, peak {max(memory[pid]) / MIB:.0f} MB")
        assert after <= before * 1.1 + 10 * MIB, what
    for pid, counts in files.items():
        before, after = _low(counts[len(counts) // 4 : len(counts) // 2]), _low(counts[3 * len(counts) // 4 :])
        print(f"{'envoy' if pid == envoy else 'supervisor'}: {before} -> {after} descriptors, most {max(counts)}")
        assert after <= before * 1.2 + 20
    assert not mix.leaks, mix.leaks[:3]
    assert not [each for each in upstream.requests[first:] if b"@leak" in each.body]
    assert not late, late
    assert not bare, bare
    usual = {end: count for end, count in mix.ends.items() if end.split(":")[0] in USUAL}
    good = sum(count for end, count in usual.items() if end.endswith(("complete", "error 400")))
    assert good > sum(usual.values()) * 0.9, usual
    assert envoys(gateway) == [envoy], "Envoy did not live through it"
    assert "Traceback" not in gateway.errors()
    assert "MARKED-" not in gateway.everything()


def _quiet(gateway: Running) -> None:
    """Wait until Envoy has no request under way."""
    deadline = time.monotonic() + 20
    while gateway.stat("http.plain.downstream_rq_active"):
        assert time.monotonic() < deadline, "requests stay open"
        time.sleep(0.1)
