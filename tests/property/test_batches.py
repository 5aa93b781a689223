"""Events decided together come to what they come to one by one: whatever they are, however they arrive."""

from __future__ import annotations

import functools
import tempfile

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.exchange.streamed import GuardedStream
from extproc.formats.registry import FORMATS
from extproc.policy.api import Tally
from extproc.usage import Meter
from tests.unit.exchange import support

CHAT = FORMATS["openai-chat"]
POLICIES = """
providers: {main: {type: openai-compatible, base_url: "http://127.0.0.1:1/v1", keys: env:MAIN_KEY}}
policies:
  pii:   {kind: pii, find: [email]}
  words: {kind: wordlist, words: [stop here, bad], action: block}
  loud:  {kind: wordlist, words: [grey goose, goose egg]}
"""
TEXTS = st.sampled_from(
    ["a@b", ".com ", "jane", "@x.org", " ", "stop", " here", "bad", "grey", " goose", " egg", "é", "", "x" * 40]
)
INDEX = st.integers(0, 1)


@functools.cache
def runtime():
    with tempfile.TemporaryDirectory() as folder:
        return support.compiled(POLICIES, folder)


def _event(value):
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _choice(index, delta, finish=None):
    return _event({"choices": [{"index": index, "delta": delta, "finish_reason": finish}]})


EVENTS = st.one_of(
    st.builds(lambda index, text: _choice(index, {"content": text}), INDEX, TEXTS),
    st.builds(lambda text: _choice(0, {"content": text}), TEXTS),
    st.builds(lambda text: _choice(0, {"content": text}), TEXTS),
    st.builds(lambda text: _choice(0, {"reasoning_content": text}), TEXTS),
    st.builds(lambda text, more: _choice(0, {"content": text, "refusal": more}), TEXTS, TEXTS),
    st.builds(
        lambda text: _choice(0, {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}), TEXTS
    ),
    st.builds(lambda index: _choice(index, {}, "stop"), INDEX),
    st.builds(lambda text: _event({"choices": [], "usage": {"total_tokens": 3}, "note": text}), TEXTS),
    st.sampled_from([b": comment\n\n", b": bad\n\n", b"event: ping\ndata: {}\n\n", b"data: {oops\n\n", b"data: [DONE]\n\n"]),
)  # fmt: skip


def outcome(chunks, max_held):
    now = runtime()
    stream = GuardedStream(CHAT, now.attached.usual.chain, Tally(), Meter(CHAT), 1 << 20, max_held)
    said = b"".join([*(stream.feed(chunk) for chunk in chunks), stream.close()])
    refused = (stream.refused.status, stream.refused.code) if stream.refused else None
    return said, refused, stream.telling


@settings(max_examples=1500)
@given(st.lists(EVENTS, max_size=14), st.data(), st.sampled_from([1 << 20, 600]))
def test_together_or_one_by_one(events, data, max_held):
    alone = outcome(events, max_held)
    assert outcome([b"".join(events)], max_held) == alone
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=4)))
    groups = [b"".join(events[a:b]) for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True)]
    assert outcome([each for each in groups if each], max_held) == alone
