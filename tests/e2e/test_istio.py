"""The EnvoyFilters of ``extproc render istio``, applied as istiod does, on the real Envoy with a processor beside it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from extproc.cli import main
from tests.e2e.harness import free_port
from tests.e2e.mesh import Processor, Proxy
from tests.e2e.upstream import Upstream, chunked, completion, event, events, respond
from tests.istio import applied, gateway, sidecar

SECRET = "jane.doe@example.com"
CHAT = "/v1/chat/completions"
KEY = "Bearer sk-the-clients-own"
CONFIG: dict[str, Any] = {
    "version": 1,
    "gateway": {"max_body": "4MiB", "drain": "1s"},
    "health": {"port": 0},
    "policies": {
        "emails": {"kind": "pii", "find": ["email"], "action": "redact"},
        "forbidden": {"kind": "wordlist", "words": ["xyzzy"], "action": "block"},
        "chats": {"kind": "wordlist", "words": ["frobozz"], "action": "block"},
    },
    "attach": [
        {"use": ["emails", "forbidden"]},
        {"use": "chats", "to": {"route": ["chat", "httproute/default/chat/*"]}},
    ],
}
Render = Callable[..., list[dict[str, Any]]]
_ids = itertools.count()


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Processor, int]]:
    port = free_port()
    config = {**CONFIG, "processor": {"bind": f"127.0.0.1:{port}"}}
    with Processor(tmp_path_factory.mktemp("processor"), config) as running:
        yield running, port


@pytest.fixture
def render(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Render:
    path = tmp_path / "extproc.yaml"
    path.write_text(yaml.safe_dump(CONFIG), "utf-8")

    def run(*options: str) -> list[dict[str, Any]]:
        assert main(["render", "istio", "-c", str(path), *options]) == 0
        return list(yaml.safe_load_all(capsys.readouterr().out))

    return run


def ports() -> dict[str, int]:
    return {name: free_port() for name in ("admin", "outbound", "inbound")}


class Client:
    """Requests to a proxy, each with an id of its own by which the provider is scripted."""

    def __init__(self, port: int, provider: Upstream) -> None:
        self.port = port
        self.provider = provider

    def ask(
        self, text: str, *behaviour: Any, path: str = "/v1/chat/completions", host: str = "api.openai.com", **more: Any
    ) -> Any:
        self.id = f"istio-{next(_ids)}"
        self.provider.on(self.id, *(behaviour or (respond(200, completion("Hello.")),)))
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}
        headers = {"host": host, "x-request-id": self.id, "authorization": KEY}
        with httpx.Client(timeout=20, trust_env=False) as client:
            return client.post(f"http://127.0.0.1:{self.port}{path}", json=body, headers=headers)

    def sent(self) -> Any:
        (found,) = self.provider.of(self.id)
        return found


def streamed(*texts: str) -> Any:
    return chunked(200, [*events(*texts), event({}, "stop"), b"data: [DONE]\n\n"])


def guarded(client: Client, **more: Any) -> None:
    """Redacted in requests and in streams that are cut within a secret, blocked, and the client's own key stays."""
    answer = client.ask(f"I am {SECRET}", streamed("I see: jane.d", "oe@exam", "ple.com, hm"), stream=True, **more)
    assert answer.status_code == 200, answer.text
    assert SECRET not in answer.text
    assert "[email]" in answer.text
    assert client.sent().json()["messages"][0]["content"] == "I am [email]"
    assert client.sent().header("authorization") == KEY
    answer = client.ask("say xyzzy", **more)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "forbidden")
    assert client.provider.of(client.id) == []


def untouched(client: Client, **more: Any) -> None:
    answer = client.ask(f"I am {SECRET}, xyzzy", respond(200, completion(SECRET)), **more)
    assert answer.status_code == 200
    assert SECRET in answer.text
    assert client.sent().json()["messages"][0]["content"] == f"I am {SECRET}, xyzzy"
    assert not [name for name in answer.headers if name.startswith("x-llm-")]


def test_a_sidecar(
    render: Render, processor: tuple[Processor, int], upstreams: dict[str, Upstream], tmp_path: Path
) -> None:
    where = ports()
    proxy = applied(sidecar(where, upstreams["a"].port, processor[1]), *render("--guard-only"))
    with Proxy(tmp_path / "envoy", proxy):
        guarded(Client(where["outbound"], upstreams["a"]))
        guarded(Client(where["outbound"], upstreams["a"]), host="vllm.ml")
        assert Client(where["outbound"], upstreams["a"]).ask("frobozz").status_code == 200
        untouched(Client(where["inbound"], upstreams["a"]))


def test_what_comes_into_a_sidecar(
    render: Render, processor: tuple[Processor, int], upstreams: dict[str, Upstream], tmp_path: Path
) -> None:
    where = ports()
    proxy = applied(
        sidecar(where, upstreams["a"].port, processor[1]), *render("--guard-only", "--at", "inbound", "--first")
    )
    with Proxy(tmp_path / "envoy", proxy):
        guarded(Client(where["inbound"], upstreams["a"]))
        untouched(Client(where["outbound"], upstreams["a"]))


def test_bodies_up_to_max_body_pass_and_larger_ones_do_not(
    render: Render, processor: tuple[Processor, int], upstreams: dict[str, Upstream], tmp_path: Path
) -> None:
    where = ports()
    proxy = applied(sidecar(where, upstreams["a"].port, processor[1]), *render("--guard-only"))
    with Proxy(tmp_path / "envoy", proxy):
        client = Client(where["outbound"], upstreams["a"])
        answer = client.ask("blah " * 700_000 + SECRET)  # 3.5 MB: more than any buffer of a connection
        assert answer.status_code == 200, answer.text[:300]
        assert client.sent().json()["messages"][0]["content"].endswith("[email]")
        assert client.ask("blah " * 1_000_000).status_code == 413
        assert client.provider.of(client.id) == []


def test_one_host_of_a_sidecar(
    render: Render, processor: tuple[Processor, int], upstreams: dict[str, Upstream], tmp_path: Path
) -> None:
    where = ports()
    proxy = applied(
        sidecar(where, upstreams["a"].port, processor[1]), *render("--guard-only", "--host", "api.openai.com:80")
    )
    with Proxy(tmp_path / "envoy", proxy):
        guarded(Client(where["outbound"], upstreams["a"]))
        untouched(Client(where["outbound"], upstreams["a"]), host="vllm.ml")


def test_watch_all_and_enforce_on_one_route_of_a_gateway(
    render: Render, processor: tuple[Processor, int], upstreams: dict[str, Upstream], tmp_path: Path
) -> None:
    where = ports()
    objects = [*render("--shadow", "--at", "gateway"), *render("--guard-only", "--at", "gateway", "--route", "chat")]
    proxy = applied(gateway(where, upstreams["a"].port, processor[1]), *objects)
    with Proxy(tmp_path / "envoy", proxy):
        client = Client(where["outbound"], upstreams["a"])
        guarded(client)
        assert client.ask("frobozz").json()["error"]["code"] == "chats"  # attached to the route's name
        untouched(client, path="/openai/v1/chat/completions")
        line = processor[0].exchange(client.id)
        assert (line["mode"], line["verdict"]) == ("shadow", "block")


def test_a_waypoint_as_its_api_describes_it(
    render: Render, processor: tuple[Processor, int], upstreams: dict[str, Upstream], tmp_path: Path
) -> None:
    where = ports()
    here = ("--processor", f"127.0.0.1:{processor[1]}")
    (found,) = render("--guard-only", "--at", "waypoint", "--gateway", "waypoint", *here)
    proxy = applied(gateway(where, upstreams["a"].port, 1, waypoint=True), found)
    with Proxy(tmp_path / "envoy", proxy):
        guarded(Client(where["outbound"], upstreams["a"]))


def test_without_a_processor_it_fails_closed_and_the_shadow_open(
    render: Render, upstreams: dict[str, Upstream], tmp_path: Path
) -> None:
    where = ports()
    nobody = free_port()
    with Proxy(tmp_path / "guard", applied(sidecar(where, upstreams["a"].port, nobody), *render("--guard-only"))):
        client = Client(where["outbound"], upstreams["a"])
        assert client.ask("Hello").status_code == 503
        assert client.provider.of(client.id) == []
    elsewhere = ports()  # istiod did not give this sidecar the processor's cluster
    lacking = applied(
        sidecar(elsewhere, upstreams["a"].port, nobody, "other.ns.svc.cluster.local"), *render("--guard-only")
    )
    with Proxy(tmp_path / "lacking", lacking):
        client = Client(elsewhere["outbound"], upstreams["a"])
        assert client.ask("Hello").status_code == 503
        assert client.provider.of(client.id) == []
    third = ports()
    with Proxy(tmp_path / "shadow", applied(sidecar(third, upstreams["a"].port, nobody), *render("--shadow"))):
        untouched(Client(third["outbound"], upstreams["a"]))
