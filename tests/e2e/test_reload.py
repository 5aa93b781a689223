"""New configurations and new workers while answers run: nothing is broken, and a bad file changes nothing."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.conftest import Start
from tests.e2e.faults import FAULTS, metric, settled, unchanged, until
from tests.e2e.gateway import Running
from tests.e2e.harness import free_port
from tests.e2e.reloads import generation, reload, rewrite
from tests.e2e.traffic import Traffic, answer, one, request, workers
from tests.e2e.upstream import DONE, Gate, Upstream, chunked, completion, event, respond

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240 + 6 * FAULTS)]
RELOADS = 100 if FAULTS >= 100 else max(3, FAULTS // 4)
SECONDS = 30 if FAULTS >= 100 else 5
"""How long each answer takes that no reload may break."""
MODELS = b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@pytest.fixture
def upstream(upstreams: dict[str, Upstream]) -> Upstream:
    return upstreams["a"]


def long_streams(gateway: Running, upstream: Upstream) -> Traffic:
    """Thirty clients whose answers take ``SECONDS`` each, all of which have begun."""
    slow = answer(events=SECONDS * 10, pause=0.1)
    traffic = Traffic(gateway, upstream, clients=30, behaviour=slow, longest=SECONDS * 3 + 30)
    until(lambda: traffic.answering == 30, "every client has an answer under way")
    return traffic


@pytest.mark.faults
def test_reloads_under_load_break_no_answer(alive: Running, upstream: Upstream) -> None:
    settled(alive)
    traffic = long_streams(alive, upstream)
    begun = generation(alive)
    for number in range(RELOADS):

        def change(value: dict, number: int = number) -> None:
            value["models"][f"added-{number}"] = "alpha/some"
            value["models"].pop(f"added-{number - 2}", None)
            value["policies"]["emails"]["replace"] = f"[gone {number % 2}]"

        reload(alive, change, rename=number % 2 == 0)
    done = generation(alive) - begun
    ends = traffic.stop()
    ends.defined(f"{done:.0f} reloads, answers of {SECONDS} s")
    assert done >= RELOADS
    assert ends.counts == {"complete": ends.total}


@pytest.mark.faults
def test_a_rolling_restart_under_load_breaks_no_answer(start: Start, upstream: Upstream) -> None:
    """SIGUSR1 replaces every worker (``Supervisor.restart_workers``); the old ones end when their answers have."""
    gateway = start("rolling", processor={"workers": 3})
    settled(gateway)
    traffic = long_streams(gateway, upstream)
    for _ in range(max(1, FAULTS // 20)):
        before = set(workers(gateway))
        gateway.signal(signal.SIGUSR1)
        until(lambda: alive_or_fail(gateway) and len(set(workers(gateway)) - before) >= 3, "new workers are there")  # noqa: B023
        until(lambda: len(set(workers(gateway)) & before) <= 1, "the old ones have ended", SECONDS * 3 + 60)  # noqa: B023
        settled(gateway)  # one of the old ones may have been the one in reserve
    ends = traffic.stop()
    ends.defined(f"rolling restart, answers of {SECONDS} s")
    assert ends.counts == {"complete": ends.total}
    assert metric(gateway, 'extproc_restarts_total{process="worker"}') == 0, "they were ended, not replaced"


@pytest.mark.parametrize("backends", [["alpha"], ["alpha", "gone"]], ids=["one", "two"])
def test_an_answer_outlives_its_providers_address(
    start: Start, upstreams: dict[str, Upstream], backends: list[str]
) -> None:
    """A provider moves while it answers: whoever it answers gets the rest, although Envoy forgets where it was."""
    gateway = start(f"moved-{len(backends)}", models={"gpt-*": backends})
    end = Gate()
    upstreams["a"].on(
        "moved", chunked(200, [event({"content": "jane@leak"}), end, event({"content": ".example. "}, "stop"), DONE])
    )
    upstreams["b"].on("moved-on", respond(200, completion("Hello.")))
    port = gateway.ports["plain"]
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(lambda: asyncio.run(one(port, request("moved"), longest=90)))
        assert end.reached.wait(30)
        old = {each for each in clusters(gateway) if str(upstreams["a"].port) in each and "::gpt-" in f"::{each}"}
        assert old
        reload(gateway, moved(upstreams["b"].port))
        _, seen = asyncio.run(one(port, request("moved-on", stream=False)))
        assert seen.startswith(b"HTTP/1.1 200"), seen[:300]
        until(lambda: not old & clusters(gateway), "Envoy has forgotten the old address")
        time.sleep(1)
        end.open()
        end_, seen = answer.result(60)
    assert end_ == "complete", seen[-500:]
    assert b"[email]" in seen
    assert b"jane" not in seen


def moved(port: int) -> Callable[[dict], None]:
    def change(value: dict) -> None:
        value["providers"]["alpha"]["base_url"] = f"http://127.0.0.1:{port}/v1"

    return change


def clusters(gateway: Running) -> set[str]:
    """Which clusters of Envoy have which hosts."""
    admin = (gateway.run / "admin.txt").read_text("utf-8").strip()
    with urllib.request.urlopen(f"http://{admin}/clusters", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {"::".join(line.split("::")[:2]) for line in lines if line.count("::") >= 2}


@pytest.mark.parametrize("place", ["unix", "tcp"])
def test_a_rolling_restart_of_workers_that_bind_addresses(start: Start, upstream: Upstream, place: str) -> None:
    """The one worker has a long answer to end; another takes its address meanwhile."""
    bind = {} if place == "unix" else {"bind": f"127.0.0.1:{free_port()}"}
    gateway = start(f"rolling-{place}", processor={"workers": 1, "transport": "grpcio", **bind})
    end = Gate()
    upstream.on("long", chunked(200, [event({"content": "Well. "}), end, event({}, "stop"), DONE]))
    upstream.on("short", respond(200, completion("Hello.")))

    def served() -> bool:
        return asyncio.run(one(port, request("short", stream=False)))[1].startswith(b"HTTP/1.1 200")

    async def long() -> tuple[str, bytes]:
        return await one(port, request("long"), longest=90)

    port, before = gateway.ports["plain"], workers(gateway)
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(lambda: asyncio.run(long()))
        assert end.reached.wait(30)
        gateway.signal(signal.SIGUSR1)
        gap = 0.0
        while not (told(gateway, "restarted") and gap):
            began = time.monotonic()
            until(served, "somebody serves")
            gap = max(gap, time.monotonic() - began)
        until(lambda: set(workers(gateway)) - set(before), "a new worker is there")
        assert set(workers(gateway)) >= set(before), "the old one ends its answer"
        print(f"\nrolling restart over {place}: not served for at most {gap:.2f} s")
        assert gap < 15
        end.open()
        assert answer.result(60)[0] == "complete"
    until(lambda: not set(workers(gateway)) & set(before), "the old one has ended")
    assert served()
    assert metric(gateway, 'extproc_restarts_total{process="worker"}') == 0


def told(gateway: Running, what: str) -> bool:
    return any(line["event"] == what for line in gateway.lines())


def alive_or_fail(gateway: Running) -> bool:
    assert gateway._process.poll() is None, "the gateway ended"
    return True


def test_a_new_model_is_served_without_a_restart_and_found_by_itself(alive: Running, upstream: Upstream) -> None:
    settled(alive)
    before = generation(alive)
    rewrite(alive, lambda value: value["models"].update({"brand-new": "beta/some"}))
    until(lambda: generation(alive) > before, "nobody told it, and it saw")
    body = json.dumps({"model": "brand-new", "messages": []}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
    _, seen = asyncio.run(one(alive.ports["plain"], head + b"content-length: %d\r\n\r\n" % len(body) + body))
    assert seen.startswith(b"HTTP/1.1 200"), seen[:300]
    assert b"x-llm-backend: beta/some" in seen
    assert b"x-llm-generation: %d" % generation(alive) in seen


# bad files

BAD: dict[str, Callable[[bytes], bytes]] = {
    "broken": lambda good: b"policies: [",
    "wrong version": lambda good: b"version: 2\n",
    "bad regex": lambda good: good.replace(b"policies:\n", b"policies:\n  bad: {kind: regex, patterns: ['a(b']}\n"),
    "empty": lambda good: b"",
    "not text": lambda good: b"\xff\xfe",
    "truncated": lambda good: good[: good.index(b"models:") + 20],
}


def refusals(gateway: Running) -> list[str]:
    return [line["why"] for line in gateway.lines() if line["event"] == "reload-refused"]


@pytest.mark.parametrize("renamed", [False, True], ids=["written", "renamed"])
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_changes_nothing_and_is_told_once(alive: Running, kind: str, renamed: bool) -> None:
    settled(alive)
    path = alive.folder / "extproc.yaml"
    before, told = generation(alive), len(refusals(alive))
    reloads = metric(alive, "extproc_reloads_total")
    with unchanged(path):
        bad = BAD[kind](path.read_bytes())
        if renamed:
            new = path.with_suffix(".new")
            new.write_bytes(bad)
            new.replace(path)
        else:
            path.write_bytes(bad)
        until(lambda: len(refusals(alive)) > told, "it was told")
        said = refusals(alive)[told:]
        assert len(set(said)) == len(said), "told twice"
        assert generation(alive) == before
        _, seen = asyncio.run(one(alive.ports["plain"], MODELS))
        assert seen.startswith(b"HTTP/1.1 200")
    # the good file is back and is read as what it always was: until then nothing more was said of the bad one
    until(lambda: metric(alive, "extproc_reloads_total") >= reloads + 2, "the good one was read")
    assert refusals(alive)[told:] == said


def test_what_needs_a_restart_is_named(alive: Running) -> None:
    settled(alive)
    reload(alive, lambda value: value["gateway"].update({"trusted_hops": 3}))
    found = alive.wait_for(lambda line: line["event"] == "needs-restart")
    assert found["field"] == "gateway.trusted_hops"
    reload(alive, lambda value: value["gateway"].pop("trusted_hops"))
