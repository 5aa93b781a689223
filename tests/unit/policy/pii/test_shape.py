"""Shapes: what stands before a value, and that hostile text costs no more than its length."""

import dataclasses
import random
import string

import pytest

from extproc.policy.pattern import parse
from extproc.policy.pii.catalogue import TYPES
from extproc.policy.pii.shape import Shape, checked, no_longer_than, whole
from extproc.policy.rules import RegexRule, Sample
from tests.personal import SAMPLES, parts

HOSTILE = (
    "0123456789", "1 2 3 4 5 ", "1234 5678 ", "123 456 7890 ", "@", "a@", "a.", "ab:cd:", "1::", ":", "DE89 3704 ", "1.2.3.",
    "4111 1111 1111 1112 ", "123-45-6789 ", "(123) ", "+1 415 ", "0", "00 ", "0x", "1AB", " 1", "ssn ", "ssn 1234 ", "bc1q",
    "-", "http://a", "2024-01-15 ", "1.5 2.25 ", "é1 ", "passport passport 123456789 ", "born 1/1/", "3704 00440532 ",
)  # fmt: skip


def found(shape, text):
    return find(shape.rule("t", ""), text)


def find(rule, text):
    sample, at, out = Sample(text, closed=True), 0, []
    while at < len(text) and (span := rule.find(sample, at, len(text))):
        if span[0] < span[1]:
            out.append(text[slice(*span)])
        at = span[1]
    return out


def test_without_conditions_a_shape_looks_at_no_more_than_a_plain_expression():
    assert Shape("a{3}").rule("t", "").behind == RegexRule("t", parse("a{3}"), "").behind
    assert Shape("a{3}", words="b").rule("t", "").behind > 1


def asked(rule, text, start, limit):
    """What ``spans`` must say, by asking ``find`` again and again."""
    sample, out = Sample(text, closed=True), []
    while start < limit and (span := rule.find(sample, start, limit)):
        out.append(span)
        start = span[1]
    return [span for span in out if span[0] < span[1]]


ALPHABETS = (
    "0123456789 ",
    "01 +-.()/",
    "0123456789ABX-/. ",
    "4111 5678-",
    "abcdef0123456789:",
    "1é\u017f\u212a\xa0\v 2x",
)


@pytest.mark.parametrize("type_", TYPES)
def test_walking_finds_what_asking_again_and_again_does(type_):
    dice, rules, count = random.Random(type_), [shape.rule("t", "") for shape in TYPES[type_]], 0
    values = [sample.replace("|", "") for sample in SAMPLES[type_]]
    for _ in range(150):
        parts = [
            dice.choice([
                dice.choice(values), dice.choice(values), dice.choice(HOSTILE), dice.choice(["", " ", "\n", "-", ". "]),
                "".join(dice.choices(dice.choice(ALPHABETS), k=dice.randint(1, 30))),
            ])
            for _ in range(dice.randint(1, 8))
        ]  # fmt: skip
        text = "".join(parts)
        start = dice.choice([0, dice.randint(0, len(text))])
        limit = dice.choice([len(text), dice.randint(0, len(text))])
        for rule in rules:
            *found, (place, end) = rule.spans(Sample(text, closed=True), start, limit)
            assert found == asked(rule, text, start, limit), text
            assert place == end >= limit
            count += len(found)
    assert count > 9


@pytest.mark.parametrize("separator", [" ", "-", "\xa0"])
def test_rows_of_groups_are_judged_as_one_by_one(separator):
    """Cards in rows of groups of four: those that are passed over are none."""
    dice, count = random.Random(separator), 0
    rule = TYPES["card"][0].rule("t", "")
    for _ in range(1500):
        groups = [f"{dice.choice([4111, 1111, dice.randint(0, 9999)]):04}" for _ in range(dice.randint(5, 60))]
        if dice.random() < 0.3:
            groups.insert(dice.randint(0, len(groups)), dice.choice(["123", "12345", "1", "x", "4111,", "."]))
        text = separator.join(groups) + dice.choice(["", " 1", "9", ".", separator, "é"])
        *found, _ = rule.spans(Sample(text, closed=True), 0, len(text))
        assert found == asked(rule, text, 0, len(text)), text
        count += len(found)
    assert count > 1000


def test_what_stands_before_a_value_allows_or_forbids_it():
    shape = Shape(r"\b\d{3}\b", words="foo|bar baz", unless="[$]|v ")
    assert found(shape, "foo 123") == ["123"]
    assert found(shape, "FOO: 123, 124 and 125") == ["123", "124", "125"]
    assert found(shape, "123 foo 124") == ["124"]
    assert found(shape, "foo $123 v 124 125") == ["125"]
    assert found(shape, "food 123, xfoo 124, bar baz 125") == ["125"]
    assert found(shape, "漢字foo漢字 123") == ["123"]
    assert found(shape, "éfoo 123") == []
    assert found(shape, "foo" + " " * 37 + "123" + " " * 10 + "124") == ["123"]
    assert found(shape, "123 124 125 126") == []


def test_the_word_must_end_where_the_value_begins_or_before():
    assert found(Shape(r"\b[a-z]{3}\b", words="foo"), "foo foo abc") == ["foo", "abc"]


def test_checks_answer_for_the_whole_candidate():
    assert checked("luhn")("79927398713") == 11
    assert checked("luhn")("79927398710") == 0
    assert whole(lambda text: text == "12a")("1-2 a") == 5
    assert whole(lambda text: False)("12") == 0
    assert no_longer_than(2)("12") == 2
    assert no_longer_than(2)("123") == -3


@pytest.mark.parametrize("type_", TYPES)
def test_hostile_text_is_checked_in_proportion_to_its_length(type_):
    """Characters given to validators: at most a fixed number for each of the text."""
    for unit in HOSTILE:
        costs = []
        for size in (2000, 4000):
            text = (unit * size)[:size]
            costs.append(sum(_cost(shape, text) for shape in TYPES[type_]))
        assert costs[0] <= 60 * 2000, unit
        assert costs[1] <= 2.2 * costs[0] + 500, unit


def _cost(shape, text):
    seen = []
    accept = shape.accept or len

    def counting(candidate):
        seen.append(len(candidate))
        return accept(candidate)

    found(dataclasses.replace(shape, accept=counting), text)
    return sum(seen)


@pytest.mark.parametrize("type_", TYPES)
def test_no_value_of_the_right_shape_makes_a_check_fail(type_):
    """Digits and letters at random in the places of a true value's: a check says yes or no, and raises nothing."""
    dice, rules = random.Random(type_), [shape.rule("t", "") for shape in TYPES[type_]]
    for sample in SAMPLES[type_]:
        before, value, after = parts(sample)
        for _ in range(200):
            other = "".join(_other(char, dice) for char in value)
            for rule in rules:
                find(rule, before + other + after)


def _other(char, dice):
    if dice.random() < 0.2:
        return char
    if char.isdigit():
        return dice.choice("0123456789")
    if char.isascii() and char.isalpha():
        return dice.choice(string.ascii_uppercase if char.isupper() else string.ascii_lowercase)
    return char
