"""Lenses: which rules look through which, and how matches of several come together."""

import pytest

from extproc.policy.api import Action, Mode, Phase, Policy, Scope, Strictness, Tally
from extproc.policy.hardened import HardenedWords
from extproc.policy.lenses import Lenses
from extproc.policy.pattern import parse
from extproc.policy.rules import RegexRule
from extproc.policy.scanner import Seeker, apply
from extproc.policy.window import Window
from extproc.policy.words import WordRule

EXACT, FOLDED, HARDENED = Strictness


def policy(match, *rules, action=Action.REDACT):
    return Policy("p", action, Mode.ENFORCE, frozenset(Phase), frozenset(Scope), rules, match=match)


def lenses(*policies):
    return Lenses((each, rule) for each in policies for rule in each.rules)


def regex(pattern, replacement="[r]"):
    return RegexRule("r", parse(pattern), replacement)


def spans(sight, text):
    return [text[match.start : match.end] for match in sight.scan(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pass", (EXACT, FOLDED, HARDENED)), ("раss", (FOLDED, HARDENED)), ("pa\u200bss", (FOLDED, HARDENED)),
        ("p%61ss", (HARDENED,)),
        ("&#112;ass", (HARDENED,)), ("%2570ass", (HARDENED,)), ("cGFzcw==", (HARDENED,)), ("70617373", (HARDENED,)),
        ("p.a.s.s", ()),
        ("\U000e0070\U000e0061\U000e0073\U000e0073", (HARDENED,)), ("p4ss", ()), ("&#1088;ass", (HARDENED,)),
    ],
)  # fmt: skip
def test_how_much_an_expression_sees_through(text, found):
    for match in Strictness:
        assert spans(lenses(policy(match, regex("pass"))), f"x {text} y") == ([text] if match in found else [])


@pytest.mark.parametrize(
    "text", ["pass", "p.a.s.s", "p4ss", "passssss", "раѕѕ", "p%61ss", "cGFzcw==", "70 61 73 73", "cDRzcw=="]
)
def test_what_a_hardened_list_sees_through(text):
    assert spans(lenses(policy(HARDENED, HardenedWords("w", ["pass"], ""))), f"x {text} y") == [text]


def test_case_counts_for_an_exact_list_alone():
    assert spans(lenses(policy(EXACT, WordRule("w", ["Pass Word"], "", EXACT))), "pass word Pass\tWord") == [
        "Pass\tWord"
    ]
    folded = lenses(policy(FOLDED, WordRule("w", ["Pass Word", "ΝΊΚΗ"], "", FOLDED)))
    assert spans(folded, "pass word Ρass Word νίκη ΝΙΚΗ") == ["pass word", "Ρass Word", "νίκη", "ΝΙΚΗ"]


def test_exact_rules_alone_cost_no_lens():
    assert isinstance(lenses(policy(EXACT, regex("a"))).reader(), Seeker)
    assert not isinstance(lenses(policy(FOLDED, regex("a"))).reader(), Seeker)
    assert not lenses()


def test_rules_that_expect_a_hardened_text_need_a_hardened_policy():
    with pytest.raises(ValueError, match="hardened"):
        lenses(policy(FOLDED, HardenedWords("w", ["a"], "")))


@pytest.mark.parametrize("cut", range(22))
def test_what_overlaps_in_two_lenses_is_one(cut):
    text = "x cGFzcw== y &#112;ass"
    sight = lenses(policy(EXACT, regex("x cGF", "[e]"), regex("y &", "[f]")), policy(HARDENED, regex("pass", "[h]")))
    window = Window(sight, Tally())
    ops = window.feed(text[:cut]) + window.feed(text[cut:]) + window.close()
    assert apply(ops, text) == "[e] [f]"


@pytest.mark.parametrize("first", [0, 1])
def test_the_earliest_block_ends_the_text_whichever_lens_saw_it(first):
    policies = [policy(EXACT, regex("bbb"), action=Action.BLOCK), policy(HARDENED, regex("aaa"), action=Action.BLOCK)]
    sight = lenses(*(policies if first else policies[::-1]))
    text = "so bbb &#97;aa" if first else "so &#97;aa bbb"
    for pieces in ([text], list(text)):
        window = Window(sight, Tally())
        ops = [op for piece in pieces for op in window.feed(piece)] + window.close()
        assert sum(op.length for op in ops) == 3
        assert window.blocked is (policies[0] if first else policies[1])


def test_what_is_held_back_is_bounded():
    """By a run that may be encoded; anything else is let go long before."""
    window = Window(lenses(policy(HARDENED, regex("pass"), HardenedWords("w", ["pass"], ""))), Tally())
    held = []
    for piece in ["YWJj" * 10] * 500 + [" "] + ["&#1", "%", "p.", "\u200b", "A", "-", "a "] * 400:
        window.feed(piece)
        held.append(window.held)
    assert max(held) <= 4096 + 200
    assert max(held[-400:]) <= 200
