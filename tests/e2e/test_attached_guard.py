"""The guard in a front proxy that others wrote: its own routes stay as they are, LLM routes are guarded, and out again."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.shop import Proxy, Shop, chat
from tests.e2e.shop_traffic import FRAMING, GUARDED, ORDINARY, ask_assistant, ask_models, said, signed
from tests.e2e.upstream import DONE

ON_ALL = [each for each in ORDINARY if each != "Envoy's own page"]
"""A direct response may lose its body: `extproc render` says to leave such routes out."""
ROUTES = ("--guard-only", "--route", "assistant", "--route", "models-all")
SECRET = "Write to ada@example.com today."
CLEAN = "Write to [email] today."


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    found = Shop(tmp_path_factory.mktemp("shop"))
    try:
        found.processor.start()
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def proxies(shop: Shop) -> Iterator[dict[str, Proxy]]:
    """The same proxy as it was, with the guard on two routes, on all, and on all but some."""
    ways = {
        "as it was": (),
        "on routes": ROUTES,
        "on all": ("--guard-only",),
        "but": (
            "--guard-only",
            "--except-route",
            "/live",
            "--except-route",
            "shop:/",
            "--except-route",
            "orders",
            "--except-route",
            "/robots.txt",
        ),
    }
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(shop.proxy(f"proxy{n}", *render)) for n, (name, render) in enumerate(ways.items())
        }


@pytest.fixture
def guarded(proxies: dict[str, Proxy]) -> Proxy:
    return proxies["on routes"]


@pytest.mark.parametrize("name", [name for name in ORDINARY if name not in GUARDED])
@pytest.mark.parametrize("way", ["on routes", "but"])
def test_its_own_routes_answer_as_before(proxies, name, way):
    before, after = (ORDINARY[name](proxies[each]) for each in ("as it was", way))
    assert after.stable() == before.stable()


@pytest.mark.parametrize(
    ("way", "name"),
    [*((way, each) for way in ("on routes", "but") for each in GUARDED), *(("on all", each) for each in ON_ALL)],
)
def test_what_is_refused_before_the_guard_stays_so(proxies, way, name):
    """But for how its end is told: a stream of unknown length may come, as far as Envoy knows."""
    before, after = (ORDINARY[name](proxies[each]) for each in ("as it was", way))
    (status, headers, body), (status_, headers_, body_) = before.stable(), after.stable()
    assert (status, body) == (status_, body_)
    assert [each for each in headers if each[0] not in FRAMING] == [each for each in headers_ if each[0] not in FRAMING]


def test_the_proxy_does_what_the_other_tests_think(proxies):
    """Or they would compare errors with errors."""
    found = {name: ask(proxies["as it was"]) for name, ask in ORDINARY.items()}
    statuses = {name: answer.status for name, answer in found.items() if answer.status != 200}
    assert statuses == {
        "an order without a token": 401,
        "an order with a foreign token": 403,
        "a redirect": 301,
        "without TLS": 301,
        "the assistant without a token": 401,
    }
    assert found["an open page, compressed"].header("content-encoding") == "gzip"
    assert found["a redirect"].header("location").endswith("/new")
    preflight = found["before the assistant is asked from another origin"]
    assert preflight.header("access-control-allow-methods") == "GET, POST"


def test_services_get_what_they_got_before(proxies, shop):
    seen = []
    for way in ("as it was", "on routes"):
        shop.orders.seen.clear()
        proxies[way].ask("POST", "/orders/1", {**signed(), "accept-encoding": "gzip", "x-llm-own": "1"}, b"two")
        (each,) = shop.orders.seen
        changing = ("x-request-id", "authorization")
        seen.append((each.method, each.path, [h for h in each.headers if h[0] not in changing], each.body))
    assert seen[0] == seen[1]
    assert seen[0][1] == "/v2/1"


@pytest.mark.parametrize("way", ["on routes", "but"])
def test_a_websocket_passes(proxies, way):
    with proxies[way].connect() as connection:
        head = "GET /live HTTP/1.1\r\nhost: shop\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        connection.sendall(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"prices")
        assert connection.recv(4096) == b"PRICES"


# the routes that lead to models


@pytest.mark.parametrize("ask", [ask_assistant, ask_models])
@pytest.mark.parametrize("way", ["on routes", "on all", "but"])
def test_both_directions_are_redacted(proxies, shop, ask, way):
    shop.models.seen.clear()
    assert said(ask(proxies[way], chat(SECRET), x_answer=SECRET)) == CLEAN
    (seen,) = shop.models.seen
    assert json.loads(seen.body)["messages"][0]["content"] == CLEAN
    assert seen.path == "/v1/chat/completions"
    assert seen.header("content-length") == str(len(seen.body))


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_stream_is_redacted_however_it_is_cut(guarded, size):
    pieces = [SECRET[at : at + size] for at in range(0, len(SECRET), size)]
    answer = ask_assistant(guarded, chat("Hello", stream=True), x_pieces=json.dumps(pieces))
    assert said(answer) == CLEAN
    assert answer.body.endswith(DONE)


def test_what_no_rule_touches_is_the_same_byte_for_byte(proxies, shop):
    raw = b'{"model": "gpt-4o",   "messages": [{"role":"user","content":"Hell\\u006f"}], "x": 1.50}'
    answers = [ask_models(proxies[way], raw, x_answer="Good day.") for way in ("as it was", "on routes")]
    assert answers[0].body == answers[1].body
    assert [each.body for each in shop.models.seen[-2:]] == [raw, raw]
    streams = [
        ask_models(proxies[way], chat("Hello", stream=True), x_pieces='["a ", "b ", "c"]')
        for way in ("as it was", "on routes")
    ]
    assert streams[0].body == streams[1].body


def test_a_request_is_blocked(guarded, shop):
    shop.models.seen.clear()
    answer = ask_assistant(guarded, chat("say xyzzy"))
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["code"] == "forbidden"
    assert not shop.models.seen
    assert answer.header("x-edge") == "yes"  # what the route adds to its answers


def test_a_stream_is_blocked_where_it_stands(guarded):
    answer = ask_assistant(guarded, chat("Hello", stream=True), x_pieces='["Good. ", "xy", "zzy", " more"]')
    assert answer.status == 200
    assert b"xyzzy" not in answer.body
    assert b" more" not in answer.body


@pytest.mark.parametrize(("ask", "expected"), [(ask_assistant, "Bearer ey"), (ask_models, "Bearer sk-of-the-client")])
def test_credentials_are_the_clients_own_business(guarded, shop, ask, expected):
    shop.models.seen.clear()
    said(ask(guarded, chat("Hello")))
    assert shop.models.seen[0].header("authorization").startswith(expected)


def test_answers_are_compressed_after_they_were_redacted(guarded):
    answer = ask_assistant(guarded, chat("Hello"), x_answer=SECRET, accept_encoding="gzip")
    assert answer.header("content-encoding") == "gzip"
    assert said(answer) == CLEAN


@pytest.mark.parametrize("ask", [ask_assistant, ask_models])
def test_large_requests_pass_up_to_the_limit_of_the_configuration(guarded, shop, ask):
    shop.models.seen.clear()
    long = "long words " * 500_000
    said(ask(guarded, chat(f"{long}{SECRET}")))
    assert json.loads(shop.models.seen[0].body)["messages"][0]["content"] == f"{long}{CLEAN}"
    assert ask(guarded, chat(long * 2)).status == 413
    assert len(shop.models.seen) == 1


# out again


@pytest.mark.parametrize("render", [ROUTES, ("--guard-only",), ("--shadow",)], ids=" ".join)
def test_removed_the_file_is_the_same_to_the_byte(shop, render):
    path = shop.file("in-and-out", *render)
    assert path.read_bytes() != shop.original
    shop.render("--remove-from", str(path), "--in-place")
    assert path.read_bytes() == shop.original


def test_without_the_processor_llm_routes_are_closed_and_others_stay(tmp_path: Path):
    shop = Shop(tmp_path)
    try:
        shop.processor.start()
        with shop.proxy("proxy", *ROUTES) as proxy, shop.proxy("before") as before:
            assert said(ask_assistant(proxy, chat("Hello"))) == "Hello."
            shop.processor.signal(signal.SIGKILL)
            for ask in (ask_assistant, ask_models):
                for more in ({}, {"x_pieces": '["a"]'}):
                    assert ask(proxy, chat("Hello", stream=bool(more)), **more).status == 503
            assert len(shop.models.seen) == 1
            for name in ORDINARY.keys() - set(GUARDED):
                assert ORDINARY[name](proxy).stable() == ORDINARY[name](before).stable(), name
    finally:
        shop.close()
