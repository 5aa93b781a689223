"""A thought that a policy edits, through whole exchanges: its signature goes with the answer, the thought with the request."""

import orjson

from extproc import events
from extproc.exchange.forward import UPSTREAM
from extproc.exchange.router import RouterExchange
from tests.unit.exchange.support import chat_headers, compiled

CONFIG = """
providers:
  claude: {type: anthropic, base_url: "http://127.0.0.1:1", keys: none}
models: {claude-x: claude}
policies:
  pii: {kind: pii, find: [email]}
"""
SIGNED = "c2lnbmVk" * 12
ASK = {"role": "user", "content": "hi"}
CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "1"}]}
BUDGET = {"type": "enabled", "budget_tokens": 1024}


def thought(text, signature=SIGNED):
    return {"type": "thinking", "thinking": text, "signature": signature}


def asked(folder, *blocks):
    exchange = RouterExchange(compiled(CONFIG, folder))
    exchange.receive(chat_headers(**{":path": "/v1/messages"}))
    messages = [ASK, {"role": "assistant", "content": [*blocks, CALL]}, RESULT]
    body = {"model": "claude-x", "max_tokens": 2000, "messages": messages, "thinking": BUDGET}
    raw = orjson.dumps(body)
    (effect,) = exchange.receive(events.RequestBody(raw, True))
    return exchange, orjson.loads(raw if effect.body is None else effect.body)


def test_of_a_request(tmp_path):
    exchange, sent = asked(tmp_path, thought("I mail ann@example.com"))
    assert sent["messages"][1]["content"] == [CALL]
    assert "thinking" not in sent
    assert exchange.record.losses == [
        "messages[1].content[0]: a thought without a signature",
        "thinking: the turn it goes on with has no thoughts",
    ]


def test_of_a_request_where_another_thought_is_left(tmp_path):
    exchange, sent = asked(tmp_path, thought("I mail ann@example.com"), thought("or not"))
    assert sent["messages"][1]["content"] == [thought("or not"), CALL]
    assert sent["thinking"] == BUDGET
    assert len(exchange.record.losses) == 1


def test_of_an_answer_and_what_the_client_sends_back(tmp_path):
    exchange, _ = asked(tmp_path)
    said = {UPSTREAM: {"backend": "claude", "attempts": 1.0, "format": "anthropic-messages"}}
    headers = {":status": "200", "content-type": "application/json"}
    effects = exchange.receive(events.ResponseHeaders(headers, False, {"response.code_details": "via_upstream"}, said))
    answer = {
        "type": "message",
        "role": "assistant",
        "content": [thought("I mail ann@example.com"), thought(" or not")],
    }
    effects += exchange.receive(events.ResponseBody(orjson.dumps(answer), True))
    told = orjson.loads(b"".join(each.body for each in effects if isinstance(each, events.Send)))
    edited, kept = told["content"]
    assert edited["signature"] == ""
    assert "ann@" not in edited["thinking"]
    assert kept == thought(" or not")
    _, sent = asked(tmp_path, edited)
    assert sent["messages"][1]["content"] == [CALL]
