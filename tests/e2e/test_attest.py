"""``extproc attest`` against the real Envoy: with our filter, and with the very same configuration without it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from extproc.envoy import binary, types
from extproc.envoy.layout import Layout
from extproc.envoy.process import Envoy
from extproc.exchange.attest import MARK, proof, seen
from tests.e2e.faults import until
from tests.e2e.gateway import Running
from tests.e2e.harness import Case, free_port
from tests.e2e.shop import CONFIG, Proxy, Shop

EXTPROC = [sys.executable, "-m", "extproc"]
NONCE = "a-word-of-this-very-test"


def attest(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run([*EXTPROC, "attest", *arguments], capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout, done.stderr


def test_an_attached_gateway(main: Running) -> None:
    status, out, err = attest(main.url(tls=True), "--ca", main.ca, "--json")
    assert (status, err) == (0, "")
    said = json.loads(out)
    assert (said["result"], said["mode"], said["generation"], said["status"]) == ("attached", "gateway", 1, 200)
    status, out, _ = attest(f"{main.url(tls=False)}/v1")
    assert status == 0
    assert out.endswith("attached: gateway, generation 1\n")


def without_filter(config: Any) -> Any:
    """A configuration of Envoy's from which every trace of our router filter is taken."""
    if isinstance(config, list):
        kept = (each for each in config if not (isinstance(each, dict) and each.get("name") == types.ROUTER_FILTER))
        return [without_filter(each) for each in kept]
    if isinstance(config, dict):
        found = {name: without_filter(value) for name, value in config.items() if name != types.ROUTER_FILTER}
        if found.get("typed_per_filter_config") == {}:
            del found["typed_per_filter_config"]
        if "port_value" in found:
            found["port_value"] = 0
        return found
    return config


@asynccontextmanager
async def bare(gateway: Running, folder: Path) -> AsyncIterator[int]:
    """A second Envoy with the gateway's own configuration, without the filter; its port without TLS."""
    layout = Layout(folder, Path("unused"), Path("unused"), "", ())
    layout.xds.mkdir(parents=True)
    for each in ("xds/clusters.yaml", "xds/routes.yaml", "envoy.yaml"):
        text = (gateway.run / each).read_text("utf-8")
        assert each == "xds/clusters.yaml" or types.ROUTER_FILTER in text
        config = yaml.safe_load(text.replace(str(gateway.run), str(folder)))
        if each != "xds/clusters.yaml":  # there are ports of providers in it
            config = without_filter(config)
            assert types.ROUTER_FILTER not in yaml.safe_dump(config)
        (folder / each).write_text(yaml.safe_dump(config), "utf-8")
    envoy = Envoy(binary.find(), layout)
    try:
        await envoy.start()
        yield envoy.ports["plain"]
    finally:
        await envoy.stop()


def test_the_same_envoy_without_the_filter(main: Running, tmp_path: Path) -> None:
    async def probed() -> tuple[int, str, str]:
        async with bare(main, tmp_path) as port:
            return await asyncio.to_thread(attest, f"http://127.0.0.1:{port}")

    status, out, err = asyncio.run(probed())
    assert (status, err) == (1, "")
    assert "NOT attached: what answered is 503 from " in out


def test_nobody_listens() -> None:
    status, out, _ = attest(f"http://127.0.0.1:{free_port()}")
    assert status == 3
    assert "unreachable: Connection refused" in out


def test_a_marked_request_never_goes_on(case: Case) -> None:
    """A good request with a good body, or with a mark that is none: our filter answers, and nobody else hears of it."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "xyzzy"}]}
    with case.client() as client:
        for mark, status in ((NONCE, 200), ("", 400), ("short", 400), (f"{NONCE}, {NONCE}", 400)):
            answer = client.post("/v1/chat/completions", json=body, headers={MARK: mark, "x-request-id": case.id})
            assert answer.status_code == status
            if status == 200:
                assert answer.json()["proof"] == proof(NONCE, "gateway")
        two = client.post(
            "/v1/chat/completions", json=body, headers=[(MARK, NONCE), (MARK, NONCE), ("x-request-id", case.id)]
        )
        assert two.status_code == 400, "two marks are none"
    case.nothing_sent()


def test_any_worker_that_has_seen_it_is_told_of(main: Running) -> None:
    nonce = f"{NONCE}-{os.getpid()}"
    asked = f"http://127.0.0.1:{main.health}/attest/{seen(nonce)}"
    assert httpx.get(asked, trust_env=False).json() == {"seen": 0, "mode": None}
    httpx.post(f"{main.url(tls=False)}/v1/chat/completions", json={}, headers={MARK: nonce}, trust_env=False)
    until(lambda: httpx.get(asked, trust_env=False).json() == {"seen": 1, "mode": "gateway"}, "it was seen")
    assert httpx.get(f"{asked}0", trust_env=False).json()["seen"] == 0


@pytest.fixture
def watching(main: Running) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    with subprocess.Popen(
        [*EXTPROC, "attest", main.url(tls=False), "--every", "100ms", "--metrics", str(port), "--json"],
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process, port
        finally:
            process.kill()


def test_a_watch_has_a_gauge_and_ends_with_the_last_status(
    watching: tuple[subprocess.Popen[str], int], main: Running
) -> None:
    process, port = watching
    assert process.stdout
    assert json.loads(process.stdout.readline())["attached"] is True

    def looks() -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        assert f'extproc_attached{{url="{main.url(tls=False)}"}} 1.0' in lines
        (count,) = (line for line in lines if line.startswith('extproc_attest_total{result="attached"}'))
        return float(count.rpartition(" ")[2])

    until(lambda: looks() > 2, "it looks again and again")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, ""), "nothing has changed, so nothing more was printed"


# filters in an Envoy that others wrote


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, str]]:
    """A processor that runs alone, and where it says what it has seen."""
    found = Shop(tmp_path_factory.mktemp("shop"))
    (found.folder / "extproc.yaml").write_text(json.dumps({**CONFIG, "health": {"port": 0}}), "utf-8")
    try:
        found.processor.start()
        ready = next(each for each in map(json.loads, found.processor.lines) if each["event"] == "ready")
        yield found, ready["health"].split("/")[2]
    finally:
        found.close()


def attest_models(shop: Shop, proxy: Proxy, *more: str) -> tuple[int, str]:
    url = f"https://localhost:{proxy.ports['edge']}"
    status, out, err = attest(url, "--ca", str(shop.ca), "--header", "Host: models.example.com", *more)
    assert err == ""
    return status, out


def test_a_guard(shop: tuple[Shop, str]) -> None:
    found, _ = shop
    with found.proxy("guarded", "--guard-only", "--route", "models-all") as guarded:
        found.models.seen.clear()
        status, out = attest_models(found, guarded)
        assert status == 0
        assert "attached: guard, generation 1" in out
        assert found.models.seen == []
        status, out = attest_models(found, guarded, "--path", "/v1/no/such/operation")
        assert status == 0, "the filter is there, whatever it makes of the path"
        status, out, _ = attest(f"https://localhost:{guarded.ports['edge']}", "--ca", str(found.ca), "--path", "/x")
        assert status == 1, "another route, without the filter"


def test_a_shadow_is_found_through_its_processor(shop: tuple[Shop, str]) -> None:
    found, health = shop
    with found.proxy("shadowed", "--shadow", "--route", "models-all") as shadowed:
        status, out = attest_models(found, shadowed)
        assert status == 1
        assert "a filter in the shadow is found with --processor" in out
        status, out = attest_models(found, shadowed, "--processor", health, "--timeout", "60s", "--json")
        assert status == 0, out
        said = json.loads(out)
        assert (said["result"], said["mode"], said["attached"]) == ("shadow", "shadow", True)
    with found.proxy("bare") as bare_proxy:
        status, out = attest_models(found, bare_proxy, "--processor", health, "--timeout", "1s")
        assert status == 1
        assert "and no processor has seen it" in out
