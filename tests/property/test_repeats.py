"""An event understood from one like it says exactly what it says when it is parsed."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.errors import DecodeError
from extproc.exchange.repeats import Repeats
from extproc.formats.openai_chat import OpenAIChat
from extproc.framing.jsontext import parse

FORMAT = OpenAIChat()
TEXT = st.text(max_size=12) | st.sampled_from(['"', "\\", '","content":"', '"content":', "\u2028", "é", "\x00", "a b"])
KEYS = st.sampled_from(["content", "reasoning_content", "role", "id", "logprobs", "x", "obfuscation", "url", "name"])
HOLE = "@@hole@@"
VALUES = st.recursive(
    st.sampled_from([None, True, 1, "token", "two words", HOLE, HOLE]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
ENVELOPES = st.one_of(
    st.builds(lambda delta, more: {"choices": [{"index": 0, "delta": delta, **more}]},
              st.dictionaries(KEYS, VALUES, max_size=3), st.dictionaries(KEYS, VALUES, max_size=2)),
    st.builds(lambda top, delta: {**top, "choices": [{"index": 0, "delta": delta}]},
              st.dictionaries(KEYS, VALUES, max_size=2), st.dictionaries(KEYS, VALUES, max_size=2)),
    st.builds(lambda padding: {"id": "a", "choices": [{"index": 0, "delta": {"content": HOLE}, "logprobs": None}],
                               "usage": None, "obfuscation": padding}, st.sampled_from(["abc", "de f", "", HOLE])),
    st.dictionaries(KEYS, VALUES, max_size=4),
)  # fmt: skip


def parsed(data):
    return FORMAT.delta(parse(data))


def fill(envelope, text, *, ascii_only, spaces):
    """The event with its holes filled, as one of the ways to write it."""
    separators = (", ", ": ") if spaces else (",", ":")
    literal = json.dumps(text, ensure_ascii=ascii_only)
    return json.dumps(envelope, separators=separators).replace(json.dumps(HOLE), literal).encode()


@settings(max_examples=2000)
@given(ENVELOPES, st.lists(TEXT, min_size=2, max_size=5), st.booleans(), st.booleans())
def test_what_is_found_is_what_parsing_finds(envelope, texts, ascii_only, spaces):
    repeats = Repeats(FORMAT)
    for text in texts:
        data = fill(envelope, text, ascii_only=ascii_only, spaces=spaces)
        try:
            value = parse(data)
            expected = FORMAT.delta(value)
        except DecodeError:
            return
        found = repeats.find(data)
        assert found is None or found == expected
        if found is not None:
            assert FORMAT.usage(value) is None
            assert not FORMAT.echoes(value, {piece.path for piece in found.pieces})
        repeats.learn(data, value, expected)


def event(text='"Hello"', *, padding="a1B2", more="", logprobs="null"):
    return (
        f'{{"id":"chatcmpl-1","choices":[{{"index":0,"delta":{{"content":{text}{more}}},"logprobs":{logprobs},'
        f'"finish_reason":null}}],"usage":null,"obfuscation":"{padding}"}}'
    ).encode()


def learnt(data):
    repeats = Repeats(FORMAT)
    value = parse(data)
    repeats.learn(data, value, FORMAT.delta(value))
    return repeats


@pytest.mark.parametrize("other", [event('" you"'), event(r'"\"a\" é \\"'), event('"é"', padding="Zz9"), event('","')])
def test_the_next_event_is_known(other):
    assert learnt(event()).find(other) == parsed(other)


@pytest.mark.parametrize(
    "other",
    [
        event('""'),  # says nothing: another lane of thought
        event('"a"', padding="not a token"),
        event('"a"', padding="a1B2", more=',"refusal":"no"'),
        event('"a"', logprobs='{"content":[]}'),
        event('"\\ud800"'),
        event('"\\x"'),
        event("null"),
        event('"a'),
        event('"a"') + b"}",
        b'{"choices":[]}',
        b"",
    ],
)
def test_what_is_not_quite_the_same_is_parsed(other):
    assert learnt(event()).find(other) is None


@pytest.mark.parametrize(
    "first",
    [
        event(logprobs='{"content":[{"token":"Hello"}]}'),
        event(more=',"refusal":"no"'),
        b'{"choices":[{"index":0,"delta":{"content":"Hello"}}],"usage":{"prompt_tokens":1}}',
        rb'{"note":{"content":"Hello"},"choices":[{"index":0,"delta":{"con\u0074ent":"Hello"}}]}',
        b'{"content":"token","choices":[{"index":0,"delta":{"x":"Hello"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"Hello"}},{"index":1,"delta":{"content":"Hello"}}]}',
    ],
)
def test_what_is_not_learnt(first):
    repeats = learnt(first)
    again = first.replace(b"Hello", b"Other")
    assert repeats.find(again) is None


def test_a_kind_that_changes_each_time_is_given_up():
    repeats = Repeats(FORMAT)
    for number in range(100):
        data = orjson.dumps({"n": number, "choices": [{"index": 0, "delta": {"content": "Hello"}}]})
        repeats.learn(data, parse(data), parsed(data))
    assert len(repeats._kinds) <= 8
