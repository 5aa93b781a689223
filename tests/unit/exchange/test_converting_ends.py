"""Streams in another format than the client's: how their end is known."""

import json

import pytest

from extproc.chat.codec import Context
from extproc.chat.losses import Losses
from extproc.exchange.converting import Conversion, Way
from extproc.formats.registry import FORMATS
from extproc.usage import Meter

CLIENTS = ("openai-responses", "anthropic-messages", "gemini", "bedrock-converse")
DONE = b"data: [DONE]\n\n"


def framed(*events):
    return b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in events)


def converted(source, target, raw, *, wanted=True):
    """A stream of one format as another, whole or streamed."""
    way = Way(FORMATS[source], FORMATS[target], 200, streamed=True, wanted=wanted)
    meter = Meter(FORMATS[target])
    conversion = Conversion(way, Context("r1", "m", 17), Losses(), meter, max_event=1 << 20, max_body=1 << 20)
    said = [each for at in range(len(raw)) for each in conversion.feed(raw[at : at + 1])]
    return b"".join([*said, *conversion.close()])


def chat(delta, finish=None):
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.parametrize("target", CLIENTS)
def test_a_server_that_says_it_is_done_but_not_why_is_believed(target, wanted):
    """As Novita's behind OpenRouter: ``finish_reason`` stays null."""
    raw = framed(chat({"role": "assistant", "content": "one"}), chat({"content": " two"}))
    said = converted("openai-chat", target, raw + DONE, wanted=wanted)
    assert b"stream_truncated" not in said
    assert b"broke off" not in said
    assert b"two" in said
    if wanted:
        assert b"broke off" in converted("openai-chat", target, raw)


CLAUDE = (
    {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [],
                                          "stop_reason": None, "usage": {"input_tokens": 1, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "one two"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
)  # fmt: skip
GEMINI = ({"candidates": [{"content": {"role": "model", "parts": [{"text": "one two"}]}, "finishReason": "STOP"}]},)


@pytest.mark.parametrize(("source", "events"), [("anthropic-messages", CLAUDE), ("gemini", GEMINI)])
def test_that_end_is_no_event_of_other_formats(source, events):
    whole = converted(source, "openai-chat", framed(*events) + DONE)
    assert whole == converted(source, "openai-chat", framed(*events))
    assert b"one two" in whole
    cut = events[:4] if source != "gemini" else ({"candidates": [{"content": {"parts": [{"text": "one"}]}}]},)
    if source == "anthropic-messages":
        assert b"stop" not in converted(source, "openai-chat", framed(*cut) + DONE)
