"""OpenAI chat's requests, field by field: what each becomes, what is lost and told, what is refused."""

import pytest

from extproc.chat.losses import Losses
from extproc.chat.parts import Cache, Media, Message, Native, Reasoning, Text, ToolCall, ToolResult
from extproc.chat.request import OutputShape, Request, Settings, Thinking, Tool, ToolChoice
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.openai_chat.codec import OpenAIChatCodec
from extproc.formats.openai_chat.encode import Dialect
from tests.golden.canonical import bare

CODEC = OpenAIChatCodec()
WIDE = OpenAIChatCodec(Dialect(extensions=True))


def asked(*messages, **more):
    """A request, and what was lost of it."""
    losses = Losses()
    body = {"model": "m", "messages": list(messages), **more}
    return CODEC.decode_request(body, losses), losses.found


def sent(request, codec=CODEC):
    """A body, and what was lost on the way into it."""
    losses = Losses()
    return codec.encode_request(request, losses), losses.found


def user(*parts):
    return Request("m", [Message("user", list(parts))])


# requests in


def test_parts_of_content():
    parts = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a"}},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": "QUJD", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_id": "f1"}},
        {"type": "video_url", "video_url": {"url": "https://example.com/b"}},
        {"type": "new", "new": 1},
    ]
    request, lost = asked({"role": "user", "content": parts, "name": "ann"})
    (message,) = request.messages
    assert bare(message.parts) == [
        Text("a", Cache("1h")),
        Media("image", data="QUJD", type="image/png", detail="low"),
        Media("image", url="https://example.com/a"),
        Media("audio", data="QUJD", type="audio/mpeg"),
        Media("file", data="QUJD", type="application/pdf", name="a.pdf"),
        Media("file", data="QUJD", name="a.pdf"),
        Media("file", id="f1"),
        Media("video", url="https://example.com/b"),
        Native("openai-chat", {"type": "new", "new": 1}),
    ]
    assert [part.where for part in message.parts] == [("messages", 0, "content", at) for at in range(9)]
    assert (message.name, lost) == ("ann", [])
    body, _ = sent(request, WIDE)
    assert body["messages"] == [{"role": "user", "content": parts, "name": "ann"}]


def test_roles_and_results():
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    request, lost = asked(
        {"role": "developer", "content": "s"},
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None, "tool_calls": [call, {**call, "id": "c2"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}]},
        {"role": "user", "content": "and?"},
    )
    assert lost == []
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "user", "user"]
    assert bare(request.messages[3].parts) == [
        ToolResult("c1", [Text("one")], "f"),
        ToolResult("c2", [Text("two")], "f"),
    ]


def test_legacy_functions():
    request, _ = asked(
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "one"},
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
    )
    (call,), (result,) = request.messages[1].parts, request.messages[2].parts
    assert call.id == result.id != ""
    assert (call.name, result.name) == ("f", "f")
    assert bare(request.tools) == [Tool("f", parameters={"type": "object"})]
    assert request.tool_choice == ToolChoice("named", ("f",))
    body, _ = sent(request)
    assert body["messages"][2]["tool_call_id"] == body["messages"][1]["tool_calls"][0]["id"] == call.id


@pytest.mark.parametrize(
    ("field", "value", "where", "wanted"),
    [
        ("max_tokens", 5, "max_output", 5),
        ("temperature", 0.5, "temperature", 0.5),
        ("n", 2, "choices", 2),
        ("stop", "a", "stop", ["a"]),
        ("stop", ["a", "b"], "stop", ["a", "b"]),
        ("logprobs", True, "logprobs", 0),
        ("logprobs", False, "logprobs", None),
        ("parallel_tool_calls", False, "parallel_tools", False),
        ("verbosity", "low", "verbosity", "low"),
        ("service_tier", "flex", "service_tier", "flex"),
        ("modalities", ["text"], "modalities", ["text"]),
    ],
)
def test_settings(field, value, where, wanted):
    request, lost = asked({"role": "user", "content": "q"}, **{field: value})
    assert getattr(request.settings, where) == wanted
    assert lost == []
    assert request.where.get(f"settings.{where}") == ((field,) if wanted is not None else None)


def test_the_newer_limit_counts():
    request, _ = asked({"role": "user", "content": "q"}, max_completion_tokens=1, max_tokens=2)
    assert request.settings.max_output == 1


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"reasoning_effort": "low"}, Thinking("low")),
        ({"reasoning": {"effort": "high", "exclude": True}}, Thinking("high", show=False)),
        ({"reasoning": {"max_tokens": 99}}, Thinking(budget=99)),
        ({"reasoning": {"enabled": True}}, Thinking(budget=-1)),
        ({"reasoning": {"enabled": False}}, Thinking("none")),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, Thinking(budget=1024)),
        ({"thinking": {"type": "disabled"}}, Thinking("none")),
        ({"reasoning_format": "hidden"}, Thinking(show=False)),
        ({"include_reasoning": True}, Thinking(show=True)),
        ({}, None),
    ],
)
def test_thinking(more, wanted):
    assert asked({"role": "user", "content": "q"}, **more)[0].thinking == wanted


def test_tools_and_their_choice():
    grammar = {"syntax": "lark", "definition": "start: A"}
    tools = [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"a": 1}, "strict": True}},
        {"type": "custom", "custom": {"name": "c", "format": {"type": "grammar", "grammar": grammar}}},
        {"type": "openrouter:advisor", "parameters": {}},
    ]
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    search = {"search_context_size": "low"}
    request, lost = asked({"role": "user", "content": "q"}, tools=tools, tool_choice=choice, web_search_options=search)
    assert lost == []
    assert bare(request.tools) == [
        Tool("f", "d", {"a": 1}, True),
        Tool("c", custom=True, grammar=grammar),
        Tool("openrouter:advisor", parameters=tools[2], native="openai-chat"),
        Tool("web_search", parameters={"web_search_options": search}, native="openai-chat"),
    ]
    assert request.tool_choice == ToolChoice("required", ("f",))
    body, lost = sent(request)
    assert (body["tools"], body["tool_choice"], body["web_search_options"], lost) == (tools, choice, search, [])


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ("any", ToolChoice("required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("named", ("f",))),
        ({"type": "custom", "custom": {"name": "f"}}, ToolChoice("named", ("f",))),
        (None, None),
    ],
)
def test_choices_of_tools(choice, wanted):
    assert asked({"role": "user", "content": "q"}, tool_choice=choice)[0].tool_choice == wanted


def test_what_has_no_place_is_told():
    request, lost = asked(
        {"role": "user", "content": "q", "weight": 1}, prediction={}, shiny=1, store=True, user="u", seed=None
    )
    assert sorted(lost) == [
        ("messages[0].weight", "unknown field"),
        ("prediction", "not supported"),
        ("shiny", "unknown field"),
        ("store", "not supported"),
    ]
    assert request.user == "u"


@pytest.mark.parametrize(
    "more",
    [
        {"data_sources": [{}]},
        {"plugins": [{"id": "web"}]},
        {"previous_response_id": "r"},
        {"modalities": ["text", "audio"]},
        {"response_format": {"type": "grammar"}},
    ],
)
def test_what_must_not_be_lost_is_refused(more):
    with pytest.raises(Unrepresentable) as refused:
        asked({"role": "user", "content": "q"}, **more)
    assert refused.value.path == (next(iter(more)),)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": "q"},
        {"messages": ["q"]},
        {"messages": [{"role": "boss"}]},
        {"messages": [{"role": "user", "content": 1}]},
        {"messages": [{"role": "user", "content": [{"text": "no type"}]}]},
        {"messages": [], "temperature": "hot"},
        {"messages": [], "n": True},
        {"messages": [], "tools": {}},
        {"messages": [], "tool_choice": "whatever"},
        {"messages": [], "model": 1},
    ],
)
def test_what_is_no_request_is_none(body):
    with pytest.raises(DecodeError):
        CODEC.decode_request(body, Losses())


# requests out


def test_settings_are_kept_within_what_is_accepted():
    request = Request(
        "m", settings=Settings(temperature=3.0, stop=list("abcdef"), top_k=5, service_tier="standard_only")
    )
    request.where["settings.top_k"] = ("generationConfig", "topK")
    body, lost = sent(request)
    assert (body["temperature"], body["stop"]) == (2, ["a", "b", "c", "d"])
    assert "top_k" not in body
    assert "service_tier" not in body
    assert ("generationConfig.topK", "not supported") in lost
    assert len(lost) == 3
    assert sent(request, WIDE)[0]["top_k"] == 5


@pytest.mark.parametrize(
    ("thinking", "wanted", "wide"),
    [
        (Thinking("max"), {"reasoning_effort": "xhigh"}, {"reasoning_effort": "xhigh"}),
        (Thinking(budget=9000), {"reasoning_effort": "medium"}, {"reasoning": {"max_tokens": 9000}}),
        (Thinking(budget=0), {}, {"reasoning": {"enabled": False}}),
        (Thinking(budget=-1), {}, {"reasoning": {"enabled": True}}),
        (Thinking("low", show=False), {"reasoning_effort": "low"}, {"reasoning": {"effort": "low", "exclude": True}}),
    ],
)
def test_thinking_in_the_words_of_the_provider(thinking, wanted, wide):
    def told(codec):
        body, _ = sent(Request("m", thinking=thinking), codec)
        return {name: value for name, value in body.items() if name.startswith("reasoning")}

    assert told(CODEC) == wanted
    assert told(WIDE) == wide


def test_ids_that_are_too_long_still_match():
    long = "toolu_" + "x" * 60
    messages = [Message("assistant", [ToolCall(long, "f", "{}")]), Message("user", [ToolResult(long, [Text("r")])])]
    for dialect in (Dialect(), Dialect(short_ids=True)):
        body, _ = sent(Request("m", messages), OpenAIChatCodec(dialect))
        call, result = body["messages"]
        assert call["tool_calls"][0]["id"] == result["tool_call_id"] != long
        assert len(result["tool_call_id"]) == (9 if dialect.short_ids else 37)


def test_results_come_first_and_pictures_follow_them():
    parts = [Text("see"), ToolResult("c", [Text("r"), Media("image", url="https://example.com/a")], failed=True)]
    body, lost = sent(user(*parts))
    assert body["messages"] == [
        {"role": "tool", "tool_call_id": "c", "content": "r"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "https://example.com/a"}},
                {"type": "text", "text": "see"},
            ],
        },
    ]
    assert [reason for _, reason in lost] == ["failure of a tool", "moved out of a tool's result"]


@pytest.mark.parametrize(
    "request_",
    [
        user(Native("gemini", {})),
        user(Media("file", url="https://example.com/a.pdf")),
        user(Media("video", url="https://example.com/a")),
        user(Media("image", id="f")),
        Request("m", [Message("system", [Media("image", url="https://example.com/a")])]),
        Request("m", [Message("assistant", [Media("image", url="https://example.com/a")])]),
        Request("m", tools=[Tool("x", native="gemini")]),
    ],
)
def test_content_that_cannot_be_said_is_refused(request_):
    with pytest.raises(Unrepresentable):
        sent(request_)


def test_reasoning_goes_only_where_it_is_understood():
    thought = Reasoning("t", signature="s", maker="claude", where=("messages", 0))
    request = Request("m", [Message("assistant", [thought, Text("a")])])
    body, lost = sent(request)
    assert body["messages"] == [{"role": "assistant", "content": "a"}]
    assert lost == [("messages[0]", "reasoning")]
    (message,) = sent(request, WIDE)[0]["messages"]
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "text": "t", "signature": "s", "format": "anthropic-claude-v1", "index": 0}
    ]


def test_the_limit_is_called_what_the_server_knows():
    request = Request("m", settings=Settings(max_output=5))
    assert sent(request)[0]["max_completion_tokens"] == 5
    assert sent(request, OpenAIChatCodec(Dialect(output="max_tokens")))[0]["max_tokens"] == 5


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        (OutputShape(), {"type": "json_object"}),
        (
            OutputShape({"type": "object"}, "a name", strict=True),
            {"type": "json_schema", "json_schema": {"name": "a_name", "schema": {"type": "object"}, "strict": True}},
        ),
        (OutputShape({}), {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}}}),
    ],
)
def test_shapes_of_output(shape, wanted):
    assert sent(Request("m", output=shape))[0]["response_format"] == wanted


def test_usage_of_a_stream_is_asked_for_where_it_is_wanted():
    assert "stream_options" not in sent(Request("m", stream=True))[0]
    assert sent(Request("m", stream=True, usage=True))[0]["stream_options"] == {"include_usage": True}
