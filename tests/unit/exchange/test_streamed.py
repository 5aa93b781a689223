"""Guarded streams: synthetic ones, each with every cut. Recorded ones are in tests/property."""

import pytest

from extproc.policy.api import Scope
from tests.property.streams import DONE, Run, chunk, events, policy, regex, sse, texts
from tests.unit.exchange.streamed import MAIL, chat, same

TEXT = "Write to jo.doe@example.com or ann@x.com. Bye"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 100])
def test_a_text_is_redacted_however_many_deltas_it_comes_in(size):
    pieces = [TEXT[at : at + size] for at in range(0, len(TEXT), size)]
    raw = chat({"role": "assistant", "content": ""}, *[{"content": piece} for piece in pieces])
    run = Run([MAIL], [raw])
    assert texts(run.out) == {(0, "content"): "Write to [mail] or [mail]. Bye"}
    assert len(events(run.out)) == len(events(raw)), "no event is lost or added"
    assert run.tally.rows() == [{"policy": "mail", "label": "r", "outcome": "redact", "count": 2}]


def test_two_deltas_that_meet_anywhere_give_the_same_text():
    for at in range(len(TEXT) + 1):
        raw = chat({"content": TEXT[:at]}, {"content": TEXT[at:]})
        assert texts(Run([MAIL], [raw]).out) == {(0, "content"): "Write to [mail] or [mail]. Bye"}


def test_a_cut_anywhere_does_not_show():
    run = same([MAIL], chat({"content": "Write to jo"}, {"content": "hn@exa"}, {"content": "mple.com! Bye"}))
    assert texts(run.out) == {(0, "content"): "Write to [mail]! Bye"}


def test_what_is_not_touched_keeps_its_bytes_also_in_the_event_that_is():
    event = (
        '{"x":1.50,  "choices":[ {"index":0,"delta":{"content":"a@b.com"} ,"u":"\\u00e9"}],"big":12345678901234567890}'
    )
    out = Run([MAIL], [f"data:{event}\n\n{DONE}".encode()]).out
    assert out == f"data: {event.replace('a@b.com', '[mail]')}\n\n{DONE}".encode()


def test_interleaved_choices_are_texts_of_their_own():
    raw = sse(
        chunk({"content": "a"}, 0), chunk({"content": "x@b."}, 1), chunk({"content": "@b."}, 0),
        chunk({"content": "org com"}, 1),
        chunk({"content": "com"}, 0), chunk({}, 1, "stop"), chunk({}, 0, "stop"), DONE,
    )  # fmt: skip
    run = same([MAIL], raw)
    assert texts(run.out) == {(0, "content"): "[mail]", (1, "content"): "x@b.org com"}


def test_choices_in_one_event_are_told_apart():
    both = [
        chunk({"content": left}, 0)["choices"] + chunk({"content": right}, 1)["choices"]
        for left, right in [("a@b", "b"), (".com", ".com")]
    ]
    raw = sse(*[{**chunk({}), "choices": each} for each in both], DONE)
    assert texts(same([MAIL], raw).out) == {(0, "content"): "[mail]", (1, "content"): "b.com"}


def test_reasoning_and_content_are_texts_of_their_own():
    raw = chat(
        {"role": "assistant", "reasoning_content": "think a@"},
        {"reasoning_content": "b"},
        {"content": ".com "},
        {"content": "a@b.com"},
    )
    run = same([MAIL], raw)
    assert texts(run.out) == {(0, "reasoning_content"): "think a@b", (0, "content"): ".com [mail]"}


def test_the_held_end_of_reasoning_does_not_stop_the_answer():
    run = Run(
        [MAIL],
        [
            sse(chunk({"reasoning": "mail bob"})),
            sse(chunk({"content": " Hi! "})),
            sse(chunk({}, finish="stop")),
            DONE.encode(),
        ],
    )
    assert run.parts[0] == b""
    assert texts(run.parts[1]) == {(0, "content"): " Hi! "}
    assert texts(run.out) == {(0, "reasoning"): "mail bob", (0, "content"): " Hi! "}
    assert [bool(each["choices"][0]["finish_reason"]) for each in events(run.out)[:-1]] == [False, False, True], (
        "the end comes last"
    )


def test_texts_keep_their_order_where_an_event_has_reasoning_and_content():
    run = same([MAIL], chat({"reasoning": "A", "content": "joh"}, {"reasoning": "B! "}, {"content": "n@x.com"}))
    assert texts(run.out) == {(0, "reasoning"): "AB! ", (0, "content"): "[mail]"}


def test_scopes_decide_which_fields_are_looked_at():
    only = policy("mail", regex(r"[a-z]{1,9}@b\.com", "*"), scopes=frozenset({Scope.REASONING}))
    raw = chat(
        {"reasoning": "a@b.com"},
        {"content": "a@b.com"},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"a@b.com"'}}]},
    )
    assert sorted(texts(same([only], raw).out).values()) == ['"a@b.com"', "*", "a@b.com"]
