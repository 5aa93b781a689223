"""Streams of messages as events and bytes, what the SDK makes of them, and the guard that they go through."""

import json

from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from pydantic import TypeAdapter

from extproc.exchange.streamed import GuardedStream
from extproc.formats.anthropic import AnthropicMessages
from extproc.framing.sse import EventStream
from extproc.policy.api import Action, Tally
from extproc.policy.chain import Chain
from extproc.usage import Meter
from tests.property.streams import policy, regex, words

FORMAT = AnthropicMessages()
EVENTS = TypeAdapter(RawMessageStreamEvent)
MAIL = policy("mail", regex(r"\b[a-z.]{1,20}@[a-z]{1,20}\.com\b", "[mail]"))
STOP = policy("stop", words("forbidden"), action=Action.BLOCK)

REQUEST = {
    "model": "m",
    "system": [{"type": "text", "text": "1"}],
    "messages": [
        {"role": "user", "content": "2"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "3", "signature": "4 4"},
                {"type": "redacted_thinking", "data": "5 5"},
                {"type": "text", "text": "6", "citations": [{"type": "char_location", "cited_text": "7"}]},
                {"type": "tool_use", "id": "c", "name": "8", "input": {"id": "9", "a": {"type": "10"}}},
                {"type": "server_tool_use", "id": "s", "name": "11", "input": {"query": "12"}},
                {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"title": "13"}]},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "14"}]},
                {"type": "document", "source": {"type": "text", "data": "15"}, "title": "16", "context": "17"},
                {"type": "text", "text": "18"},
            ],
        },
        {"role": "system", "content": "19"},
        {"role": "strange", "content": "20"},
        "21",
    ],
    "tools": [{"name": "22", "description": "23", "input_schema": {"properties": {"a": {"description": "24"}}}}],
    "output_config": {"format": {"type": "json_schema", "schema": {"title": "25"}}},
    "metadata": {"user_id": "26"},
    "stop_sequences": ["27"],
}


def start(index, **block):
    return {"type": "content_block_start", "index": index, "content_block": block}


def go_on(index, **delta):
    return {"type": "content_block_delta", "index": index, "delta": delta}


def stop(index):
    return {"type": "content_block_stop", "index": index}


def text(index, *texts):
    return [
        start(index, type="text", text=""),
        *[go_on(index, type="text_delta", text=each) for each in texts],
        stop(index),
    ]


def thoughts(index, *texts):
    deltas = [go_on(index, type="thinking_delta", thinking=each) for each in texts]
    return [start(index, type="thinking", thinking="", signature=""), *deltas, stop(index)]


def call(index, *pieces, name="look"):
    head = start(index, type="tool_use", id=f"toolu_{index}", name=name, input={})
    return [head, *[go_on(index, type="input_json_delta", partial_json=each) for each in pieces], stop(index)]


HEAD = {
    "type": "message_start",
    "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 11, "output_tokens": 2},
    },
}  # fmt: skip
TAIL = [
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 9},
    },
    {"type": "message_stop"},
]


def sse(*events):
    return b"".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in events)


def stream(*blocks):
    return sse(HEAD, *[event for block in blocks for event in block], *TAIL)


class Run:
    """A stream through the guard; ``message`` is what the SDK makes of it."""

    def __init__(self, policies, *pieces):
        self.meter = Meter(FORMAT)
        self.stream = GuardedStream(FORMAT, Chain(policies), Tally(), self.meter, 1 << 20, 1 << 20)
        self.parts = [self.stream.feed(piece) for piece in pieces]
        self.parts.append(self.stream.close())
        self.out = b"".join(self.parts)


def sdk(raw, *, checked=True):
    """What the SDK makes of a stream; ``checked``: of events that are exactly as it knows them."""
    message = None
    buffers = {}
    for event in read(raw):
        if event["type"] != "ping":
            event = EVENTS.validate_python(event) if checked else event
            message = accumulate_event(event=event, current_snapshot=message, json_bufs=buffers)
    return message


def read(raw):
    reader = EventStream(1 << 20)
    found = [*reader.feed(raw), *reader.close()]
    assert all(json.loads(each.data)["type"] == each.name for each in found)
    return [json.loads(each.data) for each in found]
