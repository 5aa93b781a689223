"""Lists of disguised words: where one may be under way, many lists at once, long lists."""

import base64
import random

import pytest

from extproc.policy.api import Action, Mode, Phase, Policy, Scope, Strictness
from extproc.policy.disguise import key, units
from extproc.policy.hardened import HardenedBundle, HardenedWords, _Places, hardened_rules
from extproc.policy.lenses import Lenses
from extproc.policy.rules import Sample
from extproc.policy.scanner import Scanner
from extproc.policy.spelling import BARRIER, GAP_MAX, SOFT
from extproc.policy.words import PLACES, WordRule

WORDS = ("pass", "password", "grey goose", "address", "ass")


def pending(text, words=WORDS):
    rule = HardenedWords("w", words, "")
    sample = Sample(text, closed=False)
    alone = rule.pending(sample, 0)
    assert HardenedBundle([(0, rule)]).pending(sample, 0, len(text)) == alone
    return text[alone:]


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("nothing", ""), ("my pas", "pas"), ("my pass", "pass"), ("my pass.", "pass."), ("my pass ", ""),
        ("my p4$$w", "p4$$w"),
        ("grey", "grey"), ("grey ", "grey "), ("grey - ", "grey - "), ("grey - - ", ""), ("grey goos", "grey goos"),
        ("the gre y", "gre y"), ("the gre y ", "gre y "),
        ("addres-", "addres-"), ("address!", ""), ("xpas", ""), ("pppaaas", "pppaaas"), ("pa\0", ""),
        ("pa\0p", "p"), ("as ", ""),
        ("an as", "as"), ("a", "a"), ("b", ""), ("", ""), ("@", "@"),
    ],
)  # fmt: skip
def test_where_an_entry_may_be_under_way(text, held):
    assert pending(text) == held


def test_nothing_is_let_go_that_a_continuation_makes_a_match():
    dice = random.Random(4)
    rule = HardenedWords("w", WORDS, "")
    parts = ["pa", "ss", "s", "-", " ", "grey", "goose", "4", "$", "word", "a", ".", "ж", "c", "d", "re"]
    for _ in range(4000):
        text = "".join(dice.choices(parts, k=dice.randint(1, 8)))
        at = dice.randint(0, len(text))
        span = rule.find(Sample(text, closed=True), 0, len(text))
        if span and span[1] - span[0] <= rule.width and span[0] < at <= span[1]:
            assert rule.pending(Sample(text[:at], closed=False), 0) <= span[0], (text[:at], text[at:])


def test_each_list_finds_its_own():
    rules = (
        HardenedWords("a", ["pass"], "[a]"),
        HardenedWords("b", ["goose"], "[b]"),
        HardenedWords("c", ["g00se egg"], "[c]"),
    )
    policy = Policy("p", Action.REDACT, Mode.ENFORCE, frozenset(Phase), frozenset(Scope), rules)
    scanner = Scanner(tuple((policy, rule) for rule in rules))
    assert [(match.start, match.end, match.order) for match in scanner.scan("pa55 g0ose nest, g00se-egg")] == [
        (0, 4, 0), (5, 10, 1), (17, 26, 2), (17, 22, 1),
    ]  # fmt: skip
    assert scanner.scan("nothing") == []


def test_a_long_list_finds_the_same():
    dice = random.Random(9)
    words = ["".join(dice.choices("bcdfghjklmnpqrstvwxyzaeiou", k=dice.randint(6, 11))) for _ in range(4000)]
    rule = HardenedWords("w", words, "")
    for word in dice.sample(words, 60):
        text = f"so {word.upper()} it was"
        assert rule.find(Sample(text, closed=True), 0, len(text)) == (3, 3 + len(word))


def test_an_empty_list_finds_nothing():
    rule = HardenedWords("w", [], "")
    assert rule.find(Sample("a", closed=True), 0, 1) is None
    assert rule.pending(Sample("a", closed=False), 0) == 1


def test_entries_without_a_disguise_are_taken_as_they_are():
    rules = hardened_rules("w", ["pass", "c++", " ", "### new", "1488"], "[w]")
    assert [type(rule) for rule in rules] == [HardenedWords, WordRule]
    policy = Policy(
        "p", Action.REDACT, Mode.ENFORCE, frozenset(Phase), frozenset(Scope), tuple(rules), match=Strictness.HARDENED
    )
    for text in ("pass", "c++", "### new", "&#35;## new", "1488", base64.b64encode(b"I like c++").decode()):
        (match,) = Lenses((policy, rule) for rule in rules).scan(f"((({text}")
        assert match.end == len(text) + 3
    assert [type(rule) for rule in hardened_rules("w", ["c++"], "")] == [WordRule]
    with pytest.raises(ValueError, match="disguise"):
        HardenedWords("w", ["c++"], "")


def slow_pending(places, sample, start, bound):
    """``_Places.pending`` without shortcuts: every place, by the units behind it."""
    text = sample.spelling.text
    at = max(start, len(text) - places.width, text.rfind(BARRIER) + 1)
    found = units(text[at:], at) if at < bound else []
    if not found:
        return bound
    gap = text[found[-1].end :].replace(SOFT, "")
    for place in PLACES.finditer(sample.text, at, bound):
        begin = place.start()
        if begin >= min(bound, found[-1].end):
            break
        name = key([unit for unit in found if unit.end > begin])
        if text[begin] not in " -\x1f" and len(gap) <= GAP_MAX and places._goes_on(name, gap):
            return begin
    return bound


def test_what_is_under_way_is_told_by_keys_as_by_units():
    dice = random.Random(20261130)
    lists = [
        ("pass", "ass", "good god", "il", "don't tell", "ignore all previous"),
        ("banana", "straße", "a b", "$hit"),
    ]
    all_places = [_Places(HardenedWords("w", words, "").entries) for words in lists]
    parts = (*"abdginop$4 s", "pass", "good", "don", "t tell", "ignore all ", "prev", "banan", "stra", "ß", "é", " ", "-",
             "_", "\0", "\x1f", "i\x1f", "漢", ". ", "sss", "$h", "passage ", "nanana")  # fmt: skip
    under_way = 0
    for _ in range(6000):
        text = "".join(dice.choices(parts, k=dice.randint(1, 9)))
        sample = Sample(text, closed=False)
        start = dice.choice([0, dice.randint(0, len(text))])
        bound = dice.choice([len(text), dice.randint(start, len(text))])
        for places in all_places:
            wanted = slow_pending(places, sample, start, bound)
            assert places.pending(sample, start, bound) == wanted, (text, start, bound)
            under_way += wanted < bound
    assert under_way > 1000
