"""Answers, errors and streams of Converse: what cannot be said is lost or told, broken streams fail."""

import json

import pytest

from extproc.chat.answer import (
    Answer,
    Choice,
    Failure,
    FailureKind,
    Finish,
    Finished,
    PartDelta,
    PartEnd,
    PartStart,
    Start,
    Usage,
    Used,
)
from extproc.chat.codec import Context
from extproc.chat.fold import fold
from extproc.chat.losses import Losses
from extproc.chat.parts import Media, Native, Reasoning, Refusal, Text, ToolCall
from extproc.errors import DecodeError
from extproc.formats.bedrock.codec import ConverseCodec
from extproc.framing.aws import NAMED, framed
from tests.unit.formats.bedrock.support import (
    END,
    HEAD,
    TAIL,
    blocks,
    call,
    delta,
    event,
    sdk,
    stop,
    stream,
    text,
)

CODEC = ConverseCodec()
CONTEXT = Context("r1", "m", 17)


def answered(*parts, finish=Finish.STOP):
    lost = Losses()
    body = CODEC.encode_answer(
        Answer(choices=[Choice(0, list(parts), finish)], usage=Usage(10, 4, cached=3)), CONTEXT, lost
    )
    return body, [reason for _, reason in lost.found]


def decoded(raw):
    decoder = CODEC.decoder()
    found = [each for event in NAMED.reader(1 << 20).feed(raw) for each in decoder.decode(event.name, event.data)]
    return found + decoder.close()


def encoded(*events):
    lost = Losses()
    encoder = CODEC.encoder(CONTEXT, lost)
    raw = b"".join([*(encoder.encode(each) for each in events), encoder.close()])
    assert encoder.encode(Finished(0, Finish.STOP)) == encoder.close() == b""
    return raw, [reason for _, reason in lost.found]


FOREIGN = [
    (Refusal("no"), {"text": "no"}, []),
    (Text(""), None, []),
    (
        Reasoning("hm", "s", maker="openai"),
        {"reasoningContent": {"reasoningText": {"text": "hm"}}},
        ["another provider's signature"],
    ),
    (Reasoning("", sealed="s", maker="openai"), None, ["another provider's signature"]),
    (ToolCall("", "f", "{}"), {"toolUse": {"toolUseId": "tooluse_r1_0", "name": "f", "input": {}}}, []),
    (
        ToolCall("a", "f", 'say "x"', custom=True),
        {"toolUse": {"toolUseId": "a", "name": "f", "input": {"input": 'say "x"'}}},
        ["arguments that are no JSON object"],
    ),
    (
        ToolCall("a", "f", "{}", signature="s", maker="gemini"),
        {"toolUse": {"toolUseId": "a", "name": "f", "input": {}}},
        ["a call's signature"],
    ),
    (Media("image", data="aGk=", type="image/png"), {"image": {"format": "png", "source": {"bytes": "aGk="}}}, []),
    (Media("image", url="https://x/y.png", type="image/png"), None, ["a part that an answer does not have"]),
    (Media("audio", data="aGk=", type="audio/wav"), None, ["a part that an answer does not have"]),
    (Native("gemini", {}), None, ["a part that an answer does not have"]),
]


@pytest.mark.parametrize(("part", "block", "reasons"), FOREIGN)
def test_parts_of_other_makers(part, block, reasons):
    body, lost = answered(part)
    assert body["output"]["message"]["content"] == ([block] if block else [])
    assert lost == reasons
    assert body["usage"] == {
        "inputTokens": 7,
        "outputTokens": 4,
        "totalTokens": 14,
        "cacheReadInputTokens": 3,
        "cacheWriteInputTokens": 0,
    }


@pytest.mark.parametrize(("part", "block", "reasons"), FOREIGN)
def test_parts_of_other_makers_in_a_stream(part, block, reasons):
    raw, lost = encoded(
        Start("id", "m", 1), PartStart(0, 0, part), PartEnd(0, 0), Finished(0, Finish.STOP), Used(Usage(1, 1))
    )
    events = [name for name, _ in sdk(raw)]
    assert (events[0], events[-2:]) == ("messageStart", ["messageStop", "metadata"])
    assert ("contentBlockStop" in events) == (block is not None)
    assert lost == reasons
    answer = fold(decoded(raw))
    again, _ = answered(*answer.choices[0].parts)
    assert again["output"]["message"]["content"] == ([block] if block else [])


@pytest.mark.parametrize(
    ("finish", "reason", "lost"),
    [
        (Finish.STOP, "end_turn", 0),
        (Finish.TOOLS, "tool_use", 0),
        (Finish.LENGTH, "max_tokens", 0),
        (Finish.FILTER, "content_filtered", 0),
        (Finish.REFUSAL, "content_filtered", 1),
        (Finish.PAUSE, "end_turn", 1),
        (Finish.OTHER, "end_turn", 1),
    ],
)
def test_why_an_answer_ends(finish, reason, lost):
    body, reasons = answered(Text("a"), finish=finish)
    assert (body["stopReason"], len(reasons)) == (reason, lost)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", Finish.STOP),
        ("guardrail_intervened", Finish.FILTER),
        ("model_context_window_exceeded", Finish.LENGTH),
        ("malformed_tool_use", Finish.OTHER),
        (7, Finish.OTHER),
    ],
)
def test_reasons_that_bedrock_gives(reason, finish):
    body = {"output": {"message": {"role": "assistant", "content": []}}, "stopReason": reason}
    assert CODEC.decode_answer(body).choices[0].finish is finish
    (end,) = [
        each for each in decoded(HEAD + event("messageStop", {"stopReason": reason})) if isinstance(each, Finished)
    ]
    assert end.finish is finish


def test_only_the_first_of_several_answers_is_said():
    lost = Losses()
    answer = Answer(choices=[Choice(0, [Text("a")], Finish.STOP), Choice(1, [Text("b")], Finish.STOP)])
    assert CODEC.encode_answer(answer, CONTEXT, lost)["output"]["message"]["content"] == [{"text": "a"}]
    assert lost.count == 1
    assert CODEC.encode_answer(Answer(), CONTEXT, lost)["stopReason"] == "end_turn"
    raw, reasons = encoded(Start(), PartStart(1, 0, Text("b")), PartEnd(1, 0), Finished(0, Finish.STOP))
    assert blocks(raw) == []
    assert reasons == ["one answer is all there can be"]


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, {"message": "m"}, FailureKind.INVALID, ""),
        (403, {"Message": "m"}, FailureKind.PERMISSION, ""),
        (
            403,
            {"message": "m", "__type": "com.amazon#UnrecognizedClientException:http://x"},
            FailureKind.AUTHENTICATION,
            "UnrecognizedClientException",
        ),
        (429, {"message": "m", "code": "ModelNotReadyException"}, FailureKind.OVERLOADED, "ModelNotReadyException"),
        (503, {"message": "m"}, FailureKind.OVERLOADED, ""),
        (418, {"message": "m"}, FailureKind.INVALID, ""),
        (599, {"message": "m"}, FailureKind.INTERNAL, ""),
    ],
)
def test_errors_are_read(status, body, kind, code):
    assert CODEC.decode_error(status, body) == Failure(kind, "m", code, status)


@pytest.mark.parametrize("body", [None, [], "x", {"message": 7}, {"__type": 7}])
def test_an_error_that_says_nothing_still_is_one(body):
    assert CODEC.decode_error(502, body) == Failure(
        FailureKind.INTERNAL, "The provider answered with an error.", "", 502
    )


def test_a_stream_that_breaks_off_has_failed():
    for raw in (b"", HEAD, HEAD + text(0, "a"), HEAD + delta(0, text="a")):
        *_, last = decoded(raw)
        assert (last.kind, last.code) == (FailureKind.INTERNAL, "stream_truncated")
    assert isinstance(decoded(HEAD + delta(0, text="a") + END)[-1], Finished)
    raw, _ = encoded(Start(), PartStart(0, 0, Text("a")))
    assert b"internalServerException" in raw


@pytest.mark.parametrize(
    ("name", "kind", "again"),
    [
        ("throttlingException", FailureKind.RATE_LIMIT, "throttlingException"),
        ("modelStreamErrorException", FailureKind.INTERNAL, "internalServerException"),
        ("serviceUnavailableException", FailureKind.OVERLOADED, "serviceUnavailableException"),
        ("validationException", FailureKind.INVALID, "validationException"),
        ("newException", FailureKind.INTERNAL, "internalServerException"),
    ],
)
def test_an_exception_ends_a_stream(name, kind, again):
    found = decoded(HEAD + delta(0, text="a") + framed(name, b'{"message":"slow"}', "exception") + TAIL)
    assert (found[-1].kind, found[-1].message, found[-1].code) == (kind, "slow", name)
    raw, _ = encoded(*found)
    assert list(NAMED.reader(1000).feed(raw))[-1].name == again


def test_blocks_that_go_on_as_another_kind_are_two_parts():
    raw = stream(
        delta(0, text="a"), delta(0, reasoningContent={"text": "b"}), delta(0, text="c"), stop(0), delta(0, text="d")
    )
    parts = fold(decoded(raw)).choices[0].parts
    assert [(type(each), each.text) for each in parts] == [(Text, "a"), (Reasoning, "b"), (Text, "c"), (Text, "d")]


def test_odd_streams():
    again = (
        HEAD + HEAD + text(0, "a") + stop(0) + stop(7) + event("news", {"x": 1}) + END + END + text(1, "late") + TAIL
    )
    assert [type(each) for each in decoded(again)] == [Start, PartStart, PartDelta, PartEnd, Finished, Used]
    assert fold(decoded(stream(call(0)))).choices[0].parts == [ToolCall("t1", "look", "{}")]
    with pytest.raises(DecodeError):
        decoded(stream(delta(0, toolUse={"input": "{"})))
    with pytest.raises(DecodeError):
        CODEC.decoder().decode("x", b'{"a":{},"b":{}}')


def test_what_bedrocks_own_tools_did_is_collected():
    start = {"toolUseId": "a", "name": "nova_code_interpreter", "type": "server_tool_use"}
    result = {"toolUseId": "a", "type": "nova_code_interpreter_result", "status": "success"}
    raw = stream(
        event("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": start}}),
        delta(0, toolUse={"input": '{"snip'}),
        delta(0, toolUse={"input": 'pet":"1"}'}),
        stop(0),
        event("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolResult": result}}),
        delta(1, toolResult=[{"json": {"stdOut": "1"}}]),
        delta(1, toolResult=[{"text": "x"}]),
        stop(1),
        event("contentBlockStart", {"contentBlockIndex": 2, "start": {"image": {"format": "png"}}}),
        delta(2, image={"source": {"bytes": "aGk="}}),
        stop(2),
    )
    parts = fold(decoded(raw)).choices[0].parts
    assert [each.value for each in parts[:2]] == [
        {"toolUse": {**start, "input": {"snippet": "1"}}},
        {"toolResult": {**result, "content": [{"json": {"stdOut": "1"}}, {"text": "x"}]}},
    ]
    assert parts[2].data == "aGk="
    written, lost = encoded(*decoded(raw))
    assert fold(decoded(written)).choices[0].parts == parts
    assert not lost
    assert json.dumps(answered(*parts)[0])
