"""Anthropic messages in and out of the canonical form: everything recorded, and anything drawn at random."""

import copy
import json
import random

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from extproc.chat.answer import Failure, FailureKind, Finish, Finished, PartDelta, PartStart, Used
from extproc.chat.codec import Context
from extproc.chat.fold import fold, unfold
from extproc.chat.losses import Losses
from extproc.chat.parts import Media, Native, ToolCall, ToolResult
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.anthropic import AnthropicCodec
from extproc.framing.sse import EventStream
from tests.golden.anthropic_wire import answers, raw_streams, requests, streams
from tests.golden.canonical import IMAGES, Can, bare, joined, lawful
from tests.golden.canonical import answers as any_answer
from tests.golden.canonical import requests as any_request
from tests.golden.canonical import streams as any_stream
from tests.property.test_placement import objects, strings

CODEC = AnthropicCodec()
CONTEXT = Context("r1", "asked", 17)
CAN = Can(
    mixed=True,
    makers=("claude",),
    sealed=("claude",),
    caches=True,
    finishes=(Finish.STOP, Finish.LENGTH, Finish.STOP_SEQUENCE, Finish.PAUSE, Finish.REFUSAL),
    stopped_by=True,
    usage=("cached", "cache_write", "reasoning"),
    created=False,
    settings={
        "max_output": st.integers(1, 5000),
        "temperature": st.floats(0, 1),
        "top_k": st.integers(1, 50),
        "stop": st.lists(st.sampled_from(["a", "\n\nHuman:"]), min_size=1, max_size=2),
        "service_tier": st.sampled_from(["auto", "standard_only"]),
    },
    media=(
        *IMAGES,
        Media("file", data="JVBERi0xLjQK", type="application/pdf", name="a.pdf"),
        Media("file", id="file_1"),
    ),
    results_first=True,
    user=True,
)


# recorded


def tidy(value):
    """A body without what stands for nothing: nulls, what is the default, and the short form of one text."""
    if isinstance(value, list):
        return [tidy(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {name: tidy(each) for name, each in value.items() if each is not None}
    if isinstance(found.get("content"), str) and ("role" in found or found.get("type") == "tool_result"):
        found["content"] = [{"type": "text", "text": found["content"]}]
    for name, default in (("is_error", False), ("stream", False), ("description", ""), ("caller", {"type": "direct"})):
        if found.get(name) == default:
            del found[name]
    return found


BOUND = {"container", "mcp_servers"}
"""Members of recorded requests that cannot be left out."""
LOST = {"context_management", "output_config.task_budget"}
"""Members of recorded requests that are."""


@pytest.mark.data
def test_recorded_requests_come_out_as_they_went_in():
    count = bound = 0
    for name, body in requests():
        losses = Losses()
        if BOUND & body.keys():
            with pytest.raises(Unrepresentable) as raised:
                CODEC.decode_request(body, losses)
            assert raised.value.path[0] in BOUND
            bound += 1
            body = {key: value for key, value in body.items() if key not in BOUND}
        again = CODEC.encode_request(CODEC.decode_request(copy.deepcopy(body), losses), losses)
        wanted = tidy(body)
        lost = {path for path, _ in losses.found}
        assert {path for path in lost if "defer_loading" not in path and "citations" not in path} <= LOST, (
            name,
            losses.found,
        )
        wanted.pop("context_management", None)
        wanted.setdefault("max_tokens", 4096)
        wanted.get("output_config", {}).pop("task_budget", None)
        if isinstance(wanted.get("system"), list) and len(wanted["system"]) == 1:
            wanted["system"] = wanted["system"][0]["text"]
        for tool in wanted.get("tools", []):
            tool.pop("defer_loading", None)
        if "effort" in wanted.get("output_config", {}):
            wanted["thinking"] = {"type": "adaptive", **wanted.get("thinking", {})}
        assert tidy(again) == {key: value for key, value in wanted.items() if value != {}}, name
        count += 1
    assert count >= 40
    assert bound >= 3


ABOUT = {"container", "stop_details", "context_management"}
"""What a recorded answer says that is no part of it."""


def plain(body):
    """A recorded message as the codec writes it."""
    found = {key: value for key, value in body.items() if key not in ABOUT}
    usage = body["usage"]
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    found["usage"] = {name: usage.get(name) or 0 for name in names}
    if thought := (usage.get("output_tokens_details") or {}).get("thinking_tokens"):
        found["usage"]["output_tokens_details"] = {"thinking_tokens": thought}
    found["content"] = [
        {key: value for key, value in block.items() if key not in ("citations", "caller") or block["type"] not in
         ("text", "tool_use")}
        for block in body["content"]
    ]  # fmt: skip
    return found


@pytest.mark.data
def test_recorded_answers_come_out_as_they_went_in():
    count = 0
    for name, body in answers():
        losses = Losses()
        again = CODEC.encode_answer(CODEC.decode_answer(copy.deepcopy(body)), CONTEXT, losses)
        assert again == plain(body), name
        assert losses.count == 0
        count += 1
    assert count >= 30


def decoded(events):
    """What a decoder makes of events, each a name and data."""
    decoder = CODEC.decoder()
    return [found for name, data in events for found in decoder.decode(name, data)] + decoder.close()


def recorded():
    for name, events in streams():
        yield name, [("", event) for event in events]


def same_arguments(answer):
    """Calls with their arguments as values: their source may be written differently."""
    for choice in answer.choices:
        for part in choice.parts:
            if isinstance(part, ToolCall):
                part.arguments = json.loads(part.arguments)
    return bare(answer)


def whole(events):
    """The message the SDK puts together."""
    message, buffers = None, {}
    for _, data in events:
        event = json.loads(data)
        if event["type"] != "ping":
            message = accumulate_event(event=event, current_snapshot=message, json_bufs=buffers)
    return message.model_dump(exclude_unset=True, warnings=False)


@pytest.mark.data
def test_recorded_streams_fold_to_what_the_sdk_puts_together():
    count = 0
    for name, events in recorded():
        found = decoded(events)
        lawful(found)
        mine, theirs = fold(found), CODEC.decode_answer(whole(events))
        natives = [part for part in mine.choices[0].parts if isinstance(part, Native)]
        assert [part.value for part in natives if part.value["type"] != "mcp_tool_use"] == [
            part.value
            for part in theirs.choices[0].parts
            if isinstance(part, Native) and part.value["type"] != "mcp_tool_use"
        ], name
        for answer in (mine, theirs):  # the SDK leaves out the input of tools it does not know
            answer.choices[0].parts = [part for part in answer.choices[0].parts if not isinstance(part, Native)]
        assert same_arguments(mine) == same_arguments(theirs), name
        count += 1
    assert count >= 8


def written(events, context=CONTEXT):
    losses = Losses()
    encoder = CODEC.encoder(context, losses)
    return b"".join([encoder.encode(event) for event in events] + [encoder.close()]), losses


def read(raw, cuts=()):
    """(name, data) of a stream's events, fed in pieces."""
    reader = EventStream(1 << 22)
    found, at = [], 0
    for cut in [*cuts, len(raw)]:
        found += [(event.name, event.data) for event in reader.feed(raw[at:cut])]
        at = cut
    return found + [(event.name, event.data) for event in reader.close()]


def counted(events):
    """A stream's events without counts of tokens, which are told at different times; and the last count."""
    used = [event.usage for event in events if isinstance(event, Used)]
    return [event for event in joined(events) if not isinstance(event, Used)], used[-1] if used else None


@pytest.mark.data
def test_recorded_streams_written_again_read_the_same():
    for name, events in recorded():
        found = decoded(events)
        raw, losses = written(found)
        assert counted(decoded(read(raw))) == counted(found), name
        assert losses.count == 0


@pytest.mark.data
def test_recorded_streams_read_the_same_wherever_they_are_cut():
    dice = random.Random(1)
    for _, raw in raw_streams():
        wanted = decoded(read(raw))
        places = range(1, len(raw)) if len(raw) < 3000 else dice.sample(range(1, len(raw)), 60)
        assert decoded(read(raw, range(1, len(raw)))) == wanted
        assert all(decoded(read(raw, [place])) == wanted for place in places)


@pytest.mark.data
def test_a_recorded_stream_that_breaks_off_is_a_failure():
    for name, events in recorded():
        told = next(at for at, (_, data) in enumerate(events) if b'"message_delta"' in data)
        for count in range(len(events)):
            last = decoded(events[:count])
            lawful(last) if count > told or any(b'"message_start"' in data for _, data in events[:count]) else None
            if count <= told:
                assert last[-1] == Failure(
                    FailureKind.INTERNAL, "The provider's stream broke off.", "stream_truncated", 502
                )
            else:
                assert isinstance(last[-1], Used), name


ODD = [None, 0, -1, 1e300, True, "x", "text", "tool_use", "thinking"]


def mutated(draw, value):
    """A value with something else in one place."""
    value = copy.deepcopy(value)
    places = [at for at in [*strings(value), *objects(value)] if at]
    if not places:
        return value
    at = draw(st.sampled_from(places))
    node = value
    for step in at[:-1]:
        node = node[step]
    new = draw(st.sampled_from([*ODD, [], {}, [{}], {"type": "text"}]))
    if draw(st.booleans()) and isinstance(node, dict):
        del node[at[-1]]
    else:
        node[at[-1]] = new
    return value


@pytest.mark.data
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_broken_stream_is_events_or_a_decode_error(data):
    _, events = data.draw(st.sampled_from(list(recorded())))
    begin = data.draw(st.integers(0, len(events)))
    kept = [*events[:3], *events[begin : begin + 20], *events[-2:]]
    kept = [each for each in kept if data.draw(st.integers(0, 9))]
    if kept:
        at = data.draw(st.integers(0, len(kept) - 1))
        kept.insert(at, kept[data.draw(st.integers(0, len(kept) - 1))])
        kept[at] = ("", json.dumps(mutated(data.draw, json.loads(kept[at][1]))).encode())
    try:
        found = decoded(kept)
    except DecodeError:
        return
    if found and not isinstance(found[0], Failure):
        lawful(found)
    written(found)


@pytest.mark.data
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_broken_request_or_answer_is_refused_or_read(data):
    for _, body in (data.draw(st.sampled_from(requests())), data.draw(st.sampled_from(answers()))):
        changed = mutated(data.draw, body)
        CODEC.decode_error(data.draw(st.sampled_from([0, 400, 503, 529])), changed)
        try:
            if "messages" in changed:
                CODEC.encode_request(CODEC.decode_request(changed, Losses()), Losses())
            else:
                CODEC.encode_answer(CODEC.decode_answer(changed), CONTEXT, Losses())
        except (DecodeError, Unrepresentable):
            continue


# anything


def settled(request):
    """A request with what the format says in its own words: defaults, and arguments as values."""
    request = bare(request)
    request.usage = True
    request.settings.max_output = request.settings.max_output or 4096
    for tool in request.tools:
        if tool.parameters == {"type": "object", "properties": {}}:
            tool.parameters = None
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ToolCall):
                part.arguments = json.loads(part.arguments)
            if isinstance(part, ToolResult):
                part.name = ""
    return request


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(any_request(CAN))
def test_a_request_written_and_read_is_the_same(request):
    losses = Losses()
    body = CODEC.encode_request(request, losses)
    assume(not losses.count)
    again = CODEC.decode_request(json.loads(json.dumps(body)), losses)
    assert settled(again) == settled(request)
    assert not losses.count


@settings(max_examples=200, deadline=None)
@given(any_answer(CAN))
def test_an_answer_written_and_read_is_the_same(answer):
    losses = Losses()
    body = CODEC.encode_answer(answer, CONTEXT, losses)
    Message.model_validate(body)
    assert same_arguments(CODEC.decode_answer(body)) == same_arguments(answer)
    assert not losses.count


EVENTS = TypeAdapter(RawMessageStreamEvent)


@settings(max_examples=200, deadline=None)
@given(any_answer(CAN), st.data())
def test_a_stream_written_and_read_is_the_same(answer, data):
    events = data.draw(any_stream(answer))
    raw, losses = written(events)
    message, buffers = None, {}
    for _, each in read(raw):
        event = EVENTS.validate_json(each)
        message = accumulate_event(event=event, current_snapshot=message, json_bufs=buffers)
    again = decoded(read(raw))
    lawful(again)
    assert counted(again) == counted(events)
    assert same_arguments(fold(again)) == same_arguments(fold(unfold(answer)))
    assert same_arguments(CODEC.decode_answer(message.to_dict())) == same_arguments(answer)
    assert not losses.count


@settings(max_examples=100, deadline=None)
@given(any_answer(Can(makers=("",), refusals=True, custom=True, choices=3, usage=("cached",))), st.data())
def test_the_stream_of_another_provider_is_one_the_sdk_takes(answer, data):
    raw, _ = written(data.draw(any_stream(answer)))
    message, buffers = None, {}
    for _, each in read(raw):
        event = EVENTS.validate_json(each)
        message = accumulate_event(event=event, current_snapshot=message, json_bufs=buffers)
    assert message.to_dict()["content"] == CODEC.encode_answer(
        fold([event for event in unfold(answer) if getattr(event, "choice", 0) == 0]), CONTEXT, Losses()
    )["content"]  # fmt: skip
    assert message.usage.input_tokens == answer.usage.input - answer.usage.cached
    lawful(decoded(read(raw)))


def test_nothing_follows_a_failure():
    encoder = CODEC.encoder(CONTEXT, Losses())
    assert b"event: error" in encoder.encode(Failure(FailureKind.OVERLOADED, "busy"))
    assert encoder.encode(Finished(0, Finish.STOP)) == encoder.close() == b""
    decoder = CODEC.decoder()
    (failure,) = decoder.decode("error", b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}')
    assert failure == Failure(FailureKind.OVERLOADED, "busy", "overloaded_error", 529)
    assert decoder.decode("", b'{"type":"message_start","message":{}}') == decoder.close() == []


def test_a_stream_nobody_has_ended_fails():
    raw, _ = written([PartStart(0, 0, ToolCall("c", "f")), PartDelta(0, 0, "{")])
    assert [name for name, _ in read(raw)][-1] == "error"
