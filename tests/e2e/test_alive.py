"""Faults under load: nothing leaks, every client has a defined end, hardly a request is lost.

The number of faults is small here and large with EXTPROC_TEST_FAULTS=200.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import random
import select
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import openai
import pytest
import yaml

from tests.e2e.conftest import Start
from tests.e2e.gateway import Running
from tests.e2e.traffic import TRAFFIC, Traffic, answer, envoys, one, request, workers
from tests.e2e.upstream import Upstream, chunked, completion, event, respond

FAULTS = int(os.environ.get("EXTPROC_TEST_FAULTS", "20"))
pytestmark = [pytest.mark.envoy, pytest.mark.timeout(60 + 6 * FAULTS)]


@pytest.fixture(scope="module")
def alive(start: Start) -> Running:
    """Three workers."""
    return start("alive", processor={"workers": 3, "message_timeout": "5s"})


@pytest.fixture
def upstream(upstreams: dict[str, Upstream]) -> Upstream:
    return upstreams["a"]


def until(condition: Callable[[], bool], timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "not within the time allowed"
        time.sleep(0.02)


def settled(gateway: Running, count: int = 3) -> None:
    """All workers and the spare are up and the gateway says so."""
    until(lambda: len(workers(gateway)) == count + 1 and metric(gateway, "extproc_workers") == count)


def metric(gateway: Running, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.health}/metrics", timeout=5) as answer_:
        values = [line.split()[-1] for line in answer_.read().decode().splitlines() if line.startswith(name)]
    return sum(float(each) for each in values)


def probe(gateway: Running, path: str, method: str = "GET") -> int:
    asked = urllib.request.Request(f"http://127.0.0.1:{gateway.health}{path}", method=method)
    try:
        with urllib.request.urlopen(asked, timeout=5) as answer_:
            return answer_.status
    except urllib.error.HTTPError as error:
        return error.code


def kill(gateway: Running) -> None:
    os.kill(random.choice(workers(gateway)), signal.SIGKILL)


def kill_dead(gateway: Running) -> None:
    """Kill and wait until the process is gone: the kernel takes some milliseconds, in which nothing can know of it."""
    pid = random.choice(workers(gateway))
    dead = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([dead], [], [], 5)
    os.close(dead)


def stop_still(gateway: Running) -> None:
    os.kill(random.choice(workers(gateway)), signal.SIGSTOP)


@pytest.mark.faults
@pytest.mark.parametrize("fault", [kill, stop_still])
def test_a_worker_that_dies_or_stands_still_under_load(alive: Running, upstream: Upstream, fault) -> None:
    settled(alive)
    traffic = Traffic(alive, upstream)
    for _ in range(FAULTS):
        time.sleep(0.5)
        fault(alive)
        settled(alive)
    ends = traffic.stop()
    print(fault.__name__, "×", FAULTS, dict(ends.counts), f"longest {ends.longest:.1f} s")
    assert not ends.leaks
    assert ends.counts["late"] == 0
    assert not any(name.startswith("bare") for name in ends.counts), ends.counts
    assert ends.counts["complete"] > ends.total * 0.5, ends.counts


async def hundred(gateway: Running) -> list[str]:
    """The statuses of a hundred requests, four at a time."""

    async def client() -> list[bytes]:
        return [(await one(gateway.ports["plain"], request(stream=False)))[1] for _ in range(25)]

    found = await asyncio.gather(*(client() for _ in range(4)))
    return [seen[9:12].decode() for each in found for seen in each]


@pytest.mark.faults
def test_after_a_kill_hardly_a_request_fails(alive: Running, upstream: Upstream) -> None:
    failed = []
    upstream.on(TRAFFIC, respond(200, completion("Hello.")))
    for _ in range(max(3, FAULTS // 10)):
        settled(alive)
        time.sleep(1.5)  # the health checks have found all three
        assert (
            asyncio.run(hundred(alive)).count("200") == 100
        )  # Envoy counts failures of a worker since its last success
        kill_dead(alive)
        failed.append(100 - asyncio.run(hundred(alive)).count("200"))
    print("failed of a hundred after a kill:", failed)
    assert max(failed) <= 1, failed


def test_the_sdks_own_retries_hide_a_kill(alive: Running, upstream: Upstream) -> None:
    settled(alive)
    upstream.on("sdk", respond(200, completion("Hello.")))
    client = openai.OpenAI(base_url=alive.url(tls=False) + "/v1", api_key="x", default_headers={"x-request-id": "sdk"})
    for number in range(40):
        if number in (5, 20):
            kill(alive)
        said = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
        assert said.choices[0].message.content == "Hello."
    client.close()


@pytest.mark.faults
def test_envoy_comes_back_on_the_same_ports(alive: Running, upstream: Upstream) -> None:
    settled(alive)
    before = dict(alive.ports)
    traffic = Traffic(alive, upstream, clients=10)
    for _ in range(3):
        time.sleep(0.5)
        restarts = metric(alive, 'extproc_restarts_total{process="envoy"}')
        os.kill(envoys(alive)[0], signal.SIGKILL)
        until(functools.partial(back, alive, restarts))
    ends = traffic.stop()
    assert not ends.leaks
    assert ends.counts["late"] == 0
    assert alive.ports == before


def back(gateway: Running, restarts: float) -> bool:
    """Envoy was started again and requests go through."""
    again = metric(gateway, 'extproc_restarts_total{process="envoy"}') > restarts
    return again and probe(gateway, "/health/readiness") == 200


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
    time.sleep(0.6)
    before = metric(alive, "extproc_exchanges_total")
    assert before > 0
    for pid in workers(alive):
        os.kill(pid, signal.SIGKILL)
    settled(alive)
    time.sleep(0.6)
    assert metric(alive, "extproc_exchanges_total") >= before


# reload


def rewrite(gateway: Running, change: Callable[[dict], None], *, rename: bool = False) -> None:
    path = gateway.folder / "extproc.yaml"
    value = yaml.safe_load(path.read_text())
    change(value)
    if rename:
        new = path.with_suffix(".new")
        new.write_text(yaml.safe_dump(value))
        new.replace(path)
    else:
        path.write_text(yaml.safe_dump(value))


def generation(gateway: Running) -> float:
    return metric(gateway, "extproc_generation")


def test_reloads_under_load_break_no_answer(alive: Running, upstream: Upstream) -> None:
    settled(alive)
    traffic = Traffic(alive, upstream, clients=30, behaviour=answer(events=100, pause=0.02))
    begun = generation(alive)
    for number in range(FAULTS):

        def change(value: dict, number: int = number) -> None:
            value["models"][f"added-{number}"] = "alpha/some"
            value["models"].pop(f"added-{number - 2}", None)
            value["policies"]["emails"]["replace"] = f"[gone {number % 2}]"

        before = generation(alive)
        rewrite(alive, change, rename=number % 2 == 0)
        os.kill(alive.pid, signal.SIGHUP)
        until(lambda: generation(alive) > before)  # noqa: B023
    ends = traffic.stop()
    assert generation(alive) >= begun + FAULTS
    assert ends.counts == {"complete": ends.total}
    assert not ends.leaks


def test_a_new_model_is_served_without_a_restart_and_found_by_itself(alive: Running, upstream: Upstream) -> None:
    settled(alive)
    before = generation(alive)
    rewrite(alive, lambda value: value["models"].update({"brand-new": "beta/some"}))
    until(lambda: generation(alive) > before)  # nobody told it
    body = json.dumps({"model": "brand-new", "messages": []}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
    _, seen = asyncio.run(one(alive.ports["plain"], head + b"content-length: %d\r\n\r\n" % len(body) + body))
    assert seen.startswith(b"HTTP/1.1 200"), seen[:300]
    assert b"x-llm-backend: beta/some" in seen
    assert b"x-llm-generation: %d" % generation(alive) in seen


@pytest.mark.parametrize(
    "broken",
    [
        b"policies: [",
        b"version: 2\n",
        b"providers: {ollama: {keys: none}}\npolicies: {r: {kind: regex, patterns: ['a+']}}",
        b"",
        b"\xff\xfe",
    ],
)
def test_a_bad_file_changes_nothing_and_is_told_once(alive: Running, broken: bytes) -> None:
    settled(alive)
    path = alive.folder / "extproc.yaml"
    good, before = path.read_bytes(), generation(alive)
    refused = sum(line["event"] == "reload-refused" for line in alive.lines())
    try:
        path.write_bytes(broken)
        until(lambda: sum(line["event"] == "reload-refused" for line in alive.lines()) > refused)
        time.sleep(1.3)
        assert sum(line["event"] == "reload-refused" for line in alive.lines()) == refused + 1
        assert generation(alive) == before
        _, seen = asyncio.run(
            one(alive.ports["plain"], b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        )
        assert seen.startswith(b"HTTP/1.1 200")
    finally:
        path.write_bytes(good)
    time.sleep(1.3)


def test_what_needs_a_restart_is_named(alive: Running) -> None:
    settled(alive)
    rewrite(alive, lambda value: value["gateway"].update({"trusted_hops": 3}))
    found = alive.wait_for(lambda line: line["event"] == "needs-restart")
    assert found["field"] == "gateway.trusted_hops"
    rewrite(alive, lambda value: value["gateway"].pop("trusted_hops"))
    time.sleep(1.5)


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


def test_stopping_lets_answers_end_and_leaves_nothing_behind(start: Start, upstream: Upstream, tmp_path: Path) -> None:
    gateway = start("drained", gateway={"port": 0, "plain_port": 0, "drain": "20s"})
    upstream.on(TRAFFIC, answer(events=100, pause=0.02))

    async def streamed() -> tuple[str, bytes]:
        task = asyncio.ensure_future(one(gateway.ports["plain"]))
        await asyncio.sleep(0.5)
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
        task = asyncio.ensure_future(one(gateway.ports["plain"]))
        await asyncio.sleep(0.5)
        began = time.monotonic()
        os.kill(gateway.pid, signal.SIGTERM)
        await asyncio.sleep(0.3)
        os.kill(gateway.pid, signal.SIGTERM)
        await task
        return time.monotonic() - began

    assert asyncio.run(streamed()) < 8
    until(lambda: gateway._process.poll() is not None)
    assert not gateway.run.exists()
