"""OpenAI chat and the canonical form: every recorded exchange there and back, laws, and broken servers."""

import contextlib
import copy
import json
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from extproc.chat.answer import Answer, Failure, FailureKind, Finish, Start, Used
from extproc.chat.codec import Context
from extproc.chat.fold import fold, unfold
from extproc.chat.losses import Losses
from extproc.chat.parts import Native, Reasoning, Text, ToolCall
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.openai_chat.codec import OpenAIChatCodec
from extproc.formats.openai_chat.encode import Dialect
from extproc.formats.openai_chat.tools import fitted
from extproc.framing.sse import EventStream
from tests.golden.canonical import CALM, IMAGES, Can, answers, bare, joined, lawful, requests, streams
from tests.property.streams import recorded
from tests.support import data

CODEC = OpenAIChatCodec(Dialect(extensions=True))
CONTEXT = Context("r1", "m", 17, usage=True)
RATIOS = st.floats(0, 1, allow_nan=False)
CAN = Can(
    choices=3,
    makers=("", "claude"),
    sealed=("claude", "openai"),
    refusals=True,
    custom=True,
    caches=True,
    finishes=(Finish.STOP, Finish.LENGTH, Finish.FILTER),
    usage=("cached", "cache_write", "reasoning", "audio_input", "audio_output"),
    settings={
        "max_output": st.integers(1, 5000),
        "temperature": RATIOS,
        "top_p": RATIOS,
        "top_k": st.integers(1, 100),
        "min_p": RATIOS,
        "stop": st.lists(st.text(min_size=1), max_size=4),
        "seed": st.integers(0, 2**31),
        "frequency_penalty": RATIOS,
        "presence_penalty": RATIOS,
        "choices": st.integers(1, 5),
        "verbosity": st.sampled_from(["low", "high"]),
        "logprobs": st.integers(0, 20),
        "logit_bias": st.dictionaries(st.sampled_from(["1", "2"]), st.integers(-100, 100), min_size=1),
        "service_tier": st.sampled_from(["auto", "flex"]),
        "modalities": st.just(["text"]),
    },
    media=IMAGES,
    names=True,
    systems=True,
    efforts=("none", "minimal", "low", "medium", "high", "xhigh"),
    shapes=True,
    user=True,
)


def read(raw, size=0):
    """A stream's events in the canonical form; cut into pieces of ``size`` bytes."""
    decoder, reader = CODEC.decoder(), EventStream(1 << 20)
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)] if size else [raw]
    found = []
    for piece in pieces:
        for event in reader.feed(piece):
            if event.data:
                found += decoder.decode(event.name, event.data)
    for event in reader.close():
        if event.data:
            found += decoder.decode(event.name, event.data)
    return found + decoder.close()


def written(events, context=CONTEXT):
    encoder = CODEC.encoder(context, Losses())
    return b"".join([*(encoder.encode(event) for event in events), encoder.close()])


# laws


@CALM
@given(requests(CAN))
def test_a_request_comes_back_as_it_went(request):
    losses = Losses()
    body = json.loads(json.dumps(CODEC.encode_request(request, losses)))
    assert bare(CODEC.decode_request(body, losses)) == request
    assert losses.count == 0


@CALM
@given(answers(CAN))
def test_an_answer_comes_back_as_it_went(answer):
    losses = Losses()
    body = json.loads(json.dumps(CODEC.encode_answer(answer, CONTEXT, losses)))
    ChatCompletion.model_validate(body)
    assert bare(CODEC.decode_answer(body)) == answer
    assert losses.count == 0


@CALM
@given(st.data(), answers(CAN))
def test_a_stream_comes_back_as_it_went(data, answer):
    raw = written(data.draw(streams(answer)))
    assert raw.endswith(b"data: [DONE]\n\n")
    found = read(raw, data.draw(st.integers(0, 40)))
    lawful(found)
    assert bare(fold(found)) == answer
    for line in (
        raw.split(b"\n\n")[:-2] if b'"custom"' not in raw else []
    ):  # the SDK's types know no streamed custom calls
        ChatCompletionChunk.model_validate_json(line.removeprefix(b"data: "))


@CALM
@given(answers(CAN))
def test_whole_and_streamed_say_the_same(answer):
    whole = CODEC.decode_answer(CODEC.encode_answer(answer, CONTEXT, Losses()))
    assert bare(fold(read(written(unfold(answer))))) == bare(whole)


MIXED = Can(choices=2, mixed=True, makers=("", "claude"), sealed=("claude",), refusals=True, finishes=tuple(Finish))


@CALM
@given(st.data(), answers(MIXED))
def test_parts_in_any_order_stream_in_good_order(data, answer):
    found = read(written(data.draw(streams(answer))))
    lawful(found)
    for before, after in zip(answer.choices, fold(found).choices, strict=True):
        texts = ["".join(part.text for part in each.parts if isinstance(part, Text)) for each in (before, after)]
        calls = [
            [(part.id, part.arguments) for part in each.parts if isinstance(part, ToolCall)] for each in (before, after)
        ]
        assert texts[0] == texts[1]
        assert calls[0] == calls[1]


@given(
    st.sampled_from(FailureKind), st.text(min_size=1), st.sampled_from(["", "a_code"]), st.sampled_from(["", "model"])
)
def test_errors_come_back_as_they_went(kind, message, code, param):
    found = CODEC.decode_error(200, CODEC.encode_error(Failure(kind, message, code, param=param)))
    assert (found.kind, found.message, found.param) == (kind, message, param)
    if kind is not FailureKind.FILTERED:
        assert found.code == code
    decoder = CODEC.decoder()
    raw = written([Start("a", "m", 1), Failure(kind, message, code)])
    (failure,) = [event for event in read(raw) if isinstance(event, Failure)]
    assert (failure.kind, failure.message) == (kind, message)
    assert decoder.close() == [Failure(FailureKind.INTERNAL, "The provider's stream broke off.", "stream_truncated")]


# recordings


@cache
def exchanges():
    """(name, request, answer or None, status) of every recorded chat."""
    found = []
    for family in ("openai_chat", "other"):
        for path in sorted(data(f"wire/{family}").glob("*.json")):
            for number, each in enumerate(json.loads(path.read_text("utf-8"))["exchanges"]):
                if "/chat/completions" in each["request"]["url"]:
                    body = each["response"]["body"]
                    answer = json.loads(body) if body.lstrip().startswith("{") else None
                    request = json.loads(each["request"]["body"])
                    found.append((f"{family}/{path.stem}#{number}", request, answer, each["response"]["status"]))
    return found


@cache
def chats():
    return {name: raw for name, raw in recorded().items() if b"chat.completion.chunk" in raw}


LOST = {"models", "provider", "search_settings", "transforms", "reasoning_format", "reasoning"}


def plain(value):
    """A request as every server of this format takes it for: spelled in one way, defaults left out."""
    body = copy.deepcopy(value)
    if "max_tokens" in body:
        body["max_completion_tokens"] = body.pop("max_tokens")
    if body.get("stream") is not True:
        body.pop("stream", None)
    for tool in body.get("tools") or []:
        if tool.get("function", {}).get("description") == "":
            del tool["function"]["description"]
    for message in body["messages"]:
        message["role"] = "system" if message["role"] == "developer" else message["role"]
        content = message.get("content")
        if isinstance(content, list):
            thoughts = [each for each in content if each["type"] == "thinking"]
            rest = [each for each in content if each["type"] != "thinking"]
            message["content"] = rest[0]["text"] if len(rest) == 1 and set(rest[0]) == {"type", "text"} else rest
            if thoughts:
                message["reasoning_content"] = "".join(each["text"] for part in thoughts for each in part["thinking"])
        elif message.get("role") == "assistant" and message.get("tool_calls"):
            message["content"] = content or None
        for call in message.get("tool_calls") or []:
            call["id"] = fitted(call["id"], short=False)
        if "tool_call_id" in message:
            message["tool_call_id"] = fitted(message["tool_call_id"], short=False)
        for name in [name for name in message if message[name] in (None, []) and name != "content"]:
            del message[name]
    return {name: value for name, value in body.items() if value is not None and name not in LOST}


@pytest.mark.data
def test_every_recorded_request_comes_back_as_it_went():
    count = 0
    for name, body, _, status in exchanges():
        if status >= 400:
            continue
        losses = Losses()
        back = CODEC.encode_request(CODEC.decode_request(body, losses), losses)
        wanted = plain(body)
        if "reasoning" in body:  # OpenRouter's way to say it
            back.pop("reasoning_effort", None)
        for message in wanted["messages"]:
            message.pop("prefix", None)
        assert plain(back) == wanted, name
        assert {reason for _, reason in losses.found} <= {"unknown field", "not supported"}, name
        count += 1
    assert count >= 40


@pytest.mark.data
def test_every_recorded_answer_comes_back_as_it_went():
    count = 0
    for name, _, body, status in exchanges():
        if body is None or "choices" not in body:
            continue
        answer = CODEC.decode_answer(body)
        back = CODEC.encode_answer(answer, CONTEXT, Losses())
        ChatCompletion.model_validate(back)
        assert bare(CODEC.decode_answer(back)) == bare(answer), name
        for before, after in zip(body["choices"], back["choices"], strict=True):
            said = before["message"]
            assert [each["function"] for each in said.get("tool_calls") or []] == [
                each["function"] for each in after["message"].get("tool_calls") or []
            ]
            if not isinstance(said["content"], list):
                assert (said["content"] or None) == after["message"]["content"], name
            thought = said.get("reasoning") or said.get("reasoning_content")
            assert not thought or after["message"]["reasoning_content"] == thought, name
        assert bare(fold(unfold(answer))) == bare(answer), name
        assert status == 200
        count += 1
    assert count >= 25


@pytest.mark.data
def test_every_recorded_error_is_read():
    errors = [(status, body) for _, _, body, status in exchanges() if status >= 400]
    assert len(errors) >= 2
    for status, body in errors:
        found = CODEC.decode_error(status, body)
        assert (found.kind, found.status, found.message) == (FailureKind.INVALID, status, body["error"]["message"])
    body = json.loads(
        (data("wire_raw/openai_chat") / "vercel__reasoning-model-legacy-parameter-error.json").read_text()
    )
    found = CODEC.decode_error(400, body)
    assert (found.code, found.param) == ("unsupported_parameter", "max_tokens")


def pieced(raw):
    """What a simple client puts together of a stream: content and arguments of the first choice."""
    content, arguments = "", {}
    for line in raw.decode().splitlines():
        if not line.startswith("data: {"):
            continue
        for choice in json.loads(line[6:]).get("choices") or []:
            delta = choice.get("delta", {})
            text = delta.get("content") or ""
            content += text if isinstance(text, str) else "".join(each.get("text", "") for each in text)
            for call in delta.get("tool_calls") or []:
                number = call.get("index", 0)
                arguments[number] = arguments.get(number, "") + (call["function"].get("arguments") or "")
    return content, list(arguments.values())


@pytest.mark.data
def test_every_recorded_stream_is_read_and_written():
    count = 0
    for name, raw in chats().items():
        found = read(raw)
        lawful(found)
        whole = fold(found)
        if isinstance(whole, Failure):
            assert '"error"' in raw.decode() or b"[DONE]" not in raw, name
            continue
        parts = whole.choices[0].parts
        content, arguments = pieced(raw)
        assert "".join(part.text for part in parts if isinstance(part, Text)) == content, name
        assert [part.arguments for part in parts if isinstance(part, ToolCall)] == arguments, name
        again = read(written(found))
        assert fold(again) == whole
        assert joined([each for each in again if not isinstance(each, Used)]) == joined(
            [each for each in found if not isinstance(each, Used)]
        ), name
        count += 1
    assert count >= 8


@pytest.mark.data
def test_every_recorded_stream_is_read_the_same_however_it_is_cut():
    for name, raw in chats().items():
        wanted = read(raw)
        for size in (1, 7, 4096):
            assert read(raw, size) == wanted, name


@pytest.mark.data
def test_reasoning_that_only_its_maker_can_read_survives():
    streams_ = chats()
    (raw,) = [raw for name, raw in streams_.items() if "openrouter_streaming_reasoning" in name]
    (thought,) = [part for part in fold(read(raw)).choices[0].parts if isinstance(part, Reasoning)]
    assert thought.maker == "claude"
    assert thought.text.startswith("This is a simple arithmetic")
    assert len(thought.signature) > 50
    body = next(body for name, _, body, _ in exchanges() if "preserve_reasoning_block#1" in name)
    (sealed,) = [part for part in CODEC.decode_answer(body).choices[0].parts if isinstance(part, Reasoning)]
    assert sealed.maker == "openai"
    assert sealed.summary
    assert sealed.id.startswith("rs_")
    assert len(sealed.sealed) > 1000
    message = CODEC.encode_answer(CODEC.decode_answer(body), CONTEXT, Losses())["choices"][0]["message"]
    request = CODEC.decode_request({"model": "m", "messages": [message]}, Losses())
    assert bare(request.messages[0].parts[0]) == bare(sealed)


# broken servers and clients

ATOMS = st.sampled_from([None, True, -1, 0, 3, 1.5, "", "text", "stop", [], {}, [[]], [{}], {"index": "0"}])


def places(value, at=()):
    yield at
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(child, (*at, key))


def broken(draw, value):
    """A value with something else in one place."""
    changed = copy.deepcopy(value)
    at = draw(st.sampled_from(list(places(value))[1:]))
    node = changed
    for step in at[:-1]:
        node = node[step]
    node[at[-1]] = draw(ATOMS)
    return changed


def lines(raw):
    return [each + b"\n\n" for each in raw.replace(b"\r\n", b"\n").split(b"\n\n") if each]


@pytest.mark.data
@given(st.data())
@settings(CALM, max_examples=300)
def test_a_broken_stream_gives_events_or_an_error(data):
    found = lines(data.draw(st.sampled_from(list(chats().values()))))[:40]
    at = data.draw(st.integers(0, len(found) - 1))
    change = data.draw(st.sampled_from(["drop", "double", "swap", "cut", "mutate"]))
    if change == "drop":
        del found[at]
    elif change == "double":
        found.insert(at, found[at])
    elif change == "swap":
        found[0], found[at] = found[at], found[0]
    elif change == "cut":
        found = [*found[:at], found[at][: len(found[at]) // 2]]
    elif found[at].startswith(b"data: {"):
        found[at] = b"data: " + json.dumps(broken(data.draw, json.loads(found[at][6:]))).encode() + b"\n\n"
    try:
        events = read(b"".join(found))
    except DecodeError:
        return
    lawful(events)


@pytest.mark.data
@given(st.data())
@settings(CALM, max_examples=300)
def test_a_broken_body_gives_a_value_or_an_error(data):
    _, request, answer, _ = data.draw(st.sampled_from(exchanges()))
    losses = Losses()
    with contextlib.suppress(DecodeError, Unrepresentable):
        CODEC.encode_request(CODEC.decode_request(broken(data.draw, request), losses), losses)
    if answer:
        value = broken(data.draw, answer)
        assert CODEC.decode_error(data.draw(st.sampled_from([200, 400, 500])), value).message
        with contextlib.suppress(DecodeError):
            CODEC.encode_answer(CODEC.decode_answer(value), CONTEXT, losses)


@pytest.mark.parametrize(
    "body", [None, [], "", 0, {}, {"choices": {}}, {"choices": [None]}, {"choices": [{"message": 1}]}]
)
def test_what_is_no_answer_is_none(body):
    with pytest.raises(DecodeError):
        CODEC.decode_answer(body)


def test_natives_of_others_are_lost_and_told():
    losses = Losses()
    answer = Answer("a", "m", 1, [])
    answer.choices = CODEC.decode_answer(
        {"choices": [{"message": {"content": "x", "annotations": [{"type": "url_citation"}]}}]}
    ).choices
    body = CODEC.encode_answer(answer, CONTEXT, losses)
    assert body["choices"][0]["message"]["annotations"] == [{"type": "url_citation"}]
    assert losses.count == 0
    answer.choices[0].parts.append(Native("gemini", {"executableCode": {}}))
    CODEC.encode_answer(answer, CONTEXT, losses)
    assert losses.found == [("", "a provider's own part")]
