"""A gate names the expressions whose openers occur, and knows where an opener may be under way."""

import pytest

from extproc.policy.gate import Gate, gate
from extproc.policy.pattern import PatternError
from extproc.policy.rules import Sample

GATE = Gate(("ab-", r"\bcd", "(?i:ef)g", "[0-9]{3}x"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("nothing", []),
        ("ab-", [0]),
        ("xcd", []),
        ("x cd EFg", [1, 2]),
        ("EFG", []),
        ("é 123x ab- 999x ab-", [0, 3]),
    ],
)
def test_it_names_what_occurs(text, wanted):
    assert sorted(GATE.found(Sample(text, closed=True), 0)) == wanted


def test_what_stands_before_the_start_does_not_count():
    sample = Sample("é ab- cd", closed=True)
    assert sorted(GATE.found(sample, 2)) == [0, 1]
    assert GATE.found(sample, 3) == [1]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("", 0), ("é a", 2), ("é ab", 2), ("ab- ", 4), ("12", 0), ("é 0012", 3), ("x e", 2), ("xc", 2), ("xEf", 1)],
)
def test_it_knows_where_an_opener_is_under_way(text, wanted):
    assert GATE.pending(Sample(text, closed=False), 0) == wanted


def test_equal_openers_share_one_gate():
    assert gate(("a", "b")) is gate(("a", "b"))
    assert gate(("a", "b")) is not gate(("b", "a"))


def test_openers_must_be_bounded():
    with pytest.raises(PatternError):
        Gate(("a+",))
