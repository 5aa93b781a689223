"""Operations that only the configuration knows: inspected both ways or, by name, not at all; and nothing else passes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import _case
from tests.e2e.gateway import Running
from tests.e2e.harness import CLIENT_KEY, KEYS, Case, Start
from tests.e2e.upstream import Upstream, chunked, error, gzipped, raw, respond

EMAIL = "jane.doe@example.com"
BINARY = bytes(range(256)) * 40 + EMAIL.encode()
RERANK = {
    "model": "bge-reranker",
    "query": f"who is {EMAIL}?",
    "documents": ["one", {"text": f"mail {EMAIL}"}],
    "top_n": 1,
}
RANKED = {"id": "r1", "results": [{"index": 1, "document": {"text": f"of {EMAIL}"}, "relevance_score": 0.50}]}

OPERATIONS: dict[str, Any] = {
    "rerank": {"path": "/v1/rerank", "to": "alpha", "scan": "generic"},
    "lists": {
        "path": ["/v1/lists", "/v1/lists/*"],
        "method": ["GET", "POST", "DELETE"],
        "to": "beta",
        "scan": "generic",
    },
    "score": {"path": "/v1/score", "scan": "generic"},
    "elsewhere": {"path": "/v1/elsewhere/*", "to": "beta", "target": "/api/2/*", "scan": "generic"},
    "files": {"path": ["/v1/files", "/v1/files/*"], "method": ["GET", "POST"], "to": "beta", "scan": "opaque"},
    "strict": {"path": "/v1/strict", "to": "alpha", "scan": "generic"},
    "barred": {"path": "/v1/barred", "to": "alpha", "scan": "opaque"},
    "own": {"path": "/v1/own", "to": "mine", "scan": "opaque"},
}
POLICIES: dict[str, Any] = {
    "emails": {"kind": "pii", "find": ["email"], "action": "redact"},
    "forbidden": {"kind": "wordlist", "words": ["xyzzy"], "action": "block"},
    "plain-words": {"kind": "wordlist", "words": ["who is"], "action": "block"},
    "none-barred": {"kind": "operations", "deny": ["barred"]},
}
ATTACH = [
    {"use": ["emails", "forbidden", "none-barred"], "to": "all"},
    {"use": "plain-words", "to": {"operation": "strict"}},
]


@pytest.fixture(scope="module")
def gateway(start: Start) -> Running:
    return start(
        "named", operations=OPERATIONS, policies=POLICIES, attach=ATTACH,
        processor={"workers": 2},
    )  # fmt: skip


@pytest.fixture
def named(gateway: Running, upstreams: dict[str, Upstream], over: str) -> Iterator[Case]:
    upstreams["b"].lets = frozenset({"content-encoding"})
    yield from _case(gateway, upstreams, over)
    upstreams["b"].lets = frozenset()


def keys(case: Case) -> None:
    """Each provider has got its own key alone."""
    for at, key in (("a", "KEY_A"), ("b", "KEY_B")):
        for each in case.received(at):
            assert each.header("authorization") == f"Bearer {KEYS[key]}"
            assert CLIENT_KEY not in str(each.headers)


def test_texts_are_redacted_both_ways_in_place(named: Case) -> None:
    body = json.dumps(RANKED, indent=2).encode()
    named.on(respond(200, body))
    answer = named.client().post("/v1/rerank", json=RERANK)
    assert answer.status_code == 200, answer.text
    assert answer.content == body.replace(EMAIL.encode(), b"[email]")
    got = named.one()
    assert (got.method, got.target) == ("POST", "/v1/rerank")
    assert got.body == json.dumps(RERANK, separators=(",", ":")).replace(EMAIL, "[email]").encode()
    keys(named)
    log = named.log()
    assert (log["operation"], log["format"], log["model"]) == ("rerank", "generic", "bge-reranker")
    assert log["backend"] == "alpha"
    assert log["unscanned"] == []
    assert answer.headers["x-llm-verdict"] == "redact"


def test_what_no_rule_touches_is_the_same_bytes(named: Case) -> None:
    sent = b'{ "query" : "two\\u0020words", "n": 1.50 }'
    named.on(respond(200, b'{ "data": ["\\u0041"],  "x": 1.50}'))
    answer = named.client().post("/v1/rerank", content=sent, headers={"content-type": "application/json"})
    assert answer.content == b'{ "data": ["\\u0041"],  "x": 1.50}'
    assert named.one().body == sent


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_events_of_a_stream_are_redacted(named: Case, cut: int) -> None:
    whole = b"".join(
        b"event: part\ndata: " + json.dumps({"n": n, "said": {"text": text}}).encode() + b"\n\n"
        for n, text in enumerate(["hello ", f"it is {EMAIL} there", "bye"])
    )
    whole += b"data: [DONE]\n\n"
    named.on(chunked(200, [whole[at : at + cut] for at in range(0, len(whole), cut)]))
    answer = named.client().post("/v1/rerank", json={**RERANK, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.content == whole.replace(EMAIL.encode(), b"[email]")


def test_a_blocked_word_ends_a_stream_with_an_error(named: Case) -> None:
    parts = [b'data: {"t": "first"}\n\n', b'data: {"t": "say xyzzy"}\n\n', b'data: {"t": "last"}\n\n']
    named.on(chunked(200, parts))
    answer = named.client().post("/v1/rerank", json=RERANK)
    assert b"first" in answer.content
    assert b"xyzzy" not in answer.content
    assert b"last" not in answer.content
    assert b'"policy_violation"' in answer.content


def test_blocks_are_proper_errors(named: Case) -> None:
    answer = named.client().post("/v1/rerank", json={"query": {"deep": ["xyzzy"]}})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "forbidden")
    named.nothing_sent()


def test_requests_without_a_body_pass(named: Case) -> None:
    named.on(respond(200, json.dumps({"data": [{"owner": EMAIL}]}).encode()), at="b")
    answer = named.client().get("/v1/lists/l_1/items?limit=20&after=x%3A1")
    assert answer.json() == {"data": [{"owner": "[email]"}]}
    got = named.one("b")
    assert (got.method, got.target, got.body) == ("GET", "/other/v2/lists/l_1/items?limit=20&after=x%3A1", b"")
    assert got.header("content-type") is None
    keys(named)


def test_an_answer_without_a_body_passes(named: Case) -> None:
    named.on(raw(b"HTTP/1.1 204 No Content\r\n\r\n"), at="b")
    answer = named.client().delete("/v1/lists/l_1")
    assert (answer.status_code, answer.content) == (204, b"")
    assert named.one("b").method == "DELETE"


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/v1/lists/a?key=secret", 400, "unknown_parameter"),
        ("/v1/lists/a?limit=20&x=1", 400, "unknown_parameter"),
        ("/v1/lists/a?after=say%20xyzzy", 400, "forbidden"),
        ("/v1/lists/xyzzy", 400, "forbidden"),
        ("/v1/lists/a?after=jane.doe%40example.com", 400, "emails"),
    ],
)
def test_what_stands_in_the_path_is_looked_at(named: Case, target: str, status: int, code: str) -> None:
    answer = named.client().get(target)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    named.nothing_sent()


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (b"{", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"\xff", "", 415),
    ],
)
def test_what_is_no_json_is_refused(named: Case, body: bytes, media: str, status: int) -> None:
    answer = named.client().post(
        "/v1/rerank", content=body, headers={"content-type": media or "application/octet-stream"}
    )
    assert answer.status_code == status
    named.nothing_sent()


def test_an_answer_that_is_no_json_is_refused(named: Case) -> None:
    named.on(respond(200, b"mail " + EMAIL.encode(), [("content-type", "text/plain")]))
    answer = named.client().post("/v1/rerank", json=RERANK)
    assert answer.status_code == 502
    assert EMAIL not in answer.text


def test_without_a_provider_the_model_says_where(named: Case) -> None:
    named.on(respond(200, b'{"score": 1}'))
    named.client().post("/v1/score", json={"model": "alpha/one", "text": f"a {EMAIL}"})
    assert named.one().json() == {"model": "one", "text": "a [email]"}
    answer = named.client().post("/v1/score", json={"text": "no model"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_model")


def test_without_a_provider_the_next_backend_stands_in(named: Case) -> None:
    named.on(error(500))
    named.on(respond(200, b'{"score": 1}'), at="b")
    answer = named.client().post("/v1/score", json={"model": "pair-0", "text": EMAIL})
    assert (answer.status_code, answer.headers["x-llm-backend"]) == (200, "beta/two")
    assert (named.one("b").target, named.one("b").json()) == ("/other/v2/score", {"model": "two", "text": "[email]"})
    keys(named)


def test_another_place_at_the_provider(named: Case) -> None:
    named.client().post("/v1/elsewhere/a/b:c", json={"x": "y"})
    assert named.one("b").target == "/api/2/a/b:c"


@pytest.mark.parametrize(
    "media", ["application/octet-stream", "application/json", 'multipart/form-data; boundary="x y"']
)
def test_opaque_bytes_pass_as_they_are_and_are_marked(named: Case, media: str) -> None:
    named.on(respond(201, BINARY, [("content-type", "application/x-thing")]), at="b")
    answer = named.client().post(
        "/v1/files", content=BINARY, headers={"content-type": media, "x-secret": "s", "cookie": "c"}
    )
    assert (answer.status_code, answer.content) == (201, BINARY)
    got = named.one("b")
    assert got.body == BINARY
    assert got.header("content-type") == media
    assert got.header("x-secret") is None
    assert got.header("cookie") is None
    keys(named)
    assert answer.headers["x-llm-verdict"] == "allow, not-scanned"
    assert answer.headers["x-llm-policies"] == "none-barred"
    log = named.log()
    assert (log["operation"], log["unscanned"], log["format"]) == ("files", ["request", "answer"], "opaque")


def test_opaque_bodies_stay_compressed(named: Case) -> None:
    packed = gzip.compress(BINARY)
    named.on(gzipped(BINARY, media="text/event-stream"), at="b")
    headers = {"content-type": "application/x-thing", "content-encoding": "gzip"}
    answer = named.client().post("/v1/files", content=packed, headers=headers)
    assert answer.content == BINARY  # by the client
    assert answer.headers["content-encoding"] == "gzip"
    got = named.one("b")
    assert (got.body, got.header("content-encoding")) == (packed, "gzip")


def test_opaque_without_a_body(named: Case) -> None:
    named.on(respond(404, BINARY, [("content-type", "text/html")]), at="b")
    answer = named.client().get("/v1/files/file-1/content")
    assert (answer.status_code, answer.content) == (404, BINARY)
    assert answer.headers["x-llm-verdict"] == "allow, not-scanned"


def test_a_refusal_of_the_key_is_not_passed_on(named: Case) -> None:
    named.on(error(401, f"wrong key {KEYS['KEY_B']}"), at="b")
    answer = named.client().get("/v1/files/x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "provider_refused")


def test_policies_of_one_operation(named: Case) -> None:
    named.on(respond(200, b"{}"))
    assert named.client().post("/v1/rerank", json=RERANK).status_code == 200
    answer = named.client().post("/v1/strict", json=RERANK)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "plain-words")
    assert len(named.received()) == 1


def test_policies_that_need_no_text_hold_for_opaque_ones(named: Case) -> None:
    answer = named.client().post("/v1/barred", content=b"anything")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "none-barred")
    named.nothing_sent()


def test_the_clients_own_key_goes_to_its_provider(named: Case) -> None:
    named.on(respond(200, b"ok", [("content-type", "text/plain")]))
    assert named.client().post("/v1/own", content=b"x").content == b"ok"
    assert named.one().header("authorization") == f"Bearer {CLIENT_KEY}"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/rerank"),
        ("POST", "/v1/rerank/"),
        ("POST", "/v1/rerank/x"),
        ("POST", "/v1/Rerank"),
        ("PUT", "/v1/files"),
        ("GET", "/v1/files/../batches"),
        ("GET", "/v1/files/%2e%2e/batches"),
        ("GET", "/v1/files/..%2fbatches"),
        ("GET", "/v1/files/a%2Fb"),
        ("GET", "/v1/files/.hidden"),
        ("GET", "/v1/files/a;b"),
        ("GET", "/v1/files/"),
        ("GET", "/v1/organization/admin_api_keys"),
        ("POST", "/v1/batches"),
    ],
)
def test_all_else_is_not_there(named: Case, method: str, target: str) -> None:
    answer = named.raw(
        named.head("content-type: application/json", "content-length: 2", target=target, method=method) + b"{}"
    )
    assert answer.status == 404
    named.nothing_sent()


def test_providers_of_operations_are_no_models(named: Case) -> None:
    names = [each["id"] for each in named.client().get("/v1/models").json()["data"]]
    assert not [name for name in names if "provider" in name]
    assert named.post(model="provider:beta").status_code == 404
