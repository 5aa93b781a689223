"""Every string and member's name of every recorded exchange of the Responses API is seen: a mark put there never leaves.

What may hold a short token unseen is listed in tests/unit/formats/test_openai_responses.py, by name and with the reason.
"""

from __future__ import annotations

import json

import pytest

from extproc.exchange.streamed import GuardedStream
from extproc.exchange.whole import inspect
from extproc.formats.openai_responses import OpenAIResponses, texts
from extproc.framing.sse import framed
from extproc.policy.api import Action, Outcome, Phase, Tally
from extproc.policy.chain import Chain
from extproc.usage import Meter
from tests.golden.responses import exchanges, sse, streams
from tests.property.streams import policy, regex, words
from tests.property.test_placement import MARKER, WORD, encoded, variants

pytestmark = pytest.mark.data

FORMAT = OpenAIResponses()
CHAIN = Chain([policy("emails", regex(r"[a-z.]{1,20}@[a-z.]{1,20}")), policy("word", words(WORD), action=Action.BLOCK)])


def unseen(at, new):
    """Whether nobody has to look at this place for this."""
    name = next((key for key in reversed(at) if isinstance(key, str)), "")
    return new.strip() == WORD and name in texts.SKIP


def left(phase, value):
    """What leaves of a whole body."""
    raw = encoded(value)
    decision, out = inspect(FORMAT, CHAIN, phase, raw, value, Tally())
    return "" if decision.outcome is Outcome.BLOCK else out.decode()


def placed(phase, bodies):
    count = 0
    for name, value in bodies:
        assert left(phase, value), name
        for at, new, changed in variants(value):
            out = left(phase, changed)
            count += 1
            assert MARKER not in out, (name, at)
            assert unseen(at, new) or WORD not in new or WORD not in out, (name, at)
    return count


def test_every_string_of_every_request():
    bodies = [(name, json.loads(each["request"]["body"])) for name, each in exchanges()]
    assert placed(Phase.REQUEST, [each for each in bodies if len(encoded(each[1])) < 4000]) > 2000


def test_every_string_of_every_whole_answer():
    bodies = [(name, each["response"]["body"]) for name, each in exchanges()]
    short = [(name, json.loads(body)) for name, body in bodies if body.startswith("{") and len(body) < 1500]
    assert placed(Phase.RESPONSE, short) > 2000


def test_every_string_of_every_kind_of_event():
    found = {}
    for name, raw in streams().items():
        for _, data in sse(raw):
            if data != b"[DONE]" and len(data) < 3000:
                event = json.loads(data)
                kind = event["type"], (event.get("item") or event.get("part") or {}).get("type")
                found.setdefault(kind, (name, event))
    count = 0
    for kind, (name, event) in found.items():
        for at, new, changed in variants(event, f" {WORD} "):  # what comes next may go on with it
            stream = GuardedStream(FORMAT, CHAIN, Tally(), Meter(FORMAT), 1 << 20, 1 << 20)
            out = (stream.feed(framed(encoded(changed))) + stream.close()).decode()
            count += 1
            assert MARKER not in out, (name, kind, at)
            assert WORD not in out, (name, kind, at, new)
    assert len(found) > 20
    assert count > 1500
