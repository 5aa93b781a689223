"""Requests written for Converse: what the API wants, what is lost, what cannot be said; and single fields read."""

import json

import pytest

from extproc.chat.losses import Losses
from extproc.chat.parts import Cache, Media, Message, Native, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.chat.request import OutputShape, Request, Settings, Thinking, Tool, ToolChoice
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.bedrock.codec import ConverseCodec

CODEC = ConverseCodec()
OLD = "anthropic.claude-3-7-sonnet-20250219-v1:0"
NEW = "us.anthropic.claude-opus-4-8"
NOVA = "us.amazon.nova-2-lite-v1:0"
GPT = "openai.gpt-oss-120b-1:0"
QUESTION = Message("user", [Text("hi")])


def written(*messages, model=OLD, **more):
    lost = Losses()
    body = CODEC.encode_request(Request(model, list(messages) or [QUESTION], **more), lost)
    return body, dict(lost.found)


def turn(*parts, role="user"):
    return Message(role, list(parts))


def refused(*parts, role="user", **more):
    with pytest.raises(Unrepresentable) as caught:
        written(turn(*parts, role=role), **more)
    return caught.value.what


def test_roles_alternate_the_user_begins_and_the_operator_stands_in_front():
    body, lost = written(
        Message("assistant", [Text("a")]),
        Message("system", [Text("s", cache=Cache("1h"))], where=("messages", 1)),
        Message("user", [Text("b")]),
        Message("user", [Text(""), Text("c")], "bob", ("messages", 3)),
    )
    assert [(each["role"], [block["text"] for block in each["content"]]) for each in body["messages"]] == [
        ("user", ["(The conversation begins with the assistant.)"]),
        ("assistant", ["a"]),
        ("user", ["b", "c"]),
    ]
    assert body["system"] == [{"text": "s"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    assert lost["messages[1]"] == "moved to the front"
    assert lost["messages[3].name"] == "no such setting"


def test_results_stand_first_and_match_their_calls_whatever_the_ids_are():
    long = "call|" + "x" * 100
    body, _ = written(
        QUESTION,
        turn(Text("look"), ToolCall(long, "f", '{"a": 1}'), ToolCall("ok-1.2:3", "g"), role="assistant"),
        turn(
            Text("so"),
            ToolResult(long, [Text("r"), Media("image", data="aGk=", type="image/png")], failed=True),
            ToolResult("ok-1.2:3", []),
        ),
    )
    said, answered = body["messages"][1]["content"], body["messages"][2]["content"]
    id_ = said[1]["toolUse"]["toolUseId"]
    assert len(id_) <= 64
    assert said[1]["toolUse"] == {"toolUseId": id_, "name": "f", "input": {"a": 1}}
    assert said[2]["toolUse"] == {"toolUseId": "ok-1.2:3", "name": "g", "input": {}}
    image = {"image": {"format": "png", "source": {"bytes": "aGk="}}}
    assert answered == [
        {"toolResult": {"toolUseId": id_, "content": [{"text": "r"}, image], "status": "error"}},
        {"toolResult": {"toolUseId": "ok-1.2:3", "content": []}},
        {"text": "so"},
    ]


def test_tools_that_were_called_are_declared():
    talk = (QUESTION, turn(ToolCall("1", "f", "{}"), role="assistant"), turn(ToolResult("1", [Text("r")])))
    body, lost = written(*talk)
    assert [each["toolSpec"]["name"] for each in body["toolConfig"]["tools"]] == ["f"]
    assert lost == {"tools": "declared because they were called"}
    body, lost = written(*talk, tools=[Tool("f")], tool_choice=ToolChoice("none"))
    assert "toolChoice" not in body["toolConfig"]
    assert lost == {"tool_choice": "not with calls in the conversation"}


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (ToolChoice("auto"), {"auto": {}}),
        (ToolChoice("required"), {"any": {}}),
        (ToolChoice("named", ("f",)), {"tool": {"name": "f"}}),
        (None, None),
    ],
)
def test_the_choice_of_tools(choice, said):
    tool = Tool("f", "what", {"properties": {}}, True, cache=Cache())
    body, _ = written(tools=[tool], tool_choice=choice)
    assert body["toolConfig"].get("toolChoice") == said
    spec = {
        "name": "f",
        "description": "what",
        "inputSchema": {"json": {"type": "object", "properties": {}}},
        "strict": True,
    }
    assert body["toolConfig"]["tools"] == [{"toolSpec": spec}, {"cachePoint": {"type": "default"}}]


def test_tools_that_may_not_be_called_are_left_out():
    body, lost = written(tools=[Tool("f"), Tool("g", where=("tools", 1))], tool_choice=ToolChoice("required", ("f",)))
    assert [each["toolSpec"]["name"] for each in body["toolConfig"]["tools"]] == ["f"]
    assert lost == {"tools[1]": "a tool that must not be called"}
    body, lost = written(tools=[Tool("f")], tool_choice=ToolChoice("none"))
    assert "toolConfig" not in body
    _, lost = written(tools=[Tool("f")], settings=Settings(parallel_tools=False))
    assert lost == {"settings.parallel_tools": "no such setting"}


def test_what_cannot_be_said_is_refused():
    assert refused(Native("openai-chat", {})) == "a part that only another format knows"
    assert refused(ToolCall("1", "f"), role="user") == "this part in a turn of the user"
    assert refused(ToolResult("1", []), role="assistant") == "this part in a turn of the assistant"
    assert refused(ToolCall("1", "f", "x", custom=True), role="assistant") == "a call of a tool that takes text"
    assert refused(ToolCall("1", "f", "[1"), role="assistant") == "arguments that are no JSON object"
    assert refused(ToolCall("1", "my.tool", "{}"), role="assistant") == "the name of a tool"
    assert refused(Media("image", url="https://example.com/a.png", type="image/png")) == "a file that is somewhere else"
    assert refused(Media("file", id="file-1", name="a.pdf")) == "a file that is somewhere else"
    assert refused(Media("image", data="AAAA")) == "an image of a type that is not taken"
    assert refused(Media("file", data="AAAA", type="application/zip")) == "a document of a type that is not taken"
    assert refused(Reasoning("x"), role="system") == "anything but text in a system message"
    assert refused(Text("x"), tools=[Tool("f", custom=True)]) == "a tool that takes text"
    assert refused(Text("x"), tools=[Tool("f", native="gemini", parameters={})]) == "a tool that another provider has"
    assert refused(Text("x"), tools=[Tool("a b")]) == "the name of a tool"


def test_files_and_their_names():
    files = [
        Media("file", data="QQ==", type="application/pdf", name="a_b..c  d.pdf"),
        Media("file", text="words", name="notes"),
        Media("file", data="QQ==", type="text/x-python"),
        Media("file", data="JVBERi0xLjQ="),
        Media("file", url="data:application/pdf;base64,QQ=="),
        Media("image", data="/9j/4AAQ", detail="high"),
        Media("video", url="s3://films/a.mp4", type="video/mp4"),
        Media("audio", data="QQ==", type="audio/mp3"),
    ]
    body, lost = written(turn(*files))
    found = [next(iter(each.items())) for each in body["messages"][0]["content"]]
    assert [(kind, each["format"], each.get("name")) for kind, each in found] == [
        ("document", "pdf", "a-b-c d-pdf"),
        ("document", "txt", "notes"),
        ("document", "txt", "document"),
        ("document", "pdf", "document 2"),
        ("document", "pdf", "document 3"),
        ("image", "jpeg", None),
        ("video", "mp4", None),
        ("audio", "mp3", None),
    ]
    assert found[1][1]["source"] == {"text": "words"}
    assert found[4][1]["source"] == {"bytes": "QQ=="}
    assert found[6][1]["source"] == {"s3Location": {"uri": "s3://films/a.mp4"}}
    assert lost == {"name": "clamped", "detail": "no such setting"}


def test_reasoning_goes_back_to_its_maker_only():
    parts = [
        Reasoning("a", "sig", maker="claude"),
        Reasoning("", sealed="seal", maker="claude"),
        Reasoning("b", "sig", maker="gemini"),
        Reasoning("c", maker="claude"),
        Refusal("no"),
    ]
    body, lost = written(QUESTION, turn(*parts, role="assistant"))
    signed = {"reasoningContent": {"reasoningText": {"text": "a", "signature": "sig"}}}
    assert body["messages"][1]["content"] == [signed, {"reasoningContent": {"redactedContent": "seal"}}, {"text": "no"}]
    assert lost
    body, _ = written(QUESTION, turn(*parts, role="assistant"), model=GPT)
    assert body["messages"][1]["content"] == [{"text": "no"}]
    body, _ = written(
        QUESTION, turn(*parts, role="assistant"), model="arn:aws:bedrock:eu-west-1:1:application-inference-profile/x"
    )
    assert body["messages"][1]["content"][0] == signed


@pytest.mark.parametrize(
    ("model", "wanted", "more", "lost"),
    [
        (OLD, Thinking(budget=2000), {"thinking": {"type": "enabled", "budget_tokens": 2000}}, ""),
        (OLD, Thinking("low"), {"thinking": {"type": "enabled", "budget_tokens": 2048}}, ""),
        (OLD, Thinking(budget=5), {"thinking": {"type": "enabled", "budget_tokens": 1024}}, ""),
        (OLD, Thinking("none"), {"thinking": {"type": "disabled"}}, ""),
        (OLD, Thinking("max"), {"thinking": {"type": "enabled", "budget_tokens": 2048}}, "clamped"),
        (NEW, Thinking("high"), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, ""),
        (NEW, Thinking("minimal"), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, "clamped"),
        (NEW, Thinking("weird"), {"thinking": {"type": "adaptive"}}, "no such value"),
        (NEW, Thinking(budget=-1, show=True), {"thinking": {"type": "adaptive", "display": "summarized"}}, ""),
        (
            NEW,
            Thinking(budget=16000),
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
            "a budget is told as an effort",
        ),
        (NOVA, Thinking("medium"), {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}, ""),
        (NOVA, Thinking(budget=0), {"reasoningConfig": {"type": "disabled"}}, ""),
        (GPT, Thinking("xhigh"), {"reasoning_effort": "high"}, "clamped"),
        ("qwen.qwen3-32b-v1:0", Thinking("low"), {"reasoning_config": "low"}, ""),
        ("us.deepseek.r1-v1:0", Thinking("low", show=True), None, "no such setting"),
    ],
)
def test_thinking(model, wanted, more, lost):
    body, found = written(model=model, thinking=wanted, settings=Settings(max_output=4096))
    assert body.get("additionalModelRequestFields") == more
    assert found.get("thinking", "") == lost


def test_a_turn_without_thoughts_is_not_gone_on_with_thinking():
    """As Claude's own API: the turn that tools have just answered must begin with thoughts."""
    called, result = turn(ToolCall("c", "f", "{}"), role="assistant"), turn(ToolResult("c", [Text("1")]))
    thought = turn(Reasoning("why", signature="sig", maker="claude"), *called.parts, role="assistant")
    more = {"thinking": Thinking("low"), "tools": [Tool("f")]}
    body, lost = written(QUESTION, called, result, **more)
    assert "thinking" not in body.get("additionalModelRequestFields", {})
    assert lost == {"thinking": "the turn it goes on with has no thoughts"}
    body, lost = written(QUESTION, thought, result, **more)
    assert body["additionalModelRequestFields"]["thinking"]["type"] == "enabled"
    assert lost == {}
    body, _ = written(QUESTION, called, result, turn(Text("ok"), role="assistant"), QUESTION, **more)
    assert body["additionalModelRequestFields"]["thinking"]["type"] == "enabled"
    body, _ = written(QUESTION, called, result, model=NEW, **more)
    assert body["additionalModelRequestFields"]["thinking"]["type"] == "adaptive"


def test_thinking_goes_with_no_forced_tool_and_little_sampling():
    body, lost = written(thinking=Thinking("low"), tools=[Tool("f")], tool_choice=ToolChoice("required"))
    assert "additionalModelRequestFields" not in body
    assert lost == {"thinking": "not together with a tool that must be called"}
    body, lost = written(thinking=Thinking("low"), settings=Settings(temperature=0.5, top_p=0.96, top_k=5))
    assert body["inferenceConfig"] == {"topP": 0.96}
    assert lost["settings.temperature"] == lost["settings.top_k"] == "not together with thinking"
    _, lost = written(thinking=Thinking("low"), settings=Settings(max_output=500))
    assert lost == {"thinking": "no tokens are left to think"}


def test_settings():
    given = Settings(
        max_output=9,
        temperature=1.5,
        top_p=-1,
        top_k=7,
        stop=["", "x"],
        seed=1,
        choices=1,
        frequency_penalty=0.5,
        service_tier="flex",
        modalities=["text", "audio"],
    )
    body, lost = written(settings=given, user="u", metadata={"a": "b", "c": 7, "d": "é"})
    assert body["inferenceConfig"] == {"maxTokens": 9, "temperature": 1.0, "topP": 0.0, "stopSequences": ["x"]}
    assert body["additionalModelRequestFields"] == {"top_k": 7}
    assert (body["serviceTier"], body["requestMetadata"]) == ({"type": "flex"}, {"a": "b"})
    assert set(lost) == {
        "settings.temperature",
        "settings.top_p",
        "settings.seed",
        "settings.frequency_penalty",
        "settings.modalities",
        "user",
        "metadata",
    }
    body, lost = written(model=NOVA, settings=Settings(top_k=7, service_tier="scale"))
    assert body["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 7}}
    assert lost == {"settings.service_tier": "no such value"}
    assert written(model=GPT, settings=Settings(top_k=7))[1] == {"settings.top_k": "no such setting"}
    assert written(model=NEW, settings=Settings(temperature=0.5))[1] == {
        "settings.temperature": "the model does not take it"
    }


def test_the_shape_of_the_output():
    body, lost = written(output=OutputShape({"type": "object"}, "n", "d", strict=False))
    schema = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert (json.loads(schema["schema"]), schema["name"], schema["description"]) == ({"type": "object"}, "n", "d")
    assert lost == {"output": "a schema that need not be kept"}
    assert written(output=OutputShape())[1] == {"output": "JSON without a schema"}


# read


def read(body, model=OLD):
    lost = Losses()
    return CODEC.decode_request(body, lost, model=model), dict(lost.found)


def test_what_would_change_the_question_is_refused():
    with pytest.raises(Unrepresentable):
        read({"messages": [], "guardrailConfig": {"guardrailIdentifier": "g"}})
    with pytest.raises(Unrepresentable):
        read({"messages": []}, "arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:1")


def test_what_is_not_known_is_lost_by_name():
    blocks = [
        {"cachePoint": {"type": "default"}},
        {"text": "a"},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
        {"guardContent": {"text": {"text": "b"}}},
        {"citationsContent": {"content": [{"text": "c"}], "citations": [{}]}},
        {"toolAddition": {"tool": {}}},
    ]
    request, lost = read(
        {
            "messages": [{"role": "user", "content": blocks}],
            "performanceConfig": {"latency": "optimized"},
            "additionalModelRequestFields": {"anthropic_beta": ["x"], "top_k": 3},
            "promptVariables": {},
        }
    )
    parts = request.messages[0].parts
    assert [getattr(each, "text", None) for each in parts] == ["a", "b", "c", None]
    assert parts[0].cache == Cache("1h")
    assert parts[3] == Native("bedrock-converse", blocks[5], ("messages", 0, "content", 5))
    assert request.settings.top_k == 3
    assert set(lost) == {
        "messages[0].content[0]",
        "messages[0].content[3].guardContent",
        "performanceConfig",
        "messages[0].content[4].citationsContent.citations",
        "additionalModelRequestFields.anthropic_beta",
    }


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, Thinking(budget=5)),
        (
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
            Thinking("low", -1, True),
        ),
        ({"thinking": {"type": "disabled"}}, Thinking("", 0)),
        ({"reasoning_config": {"type": "enabled", "budget_tokens": 7}}, Thinking(budget=7)),
        ({"reasoning_config": "high"}, Thinking("high")),
        ({"reasoning_effort": "low"}, Thinking("low")),
        ({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}, Thinking("high")),
        ({"reasoningConfig": {"type": "disabled"}}, Thinking("none")),
        ({}, None),
    ],
)
def test_thinking_is_read_in_every_makers_way(fields, wanted):
    assert read({"messages": [], "additionalModelRequestFields": fields})[0].thinking == wanted


@pytest.mark.parametrize(
    "body",
    [
        {"messages": 7},
        {"messages": [7]},
        {"messages": [{"role": "x"}]},
        {"messages": [{"role": "user", "content": [{}]}]},
        {"messages": [{"role": "user", "content": [{"text": "a", "image": {}}]}]},
        {"toolConfig": {"tools": [7]}},
        {"toolConfig": {"toolChoice": {"x": {}}}},
        {"inferenceConfig": {"temperature": True}},
        {"inferenceConfig": {"stopSequences": [1]}},
        {"outputConfig": {"textFormat": {"type": "x"}}},
        {"outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "[]"}}}}},
    ],
)
def test_what_is_no_request_is_an_error(body):
    with pytest.raises(DecodeError):
        read(body)
