"""The policies of ``extproc render envoy-gateway``, translated as Envoy Gateway does, on the real Envoy with a processor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.cli import main
from tests.e2e.harness import free_port
from tests.e2e.mesh import Processor, Proxy
from tests.e2e.test_istio import CONFIG, Client, guarded, untouched
from tests.e2e.upstream import Upstream, completion, respond
from tests.envoy_gateway import gateway

Start = Callable[..., Client]


@pytest.fixture(scope="module")
def processors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Processor, int]]]:
    """One that takes unnamed calls for the guard's and one that takes them for the shadow's, as rendered."""
    with ExitStack() as stack:
        found = {}
        for which in ("guard", "shadow"):
            port = free_port()
            config = {**CONFIG, "processor": {"bind": f"127.0.0.1:{port}"}}
            running = Processor(tmp_path_factory.mktemp(which), config, {"EXTPROC_GUARD__UNNAMED": which})
            found[which] = stack.enter_context(running), port
        yield found


@pytest.fixture
def start(upstreams: dict[str, Upstream], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Start]:
    running: list[Proxy] = []

    def run(processor: int, *options: str) -> Client:
        path = tmp_path / "extproc.yaml"
        path.write_text(yaml.safe_dump(CONFIG), "utf-8")
        assert main(["render", "envoy-gateway", "-c", str(path), "--gateway", "eg", *options]) == 0
        objects = list(yaml.safe_load_all(capsys.readouterr().out))
        where = {"admin": free_port(), "outbound": free_port()}
        running.append(Proxy(tmp_path / "envoy", gateway(where, upstreams["a"].port, processor, objects)))
        return Client(where["outbound"], upstreams["a"])

    yield run
    for each in running:
        each.__exit__(None, None, None)


def test_a_whole_gateway(start: Start, processors: dict[str, tuple[Processor, int]]) -> None:
    client = start(processors["guard"][1], "--guard-only", "--version", "1.7")
    guarded(client)
    assert client.ask("frobozz").json()["error"]["code"] == "chats"  # attached to the HTTPRoute
    guarded(client, path="/openai/v1/chat/completions")
    assert client.ask("frobozz", path="/openai/v1/chat/completions").status_code == 200
    answer = client.ask("blah " * 700_000)  # 3.5 MB: the policy for clients' connections allows max_body
    assert answer.status_code == 200


def test_one_route_of_it(start: Start, processors: dict[str, tuple[Processor, int]]) -> None:
    client = start(processors["guard"][1], "--guard-only", "--route", "chat")
    guarded(client)
    untouched(client, path="/openai/v1/chat/completions")


def test_a_shadow(start: Start, processors: dict[str, tuple[Processor, int]]) -> None:
    client = start(processors["shadow"][1], "--shadow")
    untouched(client)
    line = processors["shadow"][0].exchange(client.id)
    assert (line["mode"], line["verdict"]) == ("shadow", "block")


def test_without_a_processor_it_fails_closed(start: Start) -> None:
    client = start(free_port(), "--guard-only")
    assert client.ask("Hello").status_code == 503
    assert client.provider.of(client.id) == []


def test_a_processor_that_was_not_told_refuses(
    start: Start, tmp_path_factory: pytest.TempPathFactory, upstreams: dict[str, Upstream]
) -> None:
    port = free_port()
    config: dict[str, Any] = {**CONFIG, "processor": {"bind": f"127.0.0.1:{port}"}}
    with Processor(tmp_path_factory.mktemp("untold"), config):
        client = start(port, "--guard-only")
        answer = client.ask("Hello", respond(200, completion("Hello.")))
        assert answer.status_code == 503
        assert client.provider.of(client.id) == []
