"""Gemini's codec on conversations drawn at random: what is written is read as it was, or told as lost."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.chat.answer import Answer, Choice, Failure, FailureKind, Finish, PartDelta, PartStart, Usage
from extproc.chat.codec import Context
from extproc.chat.fold import fold, unfold
from extproc.chat.losses import Losses
from extproc.chat.parts import Cache, Media, Message, Native, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.chat.request import OutputShape, Request, Settings, Thinking, Tool, ToolChoice
from extproc.errors import DecodeError, Unrepresentable
from tests.golden.gemini import CODEC, bare, decoded, joined, payloads

CONTEXT = Context("r1", "m", 17)
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
SIGNED = st.from_regex(r"([A-Za-z0-9+/]{4}){2,4}", fullmatch=True)
ARGUMENTS = st.dictionaries(NAMES, st.none() | st.booleans() | st.integers(-9, 9) | WORDS | st.lists(WORDS, max_size=2))
PICTURE = Media("image", data="QUJD", type="image/png")


@st.composite
def calls(draw):
    signature = draw(st.just("") | SIGNED)
    arguments = json.dumps(draw(ARGUMENTS), ensure_ascii=False, separators=(",", ":"))
    return ToolCall(draw(NAMES), draw(NAMES), arguments, signature=signature, maker="gemini" if signature else "")


THOUGHTS = st.builds(Reasoning, WORDS, signature=st.just("") | SIGNED, maker=st.just("gemini"), summary=st.just(True))
SIGNS = st.builds(Reasoning, st.just(""), signature=SIGNED, maker=st.just("gemini"))
NATIVES = st.sampled_from([Native("gemini", {"executableCode": {"language": "PYTHON", "code": "1"}})])
SAID = THOUGHTS | st.builds(Text, WORDS) | calls() | SIGNS | NATIVES | st.just(PICTURE)


@st.composite
def parts(draw):
    """What a model said; neighbours that would go on with one another are left out, as would a second use of an id."""
    found, ids = [], set()
    for part in draw(st.lists(SAID, max_size=6)):
        last = found[-1] if found else None
        goes_on = type(part) is type(last) and isinstance(part, Text | Reasoning) and not getattr(last, "signature", "")
        if goes_on or getattr(part, "id", None) in ids:
            continue
        ids |= {part.id} if isinstance(part, ToolCall) else set()
        found.append(part)
    return found


@st.composite
def answers(draw):
    choices = []
    for index in range(draw(st.integers(1, 3))):
        said = draw(parts())
        called = any(isinstance(part, ToolCall) for part in said)
        ends = [Finish.LENGTH, Finish.FILTER, Finish.OTHER, Finish.TOOLS if called else Finish.STOP]
        choices.append(Choice(index, said, draw(st.sampled_from(ends))))
    counts = st.integers(0, 99)
    used = Usage(draw(counts) + 99, draw(counts) + 99, draw(counts), draw(counts), 0, draw(counts), draw(counts))
    return Answer(draw(NAMES), draw(NAMES), draw(st.integers(1, 2**31)), choices, used)


@given(answers())
def test_answers_come_back(answer):
    losses = Losses()
    written = CODEC.encode_answer(answer, CONTEXT, losses)
    assert not losses.found
    assert bare(CODEC.decode_answer(json.loads(json.dumps(written)))) == answer


def cut(draw, event):
    """A delta in several."""
    if not isinstance(event, PartDelta) or len(event.text) < 2 or event.signature:
        return [event]
    at = draw.draw(st.integers(1, len(event.text) - 1))
    return [
        PartDelta(event.choice, event.number, event.text[:at]),
        PartDelta(event.choice, event.number, event.text[at:]),
    ]


@given(answers(), st.data())
def test_streams_come_back(answer, draw):
    events = [each for event in unfold(answer) for each in cut(draw, event)]
    losses = Losses()
    encoder = CODEC.encoder(CONTEXT, losses)
    raw = b"".join([encoder.encode(event) for event in events] + [encoder.close()])
    assert not losses.found
    found = decoded(payloads([raw]))
    assert bare(fold(found)) == answer
    wanted, came = joined(events), joined(found)
    shape = [each for each in wanted if isinstance(each, PartStart)]
    assert [(each.choice, each.number) for each in came if isinstance(each, PartStart)] == [
        (each.choice, each.number) for each in shape
    ]


# requests


@st.composite
def requests(draw):
    messages = [Message("system", [Text(draw(WORDS))])] if draw(st.booleans()) else []
    for number in range(draw(st.integers(0, 2))):
        messages.append(Message("user", [Text(draw(WORDS)), *draw(st.sampled_from([[], [PICTURE]]))]))
        said = draw(parts()) or [Text("a")]
        for part in said:
            if isinstance(part, ToolCall):
                part.id += f"-{number}"
        messages.append(Message("assistant", said))
        called = [part for part in said if isinstance(part, ToolCall)]
        results = [ToolResult(call.id, [Text(draw(WORDS))], call.name, failed=draw(st.booleans())) for call in called]
        if results:
            messages += [Message("user", results), Message("assistant", [Text("b")])]
    messages.append(Message("user", [Text(draw(WORDS))]))
    offered = [Tool(name, draw(WORDS), {"type": "object"}) for name in draw(st.lists(NAMES, unique=True, max_size=2))]
    named = (offered[0].name,) if offered else ()
    chosen = [None, ToolChoice("auto"), ToolChoice("none"), ToolChoice("required")]
    chosen += [ToolChoice("named", named), ToolChoice("auto", named)] if offered else []
    number = st.none() | st.integers(1, 8)
    return Request(
        draw(st.sampled_from(["gemini-2.5-pro", "gemini-3-flash-preview"])),
        messages,
        offered,
        draw(st.sampled_from(chosen)) if offered else None,
        Settings(
            max_output=draw(number), temperature=draw(st.none() | st.floats(0, 2)), top_p=draw(st.none() | st.floats(0, 1)),
            top_k=draw(number), stop=draw(st.lists(WORDS, max_size=5)), seed=draw(number), choices=draw(number),
            frequency_penalty=draw(st.none() | st.floats(-2, 2)), logprobs=draw(st.none() | st.integers(0, 20)),
            modalities=draw(st.sampled_from([[], ["text"], ["text", "image"]])),
        ),
        draw(st.sampled_from([None, OutputShape(), OutputShape({"type": "object"})])),
        draw(st.sampled_from([None, Thinking(budget=1024), Thinking(show=True), Thinking(budget=-1, show=False)])),
        draw(st.booleans()),
    )  # fmt: skip


@given(requests())
def test_requests_come_back(request):
    losses = Losses()
    body = json.loads(json.dumps(CODEC.encode_request(request, losses)))
    assert not losses.found
    request.usage = request.stream
    again = CODEC.decode_request(body, losses, model=request.model, stream=request.stream)
    assert not losses.found
    stand_in = "skip_thought_signature_validator"
    for message in again.messages:
        for part in message.parts:
            if isinstance(part, ToolCall) and part.signature == stand_in:
                assert request.model.startswith("gemini-3")
                part.signature = part.maker = ""
    assert bare(again) == bare(merged(request))


def merged(request):
    """Results of one call are read as the tool wrote them; a result that is a JSON object loses its white space only."""
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ToolResult) and not part.failed:
                try:
                    value = json.loads(part.parts[0].text)
                except ValueError:
                    continue
                if isinstance(value, dict) and not value:
                    part.parts[0].text = "{}"
    return request


# one by one


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
        ("gemini-3-flash-preview", Thinking("minimal"), {"thinkingLevel": "minimal"}, []),
        ("gemini-3-flash-preview", Thinking("none"), {"thinkingLevel": "minimal"}, ["clamped"]),
        ("gemini-3-flash-preview", Thinking("xhigh"), {"thinkingLevel": "high"}, ["clamped"]),
        ("gemini-3-pro-preview", Thinking("medium"), {"thinkingLevel": "high"}, ["clamped"]),
        ("gemini-3.1-pro-preview", Thinking("minimal"), {"thinkingLevel": "low"}, ["clamped"]),
        ("gemini-3-pro-preview", Thinking(budget=5), {"thinkingBudget": 5}, []),
        ("gemini-3-pro-preview", Thinking("low", budget=5), {"thinkingLevel": "low"}, ["clamped"]),
        ("gemini-2.0-flash", Thinking("low"), None, ["no such setting"]),
        ("gemini-2.0-flash", Thinking(show=False), None, []),
    ],
)
def test_thinking(name, given, wanted, losses):
    body, lost = sent(user(Text("a")), model=name, thinking=given)
    assert (body.get("generationConfig", {}).get("thinkingConfig"), lost) == (wanted, losses)


# reading


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


# answers, one by one


def test_an_answer_that_cannot_be_said_is_told_as_lost():
    said = [
        ToolCall("a", "f", "not JSON"),
        ToolCall("b", "g", "select 1", custom=True),
        Native("anthropic-messages", {}),
        Reasoning("hm", signature="c2ln", maker="claude"),
        Refusal("no"),
    ]
    answer = Answer("i", "m", 1, [Choice(0, said, Finish.REFUSAL, "x")], Usage(5, 5, cache_write=2))
    losses = Losses()
    body = CODEC.encode_answer(answer, CONTEXT, losses)
    assert body["candidates"][0]["content"]["parts"] == [
        {"functionCall": {"id": "a", "name": "f", "args": {"input": "not JSON"}}},
        {"functionCall": {"id": "b", "name": "g", "args": {"input": "select 1"}}},
        {"text": "hm", "thought": True},
        {"text": "no"},
    ]
    assert body["candidates"][0]["finishReason"] == "SAFETY"
    told = Losses()
    encoder = CODEC.encoder(CONTEXT, told)
    raw = b"".join([encoder.encode(event) for event in unfold(answer)] + [encoder.close()])
    found = [
        part
        for each in payloads([raw])
        for c in json.loads(each).get("candidates", [])
        for part in c["content"]["parts"]
    ]
    assert found == body["candidates"][0]["content"]["parts"]
    assert sorted(told.found) == sorted(losses.found)
    assert losses.count == 6


def test_an_error_in_a_stream_ends_it():
    raw = [
        b'{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}',
        b'{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}',
    ]
    events = decoded([*raw, raw[0]])
    assert events[-1] == Failure(FailureKind.RATE_LIMIT, "slow", "RESOURCE_EXHAUSTED", 429)
    encoder = CODEC.encoder(CONTEXT, Losses())
    *_, last = payloads([b"".join([encoder.encode(event) for event in [*events, *events]] + [encoder.close()])])
    assert last.startswith(b'{"error":')
    with pytest.raises(DecodeError):
        CODEC.decode_answer(json.loads(raw[1]))


def test_a_stream_that_breaks_off_fails_and_one_that_said_its_end_does_not():
    said, end = (
        b'{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}',
        b'{"candidates":[{"finishReason":"STOP","index":1}]}',
    )
    assert decoded([said])[-1].code == "stream_truncated"
    assert fold(decoded([said, end])) == fold(decoded([said, end, b'{"tomorrow":1}']))
    assert [choice.finish for choice in fold(decoded([said, end])).choices] == [Finish.OTHER, Finish.STOP]


def test_a_prompt_that_was_blocked_is_an_answer_that_was_filtered():
    body = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 3}}
    assert CODEC.decode_answer(body) == Answer(choices=[Choice(0, [], Finish.FILTER)], usage=Usage(3))
    assert fold(decoded([json.dumps(body).encode()])) == CODEC.decode_answer(body)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}, FailureKind.AUTHENTICATION),
        (400, {"status": "FAILED_PRECONDITION"}, FailureKind.INVALID),
        (429, None, FailureKind.RATE_LIMIT),
        (503, {}, FailureKind.OVERLOADED),
        (500, {"status": "INTERNAL"}, FailureKind.INTERNAL),
        (499, {"status": "CANCELLED"}, FailureKind.INVALID),
        (502, {"status": "UNAVAILABLE"}, FailureKind.OVERLOADED),
    ],
)
def test_kinds_of_errors(status, error, kind):
    failure = CODEC.decode_error(status, None if error is None else {"error": error})
    assert (failure.kind, failure.status) == (kind, status)
    assert failure.message
