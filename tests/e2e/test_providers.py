"""Providers that refuse, fail, lie or fall silent; failover between them; and whose key goes where."""

from __future__ import annotations

import gzip
import itertools
import json
import time

import openai
import pytest

from tests.e2e.harness import CLIENT_KEY, FAILOVERS, KEYS, Case, read_answer
from tests.e2e.upstream import (
    DONE,
    OPENING,
    Gate,
    Upstream,
    chunked,
    completion,
    error,
    event,
    events,
    gzipped,
    raw,
    respond,
    silent,
)  # fmt: skip

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


# one provider


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials(case: Case, status: int, stream: bool) -> None:
    case.on(error(status, f"Incorrect API key provided: {KEYS['KEY_A'][:12]}***"))
    answer = case.post(stream=stream)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == "provider_refused"
    assert "provided" not in answer.text
    assert KEYS["KEY_A"][:12] not in answer.text
    assert len(case.received()) == 1


def test_sdk_raises_authentication_error(tls_case: Case) -> None:
    tls_case.on(error(401))
    with pytest.raises(openai.AuthenticationError):
        tls_case.chat()


@pytest.mark.parametrize("stream", [False, True])
def test_rate_limited(case: Case, stream: bool) -> None:
    case.on(error(429, "slow down", [("retry-after", "7"), ("x-ratelimit-remaining-tokens", "0")]))
    with pytest.raises(openai.RateLimitError) as raised:
        case.chat(stream=stream)
    assert raised.value.response.headers["retry-after"] == "7"
    assert raised.value.response.headers["x-ratelimit-remaining-tokens"] == "0"
    assert raised.value.code == "provider_code"


@pytest.mark.parametrize("status", [400, 404, 422, 500, 502, 503])
def test_errors_pass_guarded(case: Case, status: int) -> None:
    case.on(error(status, "ask jane.doe@example.com"))
    answer = case.post()
    assert answer.status_code == status
    assert answer.json()["error"]["message"] == "ask [email]"
    assert len(case.received()) == 1
    assert case.log()["upstream_status"] == status


def test_an_error_that_holds_what_is_forbidden(plain_case: Case) -> None:
    plain_case.on(error(500, "xyzzy happened"))
    answer = plain_case.post()
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "forbidden")
    assert "xyzzy" not in answer.text


@pytest.mark.parametrize("stream", [False, True])
def test_nobody_listens(case: Case, stream: bool) -> None:
    answer = case.post(model="gone", stream=stream)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["code"] == "unavailable"
    case.nothing_sent()


def test_a_certificate_for_another_name(case: Case) -> None:
    answer = case.post(model="wrong-name")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    case.nothing_sent()


@pytest.mark.parametrize("stream", [False, True])
def test_tls_provider(case: Case, stream: bool) -> None:
    assert case.post("I am a@example.com", model="secure", stream=stream).status_code == 200
    received = case.one("tls_a")
    assert received.json() == case.body("I am [email]", model="secure", stream=stream)
    assert received.header("host") == f"localhost:{case.upstreams['tls_a'].port}"
    assert received.header("authorization") == A


@pytest.mark.parametrize("stream", [False, True])
def test_no_answer_in_time(case: Case, stream: bool) -> None:
    case.on(silent)
    begun = time.monotonic()
    answer = case.post(model="quick", stream=stream)
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "upstream_timeout"
    assert 0.25 < time.monotonic() - begun < 3
    assert case.one().ended.wait(2)


def test_sdk_sees_a_timeout_as_a_server_error(plain_case: Case) -> None:
    plain_case.on(silent)
    with pytest.raises(openai.InternalServerError) as raised:
        plain_case.chat(model="quick")
    assert raised.value.status_code == 504


def test_reset_before_the_answer(case: Case) -> None:
    case.on(reset_at_once())
    answer = case.post()
    assert answer.status_code in (502, 503)
    assert answer.json()["error"]["code"] in ("unavailable", "gateway_error")
    assert len(case.received()) == 1, "a request that may have been charged was sent again"


@pytest.mark.parametrize("then", ["reset", "close"])
def test_stream_dies_in_the_middle(case: Case, then: str) -> None:
    """A cut: what was decided may have left, what was held back has not."""
    case.on(chunked(200, [OPENING, event({"content": "Write to jane.doe@exam"})], then=then))
    body = json.dumps(case.body(stream=True)).encode()
    answer = case.raw(case.head("content-type: application/json", f"content-length: {len(body)}") + body)
    assert answer.cut or answer.status >= 500, answer.content
    assert b"jane" not in answer.content
    assert b"[DONE]" not in answer.content
    assert case.log()["end"] in ("cut", "error")


def test_whole_answer_dies_in_the_middle(case: Case) -> None:
    case.on(
        raw(
            b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"id": "jane',
            then="reset",
        )
    )
    body = json.dumps(case.body()).encode()
    answer = case.raw(case.head("content-type: application/json", f"content-length: {len(body)}") + body)
    assert answer.status in (0, 502, 503)
    assert b"jane" not in answer.content


def test_stream_falls_silent(case: Case) -> None:
    case.on(chunked(200, [OPENING, event({"content": "Write to jane.doe@exam"})], then="hang"))
    body = json.dumps(case.body(model="quick", stream=True)).encode()
    begun = time.monotonic()
    answer = case.raw(case.head("content-type: application/json", f"content-length: {len(body)}") + body)
    assert time.monotonic() - begun < 5
    assert answer.cut or answer.status >= 500 or b"error" in answer.content
    assert b"jane" not in answer.content
    assert case.one().ended.wait(2)


def test_stream_stalls_after_the_first_words(case: Case) -> None:
    """Seen, not wished for: Envoy's idle timer cuts the connection, so the client learns of it by the cut alone."""
    parts = [OPENING, event({"content": "Hello there. "}), event({"content": "jane.doe@exam"})]
    case.on(chunked(200, parts, then="hang"))
    body = json.dumps(case.body(model="quick", stream=True)).encode()
    answer = case.raw(case.head("content-type: application/json", f"content-length: {len(body)}") + body)
    assert (answer.status, answer.cut) == (200, True)
    assert answer.content == b"".join(parts[:2])
    assert case.one().ended.wait(2)
    assert case.log()["end"] == "cut"


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\njane.doe@example.com",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["garbage", "huge-header", "bad-chunk", "upgrade", "cl-te"],
)
def test_broken_http_of_a_provider(plain_case: Case, answer: bytes) -> None:
    plain_case.on(raw(answer, then="close"))
    got = plain_case.post(stream=True)
    assert got.status_code == 502
    assert got.headers["content-type"] == "application/json"
    assert set(got.json()) == {"error"}
    assert "jane" not in got.text


@pytest.mark.parametrize(
    ("status", "media"), [(201, "text/event-stream"), (200, "text/plain"), (200, "application/x-ndjson"), (200, "")]
)
def test_what_cannot_be_inspected_is_refused(plain_case: Case, status: int, media: str) -> None:
    plain_case.on(chunked(status, events("jane.doe@exam", "ple.com"), [("content-type", media)] if media else []))
    answer = plain_case.post(stream=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_malformed")
    assert "jane" not in answer.text


def test_media_type_in_other_letters(plain_case: Case) -> None:
    plain_case.on(chunked(200, events("jane.doe@exam", "ple.com"), [("content-type", "Text/Event-Stream ; x=y")]))
    answer = plain_case.post(stream=True)
    assert b"[email]" in answer.content
    assert b"jane" not in answer.content


def test_html_error_page(case: Case) -> None:
    case.on(respond(502, b"<html><h1>Bad Gateway at xyzzy</h1>", [("content-type", "text/html")]))
    answer = case.post()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_malformed")
    assert "xyzzy" not in answer.text


@pytest.mark.parametrize("stream", [False, True])
def test_html_for_an_answer(case: Case, stream: bool) -> None:
    case.on(respond(200, b"<html>captive portal</html>", [("content-type", "text/html")]))
    answer = case.post(stream=stream)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_malformed")
    assert "portal" not in answer.text


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect(case: Case, status: int) -> None:
    case.on(respond(status, b"", [("location", f"http://127.0.0.1:{case.upstreams['b'].port}/v1/chat/completions")]))
    answer = case.post()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_redirect")
    assert "location" not in answer.headers
    assert case.received("b") == []


@pytest.mark.parametrize(
    "body", [b'{"id": "chatcmpl-1", "choices": [{"mess', b"", b"null garbage", b'{"a": 1, "a": 2}', b'{"x": "\xff"}']
)
def test_cut_json(plain_case: Case, body: bytes) -> None:
    plain_case.on(respond(200, body))
    answer = plain_case.post()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_malformed")


def test_malformed_event_before_any_text(case: Case) -> None:
    case.on(chunked(200, [b"data: {nonsense\n\n", *events("later")]))
    answer = case.post(stream=True)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_malformed"


def test_malformed_event_in_the_middle(case: Case) -> None:
    gate = Gate()
    case.on(chunked(200, [OPENING, event({"content": "Hello there. "}), b"data: {nonsense\n\n", gate, DONE]))
    got = ""
    with pytest.raises(openai.APIError) as raised:  # noqa: PT012
        for each in case.chat(stream=True):
            got += each.choices[0].delta.content or ""
    assert got == "Hello there. "[: len(got)]
    assert "cannot be inspected" in str(raised.value)
    assert "nonsense" not in str(raised.value)
    assert case.one().ended.wait(5)
    gate.open()
    assert case.log()["error"] == "upstream_malformed"


def test_error_event_of_the_provider(case: Case) -> None:
    case.on(
        chunked(
            200,
            [
                OPENING,
                event({"content": "Hello. "}),
                b'data: {"error": {"message": "overloaded, jane.doe@example.com"}}\n\n',
            ],
        )
    )
    with pytest.raises(openai.APIError) as raised:
        list(case.chat(stream=True))
    assert "overloaded, [email]" in str(raised.value)


# encodings and framings of answers


@pytest.mark.parametrize("coding", ["gzip"])
def test_compressed_answer(case: Case, coding: str) -> None:
    case.on(gzipped(completion("Write to jane.doe@example.com")))
    answer = case.post()
    assert answer.content == completion("Write to [email]")
    assert "content-encoding" not in answer.headers
    assert "etag" not in answer.headers


def test_compressed_stream(case: Case) -> None:
    case.on(gzipped(b"".join(events("Write to jane.", "doe@example.com")), media="text/event-stream"))
    got = "".join(each.choices[0].delta.content or "" for each in case.chat(stream=True) if each.choices)
    assert got == "Write to [email]"


@pytest.mark.parametrize("stream", [False, True])
def test_truncated_compressed_answer(plain_case: Case, stream: bool) -> None:
    packed = gzip.compress(b"".join(events("hello there")) if stream else completion())[:-6]
    media = "text/event-stream" if stream else "application/json"
    plain_case.on(respond(200, packed, [("content-type", media), ("content-encoding", "gzip")]))
    answer = plain_case.post(stream=stream)
    assert b"upstream_malformed" in answer.content


def test_compressed_bomb(plain_case: Case) -> None:
    packed = gzip.compress(b'{"x": "' + b"x" * (50 << 20) + b'"}')
    plain_case.on(respond(200, packed, [("content-type", "application/json"), ("content-encoding", "gzip")]))
    answer = plain_case.post()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_too_large")


def test_answer_in_an_unknown_encoding(plain_case: Case) -> None:
    plain_case.on(respond(200, b"whatever", [("content-type", "application/json"), ("content-encoding", "br")]))
    answer = plain_case.post()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_encoding")


def test_a_large_whole_answer_is_refused(plain_case: Case) -> None:
    plain_case.on(respond(200, completion("x" * (1 << 20))))
    answer = plain_case.post()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_too_large")


def test_a_large_stream_passes(plain_case: Case) -> None:
    sent = events(*(["word " * 200] * 3000))
    plain_case.on(chunked(200, sent))
    answer = plain_case.post(stream=True)
    assert answer.content == b"".join(sent)
    assert len(answer.content) > 3 << 20


@pytest.mark.parametrize("stream", [False, True])
def test_answer_trailers_are_dropped(case: Case, stream: bool) -> None:
    body = events("Hello") if stream else [completion("Hello")]
    media = "text/event-stream" if stream else "application/json"
    case.on(chunked(200, body, [("content-type", media)], trailers=[("x-secret", "jane.doe@example.com")]))
    request = json.dumps(case.body(stream=stream)).encode()
    with case.connect() as sock:
        sock.sendall(case.head("content-type: application/json", f"content-length: {len(request)}", "te: trailers",
                               "connection: close") + request)  # fmt: skip
        got = b""
        while piece := sock.recv(65536):
            got += piece
    assert b"Hello" in got
    assert got.endswith(b"0\r\n\r\n")
    assert b"secret" not in got
    assert b"jane" not in got
    assert case.log()["end"] == "complete"


def test_answer_until_close(plain_case: Case) -> None:
    plain_case.on(
        raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n",
            completion(),
            then="close",
        )
    )
    assert plain_case.post().content == completion()


def test_204_and_empty_answers(plain_case: Case) -> None:
    plain_case.on(raw(b"HTTP/1.1 204 No Content\r\n\r\n"))
    answer = plain_case.post()
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_malformed"


def test_empty_stream(plain_case: Case) -> None:
    plain_case.on(chunked(200, []))
    answer = plain_case.post(stream=True)
    assert (answer.status_code, answer.content) == (200, b"")


# failover


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


# models and keys


@pytest.mark.parametrize(
    ("asked", "sent"), [("gpt-4o", "gpt-4o"), ("gpt-", "gpt-"), ("named", "real-name"), ("alpha/llama-3", "llama-3")]
)
def test_model_names(plain_case: Case, asked: str, sent: str) -> None:
    assert plain_case.post(model=asked).status_code == 200
    assert plain_case.one().json() == plain_case.body(model=sent)


def test_the_clients_key_stays_here(case: Case) -> None:
    keys = {
        "api-key": CLIENT_KEY,
        "x-api-key": CLIENT_KEY,
        "x-goog-api-key": CLIENT_KEY,
        "proxy-authorization": f"Bearer {CLIENT_KEY}",
    }
    assert case.post(headers=keys, params={"key": CLIENT_KEY}).status_code == 200
    received = case.one()
    assert received.header("authorization") == A
    assert CLIENT_KEY not in repr(received)


def test_the_clients_key_goes_through_where_configured(case: Case) -> None:
    assert case.post(model="mine", headers={"x-api-key": "other-key"}).status_code == 200
    received = case.one()
    assert received.header("authorization") == f"Bearer {CLIENT_KEY}"
    assert received.header("x-api-key") is None
    assert KEYS["KEY_A"] not in repr(received)


def test_a_clients_own_key_that_is_refused(case: Case) -> None:
    """It is the client's key: the provider's text is for the client."""
    case.on(error(401, "your key is wrong"))
    answer = case.post(model="mine")
    assert (answer.status_code, answer.json()["error"]["message"]) == (401, "your key is wrong")


def test_keys_in_turn(plain_case: Case) -> None:
    for _ in range(4):
        plain_case.post(model="turns")
    found = [each.header("authorization") for each in plain_case.received()]
    assert sorted(found) == sorted([A, f"Bearer {KEYS['KEY_C']}"] * 2)
    assert found[0] != found[1]


def test_no_key(case: Case) -> None:
    assert case.post(model="nokey").status_code == 200
    assert case.one().header("authorization") is None


@pytest.mark.parametrize("model", ["gpt-4o", "mine"])
def test_two_authorization_headers(case: Case, model: str) -> None:
    body = json.dumps(case.body(model=model)).encode()
    answer = case.raw(case.head("content-type: application/json", f"content-length: {len(body)}",
                                "authorization: Bearer one", "Authorization: Bearer two") + body)  # fmt: skip
    assert (answer.status, answer.json()["error"]["code"]) == (400, "bad_credentials")
    case.nothing_sent()


def test_keepalive_connections_keep_keys_apart(plain_case: Case) -> None:
    """One connection to a provider, used for two kinds of credentials in turn."""
    for model in ("gpt-4o", "mine", "nokey", "gpt-4o", "mine"):
        plain_case.post(model=model)
    found = [each.header("authorization") for each in plain_case.received()]
    assert found == [A, f"Bearer {CLIENT_KEY}", None, A, f"Bearer {CLIENT_KEY}"]


def test_client_answers_in_turn(plain_case: Case, upstreams: dict[str, Upstream]) -> None:
    client = plain_case.client()
    sent = plain_case.body()
    answers = [client.post("/v1/chat/completions", json=sent) for _ in range(5)]
    assert [each.status_code for each in answers] == [200] * 5
    assert {each.read() for each in answers} == {completion()}
    client.post(
        "/v1/chat/completions", content=iter([json.dumps(sent).encode()]), headers={"content-type": "application/json"}
    )
    assert plain_case.received()[-1].json() == sent
    with plain_case.connect() as sock:
        body = json.dumps(sent).encode()
        for _ in range(3):
            sock.sendall(plain_case.head("content-type: application/json", f"content-length: {len(body)}") + body)
            assert read_answer(sock).content == completion()
