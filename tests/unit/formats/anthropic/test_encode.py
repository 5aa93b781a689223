"""Requests of other APIs, as Anthropic takes them."""

import base64
import re

import pytest

from extproc.chat.parts import Cache, Media, Message, Native, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.chat.request import OutputShape, Settings, Tool, ToolChoice
from extproc.errors import Unrepresentable
from tests.unit.formats.anthropic.asked import MIDDLE, TOOL, assistant, encoded, talk, user

# conversations


def test_turns_of_one_role_are_one():
    assert talk(user("a"), user("b"), assistant("c"), assistant("d"), user("e")) == [
        ("user", ["a", "b"]),
        ("assistant", ["c", "d"]),
        ("user", ["e"]),
    ]


def test_the_user_begins():
    body, losses = encoded(assistant("a"), user("b"))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert losses == [("messages[1]", "a user's turn was put in front")]
    assert [turn["role"] for turn in encoded(Message("system", [Text("a")]))[0]["messages"]] == ["user"]


def test_the_operators_words_stand_in_front():
    late = Message("system", [Text("b")], where=("messages", 2))
    body, losses = encoded(Message("system", [Text("a")]), user("hi"), late)
    assert body["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert losses == [("messages[2]", "moved to the front")]
    assert encoded(Message("system", [Text("a")]), user("hi"))[0]["system"] == "a"
    assert "system" not in encoded()[0]
    with pytest.raises(Unrepresentable):
        encoded(Message("system", [Media("image", url="https://a")]))


def test_results_come_first_after_the_calls():
    found = talk(
        user("a"),
        assistant(ToolCall("1", "look", "{}"), ToolCall("2", "look", "{}")),
        user("meanwhile"),
        user(ToolResult("1", [Text("x")])),
        user(ToolResult("2", [Text("y")]), "b"),
    )
    assert found[2] == ("user", ["tool_result", "tool_result", "meanwhile", "b"])


def test_texts_without_a_word_go_and_so_does_white_space_at_the_end():
    body, losses = encoded(user("a", " \n"), assistant("b \n"))
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "b"}]},
    ]
    assert [reason for _, reason in losses] == ["an empty text", "white space at the end"]
    assert talk(user("a"), assistant(""), user("b")) == [("user", ["a", "b"])]


@pytest.mark.parametrize("id_", ["call_1", "", "a:b", "a.b", "x" * 65, "é", "a_b"])
def test_ids_of_calls_are_ones_anthropic_takes_and_results_still_match(id_):
    body, _ = encoded(user("a"), assistant(ToolCall(id_, "look", "{}")), user(ToolResult(id_, [])))
    made, matched = body["messages"][1]["content"][0]["id"], body["messages"][2]["content"][0]["tool_use_id"]
    assert made == matched
    assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", made)
    assert made == id_ or id_ in ("", "a:b", "a.b", "x" * 65, "é")


def test_different_ids_stay_different():
    ids = ["a:b", "a.b", "a_b", "a-b"]
    body, _ = encoded(user("a"), assistant(*[ToolCall(id_, "look", "{}") for id_ in ids]))
    assert len({each["id"] for each in body["messages"][1]["content"]}) == 4


@pytest.mark.parametrize(("source", "value"), [("", {}), (" ", {}), ("{}", {}), ('{"a": [1]}', {"a": [1]})])
def test_arguments_are_an_object(source, value):
    body, _ = encoded(user("a"), assistant(ToolCall("1", "look", source)))
    assert body["messages"][1]["content"][0]["input"] == value


@pytest.mark.parametrize(
    "call", [ToolCall("1", "f", "{"), ToolCall("1", "f", "[]"), ToolCall("1", "f", "a", custom=True)]
)
def test_arguments_that_are_none_are_refused(call):
    with pytest.raises(Unrepresentable):
        encoded(user("a"), assistant(call))


def test_only_claudes_own_thoughts_go_back():
    body, losses = encoded(
        user("a"),
        assistant(
            Reasoning("t", "sig", maker="claude"),
            Reasoning("", sealed="box", maker="claude"),
            Reasoning("t", "sig", maker="gemini"),
            Reasoning("t"),
            Reasoning("t", maker="claude"),
            "b",
        ),
    )
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "t", "signature": "sig"},
        {"type": "redacted_thinking", "data": "box"},
        {"type": "text", "text": "b"},
    ]
    assert losses == [("", "reasoning that is not signed by Claude")]


def test_other_formats_parts():
    assert talk(user("a"), assistant(Refusal("no")))[1] == ("assistant", ["no"])
    own = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    body, _ = encoded(user("a"), assistant(Native("anthropic-messages", own)))
    assert body["messages"][1]["content"] == [own]
    for message in (
        assistant(Native("gemini", {})),
        assistant(Media("image", url="https://a")),
        assistant(ToolResult("1", [])),
        user(ToolCall("1", "f", "{}")),
        user(Reasoning("t", "sig", maker="claude")),
    ):
        with pytest.raises(Unrepresentable):
            encoded(user("a"), message)


def test_a_failed_result_and_one_with_a_picture():
    result = ToolResult(
        "1", [Text("x"), Media("image", data="iVBOR", type="image/png")], failed=True, cache=Cache("1h")
    )
    body, _ = encoded(user("a"), assistant(ToolCall("1", "f", "{}")), user(result, ToolResult("2", [Text("y")])))
    assert body["messages"][2]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "1",
            "content": [
                {"type": "text", "text": "x"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBOR"}},
            ],
            "is_error": True,
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {"type": "tool_result", "tool_use_id": "2", "content": "y"},
    ]


def test_marks_for_a_cache():
    body, losses = encoded(
        user(Text("a", Cache(), ("x",)), Text("b", Cache("5m"), ("y",)), Text("c", Cache("2d"), ("z",)))
    )
    marks = [each["cache_control"] for each in body["messages"][0]["content"]]
    assert marks == [{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "5m"}, {"type": "ephemeral"}]
    assert losses == [("z.cache_control.ttl", "no such value")]


# media

PNG = "iVBORw0KGgo="


@pytest.mark.parametrize(
    ("media", "block"),
    [
        (Media("image", url="https://a/b.png"), {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}),
        (
            Media("image", data=PNG),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        ),
        (
            Media("image", url="data:image/jpg;base64,/9j/"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"}},
        ),
        (
            Media("file", data="JVBERi0x", name="a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"},
                "title": "a.pdf",
            },
        ),
        (
            Media("file", data=base64.b64encode("é".encode()).decode(), type="text/csv; charset=utf-8"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}},
        ),
        (
            Media("file", text="words"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
        ),
        (
            Media("file", data=PNG, type="image/png"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        ),
        (Media("file", id="file_01"), {"type": "document", "source": {"type": "file", "file_id": "file_01"}}),
    ],
)
def test_pictures_and_documents(media, block):
    body, losses = encoded(user(media))
    assert body["messages"][0]["content"] == [block]
    assert losses == []


@pytest.mark.parametrize(
    "media",
    [
        Media("audio", data="UklGR", type="audio/wav"),
        Media("video", url="https://a/b.mp4"),
        Media("image", data="PHN2Zz4=", type="image/svg+xml"),
        Media("image", data="AAAA"),
        Media("file", data="UEsD", type="application/zip"),
        Media("file", data="/w==", type="text/plain"),
        Media("file", data="???", type="text/plain"),
        Media("file", id="file-openai"),
        Media("image", url="gs://bucket/a.png"),
    ],
)
def test_what_anthropic_cannot_read_is_refused(media):
    media.where = ("messages", 0, "content", 1)
    with pytest.raises(Unrepresentable) as raised:
        encoded(user(media))
    assert raised.value.path == media.where


def test_what_is_said_about_a_picture_is_lost():
    _, losses = encoded(user(Media("image", url="https://a", detail="high", name="a.png", where=("x",))))
    assert losses == [("x.detail", "no such setting"), ("x.name", "no such setting")]
    assert encoded(user(Media("image", url="https://a", detail="auto")))[1] == []


# tools


def test_tools():
    tools = [
        TOOL,
        Tool("none"),
        Tool("strict", parameters={"properties": {}}, strict=True, cache=Cache()),
        Tool(
            "web_search", native="anthropic-messages", parameters={"type": "web_search_20250305", "name": "web_search"}
        ),
    ]
    body, losses = encoded(tools=tools)
    assert body["tools"] == [
        {"name": "look", "description": "Looks.", "input_schema": TOOL.parameters},
        {"name": "none", "input_schema": {"type": "object", "properties": {}}},
        {
            "name": "strict",
            "input_schema": {"type": "object", "properties": {}},
            "strict": True,
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "web_search_20250305", "name": "web_search"},
    ]
    assert losses == []
    for tool in (Tool("a", custom=True), Tool("a", native="gemini", parameters={}), Tool("a", grammar={})):
        with pytest.raises(Unrepresentable):
            encoded(tools=[tool])


@pytest.mark.parametrize(
    ("choice", "parallel", "wanted"),
    [
        (None, None, None),
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("required"), True, {"type": "any", "disable_parallel_tool_use": False}),
        (ToolChoice("named", ("look",)), False, {"type": "tool", "name": "look", "disable_parallel_tool_use": True}),
        (ToolChoice("none"), None, {"type": "none"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
    ],
)
def test_the_choice_of_tools(choice, parallel, wanted):
    body, losses = encoded(tools=[TOOL], tool_choice=choice, settings=Settings(parallel_tools=parallel))
    assert body.get("tool_choice") == wanted
    assert losses == []


def test_a_choice_that_does_not_fit_is_lost():
    body, losses = encoded(tool_choice=ToolChoice("auto"), settings=Settings(parallel_tools=True))
    assert "tool_choice" not in body
    assert losses == [("tool_choice", "not without tools"), ("settings.parallel_tools", "not without tools")]
    _, losses = encoded(tools=[TOOL], tool_choice=ToolChoice("none"), settings=Settings(parallel_tools=True))
    assert losses == [("settings.parallel_tools", "not without tools")]


def test_tools_that_must_not_be_called_are_not_offered():
    other = Tool("other", where=("tools", 1))
    body, losses = encoded(tools=[TOOL, other], tool_choice=ToolChoice("required", ("look",)))
    assert [tool["name"] for tool in body["tools"]] == ["look"]
    assert losses == [("tools[1]", "a tool that must not be called")]


# settings


def test_settings_anthropic_has_no_word_for_are_lost():
    settings = Settings(
        seed=1, min_p=0.1, frequency_penalty=1, presence_penalty=1, choices=2, verbosity="low", logprobs=0,
        logit_bias={"1": 2}, service_tier="flex", modalities=["text", "audio"], stop=["a", " "],
    )  # fmt: skip
    body, losses = encoded(settings=settings, metadata={"a": "b"}, user="u")
    assert body == {
        "model": MIDDLE, "max_tokens": 4096, "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "stop_sequences": ["a"], "metadata": {"user_id": "u"},
    }  # fmt: skip
    assert {path for path, _ in losses} == {
        "settings.seed", "settings.min_p", "settings.frequency_penalty", "settings.presence_penalty", "settings.choices",
        "settings.verbosity", "settings.logprobs", "settings.logit_bias", "settings.service_tier", "settings.modalities",
        "settings.stop[1]", "metadata",
    }  # fmt: skip
    nothing = Settings(
        frequency_penalty=0, presence_penalty=0.0, choices=1, modalities=["text"], service_tier="default"
    )
    body, losses = encoded(settings=nothing)
    assert losses == []
    assert body["service_tier"] == "standard_only"


def test_losses_are_told_where_the_client_said_it():
    _, losses = encoded(settings=Settings(seed=1), where={"settings.seed": ("generationConfig", "seed")})
    assert losses == [("generationConfig.seed", "no such setting")]


def test_json_output_needs_a_schema():
    body, losses = encoded(output=OutputShape({"type": "object"}, "n", strict=False))
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert losses == [("output", "a schema's name"), ("output", "a schema that need not be kept")]
    body, losses = encoded(output=OutputShape())
    assert "output_config" not in body
    assert losses == [("output", "JSON without a schema")]


def test_a_stream_and_names():
    assert encoded(stream=True)[0]["stream"] is True
    _, losses = encoded(Message("user", [Text("a")], name="jane", where=("messages", 0)))
    assert losses == [("messages[0].name", "no such setting")]
