"""Providers speak HTTP/2. The same things, once more, where an end is a frame and not a connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.authority import Authority
from tests.e2e.gateway import Running
from tests.e2e.harness import KEYS, Case, Start, eventually
from tests.e2e.upstream import DONE, OPENING, Gate, Upstream, completion, event, events
from tests.e2e.upstream2 import Script, Upstream2


@pytest.fixture(scope="module")
def provider(authority: Authority) -> Iterator[Upstream2]:
    running = Upstream2(authority.context("localhost"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def gateway(start: Start, provider: Upstream2, upstreams: dict[str, Upstream]) -> Running:
    kind = {"type": "openai-compatible"}
    return start(
        "http2",
        providers={
            "two": {**kind, "base_url": f"https://localhost:{provider.port}/v1", "keys": "env:KEY_A"},
            "one": {**kind, "base_url": f"https://localhost:{upstreams['tls_a'].port}/v1", "keys": "env:KEY_A"},
        },
        models={"gpt-*": "two", "pair": ["two/first", "one/second"]},
    )


@pytest.fixture(params=[True, False], ids=["client-h2", "client-h1"])
def case(request: pytest.FixtureRequest, gateway: Running, upstreams: dict[str, Upstream]) -> Iterator[Any]:
    case = Case(gateway, upstreams, tls=True)
    case.post = lambda text="Hello", **more: Case.post(case, text, http2=request.param, **more)  # type: ignore[method-assign]
    yield case
    case.close()


def test_a_whole_answer(case: Any, provider: Upstream2) -> None:
    provider.on(
        case.id, Script(headers=[("content-type", "application/json")], parts=[completion("I am a@example.com")])
    )
    answer = case.post("You are b@example.com")
    assert (answer.status_code, answer.content) == (200, completion("I am [email]"))
    (received,) = provider.of(case.id)
    assert json.loads(received.body) == case.body("You are [email]")
    assert received.header("authorization") == f"Bearer {KEYS['KEY_A']}"
    assert received.header(":path") == "/v1/chat/completions"
    assert received.header(":authority") == f"localhost:{provider.port}"
    assert received.header("content-length") == str(len(received.body))
    allowed = {":method", ":path", ":authority", ":scheme", "accept", "content-type", "content-length", "user-agent",
               "authorization",                "accept-encoding", "x-request-id"}  # fmt: skip
    assert {name for name, _ in received.headers} <= allowed


def test_a_stream(case: Any, provider: Upstream2) -> None:
    provider.on(case.id, Script(parts=events("I am jane.", "doe@exam", "ple.com, you")))
    answer = case.post(stream=True)
    text = [json.loads(line[6:]) for line in answer.content.splitlines() if line.startswith(b"data: {")]
    assert (
        "".join(each["choices"][0]["delta"].get("content", "") for each in text if each["choices"])
        == "I am [email], you"
    )


def test_a_blocked_stream_resets_the_providers(case: Any, provider: Upstream2) -> None:
    gate = Gate()
    provider.on(
        case.id, Script(parts=[OPENING, event({"content": "Well. "}), event({"content": "xyzzy now"}), gate, DONE])
    )
    answer = case.post(stream=True)
    assert b'"forbidden"' in answer.content
    assert b"xyzzy" not in answer.content
    assert provider.of(case.id)[0].reset.wait(5)
    gate.open()


def test_a_reset_stream_is_a_cut(case: Any, provider: Upstream2) -> None:
    provider.on(
        case.id,
        Script(parts=[OPENING, event({"content": "Well. "}), event({"content": "jane.doe@exam"})], then="reset"),
    )
    got = b""
    with pytest.raises(Exception, match=r"(?i)peer|reset|terminated|StreamReset|incomplete"):  # noqa: PT012, SIM117
        with case.client().stream("POST", "/v1/chat/completions", json=case.body(stream=True)) as answer:
            for piece in answer.iter_raw():
                got += piece
    assert b"jane" not in got
    assert case.log()["end"] in ("cut", "error")


def test_a_client_that_leaves(case: Any, provider: Upstream2) -> None:
    gate = Gate()
    provider.on(case.id, Script(parts=[OPENING, event({"content": "Hello there. "}), gate, DONE]))
    client = case.client()
    with client.stream("POST", "/v1/chat/completions", json=case.body(stream=True)) as answer:
        next(answer.iter_bytes())
        client.close()
    assert eventually(lambda: provider.of(case.id))[0].reset.wait(5)
    gate.open()
    assert case.log()["end"] == "cut"


def test_failover_from_http2_to_http1(case: Any, provider: Upstream2) -> None:
    """One group, one cluster: each provider in the version it speaks."""
    provider.on(case.id, Script(status=429, headers=[("content-type", "application/json")], parts=[b"{}"]))
    answer = case.post(model="pair")
    assert (answer.status_code, answer.headers["x-llm-backend"]) == (200, "one/second")
    assert case.one("tls_a").json()["model"] == "second"
    assert json.loads(provider.of(case.id)[0].body)["model"] == "first"


def test_one_connection_is_enough(case: Any, provider: Upstream2) -> None:
    before = provider.connections
    provider.on(case.id, Script(headers=[("content-type", "application/json")], parts=[completion()]))
    for _ in range(10):
        assert case.post().status_code == 200
    assert provider.connections - before <= 4  # at most one a worker thread
