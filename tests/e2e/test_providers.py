"""One provider that refuses, fails, lies or falls silent."""

from __future__ import annotations

import json
import time

import openai
import pytest

from tests.e2e.harness import KEYS, Case
from tests.e2e.upstream import DONE, OPENING, Gate, chunked, error, event, events, raw, respond, silent

A, B = f"Bearer {KEYS['KEY_A']}", f"Bearer {KEYS['KEY_B']}"


def reset_at_once() -> object:
    return raw(then="reset")


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
