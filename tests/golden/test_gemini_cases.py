"""Gemini's codec, one thing at a time: what Gemini takes, what is told as lost, what is refused."""

import re

import pytest

from extproc.chat.codec import Context
from extproc.chat.losses import Losses
from extproc.chat.parts import Cache, Media, Message, Native, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.chat.request import Request, Settings, Thinking, Tool
from extproc.errors import DecodeError, Unrepresentable
from tests.golden.gemini import CODEC

CONTEXT = Context("r1", "m", 17)
PICTURE = Media("image", data="QUJD", type="image/png")


# writing requests


def sent(*messages, model="gemini-3-pro", tools=(), **more):
    losses = Losses()
    return CODEC.encode_request(Request(model, [*messages], [*tools], **more), losses), [why for _, why in losses.found]


def user(*given):
    return Message("user", [*given])


def model(*given):
    return Message("assistant", [*given])


def test_the_first_call_of_a_turn_has_a_signature_where_the_model_wants_one():
    said = model(ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))
    signed = model(ToolCall("c", "f", "{}", signature="U0lH", maker="gemini"), ToolCall("d", "f"))
    results = user(ToolResult("a", [Text("1")]), ToolResult("b", [Text("2")]))
    body, losses = sent(user(Text("x")), said, results, signed)
    found = [part.get("thoughtSignature") for part in body["contents"][1]["parts"] + body["contents"][3]["parts"]]
    assert found == ["skip_thought_signature_validator", None, "U0lH", None]
    assert not losses
    for old in ("gemini-2.5-flash", "models/gemini-2.0-flash", "gemma-3"):
        body, _ = sent(user(Text("x")), said, model=old)
        assert "thoughtSignature" not in body["contents"][1]["parts"][0]


def test_signatures_go_back_to_their_maker_only():
    said = model(
        Reasoning("hm", signature="c2ln", maker="claude"),
        Reasoning("", sealed="c2Vh", maker="openai"),
        ToolCall("a", "f", "{}", signature="c2ln", maker="other"),
        Text("x"),
        Reasoning("", signature="U0lH", maker="gemini"),
    )
    body, losses = sent(said, model="gemini-2.5-pro")
    assert body["contents"][0]["parts"] == [
        {"text": "hm", "thought": True},
        {"functionCall": {"id": "a", "name": "f", "args": {}}},
        {"text": "x", "thoughtSignature": "U0lH"},
    ]
    assert losses == ["signature of another maker"]


def test_turns_are_what_gemini_takes():
    body, losses = sent(
        user(Text("1"), Text("")),
        user(Text("2")),
        Message("system", [Text("3")]),
        model(Text("4"), Refusal("5"), ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g")),
        user(Text("6"), ToolResult("b", [Text('{"y":2}')])),
        user(ToolResult("a", [Text("no")], failed=True)),
        user(Text("7")),
        model(),
    )
    for part in body["contents"][1]["parts"]:
        part.pop("thoughtSignature", None)
    assert body == {
        "systemInstruction": {"parts": [{"text": "3"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "1"}, {"text": "2"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "4"},
                    {"text": "5"},
                    {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}},
                    {"functionCall": {"id": "b", "name": "g", "args": {}}},
                ],
            },
            {"role": "user", "parts": [{"functionResponse": {"id": "b", "name": "g", "response": {"y": 2}}}]},
            {"role": "user", "parts": [{"text": "6"}]},
            {"role": "user", "parts": [{"functionResponse": {"id": "a", "name": "f", "response": {"error": "no"}}}]},
            {"role": "user", "parts": [{"text": "7"}]},
        ],
    }
    assert losses == ["moved"]


def test_there_is_always_a_turn():
    body, _ = sent(Message("system", [Text("a")]))
    assert body["contents"] == [{"role": "user", "parts": [{"text": ""}]}]


@pytest.mark.parametrize(
    ("given", "wanted", "losses"),
    [
        (Media("image", data="QUJD", type="image/webp"), {"inlineData": {"mimeType": "image/webp", "data": "QUJD"}}, []),
        (Media("image", data="QUJD"), {"inlineData": {"mimeType": "image/jpeg", "data": "QUJD"}}, []),
        (Media("file", data="QUJD", name="a.txt"), {"inlineData": {"mimeType": "text/plain", "data": "QUJD"}}, ["file name"]),
        (Media("image", url="h://x.y/a.png?b"), {"fileData": {"mimeType": "image/png", "fileUri": "h://x.y/a.png?b"}}, []),
        (Media("video", url="https://youtu.be/a"), {"fileData": {"fileUri": "https://youtu.be/a"}}, []),
        (Media("file", text="abc"), {"text": "abc"}, []),
        (Media("image", data="QQ", type="a/b", detail="low"), {"inlineData": {"mimeType": "a/b", "data": "QQ"}}, ["detail"]),
        (Text("a", Cache()), {"text": "a"}, ["cache mark"]),
        (Native("gemini", {"tomorrow": 1}), {"tomorrow": 1}, []),
    ],
)  # fmt: skip
def test_parts(given, wanted, losses):
    body, lost = sent(user(given))
    assert (body["contents"][0]["parts"], lost) == ([wanted], losses)


def test_media_in_results_stand_inside_where_the_model_takes_them():
    result = ToolResult("a", [Text("see"), PICTURE], "f")
    picture = {"inlineData": {"mimeType": "image/png", "data": "QUJD"}}
    body, losses = sent(user(result))
    response = body["contents"][0]["parts"][0]["functionResponse"]
    assert (response["response"], response["parts"], losses) == ({"output": "see"}, [picture], [])
    body, losses = sent(user(result), model="gemini-2.5-pro")
    assert [each["parts"] for each in body["contents"]][1:] == [[picture]]
    assert losses == ["moved"]


@pytest.mark.parametrize(
    ("messages", "tools"),
    [
        ([user(Media("file", id="file-1"))], []),
        ([user(Native("openai-chat", {}))], []),
        ([user(ToolResult("nobody", [Text("a")]))], []),
        ([model(ToolCall("a", "f", "text", custom=True))], []),
        ([model(ToolCall("a", "f", "[1]"))], []),
        ([model(ToolCall("a", "f", "{broken"))], []),
        ([Message("system", [PICTURE])], []),
        ([], [Tool("t", custom=True)]),
        ([], [Tool("web", native="openai-responses", parameters={})]),
    ],
)
def test_what_cannot_be_said_is_refused(messages, tools):
    with pytest.raises(Unrepresentable):
        sent(*messages, tools=tools)


@pytest.mark.parametrize(
    ("given", "wanted", "losses"),
    [
        (Settings(temperature=3.5), {"temperature": 2.0}, ["clamped"]),
        (Settings(seed=2**40), {"seed": 2**31 - 1}, ["clamped"]),
        (Settings(stop=list("abcdef")), {"stopSequences": list("abcde")}, ["clamped"]),
        (Settings(logprobs=0), {"responseLogprobs": True}, []),
        (Settings(logprobs=25), {"responseLogprobs": True, "logprobs": 20}, ["clamped"]),
        (Settings(parallel_tools=True), {}, []),
        (Settings(parallel_tools=False, min_p=0.1, verbosity="low"), {}, ["no such setting"] * 3),
        (Settings(logit_bias={"1": 1.0}, service_tier="flex"), {}, ["no such setting"] * 2),
    ],
)
def test_settings(given, wanted, losses):
    body, lost = sent(user(Text("a")), settings=given)
    assert (body.get("generationConfig", {}), lost) == (wanted, losses)


@pytest.mark.parametrize(
    ("name", "given", "wanted", "losses"),
    [
        ("gemini-2.5-flash", Thinking("medium"), {"thinkingBudget": 8192}, []),
        ("gemini-2.5-flash", Thinking("none"), {"thinkingBudget": 0}, []),
        ("gemini-2.5-pro", Thinking("none"), {"thinkingBudget": 128}, ["clamped"]),
        ("gemini-2.5-flash-lite", Thinking(budget=100), {"thinkingBudget": 512}, ["clamped"]),
        (
            "gemini-2.5-flash",
            Thinking("max", show=True),
            {"includeThoughts": True, "thinkingBudget": 24576},
            ["clamped"],
        ),
        ("gemini-2.5-pro", Thinking(budget=-1), {"thinkingBudget": -1}, []),
        ("gemini-3-flash-preview", Thinking("minimal"), {"thinkingLevel": "MINIMAL"}, []),
        ("gemini-3-flash-preview", Thinking("none"), {"thinkingLevel": "MINIMAL"}, ["clamped"]),
        ("gemini-3-flash-preview", Thinking("xhigh"), {"thinkingLevel": "HIGH"}, ["clamped"]),
        ("gemini-3-pro-preview", Thinking("medium"), {"thinkingLevel": "HIGH"}, ["clamped"]),
        ("gemini-3.1-pro-preview", Thinking("minimal"), {"thinkingLevel": "LOW"}, ["clamped"]),
        ("gemini-3-pro-preview", Thinking(budget=5), {"thinkingBudget": 5}, []),
        ("gemini-3-pro-preview", Thinking("low", budget=5), {"thinkingLevel": "LOW"}, ["clamped"]),
        ("gemini-2.0-flash", Thinking("low"), None, ["no such setting"]),
        ("gemini-2.0-flash", Thinking(show=False), None, []),
    ],
)
def test_thinking(name, given, wanted, losses):
    body, lost = sent(user(Text("a")), model=name, thinking=given)
    assert (body.get("generationConfig", {}).get("thinkingConfig"), lost) == (wanted, losses)


# reading requests


def read(body, **more):
    losses = Losses()
    return CODEC.decode_request(body, losses, model="m", **more), [where for where, _ in losses.found]


def test_calls_without_ids_are_matched_by_name():
    def call(name):
        return {"functionCall": {"name": name}}

    def response(name):
        return {"functionResponse": {"name": name, "response": {"output": "x"}}}

    request, _ = read(
        {
            "contents": [
                {"role": "model", "parts": [call("f"), call("g"), call("f")]},
                {"role": "user", "parts": [response("g"), response("f"), response("f"), response("h")]},
                {"role": "model", "parts": [call("f")]},
                {"role": "function", "parts": [response("f")]},
            ]
        }
    )
    first, second, third, fourth = [[part.id for part in message.parts] for message in request.messages]
    assert second[:3] == [first[1], first[0], first[2]]
    assert fourth == third
    ids = {*first, *second, *third}
    assert len(ids) == 5
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", each) for each in ids)


def test_results_without_a_name_have_their_calls():
    request, _ = read(
        {
            "contents": [
                {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "f"}}]},
                {"role": "user", "parts": [{"functionResponse": {"id": "a", "response": {"output": "x"}}}]},
            ]
        }
    )
    assert request.messages[1].parts[0].name == "f"


def test_losses_are_told_where_they_stand():
    request, where = read(
        {
            "contents": {"parts": [{"text": "a", "media_resolution": {}}], "tomorrow": 1},
            "safety_settings": [],
            "tomorrow": 1,
            "generation_config": {"speechConfig": {}, "tomorrow": 1},
            "tools": [{"functionDeclarations": [{"name": "f", "behavior": "BLOCKING"}], "googleSearch": {}}],
            "tool_config": {"retrievalConfig": {}},
            "labels": {"a": "b"},
            "system_instruction": "be kind",
        }
    )
    assert where == [
        "safety_settings", "tomorrow", "contents[0].tomorrow", "contents[0].parts[0].mediaResolution",
        "tools[0].functionDeclarations[0].behavior", "tool_config.retrievalConfig", "generation_config.speechConfig",
        "generation_config.tomorrow",
    ]  # fmt: skip
    assert [tool.native for tool in request.tools] == ["", "gemini"]
    assert request.metadata == {"a": "b"}
    assert request.messages[0].parts[0].text == "be kind"


@pytest.mark.parametrize(
    "body",
    [
        {"cachedContent": "cachedContents/1"},
        {"generationConfig": {"responseMimeType": "text/x.enum", "responseSchema": {}}},
    ],
)
def test_what_must_not_be_lost_is_refused(body):
    with pytest.raises(Unrepresentable):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        {"contents": "hello"},
        {"contents": [{"role": "robot", "parts": []}]},
        {"contents": [{"parts": [{"text": 7}]}]},
        {"contents": [{"parts": [{"text": "a", "functionCall": {"name": "f"}}]}]},
        {"contents": [{"parts": [{"functionCall": {"name": "f"}}]}]},
        {"contents": [{"role": "model", "parts": [{"functionResponse": {"name": "f"}}]}]},
        {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f", "willContinue": True}}]}]},
        {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f", "args": "x"}}]}]},
        {"systemInstruction": {"parts": [{"text": "a"}]}, "system_instruction": {"parts": [{"text": "a"}]}},
        {"contents": [{"parts": [{"inlineData": {"data": "QQ=="}, "inline_data": {"data": "QQ=="}}]}]},
        {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png"}}]}]},
        {"generationConfig": {"temperature": "hot"}},
        {"generationConfig": {"topK": 1.5}},
        {"generationConfig": {"responseSchema": {}, "responseJsonSchema": {}}},
        {"toolConfig": {"functionCallingConfig": {"mode": "PERHAPS"}}},
        {"labels": 7},
        {"generationConfig": {"responseJsonSchema": 7}},
        {"tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": 7}]}]},
        {"contents": [{"parts": [{"functionResponse": {"name": "f", "response": 7}}]}]},
        {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {}, "parametersJsonSchema": {}}]}]},
    ],
)
def test_what_is_no_request_is_refused(body):
    with pytest.raises(DecodeError):
        read(body)


def test_schemas_become_json_schema():
    theirs = {
        "type": "OBJECT",
        "propertyOrdering": ["b", "a"],
        "properties": {
            "a": {"type": "STRING", "nullable": True, "enum": ["x"], "example": "x"},
            "b": {"type": "ARRAY", "min_items": "2", "items": {"any_of": [{"type": "NUMBER"}], "nullable": True}},
            "type": {"type": "TYPE_UNSPECIFIED", "description": "d"},
        },
        "required": ["a"],
    }
    request, _ = read({"tools": [{"functionDeclarations": [{"name": "f", "parameters": theirs}]}]})
    found = request.tools[0].parameters
    assert found == {
        "type": "object",
        "properties": {
            "b": {"type": "array", "minItems": 2, "items": {"anyOf": [{"type": "number"}, {"type": "null"}]}},
            "a": {"type": ["string", "null"], "enum": ["x", None], "examples": ["x"]},
            "type": {"description": "d"},
        },
        "required": ["a"],
    }
    assert list(found["properties"]) == ["b", "a", "type"]
