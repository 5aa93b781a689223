"""Thoughts without a signature do not go back to Claude; a request that must begin with one goes on without thinking."""

import json

import pytest

from extproc.chat.losses import Losses
from extproc.formats.unsigned import suspected, without

CLAUDE = "claude-sonnet-4-5"
ASK = {"role": "user", "content": "hi"}
BLANK = {"type": "thinking", "thinking": "x", "signature": ""}
SIGNED = {"type": "thinking", "thinking": "x", "signature": "abcd"}
SEALED = {"type": "redacted_thinking", "data": "abcd"}
CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {"signature": ""}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "1"}]}
BUDGET = {"type": "enabled", "budget_tokens": 1024}


def said(*blocks):
    return {"role": "assistant", "content": list(blocks)}


def run(body, format_="anthropic-messages", model=CLAUDE):
    losses = Losses()
    raw = json.dumps(body).encode()
    out = without(format_, model, raw, losses)
    return json.loads(out), losses.found, out is raw


def test_a_signed_conversation_is_the_same_object():
    body = {"messages": [ASK, said(SIGNED, SEALED, CALL), RESULT], "thinking": BUDGET}
    assert run(body)[1:] == ([], True)


def test_a_blank_thought_goes_and_thinking_with_it_where_the_turn_must_begin_with_one():
    clear = {"type": "clear_thinking_20251015", "keep": "all"}
    other = {"type": "clear_tool_uses_20250919"}
    body = {
        "messages": [ASK, said(BLANK, CALL), RESULT],
        "thinking": BUDGET,
        "context_management": {"edits": [clear, other]},
    }
    found, losses, _ = run(body)
    assert found == {"messages": [ASK, said(CALL), RESULT], "context_management": {"edits": [other]}}
    assert losses == [
        ("messages[1].content[0]", "a thought without a signature"),
        ("thinking", "the turn it goes on with has no thoughts"),
        ("context_management.edits[0]", "not without thinking"),
    ]


@pytest.mark.parametrize(
    ("messages", "thinking"),
    [
        ([ASK, said(BLANK, SEALED, CALL), RESULT], BUDGET),
        ([ASK, said(BLANK, CALL), RESULT], {"type": "adaptive"}),
        ([ASK, said(BLANK, {"type": "text", "text": "so"}), ASK], BUDGET),
        ([ASK, said(BLANK, CALL), RESULT, said(SIGNED, {"type": "text", "text": "so"}), ASK], BUDGET),
    ],
)
def test_else_thinking_stays(messages, thinking):
    found, _, same = run({"messages": messages, "thinking": thinking})
    assert not same
    assert found["thinking"] == thinking
    assert BLANK not in found["messages"][1]["content"]


def test_a_turn_of_nothing_else_goes_as_a_whole_and_roles_alternate():
    second = {"role": "user", "content": [{"type": "text", "text": "and?"}]}
    found, _, _ = run({"messages": [ASK, said(BLANK), second, said(SIGNED)]})
    text = {"type": "text", "text": "hi"}
    assert found["messages"] == [{"role": "user", "content": [text, *second["content"]]}, said(SIGNED)]


def test_texts_that_a_policy_has_emptied_go_too():
    empty, text = {"type": "text", "text": ""}, {"type": "text", "text": "so"}
    found, losses, _ = run({"messages": [ASK, said(text, empty, empty), ASK, said(empty), ASK]})
    assert found["messages"][:2] == [ASK, said(text)]
    assert [each["role"] for each in found["messages"]] == ["user", "assistant", "user"]
    assert ("messages[1].content[1]", "an empty text") in losses
    first = {"role": "user", "content": [{"text": "hi"}]}
    body = {"messages": [first, said({"text": "so"}, {"text": ""}), first]}
    assert run(body, "bedrock-converse", "amazon.nova-pro-v1:0")[0]["messages"] == [first, said({"text": "so"}), first]


def test_an_empty_text_of_the_users_own_is_left_to_the_provider():
    assert run({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]})[2]


def test_models_of_others_get_their_thoughts_back():
    body = {"messages": [ASK, said(BLANK, CALL), RESULT], "thinking": BUDGET}
    assert run(body, model="deepseek-reasoner")[2]
    assert run(body, "openai-chat")[2]


def test_what_a_user_says_is_no_thought():
    body = {"messages": [{"role": "user", "content": [BLANK]}]}
    assert run(body)[2]


@pytest.mark.parametrize(
    "body", [{"messages": '"signature": ""'}, {"messages": None, "a": BLANK}, {"messages": [BLANK, 1]}]
)
def test_what_cannot_be_read_stays(body):
    assert run(body)[2]


def test_only_blank_signatures_are_worth_parsing():
    assert suspected("anthropic-messages", b'{"signature" : ""}')
    assert not suspected("anthropic-messages", b'{"signature":"a","text":"\\"signature\\":\\"\\""}')
    assert not suspected("gemini", b'{"signature":""}')


# Converse


def thought(**signature):
    return {"reasoningContent": {"reasoningText": {"text": "x", **signature}}}


def converse(*blocks, **thinking):
    call = {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}
    result = {"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [{"text": "1"}]}}]}
    fields = {"additionalModelRequestFields": {"thinking": BUDGET, "top_k": 5}}
    first = {"role": "user", "content": [{"text": "hi"}]}
    return {"messages": [first, said(*blocks, call), result], **fields}


@pytest.mark.parametrize("signature", [{}, {"signature": ""}])
def test_converse_too(signature):
    found, losses, _ = run(converse(thought(**signature)), "bedrock-converse", "eu.anthropic.claude-sonnet-4")
    assert found["messages"] == converse()["messages"]
    assert found["additionalModelRequestFields"] == {"top_k": 5}
    assert ("additionalModelRequestFields.thinking", "the turn it goes on with has no thoughts") in losses


def test_on_converse_others_think_without_signatures():
    body = converse(thought())
    assert run(body, "bedrock-converse", "deepseek.r1")[2]
    assert run(converse(thought(signature="abcd")), "bedrock-converse", "anthropic.claude-x")[2]
    blank = run(converse(thought(signature="")), "bedrock-converse", "arn:aws:bedrock:a:b:c/d")
    assert blank[0]["messages"] == converse()["messages"]
