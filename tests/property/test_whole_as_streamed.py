"""A whole answer comes to what its stream would have come to, wherever its texts are cut into parts."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.chat.answer import Answer, Choice, Finish
from extproc.chat.codec import Context
from extproc.chat.fold import fold, unfold
from extproc.chat.losses import Losses
from extproc.chat.parts import Reasoning, Text, ToolCall
from extproc.exchange.streamed import GuardedStream
from extproc.exchange.whole import inspect
from extproc.formats.registry import FORMATS
from extproc.framing.jsontext import dump, parse
from extproc.policy.api import Action, Outcome, Phase, Style, Tally
from extproc.usage import Meter
from tests.property.streams import chain, policy, regex, words

MAIL = policy("mail", regex(r"\b[a-z.]{1,20}@[a-z]{1,20}\.com\b", "[mail]"), words("secret", replacement="[w]"))
CUT = dataclasses.replace(policy("cut", words("secret"), action=Action.BLOCK), style=Style.TRUNCATE)
CONTEXT = Context("r1", "m", 1)
NAMES = ["anthropic-messages", "bedrock-converse", "gemini"]

PIECES = st.sampled_from(["sec", "ret", "ann@x", ".com", " so ", "a", "é", ".", "secret", "b@c.com"])
PARTS = st.lists(
    st.tuples(st.sampled_from("ttthc"), st.lists(PIECES, min_size=1, max_size=3).map("".join)), min_size=1, max_size=7
)


def answer(parts):
    made = []
    for number, (kind, text) in enumerate(parts):
        if kind == "t":
            made.append(Text(text))
        elif kind == "h":
            made.append(Reasoning(text, summary=True, maker="gemini"))
        else:
            made.append(ToolCall(f"call_{number}", "look", '{"at":1}'))
    return Answer("a1", "m", 1, [Choice(0, made, Finish.STOP)])


def whole(name, policies, said):
    format_ = FORMATS[name]
    raw = dump(format_.codec.encode_answer(said, CONTEXT, Losses()))
    decision, out = inspect(format_, chain(policies), Phase.RESPONSE, raw, parse(raw), Tally())
    return decision, format_.codec.decode_answer(parse(out))


def streamed(name, policies, said):
    format_ = FORMATS[name]
    encoder = format_.codec.encoder(CONTEXT, Losses())
    raw = b"".join([*[encoder.encode(event) for event in unfold(said)], encoder.close()])
    stream = GuardedStream(format_, chain(policies), Tally(), Meter(format_), 1 << 20, 1 << 20)
    out = stream.feed(raw) + stream.close()
    decoder, events = format_.codec.decoder(), []
    reader = format_.framing.reader(1 << 20)
    for event in [*reader.feed(out), *reader.close()]:
        if event.data:
            events += decoder.decode(event.name, event.data)
    return stream, fold([*events, *decoder.close()])


def told(said, *, apart):
    """What a client shows: texts, thoughts and calls in their order, neighbours without a gap.

    ``apart``: it shows all texts together, and all thoughts. Nothing is told by a stream that did not begin.
    """
    found = []
    for part in said.choices[0].parts if isinstance(said, Answer) and said.choices else ():
        kind = type(part).__name__
        text = "call" if isinstance(part, ToolCall) else part.text
        if text and found and found[-1][0] == kind:
            found[-1] = (kind, found[-1][1] + text)
        elif text:
            found.append((kind, text))
    if apart:
        return {kind: "".join(text for each, text in found if each == kind) for kind, _ in found}
    return found


@pytest.mark.parametrize("name", NAMES)
@given(parts=PARTS)
@settings(max_examples=60, deadline=None)
def test_redacted(name, parts):
    said = answer(parts)
    apart = name == "gemini"
    assert told(whole(name, (MAIL,), said)[1], apart=apart) == told(streamed(name, (MAIL,), said)[1], apart=apart)


@pytest.mark.parametrize("name", NAMES)
@given(parts=PARTS)
@settings(max_examples=60, deadline=None)
def test_cut_short(name, parts):
    said = answer([each for each in parts if name != "gemini" or each[0] != "h"])  # its texts do not wait for thoughts
    decision, first = whole(name, (CUT,), said)
    stream, second = streamed(name, (CUT,), said)
    assert bool(stream.blocked) == (decision.outcome is Outcome.BLOCK)
    assert told(first, apart=True).get("Text") == told(second, apart=True).get("Text")


def test_a_secret_in_two_parts_of_one_message_of_responses():
    parts = [{"type": "output_text", "text": text, "annotations": []} for text in ("ann@", "x.com or")]
    raw = json.dumps({"object": "response", "output": [{"type": "message", "content": parts}]}).encode()
    _, out = inspect(FORMATS["openai-responses"], chain((MAIL,)), Phase.RESPONSE, raw, parse(raw), Tally())
    assert [each["text"] for each in json.loads(out)["output"][0]["content"]] == ["[mail]", " or"]


def test_a_list_of_events_is_one_text_and_ends_where_it_is_cut():
    events = [{"candidates": [{"content": {"parts": [{"text": text}]}}]} for text in ("so sec", "ret", " or", "so")]
    raw = json.dumps(events).encode()
    _, out = inspect(FORMATS["gemini"], chain((CUT,)), Phase.RESPONSE, raw, parse(raw), Tally())
    texts = [each["candidates"][0]["content"]["parts"][0]["text"] for each in json.loads(out)]
    assert texts == ["so ", "", "", ""]
