"""Answers, errors and streams of messages, read and written."""

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
from extproc.chat.fold import fold
from extproc.chat.losses import Losses
from extproc.chat.parts import Media, Native, Reasoning, Refusal, Text, ToolCall
from extproc.errors import DecodeError
from extproc.framing.sse import EventStream
from tests.unit.formats.anthropic.asked import CODEC, CONTEXT

PNG = "iVBORw0KGgo="

# answers


def answer(*parts, finish=Finish.STOP, **more):
    losses = Losses()
    body = CODEC.encode_answer(Answer(choices=[Choice(0, list(parts), finish)], **more), CONTEXT, losses)
    return body, losses.found


def streamed(*events):
    losses = Losses()
    encoder = CODEC.encoder(CONTEXT, losses)
    raw = b"".join([encoder.encode(event) for event in events] + [encoder.close()])
    reader, decoder = EventStream(1 << 20), CODEC.decoder()
    found = [out for event in [*reader.feed(raw), *reader.close()] for out in decoder.decode(event.name, event.data)]
    return fold(found + decoder.close()), losses.found


def test_an_answer_says_what_the_provider_did_not():
    body, _ = answer(Text("a"))
    assert (body["id"], body["model"], body["usage"]["input_tokens"]) == ("msg_r1", "asked", 0)
    body, _ = answer(Text("a"), id="x", model="y", usage=Usage(100, 9, 60, 4, 30))
    assert (body["id"], body["model"]) == ("x", "y")
    assert body["usage"] == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 60,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    }


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (Finish.STOP, "end_turn"), (Finish.LENGTH, "max_tokens"), (Finish.TOOLS, "tool_use"), (Finish.FILTER, "refusal"),
        (Finish.REFUSAL, "refusal"), (Finish.PAUSE, "pause_turn"), (Finish.OTHER, "end_turn"), (None, "end_turn"),
        (Finish.STOP_SEQUENCE, "stop_sequence"),
    ],
)  # fmt: skip
def test_why_an_answer_ended(finish, reason):
    assert answer(finish=finish)[0]["stop_reason"] == reason


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("model_context_window_exceeded", Finish.LENGTH), ("new", Finish.OTHER), (5, Finish.OTHER), (None, None)],
)
def test_reasons_to_stop_are_read(reason, finish):
    assert CODEC.decode_answer({"content": [], "stop_reason": reason}).choices[0].finish is finish


def test_what_messages_cannot_say_is_lost_but_nothing_shown_is():
    parts = (
        Reasoning("t", "sig", maker="gemini"),
        Reasoning("", sealed="box", maker="openai"),
        Media("image", data=PNG, where=("x",)),
        Native("gemini", {}),
        Refusal("no"),
        Text(""),
        ToolCall("c", "f", "{", where=("y",)),
        ToolCall("", "g", 'a "word"', custom=True, signature="sig"),
    )
    body, losses = answer(*parts, finish=Finish.TOOLS)
    assert body["content"] == [
        {"type": "thinking", "thinking": "t", "signature": ""},
        {"type": "text", "text": "no"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {"input": "{"}},
        {"type": "tool_use", "id": "toolu_r1_7", "name": "g", "input": {"input": 'a "word"'}},
    ]
    assert losses == [
        ("", "another provider's signature"),
        ("x", "a part that messages do not have"),
        ("", "a part that messages do not have"),
        ("y", "arguments that are no JSON object"),
        ("", "arguments that are no JSON object"),
        ("", "a call's signature"),
    ]


def test_the_same_as_a_stream():
    found, losses = streamed(
        Start(),
        PartStart(0, 0, Reasoning("", maker="gemini")),
        PartDelta(0, 0, "t", "sig"),
        PartDelta(0, 0, "", "sig"),
        PartEnd(0, 0),
        PartStart(0, 1, Media("image", data=PNG)),
        PartEnd(0, 1),
        PartStart(0, 2, Text("")),
        PartEnd(0, 2),
        PartStart(0, 3, ToolCall("", "g", "a ", custom=True)),
        PartDelta(0, 3, '"word"', "sig"),
        PartEnd(0, 3),
        PartStart(0, 4, Reasoning("", maker="claude")),
        PartDelta(0, 4, "t", "", "box"),
        PartEnd(0, 4),
        PartStart(1, 0, Text("b")),
        Finished(0, Finish.TOOLS),
        Used(Usage(3, 4)),
    )
    assert (found.id, found.model, found.usage) == ("msg_r1", "asked", Usage(3, 4))
    assert found.choices[0].parts == [
        Reasoning("t", maker="claude"),
        ToolCall("toolu_r1_3", "g", '{"input":"a \\"word\\""}'),
        Reasoning("t", maker="claude"),
    ]
    assert [reason for _, reason in losses] == [
        "another provider's signature",
        "a part that messages do not have",
        "a call's signature",
        "arguments that are no JSON object",
        "reasoning that is sealed",
        "one answer is all there can be",
    ]


def test_other_choices_are_lost():
    losses = Losses()
    body = CODEC.encode_answer(Answer(choices=[Choice(0, [Text("a")]), Choice(1, [Text("b")])]), CONTEXT, losses)
    assert [block["text"] for block in body["content"]] == ["a"]
    assert losses.found == [("choices[1]", "one answer is all there can be")]
    assert CODEC.encode_answer(Answer(), CONTEXT, Losses())["content"] == []


@pytest.mark.parametrize(
    "body", [None, [], "a", {}, {"content": "a", "type": "error"}, {"content": [3]}, {"content": None}]
)
def test_what_is_no_answer_is_refused(body):
    with pytest.raises(DecodeError):
        CODEC.decode_answer(body)


# errors


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (
            429,
            {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}},
            Failure(FailureKind.RATE_LIMIT, "slow", "rate_limit_error", 429),
        ),
        (529, {"error": {"type": "overloaded_error"}}, (FailureKind.OVERLOADED, "overloaded_error", 529)),
        (404, {"message": "no such model"}, Failure(FailureKind.NOT_FOUND, "no such model", "", 404)),
        (403, {"error": "no"}, Failure(FailureKind.PERMISSION, "no", "", 403)),
        (0, {"error": {"type": "new", "message": "m"}}, Failure(FailureKind.INTERNAL, "m", "new", 500)),
        (502, None, (FailureKind.INTERNAL, "", 502)),
        (400, [], (FailureKind.INVALID, "", 400)),
        (413, {"error": {"message": 5, "type": 5}}, (FailureKind.TOO_LARGE, "", 413)),
    ],
)
def test_errors_are_read(status, body, failure):
    found = CODEC.decode_error(status, body)
    if isinstance(failure, Failure):
        assert found == failure
    else:
        assert (found.kind, found.code, found.status) == failure
        assert found.message


@pytest.mark.parametrize("kind", list(FailureKind))
def test_errors_written_are_read_as_what_they_were(kind):
    body = CODEC.encode_error(Failure(kind, "m"))
    assert body.keys() == {"type", "error"}
    assert body["error"]["message"] == "m"
    assert CODEC.decode_error(0, body).kind is (FailureKind.INVALID if kind is FailureKind.FILTERED else kind)


# streams


def feed(*events):
    decoder = CODEC.decoder()
    return [out for event in events for out in decoder.decode("", event)] + decoder.close()


def test_events_need_not_begin_with_the_message():
    found = feed(
        b'{"type":"content_block_start","index":0,"content_block":{"type":"text"}}',
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}',
        b'{"type":"message_delta","delta":{"stop_reason":"end_turn"}}',
        b'{"type":"content_block_stop","index":0}',
        b'{"type":"message_stop"}',
        b'{"type":"content_block_start","index":1,"content_block":{"type":"text"}}',
    )
    assert found == [
        Start(),
        PartStart(0, 0, Text("")),
        PartDelta(0, 0, "a"),
        PartEnd(0, 0),
        Finished(0, Finish.STOP),
    ]


def test_a_message_that_stops_without_a_reason_has_ended():
    begun = b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}'
    found = feed(begun, b'{"type":"message_delta","delta":{}}', b'{"type":"message_stop"}')
    assert found[-2:] == [PartEnd(0, 0), Finished(0, Finish.OTHER)]
    assert isinstance(feed(b'{"type":"message_stop"}')[0], Failure)


def test_a_name_stands_in_for_a_type():
    decoder = CODEC.decoder()
    assert decoder.decode("message_start", b'{"message":{"id":"m","usage":{"input_tokens":3}}}') == [
        Start("m"),
        Used(Usage(3)),
    ]
    assert decoder.decode("new", b"{}") == decoder.decode("", b'{"type":"ping"}') == []


@pytest.mark.parametrize(
    "event",
    [
        b"[]",
        b"{",
        b'{"type":5}',
        b'{"type":"message_start","message":5}',
        b'{"type":"content_block_start","index":0}',
        b'{"type":"content_block_start","content_block":{"type":"text"}}',
        b'{"type":"content_block_start","index":1,"content_block":{"type":"text"}}',
        b'{"type":"content_block_start","index":0,"content_block":{"text":"a"}}',
        b'{"type":"content_block_delta","index":7,"delta":{"type":"text_delta","text":"a"}}',
        b'{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":5}}',
        b'{"type":"content_block_delta","index":1,"delta":{"type":"thinking_delta","thinking":"a"}}',
        b'{"type":"content_block_delta","index":1,"delta":{"type":"signature_delta","signature":"a"}}',
        b'{"type":"message_delta","usage":5}',
    ],
)
def test_what_is_no_event_is_refused(event):
    with pytest.raises(DecodeError):
        feed(b'{"type":"content_block_start","index":1,"content_block":{"type":"text"}}', event)


def test_what_only_this_api_knows_is_collected():
    found = feed(
        b'{"type":"content_block_start","index":0,"content_block":{"type":"compaction","content":"a"}}',
        b'{"type":"content_block_start","index":1,"content_block":{"type":"server_tool_use","id":"s","name":"n","input":{}}}',
        b'{"type":"content_block_delta","index":0,"delta":{"type":"compaction_delta","content":"b"}}',
        b'{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"q\\":"}}',
        b'{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"1}"}}',
        b'{"type":"content_block_stop","index":1}',
        b'{"type":"content_block_stop","index":0}',
    )
    natives = [
        {"type": "server_tool_use", "id": "s", "name": "n", "input": {"q": 1}},
        {"type": "compaction", "content": "ab"},
    ]
    assert [event.part for event in found if isinstance(event, PartStart)] == [
        Native("anthropic-messages", value, ("content", index)) for index, value in zip((1, 0), natives, strict=True)
    ]
