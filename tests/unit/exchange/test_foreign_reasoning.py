"""Reasoning of other makers, which clients of Responses keep, goes to nobody who could not read it, whoever the backends."""

import orjson
import pytest

from extproc import events
from extproc.exchange.forward import DECISION
from extproc.exchange.router import RouterExchange
from extproc.exchange.upstream import ATTEMPT, BACKEND, UpstreamExchange
from tests.unit.exchange.support import compiled

CONFIG = """
providers:
  one: {type: openai, base_url: "http://127.0.0.1:1/v1", keys: none}
  two: {type: openai, base_url: "http://127.0.0.1:2/v1", keys: none}
  claude: {type: anthropic, base_url: "http://127.0.0.1:3", keys: none}
models:
  only: one/m
  same: [one/m, two/m]
  mixed: [one/m, claude/m]
  named: [one, claude]
  alone: claude/claude-x
  several: [claude/claude-x, one/m]
policies: {}
attach: []
"""
SEAL = "extproc-claude-4-abcd"
OWN = {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAAA-of-openai"}
FOREIGN = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": SEAL}
ASK = {"role": "user", "content": "and now?"}


THOUGHT = {"type": "thinking", "thinking": "x", "signature": ""}
CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "1"}]}
BUDGET = {"type": "enabled", "budget_tokens": 1024}


def sent(one, model):
    """What the router filter lets go on, and its decision."""
    return passed(one, "/v1/responses", {"model": model, "input": [FOREIGN, OWN, ASK]})


def thought(one, model):
    """The same of a conversation with Claude in which a thought has lost its signature."""
    messages = [ASK, {"role": "assistant", "content": [THOUGHT, CALL]}, RESULT]
    return passed(one, "/v1/messages", {"model": model, "max_tokens": 2000, "messages": messages, "thinking": BUDGET})


def passed(one, path, said):
    exchange = RouterExchange(one)
    headers = {":method": "POST", ":path": path, ":authority": "g", "content-type": "application/json"}
    exchange.receive(events.RequestHeaders(headers, False))
    body = orjson.dumps(said)
    (effect,) = exchange.receive(events.RequestBody(body, True))
    return body if effect.body is None else effect.body, effect.mutation.metadata[DECISION]


def test_with_one_backend_the_router_filter_takes_it_out(tmp_path):
    body, decision = sent(compiled(CONFIG, tmp_path), "only")
    assert orjson.loads(body)["input"] == [OWN, ASK]
    assert "sealed" not in decision


@pytest.mark.parametrize("model", ["same", "mixed", "named"])
def test_with_several_each_attempt_does(model, tmp_path):
    one = compiled(CONFIG, tmp_path)
    body, decision = sent(one, model)
    assert SEAL.encode() in body
    for backend in one.group(model).backends:
        exchange = UpstreamExchange(one)
        attributes = {BACKEND: backend.id, ATTEMPT: 1}
        assert exchange.receive(events.RequestHeaders({}, False, attributes, {DECISION: decision})) == [
            events.ContinueRequest()
        ]
        effect, _ = exchange.receive(events.RequestBody(body, True))
        assert SEAL.encode() not in effect.body
        if backend.provider != "claude":
            assert orjson.loads(effect.body)["input"] == [OWN, ASK]


def test_a_thought_without_a_signature_does_not_reach_claude(tmp_path):
    body, decision = thought(compiled(CONFIG, tmp_path), "alone")
    found = orjson.loads(body)
    assert found["messages"][1]["content"] == [CALL]
    assert "thinking" not in found
    assert not decision.get("sealed")


def test_nor_does_it_where_there_are_several(tmp_path):
    one = compiled(CONFIG, tmp_path)
    body, decision = thought(one, "several")
    assert orjson.loads(body)["messages"][1]["content"] == [THOUGHT, CALL]
    for backend in one.group("several").backends:
        exchange = UpstreamExchange(one)
        attributes = {BACKEND: backend.id, ATTEMPT: 1}
        exchange.receive(events.RequestHeaders({}, False, attributes, {DECISION: decision}))
        effect, _ = exchange.receive(events.RequestBody(body, True))
        found = orjson.loads(effect.body)
        assert "thinking" not in orjson.dumps(found).decode()
        assert (found["messages"][1].get("content") == [CALL]) == (backend.provider == "claude")
