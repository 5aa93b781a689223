"""The Responses API in and out of the canonical form: recorded exchanges, the laws of codecs, real SDK types."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response
from openai.types.responses.response_stream_event import ResponseStreamEvent
from pydantic import TypeAdapter

from extproc.chat.answer import FailureKind, Finish
from extproc.chat.fold import fold
from extproc.chat.losses import Losses
from extproc.chat.parts import Media, Message, Reasoning, Refusal, ToolResult
from extproc.errors import Unrepresentable
from extproc.framing.sse import EventStream
from tests.golden import canonical
from tests.golden.responses import CODEC, CONTEXT, decoded, encoded, exchanges, last, sse, streams
from tests.support import data

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


# recorded exchanges


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
    return {name: value for name, value in body.items() if name != "reasoning" or value}


@pytest.mark.data
def test_a_recorded_request_comes_back_as_it_was():
    count = stored = 0
    for name, each in exchanges():
        body = json.loads(each["request"]["body"])
        if any(body.get(name) for name in ("previous_response_id", "conversation", "background")):
            with pytest.raises(Unrepresentable):
                CODEC.decode_request(body, Losses())
            stored += 1
            continue
        request = CODEC.decode_request(body, Losses())
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
