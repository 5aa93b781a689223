"""Requests for messages, read."""

import pytest

from extproc.chat.losses import Losses
from extproc.chat.parts import Media, Native, Text
from extproc.chat.request import Thinking
from extproc.errors import DecodeError, Unrepresentable
from tests.unit.formats.anthropic.asked import CODEC

# reading requests


def read(**body):
    losses = Losses()
    found = CODEC.decode_request({"model": "m", "max_tokens": 5, "messages": [], **body}, losses)
    return found, losses.found


def blocks(*content, role="user"):
    request, losses = read(messages=[{"role": role, "content": list(content)}])
    return request.messages[0].parts, losses


def test_the_path_may_name_the_model_and_ask_for_a_stream():
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": []}
    losses = Losses()
    request = CODEC.decode_request(body, losses, model="claude-x", stream=True)
    assert (request.model, request.stream, request.usage, losses.count) == ("claude-x", True, True, 0)


@pytest.mark.parametrize("system", [None, "", []])
def test_an_operator_without_a_word_is_none(system):
    assert read(system=system)[0].messages == []


@pytest.mark.parametrize("name", ["container", "mcp_servers", "thread", "inference_geo"])
def test_what_binds_a_request_cannot_be_left_out(name):
    with pytest.raises(Unrepresentable) as raised:
        read(**{name: "x"})
    assert raised.value.path == (name,)
    assert read(**{name: None})[1] == []


def test_unknown_fields_are_lost():
    _, losses = read(
        speed="fast", messages=[{"role": "user", "content": "a", "x": 1}], output_config={"task_budget": {"a": 1}}
    )
    assert set(losses) == {
        ("speed", "unknown field"),
        ("messages[0].x", "unknown field"),
        ("output_config.task_budget", "unknown field"),
    }


def test_a_documents_context_is_kept_as_a_text():
    source = {"type": "text", "media_type": "text/plain", "data": "words"}
    parts, losses = blocks(
        {"type": "document", "source": source, "title": "t", "context": "c", "citations": {"enabled": True}}
    )
    assert parts == [
        Text("c", where=("messages", 0, "content", 0, "context")),
        Media("file", text="words", type="text/plain", name="t", where=("messages", 0, "content", 0)),
    ]
    assert losses == [("messages[0].content[0].citations", "unknown field")]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "search_result", "source": "s", "title": "t", "content": []},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}]}},
        {"type": "image", "source": {"type": "new"}},
        {"type": "container_upload", "file_id": "f"},
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "n"}]},
        {"type": "tool_use", "id": "t", "name": "n", "input": {}, "toolset_name": "browser"},
    ],
)
def test_what_only_this_api_knows_is_native(block):
    parts, _ = blocks(block)
    assert parts == [Native("anthropic-messages", block, ("messages", 0, "content", 0))]


@pytest.mark.parametrize(
    "body",
    [
        {"messages": "a"},
        {"messages": ["a"]},
        {"messages": [{"role": "tool", "content": "a"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": [{"text": "a"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
        {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": "c"}]}]},
        {"temperature": "hot"},
        {"temperature": True},
        {"max_tokens": "5"},
        {"stop_sequences": [1]},
        {"tools": [1]},
        {"tools": [{"description": "a"}]},
        {"tool_choice": {"type": "some"}},
        {"tool_choice": "auto"},
        {"thinking": {"type": "enabled"}},
        {"output_config": {"format": {"type": "grammar"}}},
    ],
)
def test_what_is_no_request_is_refused(body):
    with pytest.raises(DecodeError):
        read(**body)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Thinking(budget=2000)),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, Thinking(budget=-1, show=False)),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, Thinking("low")),
        ({"thinking": {"type": "disabled"}}, Thinking(budget=0)),
        ({"output_config": {"effort": "low"}}, Thinking("low")),
        ({}, None),
    ],
)
def test_thinking_is_read(body, wanted):
    assert read(**body)[0].thinking == wanted
