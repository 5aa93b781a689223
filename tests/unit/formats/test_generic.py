"""Bodies of which nothing is known: every text is seen, however a stream is cut, and what no rule touches stays."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.chat.answer import Usage
from extproc.exchange.streamed import GuardedStream
from extproc.formats.generic import GENERIC, OPAQUE, Generic, Opaque, told
from extproc.formats.registry import FORMATS
from extproc.framing.sse import SSE
from extproc.policy.api import Action, Scope, Tally
from extproc.policy.chain import Chain
from extproc.usage import Meter
from tests.property.streams import policy, regex, words

EMAIL = "jane.doe@example.com"
texts = st.sampled_from(["", "a", "to ", EMAIL, f"<{EMAIL}>", "héllo\n", "jane.doe@", "12"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["a", "id", "type", "b c"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def leaves(value, path=()):
    if isinstance(value, str) and value:
        yield path, value
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from leaves(child, (*path, key))


@given(values)
def test_every_string_is_a_text(value):
    spans = Generic().response_spans(value)
    assert [(span.path, span.text) for span in spans if not span.fixed] == list(leaves(value))
    assert all(span.scope is Scope.ASSISTANT for span in spans)
    assert {span.text for span in spans if span.fixed} <= {"b c"}
    pieces = Generic().delta(value).pieces
    assert [(piece.path, piece.text) for piece in pieces] == [(span.path, span.text) for span in spans]


@given(st.dictionaries(st.sampled_from(["a", "model", "type"]), values, max_size=3))
def test_every_string_of_a_request_but_its_model_is_the_users(body):
    spans = Generic(("word",)).request_spans(body)
    assert (spans[0].text, spans[0].fixed) == ("word", True)
    named = [pair for pair in leaves(body) if pair[0] != ("model",)]
    assert [(span.path, span.text) for span in spans[1:] if not span.fixed] == named
    assert all(span.scope is Scope.USER for span in spans)


def run(pieces, *policies):
    format_ = Generic()
    stream = GuardedStream(format_, Chain(policies), Tally(), Meter(format_), 1 << 20, 4 << 20)
    return b"".join([*map(stream.feed, pieces), stream.close()])


REDACT = policy("emails", regex(r"[a-z.]{1,20}@[a-z]{1,20}\.[a-z]{1,9}", "[email]"))
STREAM = b"".join(
    [
        b": hello\n\n",
        b'event: one\r\ndata: {"n":1,"t":"mail jane.doe@example.com now","u":{"v":["x", "jane.doe@example.com"]}}\r\n\r\n',
        b'data: {"n": 1.50, "t": "nothing"}\n\n',
        "data: {\"t\": \"h\u00e9 \\u0040 jane.doe\\u0040example.com\"}\n\n".encode(),
        b"data: [DONE]\n\n",
    ]
)  # fmt: skip
REDACTED = STREAM.replace(b'"mail jane.doe@example.com now"', b'"mail [email] now"')
REDACTED = REDACTED.replace(b'"jane.doe@example.com"', b'"[email]"')
REDACTED = REDACTED.replace('"h\u00e9 \\u0040 jane.doe\\u0040example.com"'.encode(), '"hé @ [email]"'.encode())


def test_a_stream_is_redacted_in_place_however_it_is_cut():
    assert run([STREAM], REDACT) == REDACTED
    assert run([STREAM[at : at + 1] for at in range(len(STREAM))], REDACT) == REDACTED


@given(st.lists(st.integers(0, len(STREAM)), max_size=12).map(sorted))
def test_random_cuts_change_nothing(cuts):
    places = [0, *cuts, len(STREAM)]
    pieces = [STREAM[start:end] for start, end in pairwise(places)]
    assert run(pieces, REDACT) == REDACTED


@given(st.lists(values, max_size=4), st.lists(st.integers(0, 400), max_size=6).map(sorted))
def test_what_no_rule_touches_stays_as_it_is(bodies, cuts):
    raw = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in bodies)
    places = [0, *(min(cut, len(raw)) for cut in cuts), len(raw)]
    pieces = [raw[start:end] for start, end in pairwise(places)]
    assert run(pieces, policy("none", words("absent word"))) == raw


def test_a_match_over_two_events_ends_the_stream():
    out = run([b'data: {"t": "jane.doe@"}\n\n', b'data: {"t": "example.com"}\n\ndata: {"t": "more"}\n\n'], REDACT)
    assert out.startswith(b'data: {"t": "jane.doe@"}\n\n')
    assert b"example.com" not in out
    assert b"more" not in out
    assert b'"policy_violation"' in out


def test_a_blocked_word_ends_the_stream():
    out = run(
        [b'data: {"t": "fine"}\n\ndata: {"t": "a bad word"}\n\n'], policy("p", words("bad word"), action=Action.BLOCK)
    )
    assert out.startswith(b'data: {"t": "fine"}\n\ndata: {"error"')
    assert b"bad word" not in out


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        ({"usage": {"prompt_tokens": 5, "total_tokens": 5}}, Usage(5)),
        ({"usage": {"input_tokens": 5, "output_tokens": 2}}, Usage(5, 2)),
        ({"usage": "much"}, None),
        ({}, None),
        ([], None),
    ],
)
def test_usage_in_the_usual_words(body, usage):
    assert Generic().usage(body) == usage


@pytest.mark.parametrize("name", [GENERIC, OPAQUE])
@pytest.mark.parametrize("voice", ["openai-chat", "anthropic-messages", "gemini", "bedrock-converse"])
def test_errors_are_told_in_the_apis_way(name, voice):
    format_ = told(name, (), FORMATS[voice])
    assert format_.name == name
    assert format_.family == FORMATS[voice].family
    assert format_.error(400, "c", "m", "k") == FORMATS[voice].error(400, "c", "m", "k")
    assert format_.error_headers(400) == FORMATS[voice].error_headers(400)
    events = format_.framing.reader(1 << 20)
    raw = format_.error_event("c", "the message", "api_error")
    found = [*events.feed(raw), *events.close()]
    assert "the message" in str(json.loads(found[0].data))
    assert format_.framing is SSE


def test_nobody_looks_into_an_opaque_body():
    body = {"a": EMAIL}
    opaque = Opaque(("word",))
    assert opaque.request_spans(body) == opaque.response_spans(body) == opaque.delta(body).pieces == []
    assert opaque.unscanned({}) == ["request", "answer"]
    assert Generic().unscanned(body) == []
