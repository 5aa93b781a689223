"""What counts as found."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.moderation.api import FLAGGED, Finding, Judgement, Mark, Moderation, Text, label
from extproc.moderation.thresholds import Fired, categories, fired
from extproc.policy.api import Scope

LIMITS = {"hate": 0.5, "violence": 0.9}
TEXT = Text.of(Scope.USER, "0123456789")


@pytest.mark.parametrize(
    ("finding", "thresholds", "wanted"),
    [
        (Finding(), {}, ()),
        (Finding(True), {}, (FLAGGED,)),
        (Finding(True, labels=("b", "a", "b")), {}, ("a", "b")),
        (Finding(True, marks=(Mark(0, 1, "email"), Mark(2, 3, "email"))), {}, ("email",)),
        (Finding(False, {"hate": 1.0}, ("hate",)), {}, ()),
        (Finding(False, {"hate": 0.5}), LIMITS, ("hate",)),
        (Finding(False, {"hate": 0.4999}), LIMITS, ()),
        (Finding(False, {"violence": 1.0, "hate": 1.0}), LIMITS, ("hate", "violence")),
        (Finding(True, {"sexual": 1.0}, ("sexual",)), LIMITS, ()),
        (Finding(True), LIMITS, ()),
    ],
)
def test_thresholds_or_the_services_own_flag(finding, thresholds, wanted):
    assert categories(finding, thresholds) == wanted


def test_only_places_that_count_are_marked():
    marks = (Mark(0, 2, "person", 0.9), Mark(4, 6, "person", 0.4), Mark(7, 8, "date", 1.0))
    finding = Finding(True, {"person": 0.9, "date": 1.0}, ("person", "date"), marks)
    judgement = Judgement((finding, Finding()))
    assert fired(judgement, (TEXT, TEXT), {"person": 0.5}) == Fired(("person",), ((marks[0],), ()))
    assert fired(judgement, (TEXT, TEXT), {}) == Fired(("date", "person"), (marks, ()))
    assert fired(judgement, (TEXT, TEXT), {"other": 0.1}) == Fired((), ((), ()))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 10), st.sampled_from("ab")), max_size=8))
def test_places_are_in_order_and_apart_and_none_is_lost(drawn):
    marks = tuple(Mark(start, max(end, start + 1), name) for start, end, name in drawn)
    ((*places,),) = fired(Judgement((Finding(bool(marks), marks=marks),)), (TEXT,), {}).marks
    assert {at for each in places for at in range(each.start, each.end)} == {
        at for each in marks for at in range(each.start, each.end)
    }
    assert all(one.end <= other.start for one, other in itertools.pairwise(places))


def test_what_overlaps_has_the_category_of_the_first_and_longest():
    marks = (Mark(3, 8, "c"), Mark(1, 2, "b"), Mark(1, 4, "a"), Mark(8, 9, "d"))
    assert fired(Judgement((Finding(True, marks=marks),)), (TEXT,), {}).marks == ((Mark(1, 8, "a"), Mark(8, 9, "d")),)


@pytest.mark.parametrize(
    "finding",
    [
        Finding(True, {"hate": 1.0}, ("hate",)),
        Finding(True, {"hate": 1.0, "email": 1.0}, ("email", "hate"), (Mark(0, 2, "email"),)),
    ],
)
def test_what_fired_at_no_known_place_is_the_whole_text(finding):
    assert fired(Judgement((finding,)), (TEXT,), {}).marks == ((Mark(0, 10, "hate"),),)


def test_a_finding_for_each_text():
    with pytest.raises(ValueError):
        fired(Judgement((Finding(),)), (TEXT, TEXT), {})


def test_labels_are_short_plain_names():
    assert label("SelfHarm") == "selfharm"
    assert label("self-harm/intent") == "self-harm/intent"
    assert label("Legal  Advice: Tax") == "legal_advice_tax"
    assert label("a\nb\u2028c") == "a_b_c"
    assert label("") == label("\u0000\u00e9") == FLAGGED
    assert len(label("x" * 1000)) == 64


def test_a_description_keeps_its_keys_to_itself():
    moderation = Moderation("openai", "https://x", keys=("sk-1",), thresholds=(("hate", 0.5),), template="<{type}>")
    assert "sk-1" not in repr(moderation)
    assert moderation.categories == ("hate",)
    assert moderation.replacement("hate") == "<hate>"
    assert hash(moderation) == hash(Moderation(**{each: getattr(moderation, each) for each in Moderation.__slots__}))


def test_roles_are_those_of_chat_apis():
    roles = {scope: Text.of(scope, "").role for scope in Scope}
    assert roles == {
        Scope.SYSTEM: "system",
        Scope.USER: "user",
        Scope.ASSISTANT: "assistant",
        Scope.REASONING: "assistant",
        Scope.TOOL_INPUT: "assistant",
        Scope.TOOL_OUTPUT: "tool",
    }
