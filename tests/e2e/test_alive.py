"""Supervision: what one fault at a time does to clients, health and counters; providers that go silent; stopping."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import openai
import pytest

from tests.e2e.conftest import Start
from tests.e2e.faults import harm, metric, probe, settled, until
from tests.e2e.gateway import Running
from tests.e2e.traffic import TRAFFIC, answer, one, request, workers
from tests.e2e.upstream import Upstream, chunked, completion, event, respond

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]


@pytest.fixture
def upstream(upstreams: dict[str, Upstream]) -> Upstream:
    return upstreams["a"]


def test_the_sdks_own_retries_hide_a_kill(alive: Running, upstream: Upstream) -> None:
    settled(alive)
    upstream.on("sdk", respond(200, completion("Hello.")))
    client = openai.OpenAI(base_url=alive.url(tls=False) + "/v1", api_key="x", default_headers={"x-request-id": "sdk"})
    for number in range(40):
        if number in (5, 20):
            harm(alive, signal.SIGKILL)
        said = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
        assert said.choices[0].message.content == "Hello."
    client.close()


def test_health_and_metrics(alive: Running) -> None:
    settled(alive)
    assert probe(alive, "/health/liveness") == 200
    assert probe(alive, "/health/readiness") == 200
    assert probe(alive, "/nothing") == 404
    before = metric(alive, "extproc_exchanges_total")
    asyncio.run(one(alive.ports["plain"], b"GET /nope HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    until(lambda: metric(alive, "extproc_exchanges_total") > before)


def test_counters_survive_the_death_of_a_worker(alive: Running) -> None:
    settled(alive)
    nothing = b"GET /nope HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    started = metric(alive, "extproc_exchanges_total")
    for _ in range(5):
        asyncio.run(one(alive.ports["plain"], nothing))
    until(lambda: metric(alive, "extproc_exchanges_total") >= started + 5, "all were counted")
    before = metric(alive, "extproc_exchanges_total")
    harm(alive, signal.SIGKILL, len(workers(alive)))
    settled(alive)
    assert metric(alive, "extproc_exchanges_total") >= before


# providers that go silent


def test_a_stream_that_goes_silent_ends_with_an_error_event(start: Start, upstream: Upstream) -> None:
    gateway = start(
        "stalls", processor={"keep_alive": "300ms"}, models={"gpt-*": {"backends": ["alpha"], "idle_timeout": "1500ms"}}
    )
    upstream.on(
        "stall", chunked(200, [event({"content": "Well, "}), event({"content": "jane@leak.exam"})], then="hang")
    )
    end, seen = asyncio.run(one(gateway.ports["plain"], request("stall")))
    assert end == "error event", seen[-500:]
    assert b"upstream_stalled" in seen
    assert b"jane" not in seen
    upstream.on("held", chunked(200, [event({"content": "Well. "}), event({"content": "jane@leak.exam"})], then="hang"))
    _, seen = asyncio.run(one(gateway.ports["plain"], request("held")))
    assert seen.count(b": keep-alive") >= 2
    assert b"jane" not in seen


def test_a_whole_answer_that_goes_silent_is_a_504(start: Start, upstream: Upstream) -> None:
    gateway = start("stalls-whole", models={"gpt-*": {"backends": ["alpha"], "idle_timeout": "1s"}})
    upstream.on("whole", chunked(200, [b'{"choices": ['], headers=[("content-type", "application/json")], then="hang"))
    end, seen = asyncio.run(one(gateway.ports["plain"], request("whole", stream=False)))
    assert end == "error 504", seen
    assert b"upstream_stalled" in seen


# stopping


def _asked(gateway: Running) -> tuple[asyncio.Task[tuple[str, bytes]], asyncio.Event]:
    """A request under way, and what tells that its answer has begun."""
    answering = asyncio.Event()
    port = gateway.ports["plain"]
    return asyncio.ensure_future(one(port, longest=90, answering=lambda change: answering.set())), answering


def test_stopping_lets_answers_end_and_leaves_nothing_behind(start: Start, upstream: Upstream, tmp_path: Path) -> None:
    gateway = start("drained", gateway={"port": 0, "plain_port": 0, "drain": "20s"})
    upstream.on(TRAFFIC, answer(events=100, pause=0.02))

    async def streamed() -> tuple[str, bytes]:
        task, answering = _asked(gateway)
        await answering.wait()
        os.kill(gateway.pid, signal.SIGTERM)
        return await task

    end, seen = asyncio.run(streamed())
    assert end == "complete", seen[-300:]
    until(lambda: gateway._process.poll() is not None)
    assert gateway._process.returncode == 0
    assert not gateway.run.exists()


def test_a_second_signal_ends_at_once(start: Start, upstream: Upstream) -> None:
    gateway = start("hurried", gateway={"port": 0, "plain_port": 0, "drain": "60s"})
    upstream.on(TRAFFIC, answer(events=1000, pause=0.02))

    async def streamed() -> float:
        task, answering = _asked(gateway)
        await answering.wait()
        began = time.monotonic()
        os.kill(gateway.pid, signal.SIGTERM)
        await asyncio.to_thread(gateway.wait_for, lambda line: line["event"] == "draining")
        os.kill(gateway.pid, signal.SIGTERM)
        await task
        return time.monotonic() - began

    assert asyncio.run(streamed()) < 30, "it waited for the answer"
    until(lambda: gateway._process.poll() is not None)
    assert not gateway.run.exists()
