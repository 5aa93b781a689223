"""The Responses API in and out of the canonical form: recorded exchanges, the laws of codecs, broken streams, real SDK types."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response
from openai.types.responses.response_stream_event import ResponseStreamEvent
from pydantic import TypeAdapter

from extproc.chat.answer import Answer, Choice, Failure, FailureKind, Finish, Finished, Start, Usage, Used
from extproc.chat.codec import Context
from extproc.chat.fold import fold, unfold
from extproc.chat.losses import Losses
from extproc.chat.parts import Cache, Media, Message, Native, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.chat.request import Request, Settings, Thinking, Tool
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.openai_responses import seals
from extproc.formats.openai_responses.codec import OpenAIResponsesCodec
from extproc.framing.jsontext import dump
from extproc.framing.sse import EventStream
from tests.golden import canonical
from tests.property.streams import recorded
from tests.support import data

CODEC = OpenAIResponsesCodec()
CONTEXT = Context("r1", "asked", 17, usage=True)
EVENTS = TypeAdapter(ResponseStreamEvent)
IMAGES = (*canonical.IMAGES, Media("file", data="QUJD", type="application/pdf", name="a.pdf"))
CAN = canonical.Can(
    mixed=True,
    makers=("claude", "gemini", "openai", ""),
    sealed=("claude", "openai"),
    refusals=True,
    custom=True,
    finishes=(Finish.STOP, Finish.LENGTH, Finish.FILTER),
    usage=("cached", "reasoning", "cache_write"),
    systems=True,
    media=IMAGES,
    efforts=("none", "low", "high"),
    shapes=True,
    user=True,
    settings={
        "max_output": st.integers(16, 5000),
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "parallel_tools": st.booleans(),
        "verbosity": st.sampled_from(["low", "high"]),
        "logprobs": st.integers(0, 20),
        "service_tier": st.sampled_from(["auto", "flex"]),
    },
)


def sse(raw):
    stream = EventStream(1 << 22)
    return [(each.name, each.data) for each in [*stream.feed(raw), *stream.close()] if each.data]


def decoded(frames):
    decoder = CODEC.decoder()
    events = [event for name, payload in frames for event in decoder.decode(name, payload)]
    return [*events, *decoder.close()]


def encoded(events, losses=None):
    encoder = CODEC.encoder(CONTEXT, losses or Losses())
    return b"".join([*(encoder.encode(event) for event in events), encoder.close()])


# recorded exchanges


def exchanges():
    for path in sorted(data("wire/openai_responses").glob("*.json")):
        for number, each in enumerate(json.loads(path.read_text("utf-8"))["exchanges"]):
            if each["request"]["method"] == "POST" and each["request"]["url"].partition("?")[0].endswith("/responses"):
                yield f"{path.stem}#{number}", each


def streams():
    found = {name: raw for name, raw in recorded().items() if name.startswith("openai_responses")}
    assert len(found) >= 8
    return found


def last(raw):
    """The response that ends a stream."""
    found = [json.loads(payload) for _, payload in sse(raw) if payload != b"[DONE]"]
    return found[-1]["response"]


def plain(body):
    """A request without what is said in another way, or means what is meant without it."""
    body = json.loads(json.dumps(body))
    for name in ("store", "include", "stream"):
        body.pop(name, None)
    body = {name: value for name, value in body.items() if value not in (None, "", {}, [])}
    items = body.get("input") or []
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    body["input"] = []
    for item in items:
        item = {
            name: value for name, value in item.items() if name not in ("status", "namespace") and value is not None
        }
        item.setdefault("type", "message")
        if item["type"] == "message":
            item.pop("id", None)
            content = item["content"]
            kind = "output_text" if item["role"] == "assistant" else "input_text"
            item["content"] = [{"type": kind, "text": content}] if isinstance(content, str) else content
            for part in item["content"]:
                part.pop("annotations", None)
                part.pop("logprobs", None)
            before = body["input"][-1] if body["input"] else {}
            if item["role"] == "assistant" == before.get("role"):
                before["content"] += item["content"]
                continue
        elif "call" in item["type"] and item["type"].startswith(("function", "custom")):
            item.pop("id", None)
        elif item["type"] == "reasoning":
            texts = [part["text"] for part in item["summary"]]
            item["summary"] = [{"type": "summary_text", "text": "\n\n".join(texts)}] if texts else []
        body["input"].append(item)
    for tool in body.get("tools", []):
        if tool["type"] == "function":
            tool.setdefault("strict", False)
            tool["strict"] = bool(tool["strict"])
            if not tool.get("description"):
                tool.pop("description", None)
    if body.get("text", {}).get("format") == {"type": "text"}:
        del body["text"]
    if "reasoning" in body:
        summary = body["reasoning"].pop("summary", None)
        body["reasoning"].pop("context", None)
        body["reasoning"] |= {"summary": "auto"} if summary else {}
        body["reasoning"] = {name: value for name, value in body["reasoning"].items() if value is not None}
    body = {name: value for name, value in body.items() if name != "reasoning" or value}
    return body


@pytest.mark.data
def test_a_recorded_request_comes_back_as_it_was():
    count = stored = 0
    for name, each in exchanges():
        body = json.loads(each["request"]["body"])
        try:
            request = CODEC.decode_request(body, Losses())
        except Unrepresentable as error:
            assert error.path[0] in ("previous_response_id", "conversation", "background"), name
            assert body[error.path[0]]
            stored += 1
            continue
        assert plain(CODEC.encode_request(request, Losses())) == plain(body), name
        assert request.stream == (body.get("stream") is True)
        count += 1
    assert count > 30
    assert stored > 5


ABRIDGED = {"openai_responses/vercel__openai-shell-container.1.chunks.txt"}
"""Recordings whose keepers left out some of the deltas."""


def without(parts):
    """Parts without what every repetition of a response has anew: ids, and the same thoughts sealed once more."""
    return [replace(part, id="", sealed="") if isinstance(part, Reasoning) else part for part in canonical.bare(parts)]


@pytest.mark.data
def test_a_recorded_answer_comes_back_as_it_was():
    count = 0
    for name, each in exchanges():
        body = each["response"]["body"]
        if not body.startswith("{") or json.loads(body)["status"] in ("queued", "in_progress"):
            continue
        answer = CODEC.decode_answer(json.loads(body))
        losses = Losses()
        again = CODEC.decode_answer(CODEC.encode_answer(answer, CONTEXT, losses))
        assert not losses.found
        assert without(again.choices[0].parts) == without(answer.choices[0].parts), name
        assert (again.usage, again.model, again.created) == (answer.usage, answer.model, answer.created)
        assert again.choices[0].finish is answer.choices[0].finish
        assert answer.choices[0].parts, name
        count += 1
    assert count > 35


@pytest.mark.data
def test_a_recorded_stream_comes_to_the_answer_it_ends_with():
    for name, raw in streams().items():
        events = decoded(sse(raw))
        canonical.lawful(events)
        if name in ABRIDGED:
            continue
        found, wanted = fold(events), CODEC.decode_answer(last(raw))
        assert without(found.choices[0].parts) == without(wanted.choices[0].parts), name
        assert (found.id, found.model, found.created, found.usage) == (
            wanted.id,
            wanted.model,
            wanted.created,
            wanted.usage,
        ), name
        assert found.choices[0].finish is wanted.choices[0].finish, name
        assert found.choices[0].parts, name


@pytest.mark.data
def test_a_recorded_stream_is_written_and_read_again():
    for name, raw in streams().items():
        events = decoded(sse(raw))
        again = decoded(sse(encoded(events)))
        assert without(fold(again).choices[0].parts) == without(fold(events).choices[0].parts), name
        assert fold(again).usage == fold(events).usage


def excerpt(raw):
    """Events of a stream: the short ones, up to some size."""
    left = 2500
    for block in raw.split(b"\n\n"):
        if 0 < len(block) < left and len(block) < 400:
            left -= len(block)
            yield block + b"\n\n"


@pytest.mark.data
def test_a_recorded_stream_reads_the_same_wherever_it_is_cut():
    for name, raw in streams().items():
        short = b"".join(excerpt(raw))
        wanted = decoded(sse(short))
        for at in range(1, len(short)):
            stream = EventStream(1 << 22)
            found = [*stream.feed(short[:at]), *stream.feed(short[at:]), *stream.close()]
            assert decoded([(each.name, each.data) for each in found if each.data]) == wanted, (name, at)


@pytest.mark.data
def test_an_error_is_read():
    raw = (data("wire_raw/openai_responses") / "vercel__openai-error.1.json").read_text("utf-8")
    failure = CODEC.decode_error(429, json.loads(raw))
    assert (failure.kind, failure.code, failure.status) == (FailureKind.RATE_LIMIT, "insufficient_quota", 429)
    assert CODEC.encode_error(failure)["error"]["message"].startswith("You exceeded")


# broken streams: events or DecodeError, and whatever comes is lawful

FRAMES = None


def frames():
    """All recorded events of text, calls and reasoning; what there is without the external data is written here."""
    global FRAMES
    if FRAMES is None:
        answer = Answer(
            "resp_1", "m", 1,
            [Choice(0, [Reasoning("a b", summary=True, maker="openai"), Text("hello you"), ToolCall("c", "f", '{"a":1}')],
                    Finish.TOOLS)],
            Usage(1, 2),
        )  # fmt: skip
        FRAMES = [sse(encoded(unfold(answer)))]
        folder = Path(__file__).parents[2].parent / "shared" / "data"
        if folder.is_dir():
            FRAMES += [sse(raw)[:60] for raw in streams().values()]
    return FRAMES


def checked(found):
    """Decode, or refuse; the events keep the rules of a stream."""
    decoder = CODEC.decoder()
    events = []
    try:
        for name, payload in found:
            events += decoder.decode(name, payload)
    except DecodeError:
        return
    canonical.lawful([*events, *decoder.close()])


JUNK = st.sampled_from([None, True, -1, 0, 1.5, 2**63, "", "x", [], {}, [None], {"type": "message"}, {"a": []}])


def mutate(draw, value):
    """The value with something in it replaced, taken out, or added."""
    places = [()]

    def walk(inner, path):
        for key, child in inner.items() if isinstance(inner, dict) else enumerate(inner):
            places.append((*path, key))
            if isinstance(child, dict | list):
                walk(child, (*path, key))

    walk(value, ())
    place = draw(st.sampled_from(places))
    if not place:
        return draw(JUNK)
    value = json.loads(json.dumps(value))
    holder = value
    for key in place[:-1]:
        holder = holder[key]
    if draw(st.booleans()):
        del holder[place[-1]]
    else:
        holder[place[-1]] = draw(JUNK)
    return value


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_broken_streams_give_lawful_events_or_a_decode_error(source):
    draw = source.draw
    found = list(draw(st.sampled_from(frames())))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(found) - 1))
        what = draw(st.sampled_from(["drop", "twice", "cut", "swap", "mutate"]))
        if what == "drop":
            del found[at]
        elif what == "twice":
            found.insert(at, found[at])
        elif what == "cut":
            found = found[: at + 1]
        elif what == "swap":
            found[at], found[-1] = found[-1], found[at]
        elif found[at][1] != b"[DONE]":
            found[at] = found[at][0], dump(mutate(draw, json.loads(found[at][1])))
        if not found:
            break
    checked(found)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_broken_requests_and_answers_are_read_or_refused(source):
    request = {
        "model": "m", "instructions": "i", "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
        "reasoning": {"effort": "low", "summary": "auto"}, "tools": [{"type": "function", "name": "f", "parameters": {}}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        "include": ["message.output_text.logprobs"], "temperature": 1, "max_output_tokens": 5,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "u"},
                                         {"type": "input_file", "file_data": "data:a/b;base64,QQ=="}]},
            {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "s"}], "encrypted_content": "e"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "o"}]},
        ],
    }  # fmt: skip
    answer = CODEC.encode_answer(
        Answer(
            "i", "m", 1, [Choice(0, [Text("a"), ToolCall("c", "f", "{}"), Refusal("no")], Finish.TOOLS)], Usage(1, 1)
        ),
        CONTEXT,
        Losses(),
    )
    try:
        if source.draw(st.booleans()):
            body = mutate(source.draw, request)
            found = CODEC.decode_request(body if isinstance(body, dict) else {}, Losses())
            CODEC.encode_request(found, Losses())
        else:
            CODEC.decode_answer(mutate(source.draw, answer))
    except (DecodeError, Unrepresentable):
        pass
    CODEC.decode_error(source.draw(st.integers(400, 599)), source.draw(JUNK))


# laws


def merged(messages):
    """Messages as items have them: turns of the model and of its tools put together, no empty ones."""
    found = []
    for message in canonical.bare(messages):
        texts = message.role == "user" and any(isinstance(part, ToolResult) for part in message.parts)
        chunks = [message]
        if texts:
            results = [part for part in message.parts if isinstance(part, ToolResult)]
            others = [part for part in message.parts if not isinstance(part, ToolResult)]
            chunks = [Message("user", results), *([Message("user", others)] if others else [])]
        for chunk in chunks:
            if found and found[-1].role == chunk.role == "assistant":
                found[-1].parts += chunk.parts
            else:
                found.append(chunk)
    return found


def told(message):
    """A message without the reasoning that is not OpenAI's, which a provider cannot be given."""
    kept = [
        part for part in message.parts if not isinstance(part, Reasoning) or (part.maker == "openai" and part.sealed)
    ]
    return replace(message, parts=kept)


@settings(max_examples=100, deadline=None)
@given(canonical.requests(CAN))
def test_a_request_is_read_as_it_was_written(request_):
    losses = Losses()
    found = CODEC.decode_request(CODEC.encode_request(request_, losses), Losses())
    assert {reason for _, reason in losses.found} <= {"reasoning of another maker"}
    wanted = [each for each in (told(message) for message in merged(request_.messages)) if each.parts]
    assert merged(found.messages) == merged(wanted)
    assert canonical.bare(found.tools) == canonical.bare(request_.tools)
    for name in ("model", "tool_choice", "settings", "output", "thinking", "stream", "user"):
        assert getattr(found, name) == getattr(request_, name), name


@settings(max_examples=100, deadline=None)
@given(canonical.answers(CAN))
def test_an_answer_is_read_as_it_was_written(answer):
    losses = Losses()
    found = CODEC.decode_answer(CODEC.encode_answer(answer, CONTEXT, losses))
    assert not losses.found
    same(found, answer)


def same(found, answer):
    """Whether two answers say the same, under ids of our own."""
    choice, wanted = found.choices[0], answer.choices[0]
    parts = [replace(part, id="") if isinstance(part, Reasoning) else part for part in canonical.bare(choice.parts)]
    assert parts == canonical.bare(wanted.parts)
    refused = any(isinstance(part, Refusal) for part in parts)
    assert choice.finish is (Finish.REFUSAL if refused and wanted.finish is Finish.STOP else wanted.finish)
    assert (found.model, found.created, found.usage) == (answer.model, answer.created, answer.usage)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_stream_says_what_the_whole_answer_does(source):
    answer = source.draw(canonical.answers(CAN))
    raw = encoded(source.draw(canonical.streams(answer)))
    events = decoded(sse(raw))
    canonical.lawful(events)
    same(fold(events), answer)
    whole = CODEC.encode_answer(answer, CONTEXT, Losses())
    assert last(raw) == whole


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_stream_is_one_to_the_sdk(source):
    answer = source.draw(canonical.answers(CAN))
    raw = encoded(source.draw(canonical.streams(answer)))
    payloads = [payload for _, payload in sse(raw)]
    found = [EVENTS.validate_json(payload) for payload in payloads]
    assert [event.sequence_number for event in found] == list(range(len(found)))
    assert [name for name, _ in sse(raw)] == [event.type for event in found]
    texts = {}
    for event in found:
        if event.type == "response.output_text.delta":
            key = event.output_index, event.content_index
            texts[key] = texts.get(key, "") + event.delta
        elif event.type == "response.output_text.done":
            assert texts.get((event.output_index, event.content_index), "") == event.text
    response = found[-1].response
    done = [event.item for event in found if event.type == "response.output_item.done"]
    places = [event.output_index for event in found if event.type == "response.output_item.done"]
    assert [item for _, item in sorted(zip(places, done, strict=True), key=lambda each: each[0])] == response.output
    assert len({item.id for item in response.output}) == len(response.output)
    Response.model_validate(CODEC.encode_answer(answer, CONTEXT, Losses()))


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
        (Media("audio", data="QQ==", type="audio/wav"), {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}}),
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
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "function_call", "call_id": "c", "name": "f"}},
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "hi"},
        {"type": "response.completed", "response": {"id": "i", "status": "completed"}},
    ]  # fmt: skip
    answer = fold(decoded([("", dump(each)) for each in said]))
    assert answer.choices == [Choice(0, [ToolCall("c", "f", "{}"), Text("hi")], Finish.TOOLS)]
    body = CODEC.encode_answer(Answer("resp_2", "m", 1, [Choice(0, [Text("all")], Finish.STOP)]), CONTEXT, Losses())
    answer = fold(decoded([("", dump({"type": "response.completed", "response": body}))]))
    assert answer.choices == [Choice(0, [Text("all")], Finish.STOP)]
