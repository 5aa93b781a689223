"""Streams of Converse made by hand, a way to run them through the guard, and what botocore makes of them."""

import json

import botocore.parsers
import botocore.session
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import EventStreamError

from extproc.exchange.streamed import GuardedStream
from extproc.formats.bedrock import Converse
from extproc.framing.aws import framed
from extproc.policy.api import Tally
from extproc.policy.chain import Chain
from extproc.usage import Meter
from tests.property.streams import policy, regex

FORMAT = Converse()
SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")
MAIL = policy("mail", regex(r"\b[a-z]{1,20}@[a-z]{1,20}\.com\b", "[mail]"))


def event(name, value):
    return framed(name, json.dumps(value).encode())


def start(index, id_="t1", name="look"):
    return event(
        "contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": id_, "name": name}}}
    )


def delta(index, **said):
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": said})


def text(index, *said):
    return b"".join([delta(index, text=each) for each in said]) + stop(index)


def thoughts(index, *said):
    return b"".join([delta(index, reasoningContent={"text": each}) for each in said]) + stop(index)


def call(index, *said):
    return start(index) + b"".join([delta(index, toolUse={"input": each}) for each in said]) + stop(index)


def stop(index):
    return event("contentBlockStop", {"contentBlockIndex": index})


HEAD = event("messageStart", {"role": "assistant", "p": "abcdefgh"})
END = event("messageStop", {"stopReason": "end_turn"})
TAIL = END + event(
    "metadata", {"usage": {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12}, "metrics": {"latencyMs": 1}}
)


def stream(*blocks):
    return HEAD + b"".join(blocks) + TAIL


class Run:
    def __init__(self, policies, *pieces, format_=FORMAT):
        self.meter = Meter(format_)
        guarded = GuardedStream(format_, Chain(policies), Tally(), self.meter, 1 << 20, 4 << 20)
        self.parts = [*(guarded.feed(piece) for piece in pieces), guarded.close()]
        self.out = b"".join(self.parts)
        self.refused = guarded.refused
        self.telling = guarded.telling


def sdk(raw):
    """What botocore's parser makes of a stream: [(name, value)]; raises what it raises."""
    shape = SERVICE.operation_model("ConverseStream").get_event_stream_output()
    parser = botocore.parsers.EventStreamJSONParser()
    buffer = EventStreamBuffer()
    buffer.add_data(raw)
    found = []
    for each in buffer:
        response = each.to_response_dict()
        if response["status_code"] != 200:
            error = parser.parse(response, shape)
            raise EventStreamError({"Error": error["Error"]}, "ConverseStream")
        found += parser.parse(response, shape).items()
    return found


def blocks(raw):
    """The message's blocks as a client puts them together; also checks their order."""
    found, open_ = {}, set()
    names = [name for name, _ in sdk(raw)]
    assert names.count("messageStart") == 1
    assert names.count("messageStop") <= 1
    for name, value in sdk(raw):
        index = value.get("contentBlockIndex")
        if name == "contentBlockStart":
            assert index not in found
            found[index] = dict(value["start"]["toolUse"], input="")
            open_.add(index)
        elif name == "contentBlockDelta":
            open_.add(index)
            said = value["delta"]
            if "toolUse" in said:
                found[index]["input"] += said["toolUse"]["input"]
            elif "text" in said:
                found[index] = found.get(index, "") + said["text"]
            else:
                found.setdefault(index, []).append(said["reasoningContent"])
        elif name == "contentBlockStop":
            open_.remove(index)
        elif name == "messageStop":
            assert not open_
    return list(found.values())


def answered(raw, status=200, headers=()):
    parser = botocore.parsers.create_parser("rest-json")
    shape = SERVICE.operation_model("Converse").output_shape
    return parser.parse({"status_code": status, "headers": dict(headers), "body": raw}, shape)
