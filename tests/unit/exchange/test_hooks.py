"""Policies in Python that see answers as a whole: what they see, and what becomes of what they say."""

import itertools

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc import events
from extproc.exchange.judging import Found
from extproc.exchange.router import RouterExchange
from extproc.plugin import Scope
from tests.unit.exchange.support import answer_headers, chat, chat_headers, compiled, headers_of, sse

CODE = """
from extproc.plugin import *
SEEN = []

class Own:
    def response(self, answer):
        chat = answer.chat
        words = "".join(part.text for part in chat.choices[0].parts)
        SEEN.append((answer.streamed, list(answer.texts), words, answer.caller.phase, answer.caller.override))
        if "block" in words:
            return Block("bad")
        if "audit" in words:
            return Audit("odd")
        if "reply" in words:
            return Reply("Said instead.")
        if "redact" in words:
            number, text = next((n, t) for n, t in enumerate(answer.texts) if "redact" in t.text)
            at = text.text.index("redact")
            return Redact([Mark(number, at, at + 6, "word")])
        if "outside" in words:
            return Redact([Mark(0, 0, 10_000, "word")])
        if "negative" in words:
            return Redact([Mark(-1, 0, 1, "word")])
        if "nothing" in words:
            return Redact([])
        if "raise" in words:
            raise RuntimeError("secret text")
        if "leave" in words:
            raise SystemExit
        if "odd" in words:
            return 7
        return None

class Worded:
    Override = ["mild", "strict"]
    def inspect(self, texts, caller):
        return None
    def response(self, answer):
        SEEN.append(answer.caller.override)

class Texts:
    def response(self, answer):
        SEEN.append((list(answer.texts), answer.chat and [part.text for part in answer.chat.choices[0].parts]))

class Held(Own):
    def inspect(self, texts, caller):
        return None
"""

CONFIG = """
providers:
  main: {type: openai-compatible, base_url: "http://127.0.0.1:1/v1", keys: env:MAIN_KEY}
models: {"*": main}
processor: {python: true}
policies:
  mail: {kind: pii, find: [email]}
"""


@pytest.fixture
def opened(tmp_path):
    """Makes exchanges with the policy ``own``; its ``seen`` is what the code has seen."""

    def exchange(fields="", name="Own", stream=False, status=200, **headers):
        (tmp_path / "own.py").write_text(CODE)
        path = f'  own: {{kind: python, path: "own.py:{name}", {fields}}}'
        one = RouterExchange(compiled(CONFIG + path, tmp_path))
        one.receive(chat_headers(**headers))
        one.receive(events.RequestBody(chat("hi", stream=stream), True))
        let(one)
        one.receive(answer_headers("text/event-stream" if stream else "application/json", status))
        one.seen = seen(one)
        return one

    return exchange


def seen(one):
    code = next(each.response for each in one._armed.policies if each.response)._code
    return type(code).response.__globals__["SEEN"]


def let(one, *found):
    """Answer every question about texts."""
    said = []
    for each in one.questions():
        one.told(each, Found(found))
        said += one.tick()
    return said


def whole(text, **more):
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}
    return orjson.dumps({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})


def answered(one, text, **more):
    return one.receive(events.ResponseBody(whole(text, **more), True))


def rows(one):
    return [(row["label"], row["outcome"]) for row in one.finish().verdicts if row["policy"] == "own"]


def test_it_sees_what_the_client_would_get(opened):
    one = opened()
    _, send = answered(one, "mail jo@x.org")
    assert b"[email]" in send.body
    assert one.seen == [(False, [(Scope.ASSISTANT, "mail [email]")], "mail [email]", "response", "")]


def test_it_sees_the_clients_format_whatever_the_provider_speaks(tmp_path):
    (tmp_path / "own.py").write_text(CODE)
    config = CONFIG.replace("models:", "  claude: {type: anthropic, keys: env:OTHER_KEY}\nmodels:").replace(
        '"*": main', '"*": claude'
    )
    one = RouterExchange(compiled(config + '  own: {kind: python, path: "own.py:Own", action: redact}', tmp_path))
    one.receive(chat_headers())
    one.receive(events.RequestBody(chat("hi", max_tokens=9), True))
    one.receive(answer_headers())
    message = {
        "id": "m", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn", "stop_sequence": None,
        "content": [{"type": "text", "text": "do redact this"}], "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    _, send = one.receive(events.ResponseBody(orjson.dumps(message), True))
    assert orjson.loads(send.body)["choices"][0]["message"]["content"] == "do [word] this"


def test_nothing_to_say_leaves_every_byte(opened):
    for text in ("fine", "nothing"):
        assert answered(opened(), text)[1].body == whole(text)


def test_a_block_is_a_status(opened):
    one = opened("status: 451")
    (effect,) = answered(one, "block it")
    assert (effect.status, orjson.loads(effect.body)["error"]["code"]) == (451, "own")
    assert rows(one) == [("bad", "block")]


def test_an_audit_is_recorded(opened):
    one = opened()
    assert answered(one, "audit it")[1].body == whole("audit it")
    assert rows(one) == [("odd", "audit")]


def test_a_reply_takes_the_answers_place(opened):
    one = opened()
    headers, send = answered(one, "reply please")
    assert orjson.loads(send.body)["choices"][0]["message"]["content"] == "Said instead."
    assert headers_of(headers)["x-llm-backend"] == "main"
    assert send.metadata["llm.extproc.verdicts"]["outcome"] == "reply"
    assert rows(one) == [("replied", "reply")]


def test_marks_are_redacted_where_the_policy_redacts(opened):
    one = opened("action: redact")
    _, send = answered(one, "do redact this", logprobs={"content": [{"token": "do redact this", "logprob": -1}]})
    choice = orjson.loads(send.body)["choices"][0]
    assert choice["message"]["content"] == "do [word] this"
    assert choice["logprobs"] is None
    assert rows(one) == [("word", "redact")]


def test_marks_of_a_policy_that_blocks_block(opened):
    (effect,) = answered(opened(), "do redact this")
    assert effect.status == 400


def test_the_policys_replacement_stands_for_what_is_marked(opened):
    _, send = answered(opened("action: redact, replace: '<{type}>'"), "do redact this")
    assert send.body == whole("do <word> this")


@pytest.mark.parametrize("text", ["raise", "leave", "odd", "outside", "negative"])
def test_what_fails_is_told_as_a_service_that_fails(text, opened):
    one = opened("action: redact")
    (effect,) = answered(one, text)
    assert (effect.status, orjson.loads(effect.body)["error"]["code"]) == (503, "undecided")
    assert b"secret" not in effect.body
    assert rows(one) == [("failed", "block")]


@pytest.mark.parametrize("fields", ["on_error: allow", "mode: audit", "action: audit"])
@pytest.mark.parametrize("text", ["raise", "leave", "odd"])
def test_what_may_fail_lets_the_answer_go_on(text, fields, opened):
    one = opened(fields)
    assert answered(one, text)[1].body == whole(text)
    assert rows(one) == [("failed", "audit")]


@pytest.mark.parametrize("fields", ["mode: audit", "action: audit"])
@pytest.mark.parametrize("text", ["block", "reply", "redact", "audit"])
def test_what_only_watches_changes_nothing(text, fields, opened):
    one = opened(fields)
    assert answered(one, text)[1].body == whole(text)
    assert [outcome for _, outcome in rows(one)] == ["audit"]


def test_errors_are_not_shown_to_it(opened):
    one = opened(status=500)
    _, send = one.receive(events.ResponseBody(b'{"error":{"message":"block"}}', True))
    assert send.body == b'{"error":{"message":"block"}}'
    assert one.seen == []


def test_a_request_phase_policy_sees_no_answers(opened, tmp_path):
    (tmp_path / "own.py").write_text(CODE)
    runtime = compiled(CONFIG + '  own: {kind: python, path: "own.py:Own", phase: request}', tmp_path)
    assert not runtime.attached.usual.responses


@pytest.mark.parametrize(("said", "word"), [(None, "mild"), ("strict", "strict")])
def test_a_header_reaches_every_hook(opened, said, word):
    one = opened(name="Worded", **({"x-llm-policy-own": said} if said else {}))
    answered(one, "fine")
    (question,) = one.questions()
    assert question.caller.override == word
    assert one.seen == [word]


def spoken(folder, path, request, answer, **headers):
    """What the code sees of a streamed answer in some client's format."""
    (folder / "own.py").write_text(CODE)
    kind = "anthropic" if "messages" in path else "openai-compatible"
    config = CONFIG.replace("type: openai-compatible, base_url", f"type: {kind}, base_url")
    one = RouterExchange(compiled(config + '  own: {kind: python, path: "own.py:Texts"}', folder))
    one.receive(chat_headers(**{":path": path}, **headers))
    (effect,) = one.receive(events.RequestBody(orjson.dumps(request), True))
    assert isinstance(effect, events.ContinueBody), effect
    one.receive(answer_headers("text/event-stream"))
    one.receive(events.ResponseBody(answer, True))
    return seen(one)


def test_a_stream_of_anthropics(tmp_path):
    message = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [], "stop_reason": None}
    message |= {"stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
    start = {"type": "message_start", "message": message}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}}
        for t in ("jo@x", ".org hi")
    ]
    ends = [
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 2},
        },
        {"type": "message_stop"},
    ]
    stream = b"".join(
        f"event: {each['type']}\n".encode() + b"data: " + orjson.dumps(each) + b"\n\n"
        for each in (start, block, *deltas, *ends)
    )
    request = {"model": "c", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    found = spoken(tmp_path, "/v1/messages", request, stream, **{"anthropic-version": "2023-06-01"})
    assert found == [([(Scope.ASSISTANT, "[email] hi")], ["[email] hi"])]


def test_a_stream_without_a_canonical_form(tmp_path):
    parts = [{"choices": [{"index": 0, "text": text, "finish_reason": None}]} for text in ("jo@x", ".org hi")]
    parts.append({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
    stream = b"".join(b"data: " + orjson.dumps(each) + b"\n\n" for each in parts) + b"data: [DONE]\n\n"
    found = spoken(tmp_path, "/v1/completions", {"model": "c", "stream": True, "prompt": "hi"}, stream)
    assert found == [([(Scope.ASSISTANT, "[email] hi")], None)]


STREAM = ["bl", "ock", " this", ", please"]


def streamed(one, parts):
    said = []
    for part in parts:
        said += one.receive(events.ResponseBody(sse({"content": part}), False))
    return said + one.receive(events.ResponseBody(sse({}, "stop") + b"data: [DONE]\n\n", True))


def test_a_stream_is_seen_at_its_end_and_only_recorded(opened):
    one = opened(stream=True)
    said = streamed(one, ["jo@x.org ", *STREAM])
    body = b"".join(each.body for each in said if isinstance(each, events.Send))
    assert b"[DONE]" in body
    assert one.seen == [
        (True, [(Scope.ASSISTANT, "[email] block this, please")], "[email] block this, please", "response", "")
    ]
    assert said[-1].metadata["llm.extproc.verdicts"]["policies"] == {"mail:redact": 1, "own:audit": 1}
    assert rows(one) == [("bad", "audit")]


@pytest.mark.parametrize("text", ["block", "reply", "redact"])
def test_a_stream_that_waits_is_stopped(text, opened):
    one = opened(name="Held", stream=True)
    (effect,) = streamed(one, [text])
    assert effect.status == 400
    assert [outcome for _, outcome in rows(one)] == ["block"]


def test_a_stream_whose_end_waits_is_ended_by_an_error(opened):
    one = opened("window: 8", name="Held", stream=True)
    assert one.receive(events.ResponseBody(sse({"content": "harmless "}), False)) == []
    assert let(one)
    (effect,) = streamed(one, STREAM)
    assert effect.end
    assert b'"code":"own"' in effect.body
    assert b"ock" not in effect.body.replace(b"block", b"")
    assert one.finish().end == "blocked"


@pytest.mark.parametrize(("fields", "status"), [("", 503), ("on_error: allow", None), ("mode: audit", None)])
def test_code_that_fails_at_the_end_of_a_stream_that_waits(fields, status, opened):
    one = opened(fields, name="Held", stream=True)
    said = streamed(one, ["raise"])
    assert [each.status for each in said if isinstance(each, events.Respond)] == ([status] if status else [])
    assert rows(one) == [("failed", "block" if status else "audit")]


def test_code_that_fails_at_the_end_of_a_stream_that_has_left(opened):
    one = opened(stream=True)
    assert streamed(one, ["raise"])[-1].end
    assert rows(one) == [("failed", "audit")]


def test_a_stream_larger_than_is_kept_counts_as_failed(tmp_path, opened, monkeypatch):
    from extproc.exchange import hooks

    monkeypatch.setattr(hooks.Hooks, "hear", lambda self, sent, hear=hooks.Hooks.hear: _little(self, sent, hear))
    one = opened(stream=True)
    assert streamed(one, STREAM)[-1].end
    assert one.seen == []
    assert rows(one) == [("failed", "audit")]


def _little(hooks, sent, hear):
    hooks._limit = 64
    hear(hooks, sent)


def test_what_is_kept_of_a_stream_counts_as_held(opened):
    one = opened(stream=True)
    one.receive(events.ResponseBody(sse({"content": "some words. " * 10}), False))
    assert one.held > 100
    streamed(one, [])
    assert one.held == 0
    assert one._budget.used == 0


def test_a_stream_that_ended_badly_is_not_shown(opened):
    one = opened(stream=True)
    one.receive(events.ResponseBody(sse({"content": "block it. "}), False))
    one.receive(events.ResponseBody(b"data: {nonsense\n\n", True))
    assert one.seen == []


RAW = b"".join(sse({"content": part}) for part in STREAM) + sse({}, "stop") + b"data: [DONE]\n\n"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.py").write_text(CODE)
    return compiled(CONFIG + '  own: {kind: python, path: "own.py:Own"}', folder)


def cut(runtime, places):
    one = RouterExchange(runtime)
    seen(one).clear()
    one.receive(chat_headers())
    one.receive(events.RequestBody(chat("hi", stream=True), True))
    one.receive(answer_headers("text/event-stream"))
    for start, end in itertools.pairwise(sorted({0, len(RAW), *places})):
        one.receive(events.ResponseBody(RAW[start:end], end == len(RAW)))
    return [each[1:3] for each in seen(one)]


WHOLE = [([(Scope.ASSISTANT, "".join(STREAM))], "".join(STREAM))]


def test_byte_by_byte_it_is_seen_the_same(own):
    assert cut(own, []) == cut(own, range(len(RAW))) == WHOLE


@given(st.lists(st.integers(1, len(RAW) - 1), max_size=12))
def test_however_it_is_cut_it_is_seen_the_same(own, places):
    assert cut(own, places) == WHOLE
