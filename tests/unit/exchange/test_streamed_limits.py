"""Caps on what a stream may hold, and what guarding one costs."""

import random
import re

from tests.property import oracle
from tests.property.streams import DONE, Run, chunk, events, policy, regex, sse, texts, words
from tests.unit.exchange.streamed import MAIL, STOP, call, chat


def test_an_event_beyond_its_cap_ends_the_stream():
    raw = sse(chunk({"content": "hi "}), chunk({"content": "x" * 500}))
    for pieces in ([raw], [raw[at : at + 1] for at in range(len(raw))]):
        run = Run([MAIL], pieces, max_event=300)
        assert run.refused.code == "upstream_too_large"
        assert texts(run.out) == {(0, "content"): "hi "}


def test_more_held_back_than_the_cap_ends_the_stream():
    raw = sse(chunk({"content": "hi "}), *[chunk({"content": "x"}) for _ in range(19)])
    assert Run([MAIL], [raw]).refused is None
    run = Run([MAIL], [raw], max_held=1000)
    assert run.refused.code == "upstream_too_large"
    assert texts(run.out) == {(0, "content"): "hi "}


def test_too_many_open_texts_end_the_stream():
    raw = sse(*[chunk({"content": "x "}, index) for index in range(1025)])
    run = Run([MAIL], [raw])
    assert run.refused.code == "upstream_too_large"


def test_a_name_said_again_in_every_event_passes():
    raw = sse(*[chunk(call("", name="get_weather")) for _ in range(500)], DONE)
    assert Run([MAIL], [raw]).out == raw


def test_a_match_cut_over_pieces_of_a_name_ends_the_stream():
    run = Run([MAIL], [sse(*[chunk(call("", name=piece)) for piece in ("x" * 400, " jo", "hn@exa", "mple.com")], DONE)])
    assert run.refused.code == "mail"
    assert b"mple.com" not in run.out


def test_held_counts_what_waits_and_comes_back_to_nothing():
    run = Run([MAIL], [])
    stream = Run([MAIL], [sse(chunk({"content": "joh"}))]).stream
    assert run.stream.held == stream.held == 0


def test_random_streams_give_what_the_whole_texts_give():
    """Many choices and fields at once, deltas of any length, against the oracle."""
    dice = random.Random(11)
    wanted = [
        oracle.Pattern(r"\b[a-c.]{1,4}@[a-c]{1,3}\b", r"\b[a-c.]{1,4}@[a-c]{1,3}\b", 8),
        oracle.Words(("a b", "c")),
    ]
    policies = [policy("p", regex(wanted[0].re2, "[0]")), policy("w", words(*wanted[1].entries, replacement="[1]"))]
    changed = 0
    for _ in range(400):
        values = []
        for _ in range(dice.randint(1, 25)):
            field = dice.choice(["content", "content", "reasoning", "refusal"])
            delta = {field: "".join(dice.choices("aabc@@. é", k=dice.randint(0, 5)))}
            if dice.random() < 0.15:
                delta["reasoning_content"] = "a@"
            values.append(chunk(delta, dice.randint(0, 2)))
            if dice.random() < 0.1:
                values.append({"note": "a@b"})
        raw = sse(*values, DONE)
        whole = texts(raw)
        right = {key: oracle.redact(text, oracle.find(wanted, text), ["[0]", "[1]"])[0] for key, text in whole.items()}
        changed += right != whole
        out = Run(policies, [raw]).out
        assert texts(out) == right
        assert len(events(out)) == len(events(raw))
        assert Run(policies, oracle.cut(raw, dice.choices(range(len(raw)), k=20))).out == out
    assert changed > 200


def test_the_cost_of_a_stream_grows_with_its_length_alone(monkeypatch):
    """Counted, not timed: how many characters the rules are given to look at."""
    from extproc.policy import window

    looked = []

    class Counted(window.Sample):
        def __init__(self, text, *, closed):
            looked.append(len(text))
            super().__init__(text, closed=closed)

    monkeypatch.setattr(window, "Sample", Counted)
    totals = []
    for size in (500, 2000):
        looked.clear()
        Run([MAIL], [chat(*[{"content": "john "}] * size)])
        totals.append(sum(looked))
    assert totals[1] < 4.2 * totals[0]


def test_the_error_event_is_one_sdks_raise_on():
    out = Run([STOP], [chat({"content": "a forbidden "})]).out
    assert re.search(
        rb'data: {"error":{"message":"The answer was stopped by the policy \'stop\'.","type":"policy_violation"', out
    )
