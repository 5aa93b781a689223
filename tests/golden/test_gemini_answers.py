"""Gemini's answers and errors, case by case, and odd requests."""

import json

import pytest

from extproc.chat.answer import Answer, Choice, Failure, FailureKind, Finish, PartDelta, PartEnd, Usage, Used
from extproc.chat.codec import Context
from extproc.chat.fold import fold, unfold
from extproc.chat.losses import Losses
from extproc.chat.parts import Cache, Media, Message, Native, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.chat.request import OutputShape, Tool, ToolChoice
from extproc.errors import DecodeError, Unrepresentable
from tests.golden.gemini import CODEC, decoded, payloads
from tests.golden.test_gemini_cases import model, read, sent

CONTEXT = Context("r1", "m", 17)
PICTURE = Media("image", data="QUJD", type="image/png")


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


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tomorrow": 1},
        [],
        7,
        {"candidates": [{"index": -1}]},
        {"candidates": [{"index": "0"}]},
        {"candidates": 7},
        {"candidates": [{"content": {"parts": [{"functionResponse": {"name": "f"}}]}}]},
    ],
)
def test_what_is_no_answer_is_refused(body):
    with pytest.raises(DecodeError):
        CODEC.decode_answer(body)


@pytest.mark.parametrize(
    ("time", "wanted"),
    [("2026-06-15T18:18:30.977177Z", 1781547510), ("yesterday", 0), (7, 0), ("0001-01-01T00:00:00", 0)],
)
def test_when_an_answer_was_made(time, wanted):
    assert CODEC.decode_answer({"candidates": [], "createTime": time, "modelVersion": "m"}).created == wanted


def test_an_answer_without_a_time_says_none():
    body = CODEC.encode_answer(Answer("i", "m", 0), Context("r", "m", 0), Losses())
    assert body == {"candidates": [], "modelVersion": "m", "responseId": "i"}


def test_an_encoder_says_nothing_of_parts_that_never_began():
    encoder = CODEC.encoder(CONTEXT, Losses())
    assert encoder.encode(PartDelta(0, 0, "a")) == encoder.encode(PartEnd(0, 0)) == encoder.close() == b""
    encoder.encode(Used(Usage(1, 1)))
    assert json.loads(payloads([encoder.close()])[0])["responseId"] == "r1"


def test_results_are_read_as_they_were_written():
    parts = [
        {"functionResponse": {"id": "a", "name": "f"}},
        {"functionResponse": {"id": "b", "name": "f", "response": {"error": {"code": 5}}}},
        {
            "functionResponse": {
                "id": "c",
                "name": "f",
                "parts": [{"inlineData": {"mimeType": "image/png", "data": "QUJD"}}],
            }
        },
        {"functionResponse": {"id": "d", "name": "f", "response": {"error": "no"}}},
    ]
    request, _ = read({"contents": [{"parts": parts}]})
    empty, coded, seen, failed = request.messages[0].parts
    assert (empty.parts, empty.failed) == ([], False)
    assert (coded.parts[0].text, coded.failed) == ('{"error":{"code":5}}', False)
    assert (seen.parts[0].medium, seen.parts[0].data) == ("image", "QUJD")
    assert (failed.parts[0].text, failed.failed) == ("no", True)


def test_thoughts_of_no_model_are_words():
    parts = [{"text": "hm", "thought": True}, {"text": "a", "thoughtSignature": "U0lH"}, {}]
    request, where = read({"systemInstruction": {"parts": parts}})
    assert [part.text for part in request.messages[0].parts] == ["hm", "a"]
    assert len(where) == 2


def test_what_else_is_lost_is_told():
    body, losses = sent(
        Message("user", [ToolResult("a", [Text("b", Cache())], "f")], name="jane"),
        tools=[Tool("f", "d", None, strict=True, cache=Cache())],
        user="u1",
        metadata={"a": "b"},
        output=OutputShape({"type": "object"}, "n", "d"),
    )
    assert {*losses} == {"name", "cache mark", "strict", "name of a schema", "no such setting"}
    assert body["tools"] == [{"functionDeclarations": [{"name": "f", "description": "d"}]}]


def test_a_choice_of_tools_that_says_nothing():
    assert read({"toolConfig": {}})[0].tool_choice is None
    assert read({"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}})[0].tool_choice.mode == "none"
    assert (
        read({"generationConfig": {"maxOutputTokens": "40", "responseMimeType": "text/plain"}})[0].settings.max_output
        == 40
    )


def test_schemas_that_are_odd_pass():
    for schema in ({"type": ["string", "null"]}, {"nullable": True}, {"propertyOrdering": ["a"]}, {"items": True}):
        request, _ = read({"tools": [{"functionDeclarations": [{"name": "f", "parameters": schema}]}]})
        assert request.tools[0].parameters == {key: value for key, value in schema.items() if key in ("type", "items")}


def test_the_body_may_name_the_model_too():
    assert CODEC.decode_request({"model": "models/m"}, Losses()).model == "m"
    assert CODEC.decode_request({"model": "models/m"}, Losses(), model="n").model == "n"


def test_what_only_gemini_can_be_told_about_calls_is_lost():
    calling = {"mode": "ANY", "streamFunctionCallArguments": True}
    request, where = read({"toolConfig": {"functionCallingConfig": calling}})
    assert request.tool_choice == ToolChoice("required")
    assert where == ["toolConfig.functionCallingConfig.streamFunctionCallArguments"]


def test_a_model_gives_no_results():
    with pytest.raises(Unrepresentable):
        sent(model(ToolResult("a", [], "f")))
    losses = Losses()
    answer = Answer("i", "m", 1, [Choice(0, [ToolResult("a", [], "f")])])
    assert CODEC.encode_answer(answer, CONTEXT, losses)["candidates"][0]["content"]["parts"] == []
    assert losses.count == 1


def test_an_error_in_a_list_is_no_answer():
    with pytest.raises(DecodeError):
        CODEC.decode_answer([{"modelVersion": "m"}, {"error": {"code": 500}}])
