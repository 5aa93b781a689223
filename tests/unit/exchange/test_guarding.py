"""The guard: traffic that others route is read and changed where policies say so, and nothing else of it."""

import gzip
import math

import orjson
import pytest

from extproc import events
from extproc.config.model import Guard
from extproc.exchange.guarding import GuardExchange, own_path
from tests.unit.exchange.support import answer_headers, chat, chat_headers, compiled, headers_of, sse

CONFIG = """
policies:
  pii:   {kind: pii, find: [email]}
  words: {kind: wordlist, words: [forbidden phrase], action: block}
"""
MAIL = "ada@example.com"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    return compiled(CONFIG, tmp_path_factory.mktemp("guard"), {})


@pytest.fixture
def guard(guarded):
    return GuardExchange(guarded)


def sent(guard, body=None, **headers):
    (effect,) = guard.receive(chat_headers(**headers))
    assert effect == events.ContinueRequest()
    (effect,) = guard.receive(events.RequestBody(chat("hello") if body is None else body, True))
    return effect


def test_what_no_policy_touches_goes_on_as_it_came(guard):
    effect = sent(guard, authorization="Bearer sk-client", cookie="a=b", **{"x-mesh": "1"})
    assert effect.body is None
    told = {"llm.extproc.verdicts": {"request": "allow", "outcome": "allow"}}
    assert effect.mutation == events.Mutation(set=(("accept-encoding", "identity"),), metadata=told)


def test_what_a_policy_takes_out_does_not_go_on(guard):
    effect = sent(guard, chat(f"write to {MAIL}"), **{"content-encoding": "identity", "content-md5": "x"})
    assert orjson.loads(effect.body)["messages"][0]["content"] == "write to [email]"
    assert headers_of(effect)["content-length"] == str(len(effect.body))
    assert set(effect.mutation.remove) == {"content-encoding", "content-md5"}
    assert not effect.mutation.reroute
    assert effect.mutation.metadata["llm.extproc.verdicts"]["policies"] == {"pii:redact": 1}
    assert "authorization" not in effect.mutation.remove


def test_a_compressed_request_goes_on_compressed_unless_it_is_changed(guard, guarded):
    effect = sent(guard, gzip.compress(chat("hello")), **{"content-encoding": "gzip"})
    assert effect.body is None
    effect = sent(GuardExchange(guarded), gzip.compress(chat(MAIL)), **{"content-encoding": "gzip"})
    assert b"[email]" in effect.body
    assert effect.mutation.remove == ("content-encoding",)


def test_a_client_cannot_say_our_headers(guard):
    assert sent(guard, **{"x-llm-verdict": "allow"}).mutation.remove == ("x-llm-verdict",)


def test_a_block_is_said_in_the_clients_format(guard):
    effect = sent(guard, chat("a forbidden phrase"))
    assert (effect.status, orjson.loads(effect.body)["error"]["code"]) == (400, "words")
    record = guard.finish()
    assert (record.mode, record.end, record.error) == ("guard", "blocked", "words")


def test_a_signed_request_cannot_be_changed(guard, guarded):
    signature = {"authorization": "AWS4-HMAC-SHA256 Credential=x/y, SignedHeaders=host, Signature=z"}
    assert sent(guard, **signature).body is None
    effect = sent(GuardExchange(guarded), chat(MAIL), **signature)
    assert (effect.status, effect.details) == (403, "llm_signed_request")


@pytest.mark.parametrize("path", ["/v1/unheard", "/v1/files", "/health/liveness", "/v1/chat/completions/"])
def test_what_nobody_can_read_is_blocked(guard, path):
    (effect,) = guard.receive(chat_headers(**{":path": path}))
    assert (effect.status, effect.details) == (403, "llm_unknown_operation")


def test_what_nobody_can_read_passes_where_that_is_said(tmp_path):
    one = GuardExchange(compiled(CONFIG + "guard: {unknown: pass}", tmp_path, {}))
    assert one.receive(chat_headers(**{":path": "/v1/unheard"})) == [events.ContinueRequest(), events.Close()]
    assert one.answered
    record = one.finish()
    assert (record.operation, record.unscanned, record.end) == ("unknown", ["operation"], "passed")


def test_an_upgrade_is_unknown(guard):
    (effect,) = guard.receive(chat_headers(upgrade="websocket", **{":method": "GET"}))
    assert effect.status == 403


@pytest.mark.parametrize(
    ("method", "path"), [("OPTIONS", "/anything"), ("GET", "/v1/models"), ("GET", "/v1/models/gpt-x")]
)
def test_what_has_nothing_of_anybody_goes_on(guard, method, path):
    effects = guard.receive(chat_headers(end=True, **{":method": method, ":path": path}))
    assert effects == [events.ContinueRequest(), events.Close()]
    assert guard.answered


def test_a_post_without_a_body(guard):
    (effect,) = guard.receive(chat_headers(end=True))
    assert effect.status == 400


@pytest.mark.parametrize(
    ("target", "own"),
    [
        ("/llm/v1/messages", "/v1/messages"),
        ("/llm/deep/v1/messages?x=1", "/v1/messages?x=1"),
        ("/llmx/v1/messages", "/llmx/v1/messages"),
        ("/llm", "/llm"),
        ("/v1/messages", "/v1/messages"),
    ],
)
def test_what_a_mesh_puts_before_paths(target, own):
    prefixes = Guard(prefixes=["/llm", "/llm/deep"]).prefixes
    assert own_path(target, prefixes) == own


def test_a_prefixed_path_is_read(tmp_path):
    one = GuardExchange(compiled(CONFIG + "guard: {prefixes: [/llm]}", tmp_path, {}))
    effect = sent(one, chat(MAIL), **{":path": "/llm/v1/chat/completions"})
    assert b"[email]" in effect.body
    assert ":path" not in headers_of(effect)


def test_a_model_may_be_absent_but_not_odd(guard, guarded):
    assert sent(guard, b'{"messages":[]}').body is None
    assert sent(GuardExchange(guarded), b'{"model":"a\\nb","messages":[]}').status == 400


def test_a_policy_may_name_another_model_where_the_body_names_it(tmp_path):
    text = CONFIG + '  cheap: {kind: rewrite, models: {"*": small}}'
    effect = sent(GuardExchange(compiled(text, tmp_path, {})))
    assert orjson.loads(effect.body)["model"] == "small"
    one = GuardExchange(compiled(text, tmp_path, {}))
    body = b'{"contents":[{"parts":[{"text":"hello"}]}]}'
    assert sent(one, body, **{":path": "/v1beta/models/gemini-x:generateContent"}).body is None
    assert one.record.losses == ["model: the path names it, and paths are not changed here"]


# answers


def answered(guard, body, content_type="application/json", status=200, **more):
    effects = guard.receive(answer_headers(content_type, status, **more))
    effects += guard.receive(events.ResponseBody(body, True))
    return effects


def chosen(text):
    return orjson.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]})


def test_an_answer_goes_back_with_its_own_headers(guard):
    sent(guard)
    head, body = answered(guard, chosen("hi"), **{"x-provider": "1", "x-llm-verdict": "lie", "etag": "e"})
    assert set(head.mutation.remove) == {"x-llm-verdict", "etag"}
    assert headers_of(head)["x-llm-verdict"] == "allow"
    assert "x-llm-backend" not in headers_of(head)
    assert (body.body, body.end) == (chosen("hi"), True)


def test_an_answer_is_redacted_and_metered(guard):
    sent(guard)
    said = orjson.loads(chosen(MAIL)) | {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    headers = events.ResponseHeaders(
        answer_headers().headers, False, {"response.code_details": "via_upstream", "xds.cluster_name": "openai"}
    )
    guard.receive(headers)
    effects = guard.receive(events.ResponseBody(orjson.dumps(said), True))
    assert b"[email]" in effects[-1].body
    usage = effects[-1].metadata["llm.extproc.usage"]
    assert (usage["total"], usage["model"], usage["backend"]) == (7, "gpt-x", "openai")
    assert effects[-1].metadata["llm.extproc.verdicts"]["policies"] == {"pii:redact": 1}
    assert guard.finish().backend == "openai"


def test_a_stream_is_redacted_over_its_events(guard):
    sent(guard, chat("hello", stream=True))
    guard.receive(answer_headers("text/event-stream"))
    said = [events.ResponseBody(sse({"content": each}), False) for each in ("mail ada@ex", "ample.com now. ")]
    out = b"".join(each.body for event in said for each in guard.receive(event) if isinstance(each, events.Send))
    out += b"".join(
        each.body
        for each in guard.receive(events.ResponseBody(sse({}, "stop") + b"data: [DONE]\n\n", True))
        if isinstance(each, events.Send)
    )
    assert b"[email]" in out
    assert b"ada@" not in out


def test_an_answer_may_take_any_time(guard):
    sent(guard, chat("hello", stream=True))
    guard.receive(answer_headers("text/event-stream"))
    guard.receive(events.ResponseBody(sse({"content": "a"}), False))
    assert guard.due in (None, math.inf) or guard.due > 0
    assert guard.tick() == []


@pytest.mark.parametrize("status", [302, 400, 401, 403, 429, 500, 503])
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"error":{"message":"see ada@example.com"}}'),
        ("application/json", b'[{"error":{"message":"see ada@example.com"}}]'),
        ("text/html", b"<p>see ada@example.com</p>"),
        ("", b"see ada@example.com"),
    ],
)
def test_errors_of_providers_pass_but_are_read(guard, status, content_type, body):
    sent(guard)
    head, rest = answered(guard, body, content_type, status)
    assert ":status" not in headers_of(head)
    assert rest.body == body.replace(b"ada@example.com", b"[email]")


@pytest.mark.parametrize("status", [204, 304, 500])
def test_an_answer_of_nothing(guard, status):
    sent(guard)
    head, rest = answered(guard, b"", "", status)
    assert isinstance(head, events.ContinueResponse)
    assert (rest.body, rest.end) == (b"", True)


def test_an_answer_that_cannot_be_read_does_not_pass(guard):
    sent(guard)
    (effect,) = answered(guard, b"\x00\x01")
    assert (effect.status, effect.details) == (502, "llm_upstream_malformed")


def test_envoys_own_replies_pass_as_they_are(guard):
    sent(guard)
    effects = guard.receive(answer_headers("text/plain", 503, "no_healthy_upstream"))
    effects += guard.receive(events.ResponseBody(b"no healthy ", False))
    effects += guard.receive(events.ResponseBody(b"upstream", True))
    assert effects == [events.ContinueResponse(), events.Send(b"no healthy ", False), events.Send(b"upstream", True)]
    assert guard.answered
    assert guard.finish().status == 503


def test_a_local_reply_before_anything_else(guard):
    (effect,) = guard.receive(answer_headers("text/plain", 400, "http1.codec_error"))
    assert effect == events.ContinueResponse()
    assert guard.receive(events.ResponseTrailers(("a",))) == [events.DropTrailers(request=False, names=())]
    assert guard.answered


def test_a_judged_request_that_envoy_has_answered(guard):
    guard.receive(chat_headers())
    (effect,) = guard.receive(events.ResponseHeaders({":status": "413"}, True, {"response.code_details": "too_large"}))
    assert effect == events.ContinueResponse()
    assert guard.answered


# a stream as one array


def gemini(text, **more):
    return {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": text}]}, **more}]}


def listed(guarded, *texts, body=None):
    one = GuardExchange(guarded)
    request = b'{"contents":[{"parts":[{"text":"hello"}]}]}'
    sent(one, request, **{":path": "/v1beta/models/gemini-x:streamGenerateContent"})
    raw = orjson.dumps([gemini(each) for each in texts]) if body is None else body
    effects = one.receive(answer_headers())
    for index in range(0, len(raw), 7):
        effects += one.receive(events.ResponseBody(raw[index : index + 7], False))
    return raw, [*effects, *one.receive(events.ResponseBody(b"", True))]


def test_a_list_is_read_as_the_stream_it_is(guarded):
    _, effects = listed(guarded, "mail ada@ex", "ample.com now")
    value = orjson.loads(effects[-1].body)
    assert "".join(each["candidates"][0]["content"]["parts"][0]["text"] for each in value) == "mail [email] now"


def test_a_list_without_findings_is_the_same_bytes(guarded):
    raw, effects = listed(guarded, "one", "two")
    assert effects[-1].body == raw


def test_a_blocked_list_is_an_error(guarded):
    _, (effect,) = listed(guarded, "a forbidden ", "phrase")
    assert effect.status == 400


@pytest.mark.parametrize("body", [b"{}", b"[", b"\xff"])
def test_a_list_that_is_none(guarded, body):
    _, (effect,) = listed(guarded, body=body)
    assert effect.status == 502


# operations of the configuration

NAMED = (
    CONFIG
    + """
operations:
  rerank: {path: /v1/rerank, scan: generic}
  items:  {path: "/v1/items/*", method: [GET, POST], scan: generic}
  files:  {path: "/v1/files/*", method: [GET, POST], scan: opaque}
"""
)


def test_a_named_operation_is_read_text_by_text(tmp_path):
    one = GuardExchange(compiled(NAMED, tmp_path, {}))
    effect = sent(one, b'{"query":"who is ada@example.com","documents":["x"]}', **{":path": "/v1/rerank"})
    assert orjson.loads(effect.body) == {"query": "who is [email]", "documents": ["x"]}
    _, rest = answered(one, b'{"results":[{"document":"eve@example.com"}]}')
    assert orjson.loads(rest.body) == {"results": [{"document": "[email]"}]}
    assert one.finish().operation == "rerank"


def test_a_named_operation_without_a_body_has_an_answer_that_is_read(tmp_path):
    one = GuardExchange(compiled(NAMED, tmp_path, {}))
    (effect,) = one.receive(chat_headers(end=True, **{":method": "GET", ":path": "/v1/items/7"}))
    assert effect.mutation.set == (("accept-encoding", "identity"),)
    _, rest = answered(one, b'{"of":"eve@example.com"}')
    assert orjson.loads(rest.body) == {"of": "[email]"}


def test_an_opaque_operation_passes_by_name_and_that_is_said(tmp_path):
    one = GuardExchange(compiled(NAMED, tmp_path, {}))
    assert one.receive(chat_headers(**{":path": "/v1/files/a"})) == [events.ContinueRequest(), events.Close()]
    record = one.finish()
    assert (record.operation, record.unscanned) == ("files", ["request", "answer"])
