"""Header hygiene both ways, request ids, our own response headers, the log, and what must never be in it."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.harness import CLIENT_KEY, KEYS, Case, eventually
from tests.e2e.upstream import DONE, OPENING, Gate, chunked, completion, error, event, events, respond

HOSTILE = {
    "x-llm-backend": "beta", "x-llm-route": "0-alpha", "x-llm-attempts": "99", "x-llm-filter": "upstream",
    "x-llm-policies": "none",
    "x-llm-generation": "77", "x-envoy-upstream-rq-timeout-ms": "1", "x-envoy-upstream-rq-per-try-timeout-ms": "1",
    "x-envoy-retry-on": "5xx", "x-envoy-max-retries": "5", "x-envoy-original-path": "/admin", "x-envoy-force-trace": "1",
    "x-envoy-decorator-operation": "x", "x-envoy-external-address": "9.9.9.9", "x-envoy-internal": "true",
    "x-forwarded-for": "9.9.9.9", "x-forwarded-host": "evil", "x-forwarded-proto": "https", "x-forwarded-port": "1",
    "x-forwarded-client-cert": "x", "forwarded": "for=9.9.9.9", "via": "1.1 x", "x-real-ip": "9.9.9.9",
    "cf-connecting-ip": "9.9.9.9",
    "true-client-ip": "9.9.9.9", "cookie": "session=1", "origin": "https://x.example", "referer": "https://x.example/secret",
    "x-stainless-os": "Linux", "x-stainless-lang": "python", "user-agent": "curl/8 secret", "accept-language": "de",
    "sec-fetch-mode": "cors", "dnt": "1", "openai-organization": "org-secret", "x-whatever": "secret",
    "accept-encoding": "gzip, br",
    "x-http-method-override": "DELETE", "host": "evil.example", "baggage": "user=secret", "x-b3-traceid": "1",
    "range": "bytes=0-1",
    "if-none-match": "x", "x-rewrite-url": "/admin", "x-original-url": "/admin", "te": "trailers", "x-extra": "1",
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_client_says_stays_here(case: Case, stream: bool) -> None:
    """The fake itself refuses every header that is not on its list; nothing of what is said here is believed either."""
    case.on(error(500))
    answer = case.post(headers=HOSTILE, stream=stream)
    assert answer.status_code == 500, "the client's x-envoy-* headers were believed"
    received = case.one()
    assert received.header("user-agent") == "llm-extproc"
    assert received.header("host") == f"127.0.0.1:{case.upstreams['a'].port}"
    assert not [value for name, value in received.headers if "secret" in value or "9.9.9.9" in value]
    assert answer.headers["x-llm-backend"] == "alpha"
    assert answer.headers["x-llm-attempts"] == "1"
    assert answer.headers["x-llm-generation"] == "1"
    assert answer.headers["x-llm-verdict"] == "allow"


def test_what_a_client_says_on_a_failed_exchange(case: Case) -> None:
    """Headers that were never removed by a decision do not change how Envoy fails either."""
    begun = time.monotonic()
    answer = case.post(headers=HOSTILE, model="gone")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert time.monotonic() - begun < 3


def test_headers_that_help_a_provider_pass(case: Case) -> None:
    sent = {"idempotency-key": "i-1", "openai-beta": "x=v2", "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01",
            "x-client-request-id": "c-1", "accept": "application/json"}  # fmt: skip
    assert case.post(headers=sent).status_code == 200
    received = case.one()
    assert {name: received.header(name) for name in sent} == sent


def test_connection_options_do_not_remove_what_matters(case: Case) -> None:
    body = json.dumps(case.body("I am a@example.com")).encode()
    answer = case.raw(case.head("content-type: application/json", f"content-length: {len(body)}",
                                "connection: keep-alive, x-request-id, authorization, content-length") + body)  # fmt: skip
    assert answer.status in (200, 400)
    if answer.status == 200:
        reached = [each for each in case.upstreams["a"].requests if b"I am [email]" in each.body]
        assert reached


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_provider_says_stays_there(case: Case, stream: bool) -> None:
    media = "text/event-stream" if stream else "application/json"
    said = [("content-type", media), ("set-cookie", "__cf_bm=1"), ("server", "cloudflare"), ("via", "1.1 x"), ("cf-ray", "1"),
            ("x-llm-backend", "evil"), ("x-llm-overhead-ms", "0"), ("x-envoy-upstream-service-time", "5"), ("alt-svc", "h3"),
            ("openai-organization", "org-secret"), ("access-control-allow-origin", "*"), ("etag", '"1"'), ("x-llm-other", "1"),
            ("strict-transport-security", "max-age=1"), ("openai-processing-ms", "5"), ("x-ratelimit-limit-tokens", "9"),
            ("digest", "x")]  # fmt: skip
    case.on(chunked(200, events("Hello") if stream else [completion()], said))
    answer = case.post(stream=stream)
    assert answer.status_code == 200
    names = set(answer.headers)
    gone = {name for name, _ in said} - {
        "content-type",
        "openai-processing-ms",
        "x-ratelimit-limit-tokens",
        "x-llm-backend",
        "x-llm-overhead-ms",
    }
    assert not names & gone
    assert answer.headers["x-llm-backend"] == "alpha"
    assert (answer.headers["openai-processing-ms"], answer.headers["x-ratelimit-limit-tokens"]) == ("5", "9")
    assert not [name for name in names if name.startswith("x-envoy")]


# ids and our own headers


OWN = {
    "x-llm-request-id", "x-llm-backend", "x-llm-attempts", "x-llm-policies", "x-llm-overhead-ms", "x-llm-generation",
    "x-llm-verdict",
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
def test_own_headers(case: Case, stream: bool) -> None:
    answer = case.post(stream=stream)
    assert {name for name in answer.headers if name.startswith("x-llm-")} == OWN
    assert answer.headers["x-llm-request-id"] == case.id
    assert answer.headers["x-llm-backend"] == "alpha"
    assert answer.headers["x-llm-policies"] == "emails,forbidden,joke,watched;audit,would-block;audit"
    assert 0 < float(answer.headers["x-llm-overhead-ms"]) < 1000
    assert answer.headers["x-llm-generation"] == "1"


@pytest.mark.parametrize(("text", "verdict"), [("xyzzy", "block"), ("tell me a joke", "reply")])
def test_own_headers_where_no_provider_was_asked(case: Case, text: str, verdict: str) -> None:
    answer = case.post(text)
    assert answer.headers["x-llm-verdict"] == verdict
    assert {name for name in answer.headers if name.startswith("x-llm-")} == OWN - {"x-llm-backend", "x-llm-attempts"}
    assert answer.headers["x-llm-request-id"] == case.id


def test_our_request_id_goes_first(case: Case) -> None:
    answer = case.post(headers={"x-llm-request-id": f"{case.id}-own"})
    assert answer.headers["x-llm-request-id"] == f"{case.id}-own"
    assert case.upstreams["a"].of(f"{case.id}-own")
    assert case.gateway.exchange(f"{case.id}-own")["status"] == 200


def test_a_missing_request_id_is_made(case: Case) -> None:
    with case.client() as client:
        del client.headers["x-request-id"]
        answer = client.post("/v1/chat/completions", json=case.body())
    made = answer.headers["x-llm-request-id"]
    assert str(uuid.UUID(made)) == made
    assert len(case.upstreams["a"].of(made)) == 1
    assert case.gateway.exchange(made)["status"] == 200


@pytest.mark.parametrize("bad", ["a b", "x" * 129, "{}", "a,b", "é", "<script>"])
def test_a_bad_request_id_is_replaced(plain_case: Case, bad: str) -> None:
    body = json.dumps(plain_case.body("xyzzy")).encode()
    head = plain_case.head("content-type: application/json", f"content-length: {len(body)}").replace(
        plain_case.id.encode(), bad.encode("latin-1")
    )
    answer = plain_case.raw(head + body)
    assert answer.status == 400
    assert str(uuid.UUID(answer.headers["x-llm-request-id"]))


def test_a_refusal_returns_the_request_id(case: Case) -> None:
    answer = case.client().get("/nothing")
    assert answer.headers["x-request-id"] == answer.headers["x-llm-request-id"] == case.id


# the log


TOKENS = {"input": 11, "output": 7, "cached": 3, "reasoning": 0, "cache_write": 0}


@pytest.mark.parametrize("stream", [False, True])
def test_tokens_are_counted(case: Case, stream: bool) -> None:
    case.post(stream=stream)
    line = case.log()
    assert line["tokens"] == TOKENS
    assert (line["stream"], line["model"], line["group"], line["operation"]) == (stream, "gpt-4o", "gpt-*", "chat")
    assert (line["end"], line["status"], line["upstream_status"], line["attempts"]) == ("complete", 200, 200, 1)
    assert line["latency_ms"] >= line["first_byte_ms"] > 0
    assert line["latency_ms"] > line["overhead_ms"] > 0


@pytest.mark.parametrize("stream", [False, True])
def test_tokens_are_counted_without_policies(free_case: Case, stream: bool) -> None:
    free_case.post(stream=stream)
    assert free_case.log()["tokens"] == TOKENS


def test_no_usage_is_no_tokens(plain_case: Case) -> None:
    plain_case.on(chunked(200, events("Hello", usage=False)))
    plain_case.post(stream=True)
    assert plain_case.log()["tokens"] is None


def test_access_log(case: Case) -> None:
    case.post(params={"key": "query-MARKERQUERY"})
    line = case.gateway.access(case.id)
    assert (line["status"], line["method"], line["path"]) == (200, "POST", "/v1/chat/completions")
    assert (line["attempts"], line["details"], line["event"]) == (1, "via_upstream", "access")


def test_access_log_of_a_block(tls_case: Case) -> None:
    tls_case.post("xyzzy")
    line = tls_case.gateway.access(tls_case.id)
    assert (line["status"], line["details"]) == (400, "llm_blocked")


def test_nothing_secret_is_ever_written(case: Case, unguarded: object) -> None:
    """Plants markers in every place a secret can be, lets every kind of end happen, and reads everything written."""
    prompt, words = "MARKERPROMPT jane.doe@example.com", "MARKERANSWER john@example.org"
    case.on(respond(200, completion(words)))
    case.post(prompt, params={"key": "MARKERQUERY"})
    case.post(prompt + " xyzzy", headers={"cookie": "MARKERCOOKIE"})
    case.post(prompt, model="gone", params={"key": "MARKERQUERY"})
    case.post(content=b'{"MARKERPROMPT')
    case.post(content=b'{"model": "gpt-4o", "MARKERPROMPT": 1, "MARKERPROMPT": 2}')
    case.post(path="/v1/MARKERQUERY?key=MARKERQUERY".replace("/v1/MARKERQUERY", "/v1/nothing"))
    for behaviour in (
        chunked(200, events("MARKERANSWER jane.", "doe@example.com ", "xyzzy MARKERANSWER", "!")),
        chunked(200, [OPENING, event({"content": "MARKERANSWER "}), b"data: {MARKERANSWER\n\n"]),
        respond(200, b'{"MARKERANSWER'),
        respond(200, b"<p>MARKERANSWER", [("content-type", "text/html")]),
        error(401, f"MARKERANSWER {KEYS['KEY_A']}"),
        error(500, "MARKERANSWER xyzzy"),
        chunked(200, [OPENING, event({"content": "MARKERANSWER "})], then="reset"),
    ):
        case.upstreams["a"].on(case.id + "-x", behaviour)
        request = json.dumps(case.body(prompt, stream=True)).encode()
        head = case.head("content-type: application/json", f"content-length: {len(request)}",
                         f"authorization: Bearer {CLIENT_KEY}",
                         f"x-llm-request-id: {case.id}-x", target="/v1/chat/completions?api_key=MARKERQUERY")  # fmt: skip
        case.raw(head + request)
    case.client().get("/v1/models", headers={"x-request-id": f"{case.id}-last"})
    case.gateway.access(f"{case.id}-last")
    written = case.gateway.everything()
    assert case.id in written
    for secret in ("MARKER", "jane.doe", "john@example", "xyzzy", "MARKERCOOKIE"):
        assert secret not in written, [line for line in written.splitlines() if secret in line][:3]


# ends


def test_client_leaves_in_the_middle(case: Case) -> None:
    gate = Gate()
    case.on(chunked(200, [OPENING, event({"content": "Hello there, you "}), gate, DONE]))
    with case.client().stream("POST", "/v1/chat/completions", json=case.body(stream=True)) as answer:
        assert next(answer.iter_bytes())
    assert case.one().ended.wait(5)
    gate.open()
    line = case.log()
    assert (line["end"], line["upstream_status"]) == ("cut", 200)


def test_http2_client_leaves_in_the_middle(tls_case: Case) -> None:
    gate = Gate()
    tls_case.on(chunked(200, [OPENING, event({"content": "Hello there, you "}), gate, DONE]))
    client = tls_case.client(http2=True)
    with client.stream("POST", "/v1/chat/completions", json=tls_case.body(stream=True)) as answer:
        assert next(answer.iter_bytes())
        client.close()  # httpx does not reset the stream
    assert tls_case.one().ended.wait(5)
    gate.open()
    assert tls_case.log()["end"] == "cut"


def test_client_leaves_before_the_answer(case: Case) -> None:
    gate = Gate()

    async def wait(wire: object) -> None:
        await gate.wait()

    case.on(wait)
    body = json.dumps(case.body()).encode()
    with case.connect() as sock:
        sock.sendall(case.head("content-type: application/json", f"content-length: {len(body)}") + body)
        assert gate.reached.wait(5)
    assert case.one().ended.wait(5)
    gate.open()
    assert case.log()["end"] == "cut"


def test_client_leaves_in_its_request(plain_case: Case) -> None:
    with plain_case.connect() as sock:
        sock.sendall(plain_case.head("content-type: application/json", "content-length: 1000") + b'{"model": ')
        eventually(lambda: plain_case.gateway.stat("cluster.extproc.upstream_rq_active"))
        sock.shutdown(socket.SHUT_RDWR)
    assert plain_case.log()["end"] == "cut"
    plain_case.nothing_sent()


def test_slow_client_gets_everything(plain_case: Case) -> None:
    """Back-pressure, not loss: the client reads nothing until all was sent or the way is full."""
    sent = events(*(["word " * 400] * 2000))
    plain_case.on(chunked(200, sent))
    body = json.dumps(plain_case.body(stream=True)).encode()
    with plain_case.connect() as sock:
        sock.sendall(
            plain_case.head("content-type: application/json", f"content-length: {len(body)}", "connection: close")
            + body
        )
        eventually(lambda: plain_case.received() and plain_case.received()[0].sent > 1 << 20)
        got = b""
        while piece := sock.recv(1 << 20):
            got += piece
    assert got.count(b"data: ") == len(sent)


def test_twenty_streams_at_once(case: Case) -> None:
    """Each its own marker and its own address to redact; nothing of one is ever in another."""
    gates = [Gate() for _ in range(20)]
    ready = threading.Barrier(20, timeout=15)

    def one(number: int) -> str:
        mine = Case(case.gateway, case.upstreams, tls=case.tls)
        texts = [
            f"marker-{number} is jane.",
            f"doe{number}@exam",
            "ple.com and ",
            *(f"word{number} " for _ in range(20)),
            f"end-{number}",
        ]
        mine.on(chunked(200, [OPENING, gates[number], *events(*texts)[1:]]))
        try:
            ready.wait()
            threading.Timer(0.2, gates[number].open).start()
            answer = mine.post(f"I am a{number}@example.com, marker-{number}", stream=True)
            assert mine.one().json()["messages"][0]["content"] == f"I am [email], marker-{number}"
            assert mine.log()["end"] == "complete"
            found = [json.loads(line[6:]) for line in answer.content.splitlines() if line.startswith(b"data: {")]
            return "".join(each["choices"][0]["delta"].get("content") or "" for each in found if each["choices"])
        finally:
            mine.close()

    with ThreadPoolExecutor(20) as pool:
        got = list(pool.map(one, range(20)))
    assert got == [f"marker-{n} is [email] and {f'word{n} ' * 20}end-{n}" for n in range(20)]
