"""What tests of formats share: markers in every string, and guarded answers."""

import copy
import json

from extproc.exchange.streamed import GuardedStream
from extproc.exchange.whole import inspect
from extproc.framing.jsontext import parse
from extproc.policy.api import Action, Phase, Tally
from extproc.policy.chain import Chain
from extproc.usage import Meter
from tests.property.streams import policy, regex, sse, words

MAIL = policy("mail", regex(r"\b[a-z.]{1,20}@[a-z]{1,20}\.com\b", "[mail]"))
PHONE = policy("phone", regex(r"\b555 ?\d{3} ?\d{4}\b", "[phone]"))
STOP = policy("stop", words("forbidden"), action=Action.BLOCK)
PROSE = "marker, in prose: é"
TOKEN = "marker-token"
BLOB = "data:image/png;base64," + "QUJD" * 30


def leaves(value, path=()):
    """Where strings are."""
    if isinstance(value, str):
        yield path
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from leaves(child, (*path, key))


def put(value, path, text):
    """A value with another string in one place."""
    changed = copy.deepcopy(value)
    node = changed
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = text
    return changed


def name(path):
    """The name a string stands under."""
    return next((step for step in reversed(path) if isinstance(step, str)), "")


def unseen(value, spans):
    """(name, marker) of every string of a value that is not among the spans while it is this marker."""
    found = set()
    for path in leaves(value):
        for marker in (PROSE, TOKEN, BLOB):
            if not any(marker in each.text for each in spans(put(value, path, marker))):
                found.add((name(path), marker))
    return found


def whole(format_, value, *policies, phase=Phase.RESPONSE):
    """(decision, what is left) of a body."""
    raw = json.dumps(value).encode()
    decision, left = inspect(format_, Chain(policies), phase, raw, parse(raw), Tally())
    return decision, json.loads(left)


class Run:
    """One stream fed in pieces: ``out`` is what the client receives."""

    def __init__(self, format_, policies, pieces):
        self.meter = Meter(format_)
        self.stream = GuardedStream(format_, Chain(policies), Tally(), self.meter, 1 << 20, 4 << 20)
        self.out = b"".join([*[self.stream.feed(piece) for piece in pieces], self.stream.close()])
        self.blocked = self.stream.blocked


def same(format_, policies, *events):
    """The run of a stream of these events; its output is the same for every cut."""
    raw = sse(*events)
    cuts = [[raw], [raw[at : at + 1] for at in range(len(raw))], *[[raw[:at], raw[at:]] for at in range(1, len(raw))]]
    runs = [Run(format_, policies, cut) for cut in cuts]
    assert {(run.out, run.blocked) for run in runs} == {(runs[0].out, runs[0].blocked)}
    return runs[0]
