"""What the tests of the Responses API share: its codec, its recorded exchanges, and streams as events."""

import json

from extproc.chat.codec import Context
from extproc.chat.losses import Losses
from extproc.formats.openai_responses.codec import OpenAIResponsesCodec
from extproc.framing.sse import EventStream
from tests.property.streams import recorded
from tests.support import data

CODEC = OpenAIResponsesCodec()
CONTEXT = Context("r1", "asked", 17, usage=True)


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
