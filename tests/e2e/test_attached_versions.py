"""The guard and the shadow in a front proxy that others wrote, on every version of Envoy that we support."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.shop import Answer, Proxy, Shop, chat, waited
from tests.e2e.upstream import DONE
from tests.e2e.versions import VERSIONS, envoy

SECRET = "Write to ada@example.com today."
CLEAN = "Write to [email] today."
PIECES = json.dumps([SECRET[at : at + 3] for at in range(0, len(SECRET), 3)])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    found = Shop(tmp_path_factory.mktemp("shop"))
    try:
        found.processor.start()
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def plain(shop: Shop, version: str) -> Iterator[Proxy]:
    with shop.proxy(f"plain-{version}", envoy=envoy(version)) as found:
        yield found


@pytest.fixture(scope="module")
def guarded(shop: Shop, version: str) -> Iterator[Proxy]:
    told = () if version == "installed" else ("--envoy", version)
    with shop.proxy(f"guard-{version}", "--guard-only", *told, envoy=envoy(version)) as found:
        yield found


@pytest.fixture(scope="module")
def shadowed(shop: Shop, version: str) -> Iterator[Proxy]:
    told = () if version == "installed" else ("--envoy", version)
    with shop.proxy(f"shadow-{version}", "--shadow", *told, envoy=envoy(version)) as found:
        yield found


def ask(proxy: Proxy, body: bytes, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    own = {"content-type": "application/json", "authorization": "Bearer sk-of-the-client"}
    return proxy.ask("POST", "/v1/chat/completions", {**own, **named}, body, host="models.example.com")


def text(answer: Answer) -> str:
    assert answer.status == 200, answer
    events = [each.removeprefix(b"data: ") for each in answer.body.split(b"\n\n") if each.startswith(b"data: {")]
    deltas = [choice["delta"] for each in events for choice in json.loads(each)["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def test_the_guard_redacts_both_directions(guarded: Proxy, shop: Shop) -> None:
    shop.models.seen.clear()
    whole = ask(guarded, chat(SECRET), x_answer=SECRET)
    assert whole.status == 200
    assert json.loads(whole.body)["choices"][0]["message"]["content"] == CLEAN
    stream = ask(guarded, chat(SECRET, stream=True), x_pieces=PIECES)
    assert text(stream) == CLEAN
    assert stream.body.endswith(DONE)
    assert [json.loads(each.body)["messages"][0]["content"] for each in shop.models.seen] == [CLEAN, CLEAN]


def test_the_guard_blocks(guarded: Proxy, shop: Shop) -> None:
    shop.models.seen.clear()
    refused = ask(guarded, chat("say xyzzy"))
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (400, "forbidden")
    assert not shop.models.seen
    cut = ask(guarded, chat("Hello", stream=True), x_pieces='["Good. ", "xy", "zzy", " more"]')
    assert cut.status == 200
    assert b"zzy" not in cut.body
    assert b"more" not in cut.body


def test_the_guard_takes_large_requests(guarded: Proxy, shop: Shop) -> None:
    shop.models.seen.clear()
    words = "long words " * 500_000
    assert ask(guarded, chat(f"{words}{SECRET}")).status == 200
    assert json.loads(shop.models.seen[0].body)["messages"][0]["content"] == f"{words}{CLEAN}"


SCENES: dict[str, Callable[[Proxy], Answer]] = {
    "whole": lambda proxy: ask(proxy, chat(SECRET), x_answer=SECRET),
    "stream": lambda proxy: ask(proxy, chat(SECRET, stream=True), x_pieces=PIECES),
    "blocked": lambda proxy: ask(proxy, chat("say xyzzy")),
}


@pytest.mark.parametrize("scene", SCENES)
def test_the_shadow_sees_all_and_touches_nothing(plain: Proxy, shadowed: Proxy, shop: Shop, scene: str) -> None:
    before = SCENES[scene](plain)
    (asked,) = shop.models.seen[-1:]
    count = len(shop.processor.exchanges())
    after = SCENES[scene](shadowed)
    assert after.stable() == before.stable()
    assert shop.models.seen[-1].body == asked.body
    record = waited(lambda: shop.processor.exchanges()[count:])[0]
    assert record["mode"] == "shadow"
    assert record["verdict"] == ("block" if scene == "blocked" else "redact")
