"""Mutual TLS between the real Envoy and a processor over TCP: whom it serves, and that everybody else fails closed."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.cli import main
from tests.e2e.authority import Authority
from tests.e2e.harness import eventually, free_port
from tests.e2e.mesh import Processor, Proxy
from tests.e2e.test_istio import CONFIG, Client, guarded
from tests.e2e.upstream import Upstream
from tests.istio import applied, sidecar

ENVOY = "spiffe://cluster.local/ns/gateways/sa/envoy"
Start = Callable[..., Client]


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[tuple[Processor, int, int]]:
    port, health = free_port(), free_port()
    own = str(authority.certificate("processor.internal"))
    names = ["spiffe://cluster.local/ns/gateways/*"]
    tls = {"cert": own, "key": own, "client_ca": str(authority.pem), "names": names}
    config = {**CONFIG, "processor": {"bind": f"127.0.0.1:{port}", "tls": tls}, "health": {"port": health}}
    with Processor(tmp_path_factory.mktemp("processor"), config) as running:
        yield running, port, health


@pytest.fixture
def start(
    processor: tuple[Processor, int, int], authority: Authority, upstreams: dict[str, Upstream], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Start]:  # fmt: skip
    """A sidecar's Envoy that shows the processor a certificate of a name, or none."""
    running: list[Proxy] = []

    def run(name: str | None, *more: str, change: Callable[[dict[str, Any]], None] = lambda cluster: None) -> Client:
        (tmp_path / "extproc.yaml").write_text(yaml.safe_dump(CONFIG), "utf-8")
        own = authority.certificate(name) if name else None
        tls = ["--processor-tls", f"{authority.pem},{own},{own}"] if name else []
        options = ["--processor", f"127.0.0.1:{processor[1]}", *tls, *more]
        assert main(["render", "istio", "-c", str(tmp_path / "extproc.yaml"), "--guard-only", *options]) == 0
        where = {each: free_port() for each in ("admin", "outbound", "inbound")}
        patched = applied(sidecar(where, upstreams["a"].port, 1), *yaml.safe_load_all(capsys.readouterr().out))
        change(patched["static_resources"]["clusters"][-1])
        running.append(Proxy(tmp_path / f"envoy-{len(running)}", patched))
        return Client(where["outbound"], upstreams["a"])

    yield run
    for each in running:
        each.__exit__(None, None, None)


def closed(client: Client) -> None:
    assert client.ask("Hello").status_code == 503
    assert client.provider.of(client.id) == []


def test_guarded_over_mutual_tls(start: Start, processor: tuple[Processor, int, int]) -> None:
    guarded(start(ENVOY, "--processor-name", "processor.internal"))


def test_a_client_without_a_certificate_is_refused(start: Start) -> None:
    def show_none(cluster: dict[str, Any]) -> None:
        del cluster["transport_socket"]["typed_config"]["common_tls_context"]["tls_certificates"]

    closed(start(ENVOY, "--processor-name", "processor.internal", change=show_none))


def test_a_client_without_tls_is_refused(start: Start) -> None:
    closed(start(None))


@pytest.mark.parametrize("name", ["spiffe://cluster.local/ns/shop/sa/envoy", "envoy.gateways"])
def test_a_client_of_another_name_is_refused(start: Start, processor: tuple[Processor, int, int], name: str) -> None:
    closed(start(name, "--processor-name", "processor.internal"))
    eventually(lambda: any(line["event"] == "stranger-error" for line in processor[0].lines()))


def test_envoy_refuses_a_processor_of_another_name(start: Start) -> None:
    closed(start(ENVOY, "--processor-name", "other.internal"))


def test_a_processor_alone_answers_probes_and_scrapers(processor: tuple[Processor, int, int], start: Start) -> None:
    start(ENVOY, "--processor-name", "processor.internal").ask("Hello")
    base = f"http://127.0.0.1:{processor[2]}"
    for path in ("/health/liveness", "/health/readiness"):
        with urllib.request.urlopen(base + path, timeout=10) as answer:
            assert answer.status == 200
    with urllib.request.urlopen(f"{base}/metrics", timeout=10) as answer:
        assert b"extproc_workers 1.0" in answer.read()
