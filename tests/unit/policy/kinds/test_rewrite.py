"""The operator's system prompt, parameters and models."""

import pytest

from extproc.policy.api import Outcome, Tally
from extproc.policy.request import Request
from extproc.policy.requests import judge
from tests.unit.policy.kinds.support import ask, compiled

S = {"role": "system", "content": "sys"}
D = {"role": "developer", "content": "dev"}
U = {"role": "user", "content": "hi"}


def rewritten(config, body, **about):
    decision, _ = ask({"kind": "rewrite", **config}, body, **about)
    assert decision.outcome is (
        Outcome.REDACT if decision.edits or decision.model != body.get("model", "") else Outcome.ALLOW
    )
    return decision.body


def operator(text):
    return {"role": "system", "content": text}


@pytest.mark.parametrize(
    ("system", "before", "after"),
    [
        ({"prepend": "A"}, [U], [operator("A"), U]),
        ({"prepend": "A"}, [], [operator("A")]),
        ({"prepend": "A"}, [S, U], [operator("A"), S, U]),
        ({"append": "B"}, [S, D, U, S], [S, D, operator("B"), U, S]),
        ({"append": "B"}, [S], [S, operator("B")]),
        ({"append": "B"}, [U], [operator("B"), U]),
        ({"prepend": "A", "append": "B"}, [S, U], [operator("A"), S, operator("B"), U]),
        ({"prepend": "A", "append": "B"}, [U], [operator("A\n\nB"), U]),
        ({"replace": "R"}, [S, D, U, {"role": "System", "content": "x"}], [operator("R"), U]),
        ({"replace": "R"}, [U], [operator("R"), U]),
        ({"replace": "R"}, [S], [operator("R")]),
    ],
)
def test_chat_messages(system, before, after):
    assert rewritten({"system": system}, {"messages": before})["messages"] == after


T = {"type": "text", "text": "sys"}


@pytest.mark.parametrize(
    ("format_", "system", "before", "after"),
    [
        ("openai-responses", {"prepend": "A"}, {}, {"instructions": "A"}),
        ("openai-responses", {"prepend": "A", "append": "B"}, {"instructions": "sys"}, {"instructions": "A\n\nsys\n\nB"}),
        ("openai-responses", {"replace": "R"}, {"instructions": "sys", "input": [D, U]}, {"instructions": "R", "input": [U]}),
        ("openai-responses", {"replace": "R"}, {"input": "hi"}, {"input": "hi", "instructions": "R"}),
        ("anthropic-messages", {"prepend": "A"}, {}, {"system": "A"}),
        ("anthropic-messages", {"append": "B"}, {"system": "sys"}, {"system": "sys\n\nB"}),
        ("anthropic-messages", {"prepend": "A", "append": "B"}, {"system": [T]},
         {"system": [{"type": "text", "text": "A"}, T, {"type": "text", "text": "B"}]}),
        ("anthropic-messages", {"replace": "R"}, {"system": [T]}, {"system": "R"}),
        ("anthropic-messages", {"prepend": "A"}, {"system": 7}, {"system": "A"}),
        ("gemini", {"prepend": "A"}, {}, {"systemInstruction": {"parts": [{"text": "A"}]}}),
        ("gemini", {"prepend": "A"}, {"system_instruction": {"parts": [{"text": "s"}]}},
         {"system_instruction": {"parts": [{"text": "A"}, {"text": "s"}]}}),
        ("gemini", {"append": "B"}, {"systemInstruction": {"parts": {"text": "s"}}},
         {"systemInstruction": {"parts": [{"text": "s"}, {"text": "B"}]}}),
        ("gemini", {"append": "B"}, {"systemInstruction": {"role": "x"}},
         {"systemInstruction": {"role": "x", "parts": [{"text": "B"}]}}),
        ("gemini", {"replace": "R"}, {"systemInstruction": {"parts": [{"text": "s"}]}},
         {"systemInstruction": {"parts": [{"text": "R"}]}}),
        ("bedrock-converse", {"prepend": "A", "append": "B"}, {"system": [{"text": "s"}]},
         {"system": [{"text": "A"}, {"text": "s"}, {"text": "B"}]}),
        ("bedrock-converse", {"replace": "R"}, {}, {"system": [{"text": "R"}]}),
        ("openai-completions", {"replace": "R"}, {"prompt": "x"}, {"prompt": "x"}),
        ("openai-embeddings", {"prepend": "R"}, {"input": "x"}, {"input": "x"}),
    ],
)  # fmt: skip
def test_other_formats(format_, system, before, after):
    assert rewritten({"system": system}, before, format=format_) == after


def test_templates_know_three_words_and_nothing_of_the_client():
    text = "{model} {operation} {date} {user} {{date}} $& \\1 {0} {}"
    body = rewritten({"system": {"prepend": text}}, {"model": "m-1", "messages": [U], "user": "eve"}, now=86400.0 * 365)
    assert body["messages"][0]["content"] == "m-1 chat 1971-01-01 {user} {1971-01-01} $& \\1 {0} {}"


def test_the_model_in_a_template_is_the_one_that_is_asked():
    config = {"system": {"prepend": "{model}"}, "models": {"gpt-*": "small"}}
    assert rewritten(config, {"model": "gpt-4", "messages": []})["messages"] == [operator("small")]


def test_a_body_without_messages_fails_and_does_not_pass():
    policy = compiled({"kind": "rewrite", "system": {"prepend": "A"}})
    for body in ({}, {"messages": None}, {"messages": "x"}):
        assert judge([policy], Request("chat", "m", body), Tally()).outcome is Outcome.BLOCK


@pytest.mark.parametrize(
    ("config", "before", "after"),
    [
        ({"set": {"temperature": 0}}, {"a": 1}, {"a": 1, "temperature": 0}),
        ({"set": {"temperature": 0}}, {"temperature": 2}, {"temperature": 0}),
        ({"set": {"temperature": 0}}, {"temperature": 0}, {"temperature": 0}),
        ({"set": {"temperature": 0}}, {"temperature": False}, {"temperature": 0}),
        ({"set": {"temperature": 0}}, {"Temperature": 2, "temp_erature": 1}, {"temperature": 0}),
        ({"set": {"a.b": [1], "a.c": None}}, {}, {"a": {"b": [1]}}),
        ({"set": {"a.b": 1, "a.c.d": 2, "a.c.e": 3}}, {"a": "text"}, {"a": {"b": 1, "c": {"d": 2, "e": 3}}}),
        ({"set": {"a.b": 1, "a.c": 2}}, {}, {"a": {"b": 1, "c": 2}}),
        ({"set": {"a.b": 1}}, {"a": {"x": 0}}, {"a": {"x": 0, "b": 1}}),
        ({"set": {"a.b": 1}}, {"a": "text"}, {"a": {"b": 1}}),
        ({"set": {"a.b": 1}}, {"a": None}, {"a": {"b": 1}}),
        ({"remove": "top_p"}, {"top_p": 1, "topP": 2, "TOP-P": 3, "x": {"top_p": 4}}, {"x": {"top_p": 4}}),
        ({"remove": ["a.b", "c"]}, {"a": {"b": 1, "d": 2}, "c": 3}, {"a": {"d": 2}}),
        ({"remove": "gone"}, {"a": 1}, {"a": 1}),
        ({"set": {"store": False}, "remove": "metadata"}, {"metadata": {"x": "y"}}, {"store": False}),
    ],
)  # fmt: skip
def test_parameters(config, before, after):
    body = rewritten(config, before)
    assert body == after
    assert list(map(type, body.values())) == list(map(type, after.values()))


def test_gemini_keeps_its_spelling():
    body = {"generation_config": {"top_k": 5}}
    assert rewritten({"set": {"generationConfig.topK": 1}}, body, format="gemini") == {
        "generation_config": {"top_k": 1}
    }


def test_models():
    config = {"models": {"gpt-4o": "exact", "gpt-*": "small"}}
    for name, wanted in (("gpt-4o", "exact"), ("gpt-4", "small"), ("o3", "o3"), ("GPT-4", "GPT-4")):
        decision, _ = ask({"kind": "rewrite", **config}, {"model": name})
        assert (decision.model, decision.body) == (wanted, {"model": wanted})
        assert decision.outcome is (Outcome.ALLOW if wanted == name else Outcome.REDACT)


def test_nothing_in_the_body_overrules_a_replaced_model():
    body = {
        "model": "gpt-4",
        "Model": "big",
        "models": ["big"],
        "fallbacks": [{"model": "big"}],
        "extra_body": {"model": "big"},
    }
    assert rewritten({"models": {"gpt-*": "small"}}, body) == {"model": "small", "extra_body": {}}
    assert rewritten({"models": {"gpt-*": "small"}, "set": {"extra_body": {"x": 1}}}, body) == {
        "model": "small",
        "extra_body": {"x": 1},
    }
    assert rewritten({"models": {"gpt-*": "small"}}, {"x": 1}, model="gpt-4") == {"x": 1}


@pytest.mark.parametrize(
    ("model", "body", "after"),
    [
        ("amazon.nova-lite-v1:0", {"messages": [], "system": [{"text": "s"}]},
         {"messages": [], "system": [{"text": "A"}, {"text": "s"}]}),
        ("amazon.nova-lite-v1:0", {"messages": []}, {"messages": [], "system": [{"text": "A"}]}),
        ("mistral.mistral-large-2407-v1:0", {"messages": [{"role": "user", "content": "u"}]},
         {"messages": [{"role": "system", "content": "A"}, {"role": "user", "content": "u"}]}),
        ("openai.gpt-oss-20b-1:0", {"messages": []}, {"messages": [{"role": "system", "content": "A"}]}),
        ("cohere.command-r-v1:0", {"message": "u"}, {"message": "u", "preamble": "A"}),
        ("meta.llama3-70b-instruct-v1:0", {"prompt": "u"}, {"prompt": "u"}),
        ("amazon.titan-text-express-v1", {"inputText": "u"}, {"inputText": "u"}),
        ("mistral.mistral-7b-instruct-v0:2", {"prompt": "u"}, {"prompt": "u"}),
    ],
)  # fmt: skip
def test_invoke_model_has_the_operators_words_where_its_maker_has_a_place(model, body, after):
    decision, _ = ask({"kind": "rewrite", "system": {"prepend": "A"}}, body, model=model, format="bedrock-invoke")
    assert decision.body == after
