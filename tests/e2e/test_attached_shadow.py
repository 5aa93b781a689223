"""The shadow in a front proxy that others wrote: it sees what the guard would see, and nothing is any different for it."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.shop import Answer, Proxy, Shop, chat, waited
from tests.e2e.shop_traffic import ORDINARY, TALK, ask_assistant, ask_models, said, signed

SECRET = "Write to ada@example.com today."
ROUTES = ("--route", "assistant", "--route", "models-all")


def pieces(text: str, size: int) -> str:
    return json.dumps([text[at : at + size] for at in range(0, len(text), size)])


LLM = {
    "nothing to find": lambda proxy: ask_models(proxy, chat("Hello")),
    "an address in the request": lambda proxy: ask_assistant(proxy, chat(SECRET)),
    "an address in the answer": lambda proxy: ask_models(proxy, chat("Hello"), x_answer=SECRET),
    "addresses in both": lambda proxy: ask_assistant(proxy, chat(SECRET), x_answer=SECRET * 3),
    "compressed": lambda proxy: ask_assistant(proxy, chat("Hello"), x_answer=SECRET * 3, accept_encoding="gzip"),
    "cut over a stream": lambda proxy: ask_models(proxy, chat("Hello", stream=True), x_pieces=pieces(SECRET, 2)),
    "a word in the request": lambda proxy: ask_models(proxy, chat("say xyzzy")),
    "a word in the answer": lambda proxy: ask_assistant(proxy, chat("Hello"), x_answer="It is xyzzy."),
    "a word cut over a stream": lambda proxy: ask_assistant(
        proxy, chat(SECRET, stream=True), x_pieces=pieces("It is xyzzy.", 3)
    ),
}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    found = Shop(tmp_path)
    try:
        found.processor.start()
        yield found
    finally:
        found.close()


def found_by(shop: Shop, mode: str, many: int) -> list[dict[str, Any]]:
    """The records of so many exchanges; those of a shadow come seconds after them."""

    def records() -> list[dict[str, Any]]:
        return [each for each in shop.processor.exchanges() if each["mode"] == mode and each["model"]]

    return waited(lambda: records() if len(records()) >= many else [], 30)


def counted(records: list[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
    """What policies came to, and what exchanges came to."""
    rows = [(row["policy"], row["label"], row["outcome"]) for each in records for row in each["verdicts"]]
    counts = Counter(
        {key: sum(row["count"] for each in records for row in each["verdicts"] if _key(row) == key) for key in rows}
    )
    return counts + Counter((each["verdict"], each["outcome"]) for each in records)


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["policy"], row["label"], row["outcome"]


def upload(proxy: Proxy) -> Answer:
    return proxy.ask("POST", "/orders/large", {**TALK, **signed()}, b"x" * 10_000_000)


def same(before: Proxy, after: Proxy, shop: Shop) -> None:
    """Every answer is the same, and so is what services get."""
    seen: list[list[tuple[str, str, bytes]]] = []
    answers: list[list[Any]] = []
    for proxy in (before, after):
        for service in (shop.catalog, shop.orders, shop.models):
            service.seen.clear()
        asked = [*ORDINARY.values(), *LLM.values(), upload]
        answers.append([ask(proxy).stable() for ask in asked])
        services = (shop.catalog, shop.orders, shop.models)
        seen.append([(each.method, each.path, each.body) for service in services for each in service.seen])
    for first, second in zip(*answers, strict=True):
        assert second == first
    assert seen[0] == seen[1]


def test_nothing_is_different_and_the_verdicts_are_those_of_the_guard(shop):
    with (
        shop.proxy("before") as before,
        shop.proxy("guarded", "--guard-only", *ROUTES) as guarded,
        shop.proxy("shadowed", "--shadow", *ROUTES) as shadowed,
    ):
        same(before, shadowed, shop)
        for ask in LLM.values():
            ask(guarded)
        enforced, shadow = found_by(shop, "guard", len(LLM)), found_by(shop, "shadow", len(LLM))
        assert counted(shadow) == counted(enforced)
        assert sum(each["outcome"] == "block" for each in shadow) == 3
        assert shadowed.stat("cluster.llm_extproc_shadow.upstream_rq_pending_overflow") == 0


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL], ids=["hung", "dead"])
def test_nothing_is_different_without_the_processor(shop, how):
    """Whatever the size: a processor that does not read must not hold back what it is only shown."""
    with shop.proxy("before") as before, shop.proxy("shadowed", "--shadow") as shadowed:
        assert said(ask_models(shadowed, chat("Hello"))) == "Hello."
        shop.processor.signal(how)
        assert upload(shadowed).stable() == upload(before).stable()
        same(before, shadowed, shop)


def test_shadow_first_then_the_guard_on_one_route(shop):
    """As one attaches it: the file has both, and taking both out gives the same bytes."""
    path = shop.file("both", "--shadow", "--route", "models-all")
    shop.render("--guard-only", "--route", "assistant", "--merge-into", str(path), "--in-place")
    proxy = Proxy(path, shop.ca)
    try:
        assert said(ask_models(proxy, chat(SECRET), x_answer=SECRET)) == SECRET
        assert said(ask_assistant(proxy, chat(SECRET), x_answer=SECRET)) == "Write to [email] today."
        (record,) = found_by(shop, "shadow", 1)
        assert record["outcome"] == "redact"
    finally:
        proxy.stop()
    shop.render("--remove-from", str(path), "--in-place")
    assert path.read_bytes() == shop.original
