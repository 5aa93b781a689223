"""The streaming law for personal data: whatever stands before a value, and however the text is cut, the result is the same."""

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.policy.api import Action, Mode, Phase, Policy, Scope, Tally
from extproc.policy.pii.catalogue import TYPES, expand
from extproc.policy.scanner import Scanner, apply
from extproc.policy.window import Window
from tests.personal import planted
from tests.property import oracle
from tests.support import edits

CASES = int(os.environ.get("EXTPROC_TEST_CASES", "7200"))
"""Cuts that are tried, of all selections together; 20,000 for the whole proof."""
PLANTED = planted()
_FILLERS = (
    " ", ", ", "\n", " and ", "-", ".", " my passport number is ", " SSN ", " phone: ", " xpassport ", " 12 345 67 89 ",
    "passport ", " 1 2 3 ", "é", "漢字 ", "😀", "rout\u0131ng ", " \u017fsn ", "4111 1111 ", "DE89 3704 ", "::", "a@",
    "+49 ", "0x", " born on ", " BSN ", " nothing in particular is said here for a while, ", "ABN ABN ABN ",
    "sort code account ", "123456789 ", "912803456 ",
)  # fmt: skip


def scanner(*names):
    rules = tuple(shape.rule(type_, f"<{type_}>") for type_ in expand(names) for shape in TYPES[type_])
    policy = Policy("p", Action.REDACT, Mode.ENFORCE, frozenset(Phase), frozenset(Scope), rules)
    return Scanner(tuple((policy, rule) for rule in rules))


SCANNERS = {name: scanner(name) for name in ("all", "default", "us", "eu", "crypto", "network")}
WIDEST = {name: max(rule.width for _, rule in each.entries) for name, each in SCANNERS.items()}


def text_of(dice, planted):
    """Fillers and values, some of them damaged: with one character other, missing or twice."""
    parts = []
    for _ in range(dice.randint(1, 6)):
        if dice.random() < 0.5:
            parts.append(dice.choice(_FILLERS))
        else:
            _, before, value, after = dice.choice(planted)
            if dice.random() < 0.3:
                at = dice.randrange(len(value))
                value = value[:at] + dice.choice(["", "0", "7", "x", " ", value[at] * 2]) + value[at + 1 :]
            parts.append(dice.choice([before, before, ""]) + value + after)
            parts.append(dice.choice(["", " ", " ", "\n", ", "]))
    return "".join(parts)


def check(name, text, pieces):
    whole = SCANNERS[name]
    matches = whole.scan(text)
    wanted = apply(edits(whole, matches, len(text)), text)
    window, ops, held = Window(whole, Tally()), [], 0
    for piece in pieces:
        ops += window.feed(piece)
        held = max(held, window.held)
    assert apply(ops + window.close(), text) == wanted, (name, pieces)
    assert held <= WIDEST[name]
    return bool(matches)


@pytest.mark.parametrize("name", sorted(SCANNERS))
def test_texts_with_planted_values_give_the_same_for_every_cut(name):
    dice = random.Random(name)
    cases = found = 0
    while cases < CASES / len(SCANNERS):
        text = text_of(dice, [each for each in PLANTED if each[0] in expand([name])])
        for pieces in oracle.cuts(dice, text, 3):
            found += check(name, text, pieces)
            cases += 1
    assert found > cases // 4, "too few texts have a match in them to mean anything"


@pytest.mark.parametrize(("type_", "before", "value", "after"), PLANTED)
def test_every_value_is_redacted_for_every_single_cut(type_, before, value, after):
    text = f"see {before}{value}{after} there"
    wanted = text.replace(value, f"<{type_}>")
    whole = scanner(type_)
    for at in range(len(text) + 1):
        window = Window(whole, Tally())
        out = apply(window.feed(text[:at]) + window.feed(text[at:]) + window.close(), text)
        assert out == wanted


@settings(max_examples=300)
@given(
    name=st.sampled_from(sorted(SCANNERS)),
    parts=st.lists(
        st.one_of(
            st.sampled_from(_FILLERS), st.sampled_from([b + v + a for _, b, v, a in PLANTED]), st.text(max_size=4)
        )
    ),
    places=st.lists(st.integers(1, 200), max_size=40),
)
def test_the_law_holds_for_what_hypothesis_finds(name, parts, places):
    text = "".join(parts)
    check(name, text, oracle.cut(text, places))


def test_nothing_is_held_back_for_the_sake_of_a_word_of_context():
    window = Window(scanner("us_passport"), Tally())
    window.feed("my passport number is ")
    assert window.held == 0
    assert [op.text for op in window.feed("912803456 and") if op.text] == ["<us_passport>"]


def test_a_value_far_behind_released_text_still_sees_its_word():
    window = Window(scanner("us_passport"), Tally())
    ops = [op for char in "passport" + " " * 32 + "912803456." for op in window.feed(char)]
    assert ops[-2:][0].text == "<us_passport>" or ops[-1].text == "<us_passport>"
