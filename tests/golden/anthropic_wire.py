"""What was recorded of Anthropic's API: bodies of requests and answers, and streams."""

import json
import re

from tests.property.streams import recorded
from tests.support import data


def exchanges():
    """(name, exchange) of every recorded exchange with a request to read."""
    for path in sorted(data("wire/anthropic").glob("*.json")):
        for number, each in enumerate(json.loads(path.read_text("utf-8"))["exchanges"]):
            if each["request"]["body"]:
                yield f"{path.stem}#{number}", each


def requests():
    """(name, body) of every recorded request; those that only ask for a count of tokens as well."""
    return [(name, json.loads(each["request"]["body"])) for name, each in exchanges()]


def answers():
    """(name, body) of every recorded whole message, those published without their requests as well."""
    found = [(path.name, json.loads(path.read_text("utf-8"))) for path in data("wire_raw/anthropic").glob("*.json")]
    for name, each in exchanges():
        if each["response"]["body"].lstrip().startswith("{"):
            found.append((name, json.loads(each["response"]["body"])))
    return [(name, body) for name, body in found if "content" in body]


def raw_streams():
    """(name, bytes) of every recorded stream of one message."""
    found = {name: raw for name, raw in recorded().items() if name.startswith("anthropic/")}
    found |= {path.name: path.read_bytes() for path in data("wire_raw/anthropic").glob("sdk__*.txt")}
    for name, raw in sorted(found.items()):
        events = re.findall(rb"(?:event: .+\r?\n)?data: .+\r?\n?\r?\n?", raw)
        starts = [at for at, event in enumerate(events) if b'"message_start"' in event]
        for number, begin in enumerate(starts):
            end = starts[number + 1] if number + 1 < len(starts) else len(events)
            yield f"{name}.{number}", b"".join(event.rstrip() + b"\n\n" for event in events[begin:end])


def streams():
    """(name, events) of the same, each event as the bytes of its JSON."""
    return [(name, re.findall(rb"^data: ?(.+)$", raw, re.MULTILINE)) for name, raw in raw_streams()]
