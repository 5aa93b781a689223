"""Recorded exchanges of Gemini, and ways to compare what the codec makes of them."""

import dataclasses
import json
from functools import cache

from hypothesis import HealthCheck, settings

from extproc.chat.answer import PartDelta
from extproc.chat.request import Request
from extproc.formats.gemini import Gemini
from extproc.framing.sse import EventStream
from tests.property.streams import recorded
from tests.support import data

FORMAT = Gemini()
CODEC = FORMAT.codec
PATIENT = settings(suppress_health_check=[HealthCheck.too_slow])
"""For drawing whole conversations: on a busy machine that takes its time."""


@cache
def exchanges():
    """(name, exchange) of every recorded exchange of generateContent."""
    found = []
    for path in sorted(data("wire/gemini").glob("*.json")):
        for number, each in enumerate(json.loads(path.read_text("utf-8"))["exchanges"]):
            if "enerateContent" in each["request"]["url"]:
                found.append((f"{path.stem}#{number}", each))
    return found


def requests():
    """(name, model, body) of every recorded request."""
    for name, each in exchanges():
        yield (
            name,
            each["request"]["url"].rpartition("models/")[2].partition(":")[0],
            json.loads(each["request"]["body"]),
        )


@cache
def bodies():
    """(name, body) of every recorded JSON body, answers and errors."""
    texts = [(name, each["response"]["body"]) for name, each in exchanges()]
    texts += [(path.name, path.read_text("utf-8")) for path in sorted(data("wire_raw/gemini").glob("*"))]
    return [(name, json.loads(text)) for name, text in texts if "chunks" not in name and text.lstrip().startswith("{")]


@cache
def answers():
    """Those that are answers."""
    return [(name, body) for name, body in bodies() if "candidates" in body or "promptFeedback" in body]


@cache
def streams():
    """(name, bytes) of every recorded stream."""
    found = {name: raw for name, raw in recorded().items() if name.startswith("gemini/")}
    for path in sorted(data("wire_raw/gemini").glob("*streaming-failure*.txt")):
        if path.read_bytes().startswith(b"data:"):
            found[f"gemini/{path.name}"] = path.read_bytes()
    return found


def payloads(pieces):
    """The payload of every event of a stream that comes in pieces."""
    stream = EventStream(1 << 22)
    events = [event for piece in pieces for event in stream.feed(piece)]
    events += stream.close()
    return [event.data for event in events if event.data and event.data != b"[DONE]"]


def decoded(payload):
    """The canonical events of a stream of these payloads."""
    decoder = CODEC.decoder()
    return [event for each in payload for event in decoder.decode("", each)] + decoder.close()


def bare(value):
    """The same value without the places it was read from."""
    if isinstance(value, list | tuple):
        return type(value)(bare(each) for each in value)
    if not dataclasses.is_dataclass(value):
        return value
    found = {each.name: bare(getattr(value, each.name)) for each in dataclasses.fields(value) if each.name != "where"}
    if hasattr(value, "where"):
        found["where"] = {} if isinstance(value, Request) else ()
    return dataclasses.replace(value, **found)


def joined(events):
    """Events with the deltas of a part at one stretch put together: what the cutting of texts may not change."""
    found = []
    for event in bare(list(events)):
        last = found[-1] if found else None
        same = isinstance(event, PartDelta) and isinstance(last, PartDelta)
        if same and (event.choice, event.number) == (last.choice, last.number):
            last.text, last.signature = last.text + event.text, last.signature + event.signature
        elif not isinstance(event, PartDelta) or event.text or event.signature:
            found.append(event)
    return found
