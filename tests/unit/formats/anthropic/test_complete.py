"""Anthropic's legacy completions: texts, streams, and what is said to their clients."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from extproc.exchange.streamed import GuardedStream
from extproc.formats.anthropic import AnthropicComplete
from extproc.framing.sse import EventStream
from extproc.policy.api import Scope, Style, Tally
from extproc.policy.chain import Chain
from extproc.usage import Meter
from tests.property.test_placement import WORD, variants
from tests.unit.formats.anthropic.support import MAIL, STOP, sse

FORMAT = AnthropicComplete()
REQUEST = {
    "model": "claude-2.1",
    "prompt": "\n\nHuman: hi\n\nAssistant:",
    "max_tokens_to_sample": 5,
    "stop_sequences": ["\n\nHuman:"],
    "metadata": {"user_id": "u1"},
}
ANSWER = {
    "type": "completion",
    "id": "c1",
    "completion": " Hi.",
    "stop_reason": "stop_sequence",
    "stop": "\n\nHuman:",
    "model": "m",
}
STRUCTURE = {"id", "type", "model", "role", "object", "stop_reason", "log_id"}
"""Names and words the API gives, in which one short token is not looked at."""


def said(text, reason=None):
    return {"type": "completion", "id": "c1", "completion": text, "stop_reason": reason, "model": "m"}


def guarded(policies, *pieces):
    stream = GuardedStream(FORMAT, Chain(policies), Tally(), Meter(FORMAT), 1 << 20, 1 << 20)
    return b"".join([stream.feed(piece) for piece in pieces] + [stream.close()])


def read(raw):
    reader = EventStream(1 << 20)
    return [SimpleNamespace(**json.loads(event.data)) for event in [*reader.feed(raw), *reader.close()]]


@pytest.mark.parametrize(
    ("value", "spans"),
    [
        (REQUEST, FORMAT.request_spans),
        (ANSWER, FORMAT.response_spans),
        (said("a"), lambda event: FORMAT.delta(event).pieces),
        ({"type": "error", "error": {"type": "api_error", "message": "a"}}, lambda event: FORMAT.delta(event).pieces),
    ],
)
def test_no_string_escapes(value, spans):
    for at, new, changed in variants(value):
        found = [each.text for each in spans(changed) if each.path == at]
        assert new in found or (new == WORD and at[-1] in STRUCTURE), (at, new)


def test_scopes():
    assert {span.scope for span in FORMAT.request_spans(REQUEST)} == {Scope.USER}
    assert {span.scope for span in FORMAT.response_spans(ANSWER)} == {Scope.ASSISTANT}
    assert FORMAT.usage(ANSWER) is None
    assert FORMAT.unscanned(REQUEST) == FORMAT.echoes(ANSWER, set()) == []


def test_a_completion_is_one_text_wherever_it_is_cut():
    raw = sse(said("to jane@exa"), {"type": "ping"}, said("mple.com"), said("", "stop_sequence"))
    wanted = guarded([MAIL], raw)
    assert "".join(event.completion for event in read(wanted) if event.type == "completion") == "to [mail]"
    for at in range(1, len(raw)):
        assert guarded([MAIL], raw[:at], raw[at:]) == wanted
    assert guarded([MAIL], *[raw[at : at + 1] for at in range(len(raw))]) == wanted
    clean = sse(said(" Hi"), {"type": "ping"}, said("", "max_tokens"))
    assert guarded([MAIL], clean) == clean


@pytest.mark.parametrize(("style", "texts"), [(Style.REFUSAL, 1), (Style.TRUNCATE, 0)])
def test_a_block_ends_a_stream_well(style, texts):

    found = read(
        guarded([replace(STOP, style=style)], sse(said("a word, "), said("forbidden"), said("", "max_tokens")))
    )
    assert "forbidden" not in "".join(event.completion for event in found)
    assert found[0].completion == "a word, "
    assert [event.stop_reason for event in found][-1] == "stop_sequence"
    assert len([event for event in found[1:] if event.completion]) == texts
    assert {event.id for event in found} == {"c1"}


def test_an_ending_after_the_end_says_nothing():
    ending = FORMAT.ending()
    for event in (None, [], {"type": "ping"}, said("", "max_tokens")):
        ending.see(event)
    assert ending.end("no") == b""
    assert [event.completion for event in read(FORMAT.ending().end("no"))] == ["no", ""]


def test_replies():
    assert json.loads(FORMAT.reply("no", "m", "r1", 17)) == {
        "type": "completion", "id": "compl_r1", "completion": "no", "stop_reason": "stop_sequence", "stop": None,
        "model": "m",
    }  # fmt: skip
    assert [event.completion for event in read(FORMAT.reply_stream("no", "m", "r1", 17))] == ["no", ""]
    assert json.loads(FORMAT.error(400, "c", "m", "k")) == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "m"},
    }


def test_cuts():
    assert FORMAT.cut(ANSWER, ("completion",), "a") == {("completion",): b'"a"', ("stop_reason",): b'"stop_sequence"'}
    assert FORMAT.cut({"error": {"message": "b"}}, ("error", "message"), "a") == {("error", "message"): b'"a"'}
    event = b'{"type":"completion","completion":"a"} '
    assert FORMAT.without_padding(event) == event
