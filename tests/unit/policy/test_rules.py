"""Samples map characters to bytes and back; regular expressions are run on bytes and answer in characters."""

import random

import pytest

from extproc.policy.pattern import PatternError, parse
from extproc.policy.rules import RegexRule, Sample, compile_re2

TEXT = "aé漢😀b\n" * 3


def test_offsets_of_characters_and_bytes_agree_in_any_order():
    sample = Sample(TEXT, closed=True)
    dice = random.Random(1)
    for _ in range(300):
        at = dice.randint(0, len(TEXT))
        byte = len(TEXT[:at].encode())
        if dice.random() < 0.5:
            assert sample.byte_at(at) == byte
        else:
            assert sample.char_at(byte) == at
    ascii_only = Sample("plain", closed=True)
    assert (ascii_only.byte_at(3), ascii_only.char_at(3)) == (3, 3)


def test_matches_are_given_in_characters():
    rule = RegexRule("r", parse("😀b"), "")
    sample = Sample(TEXT, closed=True)
    assert rule.find(sample, 0, len(TEXT)) == (3, 5)
    assert rule.find(sample, 4, len(TEXT)) == (9, 11)
    assert rule.find(sample, 4, 9) is None, "begins at the limit"
    assert rule.find(sample, 4, 10) == (9, 11)
    assert rule.find(sample, 16, len(TEXT)) is None


def test_what_stands_before_the_start_is_context():
    rule = RegexRule("r", parse(r"\bb|^a"), "")
    assert rule.find(Sample("ab", closed=True), 1, 2) is None
    assert rule.find(Sample(" b", closed=True), 1, 2) == (1, 2)
    assert RegexRule("r", parse("^b"), "").find(Sample("ab", closed=True), 1, 2) is None


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        ({"aaa": 2}, (0, 2)),
        ({"aaa": 0, "aa": 2}, (1, 3)),
        ({"aaa": -2, "a": 1}, (2, 3)),
        ({"aaa": 0, "aa": 0, "a": 0}, (3, 3)),
        ({"aaa": -3}, (3, 3)),
        ({"aaa": (1, 2)}, (1, 2)),
        ({"aaa": 0, "aa": (1, 2)}, (2, 3)),
    ],
)
def test_a_validator_shortens_passes_over_skips_or_takes_a_part(answers, wanted):
    rule = RegexRule("r", parse("a{1,3}"), "", answers.__getitem__)
    assert rule.find(Sample("aaa", closed=True), 0, 3) == wanted


def test_how_far_a_validator_skipped_is_told_beyond_the_limit():
    rule = RegexRule("r", parse("a{4}"), "", lambda candidate: -len(candidate))
    assert rule.find(Sample("aaaaaa", closed=False), 0, 1) == (4, 4)


@pytest.mark.parametrize("source", ["(", "[z-a]", r"\Z", "(?:a{1000}){1000}", r"(?:\pL{500}){2}" * 300])
def test_what_re2_refuses_is_an_error_of_ours(source):
    with pytest.raises(PatternError) as caught:
        compile_re2(source)
    assert str(caught.value)
