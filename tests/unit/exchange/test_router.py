"""The router exchange as transcripts: events in, effects out."""

import itertools
import os

import orjson
import pytest

from extproc import events
from extproc.errors import ProtocolError
from extproc.exchange.forward import DECISION
from extproc.exchange.headers import REROUTE
from extproc.exchange.router import RouterExchange
from extproc.exchange.state import State
from tests.unit.exchange.support import answer_headers, chat, chat_headers, headers_of, runtime, sse

EMAIL = "jane@example.com"
BLOCKED = "forbidden phrase"


def test_request_passes_unchanged_with_its_decision():
    exchange = RouterExchange(runtime())
    group = runtime().group("gpt-x")
    assert exchange.receive(chat_headers()) == [events.ContinueRequest()]
    body = chat("hello")
    (effect,) = exchange.receive(events.RequestBody(body, True))
    assert effect.body is None
    assert effect.mutation.reroute
    assert effect.mutation.metadata[DECISION] == {"group": group.slug}  # it has one backend: nobody reads more
    assert (REROUTE, group.slug) in effect.mutation.set


def test_request_is_redacted_with_its_new_length():
    exchange = RouterExchange(runtime())
    exchange.receive(chat_headers())
    (effect,) = exchange.receive(events.RequestBody(chat(f"I am {EMAIL}"), True))
    assert effect.body == chat("I am [email]")
    assert ("content-length", str(len(effect.body))) in effect.mutation.set


def test_unknown_headers_and_credentials_do_not_leave():
    exchange = RouterExchange(runtime())
    exchange.receive(
        chat_headers(**{"x-stainless-os": "Linux", "authorization": "Bearer c", "cookie": "a=b", "x-llm-backend": "z"})
    )
    (effect,) = exchange.receive(events.RequestBody(chat("hi"), True))
    assert {"x-stainless-os", "cookie", "x-llm-backend"} <= set(effect.mutation.remove)
    assert headers_of(effect)["authorization"] == "Bearer sk-main"  # of the one backend; the client's is overwritten
    assert not set(headers_of(effect)) & set(effect.mutation.remove)
    assert not {":path", ":method", "content-type", "x-forwarded-proto"} & set(effect.mutation.remove)


def test_several_backends_are_left_to_the_upstream_filter():
    exchange = RouterExchange(runtime())
    exchange.receive(chat_headers(authorization="Bearer c"))
    (effect,) = exchange.receive(events.RequestBody(chat("hi", model="smart"), True))
    assert "authorization" in effect.mutation.remove
    assert not {":path", ":authority", "authorization"} & set(headers_of(effect))


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({":method": "POST", ":path": "/v1/files"}, 404, "unknown_operation"),
        ({":method": "GET", ":path": "/v1/chat/completions"}, 404, "unknown_operation"),
        ({":method": "POST", ":path": "/v1/chat/completions/"}, 404, "unknown_operation"),
        ({":method": "POST", ":path": "/v1/CHAT/completions"}, 404, "unknown_operation"),
        ({":method": "CONNECT"}, 405, "method_not_allowed"),
        ({":method": "BREW", ":path": "/v1/chat/completions"}, 405, "method_not_allowed"),
        ({"upgrade": "websocket"}, 405, "method_not_allowed"),
        ({"authorization": "Bearer a,Bearer b"}, 400, "bad_credentials"),
        ({"content-type": "text/plain"}, 415, "unsupported_media_type"),
        ({"content-type": "application/json; charset=utf-16"}, 415, "unsupported_media_type"),
        ({"content-encoding": "br"}, 415, "unsupported_encoding"),
        ({"content-encoding": "gzip, gzip"}, 415, "unsupported_encoding"),
    ],
)
def test_refused_at_the_headers(headers, status, code):
    exchange = RouterExchange(runtime())
    (effect,) = exchange.receive(chat_headers(**headers))
    assert (effect.status, effect.details) == (status, f"llm_{code}")
    assert orjson.loads(effect.body)["error"]["code"] == code
    assert headers_of(effect)["x-should-retry"] == "false"
    assert exchange.answered


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b"[]", 400, "invalid_json"),
        (b'{"model":"a","model":"b","messages":[]}', 400, "invalid_json"),
        (b'{"messages":[]}', 400, "invalid_model"),
        (b'{"model":5}', 400, "invalid_model"),
    ],
)
def test_refused_bodies_speak_the_clients_format(body, status, code):
    exchange = RouterExchange(runtime())
    exchange.receive(chat_headers())
    (effect,) = exchange.receive(events.RequestBody(body, True))
    assert (effect.status, orjson.loads(effect.body)["error"]["code"]) == (status, code)


def test_headers_without_a_body_are_refused():
    (effect,) = RouterExchange(runtime()).receive(chat_headers(end=True))
    assert orjson.loads(effect.body)["error"]["code"] == "empty_body"


def test_trailers_in_place_of_the_body_are_refused():
    exchange = RouterExchange(runtime())
    exchange.receive(chat_headers())
    (effect,) = exchange.receive(events.RequestTrailers(("x",)))
    assert orjson.loads(effect.body)["error"]["code"] == "empty_body"


def test_request_trailers_never_go_on():
    exchange = RouterExchange(runtime())
    exchange.receive(chat_headers())
    exchange.receive(events.RequestBody(chat("hi"), False))
    assert exchange.receive(events.RequestTrailers(("x-a", "x-b"))) == [events.DropTrailers(True, ("x-a", "x-b"))]


def test_blocked_request_names_the_policy_and_not_the_text():
    exchange = RouterExchange(runtime())
    exchange.receive(chat_headers())
    (effect,) = exchange.receive(events.RequestBody(chat(f"a {BLOCKED} b"), True))
    error = orjson.loads(effect.body)["error"]
    assert (effect.status, error["type"], error["code"]) == (400, "policy_violation", "words")
    assert BLOCKED.encode() not in effect.body
    record = exchange.finish()
    assert (record.end, record.outcome, record.error) == ("blocked", "block", "words")


@pytest.mark.parametrize("stream", [False, True])
def test_reply_answers_in_the_models_place(stream):
    exchange = RouterExchange(runtime(), now=lambda: 1700000000)
    exchange.receive(chat_headers())
    (effect,) = exchange.receive(events.RequestBody(chat("what is the magic word", stream=stream), True))
    assert effect.status == 200
    if stream:
        assert effect.body.endswith(b"data: [DONE]\n\n")
        assert b'"content":"please"' in effect.body
    else:
        assert orjson.loads(effect.body)["choices"][0]["message"]["content"] == "please"


def test_models_are_listed_without_globs():
    exchange = RouterExchange(runtime())
    (effect,) = exchange.receive(chat_headers(end=True, **{":method": "GET", ":path": "/v1/models"}))
    assert [each["id"] for each in orjson.loads(effect.body)["data"]] == ["smart"]


def test_azure_path_names_the_model():
    exchange = RouterExchange(runtime())
    exchange.receive(chat_headers(**{":path": "/openai/deployments/smart/chat/completions?api-version=2024-10-21"}))
    (effect,) = exchange.receive(events.RequestBody(b'{"messages":[]}', True))
    assert orjson.loads(effect.body) == {"model": "smart", "messages": []}
    assert effect.mutation.metadata[DECISION]["group"] == "smart-b2684d9a"


def sent(**options):
    exchange = RouterExchange(runtime())
    exchange.receive(chat_headers())
    exchange.receive(events.RequestBody(chat("hi", **options), True))
    return exchange


NOTHING = {"llm.extproc.verdicts": {"request": "allow", "outcome": "allow"}}
REDACTED = {"llm.extproc.verdicts": {"request": "allow", "outcome": "redact", "policies": {"pii:redact": 1}}}


def test_whole_answer_is_held_until_it_is_known_and_redacted():
    exchange = sent()
    assert exchange.receive(answer_headers()) == []
    body = orjson.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": f"ask {EMAIL}"}}]})
    assert exchange.receive(events.ResponseBody(body[:20], False)) == []
    headers, rest = exchange.receive(events.ResponseBody(body[20:], True))
    assert rest == events.Send(body.replace(EMAIL.encode(), b"[email]"), True, REDACTED)
    assert headers_of(headers)["x-llm-backend"] == "main"
    assert exchange.finish().end == "complete"


def test_whole_answer_blocked_is_an_error_response():
    exchange = sent()
    exchange.receive(answer_headers())
    body = orjson.dumps({"choices": [{"message": {"content": BLOCKED}}]})
    (effect,) = exchange.receive(events.ResponseBody(body, True))
    assert (effect.status, orjson.loads(effect.body)["error"]["type"]) == (400, "policy_violation")


def test_answer_ending_in_trailers():
    exchange = sent()
    exchange.receive(answer_headers())
    assert exchange.receive(events.ResponseBody(b'{"id":"x"}', False)) == []
    headers, body, trailers = exchange.receive(events.ResponseTrailers(("grpc-status",)))
    assert isinstance(headers, events.ContinueResponse)
    assert body == events.Send(b'{"id":"x"}', False, NOTHING)
    assert trailers == events.DropTrailers(False, ("grpc-status",))


def test_stream_leaves_byte_for_byte_and_headers_with_the_first_text():
    exchange = sent(stream=True)
    exchange.receive(answer_headers("text/event-stream; charset=utf-8"))
    opening, text, done = (
        sse({"role": "assistant", "content": ""}),
        sse({"content": "hello there. "}),
        b"data: [DONE]\n\n",
    )
    assert exchange.receive(events.ResponseBody(opening, False)) == []
    headers, first = exchange.receive(events.ResponseBody(text, False))
    assert isinstance(headers, events.ContinueResponse)
    assert first == events.Send(opening + text, False)
    assert exchange.receive(events.ResponseBody(done, False)) == [events.Send(done, False)]
    assert exchange.receive(events.ResponseBody(b"", True)) == [events.Send(b"", True, NOTHING)]


def test_block_before_the_first_text_is_a_proper_status():
    exchange = sent(stream=True)
    exchange.receive(answer_headers("text/event-stream"))
    exchange.receive(events.ResponseBody(sse({"role": "assistant", "content": ""}), False))
    (effect,) = exchange.receive(events.ResponseBody(sse({"content": f"{BLOCKED}."}), False))
    assert isinstance(effect, events.Respond)
    assert effect.status == 400


def test_block_in_the_middle_ends_the_stream_with_an_error_event():
    exchange = sent(stream=True)
    exchange.receive(answer_headers("text/event-stream"))
    exchange.receive(events.ResponseBody(sse({"content": "well, "}), False))
    (effect,) = exchange.receive(events.ResponseBody(sse({"content": f"{BLOCKED}."}), False))
    assert effect.end
    assert b"policy_violation" in effect.body
    assert b"forbidden phrase" not in effect.body
    assert exchange.receive(events.ResponseBody(b"more", False)) == []
    record = exchange.finish()
    assert (record.end, record.outcome, record.status) == ("blocked", "block", 200)


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_blocked_stream_says_the_same_however_it_is_cut(cut):
    raw = (
        sse({"role": "assistant", "content": ""}) + sse({"content": "well, for"}) + sse({"content": "bidden phrase. x"})
    )
    whole = sent(stream=True)
    pieces = sent(stream=True)
    for exchange in (whole, pieces):
        exchange.receive(answer_headers("text/event-stream"))
    expected = whole.receive(events.ResponseBody(raw, False))
    found = []
    for part in (
        itertools.batched(raw, cut)
        if hasattr(itertools, "batched")
        else [raw[i : i + cut] for i in range(0, len(raw), cut)]
    ):
        found += pieces.receive(events.ResponseBody(bytes(part), False))
    body = b"".join(each.body for each in found if isinstance(each, events.Send))
    assert body == b"".join(each.body for each in expected if isinstance(each, events.Send))
    assert body.startswith(sse({"role": "assistant", "content": ""}) + sse({"content": "well, "}))


@pytest.mark.parametrize(
    ("status", "details", "told", "code"),
    [
        (503, "no_healthy_upstream", 503, "unavailable"),
        (504, "upstream_per_try_idle_timeout", 504, "upstream_timeout"),
        (413, "request_payload_too_large", 413, "too_large"),
        (502, "anything", 502, "gateway_error"),
    ],
)
def test_envoys_local_replies_speak_the_clients_format(status, details, told, code):
    exchange = sent()
    (effect,) = exchange.receive(answer_headers("text/plain", status=status, details=details))
    assert (effect.status, orjson.loads(effect.body)["error"]["code"]) == (told, code)


def test_a_413_may_come_while_the_body_is_awaited_and_as_the_first_message():
    waiting = RouterExchange(runtime())
    waiting.receive(chat_headers())
    for exchange in (waiting, RouterExchange(runtime())):
        (effect,) = exchange.receive(answer_headers("text/plain", status=413, details="request_payload_too_large"))
        assert effect.status == 413


def test_an_answer_to_a_request_nobody_decided_about_is_refused():
    (effect,) = RouterExchange(runtime()).receive(answer_headers())
    assert (effect.status, effect.details) == (502, "llm_undecided")


@pytest.mark.parametrize("status", [401, 403])
def test_the_providers_refusal_of_our_key_is_not_quoted(status):
    exchange = sent()
    (effect,) = exchange.receive(answer_headers(status=status))
    assert effect.status == status
    assert orjson.loads(effect.body)["error"]["code"] == "provider_refused"


@pytest.mark.parametrize(
    ("content_type", "status", "body", "told"),
    [
        ("text/html", 200, b"<html>", 502),
        ("text/html", 503, b"<html>", 503),
        ("application/json", 200, b'{"cut":', 502),
        ("application/json", 200, b"", 502),
        ("application/json", 500, b"oops", 500),
        ("text/event-stream", 200, b"data: {nonsense\n\n", 502),
        ("text/event-stream", 200, b"data: \xff\n\n", 502),
    ],
)
def test_answers_that_cannot_be_inspected_never_pass(content_type, status, body, told):
    exchange = sent()
    exchange.receive(answer_headers(content_type, status=status))
    (effect,) = exchange.receive(events.ResponseBody(body, True))
    assert isinstance(effect, events.Respond)
    assert effect.status == told
    assert body not in effect.body or not body


@pytest.mark.parametrize("change", [{"status": 302}, {"encoding": "br"}, {"encoding": "gzip, br"}])
def test_answers_that_cannot_be_read_are_refused_at_their_headers(change):
    exchange = sent()
    (effect,) = exchange.receive(answer_headers(**change))
    assert effect.status == 502


def test_upstream_errors_pass_with_their_status_and_redacted():
    exchange = sent()
    exchange.receive(answer_headers(status=429))
    _, body = exchange.receive(events.ResponseBody(b'{"error":{"message":"slow down jane@example.com"}}', True))
    assert body.body == b'{"error":{"message":"slow down [email]"}}'
    assert exchange.finish().status == 429


def test_own_and_tracking_headers_of_the_provider_do_not_come_back():
    exchange = sent()
    exchange.receive(
        answer_headers(
            **{"set-cookie": "a", "openai-organization": "o", "x-llm-backend": "z", "x-ratelimit-limit": "1"}
        )
    )
    headers, _ = exchange.receive(events.ResponseBody(b"{}", True))
    assert {"set-cookie", "openai-organization", "x-llm-backend"} <= set(headers.mutation.remove)
    assert "x-ratelimit-limit" not in headers.mutation.remove


def test_tokens_come_from_the_providers_usage():
    exchange = sent(stream=True)
    exchange.receive(answer_headers("text/event-stream"))
    usage = b'data: {"choices":[],"usage":'
    usage += b'{"prompt_tokens":7,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":3}}}' + b"\n\n"
    effects = exchange.receive(events.ResponseBody(sse({"content": "x. "}) + usage + b"data: [DONE]\n\n", True))
    assert exchange.finish().tokens == {"input": 7, "output": 9, "cached": 3, "reasoning": 0, "cache_write": 0}
    assert effects[-1].metadata["llm.extproc.usage"] == {
        "input": 7,
        "output": 9,
        "cached": 3,
        "reasoning": 0,
        "cache_write": 0,
        "total": 16,
        "model": "gpt-x",
        "backend": "main",
    }
    assert effects[-1].metadata["llm.extproc.verdicts"] == {"request": "allow", "outcome": "allow"}


def test_an_exchange_that_stops_anywhere_has_a_record():
    for steps in range(3):
        exchange = RouterExchange(runtime())
        for event in [chat_headers(), events.RequestBody(chat("hi"), True)][:steps]:
            exchange.receive(event)
        assert exchange.finish().end == "cut"
        assert not exchange.answered


EVENTS = [
    chat_headers(),
    events.RequestBody(chat("hi"), True),
    events.RequestTrailers(("a",)),
    answer_headers(),
    events.ResponseBody(b"{}", True),
    events.ResponseTrailers(("a",)),
]


def test_every_order_of_events_ends_in_an_answer_or_a_protocol_error():
    """Any sequence of up to five events: no other exception, and nothing of an answer passes without a decision."""
    longest = 5 if os.environ.get("CI") else 4
    seen = 0
    for length in range(1, longest + 1):
        for order in itertools.product(EVENTS, repeat=length):
            exchange = RouterExchange(runtime())
            decided = False
            for event in order:
                try:
                    effects = exchange.receive(event)
                except ProtocolError:
                    break
                decided = decided or any(isinstance(each, events.ContinueBody) for each in effects)
                passing = any(isinstance(each, (events.ContinueResponse, events.Send)) for each in effects)
                assert decided or not passing
                assert exchange._state in State
            seen += 1
    assert seen >= sum(6**n for n in range(1, longest + 1))


def test_names_that_differ_only_in_case_are_refused():
    exchange = RouterExchange(runtime())
    exchange.receive(chat_headers())
    body = b'{"model":"gpt-x","Model":"other","messages":[]}'
    (effect,) = exchange.receive(events.RequestBody(body, True))
    assert (effect.status, effect.details) == (400, "llm_invalid_json")


@pytest.mark.parametrize("more", [{"a@b.com": 1}, {"tools": [{"a@b.com": {}}]}])
def test_text_in_the_name_of_a_member_is_refused(more):
    exchange = RouterExchange(runtime())
    exchange.receive(chat_headers())
    (effect,) = exchange.receive(events.RequestBody(chat("hello", **more), True))
    assert (effect.status, orjson.loads(effect.body)["error"]["code"]) == (400, "pii")
    assert b"a@b.com" not in effect.body
