"""Bodies as each provider takes them."""

import copy
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.chat.losses import Losses
from extproc.providers.api import Call
from extproc.providers.known import KNOWN
from extproc.providers.quirks import QUIRKS
from tests.unit.providers.support import one

USER = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def adjusted(tmp_path, fields, body, format_="openai-chat", operation="chat", model="m", **more):
    kind = one(tmp_path, fields).kind
    call, losses, before = Call(format_, operation, model, **more), Losses(), copy.deepcopy(body)
    found = kind.adjust(body, call, losses)
    assert body == before
    assert kind.adjusts(call) or found is body
    assert kind.adjust(found, call, Losses()) is found
    return found, [path for path, _ in losses.found]


PLAIN = {"model": "m", "messages": [USER], "temperature": 1, "tools": [TOOL], "stream": True}


@pytest.mark.parametrize("type_", [*(each for each in KNOWN if KNOWN[each].formats and each != "cerebras")])
def test_what_needs_no_change_is_the_same_object(tmp_path, type_):
    found, lost = adjusted(tmp_path, f"{{type: {type_}, keys: env:K}}", PLAIN)
    assert found is PLAIN
    assert lost == []


def test_openai_is_not_even_parsed(tmp_path):
    kind = one(tmp_path, "{type: openai, keys: env:K}").kind
    assert not kind.adjusts(Call("openai-chat", "chat", "m"))
    assert not one(tmp_path, "{type: mistral, keys: env:K}").kind.adjusts(Call("openai-embeddings", "embeddings", "m"))


MISTRAL = "{type: mistral, keys: env:K}"


def test_mistral_knows_other_names_and_fewer_members(tmp_path):
    body = {
        "model": "m",
        "messages": [{"role": "developer", "content": "be brief"}, {**USER, "name": "ann"}],
        "max_completion_tokens": 5,
        "seed": 7,
        "user": "u",
        "logprobs": True,
        "stream_options": {"include_usage": True},
        "parallel_tool_calls": False,
    }
    found, lost = adjusted(tmp_path, MISTRAL, body)
    assert found == {
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, USER],
        "max_tokens": 5,
        "random_seed": 7,
        "parallel_tool_calls": False,
    }
    assert lost == ["user", "logprobs", "messages[1].name"]
    assert not one(tmp_path, MISTRAL).kind.stream_usage


def test_where_both_names_stand_the_providers_own_wins(tmp_path):
    found, lost = adjusted(tmp_path, MISTRAL, {"messages": [], "max_tokens": 3, "max_completion_tokens": 5})
    assert found == {"messages": [], "max_tokens": 3}
    assert lost == ["max_completion_tokens"]


def test_mistrals_ids_are_short_and_results_find_their_calls(tmp_path):
    def call(id_):
        return {"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}}

    body = {
        "messages": [
            {"role": "assistant", "tool_calls": [call("call_1"), call("abcdefgh9")]},
            {"role": "tool", "tool_call_id": "abcdefgh9", "name": "f", "content": "b"},
            {"role": "tool", "tool_call_id": "call_1", "content": "a"},
        ]
    }
    found, lost = adjusted(tmp_path, MISTRAL, body)
    first, kept = (each["id"] for each in found["messages"][0]["tool_calls"])
    assert re.fullmatch("[A-Za-z0-9]{9}", first)
    assert kept == "abcdefgh9"
    assert [each["tool_call_id"] for each in found["messages"][1:]] == [kept, first]
    assert found["messages"][1]["name"] == "f"
    assert lost == []


def test_groq(tmp_path):
    body = {"messages": [{**USER, "name": "n"}], "logprobs": True, "top_logprobs": 2, "logit_bias": {"1": 2}, "n": 1}
    found, lost = adjusted(tmp_path, "{type: groq, keys: env:K}", body)
    assert found == {"messages": [USER], "n": 1}
    assert lost == ["logprobs", "top_logprobs", "logit_bias", "messages[0].name"]


@pytest.mark.parametrize("type_", ["deepseek", "ollama"])
def test_the_limit_goes_by_its_older_name(tmp_path, type_):
    found, lost = adjusted(tmp_path, f"{{type: {type_}, keys: env:K}}", {"messages": [], "max_completion_tokens": 9})
    assert (found, lost) == ({"messages": [], "max_tokens": 9}, [])


CEREBRAS = "{type: cerebras, keys: env:K, names: {'*': llama-x, a: b}}"


def test_cerebras(tmp_path):
    other = {"type": "custom", "custom": {"name": "c"}}
    body = {"system": "be brief", "messages": [USER], "tools": [TOOL, other], "frequency_penalty": 1}
    found, lost = adjusted(tmp_path, CEREBRAS, body)
    assert found == {
        "messages": [{"role": "system", "content": "be brief"}, USER],
        "tools": [{**TOOL, "function": {**TOOL["function"], "strict": True}}, other],
        "parallel_tool_calls": False,
    }
    assert lost == ["frequency_penalty"]


def test_what_the_client_set_stays_with_cerebras(tmp_path):
    own = {"role": "system", "content": "mine"}
    body = {"system": "other", "messages": [own, USER], "tools": [TOOL], "parallel_tool_calls": True}
    found, _ = adjusted(tmp_path, CEREBRAS, body)
    assert found["messages"] == [own, USER]
    assert found["parallel_tool_calls"] is True
    assert adjusted(tmp_path, CEREBRAS, {"system": "s"})[0] == {"messages": [{"role": "system", "content": "s"}]}
    assert "parallel_tool_calls" not in adjusted(tmp_path, CEREBRAS, {"messages": [USER], "tools": []})[0]


def test_any_name_becomes_the_configured_model(tmp_path):
    kind = one(tmp_path, CEREBRAS).kind
    assert [kind.own_name(each) for each in ("a", "gpt-4o", "llama-x")] == ["b", "llama-x", "llama-x"]
    assert kind.renames
    assert not one(tmp_path, "{type: cerebras, keys: env:K}").kind.renames


CLAUDE = {"model": "claude", "max_tokens": 5, "messages": [USER], "stream": True}


def test_claude_on_vertex(tmp_path):
    fields = "{type: vertex, machine: true, project: p}"
    found, _ = adjusted(tmp_path, fields, CLAUDE, "anthropic-messages", model="claude-x")
    assert found == {
        "max_tokens": 5,
        "messages": [USER],
        "stream": True,
        "anthropic_version": "vertex-2023-10-16",
    }
    body = {"model": "claude", "messages": [USER]}
    found, _ = adjusted(tmp_path, fields, body, "anthropic-count", "count_tokens", "claude-x@1")
    assert found == {"model": "claude-x@1", "messages": [USER], "anthropic_version": "vertex-2023-10-16"}
    assert not one(tmp_path, fields).kind.adjusts(Call("gemini", "chat", "m"))


def test_claude_on_bedrock(tmp_path):
    fields = "{type: bedrock, region: eu-west-1, keys: env:K}"
    found, _ = adjusted(tmp_path, fields, CLAUDE, "bedrock-invoke-anthropic", betas=("a", "b"))
    assert found == {
        "max_tokens": 5,
        "messages": [USER],
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["a", "b"],
    }
    said = {"messages": [USER], "anthropic_version": "bedrock-later", "anthropic_beta": ["c"]}
    assert adjusted(tmp_path, fields, said, "bedrock-invoke-anthropic", betas=("a",))[0] is said


@pytest.mark.parametrize(
    ("format_", "operation", "body", "wanted"),
    [
        ("gemini", "chat", {"model": "models/old"}, {"model": "models/old"}),
        ("gemini-embed", "embeddings", {"model": "models/old", "content": {}}, {"model": "models/m", "content": {}}),
        ("gemini-embed", "embeddings", {"content": {}}, {"content": {}}),
        (
            "gemini-batch-embed",
            "embeddings",
            {"requests": [{"model": "old", "content": {}}, {"content": {}}, 7]},
            {"requests": [{"model": "models/m", "content": {}}, {"model": "models/m", "content": {}}, 7]},
        ),
        (
            "gemini-count",
            "count_tokens",
            {"generateContentRequest": {"model": "models/old", "contents": []}},
            {"generateContentRequest": {"model": "models/m", "contents": []}},
        ),
        ("gemini-count", "count_tokens", {"contents": []}, {"contents": []}),
    ],
)
def test_gemini_bodies_name_the_model_of_the_path(tmp_path, format_, operation, body, wanted):
    assert adjusted(tmp_path, "{type: gemini, keys: env:K}", body, format_, operation)[0] == wanted


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["messages", "tools", "system", "max_tokens", "max_completion_tokens", "seed", "user", "parallel_tool_calls", "x"]
)
PIECES = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["role", "name", "tool_calls", "tool_call_id", "function"], JSON)
)


@pytest.mark.parametrize("quirks", QUIRKS.values(), ids=QUIRKS)
@given(st.dictionaries(NAMES, JSON | st.lists(PIECES | JSON, max_size=3), max_size=6))
def test_no_body_breaks_a_quirk_and_twice_is_once(quirks, body):
    before = copy.deepcopy(body)
    losses = Losses()
    found = quirks.applied(body, losses)
    assert body == before
    assert quirks.applied(found, Losses()) is found
    if found is body:
        assert losses.count == 0
    assert set(body) - set(found) <= quirks.dropped | quirks.implied | set(quirks.renamed) | {"system"}
