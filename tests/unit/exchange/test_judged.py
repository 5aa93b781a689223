"""Policies that judge the request as a whole, in an exchange: what reaches the provider and what the client is told."""

import orjson
import pytest

from extproc import events
from extproc.exchange.forward import DECISION
from extproc.exchange.router import RouterExchange
from tests.unit.exchange.support import chat, chat_headers, compiled

CONFIG = """
providers:
  main:  {type: openai-compatible, base_url: "http://127.0.0.1:1/v1", keys: env:MAIN_KEY}
  other: {type: openai-compatible, base_url: "https://other.example/api/v1", keys: env:OTHER_KEY}
models:
  "*":   main
  alias: main/gpt-x
  many:  [main, other]
policies:
"""


def sent(policies, body, folder, path="/v1/chat/completions"):
    exchange = RouterExchange(compiled(CONFIG + policies, folder))
    exchange.receive(chat_headers(**{":path": path}))
    (effect,) = exchange.receive(events.RequestBody(body, True))
    return effect


@pytest.mark.parametrize(("target", "told"), [("small", "small"), ("alias", "gpt-x"), ("many", "many")])
@pytest.mark.parametrize("asked", ["gpt-x", "gpt-y"])
def test_a_replaced_model_is_the_one_that_is_asked(target, told, asked, tmp_path):
    policies = f'  cheap: {{kind: rewrite, models: {{"gpt-*": {target}}}}}'
    effect = sent(policies, chat("hi", model=asked, models=["big"]), tmp_path)
    body = chat("hi", model=asked) if effect.body is None else effect.body
    assert orjson.loads(body) == orjson.loads(chat("hi", model=told))
    assert effect.mutation.metadata[DECISION]["model"] == target


def test_a_replaced_model_overrules_that_of_the_path(tmp_path):
    effect = sent('  cheap: {kind: rewrite, models: {"gpt-*": small}}', orjson.dumps({"messages": []}), tmp_path,
                  "/openai/deployments/gpt-x/chat/completions")  # fmt: skip
    assert orjson.loads(effect.body) == {"model": "small", "messages": []}


def test_what_is_added_leaves_every_other_byte(tmp_path):
    body = b'{ "model" : "gpt-x",\n "temperature":1.0, "messages":[] }'
    effect = sent("  caps: {kind: caps, max_output_tokens: 100}", body, tmp_path)
    assert effect.body == body.replace(b"[] }", b'[],"max_completion_tokens":100 }')


def test_a_refusal_says_why_in_the_clients_format(tmp_path):
    effect = sent("  caps: {kind: caps, max_tools: 0}", chat("hi", tools=[{"type": "web_search"}]), tmp_path)
    assert effect.status == 400
    assert "1 tools; at most 0" in orjson.loads(effect.body)["error"]["message"]


@pytest.mark.parametrize("on_error", ["block", "allow"])
def test_more_settings_than_can_be_judged_are_refused(on_error, tmp_path):
    body = chat("hi", x=[{"n": 1}] * 20_000)
    effect = sent(f"  caps: {{kind: caps, max_choices: 1, on_error: {on_error}}}", body, tmp_path)
    assert effect.status == 413
    assert orjson.loads(effect.body)["error"]["code"] == "too_many_values"
