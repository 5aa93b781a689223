"""The Responses API's codec in detail: reasoning and its makers, what cannot be said, what is lost, how streams end."""

import json
from dataclasses import replace

import httpx
import openai
import pytest

from extproc.chat.answer import (
    Answer,
    Choice,
    Failure,
    FailureKind,
    Finish,
    Finished,
    PartDelta,
    PartStart,
    Start,
    Usage,
    Used,
)
from extproc.chat.fold import fold, unfold
from extproc.chat.losses import Losses
from extproc.chat.parts import Cache, Media, Message, Native, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.chat.request import Request, Settings, Thinking, Tool
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.openai_responses import OpenAIResponses, seals
from extproc.framing.jsontext import dump
from tests.golden import canonical
from tests.golden.responses import CODEC, CONTEXT, decoded, encoded, last, sse

# reasoning of every maker, through clients that only know OpenAI's


@pytest.mark.parametrize(
    "part",
    [
        Reasoning("thought", signature="c2ln", maker="claude"),
        Reasoning("", sealed="c2VhbGVk", maker="claude"),
        Reasoning("thought", signature="c2ln", sealed="c2VhbGVk", maker="gemini", summary=True),
        Reasoning("thought", maker=""),
        Reasoning("thought", sealed="gAAAA", maker="openai", summary=True),
        Reasoning("thought", sealed="extproc-claude-0-x", maker="openai"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_sends_reasoning_back_to_its_maker(part, streamed):
    answer = Answer("", "m", 1, [Choice(0, [part, Text("so")], Finish.STOP)])
    body = last(encoded(unfold(answer))) if streamed else CODEC.encode_answer(answer, CONTEXT, Losses())
    request = CODEC.decode_request({"model": "m", "input": body["output"]}, Losses())
    (message,) = request.messages
    assert [
        replace(each, id="") if isinstance(each, Reasoning) else each for each in canonical.bare(message.parts)
    ] == [
        part,
        Text("so"),
    ]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_sends_the_signature_of_a_call_back_to_its_maker(streamed):
    calls = [ToolCall("a", "f", "{}", signature="c2lnMQ", maker="gemini"), ToolCall("b", "g", "{}")]
    answer = Answer("", "m", 1, [Choice(0, [*calls], Finish.TOOLS)])
    body = last(encoded(unfold(answer))) if streamed else CODEC.encode_answer(answer, CONTEXT, Losses())
    request = CODEC.decode_request({"model": "m", "input": body["output"]}, Losses())
    assert canonical.bare(request.messages[0].parts) == calls
    assert canonical.bare(CODEC.decode_answer(body).choices[0].parts) == calls


def test_what_openai_could_not_read_is_known_by_its_seal():
    parts = [Reasoning("t", sealed="gA", maker="openai"), Reasoning("t", signature="c2ln", maker="claude"), Text("so")]
    body = CODEC.encode_answer(Answer("", "m", 1, [Choice(0, parts, Finish.STOP)]), CONTEXT, Losses())
    assert seals.foreign({"input": body["output"]}) == [("input", 1)]
    assert seals.foreign({"input": "text"}) == []


# what cannot be said


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"previous_response_id": "resp_1"}, ("previous_response_id",)),
        ({"conversation": {"id": "conv_1"}}, ("conversation",)),
        ({"prompt": {"id": "pmpt_1"}}, ("prompt",)),
        ({"background": True}, ("background",)),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, ("input", 0)),
        ({"instructions": [{"role": "system", "content": "x"}]}, ("instructions",)),
    ],
)
def test_what_the_provider_stores_cannot_be_asked_of_another(body, path):
    with pytest.raises(Unrepresentable) as caught:
        CODEC.decode_request({"model": "m", "input": "a", **body}, Losses())
    assert caught.value.path == path


def test_what_only_openai_knows_stays_what_it_was():
    items = [
        {"type": "web_search_call", "id": "ws", "status": "completed"},
        {"type": "local_shell_call_output", "id": "a"},
    ]
    tools = [{"type": "web_search", "search_context_size": "low"}]
    request = CODEC.decode_request({"model": "m", "input": items, "tools": tools}, Losses())
    assert [message.role for message in request.messages] == ["assistant", "user"]
    assert all(isinstance(part, Native) for message in request.messages for part in message.parts)
    body = CODEC.encode_request(request, Losses())
    assert (body["input"], body["tools"]) == (items, tools)
    request.tools[0].native = "anthropic-messages"
    with pytest.raises(Unrepresentable):
        CODEC.encode_request(request, Losses())


def test_what_is_lost_is_told():
    body = {
        "model": "m", "store": True, "truncation": "auto", "include": ["file_search_call.results"], "new_field": 1,
        "max_tool_calls": 2,
        "input": [{"role": "assistant", "phase": "commentary",
                   "content": [{"type": "output_text", "text": "a", "annotations": [{"type": "url_citation"}]}]}],
        "tools": [{"type": "function", "name": "f", "defer_loading": True}], "reasoning": {"mode": "pro"},
    }  # fmt: skip
    losses = Losses()
    CODEC.decode_request(body, losses)
    assert {place for place, _ in losses.found} == {
        "store", "truncation", "include", "new_field", "max_tool_calls", "input[0].phase",
        "input[0].content[0].annotations", "tools[0].defer_loading", "reasoning.mode",
    }  # fmt: skip


def test_a_request_is_written_within_what_openai_accepts():
    settings_ = Settings(max_output=3, temperature=3.0, top_k=5, stop=["x"], seed=7, choices=2)
    call = ToolCall("toolu_" + "x" * 80, "f", "", cache=Cache())
    request = Request(
        "m",
        [
            Message("user", [Text(""), Text("hi", Cache())], name="bob"),
            Message("assistant", [Refusal("no"), call]),
            Message("user", [ToolResult(call.id, [], failed=True)]),
        ],
        [Tool("f")],
        settings=settings_,
        thinking=Thinking(budget=3000),
    )
    losses = Losses()
    body = CODEC.encode_request(request, losses)
    assert (body["max_output_tokens"], body["temperature"], body["store"]) == (16, 2, False)
    assert body["reasoning"] == {"effort": "low"}
    assert body["include"] == ["reasoning.encrypted_content"]
    user, assistant, called, result = body["input"]
    assert user["content"] == [{"type": "input_text", "text": ""}, {"type": "input_text", "text": "hi"}]
    assert assistant["content"] == [{"type": "refusal", "refusal": "no"}]
    assert called["call_id"] == result["call_id"]
    assert len(called["call_id"]) <= 64
    assert (called["arguments"], result["output"]) == ("{}", "")
    assert body["tools"] == [{"type": "function", "name": "f", "parameters": None, "strict": False}]
    assert {reason for _, reason in losses.found} == {
        "clamped", "no word for it", "only one answer is given", "cache mark", "name of the speaker", "mark of a failed call",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("part", "role"),
    [
        (Media("video", url="u"), "user"),
        (Media("audio", url="u"), "user"),
        (Media("image", url="u"), "assistant"),
        (Native("gemini", {}), "assistant"),
    ],
)
def test_what_openai_cannot_be_told_is_refused(part, role):
    with pytest.raises(Unrepresentable):
        CODEC.encode_request(Request("m", [Message(role, [part])]), Losses())


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (Media("image", id="file_1", detail="low"), {"type": "input_image", "detail": "low", "file_id": "file_1"}),
        (Media("file", url="https://a/b.pdf"), {"type": "input_file", "file_url": "https://a/b.pdf"}),
        (Media("file", id="file_1"), {"type": "input_file", "file_id": "file_1"}),
        (Media("audio", data="QQ", type="audio/mp3"), {"type": "input_audio", "input_audio": {"data": "QQ", "format": "mp3"}}),
    ],
)  # fmt: skip
def test_media_are_written_and_read(media, part):
    body = CODEC.encode_request(Request("m", [Message("user", [media])]), Losses())
    assert body["input"][0]["content"] == [part]
    assert canonical.bare(CODEC.decode_request(body, Losses()).messages) == [Message("user", [media])]


# endings


@pytest.mark.parametrize(
    ("finish", "status", "reason", "lost"),
    [
        (Finish.STOP, "completed", None, 0),
        (Finish.LENGTH, "incomplete", "max_output_tokens", 0),
        (Finish.FILTER, "incomplete", "content_filter", 0),
        (Finish.REFUSAL, "incomplete", "content_filter", 0),
        (Finish.STOP_SEQUENCE, "completed", None, 1),
        (Finish.PAUSE, "completed", None, 1),
    ],
)
def test_how_an_answer_ends(finish, status, reason, lost):
    losses = Losses()
    body = CODEC.encode_answer(Answer(choices=[Choice(0, [Text("a")], finish)]), CONTEXT, losses)
    assert (body["status"], (body["incomplete_details"] or {}).get("reason")) == (status, reason)
    assert len(losses.found) == lost
    assert (body["id"], body["model"], body["created_at"]) == ("resp_r1", "asked", 17)


def test_a_failure_ends_a_stream_and_nothing_follows():
    encoder = CODEC.encoder(CONTEXT, Losses())
    out = encoder.encode(Start()) + encoder.encode(Failure(FailureKind.OVERLOADED, "busy", "busy_code", 503))
    assert encoder.encode(Finished(0, Finish.STOP)) == encoder.encode(Used(Usage())) == encoder.close() == b""
    name, payload = sse(out)[-1]
    error = json.loads(payload)
    assert (name, error["type"], error["message"], error["code"], error["sequence_number"]) == (
        "error", "error", "busy", "busy_code", 2,
    )  # fmt: skip
    assert error["error"] == {"type": "overloaded_error", "code": "busy_code", "message": "busy", "param": None}
    (_, failure) = decoded(sse(out))
    assert (failure.kind, failure.message, failure.code) == (FailureKind.OVERLOADED, "busy", "busy_code")


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "m"}}}, "internal"),
        (
            {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "m"}}},
            "rate_limit",
        ),
        ({"type": "error", "code": None, "message": "m", "param": None}, "internal"),
        ({"type": "error", "error": {"type": "too_many_requests", "code": "x", "message": "m"}}, "rate_limit"),
        ({"error": {"type": "invalid_request_error", "message": "m"}}, "invalid_request"),
    ],
)
def test_errors_in_streams_are_read(event, kind):
    start, failure = decoded([("error", dump(event)), ("", b'{"type":"response.completed"}')])
    assert isinstance(start, Start)
    assert (failure.kind, failure.message) == (FailureKind(kind), "m")


def test_a_stream_that_breaks_off_fails():
    raw = encoded(unfold(Answer("i", "m", 1, [Choice(0, [Text("hello")], Finish.STOP)])))
    *_, failure = decoded(sse(raw)[:5])
    assert (failure.kind, failure.code) == (FailureKind.INTERNAL, "stream_truncated")
    out = encoded([Start("i", "m", 1)])
    assert json.loads(sse(out)[-1][1])["code"] == "stream_truncated"


def test_a_server_that_only_says_the_essential_is_understood():
    said = [
        {"type": "response.output_item.added", "output_index": 0,
         "item": {"type": "function_call", "call_id": "c", "name": "f"}},
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "hi"},
        {"type": "response.completed", "response": {"id": "i", "status": "completed"}},
    ]  # fmt: skip
    answer = fold(decoded([("", dump(each)) for each in said]))
    assert answer.choices == [Choice(0, [ToolCall("c", "f", "{}"), Text("hi")], Finish.TOOLS)]
    body = CODEC.encode_answer(Answer("resp_2", "m", 1, [Choice(0, [Text("all")], Finish.STOP)]), CONTEXT, Losses())
    answer = fold(decoded([("", dump({"type": "response.completed", "response": body}))]))
    assert answer.choices == [Choice(0, [Text("all")], Finish.STOP)]


# the SDK itself, over a transport that answers with what we wrote


def asked(raw):
    """An SDK whose provider answers with these bytes."""
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=raw)
    transport = httpx.MockTransport(lambda _: answer)
    return openai.OpenAI(
        api_key="k", base_url="http://h/v1", http_client=httpx.Client(transport=transport), max_retries=0
    )


def test_the_sdk_puts_a_stream_together():
    parts = [Reasoning("why", summary=True, maker="openai"), Text("hello you"), ToolCall("c", "f", '{"a":1}')]
    raw = encoded(unfold(Answer("resp_1", "m", 1, [Choice(0, parts, Finish.TOOLS)], Usage(3, 4, 1, 2))))
    with asked(raw).responses.stream(model="m", input="a") as stream:
        final = stream.get_final_response()
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    assert (final.output_text, final.output[2].arguments, final.usage.total_tokens) == ("hello you", '{"a":1}', 7)


def test_the_sdk_raises_on_an_error_in_a_stream():
    encoder = CODEC.encoder(CONTEXT, Losses())
    raw = encoder.encode(Start()) + encoder.encode(Failure(FailureKind.OVERLOADED, "busy", "busy_code", 503))
    with pytest.raises(openai.APIError, match="busy") as caught:
        list(asked(raw).responses.create(model="m", input="a", stream=True))
    assert caught.value.code == "busy_code"


# bounds


def test_an_answer_that_is_too_long_to_be_repeated_fails():
    encoder = CODEC.encoder(CONTEXT, Losses())
    encoder.encode(PartStart(0, 0, Text("")))
    out = [encoder.encode(PartDelta(0, 0, "a" * (1 << 22))) for _ in range(9)]
    assert json.loads(sse(out[8])[0][1])["code"] == "upstream_too_large"
    assert encoder.close() == b""


def test_a_stream_has_so_many_items_and_parts_and_no_more():
    for name in ("output_index", "content_index"):
        said = {"type": "response.output_text.delta", "output_index": 0, "delta": "a"}
        endless = [("", dump({**said, name: at})) for at in range(30_000)]
        with pytest.raises(DecodeError, match="too many"):
            decoded(endless)


def test_an_item_of_endless_parts_is_not_said_again():
    ending = OpenAIResponses().ending()
    for at in range(2000):
        ending.more(("response.reasoning_text", 0, at, None, None), "a")
    assert json.loads(sse(ending.end(""))[-1][1])["response"]["output"] == []


def test_a_stream_that_says_nothing_in_its_end_is_an_empty_answer():
    assert fold(decoded([("response.completed", b"{}")])).choices == [Choice(0, [], Finish.STOP)]


def test_a_part_begins_anew_in_an_item_that_was_done_but_does_not_go_on():
    item = {"type": "message", "content": [{"type": "output_text", "text": "a"}]}
    done = dump({"type": "response.output_item.done", "output_index": 0, "item": item})
    more = {"type": "response.output_text.delta", "output_index": 0, "delta": "b"}
    ended = dump({"type": "response.completed", "response": {}})
    found = decoded([("", done), ("", dump({**more, "content_index": 1})), ("", ended)])
    assert fold(found).choices == [Choice(0, [Text("a"), Text("b")], Finish.STOP)]
    canonical.lawful(found)
    with pytest.raises(DecodeError, match="after its end"):
        decoded([("", done), ("", dump({**more, "content_index": 0})), ("", ended)])
