"""Failover between providers: when another one is asked, and what the client gets of it."""

from __future__ import annotations

import itertools
import json

import pytest

from tests.e2e.harness import FAILOVERS, KEYS, Case
from tests.e2e.upstream import OPENING, chunked, error, event, events, raw, silent

_pairs = itertools.count()
A, B = f"Bearer {KEYS['KEY_A']}", f"Bearer {KEYS['KEY_B']}"


@pytest.fixture
def pair() -> str:
    """A model with backends alpha/one and beta/two that no other test has used."""
    number = next(_pairs)
    assert number < FAILOVERS
    return f"pair-{number}"


def reset_at_once() -> object:
    return raw(then="reset")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 503])
def test_failover_by_status(tls_case: Case, pair: str, status: int, stream: bool) -> None:
    tls_case.on(error(status, "first provider's words", [("retry-after", "60")]))
    answer = tls_case.post("I am a@example.com", model=pair, stream=stream)
    assert answer.status_code == 200
    assert "first provider" not in answer.text
    first, second = tls_case.one("a"), tls_case.one("b")
    assert first.header("authorization") == A
    assert second.header("authorization") == B
    assert first.json() == tls_case.body("I am [email]", model="one", stream=stream)
    assert second.json() == tls_case.body("I am [email]", model="two", stream=stream)
    assert (first.target, second.target) == ("/v1/chat/completions", "/other/v2/chat/completions")
    assert second.header("host") == f"127.0.0.1:{tls_case.upstreams['b'].port}"
    for each in (first, second):
        assert each.header("content-length") == str(len(each.body))
    assert (answer.headers["x-llm-backend"], answer.headers["x-llm-attempts"]) == ("beta/two", "2")
    line = tls_case.log()
    assert (line["backend"], line["attempts"], line["upstream_status"]) == ("beta/two", 2, 200)


@pytest.mark.parametrize("stream", [False, True])
def test_failover_from_a_reset(plain_case: Case, pair: str, stream: bool) -> None:
    plain_case.on(reset_at_once())
    answer = plain_case.post(model=pair, stream=stream)
    assert (answer.status_code, answer.headers["x-llm-backend"]) == (200, "beta/two")
    assert plain_case.one("b").header("authorization") == B


def test_failover_from_a_refused_connection(case: Case) -> None:
    answer = case.post(model="gone-pair")
    assert (answer.status_code, answer.headers["x-llm-backend"]) == (200, "beta/two")
    received = case.one("b")
    assert received.json() == case.body(model="two")
    assert received.header("authorization") == B


@pytest.mark.parametrize("stream", [False, True])
def test_failover_from_silence(plain_case: Case, stream: bool) -> None:
    plain_case.on(silent)
    answer = plain_case.post(model="quick-pair", stream=stream)
    assert (answer.status_code, answer.headers["x-llm-backend"]) == (200, "beta/two")
    assert plain_case.one("a").ended.wait(2)


def test_both_fail(plain_case: Case, pair: str) -> None:
    plain_case.on(error(503, "first"))
    plain_case.on(error(429, "second", [("retry-after", "9")]), at="b")
    answer = plain_case.post(model=pair)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "9")
    assert answer.json()["error"]["message"] == "second"
    assert (len(plain_case.received("a")), len(plain_case.received("b"))) == (1, 1)


def test_a_bad_request_is_not_tried_elsewhere(plain_case: Case, pair: str) -> None:
    plain_case.on(error(400, "no such parameter"))
    answer = plain_case.post(model=pair)
    assert answer.status_code == 400
    assert plain_case.received("b") == []


def test_no_failover_after_the_first_byte(plain_case: Case, pair: str) -> None:
    plain_case.on(chunked(200, [OPENING, event({"content": "Hello there, you "})], then="reset"))
    body = json.dumps(plain_case.body(model=pair, stream=True)).encode()
    answer = plain_case.raw(plain_case.head("content-type: application/json", f"content-length: {len(body)}") + body)
    assert answer.cut
    assert plain_case.received("b") == []


def test_second_backends_answer_is_guarded(plain_case: Case, pair: str) -> None:
    plain_case.on(error(500))
    plain_case.on(chunked(200, events("jane.doe@exam", "ple.com said")), at="b")
    answer = plain_case.post(model=pair, stream=True)
    assert b"[email]" in answer.content
    assert b"jane" not in answer.content


@pytest.mark.parametrize("stream", [False, True])
def test_failover_between_tls_providers(case: Case, stream: bool) -> None:
    case.on(error(429), at="tls_a")
    answer = case.post(model="tls-pair", stream=stream)
    assert (answer.status_code, answer.headers["x-llm-backend"]) == (200, "numeric/two")
    first, second = case.one("tls_a"), case.one("tls_b")
    assert (first.header("authorization"), second.header("authorization")) == (A, B)
    assert first.header("host") == f"localhost:{case.upstreams['tls_a'].port}"
    assert second.header("host") == f"127.0.0.1:{case.upstreams['tls_b'].port}"
    assert (first.json()["model"], second.json()["model"]) == ("one", "two")


def test_failover_from_tls_to_plain(plain_case: Case) -> None:
    plain_case.on(error(503), at="tls_b")
    answer = plain_case.post(model="mixed-pair")
    assert (answer.status_code, answer.headers["x-llm-backend"]) == (200, "alpha/two")
    assert plain_case.one("tls_b").header("authorization") == B
    assert plain_case.one("a").header("authorization") == A


def test_largest_body_fails_over(plain_case: Case, pair: str) -> None:
    plain_case.on(error(503))
    text = "x" * ((1 << 20) - 200)
    assert plain_case.post(text, model=pair).status_code == 200
    assert plain_case.one("b").json() == plain_case.body(text, model="two")


def test_weights_share(plain_case: Case) -> None:
    used = {plain_case.post(model="weighted").headers["x-llm-backend"] for _ in range(40)}
    assert used == {"alpha/one", "beta/two"}


def test_weighted_backends_stand_in_for_each_other(plain_case: Case) -> None:
    plain_case.on(error(503))
    used = {plain_case.post(model="weighted-too").headers["x-llm-backend"] for _ in range(8)}
    assert used == {"beta/two"}
    assert {each.header("authorization") for each in plain_case.received("b")} == {B}
