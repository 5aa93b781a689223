"""Streams of messages: what is one text, the order of events, what is told about usage."""

import json

import pytest

from extproc.chat.answer import Usage
from extproc.errors import DecodeError
from extproc.exchange.repeats import Repeats
from extproc.exchange.whole import inspect
from extproc.formats.anthropic import AnthropicCount
from extproc.policy.api import Action, Phase, Tally
from extproc.policy.chain import Chain
from tests.golden.anthropic_wire import raw_streams
from tests.property.streams import policy, regex, words
from tests.unit.formats.anthropic.support import (
    FORMAT,
    HEAD,
    MAIL,
    REQUEST,
    TAIL,
    Run,
    call,
    go_on,
    sdk,
    sse,
    start,
    stop,
    stream,
    text,
    thoughts,
)


def test_neighbouring_blocks_of_text_are_one_text():
    run = Run([MAIL], stream(text(0, "to jane@exa"), text(1, "mple.com", " or not")))
    assert [block.text for block in sdk(run.out).content] == ["to [mail]", " or not"]


def test_a_block_of_another_kind_ends_a_text():
    run = Run([MAIL], stream(text(0, "to jane@exa"), call(1, "{}"), text(2, "mple.com")))
    assert run.out == stream(text(0, "to jane@exa"), call(1, "{}"), text(2, "mple.com"))


def test_thoughts_do_not_hold_back_what_comes_after():
    raw = stream(thoughts(0, "a thought of jane"), text(1, "An answer."))
    pieces = raw.partition(b'event: content_block_start\ndata: {"type": "content_block_start", "index": 1')
    run = Run([MAIL], pieces[0], pieces[1] + pieces[2])
    assert b"jane" not in run.parts[0]
    assert run.out == raw


def test_arguments_of_a_call_are_one_json_text_each():
    run = Run([MAIL], stream(call(0, '{"a":"jane@ex', 'ample.com"}'), call(1, '{"b":"jane@ex', 'ample.com"}')))
    assert [block.input for block in sdk(run.out).content] == [{"a": "[mail]"}, {"b": "[mail]"}]


@pytest.mark.parametrize(
    "blocks", [[text(0, "to jane@example.com now")], [thoughts(0, "jane@", "example.com"), text(1, "x")]]
)
def test_what_is_redacted_does_not_depend_on_the_cut(blocks):
    raw = stream(*blocks)
    wanted = Run([MAIL], raw).out
    assert b"[mail]" in wanted
    assert Run([MAIL], *[raw[at : at + 1] for at in range(len(raw))]).out == wanted
    for at in range(1, len(raw)):
        assert Run([MAIL], raw[:at], raw[at:]).out == wanted


def test_results_and_citations_are_complete_texts_that_nobody_joins():
    result = start(0, type="web_search_tool_result", content=[{"title": "of jane@exa"}, {"title": "mple.com"}])
    cited = [go_on(1, type="citations_delta", citation={"cited_text": each}) for each in ("by jane@exa", "mple.com is")]
    raw = sse(HEAD, result, stop(0), start(1, type="text", text=""), *cited, stop(1), *TAIL)
    run = Run([policy("mail", *MAIL.rules, action=Action.BLOCK)], raw)
    assert run.out == raw


@pytest.mark.data
def test_recorded_streams_leave_as_they_came():
    silent = policy("silent", words("the quick brown zyzzyva", "zyzzyva"))
    count = 0
    for name, raw in raw_streams():
        assert Run([silent], raw).out == raw, name
        assert Run([silent], *[raw[at : at + 7] for at in range(0, len(raw), 7)]).out == raw, name
        count += 1
    assert count >= 8


@pytest.mark.data
def test_where_nothing_begins_to_match_every_event_leaves_with_its_last_byte():
    mute = policy("mute", regex(r"\x{10FFFD}{2}"))
    for name, raw in raw_streams():
        sent = 0
        for at, part in enumerate(Run([mute], *[raw[at : at + 1] for at in range(len(raw))]).parts[:-1], 1):
            sent += len(part)
            if raw.endswith(b"\n\n", 0, at) and not raw.endswith(b'\\\\"}}\n\n', 0, at):  # half an escape has to wait
                assert sent == at, (name, raw[at - 40 : at])


@pytest.mark.data
def test_recorded_streams_are_redacted_as_whole_answers_are():
    rule = words("the")
    count = 0
    for name, raw in raw_streams():
        before, after = sdk(raw, checked=False), sdk(Run([policy("p", rule)], raw).out, checked=False)
        for old, new in zip(before.content, after.content, strict=True):
            if old.type == "text" and all(each.type != "text" for each in before.content if each is not old):
                body = json.dumps({"content": [{"type": "text", "text": old.text}]}).encode()
                _, redacted = inspect(
                    FORMAT, Chain([policy("p", rule)]), Phase.RESPONSE, body, json.loads(body), Tally()
                )
                assert new.text == json.loads(redacted)["content"][0]["text"], name
                count += new.text != old.text
    assert count >= 1


@pytest.mark.parametrize(
    ("event", "telling", "final", "closes"),
    [
        (HEAD, False, False, ()),
        ({"type": "ping"}, False, False, ()),
        (start(0, type="text", text=""), False, False, ("thinking",)),
        (start(0, type="text", text="a"), True, False, ("thinking",)),
        (start(0, type="thinking", thinking="", signature=""), False, False, ("text",)),
        (start(0, type="redacted_thinking", data="QUJD" * 30), True, False, ("text", "thinking")),
        (start(0, type="tool_use", id="t", name="n", input={}), True, False, ("text", "thinking")),
        (go_on(0, type="text_delta", text="a"), True, False, ()),
        (go_on(0, type="signature_delta", signature="QUJD" * 30), True, False, ()),
        (stop(0), True, False, (("partial_json", 0),)),
        (TAIL[0], True, True, ("text", "thinking")),
        (TAIL[1], True, True, ("text", "thinking")),
        ({"type": "error", "error": {"type": "api_error", "message": "a"}}, True, True, ("text", "thinking")),
        ({"type": "new"}, True, False, ()),
    ],
)
def test_the_order_of_events(event, telling, final, closes):
    delta = FORMAT.delta(event)
    assert (delta.telling, delta.final, delta.lane, delta.after) == (telling, final, "message", None)
    assert set(closes) <= set(delta.closes)
    assert ("text" in delta.closes) == ("text" in closes)


@pytest.mark.parametrize("index", [None, "0", 0.0, -1, True, [0]])
def test_a_block_without_a_number_is_refused(index):
    for event in (start(0, type="text", text=""), go_on(0, type="text_delta", text="a"), stop(0)):
        with pytest.raises(DecodeError):
            FORMAT.delta({**event, "index": index})


def test_events_that_differ_in_a_text_are_known_again_whatever_blanks_they_end_with():
    repeats = Repeats(FORMAT)
    first = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}   }'
    delta = FORMAT.delta(json.loads(first))
    repeats.learn(first, json.loads(first), delta)
    again = repeats.find(b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\u00e9 b"} }')
    assert again.pieces[0].text == "é b"
    assert repeats.find(b'{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"b"}}') is None
    for data in (b'"}  ,"x":1}', b'"  ', b"", b'"} }x'):
        assert json_equal(FORMAT.without_padding(data), data)


def json_equal(one, other):
    return one.replace(b" ", b"") == other.replace(b" ", b"")


# what a body says about itself


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"usage": {"input_tokens": 5, "output_tokens": 7}}, Usage(5, 7)),
        (
            {
                "usage": {
                    "input_tokens": 5,
                    "output_tokens": 7,
                    "cache_read_input_tokens": 100,
                    "cache_creation_input_tokens": 30,
                    "output_tokens_details": {"thinking_tokens": 3},
                }
            },
            Usage(135, 7, 100, 3, 30),
        ),
        (HEAD, Usage(11, 2)),
        (TAIL[0], Usage(0, 9)),
        ({"usage": {"input_tokens": "5", "output_tokens": -1, "cache_read_input_tokens": True}}, Usage()),
        ({"usage": None}, None),
        ({"message": 3}, None),
        ([], None),
        (None, None),
    ],
)
def test_usage_is_what_the_provider_counted(body, wanted):
    assert FORMAT.usage(body) == wanted


def test_usage_of_a_stream_is_put_together():
    run = Run([], stream(text(0, "a")))
    assert run.meter.usage == Usage(11, 9)


def test_model_and_stream_are_read_strictly():
    assert FORMAT.model({"model": "m"}) == "m"
    assert FORMAT.model({"model": 1}) is FORMAT.model({}) is None
    assert [FORMAT.streamed({"stream": value}) for value in (True, False, None, 1, "true")] == [True] + [False] * 4


def test_a_count_of_tokens_is_no_stream_and_uses_nothing():
    count = AnthropicCount()
    assert not count.streamed({"stream": True})
    assert count.usage({"input_tokens": 5}) is count.usage({"usage": {"input_tokens": 5}}) is count.codec is None
    assert (
        json.loads(count.reply("no", "m", "r", 1))
        == json.loads(count.reply_stream("no", "m", "r", 1))
        == {"input_tokens": 0}
    )
    assert {span.text for span in count.request_spans(REQUEST)} == {span.text for span in FORMAT.request_spans(REQUEST)}
