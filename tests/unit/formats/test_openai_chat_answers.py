"""OpenAI chat's answers, whole and streamed, case by case: signatures, what servers add, what breaks."""

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
)
from extproc.chat.codec import Context
from extproc.chat.fold import fold, unfold
from extproc.chat.losses import Losses
from extproc.chat.parts import Media, Native, Reasoning, Refusal, Text, ToolCall
from extproc.errors import DecodeError
from extproc.formats.openai_chat.codec import OpenAIChatCodec
from tests.golden.canonical import bare, lawful

CODEC = OpenAIChatCodec()
CONTEXT = Context("r1", "m", 17)


def asked(*messages, **more):
    """A request, and what was lost of it."""
    losses = Losses()
    body = {"model": "m", "messages": list(messages), **more}
    return CODEC.decode_request(body, losses), losses.found


def stream(*chunks, done=True):
    decoder = CODEC.decoder()
    found = [event for each in chunks for event in decoder.decode("", json.dumps(each).encode())]
    if done:
        found += decoder.decode("", b"[DONE]")
    return found + decoder.close()


def chunk(delta, finish=None, index=0, **more):
    return {
        "id": "a",
        "model": "m",
        "created": 1,
        "choices": [{"index": index, "delta": delta, "finish_reason": finish}],
        **more,
    }


# signatures through a client of this format


@pytest.mark.parametrize(
    "part",
    [
        Reasoning("thought", signature="sig", maker="claude"),
        Reasoning("", sealed="blob", maker="claude"),
        Reasoning("in short", sealed="blob", maker="openai", summary=True, id="rs_1"),
        Reasoning("plain"),
        ToolCall("c", "f", "{}", signature="sig", maker="gemini"),
    ],
)
def test_signatures_survive_a_client_that_sends_its_messages_back(part):
    """Whole, and put together of a stream as OpenRouter's clients do."""
    answer = Answer("a", "m", 1, [Choice(0, [part, *([] if isinstance(part, ToolCall) else [Text("x")])], Finish.STOP)])
    message = CODEC.encode_answer(answer, CONTEXT, Losses())["choices"][0]["message"]
    assert bare(asked(message)[0].messages[0].parts[0]) == part
    encoder = CODEC.encoder(CONTEXT, Losses())
    message = {"role": "assistant", "content": None}
    for raw in map(encoder.encode, unfold(answer)):
        for name, value in json.loads(raw[6:])["choices"][0]["delta"].items() if raw else ():
            if name == "tool_calls":
                held = message.setdefault(name, [{"id": "c", "function": {"name": "f", "arguments": ""}}])[0]
                held["function"]["arguments"] += value[0].get("function", {}).get("arguments", "")
                held |= {each: value[0][each] for each in ("extra_content",) if each in value[0]}
            elif name != "role":
                message[name] = (message.get(name) or type(value)()) + value
    assert bare(asked(message)[0].messages[0].parts[0]) == part


def test_a_gemini_signature_under_the_id_of_its_call():
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    seal = {"type": "reasoning.encrypted", "data": "sig", "id": "c", "format": "google-gemini-v1", "index": 0}
    wanted = [ToolCall("c", "f", "{}", signature="sig", maker="gemini")]
    request, _ = asked({"role": "assistant", "content": None, "tool_calls": [call], "reasoning_details": [seal]})
    assert bare(request.messages[0].parts) == wanted
    sealed, called = chunk({"reasoning_details": [seal]}), chunk({"tool_calls": [{"index": 0, **call}]})
    for events in ((sealed, called), (called, sealed)):
        (part,) = fold(stream(*events, chunk({}, "tool_calls"))).choices[0].parts
        assert (part.id, part.signature) == ("c", "sig")


def test_blocks_as_litellm_passes_them():
    blocks = [
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "redacted_thinking", "data": "blob"},
    ]
    request, lost = asked({"role": "assistant", "content": "x", "thinking_blocks": blocks, "reasoning_content": "t"})
    assert bare(request.messages[0].parts) == [
        Reasoning("t", signature="s", maker="claude"),
        Reasoning("", sealed="blob", maker="claude"),
        Text("x"),
    ]
    assert lost == []


# answers


def test_what_a_server_adds_to_usage():
    def used(**usage):
        return CODEC.decode_answer({"choices": [], "usage": usage}).usage

    assert used(prompt_tokens=5, completion_tokens=7, prompt_cache_hit_tokens=2) == Usage(5, 7, 2)
    beside = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 32}
    assert used(**beside, completion_tokens_details={"reasoning_tokens": 20}) == Usage(5, 27, reasoning=20)
    within = {"prompt_tokens": 5, "completion_tokens": 27, "total_tokens": 32}
    assert used(**within, completion_tokens_details={"reasoning_tokens": 20}) == Usage(5, 27, reasoning=20)


@pytest.mark.parametrize(
    ("word", "message", "wanted"),
    [
        ("stop", {"content": "a"}, Finish.STOP),
        ("eos", {"content": "a"}, Finish.STOP),
        ("model_length", {"content": "a"}, Finish.LENGTH),
        ("content_filter", {"content": "a"}, Finish.FILTER),
        ("error", {"content": "a"}, Finish.OTHER),
        (None, {"content": "a"}, Finish.OTHER),
        ("stop", {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}, Finish.TOOLS),
    ],
)
def test_why_an_answer_ended(word, message, wanted):
    body = {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": word}]}
    assert CODEC.decode_answer(body).choices[0].finish is wanted
    if word:
        delta = {**message, "tool_calls": [{"index": 0, **each} for each in message.get("tool_calls", [])]}
        assert fold(stream(chunk(delta, word))).choices[0].finish is wanted


def test_what_a_client_of_this_format_cannot_be_told_is_a_loss():
    losses = Losses()
    parts = [
        Media("audio", data="QUJD"),
        Native("claude", {}),
        Refusal("no"),
        Media("image", data="QUJD", type="image/png"),
    ]
    body = CODEC.encode_answer(Answer(choices=[Choice(0, parts, Finish.PAUSE)]), CONTEXT, losses)
    message = body["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "no")
    assert message["images"][0]["image_url"]["url"] == "data:image/png;base64,QUJD"
    assert (body["id"], body["created"], body["model"]) == ("chatcmpl-r1", 17, "m")
    assert [reason for _, reason in losses.found] == ["audio in an answer", "a provider's own part", "finish reason"]


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (400, {"error": {"message": "no", "param": "n", "code": "bad"}}, (FailureKind.INVALID, "no", "bad", "n")),
        (401, {"error": "no"}, (FailureKind.AUTHENTICATION, "no", "", "")),
        (404, {"object": "error", "message": "no", "code": 404}, (FailureKind.NOT_FOUND, "no", "404", "")),
        (422, {"detail": "no"}, (FailureKind.INVALID, "no", "", "")),
        (429, None, (FailureKind.RATE_LIMIT, "The provider answered with an error.", "", "")),
        (503, [], (FailureKind.OVERLOADED, "The provider answered with an error.", "", "")),
        (500, {"error": {"message": {}}}, (FailureKind.INTERNAL, "The provider answered with an error.", "", "")),
        (
            400,
            {"error": {"message": "no", "code": "content_filter"}},
            (FailureKind.FILTERED, "no", "content_filter", ""),
        ),
        (200, {"error": {"message": "no", "code": 502}}, (FailureKind.INTERNAL, "no", "502", "")),
        (200, {"error": {"message": "no", "code": 429}}, (FailureKind.RATE_LIMIT, "no", "429", "")),
    ],
)
def test_errors(status, body, wanted):
    found = CODEC.decode_error(status, body)
    assert (found.kind, found.message, found.code, found.param) == wanted


# streams


def test_a_stream_that_breaks_off_fails():
    for events in ([], [chunk({"content": "a"})]):
        found = stream(*events, done=False)
        assert found[-1] == Failure(FailureKind.INTERNAL, "The provider's stream broke off.", "stream_truncated")
        lawful(found)


def test_a_stream_without_a_finish_is_believed_if_it_says_done():
    found = stream(chunk({"content": "a"}))
    lawful(found)
    assert found[-1] == Finished(0, Finish.STOP)


def test_one_choice_that_ended_is_enough():
    found = stream(chunk({"content": "a"}), chunk({"content": "b"}, "stop", 1), done=False)
    lawful(found)
    assert [(each.choice, each.finish) for each in found if isinstance(each, Finished)] == [
        (1, Finish.STOP),
        (0, Finish.OTHER),
    ]


def test_an_error_in_the_middle_ends_it():
    found = stream(
        chunk({"content": "a"}), {"error": {"message": "no", "type": "server_error"}}, chunk({"content": "b"})
    )
    assert found[-1] == Failure(FailureKind.INTERNAL, "no")
    assert not [each for each in found if isinstance(each, PartDelta) and each.text == "b"]


def call(index=None, id_=None, name=None, arguments=None):
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    told = {key: value for key, value in (("index", index), ("id", id_)) if value is not None}
    return {**told, "function": function}


@pytest.mark.parametrize(
    "deltas",
    [
        [[call(0, "a", "f", "")], [call(0, arguments="1")], [call(1, "b", "g", "")], [call(1, arguments="2")]],
        [[call(0, "a", "f"), call(1, "b", "g")], [call(1, arguments="2")], [call(0, arguments="1")]],
        [[call(0, "a", "f", "1")], [call(0, "b", "g", "2")]],  # the same index for all
        [[call(None, "a", "f", "1")], [call(None, "b", "g", "2")]],  # no index
        [[call(None, "a", "f")], [call(None, None, None, "1")], [call(None, "b", "g")], [call(None, None, None, "2")]],
        [[call(0, "a", arguments="1")], [call(0, name="f")], [call(1, "b", "g", "2")]],  # the name comes late
        [[call(0, "a", "f", "1")], [call(0, "a", "f", "")], [call(1, "b", "g", "2")]],  # the id comes again
    ],
)
def test_calls_however_servers_tell_them_apart(deltas):
    found = stream(*[chunk({"tool_calls": each}) for each in deltas], chunk({}, "tool_calls"))
    lawful(found)
    (choice,) = fold(found).choices
    assert [(part.id, part.name, part.arguments) for part in choice.parts] == [("a", "f", "1"), ("b", "g", "2")]


@pytest.mark.parametrize("index", ["0", 0.5, -1, True])
def test_an_index_is_a_number(index):
    with pytest.raises(DecodeError):
        stream(chunk({"tool_calls": [call(index, "a", "f")]}))
    with pytest.raises(DecodeError):
        stream(chunk({"content": "a"}, None, index))


def test_reasoning_that_is_there_twice_is_read_once():
    both = {"reasoning": "a", "reasoning_content": "a", "reasoning_details": [{"type": "reasoning.text", "text": "a"}]}
    assert [part.text for part in fold(stream(chunk(both, "stop"))).choices[0].parts] == ["a"]
    assert fold(stream(chunk({"reasoning": "a", "reasoning_content": "a"}, "stop"))).choices[0].parts == [
        Reasoning("a")
    ]


def test_a_stream_begins_with_the_first_event_that_says_something():
    azure = {"id": "", "model": "", "choices": [], "prompt_filter_results": [{}]}
    assert stream(azure, chunk({"content": "a"}, "stop"))[0] == Start("a", "m", 1)


def test_there_is_no_end_to_the_parts_of_a_choice():
    flood = [chunk({"tool_calls": [call(number, f"c{number}", "f")]}) for number in range(1100)]
    with pytest.raises(DecodeError):
        stream(*flood)


def test_the_encoder_says_the_role_once_and_usage_last():
    encoder = CODEC.encoder(Context("r1", "m", 17, usage=True), Losses())
    events = [Start("a", "m", 1), PartStart(0, 0, Text("")), PartDelta(0, 0, "x"), Finished(0, Finish.STOP)]
    raw = b"".join([*map(encoder.encode, events), encoder.close(), encoder.close()])
    *chunks, done = [each.removeprefix(b"data: ") for each in raw.split(b"\n\n")[:-1]]
    told = [json.loads(each)["choices"][0] for each in chunks]
    assert [each["delta"] for each in told] == [{"role": "assistant", "content": "x"}, {}]
    assert told[1]["finish_reason"] == "stop"
    assert done == b"[DONE]"


def test_a_call_without_arguments_is_an_empty_object():
    encoder = CODEC.encoder(CONTEXT, Losses())

    events = [Start("a", "m", 1), PartStart(0, 0, ToolCall("c", "f")), PartEnd(0, 0), Finished(0, Finish.TOOLS)]
    raw = b"".join([*map(encoder.encode, events), encoder.close()])
    decoder = CODEC.decoder()
    found = [event for each in raw.split(b"\n\n")[:-1] for event in decoder.decode("", each[6:])]
    assert fold(found).choices[0].parts[0].arguments == "{}"
