"""Guarded streams of the Responses API: the streaming law, and that whatever repeats a text agrees with what was streamed."""

from __future__ import annotations

import json
import random
import re

import pytest
from openai.types.responses.response_stream_event import ResponseStreamEvent
from pydantic import TypeAdapter

from extproc.chat.answer import Answer, Choice, Finish, Usage
from extproc.chat.fold import unfold
from extproc.chat.parts import Reasoning, Refusal, Text, ToolCall
from extproc.exchange.repeats import Repeats
from extproc.exchange.streamed import GuardedStream
from extproc.formats.openai_responses import OpenAIResponses
from extproc.framing.jsontext import parse
from extproc.policy.api import Action, Style, Tally
from extproc.policy.chain import Chain
from extproc.usage import Meter
from tests.golden.responses import encoded, sse, streams
from tests.property import oracle
from tests.property.streams import policy, regex, words

FORMAT = OpenAIResponses()
EVENTS = TypeAdapter(ResponseStreamEvent)
ABRIDGED = "openai_responses/vercel__openai-shell-container.1.chunks.txt"
"""A recording whose keepers left out some of the deltas: nothing in it agrees."""


class Run:
    """One stream fed in pieces: ``out`` is what the client receives."""

    def __init__(self, policies, pieces):
        self.stream = GuardedStream(FORMAT, Chain(policies), Tally(), Meter(FORMAT), 1 << 20, 4 << 20)
        self.out = b"".join([*(self.stream.feed(piece) for piece in pieces), self.stream.close()])
        self.refused = self.stream.refused


def events(raw):
    return [json.loads(data) for _, data in sse(raw) if data != b"[DONE]"]


def complete(raw):
    return raw[: raw.index(b"data: [DONE]") + 14] if b"data: [DONE]" in raw else raw


def streamed(raw):
    """What a client puts together: by type and place."""
    found = {}
    for event in events(raw):
        if event["type"].endswith(".delta") and isinstance(event["delta"], str):
            place = [event.get(name) for name in ("output_index", "content_index", "summary_index", "command_index")]
            key = (event["type"].removesuffix(".delta"), *place)
            found[key] = found.get(key, "") + event["delta"]
    return found


MEMBERS = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text", "summary_text": "text"}


def item_texts(item, index):
    """The same of an item."""
    kind = item["type"]
    if kind in ("function_call", "custom_tool_call"):
        stem = "function_call_arguments" if kind == "function_call" else "custom_tool_call_input"
        yield (f"response.{stem}", index, None, None, None), item["input" if stem.startswith("c") else "arguments"]
    for name in ("content", "summary"):
        for at, part in enumerate(item.get(name) or []):
            stem = "reasoning_summary_text" if part["type"] == "summary_text" else part["type"]
            place = (None, at) if name == "summary" else (at, None)
            yield (f"response.{stem}", index, *place, None), part[MEMBERS[part["type"]]]


def repeated(raw):
    """(where, text) of everything that says a text again."""
    for event in events(raw):
        kind, index = event["type"], event.get("output_index")
        stem = kind.removesuffix(".done")
        if kind == "response.output_item.done":
            yield from item_texts(event["item"], index)
        elif kind in ("response.completed", "response.incomplete"):
            for at, item in enumerate(event["response"]["output"]):
                yield from item_texts(item, at)
        elif kind == "response.content_part.done" and event["part"]["type"] in MEMBERS:
            part = event["part"]
            yield (f"response.{part['type']}", index, event["content_index"], None, None), part[MEMBERS[part["type"]]]
        elif kind.endswith(".done") and stem.endswith(("output_text", "refusal", "_text", "_arguments", "_input")):
            text = next(event[name] for name in ("text", "refusal", "arguments", "input") if name in event)
            yield (stem, *[event.get(name) for name in ("output_index", "content_index", "summary_index")], None), text


def agree(raw):
    """Whether everything that is said again says what was streamed; returns how much there was."""
    wanted, count = streamed(raw), 0
    for key, text in repeated(raw):
        assert wanted.get(key, "") == text, key
        count += 1
    return count


def bytewise(raw):
    return [raw[at : at + 1] for at in range(len(raw))]


def randomly(dice, raw):
    return oracle.cut(raw, dice.choices(range(len(raw)), k=dice.randint(1, 30)))


MADE = Answer(
    "resp_1", "m", 1,
    [Choice(0, [Reasoning("I think of a parrot", summary=True, maker="openai"), Text("A parrot is a bird. A parrot talks."),
                Refusal("No parrot"), ToolCall("c", "f", json.dumps({"a": "a parrot", "b": 'par"rot'})),
                ToolCall("d", "g", "parrot now", custom=True), Text("One parrot")], Finish.TOOLS)],
    Usage(1, 2),
)  # fmt: skip


def made():
    """A stream with every kind of text, in deltas of three characters."""
    found = []
    for event in unfold(MADE):
        text = getattr(event, "text", "")
        for at in range(0, max(len(text), 1), 3) if text else [None]:
            found += [event if at is None else type(event)(event.choice, event.number, text[at : at + 3])]
    return encoded(found)


def test_what_is_made_here_agrees_with_itself():
    assert agree(made()) > 15


@pytest.mark.data
def test_where_nothing_matches_every_stream_leaves_as_it_came():
    dice = random.Random(1)
    silent = [policy("silent", words("the quick brown zyzzyva", "a zyzzyva"), regex(r"(?i)\b[a-z]{1,12} ?zyzzyva\b"))]
    for name, raw in streams().items():
        raw = complete(raw)
        for pieces in ([raw], bytewise(raw), randomly(dice, raw)):
            run = Run(silent, pieces)
            assert run.refused is None, (name, run.refused)
            assert sorted(re.split(rb"(?<=\n\n)", run.out)) == sorted(re.split(rb"(?<=\n\n)", raw)), name


def test_what_repeats_a_text_agrees_with_what_was_streamed_after_redaction():
    raw = made()
    rules = [policy("p", words("parrot", replacement="[bird]"), regex(r"talks\W{0,3}", "[t]"))]
    whole = Run(rules, [raw])
    assert whole.refused is None
    assert b"parrot" not in whole.out
    assert agree(whole.out) == agree(raw)
    assert streamed(whole.out)["response.output_text", 1, 0, None, None] == "A [bird] is a bird. A [bird] [t]"
    for pieces in (bytewise(raw), *(randomly(random.Random(seed), raw) for seed in range(5))):
        assert Run(rules, pieces).out == whole.out


@pytest.mark.data
def test_recorded_streams_agree_after_redaction_and_follow_the_law():
    dice, count = random.Random(3), 0
    for name, raw in streams().items():
        raw = complete(raw)
        if name == ABRIDGED:
            continue
        for text in streamed(raw).values():
            for word in sorted(set(re.findall(r"\b[^\W\d_]{4,}\b", text)), key=len)[-2:]:
                rules = [policy("p", words(word))]
                run = Run(rules, [raw])
                assert run.refused is None, (name, word)
                wanted = {
                    key: oracle.redact(each, oracle.find([oracle.Words((word,))], each), ["[w]"])[0]
                    for key, each in streamed(raw).items()
                }
                assert streamed(run.out) == wanted, (name, word)
                agree(run.out)
                assert Run(rules, randomly(dice, raw)).out == run.out, (name, word)
                count += 1
    assert count > 12


def test_a_block_stops_a_stream_before_the_match_and_nothing_repeats_it():
    raw = made()
    for word, before in (("talks", "A parrot is a bird. A parrot "), ("bird", "A parrot is a ")):
        rules = [policy("stop", words(word), action=Action.BLOCK)]
        for pieces in ([raw], bytewise(raw), randomly(random.Random(5), raw)):
            run = Run(rules, pieces)
            assert run.refused is not None
            assert word.encode() not in run.out
            assert streamed(run.out)["response.output_text", 1, 0, None, None] == before
            assert events(run.out)[-1]["type"] == "error"


def test_a_match_that_only_the_end_decides_is_stopped_where_it_begins():
    raw = made().replace(b"talks.", b"talks ")
    run = Run([policy("stop", regex(r"talks\s{0,3}"), action=Action.BLOCK)], bytewise(raw))
    assert streamed(run.out)["response.output_text", 1, 0, None, None] == "A parrot is a bird. A parrot "


def ended(style, rule, raw=None):
    one = policy("stop", rule, action=Action.BLOCK)
    object.__setattr__(one, "style", style)
    return Run([one, policy("p", words("parrot", replacement="[bird]"))], bytewise(raw or made())).out


@pytest.mark.parametrize("style", [Style.REFUSAL, Style.TRUNCATE])
@pytest.mark.parametrize("word", ["think", "talks", "No", "now", "One"])
def test_a_stopped_stream_ends_in_good_order_and_says_again_what_was_said(style, word):
    raw = ended(style, words(word))
    found = [EVENTS.validate_json(data) for _, data in sse(raw)]
    assert [event.sequence_number for event in found] == list(range(len(found)))
    assert [name for name, _ in sse(raw)] == [event.type for event in found]
    assert (found[-1].type, found[-1].response.incomplete_details.reason) == ("response.incomplete", "content_filter")
    assert b"parrot" not in raw
    assert word.encode() not in raw.replace(b'"No', b"") or word == "No"
    agree(raw)
    response = found[-1].response
    assert (response.id, response.model) == ("resp_1", "m")
    begun = [event.item.id for event in found if event.type == "response.output_item.added"]
    done = {event.item.id: event.item for event in found if event.type == "response.output_item.done"}
    assert [item.id for item in response.output] == begun
    assert [done[item.id] for item in response.output] == response.output
    shown = {key[1] for key, _ in repeated(raw)}
    assert {key[1] for key in streamed(raw)} <= shown
    text = response.output[-1].content[0].text if response.output[-1].type == "message" else ""
    assert ("policy" in text or "blocked" in text) == (style is Style.REFUSAL), text


def test_an_end_is_well_formed_at_any_time():
    raw = made()
    blocks = [block for block in re.split(rb"(?<=\n\n)", raw) if block]
    for count in range(len(blocks) - 1):
        ending = FORMAT.ending()
        for block in blocks[:count]:
            ((_, data),) = sse(block)
            event = parse(data)
            for piece in FORMAT.delta(event).pieces:
                ending.more(piece.track, piece.text)
            ending.see(event)
        out = b"".join(blocks[:count]) + ending.end("stopped")
        found = [EVENTS.validate_json(data) for _, data in sse(out)]
        assert [event.sequence_number for event in found] == list(range(len(found)))
        assert found[-1].type == "response.incomplete"
        agree(out)


def test_an_end_of_a_long_stream_says_nothing_again():
    ending = FORMAT.ending()
    ending.see({"type": "response.created", "response": {"id": "resp_1", "model": "two words", "created_at": 1.5}})
    for _ in range(3):
        ending.more(("response.output_text", 0), "a" * (1 << 19))
    (event,) = events(ending.end(""))
    assert (event["response"]["output"], event["response"]["model"], event["response"]["id"]) == ([], "", "resp_1")
    ending.see({"type": "response.completed", "response": {}})
    assert ending.end("x") == b""


@pytest.mark.parametrize(
    "event", [None, [], 5, {}, {"type": []}, {"type": "response.output_item.added", "output_index": "x"}]
)
def test_an_ending_sees_anything(event):
    ending = FORMAT.ending()
    ending.see(event)
    ending.more(None, "a")
    assert events(ending.end("stopped"))[-1]["type"] == "response.incomplete"


def test_a_secret_in_two_parts_of_one_message_is_found():
    raw = encoded(unfold(Answer("i", "m", 1, [Choice(0, [Text("jane@exam"), Text("ple.com is")], Finish.STOP)])))
    run = Run([policy("p", regex(r"[a-z]{1,9}@[a-z]{1,9}\.com"))], [raw])
    assert "".join(streamed(run.out).values()) in ("[r]", "[r] is")
    assert run.refused is not None  # what says it again would say it in two parts
    assert b"ple.com" not in run.out


def test_what_was_hidden_until_a_text_is_done_is_found():
    raw = made().replace(b'"text":"One parrot"', b'"text":"One secret word"')
    out = Run([policy("p", words("secret"))], [raw]).out
    assert b"secret" not in out
    assert b"One [w] word" in out


# events that are like the one before


def learnt(raw):
    """How many of the events of a stream are understood without being parsed; each as it would be."""
    repeats, known = Repeats(FORMAT), 0
    for _, data in sse(raw):
        found = repeats.find(data)
        value = parse(data)
        delta = FORMAT.delta(value)
        if found is None:
            repeats.learn(data, value, delta)
        else:
            assert found == delta
            known += 1
    return known


def test_events_that_differ_in_number_and_padding_are_not_parsed_again():
    def event(number, text, padding, first):
        head = f'"sequence_number":{number},' if first else ""
        tail = "" if first else f',"sequence_number":{number}'
        return (
            f'data: {{"type":"response.output_text.delta",{head}"item_id":"msg_1","output_index":0,"content_index":0,'
            f'"delta":{json.dumps(text)},"logprobs":[],"obfuscation":"{padding}"{tail}}}\n\n'
        ).encode()

    for first in (True, False):
        raw = b"".join(event(number, f"w{number}", "x" * (number % 9 + 1), first) for number in range(40))
        assert learnt(raw) == 39


@pytest.mark.parametrize(
    "other",
    [
        b'{"type":"response.output_text.delta","sequence_number":01,"output_index":0,"delta":"a"}',
        b'{"type":"response.output_text.delta","sequence_number":"a b","output_index":0,"delta":"a"}',
        b'{"type":"response.output_text.delta","sequence_number":1,"output_index":1,"delta":"a"}',
        b'{"type":"response.output_text.delta","sequence_number":1.5,"output_index":0,"delta":"a"}',
        b'{"type":"response.refusal.delta","sequence_number":1,"output_index":0,"delta":"a"}',
    ],
)
def test_what_is_not_quite_the_same_is_parsed(other):
    repeats = Repeats(FORMAT)
    data = b'{"type":"response.output_text.delta","sequence_number":1,"output_index":0,"delta":"a"}'
    repeats.learn(data, parse(data), FORMAT.delta(parse(data)))
    assert repeats.find(data.replace(b":1,", b":12,")) is not None
    assert repeats.find(other) is None


@pytest.mark.data
def test_most_recorded_deltas_are_not_parsed_again():
    total = known = 0
    for raw in streams().values():
        known += learnt(raw.replace(b"data: [DONE]\n\n", b""))
        total += sum(event["type"].endswith(".delta") for event in events(raw))
    assert known > total * 0.8


def test_repetitions_are_not_read_as_one_text():
    raw = encoded(unfold(Answer("i", "m", 1, [Choice(0, [Text("start and end")], Finish.STOP)])))
    run = Run([policy("p", words("endstart")), policy("q", regex(r"endstart"), action=Action.BLOCK)], [raw])
    assert (run.refused, run.out) == (None, raw)
