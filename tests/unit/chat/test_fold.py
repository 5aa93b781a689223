"""Streams made of whole answers and back: nothing is lost, and cuts and mixed choices never show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.chat.answer import (
    Answer,
    Choice,
    Failure,
    FailureKind,
    Finish,
    Finished,
    PartDelta,
    PartEnd,
    PartStart,
    Start,
    Usage,
    Used,
)
from extproc.chat.fold import fold, unfold
from extproc.chat.parts import Media, Native, Reasoning, Refusal, Text, ToolCall
from extproc.errors import DecodeError
from tests.golden.canonical import CALM, Can, answers, joined, lawful, streams

ALL = Can(
    choices=3,
    mixed=True,
    makers=("", "claude", "gemini"),
    sealed=("claude", "openai"),
    refusals=True,
    custom=True,
    finishes=tuple(Finish),
    stopped_by=True,
    usage=("cached", "cache_write", "reasoning", "audio_input"),
)


@CALM
@given(answers(ALL))
def test_a_stream_made_of_an_answer_says_it_all(answer):
    events = list(unfold(answer))
    lawful(events)
    assert fold(events) == answer


@CALM
@given(st.data(), answers(ALL))
def test_cuts_and_mixed_choices_never_show(data, answer):
    events = data.draw(streams(answer))
    lawful(events)
    assert fold(events) == answer
    assert sorted(map(repr, joined(events))) == sorted(map(repr, joined(unfold(answer))))


def test_parts_that_come_whole_stay_whole():
    parts = [Media("image", url="https://example.com/a"), Native("gemini", {"a": 1}), Text(""), ToolCall("i", "n")]
    answer = Answer("a", "m", 1, [Choice(0, parts, Finish.STOP)])
    events = list(unfold(answer))
    assert not [event for event in events if isinstance(event, PartDelta)]
    assert fold(events) == answer


def test_what_a_part_begins_with_counts():
    shells = [
        Text("a"),
        Refusal("a"),
        Reasoning("a", signature="s", sealed="z", maker="claude"),
        ToolCall("i", "n", "a", signature="s"),
    ]
    for part in shells:
        more = PartDelta(0, 0, "b", "t", "y")
        (choice,) = fold([Start(), PartStart(0, 0, part), more, PartEnd(0, 0), Finished(0, Finish.STOP)]).choices
        found = choice.parts[0]
        said = found.arguments if isinstance(found, ToolCall) else found.text
        assert said == "ab"
        assert getattr(found, "signature", "st") == "st"
        assert getattr(found, "sealed", "zy") == "zy"
        assert part == [*shells][shells.index(part)]  # what was given is left as it is


def test_parts_stand_in_the_order_of_their_numbers():
    events = [
        Start(),
        PartStart(0, 1, Text("b")),
        PartStart(0, 0, Text("a")),
        PartEnd(0, 0),
        PartEnd(0, 1),
        Finished(0, Finish.STOP),
    ]
    assert [part.text for part in fold(events).choices[0].parts] == ["a", "b"]


def test_the_last_usage_counts_wherever_it_stands():
    events = [Used(Usage(1, 1)), Start("a"), Used(Usage(2, 2)), Finished(0, Finish.STOP), Used(Usage(3, 3))]
    assert fold(events).usage == Usage(3, 3)
    assert fold(events[1:2]).usage is None


def test_a_failure_is_all_that_is_left():
    failure = Failure(FailureKind.INTERNAL, "no")
    assert fold([Start(), PartStart(0, 0, Text("a")), failure]) is failure


def test_a_choice_that_never_ended_has_no_finish():
    (choice,) = fold([Start(), PartStart(2, 0, Text("a"))]).choices
    assert (choice.index, choice.finish) == (2, None)


@pytest.mark.parametrize("events", [[PartDelta(0, 0, "a")], [PartStart(0, 0, Text("")), PartDelta(0, 1, "a")]])
def test_a_part_that_goes_on_must_have_begun(events):
    with pytest.raises(DecodeError):
        fold(events)
