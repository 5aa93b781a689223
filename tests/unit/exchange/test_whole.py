"""Whole bodies: edited in place, or left as the very object they were."""

import dataclasses
import json

from extproc.exchange.whole import inspect
from extproc.formats.openai_chat import OpenAIChat
from extproc.formats.openai_responses import OpenAIResponses
from extproc.framing.jsontext import parse
from extproc.policy.api import Action, Outcome, Phase, Style, Tally
from extproc.policy.chain import Chain
from tests.property.streams import policy, regex, words

MAIL = policy("mail", regex(r"\b[a-z]{1,20}@[a-z]{1,20}\.com\b", "[mail]"))


def run(raw, *policies, phase=Phase.REQUEST):
    return inspect(OpenAIChat(), Chain(policies), phase, raw, parse(raw), Tally())


def test_what_no_rule_touches_is_the_same_object():
    raw = b'{"model": "m" , "messages":[{"role":"user","content":"hi"}]}'
    for policies in ((), (MAIL,), (policy("a", words("hi"), action=Action.AUDIT),)):
        assert run(raw, *policies)[1] is raw


def test_only_the_text_changes():
    raw = b'{"model":"m", "n":1.0,\n"messages":[ {"role":"user","content":"\\u0061@b.com \\u00e9"} ],"x":12345678901234567890}'
    decision, out = run(raw, MAIL)
    assert decision.outcome is Outcome.REDACT
    assert out == raw.replace(b'"\\u0061@b.com \\u00e9"', '"[mail] é"'.encode())


def test_a_text_after_an_empty_object_is_changed_too():
    raw = b'{"messages":[{"role":"user","content":[{},"a@b.com",{"type":"text","text":"c@d.com"}]}]}'
    assert b"@" not in run(raw, MAIL)[1]


def test_log_probabilities_of_a_changed_choice_are_dropped():
    choice = {"message": {"role": "assistant", "content": "a@b.com"}, "logprobs": {"content": [{"token": "a@b.com"}]}}
    other = {"message": {"role": "assistant", "content": "fine"}, "logprobs": {"content": [{"token": "fine"}]}}
    raw = json.dumps({"choices": [choice, other]}).encode()
    found = json.loads(run(raw, MAIL, phase=Phase.RESPONSE)[1])
    assert found == {"choices": [{"message": {"role": "assistant", "content": "[mail]"}, "logprobs": None}, other]}


def test_arguments_stay_json():
    arguments = '{"body":"Hi\\njohn@x.com","n":4111}'
    raw = json.dumps(
        {"choices": [{"message": {"tool_calls": [{"function": {"name": "send", "arguments": arguments}}]}}]}
    ).encode()
    found = json.loads(run(raw, MAIL, phase=Phase.RESPONSE)[1])
    assert json.loads(found["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]) == {
        "body": "Hi\n[mail]",
        "n": 4111,
    }


def test_a_blocked_body_is_not_edited():
    raw = b'{"messages":[{"role":"user","content":"a@b.com forbidden"}]}'
    decision, out = run(raw, MAIL, policy("stop", words("forbidden"), action=Action.BLOCK))
    assert decision.outcome is Outcome.BLOCK
    assert out is raw


def test_what_one_cut_takes_away_another_need_not_cut():
    stop = dataclasses.replace(policy("p", words("secret"), action=Action.BLOCK), style=Style.TRUNCATE)
    items = [{"type": "message", "content": [{"type": "output_text", "text": f"{name} secret"}]} for name in "ab"]
    raw = json.dumps({"status": "completed", "output": items}).encode()
    decision, out = inspect(OpenAIResponses(), Chain([stop]), Phase.RESPONSE, raw, parse(raw), Tally())
    first, second = parse(out)["output"]
    assert decision.outcome is Outcome.BLOCK
    assert (first["content"][0]["text"], second["content"], parse(out)["status"]) == ("a ", [], "incomplete")
