"""A stream that is blocked, and one that is only audited."""

from dataclasses import replace

import pytest

from extproc.policy.api import Action, Mode, Style
from tests.property.streams import DONE, Run, chunk, events, policy, regex, sse, texts, words
from tests.unit.exchange.streamed import MAIL, STOP, call, chat, same


def test_a_block_in_the_first_delta_says_nothing_so_that_a_status_still_can():
    for text in ("forbidden", "forbidden fruit"):
        run = same([STOP], chat({"role": "assistant", "content": ""}, {"content": text}, {"content": "!"}))
        assert (run.refused.status, run.refused.code, run.blocked.name) == (400, "stop", "stop")
        assert not run.stream.telling
        assert texts(run.out) in ({}, {(0, "content"): ""})
        assert b"error" not in run.out


@pytest.mark.parametrize("at", range(len("It is forbidden to")))
def test_a_block_in_the_middle_releases_exactly_the_text_before_it(at):
    text = "It is forbidden to"
    run = Run([STOP], [chat({"content": text[:at]}, {"content": text[at:]}, {"content": " more"})])
    assert texts(run.out) == {(0, "content"): "It is "}
    assert events(run.out)[-2]["error"]["type"] == "policy_violation"
    assert events(run.out)[-1] == "[DONE]"
    assert b'"finish_reason": "stop"' not in run.out


def test_a_block_with_redactions_before_it_for_every_cut():
    run = same([MAIL, STOP], chat({"content": "a@b."}, {"content": "com is for"}, {"content": "bidden a@b.com"}))
    assert texts(run.out) == {(0, "content"): "[mail] is "}
    assert run.blocked is STOP


def test_a_block_at_the_end_is_found_when_the_stream_ends():
    for raw in (
        chat({"content": "all is "}, {"content": "forbidden"}),
        sse(chunk({"content": "all is "}), chunk({"content": "forbidden"})),
    ):
        run = same([STOP], raw)
        assert texts(run.out) == {(0, "content"): "all is "}
        assert run.blocked is STOP
        assert b'"stop"' not in run.out.replace(b'"code":"stop"', b"")


def test_a_block_in_one_choice_ends_all_of_them():
    run = same(
        [STOP],
        sse(chunk({"content": "fine "}, 1), chunk({"content": "forbidden "}, 0), chunk({"content": "more"}, 1), DONE),
    )
    assert texts(run.out) == {(1, "content"): "fine "}
    assert run.refused is not None


def test_a_block_in_arguments_or_an_unknown_field():
    for delta in (
        call('{"q":"is forbidden"}'),
        {"new_field": "is forbidden "},
        {"annotations": [{"title": "forbidden "}]},
    ):
        run = same([STOP], chat({"content": "Hi. "}, delta))
        assert run.blocked is STOP
        assert b"forbidden" not in run.out


def test_nothing_follows_a_block():
    run = Run([STOP], [sse(chunk({"content": "a forbidden "})), sse(chunk({"content": "after"})), DONE.encode()])
    assert run.parts[1:] == [b"", b"", b""]


def test_auditing_changes_and_delays_nothing():
    watching = [
        policy("a", words("forbidden"), action=Action.BLOCK, mode=Mode.AUDIT),
        policy("b", regex(r"[a-z]{1,9}@b\.com"), action=Action.AUDIT),
    ]
    deltas = [{"content": piece} for piece in ("forb", "idden a", "@b.com", " forbidden")]
    parts = [sse(chunk(delta)) for delta in deltas] + [DONE.encode()]
    run = Run(watching, parts)
    assert run.parts == [*parts, b""]
    assert {(row["policy"], row["outcome"], row["count"]) for row in run.tally.rows()} == {
        ("a", "audit", 2),
        ("b", "audit", 1),
    }


@pytest.mark.parametrize(
    "delta", [{"a@b.com": 1}, {"content": "b", "x": {"a@b.com": ""}}, {"tool_calls": [{"a@b.com": None}]}]
)
def test_the_name_of_a_member_cannot_be_redacted_and_ends_the_stream(delta):
    run = same([MAIL], chat({"content": "All is well. "}, delta, {"content": "more"}))
    assert (run.refused.code, run.blocked) == ("mail", MAIL)
    assert texts(run.out) == {(0, "content"): "All is well. "}
    assert b"a@b.com" not in run.out


def test_a_blocked_text_takes_the_name_behind_it_along():
    """The decided beginning of an event leaves only when all names in it are decided."""
    run = same([MAIL, STOP], chat({"content": "All is forbidden", "x": {"a@b.com": ""}}))
    assert b"a@b.com" not in run.out


def test_a_filtered_stream_ends_every_choice_once():
    """Also those that share an event, and one whose own end is not let out."""
    truncate = replace(STOP, style=Style.TRUNCATE)
    both = {"choices": [{"index": 0, "delta": {"content": "a "}}, {"index": 1, "delta": {"content": "b "}}]}
    ended = {"choices": [{"index": 2, "delta": {"content": "c "}, "finish_reason": "stop"}]}
    last = {"choices": [{"index": 1, "delta": {"content": "forbidden"}, "finish_reason": "stop"}]}
    run = same([truncate], sse(both, ended, last, DONE))
    ends = [(each["index"], each.get("finish_reason")) for event in events(run.out)[:-1] for each in event["choices"]]
    assert sorted(each for each in ends if each[1]) == [(0, "content_filter"), (1, "content_filter"), (2, "stop")]
