"""Broken bodies and streams of the Responses API are read or refused; whatever comes of them keeps the rules."""

import functools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.chat.answer import Answer, Choice, Finish, Usage
from extproc.chat.fold import unfold
from extproc.chat.losses import Losses
from extproc.chat.parts import Reasoning, Refusal, Text, ToolCall
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.openai_responses import OpenAIResponses
from extproc.framing.jsontext import dump
from tests.golden import canonical
from tests.golden.responses import CODEC, CONTEXT, encoded, sse, streams

ANSWER = Answer(
    "resp_1", "m", 1,
    [Choice(0, [Reasoning("a b", summary=True, maker="openai"), Text("hello you"), ToolCall("c", "f", '{"a":1}')],
            Finish.TOOLS)],
    Usage(1, 2),
)  # fmt: skip


FORMAT = OpenAIResponses()
ANSWERED = CODEC.encode_answer(ANSWER, CONTEXT, Losses())


@functools.cache
def recordings():
    return [sse(raw)[:60] for raw in streams().values()]


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
        for key, child in (
            inner.items() if isinstance(inner, dict) else enumerate(inner if isinstance(inner, list) else [])
        ):
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


def damage(draw, found):
    """A stream with some of its events lost, repeated, moved or changed."""
    found = list(found)
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
    return found


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_broken_stream_gives_lawful_events_or_a_decode_error(source):
    checked(damage(source.draw, sse(encoded(unfold(ANSWER)))))


@pytest.mark.data
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_broken_recorded_stream_gives_lawful_events_or_a_decode_error(source):
    checked(damage(source.draw, source.draw(st.sampled_from(recordings()))))


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


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_guards_take_any_event_or_refuse_it(source):
    ending = FORMAT.ending()
    for _, payload in damage(source.draw, sse(encoded(unfold(ANSWER)))):
        event = json.loads(payload)
        try:
            pieces = FORMAT.delta(event).pieces
        except DecodeError:
            continue
        FORMAT.usage(event)
        FORMAT.echoes(event, {piece.path for piece in pieces})
        for piece in pieces:
            hash(piece.track)
            ending.more(piece.track, piece.text)
        ending.see(event)
    out = ending.end("stopped")
    assert not out or sse(out)[-1][0] == "response.incomplete"
    for body in (mutate(source.draw, ANSWERED), mutate(source.draw, {"input": ANSWERED["output"], "tools": []})):
        for span in FORMAT.response_spans(body):
            FORMAT.cut(body, span.path, "x")
        if isinstance(body, dict):
            FORMAT.request_spans(body)
            FORMAT.unscanned(body)
            FORMAT.model(body)
